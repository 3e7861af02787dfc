"""How long must one train until the car drives, from the base model and from nothing?

Trains on a recording for a few epochs and for more, each a run of its own, and lets the
model drive the embedded lake both ways round. Two times are told: that of the epochs
themselves, and that of the whole command, with start-up, image check and pictures.

    python benchmarks/experiments/seconds_to_drive.py data/lake --epochs 1 2 4 8 16

Prints a table, then one JSON line. The images are checked and cached before.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow
from evaluation.closed_loop import Job, drive

ROOT = Path(__file__).resolve().parents[2]
BEGINNINGS = ("base", "scratch")
RATE = re.compile(r"([\d,]+) samples/s")


def trained(
    recording: Path, beginning: str, epochs: int, seed: int, folder: Path
) -> dict[str, float]:
    """Train a run into a folder; return its times in s.

    Raises:
        subprocess.CalledProcessError: It failed, and has said why.
    """
    begun_s = time.perf_counter()
    command = [sys.executable, ROOT / "train.py", recording, "--name", folder.name]
    command += ["--models-dir", folder.parent, "--from", beginning]
    command += ["--epochs", str(epochs), "--seed", str(seed)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    whole_s = time.perf_counter() - begun_s
    samples = re.search(r"([\d,]+) samples to train on", said)
    assert samples, said
    rates = [int(rate.replace(",", "")) for rate in RATE.findall(said)]
    epochs_s = sum(int(samples[1].replace(",", "")) / rate for rate in rates)
    return {"epochs_s": round(epochs_s, 1), "whole_s": round(whole_s, 1)}


def driven(model_path: Path, speed_mph: float) -> dict[str, Any]:
    """Drive a lap of the embedded lake each way; return what went wrong, and errors."""
    jobs = [
        Job(str(model_path), "lake", way, speed_mph=speed_mph, most_s=300.0)
        for way in ("forward", "reverse")
    ]
    figures = [drive(job).figures() for job in jobs]
    names = ("off_road", "collisions", "stuck")
    return {
        "interventions": [sum(each[name] for name in names) for each in figures],
        "mean_m": [each["mean_abs_cross_track_error_m"] for each in figures],
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("recording", type=Path, help="what to train on")
    epochs = "epochs to train, one run each (default: 1 2 4 8 16)"
    add("--epochs", type=int, nargs="+", default=[1, 2, 4, 8, 16], help=epochs)
    add("--seeds", type=int, nargs="+", default=[0], help="seeds (default: 0)")
    add("--speed", type=float, default=25.0, help="of the drive, mph (default: 25)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    rows = []
    head = f"{'begun':8} {'epochs':>6} {'seed':>4} {'epochs s':>8} {'whole s':>7}"
    with tempfile.TemporaryDirectory() as folder:
        # What is cached once for all runs is no part of their times.
        trained(args.recording, "base", 1, 0, Path(folder, "first"))
        print(f"{head}  interventions, mean m: forward, reverse")
        for seed in args.seeds:
            for beginning in BEGINNINGS:
                for epochs in args.epochs:
                    run = Path(folder, f"{beginning}-{epochs}-{seed}")
                    row = {"begun": beginning, "epochs": epochs, "seed": seed}
                    row |= trained(args.recording, beginning, epochs, seed, run)
                    row |= driven(run / "model.json", args.speed)
                    rows.append(row)
                    print(as_line(row), flush=True)
    print(json.dumps({"recording": args.recording.name, "runs": rows}))
    return 0


def as_line(row: dict[str, Any]) -> str:
    ways = zip(row["interventions"], row["mean_m"], strict=True)
    drives = ", ".join(f"{count:3} {mean_m:5.2f}" for count, mean_m in ways)
    return (
        f"{row['begun']:8} {row['epochs']:6} {row['seed']:4} {row['epochs_s']:8.1f} "
        f"{row['whole_s']:7.1f}  {drives}"
    )


if __name__ == "__main__":
    sys.exit(main())
