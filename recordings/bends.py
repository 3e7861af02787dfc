"""How sharp the road ahead is, told by what the driver steered next.

One camera frame shows no speed, so what it can be taught is a place's: the curvature
that counts there, of the bend where the car is and of those ahead, which count the less
the more room there is to brake. A car that keeps to

    speed = sqrt(sideways / bend)

everywhere brakes before each bend in time, and never by more than BRAKING_SHARE of the
sideways acceleration: from v² = sideways / curvature + 2 braking x distance follows
bend = curvature / (1 + 2 BRAKING_SHARE x distance x curvature), whatever the limit is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from common.car import BRAKING_SHARE, MOST_CURVATURE_PER_M, MPS_PER_MPH, curvature_of

# How far ahead bends are looked for: from 30 mph a car that may pull 4 m/s² to the side
# brakes to the pace of full lock within it.
HORIZON_M = 30.0
# Curvature is the turn of the nose over this way: what is longer rounds a hairpin of
# 10 m off, what is shorter takes a keyboard's pulses for bends.
TURN_OVER_M = 8.0
STEP_M = 0.5
# A longer gap between two rows is one in what is known of the road (as in a replay).
MOST_GAP_S = 0.5


def bends_ahead(samples: pd.DataFrame) -> np.ndarray:
    """Return the bend of each row, in 1/m, to the left or to the right alike.

    The way is what was driven, so it follows from the log's own speed; it ends with the
    session, and where rows are missing for more than MOST_GAP_S. What lies beyond is
    not known: a row near the end has a bend only if no road beyond, of full lock even,
    could make it sharper.

    Args:
        samples: What usable_samples returns; steering, speed_mph, time_s, session.

    Returns:
        float32 (n,), 0 or more; NaN where it is not known, as in a log without speed.
    """
    bends = np.full(len(samples), np.nan, np.float32)
    for _, session in samples.groupby("session"):
        times_s = session["time_s"].to_numpy(float)
        gaps_s = np.diff(times_s)
        ends = np.flatnonzero((gaps_s <= 0) | (gaps_s > MOST_GAP_S)) + 1
        speed_mps = session["speed_mph"].to_numpy(float) * MPS_PER_MPH
        curvature = curvature_of(session["steering"].to_numpy(float))
        for rows in np.split(np.arange(len(session)), ends):
            driven = (speed_mps[rows][1:] + speed_mps[rows][:-1]) / 2
            way_m = np.append(0.0, np.cumsum(driven * np.diff(times_s[rows])))
            bends[session.index[rows]] = _of_way(way_m, curvature[rows])
    return bends


def _of_way(way_m: np.ndarray, curvature_per_m: np.ndarray) -> np.ndarray:
    """Return the bend at each row of a way driven without a gap, NaN if not known.

    Args:
        way_m: How far the car has come at each row, float64 (n,), from 0 on.
        curvature_per_m: The signed curvature driven there, float64 (n,).
    """
    length_m = float(way_m[-1])
    if length_m <= STEP_M:
        return np.full(len(way_m), np.nan)
    places_m = np.arange(0.0, length_m, STEP_M)
    mean = (curvature_per_m[1:] + curvature_per_m[:-1]) / 2
    heading_rad = np.append(0.0, np.cumsum(mean * np.diff(way_m)))
    first_m = np.maximum(0.0, places_m - TURN_OVER_M / 2)
    last_m = np.minimum(length_m, places_m + TURN_OVER_M / 2)
    turned_rad = np.interp(last_m, way_m, heading_rad)
    turned_rad -= np.interp(first_m, way_m, heading_rad)
    sharpness = np.abs(turned_rad) / (last_m - first_m)
    bends = sharpness.copy()
    for ahead in range(1, min(len(places_m), round(HORIZON_M / STEP_M) + 1)):
        counts = counted(sharpness[ahead:], ahead * STEP_M)
        np.maximum(bends[:-ahead], counts, out=bends[:-ahead])
    bends = bends[np.minimum((way_m / STEP_M).astype(int), len(places_m) - 1)]
    left_m = length_m - way_m
    beyond = counted(np.full(len(way_m), MOST_CURVATURE_PER_M), left_m)
    bends[(left_m < HORIZON_M) & (bends < beyond)] = np.nan
    return bends


def counted(curvature_per_m: np.ndarray, distance_m: np.ndarray | float) -> np.ndarray:
    """Return how much a curvature counts, 1/m, that lies a distance ahead."""
    room = 2 * BRAKING_SHARE * distance_m * curvature_per_m
    return curvature_per_m / (1 + room)
