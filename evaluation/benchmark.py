"""The benchmark: 23 embedded roads that are the same for everybody, and one score.

    python evaluate.py models/both/model.json zero expert --benchmark

The lake, the jungle and the mountain are driven both ways round, and twenty random
roads that no recipe of the project trains on, ten as far from the usual looks as
simulate.py can take them and ten half as far; one lap each, at one speed.

A road's score is the chance to drive a kilometre of it without an intervention, in
percent: exp(-interventions per km), as if they came at random. What was not reached
counts as not driven. A road that is driven both ways scores the mean of the two, and
the score is the mean over the roads. Its interval says how far it would move with
other roads of these kinds (95 %, by drawing as many of them, with replacement).

NVIDIA's autonomy (rollout.py) stands beside it. Alone it flatters: who leaves one road
of ten three times a kilometre has 98 %, here 90.

A car can keep to the road and weave, or drive on the wrong side of it, which costs
nothing. So that stands beside it, too: how far the car is from the middle of the road
and of its lane, how much that varies, and how much of the time on two-lane roads it
drives on its own half.

Source: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from common.car import MPS_PER_MPH
from evaluation.closed_loop import Job, LoopResult, drive_all, variant_of
from evaluation.rollout import Rollout
from simulator.track import Track

# Scores of one version compare. Another road, look, speed or rule is another version.
VERSION = 2
NAME = f"benchmark {VERSION}"
# At which the tightest bends of random roads can be driven.
SPEED_MPH = 20.0
# Of the time that a road takes at that speed: who stands still is not waited for.
MOST_TIMES = 1.5
# A drive is given up with so many interventions for the whole road: 0.03 are left.
MOST_PER_KM = 8.0
BOTH_WAYS = ("forward", "reverse")
# Random roads from this on are the benchmark's; see the test that no recipe has them.
FIRST_SEED = 3000
NUM_DRAWN, INTERVAL_PERCENT = 10_000, (2.5, 97.5)


@dataclass(frozen=True)
class Road:
    """A road of the benchmark."""

    track: str
    """Its name, as simulate.py knows it."""
    kind: str
    """What roads like it are called together."""
    ways: tuple[str, ...] = ("forward",)
    """The directions in which it is driven."""
    randomise: float = 0.0
    """How far its looks are drawn anew, as `evaluate.py --randomise` does."""

    def job(self, driver: str, way: str) -> Job:
        """Return a lap of it, as `evaluate.py --track` drives it."""
        _, _, number = self.track.partition("random:")
        seed, randomise = int(number or 0), self.randomise
        return Job(driver, self.track, way, 1, SPEED_MPH, seed, randomise=randomise)


def _random_roads(first: int, strength: float) -> tuple[Road, ...]:
    kind = f"random, --randomise {strength:g}"
    seeds = range(first, first + 10)
    return tuple(Road(f"random:{n}", kind, randomise=strength) for n in seeds)


ROADS = (
    *(Road(name, name, BOTH_WAYS) for name in ("mountain", "jungle", "lake")),
    *_random_roads(FIRST_SEED, 1.0),
    *_random_roads(FIRST_SEED + 10, 0.5),
)


@dataclass(frozen=True)
class Lap:
    """A lap that everybody drives."""

    road: Road
    way: str
    """Which way round."""
    track: Track
    """The road as it is driven, with its width."""

    @property
    def usual_s(self) -> float:
        """The time that it takes at the benchmark's speed."""
        return self.track.length_m / (SPEED_MPH * MPS_PER_MPH)

    def job(self, driver: str) -> Job:
        """Return the drive of a driver."""
        return replace(
            self.road.job(driver, self.way),
            most_s=MOST_TIMES * self.usual_s,
            most_interventions=math.ceil(MOST_PER_KM * self.track.length_m / 1000),
        )

    def figures(self, result: LoopResult) -> dict[str, Any]:
        """Return the score of a drive, and where on the road the car was."""
        drive = result.rollout
        count, length_m = len(drive.interventions), self.track.length_m
        reached = 1.0 if result.laps else float(drive.distance_m[-1]) / length_m
        reached = min(1.0, max(0.0, reached))
        return {
            "score": round(score_of(count, length_m, reached), 2),
            "autonomy_percent": round(drive.autonomy_percent(), 2),
            "interventions": count,
            "off_road": result.off_road,
            "collisions": result.collisions,
            "stuck": result.stuck,
            "length_m": round(length_m, 1),
            "reached_m": round(reached * length_m, 1),
            **_place_figures(drive.cross_track_error_m, self.track),
        }


