"""How straight did the driver of a lake recording drive, and what can a model score?

The replay (evaluation/replay.py) counts a car that keeps a perfect line as off by the
driver's own wandering. The lake's yellow lines, 7.4 m apart, give the driver's place on
the road in every frame; a car that keeps its place on that road, and knows it exactly,
is then driven along the recording. No model that keeps a line can be expected to score
more.

    python benchmarks/experiments/driver_line.py --recording data/lake --part 0.5 1

Prints a table, then one JSON line. --plot FILE.png draws the line that was driven.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy.ndimage import minimum_filter1d

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.car import autonomy_percent, curvature_of
from common.command_line import HelpFormatter
from recordings import reproject
from recordings.images import read_frame
from recordings.steering import smooth_steering

LINES_APART_M = 7.4
# Where on the road lines are looked for: beside the car, and in front of the camera.
CELL_M = 0.05
ASIDE_M = np.arange(-7, 7.01, CELL_M)
AHEAD_M = np.arange(4.6, 10, 0.15)
SLOPES = np.arange(-0.24, 0.25, 0.02)  # of the lines against the car
# The side cameras stand 0.8 m from the centre one.
PLACES_M = {"center": 0.0, "left": -0.8, "right": 0.8}
# Yellow above its surroundings, in grey levels; more than this is no surer.
MOST_YELLOW = 8.0
LEAST_YELLOW = 7.0  # of both lines together, else the place is not known
MOST_ASIDE_M = 2.2  # with a wheel on a line
# The one that keeps its line looks so far ahead.
LOOK_AHEAD_S = 0.6
STEPS_PER_ROW = 4
# A car moves sideways by less than this between two frames.
MOST_STEP_CELLS, STEP_PENALTY = 8, 0.06


def road_map() -> tuple[np.ndarray, np.ndarray]:
    """Return the column and row of the frame where each place on the road is seen.

    Returns:
        Two float32 (AHEAD_M, ASIDE_M).
    """
    aside_m, ahead_m = np.meshgrid(ASIDE_M, AHEAD_M)
    cos, sin = np.cos(reproject.PITCH_RAD), np.sin(reproject.PITCH_RAD)
    down_m = cos * reproject.CAMERA_HEIGHT_M - sin * ahead_m
    depth_m = sin * reproject.CAMERA_HEIGHT_M + cos * ahead_m
    columns = reproject.FOCAL_LENGTH_PX * aside_m / depth_m + reproject.CENTRE_PX[0]
    rows = reproject.FOCAL_LENGTH_PX * down_m / depth_m + reproject.CENTRE_PX[1]
    return columns.astype(np.float32), rows.astype(np.float32)


def line_scores(samples: pd.DataFrame) -> np.ndarray:
    """Return how much speaks for each place of the left line in every frame.

    Returns:
        The score of place ASIDE_M[i] in grey levels, float (n, places).
    """
    # The road bends as the path does, on average.
    bends_per_m = curvature_of(smooth_steering(samples, 0.5, 1.0))
    columns, rows = road_map()
    is_seen = (columns > 1) & (columns < 318) & (rows < 150)
    apart = round(LINES_APART_M / CELL_M)
    scores = np.zeros((len(samples), len(ASIDE_M) - apart))
    row_of = np.indices(columns.shape, np.float32)[0]
    for i in range(len(samples)):
        seen = []
        for camera, place_m in PLACES_M.items():
            frame = read_frame(samples[camera].iloc[i]).astype(np.float32)
            yellow = np.minimum(frame[..., 0], frame[..., 1]) - frame[..., 2]
            road = cv2.remap(yellow, columns, rows, cv2.INTER_LINEAR)
            road = np.clip(road - cv2.blur(road, (21, 1)), -12, 22) * is_seen
            seen.append(np.roll(road, round(place_m / CELL_M), axis=1))
        best = np.max(seen, axis=0).astype(np.float32)
        for slope in SLOPES:
            away_m = slope * AHEAD_M + bends_per_m[i] / 2 * AHEAD_M**2
            column_of = (ASIDE_M - ASIDE_M[0] + away_m[:, None]) / CELL_M
            column_of = column_of.astype(np.float32)
            along = cv2.remap(best, column_of, row_of, cv2.INTER_LINEAR).mean(axis=0)
            along = np.minimum(np.convolve(along, np.ones(3) / 3, "same"), MOST_YELLOW)
            scores[i] = np.maximum(scores[i], along[:-apart] + along[apart:])
    return scores


def likeliest_places(scores: np.ndarray) -> np.ndarray:
    """Return the sequence of places with the best sum that does not jump: Viterbi.

    Args:
        scores: What speaks for each place in every frame, float (n, places).

    Returns:
        The index of the place in every frame, int (n,).
    """
    count, num_places = scores.shape
    total, came_from = scores[0].copy(), np.zeros(scores.shape, int)
    places = np.arange(num_places)
    for i in range(1, count):
        best = np.full(num_places, -np.inf)
        for step in range(-MOST_STEP_CELLS, MOST_STEP_CELLS + 1):
            before = places - step
            inside = (before >= 0) & (before < num_places)
            value = np.full(num_places, -np.inf)
            value[inside] = total[before[inside]] - STEP_PENALTY * step**2
            better = value > best
            best[better], came_from[i, better] = value[better], before[better]
        total = best + scores[i]
    path = [int(total.argmax())]
    for i in range(count - 1, 0, -1):
        path.append(int(came_from[i, path[-1]]))
    return np.array(path[::-1])


def driver_place_m(samples: pd.DataFrame) -> np.ndarray:
    """Return how far right of the road's middle the car stands, NaN where unknown."""
    scores = line_scores(samples)
    places = likeliest_places(scores)
    sure = scores[np.arange(len(places)), places]
    right_m = -(ASIDE_M[places] + LINES_APART_M / 2)
    # The bridge has no lines, and a second from it they are mistaken for others.
    is_known = minimum_filter1d(sure, 21) > LEAST_YELLOW
    return np.where(is_known & (np.abs(right_m) < MOST_ASIDE_M), right_m, np.nan)


