"""Do models of other people, made on the real simulator, drive the embedded roads?

An outside check of the simulator: what drives a real road and leaves the embedded one
tells what the likeness lacks. The models are read by ../shared/peer_models, which is no
part of the project; where it is absent this says so and drives only what is given.

    python benchmarks/experiments/peer_models.py models/base/model.json --seed 0 1 2

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from common.command_line import HelpFormatter  # noqa: E402
from common.start_up import quiet_tensorflow  # noqa: E402
from common.table import text_table  # noqa: E402
from evaluation.closed_loop import Job, LoopResult, drive  # noqa: E402
from model import make_predictor  # noqa: E402
from network.answer import Predict  # noqa: E402
from network.files import load_model  # noqa: E402
from simulator.tracks import make_track  # noqa: E402

PEERS = ROOT.parent / "shared" / "peer_models"
# Speeds in mph at which each road is driven; people drove the real jungle slowly.
SPEEDS = {"lake": (15.0, 25.0), "jungle": (10.0,)}
DIRECTIONS = ("forward", "reverse")


@dataclass(frozen=True)
class Drive:
    """One line of the table; distances are in metres, + is right."""

    model: str
    """Who drove."""
    road: str
    """The track and the direction."""
    speed_mph: float
    """The speed that was held."""
    seed: int
    """The seed of the scenery."""
    interventions: int
    """How often the car was put back."""
    stations_m: list[int]
    """Where along the road that was."""
    middle_m: float
    """The mean place across the road, from its middle."""
    spread_m: float
    """The standard deviation of that place."""
    lane_error_m: float
    """The mean distance from the middle of the right lane."""


def read_peers(folder: Path) -> ModuleType | None:
    """Return the module that reads the peers' models, or None where it is absent."""
    path = folder / "peer_models.py"
    if not path.is_file():
        print(f"{path}: no such file; the models of other people are skipped")
        return None
    spec = importlib.util.spec_from_file_location("shared_peer_models", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def predictors(models: list[str], peers: Path) -> Iterator[tuple[str, Predict]]:
    """Return what steers, by name: the peers' models, then the model.json files."""
    module = read_peers(peers)
    for name in module.NAMES if module is not None else ():
        batch = module.predictor(name)
        yield name, lambda frame, batch=batch: float(batch(frame[None])[0])
    for path in models:
        yield path, make_predictor(load_model(path))


def describe(job: Job, result: LoopResult) -> Drive:
    """Return a drive's line of the table."""
    track = make_track(job.track)
    start_m = -track.start_m if job.direction == "reverse" else track.start_m
    rollout = result.rollout
    indices = [each.index for each in rollout.interventions]
    stations_m = (start_m + rollout.distance_m[indices]) % track.length_m
    place_m = rollout.cross_track_error_m + track.lane_offsets_m[0]
    return Drive(
        model=job.driver,
        road=rollout.road,
        speed_mph=job.speed_mph,
        seed=job.seed,
        interventions=len(indices),
        stations_m=np.rint(stations_m).astype(int).tolist(),
        middle_m=round(float(place_m.mean()), 2),
        spread_m=round(float(place_m.std()), 2),
        lane_error_m=round(float(np.abs(rollout.cross_track_error_m).mean()), 2),
    )


def shown(line: Drive) -> list[str]:
    """Return the cells of a drive's line."""
    return [
        line.model,
        f"{line.road}, {line.speed_mph:g} mph, seed {line.seed}",
        str(line.interventions),
        f"{line.middle_m:+.2f} ± {line.spread_m:.2f}",
        f"{line.lane_error_m:.2f}",
        " ".join(map(str, line.stations_m)) or "-",
    ]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model.json")
    folder = "folder of the models of other people"
    parser.add_argument("--peers", type=Path, default=PEERS, help=folder)
    roads = {"nargs": "+", "choices": list(SPEEDS), "default": list(SPEEDS)}
    parser.add_argument("--track", help="roads to drive", **roads)
    way = {"nargs": "+", "choices": DIRECTIONS, "default": list(DIRECTIONS)}
    parser.add_argument("--direction", help="which way round", **way)
    speeds = "speeds in mph (default: 15 and 25 on the lake, 10 in the jungle)"
    parser.add_argument("--speed", type=float, nargs="+", metavar="MPH", help=speeds)
    seeds = "seeds of the scenery (default: 0)"
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help=seeds)
    most = "simulated seconds after which a drive is given up"
    parser.add_argument("--most-s", type=float, metavar="S", help=most)
    return parser.parse_args(argv)


def jobs_of(args: argparse.Namespace, driver: str) -> list[Job]:
    """Return the drives of one driver."""
    return [
        Job(driver, track, way, speed_mph=speed, seed=seed, most_s=args.most_s)
        for track in args.track
        for way in args.direction
        for speed in args.speed or SPEEDS[track]
        for seed in args.seed
    ]


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    lines = []
    for driver, predict in predictors(args.models, args.peers):
        for job in jobs_of(args, driver):
            lines.append(describe(job, drive(job, predict=predict)))
            print(" ".join(shown(lines[-1])), file=sys.stderr)
    head = ["model", "road", "interventions", "from the middle, m", "from the lane, m"]
    table = [[*head, "where, m"], *map(shown, lines)]
    print(text_table(table, align="<<>>><"))
    print(json.dumps([asdict(line) for line in lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
