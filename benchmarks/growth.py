"""What does each command take of a recording of 1,000 rows, and of 100,000?

A recording is made of a given one: its rows again and again, each time with images of
their own (a few bytes behind the JPEG's end make another file of it, so that nothing is
looked up as known). Each command is a process of its own and begins with an empty
cache; CPU time is that of the process and of all that it starts, memory that of the
largest of them.

    python benchmarks/growth.py data/sim --rows 1000 10000 100000

100,000 rows with three cameras take 3 GB of disk for a while. Prints a table, then one
JSON line.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import CAMERAS
from common.command_line import HelpFormatter
from recordings.log import find_log

ROOT = Path(__file__).resolve().parents[1]
# What each command is told; the recording and a folder to write to have their places.
COMMANDS = {
    "dataset": "dataset.py {recording}",
    "explore": "explore.py {recording} --out {out}/report",
    "train, to its first step": "train.py {recording} --models-dir {out} --name run "
    "--epochs 1 --steps-per-epoch 1 --validation-fraction 0",
    "replay": "evaluate.py zero --recording {recording}",
}
BEGAN = datetime(2026, 1, 1)


def grow(source: Path, num_rows: int, folder: Path) -> None:
    """Write a recording of so many rows, made of the rows of another."""
    log = find_log(source)
    rows = list(csv.reader(log.open(encoding="utf-8", newline="")))
    rows = [row for row in rows if row[0] != CAMERAS[0]]
    num_cameras = len(CAMERAS)
    (folder / "IMG").mkdir(parents=True)
    with (folder / "driving_log.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        for number in range(num_rows):
            row = rows[number % len(rows)]
            names = []
            taken = BEGAN + timedelta(milliseconds=100 * number)  # 10 Hz, as v1 has it
            ms = taken.microsecond // 1000
            for camera, path in zip(CAMERAS, row, strict=False):
                image = log.parent / "IMG" / Path(path.strip().replace("\\", "/")).name
                names.append(f"IMG/{camera}_{taken:%Y_%m_%d_%H_%M_%S}_{ms:03}.jpg")
                content = image.read_bytes() + number.to_bytes(4, "big")
                (folder / names[-1]).write_bytes(content)
            out.writerow([*names, *row[num_cameras:]])


def measured(words: list[str], cache: Path) -> dict[str, float]:
    """Run a command; return what it took.

    Raises:
        subprocess.CalledProcessError: It failed, and has said why.
    """
    began_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # In a process between, so that the memory is that of this command alone.
    code = (
        "import json, resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_maxrss)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"BC_CACHE_DIR": str(cache)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(time.perf_counter() - began_s, 1),
        "cpu_s": round(cpu_s, 1),
        "memory_mb": round(int(ended.stdout) / 1024),
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("recording", type=Path, help="what the larger ones are made of")
    add("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    add("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    runs: list[dict[str, Any]] = []
    print(f"{'command':24} {'rows':>8} {'CPU s':>8} {'wall s':>8} {'MB':>6}")
    for num_rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder, "recording")
            grow(args.recording, num_rows, recording)
            for name in args.commands:
                own = Path(folder, name.partition(",")[0])
                places = {"recording": recording, "out": own / "out"}
                words = [each.format(**places) for each in COMMANDS[name].split()]
                took = measured(words, own / "cache")
                run = {"command": name, "rows": num_rows, **took}
                runs.append(run)
                print(
                    f"{name:24} {num_rows:8,} {run['cpu_s']:8.1f} {run['wall_s']:8.1f} "
                    f"{run['memory_mb']:6}",
                    flush=True,
                )
    print(json.dumps({"runs": runs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