def keep_line(
    place_m: np.ndarray, dt_s: np.ndarray, keep_m: float, limit_m: float
) -> tuple[int, float]:
    """Let a car that knows where it is keep one place on the road.

    It steers by pure pursuit of that place, in its linear form: across the road it
    moves as a damped spring. Beyond the limit it is put back onto the recorded path.

    Args:
        place_m: How far right of the middle the recorded car is, float (n,); where that
            is NaN nothing is counted.
        dt_s: The time until the next row, float (n,).
        keep_m: How far right of the middle this one drives.
        limit_m: How far it may be from the recorded car.

    Returns:
        The interventions, and the root mean square of the cross-track error in metres.
    """
    stiffness, is_known = 2 / LOOK_AHEAD_S**2, np.isfinite(place_m)
    place_m = pd.Series(place_m).interpolate(limit_direction="both").to_numpy()
    count, errors_m = 0, []
    own_m, own_mps = place_m[0], 0.0
    for i in range(1, len(place_m)):
        for _ in range(STEPS_PER_ROW):
            step_s = dt_s[i - 1] / STEPS_PER_ROW
            pull = stiffness * (own_m - keep_m) + 2 / LOOK_AHEAD_S * own_mps
            own_mps -= pull * step_s
            own_m += own_mps * step_s
        if not is_known[i]:
            continue
        errors_m.append(own_m - place_m[i])
        if abs(errors_m[-1]) > limit_m:
            count += 1
            own_m = place_m[i]
            own_mps = (place_m[i] - place_m[i - 1]) / max(dt_s[i - 1], 1e-3)
    return count, float(np.sqrt(np.mean(np.square(errors_m))))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, metavar="DIR")
    part = "part of it, as fractions of its rows (default: 0 1)"
    parser.add_argument("--part", type=float, nargs=2, default=(0.0, 1.0), help=part)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="picture to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from evaluation.judging import read_recordings
    from evaluation.replay import LIMITS_M, read_path

    (samples,) = read_recordings([args.recording], args.part)
    path, place_m = read_path(samples), driver_place_m(samples)
    figures: dict[str, Any] = {
        "known_percent": round(100 * float(np.isfinite(place_m).mean()), 1),
        "mean_m": round(float(np.nanmean(place_m)), 3),
        "spread_m": round(float(np.nanstd(place_m)), 3),
    }
    print(
        f"the driver keeps {figures['mean_m']:+.2f} m right of the middle, spread "
        f"{figures['spread_m']:.2f} m; known in {figures['known_percent']} % of frames"
    )
    elapsed_s = float(path.dt_s[np.isfinite(place_m)].sum())
    for keep_m in sorted({0.0, 0.25, figures["mean_m"]}):
        found = {m: keep_line(place_m, path.dt_s, keep_m, m) for m in LIMITS_M}
        cells = []
        for limit_m, (count, rms_m) in found.items():
            autonomy = autonomy_percent(count, elapsed_s)
            figures[f"keeps_{keep_m:g}_m_limit_{limit_m:g}_m"] = {
                "interventions": count,
                "autonomy_percent": round(autonomy, 1),
                "rms_m": round(rms_m, 3),
            }
            cells.append(f"{limit_m:g} m: {autonomy:5.1f} % ({count}), {rms_m:.2f} m")
        print(f"keeps {keep_m:+.2f} m exactly   " + "   ".join(cells))
    if args.plot:
        _plot(place_m, args.plot)
    print(json.dumps(figures))
    return 0


def _plot(place_m: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(place_m, linewidth=1)
    axes.set(xlabel="row", ylabel="m right of the middle")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
