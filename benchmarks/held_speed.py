"""How well is a speed held on the jungle's hills, by either controller?

    python benchmarks/held_speed.py

The expert steers one lap each way; no pictures. `before` is the controller of models
that give the steering alone, `modelled` that of models that see bends
(driving/speed_plan.py). Prints a table of the 95th percentile of |speed error| in mph,
on all of the road, on climbs and on descents of more than 20 %, and the lowest speed;
then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import MPS_PER_MPH
from common.command_line import HelpFormatter
from common.table import text_table
from driving.speed import SpeedController
from driving.speed_plan import ModelledSpeed
from simulator.expert import Expert
from simulator.track import Track
from simulator.tracks import make_track
from simulator.world import FRAME_DT_S, World

STEEP = 0.2
# By then it has come to its speed.
AFTER_S = 8.0
Keeper = Callable[[float], float]
"""Turns a speed in mph into the throttle, a frame after the last."""


def before(target_mph: float) -> Keeper:
    """Return the controller of models that give the steering alone."""
    controller = SpeedController(target_mph)
    return lambda speed_mph: controller(speed_mph, FRAME_DT_S)


def modelled(target_mph: float) -> Keeper:
    """Return that of models that see bends, with none in sight."""
    speed = ModelledSpeed(target_mph)
    return lambda speed_mph: speed(speed_mph, FRAME_DT_S, 0.0, 0.0)


def lap(track: Track, keeper: Keeper, target_mph: float) -> dict[str, float]:
    """Drive a lap; return what is told of it."""
    world, expert, rows = World(track, cameras=()), Expert(track), []
    seen = world.reset()
    while seen.lap < 1:
        speed_mph = seen.speed_mps / MPS_PER_MPH
        throttle = keeper(speed_mph)
        if seen.time_s > AFTER_S:
            rows.append((speed_mph, track.grade_at(seen.station_m)))
        seen = world.step(expert(seen).steering, throttle)
        assert not (seen.off_road or seen.collision or seen.stuck), seen.station_m
    speed_mph, grade = np.array(rows).T
    error_mph = np.abs(speed_mph - target_mph)
    parts = {"all": grade < 9, "climbs": grade > STEEP, "descents": grade < -STEEP}
    told = {name: float(np.percentile(error_mph[of], 95)) for name, of in parts.items()}
    told["lowest_mph"] = float(speed_mph.min())
    return {name: round(value, 2) for name, value in told.items()}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--speed", type=float, nargs="+", default=[5, 10, 15, 20], metavar="MPH")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure; print the table and the JSON line."""
    args = parse_args(argv)
    forward = make_track("jungle")
    ways = {"forward": forward, "reverse": forward.reversed()}
    rows = [["mph", "way", "controller", "all", "climbs", "descents", "lowest"]]
    found: list[dict[str, Any]] = []
    for mph in args.speed:
        for way, track in ways.items():
            for make in (before, modelled):
                told = lap(track, make(mph), mph)
                cells = [f"{value:.2f}" for value in told.values()]
                rows.append([f"{mph:g}", way, make.__name__, *cells])
                about = {"mph": mph, "way": way, "controller": make.__name__}
                found.append(about | told)
    print(text_table(rows, "<<<>"))
    print(json.dumps({"held_speed": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
