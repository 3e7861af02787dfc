"""How much faster are several workers than one, on this machine?

Runs train.py on the same batches as one process, and as 1, 2, … workers on as many
cores, in turns; a worker's first epoch, which compiles, does not count.

    python benchmarks/workers.py data/lake --most 2

Prints a table, then one JSON line. Efficiency is the rate against that of one worker on
one core, times the number of workers. Linux only, which can keep a run to some cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import HelpFormatter

ROOT = Path(__file__).resolve().parents[1]
RATE = re.compile(r"^epoch (\d+)/.* ([\d,]+) samples/s")


def rates(args: argparse.Namespace, num_workers: int | None) -> list[float]:
    """Return the rate of each epoch but the first, samples/s.

    The workers are on as many cores; None is one process on all cores.
    """
    cores = sorted(os.sched_getaffinity(0))[:num_workers]
    with tempfile.TemporaryDirectory() as models_dir:
        command = [sys.executable, str(ROOT / "train.py"), str(args.recording)]
        command += ["--name", "run", "--models-dir", models_dir]
        command += ["--preset", args.preset, "--batch-size", str(args.batch_size)]
        command += ["--epochs", str(args.epochs), "--steps-per-epoch", str(args.steps)]
        if num_workers is not None:
            command += ["--workers", str(num_workers)]
        done = subprocess.run(
            command,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = [RATE.match(line) for line in done.stdout.splitlines()]
    return [float(m[2].replace(",", "")) for m in found if m and int(m[1]) > 1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("recording", type=Path, help="folder with a driving_log.csv")
    add("--preset", default="default")
    add("--batch-size", type=int, default=64)
    add("--steps", type=int, default=40, help="batches an epoch")
    add("--epochs", type=int, default=6)
    add("--rounds", type=int, default=2, help="turns")
    add("--most", type=int, default=2, help="workers")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    runs: list[int | None] = [None, *range(1, args.most + 1)]
    runs = [n for n in runs if n is None or args.batch_size % n == 0]
    found: dict[int | None, list[float]] = {n: [] for n in runs}
    for _ in range(args.rounds):
        for num_workers in runs:
            found[num_workers] += rates(args, num_workers)
    print(f"{'run':<24}{'median':>12}{'best':>12}{'efficiency of best':>20}")
    for n, values in found.items():
        best = max(values)
        efficiency = best / (max(found[1]) * (n or len(os.sched_getaffinity(0))))
        name = "one process, all cores" if n is None else f"{n} workers, {n} cores"
        print(
            f"{name:<24}{statistics.median(values):>10,.0f}/s{best:>10,.0f}/s"
            f"{efficiency:>20.2f}"
        )
    print(json.dumps({str(n): values for n, values in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
