"""What drivers did: on one road, or on several together.

Of a recording that is driven again it is that of a car that is put back 2 m off the
path; of a track, that of one that is put back when it is off the road or stuck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.car import autonomy_percent
from evaluation.rollout import Rollout

KINDS = {"recordings": "replayed", "tracks": "driven in the simulator"}


@dataclass(frozen=True, eq=False)
class Driven:
    """What a driver did on one road, or on several together."""

    interventions: int
    """How often it was helped."""
    excursions: int
    """How often it was more than 1 m off, as NVIDIA counted."""
    elapsed_s: float
    """The time driven."""
    distance_m: float
    """The way driven."""
    error_m: np.ndarray
    """Distance from the path or the lane's middle, float64 (n,), a frame each."""
    speed_mps: float
    """Mean speed."""
    steering_moved: float
    """How far the wheel was turned to and fro in all; full lock is 1."""
    clean_laps_s: tuple[float, ...] | None = None
    """The time of each lap without an intervention; None where there are no laps."""
    top_speed_mps: float = 0.0
    """The highest speed."""
    sideways_mps2: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Acceleration to the side, float64 (n,), a frame each."""
    jerk_per_s2: float = 0.0
    """Mean |change of the rate of steering|."""

    @property
    def autonomy_percent(self) -> float:
        """NVIDIA's autonomy."""
        return autonomy_percent(self.interventions, self.elapsed_s)

    @property
    def between_m(self) -> float:
        """The way from one intervention to the next; all of it where there is none."""
        return self.distance_m / max(self.interventions, 1)


ByDriver = dict[str, Driven]


def driven_of(
    document: Mapping[str, Any], rollouts: Sequence[Rollout]
) -> dict[str, dict[str, ByDriver]]:
    """Return what each driver did on each road.

    Args:
        document: The figures by "recordings" or "tracks", road, driver and name.
        rollouts: Every drive; of one road and driver the one that is put back at the
            widest limit comes last.

    Returns:
        By kind, road and driver.
    """
    last = {(each.road, each.driver): each for each in rollouts}
    return {
        kind: {
            road: {
                driver: _driven(said, last[road, driver])
                for driver, said in drivers.items()
            }
            for road, drivers in document[kind].items()
        }
        for kind in KINDS
        if document[kind]
    }


def _driven(said: Mapping[str, Any], rollout: Rollout) -> Driven:
    has_frames = len(rollout.time_s) > 0
    near = said["at_1_m"]["interventions"] if "at_1_m" in said else None
    return Driven(
        interventions=len(rollout.interventions),
        excursions=said["excursions_1_m"] if near is None else near,
        elapsed_s=rollout.elapsed_s,
        distance_m=float(rollout.distance_m[-1]) if has_frames else 0.0,
        error_m=rollout.cross_track_error_m,
        speed_mps=float(rollout.speed_mps.mean()) if has_frames else 0.0,
        steering_moved=rollout.smoothness_per_s() * rollout.elapsed_s,
        clean_laps_s=_clean_laps_s(said),
        top_speed_mps=float(rollout.speed_mps.max()) if has_frames else 0.0,
        sideways_mps2=rollout.sideways_mps2(),
        jerk_per_s2=rollout.jerk_per_s2(),
    )


def _clean_laps_s(said: Mapping[str, Any]) -> tuple[float, ...] | None:
    laps_s = said.get("clean_lap_times_s")
    return None if laps_s is None else tuple(laps_s)


def together(parts: Sequence[Driven]) -> Driven:
    """Return what a driver did on several roads as on one."""
    elapsed_s = sum(part.elapsed_s for part in parts)
    has_laps = any(part.clean_laps_s is not None for part in parts)
    jerk = sum(part.jerk_per_s2 * part.elapsed_s for part in parts)
    return Driven(
        interventions=sum(part.interventions for part in parts),
        excursions=sum(part.excursions for part in parts),
        elapsed_s=elapsed_s,
        distance_m=sum(part.distance_m for part in parts),
        error_m=np.concatenate([np.zeros(0), *(part.error_m for part in parts)]),
        speed_mps=sum(p.speed_mps * p.elapsed_s for p in parts) / max(elapsed_s, 1e-9),
        steering_moved=sum(part.steering_moved for part in parts),
        clean_laps_s=tuple(t for part in parts for t in part.clean_laps_s or ())
        if has_laps
        else None,
        top_speed_mps=max((part.top_speed_mps for part in parts), default=0.0),
        sideways_mps2=np.concatenate([np.zeros(0), *(p.sideways_mps2 for p in parts)]),
        jerk_per_s2=jerk / max(elapsed_s, 1e-9),
    )


def by_driver(roads: Mapping[str, ByDriver]) -> ByDriver:
    """Return what each driver did on all roads together."""
    parts: defaultdict[str, list[Driven]] = defaultdict(list)
    for drivers in roads.values():
        for driver, driven in drivers.items():
            parts[driver].append(driven)
    return {driver: together(each) for driver, each in parts.items()}
