"""How fast does a planned speed drive a road, and how safely, beside the usual ways?

    python benchmarks/speed_planning.py models/a --track lake --laps 3 --direction both
    python benchmarks/speed_planning.py models/a --track random:5000-5049

Each model drives with a planned speed (drive.py --speed auto), at constant ones, and by
the rule that is usual with this simulator, throttle x (1 - steering²) of one that holds
the ceiling; the expert, who knows the road, drives with the same limits and is the
bound. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import MPS_PER_MPH
from common.command_line import HelpFormatter
from common.table import text_table
from driving.pilot import Command
from driving.speed_plan import SIDEWAYS_MPS2, TOP_MPH
from evaluation.closed_loop import Job, LoopResult, Steer, drive
from evaluation.drivers import EXPERT, driver_of, folder_name, is_model
from model import load_predictor
from simulator.tracks import track_names
from simulator.world import Observation

AUTO, RULE = "auto", "x (1 - s²)"


@dataclass(frozen=True)
class Way:
    """A way to choose the speed."""

    name: str
    """What the table calls it."""
    speed_mph: float
    """The speed to hold, or not to exceed."""
    sideways_mps2: float | None = None
    """What bends may pull to the side; None holds the speed."""


def eased(steer: Steer) -> Steer:
    """Return a driver who lets the throttle go as it steers: the usual rule."""

    def eased_steer(seen: Observation) -> Command:
        command = steer(seen)
        throttle = command.throttle
        if throttle > 0:
            throttle *= 1 - command.steering**2
        return Command(command.steering, throttle)

    return eased_steer


def figures_of(jobs: Sequence[Job], results: Sequence[LoopResult]) -> dict[str, Any]:
    """Return what is told of a driver's drives, on all roads together."""
    laps_s = [time_s for each in results for time_s in each.clean_lap_times_s]
    elapsed_s = sum(each.rollout.elapsed_s for each in results)
    driven_m = sum(float(each.rollout.distance_m[-1]) for each in results)
    sideways = np.concatenate([each.rollout.sideways_mps2() for each in results])
    excursions = {m: sum(each.excursions[m] for each in results) for m in (1.0, 2.0)}
    return {
        "departures": sum(each.off_road + each.collisions for each in results),
        "stuck": sum(each.stuck for each in results),
        "roads": len(results),
        "clean_roads": sum(not each.rollout.interventions for each in results),
        "left": [
            f"{job.track} {job.direction}"
            for job, each in zip(jobs, results, strict=True)
            if each.rollout.interventions
        ],
        "excursions_2_m": excursions[2.0],
        "excursions_1_m": excursions[1.0],
        "elapsed_s": round(elapsed_s, 1),
        "clean_laps": len(laps_s),
        "lap_s": round(float(np.mean(laps_s)), 2) if laps_s else None,
        "mean_mph": round(driven_m / elapsed_s / MPS_PER_MPH, 2),
        "p95_sideways_mps2": round(float(np.percentile(sideways, 95)), 2),
    }


def measure(
    driver: str, ways: Iterable[Way], jobs: Sequence[Job]
) -> dict[str, dict[str, Any]]:
    """Let a driver drive every road in every way.

    Args:
        driver: The path of a model, or expert.
        jobs: The roads, driven by whomever.
    """
    predict = load_predictor(driver) if is_model(driver) else None
    found = {}
    for way in ways:
        results = []
        for job in jobs:
            limits = {"speed_mph": way.speed_mph, "sideways_mps2": way.sideways_mps2}
            own = replace(job, driver=driver, **limits)
            change = eased if way.name == RULE else None
            results.append(drive(own, predict=predict, change=change))
        found[way.name] = figures_of(jobs, results)
    return found


def table_of(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the figures as lines of text, a row for each driver and way."""
    heads = "driver speed departures clean 2_m 1_m lap_s mph sideways".split()
    rows = [[head.replace("_", " ") for head in heads]]
    for driver, ways in found.items():
        for name, of in ways.items():
            lap = "-" if of["lap_s"] is None else f"{of['lap_s']:.1f}"
            rows.append(
                [
                    folder_name(driver),
                    name,
                    f"{of['departures'] + of['stuck']}",
                    f"{of['clean_roads']}/{of['roads']}",
                    f"{of['excursions_2_m']}",
                    f"{of['excursions_1_m']}",
                    lap,
                    f"{of['mean_mph']:.1f}",
                    f"{of['p95_sideways_mps2']:.1f}",
                ]
            )
    return text_table(rows, "<<>")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("models", nargs="+", type=driver_of, metavar="MODEL", help="run's folder")
    add("--track", nargs="+", default=["lake"], metavar="NAME", help="(default: lake)")
    add("--laps", type=int, default=1, help="laps each way (default: 1)")
    ways = ("forward", "reverse", "both")
    add("--direction", choices=ways, default="forward", help="(default: forward)")
    ceiling = f"most that a planned speed may be, in mph (default: {TOP_MPH:g})"
    add("--ceiling", type=float, default=TOP_MPH, metavar="MPH", help=ceiling)
    pull = f"pull to the side that is planned for (default: {SIDEWAYS_MPS2:g})"
    add("--sideways-mps2", type=float, default=SIDEWAYS_MPS2, metavar="A", help=pull)
    constants = "constant speeds to drive at besides, in mph"
    add("--constant", type=float, nargs="*", default=[], metavar="MPH", help=constants)
    add("--rule", action="store_true", help="drive by throttle x (1 - steering²), too")
    add("--most-s", type=float, default=None, help="simulated time a road at most")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure; print the table and the JSON line."""
    args = parse_args(argv)
    both = ("forward", "reverse")
    directions = both if args.direction == "both" else (args.direction,)
    jobs = [
        Job(EXPERT, track, direction, args.laps, most_s=args.most_s)
        for track in track_names(args.track)
        for direction in directions
    ]
    planned = Way(AUTO, args.ceiling, args.sideways_mps2)
    ways = [planned, *(Way(f"{mph:g} mph", mph) for mph in args.constant)]
    ways += [Way(RULE, args.ceiling)] if args.rule else []
    found = {driver: measure(driver, ways, jobs) for driver in args.models}
    found[EXPERT] = measure(EXPERT, [planned], jobs)
    print(table_of(found))
    about = {"track": args.track, "laps": args.laps, "direction": args.direction}
    about |= {"ceiling_mph": args.ceiling, "sideways_mps2": args.sideways_mps2}
    print(json.dumps({**about, "speed_planning": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
