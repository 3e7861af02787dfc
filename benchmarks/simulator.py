"""How fast is the embedded simulator, and does its memory stay flat?

Measures frames per second of CPU time with one and with three cameras (world steps
included, best and median of batches), physics steps per second without cameras, and
the resident memory after the first 1,000 frames and at the end.

    python benchmarks/simulator.py
    python benchmarks/simulator.py --frames 100000 --tracks lake

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psutil

# Before this folder, whose simulator.py would hide the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import CAMERAS
from common.command_line import HelpFormatter
from simulator.expert import Expert
from simulator.tracks import make_track
from simulator.world import STEPS_PER_FRAME, World

BATCH = 100
WARM_UP_FRAMES = 1000
VIEWS = {"1 camera": CAMERAS[:1], "3 cameras": CAMERAS}


def resident_mb() -> float:
    """Return the memory that this process holds now [MB]."""
    return psutil.Process().memory_info().rss / 1e6


def measure_frames(track: str, cameras: tuple[str, ...], num_frames: int) -> dict:
    """Return frames per CPU second and memory [MB] of a drive of the expert."""
    world = World(make_track(track), cameras=cameras)
    expert = Expert(world.track)
    seen = world.reset()
    rates, early_mb = [], 0.0
    for first in range(0, num_frames, BATCH):
        started_s = time.process_time()
        for _ in range(BATCH):
            seen = world.step(*expert(seen))
        rates.append(BATCH / (time.process_time() - started_s))
        if first + BATCH == WARM_UP_FRAMES:
            early_mb = resident_mb()
    late_mb = resident_mb()
    world.close()
    return {
        "best_fps": round(max(rates)),
        "median_fps": round(statistics.median(rates)),
        f"mb_after_{WARM_UP_FRAMES}": round(early_mb, 1),
        f"mb_after_{num_frames}": round(late_mb, 1),
        "laps": seen.lap,
    }


def measure_physics(track: str, num_frames: int) -> int:
    """Return physics steps per CPU second, with the expert at the wheel."""
    world = World(make_track(track), cameras=())
    expert = Expert(world.track)
    seen = world.reset()
    started_s = time.process_time()
    for _ in range(num_frames):
        seen = world.step(*expert(seen))
    return round(STEPS_PER_FRAME * num_frames / (time.process_time() - started_s))


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    frames = "frames of each drive, 1,000 or more (default: 2000)"
    parser.add_argument("--frames", type=int, default=2000, help=frames)
    names, tracks = ["lake", "jungle"], "tracks to drive (default: lake jungle)"
    parser.add_argument("--tracks", nargs="+", default=names, help=tracks)
    args = parser.parse_args(argv)
    if args.frames < WARM_UP_FRAMES or args.frames % BATCH:
        parser.error(f"--frames must be a multiple of {BATCH} from {WARM_UP_FRAMES}")
    report: dict[str, dict] = {}
    print(
        f"{'track':10} {'cameras':10} {'best/s':>8} {'median/s':>9} "
        f"{'MB at 1,000':>12} {f'MB at {args.frames:,}':>14}"
    )
    for track in args.tracks:
        steps_per_s = measure_physics(track, 2000)
        report[track] = {"physics_steps_per_s": steps_per_s}
        for name, cameras in VIEWS.items():
            found = measure_frames(track, cameras, args.frames)
            report[track][name] = found
            best, median, early, late, _ = found.values()
            print(f"{track:10} {name:10} {best:8,} {median:9,} {early:12} {late:14}")
        print(f"{track:10} physics    {steps_per_s:8,} steps/s")
    print(json.dumps({"benchmark": "simulator", "unit": "CPU seconds", **report}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
