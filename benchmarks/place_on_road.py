"""How well is the place on the road found (recordings/road_place.py)?

In the embedded simulator, where the truth is known: an expert weaves over the road, and
the place found in the pictures is compared with the car's. With --recording also on
other recordings, which have no truth: there each camera alone must find the same place.

    python benchmarks/place_on_road.py
    python benchmarks/place_on_road.py --rows 300 --recording data/lake data/jungle

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import CAMERAS
from common.command_line import HelpFormatter
from recordings.recording import read_recording, usable_samples
from recordings.road_place import find_place
from simulator.expert import Control, Expert, SteeringNoise
from simulator.recorder import Recorder, record_expert
from simulator.scenery import SceneSettings
from simulator.track import Track
from simulator.tracks import make_track
from simulator.world import Observation, World

SPEED_MPH = 25.0
# The expert aims at another place so often, and so far from the middle.
AIMS_S, MOST_ASIDE_M = (1.5, 4.0), 2.5
# Where the error is judged: a driver's own places and headings.
JUDGED_M, JUDGED_RAD = 2.5, np.radians(10)


class Case(NamedTuple):
    """A road to weave along."""

    track: str
    direction: str
    seed: int
    look: str | None
    variation: float


CASES = (
    Case("lake", "forward", 0, None, 0.0),
    Case("lake", "reverse", 1, None, 0.7),
    Case("lake", "forward", 2, "meadow", 0.5),
    Case("lake", "reverse", 3, "desert", 0.5),
    Case("jungle", "forward", 0, None, 0.0),
    Case("jungle", "reverse", 1, None, 0.7),
    Case("jungle", "forward", 4, "mountain", 0.5),
    Case("mountain", "forward", 7, None, 0.0),
    Case("random:7", "forward", 5, None, 0.0),
    Case("random:8", "forward", 6, None, 1.0),
)


class Weaver(Expert):
    """An expert who aims at one place on the road after the other."""

    def __init__(
        self, track: Track, rng: np.random.Generator, most_aside_m: float
    ) -> None:
        super().__init__(track, lane_offset_m=0.0, speed_mph=SPEED_MPH)
        self._rng, self._next_s, self._most_aside_m = rng, 0.0, most_aside_m

    def __call__(self, seen: Observation) -> Control:
        if seen.time_s >= self._next_s:
            self._next_s = seen.time_s + self._rng.uniform(*AIMS_S)
            self.lane_offset_m = self._rng.uniform(-1, 1) * self._most_aside_m
        return super().__call__(seen)


def record_weaving(
    folder: Path, case: Case, num_rows: int, most_aside_m: float = MOST_ASIDE_M
) -> np.ndarray:
    """Record an expert who weaves by so much.

    Returns:
        The place on the road [m] and the angle to it [rad] in each row, both + is
        right, float64 (num_rows, 2).
    """
    track = make_track(case.track)
    if case.direction == "reverse":
        track = track.reversed()
    settings = SceneSettings(
        case.seed, case.seed, look=case.look, variation=case.variation
    )
    rng = np.random.default_rng(case.seed)
    truth: list[tuple[float, float]] = []

    def note(seen: Observation) -> None:
        truth.append((seen.cross_track_error_m, -seen.heading_error_rad))

    world = World(track, cameras=CAMERAS, settings=settings)
    with closing(world), Recorder(folder, seed=case.seed) as recorder:
        weaver, no_noise = Weaver(track, rng, most_aside_m), SteeringNoise(rng, 0.0)
        record_expert(
            recorder, world, weaver, no_noise, num_rows=num_rows, on_frame=note
        )
    return np.array(truth)


def read_rows(folder: Path) -> pd.DataFrame:
    """Return the usable rows of one recording, from 0 on."""
    return usable_samples([read_recording(folder)]).reset_index(drop=True)


def judge(place_m: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return how far found places are from the true ones, where they are judged."""
    judged = (np.abs(truth[:, 0]) <= JUDGED_M) & (np.abs(truth[:, 1]) <= JUDGED_RAD)
    error_m = np.abs(place_m - truth[:, 0])
    return {
        "known_percent": round(100 * float(np.isfinite(place_m).mean()), 1),
        "judged": quantiles(error_m[judged]),
        "all": quantiles(error_m),
    }


def quantiles(error_m: np.ndarray) -> dict[str, float]:
    """Return the quantiles of what is known of errors in metres."""
    known = error_m[np.isfinite(error_m)]
    names = {"median": 0.5, "p90": 0.9, "p98": 0.98, "worst": 1.0}
    if not len(known):
        return {}
    return {name: round(float(np.quantile(known, q)), 3) for name, q in names.items()}


def compare_cameras(samples: pd.DataFrame) -> dict[str, Any]:
    """Return how far the places that each camera alone finds are from each other."""
    places_m = {camera: find_place(samples, (camera,)).place_m for camera in CAMERAS}
    return {
        f"{one} and {other}": {
            "both_percent": round(100 * float(np.isfinite(apart_m).mean()), 1),
            **quantiles(np.abs(apart_m)),
        }
        for one, other in combinations(CAMERAS, 2)
        for apart_m in [places_m[one] - places_m[other]]
    }


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        epilog="Example:\n  python benchmarks/place_on_road.py --rows 300",
    )
    add = parser.add_argument
    rows = "rows of each road in the simulator (default: 1200)"
    add("--rows", type=int, default=1200, metavar="N", help=rows)
    folders = "recordings on which the cameras are compared"
    add("--recording", type=Path, nargs="+", default=[], metavar="DIR", help=folders)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and return 0."""
    args = parse_args(argv)
    figures: dict[str, Any] = {"simulator": {}, "cameras": {}}
    for case in CASES:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "weaving"
            truth = record_weaving(folder, case, args.rows)
            samples = read_rows(folder)
            place_m = find_place(samples).place_m
        name = " ".join(str(each) for each in case if each is not None)
        found = judge(place_m, truth[samples["line"].to_numpy() - 1])
        figures["simulator"][name] = found
        print(f"{name:32s} known {found['known_percent']:5.1f}%  {found['judged']}")
    for folder in args.recording:
        figures["cameras"][folder.name] = compare_cameras(read_rows(folder))
        for pair, apart in figures["cameras"][folder.name].items():
            print(f"{folder.name:12s} {pair:18s} {apart}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