def score_of(num_interventions: int, length_m: float, reached: float) -> float:
    """Return the chance in percent to drive a kilometre alone, of what was reached.

    Args:
        length_m: The length of the road.
        reached: The share of it that was driven, in [0, 1].
    """
    if not reached:
        return 0.0
    return 100 * reached * math.exp(-1000 * num_interventions / (reached * length_m))


def _place_figures(error_m: np.ndarray, track: Track) -> dict[str, float | None]:
    """Return where across the road a car was, in metres, + is right.

    Args:
        error_m: Its distance from its lane's middle, float64 (n,).
        track: The road as it is driven.
    """
    place_m = error_m + track.lane_offsets_m[0]
    has_lanes = len(track.lane_offsets_m) > 1
    own_percent = round(100 * float(np.mean(place_m > 0)), 2) if has_lanes else None
    return {
        "from_middle_m": round(float(np.abs(place_m).mean()), 3),
        "from_lane_m": round(float(np.abs(error_m).mean()), 3),
        "spread_m": round(float(place_m.std()), 3),
        "own_half_percent": own_percent,
    }


def laps_of(roads: Iterable[Road]) -> list[Lap]:
    """Return every lap of some roads."""
    return [
        Lap(road, way, variant_of(road.job("expert", way)).track)
        for road in roads
        for way in road.ways
    ]


def judge(
    drivers: Sequence[str], num_workers: int, roads: Sequence[Road] | None = None
) -> tuple[dict[str, Any], list[Rollout]]:
    """Let drivers drive the benchmark.

    Args:
        drivers: Paths of models, `zero` and `expert`; each once.
        num_workers: How many drive at once. It changes nothing of the result.
        roads: What is driven; None: ROADS, and nothing else is the benchmark.

    Returns:
        The document: version, and figures by driver; and every drive.

    Raises:
        InputError: A model cannot be loaded.
    """
    laps = laps_of(ROADS if roads is None else roads)
    jobs = [lap.job(driver) for driver in drivers for lap in laps]
    results = list(drive_all(jobs, num_workers, is_exact=True))
    document = {
        "version": VERSION,
        "speed_mph": SPEED_MPH,
        "drivers": {
            driver: _figures(laps, results[first : first + len(laps)])
            for driver, first in zip(
                drivers, range(0, len(jobs), len(laps)), strict=True
            )
        },
    }
    return {"benchmark": document}, [each.rollout for each in results]


def _figures(laps: Sequence[Lap], results: Sequence[LoopResult]) -> dict[str, Any]:
    """Return the figures of a driver: the score, and what it is made of."""
    roads: dict[str, dict[str, Any]] = {}
    for lap, result in zip(laps, results, strict=True):
        road = roads.setdefault(lap.road.track, {"kind": lap.road.kind, "ways": {}})
        road["ways"][lap.way] = lap.figures(result)
    for road in roads.values():
        road |= _summary(road["ways"].values())
    kinds = dict.fromkeys(road["kind"] for road in roads.values())
    scores = np.array([road["score"] for road in roads.values()])
    low, high = interval(scores)
    return {
        **_summary(roads.values()),
        "low": low,
        "high": high,
        "roads": len(roads),
        "roads_alone": sum(not road["interventions"] for road in roads.values()),
        "kinds": {
            kind: _summary(road for road in roads.values() if road["kind"] == kind)
            for kind in kinds
        },
        "by_road": roads,
    }


def _summary(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of several roads, or ways along one: each counts alike."""
    parts = list(parts)

    def mean(name: str, digits: int) -> float | None:
        known = [part[name] for part in parts if part[name] is not None]
        return round(fmean(known), digits) if known else None

    return {
        "score": mean("score", 2),
        "autonomy_percent": mean("autonomy_percent", 2),
        "interventions": sum(part["interventions"] for part in parts),
        "from_middle_m": mean("from_middle_m", 3),
        "from_lane_m": mean("from_lane_m", 3),
        "spread_m": mean("spread_m", 3),
        "own_half_percent": mean("own_half_percent", 2),
    }


def interval(scores: np.ndarray) -> tuple[float, float]:
    """Return between what the mean lies with other roads; (n,), the same for them."""
    rng = np.random.default_rng(VERSION)
    drawn = scores[rng.integers(len(scores), size=(NUM_DRAWN, len(scores)))]
    low, high = np.percentile(drawn.mean(axis=1), INTERVAL_PERCENT)
    return round(float(low), 2), round(float(high), 2)


def worst_ways(figures: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ways on which a driver needed help, and their figures, worst first."""
    ways = [
        (f"{road} {way}", said)
        for road, roads in figures["by_road"].items()
        for way, said in roads["ways"].items()
        if said["interventions"] or said["reached_m"] < said["length_m"]
    ]
    yield from sorted(ways, key=lambda each: each[1]["score"])
