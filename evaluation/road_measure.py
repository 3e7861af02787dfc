"""Where on the road a replayed car is: a measure that is fair on weaving drivers.

A replay counts how far the car is from the recorded path, so a driver who weaves counts
against a car that does not. Where the recorded car's place on the road is known
(recordings/road_place.py), the replayed car's is too: that place and its distance from
the path. A moment whose place is not known counts in no figure.

Being put back costs nothing here: if the path is near the road's edge where the car is
put onto it, what follows within NVIDIA's six seconds is listed, and not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from common.car import INTERVENTION_S, curvature_of, steering_of
from common.errors import InputError
from evaluation.replay import Driver, RecordedPath
from evaluation.rollout import Rollout
from recordings.reproject import LOOK_AHEAD_MIN_M, recovery_steering
from recordings.road_place import RoadPlace

# Beyond this the car, 2.4 m wide, is about to leave a road between lines 7.4 m apart.
OFF_MIDDLE_M = 2.0
# A departure is over when the car is this much back inside, or if nothing was known
# for so long.
BACK_INSIDE_M, FORGOTTEN_S = 0.5, INTERVENTION_S
# An intervention there is the recorded driver's: the car is well between the lines.
NEAR_MIDDLE_M = 1.4
# A path that is so far from the middle leads a car that is put onto it to the edge.
NEAR_EDGE_M = 1.0
# Who keeps this far from the middle, in parts of half the road, keeps to one half.
KEEPS_HALF = 0.25
# How far ahead the perfect line is aimed at; a car that looks farther cuts bends.
LOOK_AHEAD_S = 0.6


def middle_driver(path: RecordedPath, road: RoadPlace, offset_m: float = 0.0) -> Driver:
    """Return a driver who knows the road and keeps to its middle: the perfect line.

    Where the place is not known the line leads straight on to where it is again.

    Args:
        path: The path to be driven.
        road: Where on the road it is, a place for each of its rows.
        offset_m: How far right of the middle it keeps, where people drive in lanes.

    Raises:
        InputError: The place is known nowhere.
    """
    if not road.known.any():
        name = path.samples["recording"].iloc[0]
        raise InputError(
            f"{name}: the place on the road is not known in any picture, so nobody can "
            "drive in its middle; leave middle out, or give another recording"
        )
    known = np.flatnonzero(road.known)
    ahead_m = np.maximum(LOOK_AHEAD_MIN_M, LOOK_AHEAD_S * path.speed_mps)
    curvature_per_m = curvature_of(path.steering)
    step_m = path.speed_mps * path.dt_s
    way_m, heading_rad = _before(step_m), _before(step_m * curvature_per_m)
    aside_m = _before(step_m * (heading_rad + step_m * curvature_per_m / 2))
    # The point that it aims at: how far the path bends until there, and the middle's
    # distance from the path.
    bend_m = np.interp(way_m + ahead_m, way_m, aside_m) - aside_m
    bend_m -= ahead_m * heading_rad
    place_m = np.interp(np.arange(len(way_m)), known, road.place_m[known])
    aim_m = np.interp(way_m + ahead_m, way_m, place_m)
    steering = steering_of(2 * bend_m / ahead_m**2)

    return lambda rows, cross_track_error_m, heading_error_rad: recovery_steering(
        steering[rows],
        cross_track_error_m + aim_m[rows] - offset_m,
        heading_error_rad,
        path.speed_mps[rows],
        LOOK_AHEAD_S,
    )


def _before(steps: np.ndarray) -> np.ndarray:
    """Return the sum of all steps before each, of the same shape."""
    return np.cumsum(steps) - steps


def place_of(rollout: Rollout, path: RecordedPath, road: RoadPlace) -> np.ndarray:
    """Return how far right of the road's middle a replayed car was, NaN if not known.

    Args:
        rollout: A replay of the path.
        path: What was replayed.
        road: Where on the road the path is.
    """
    return road.place_m[np.flatnonzero(path.dt_s)] + rollout.cross_track_error_m


def road_figures(rollout: Rollout, half_width_m: float) -> dict[str, Any]:
    """Return the figures of the place on the road, for the car and the recorded driver.

    Args:
        rollout: A replay whose place_m is given.
        half_width_m: Half the road's width.
    """
    assert rollout.place_m is not None, "place_of gives it"
    recorded_m = rollout.place_m - rollout.cross_track_error_m
    known = np.isfinite(recorded_m)
    known_s = float(rollout.dt_s[known].sum())
    side = _side_kept(recorded_m[known], rollout.dt_s[known], half_width_m)
    put_back = np.array([each.index for each in rollout.interventions], int)
    excused = _excused(rollout, put_back, recorded_m)
    nobody = np.zeros(0, int), np.zeros(len(known), bool)
    near_middle = np.abs(rollout.place_m[put_back]) <= NEAR_MIDDLE_M
    elapsed_s = max(rollout.elapsed_s, 1e-9)
    return {
        "known_percent": round(100 * known_s / elapsed_s, 1),
        "half_width_m": round(half_width_m, 2),
        **_figures(rollout, rollout.place_m, half_width_m, side, (put_back, excused)),
        "interventions": {
            "known": int(known[put_back].sum()),
            "near_middle": int(near_middle.sum()),
            "after_put_back": int(excused[put_back].sum()),
        },
        "recorded_driver": _figures(rollout, recorded_m, half_width_m, side, nobody),
    }


def _side_kept(place_m: np.ndarray, dt_s: np.ndarray, half_width_m: float) -> int:
    """Return the half that a driver keeps to, 1: the right one, -1; 0: neither."""
    mean_m = float(np.average(place_m, weights=dt_s)) if dt_s.sum() else 0.0
    return int(np.sign(mean_m)) if abs(mean_m) > KEEPS_HALF * half_width_m else 0


def _excused(
    rollout: Rollout, put_back: np.ndarray, recorded_m: np.ndarray
) -> np.ndarray:
    """Return when a car has just been put onto a path near the edge, bool (n,)."""
    excused = np.zeros(len(recorded_m), bool)
    for index in put_back:
        # It goes on from the next frame.
        after = rollout.time_s[index + 1 :] - rollout.time_s[index]
        end = index + 1 + int(np.searchsorted(after, INTERVENTION_S, side="right"))
        path_m = recorded_m[index + 1 : index + 2]
        if (np.abs(path_m) > NEAR_EDGE_M).any():
            excused[index + 1 : end] = True
    return excused


def _figures(
    rollout: Rollout,
    place_m: np.ndarray,
    half_width_m: float,
    side: int,
    moved: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """Return the figures of one car.

    Args:
        rollout: The drive, for its times.
        place_m: The car's place in every frame, NaN where it is not known.
        half_width_m: Half the road's width.
        side: The half of the road that it should keep to, as _side_kept returns it.
        moved: The frames after which it was put back, and what is excused for that.
    """
    known = np.isfinite(place_m)
    place, dt_s = place_m[known], rollout.dt_s[known]
    mean_m = spread_m = largest_m = None
    if dt_s.sum():
        mean = float(np.average(place, weights=dt_s))
        spread = float(np.sqrt(np.average((place - mean) ** 2, weights=dt_s)))
        mean_m, spread_m = round(mean, 3), round(spread, 3)
        largest_m = round(float(np.abs(place).max()), 2)
    beyond_m = {
        "beyond_2_m": np.abs(place_m) - OFF_MIDDLE_M,
        "off_road": np.abs(place_m) - half_width_m,
    }
    if side:
        beyond_m["over_half"] = -side * place_m
    departures = {
        n: _departures(rollout, far_m, moved) for n, far_m in beyond_m.items()
    }
    return {
        "mean_m": mean_m,
        "spread_m": spread_m,
        "largest_m": largest_m,
        **departures,
    }


def _departures(
    rollout: Rollout, beyond_m: np.ndarray, moved: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Return how often and how long a car was beyond a limit.

    Args:
        rollout: The drive, for its times.
        beyond_m: How far beyond it was in every frame, NaN where that is not known.
        moved: The frames after which it was put back, and what is excused for that.
    """
    put_back, excused = set(moved[0].tolist()), moved[1]
    times = after_put_back = 0
    seconds, last_s = 0.0, -np.inf
    is_out = is_counted = False
    for i in np.flatnonzero(np.isfinite(beyond_m)).tolist():
        time_s = rollout.time_s[i]
        if beyond_m[i] < -BACK_INSIDE_M or time_s - last_s > FORGOTTEN_S:
            is_out = is_counted = False
        if beyond_m[i] > 0 and excused[i] and not is_counted:
            after_put_back += not is_out
            is_out = True
        elif beyond_m[i] > 0:
            # Who is still out when the time is over has not come back in it.
            times += not is_counted
            is_out = is_counted = True
            seconds += float(rollout.dt_s[i])
        if i in put_back:
            is_out = is_counted = False
        last_s = time_s
    return {
        "times": times,
        "seconds": round(seconds, 2),
        "after_put_back": after_put_back,
    }
