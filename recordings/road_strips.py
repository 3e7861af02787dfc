"""Lay the road out straight along the path that a recording was driven.

For each row of the log: a strip of pixels across the road where the car stands then, as
it was seen a moment before from three distances. Under each other, the strips show the
road as a straight band, with the car in the middle of every strip.

The road is taken for a plane. Where it is none, on crests and in dips, the views from
different distances do not agree, and whoever uses them must look at that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from common.bar import Bar
from common.car import MPS_PER_MPH, curvature_of
from recordings.images import read_frame
from recordings.reproject import (
    CAMERA_HEIGHT_M,
    CENTRE_PX,
    FOCAL_LENGTH_PX,
    PITCH_RAD,
)

CELL_M = 0.1
NUM_CELLS = 171
# Places across the path, + is right of the car.
ASIDE_M = (np.arange(NUM_CELLS) - NUM_CELLS // 2) * CELL_M
# How far before the camera a place lies when it is looked at. Nearer, the road's edges
# are out of view; farther, neither the path nor the plane is known well enough.
VIEWS_AHEAD_M = (4.0, 5.0, 6.2)
MOST_OFF_M = 1.2  # from such a distance; rows are up to 1.4 m apart
# The cameras' yaw and roll and the side cameras' places: least squares on real frames.
CAMERA_YAW_RAD, CAMERA_ROLL_RAD = math.radians(0.72), math.radians(0.8)
CAMERA_PLACES_M = {"left": -0.806, "center": 0.0, "right": 0.825}
REAR_TO_ORIGIN_M = 1.6
REAR_TO_CAMERA_M = 2.6
# The bonnet is below, the horizon above.
ROWS_IN_VIEW = (64, 142)
MOST_GAP_S, LEAST_SPEED_MPS = 0.5, 1.0
# How the car follows the logged steering: with these values the near and the far view
# of a place agree best, on four people's recordings and in the embedded simulator.
STEERING_LAG_S = 0.1
UNDERSTEER_S2_PER_M2 = 0.001


@dataclass(frozen=True, eq=False)
class Odometry:
    """The rear axle's path by steering and speed; one entry a row, float64 (n,)."""

    run: np.ndarray
    """Which stretch without a gap or a halt the row belongs to, int64."""
    step_m: np.ndarray
    """The way to the next row; 0 for the last one of a run."""
    turn_rad: np.ndarray
    """How far the car turns to the right on that way."""
    heading_rad: np.ndarray
    """The direction of the nose, + is to the right of the first row's."""
    x_m: np.ndarray
    """The place to the right of the first row's."""
    y_m: np.ndarray
    """The place ahead of the first row's."""
    way_m: np.ndarray
    """The way since the first row."""


def odometry_of(samples: pd.DataFrame) -> Odometry:
    """Return the path of a recording's rows, which have times."""
    time_s = samples["time_s"].to_numpy(float)
    speed_mps = samples["speed_mph"].to_numpy(float) * MPS_PER_MPH
    step_s = np.diff(time_s, append=np.inf)
    moves = (speed_mps >= LEAST_SPEED_MPS) & (np.roll(speed_mps, -1) >= LEAST_SPEED_MPS)
    goes_on = (step_s > 0) & (step_s <= MOST_GAP_S) & moves
    run = np.cumsum(np.append(0, ~goes_on[:-1]))[: len(samples)]
    mean_mps = (speed_mps + np.roll(speed_mps, -1)) / 2
    step_m = np.where(goes_on, step_s, 0.0) * mean_mps
    turn_rad = step_m * curvature_of(_wheels(samples, step_s, speed_mps))
    heading_rad = _summed(turn_rad)
    middle_rad = heading_rad + turn_rad / 2
    x_m, y_m = (
        _summed(step_m * np.sin(middle_rad)),
        _summed(step_m * np.cos(middle_rad)),
    )
    return Odometry(run, step_m, turn_rad, heading_rad, x_m, y_m, _summed(step_m))


def _summed(steps: np.ndarray) -> np.ndarray:
    """Return the sum of all steps before each, of the same shape."""
    return np.append(0.0, np.cumsum(steps))[: len(steps)]


def _wheels(
    samples: pd.DataFrame, step_s: np.ndarray, speed_mps: np.ndarray
) -> np.ndarray:
    """Return the steering that the car follows, which lags behind the logged one."""
    follow = 1 - np.exp(-np.append(0.0, step_s[:-1]) / STEERING_LAG_S)
    follows = samples["steering"].to_numpy(float).copy()
    for i in range(1, len(follows)):
        follows[i] = follows[i - 1] + follow[i] * (follows[i] - follows[i - 1])
    return follows / (1 + UNDERSTEER_S2_PER_M2 * speed_mps**2)


@dataclass(frozen=True, eq=False)
class RoadStrips:
    """What lies across the path where the car stands in each row."""

    rgb: np.ndarray
    """The pixels at ASIDE_M from each of VIEWS_AHEAD_M, uint8 (n, views, cells, 3)."""
    seen: np.ndarray
    """Which of them a camera has seen, bool (n, views, cells)."""
    path: Odometry
    """The path of the rows."""


def read_strips(samples: pd.DataFrame, cameras: tuple[str, ...] = ()) -> RoadStrips:
    """Read a recording's frames and return the strips.

    Args:
        samples: The rows of one recording, as usable_samples returns them, with times.
        cameras: Which cameras to look through; none given: the two side cameras, each
            at its own side, or the centre one where there are no others.
    """
    if not cameras:
        sides = ("left", "right")
        has_sides = all((samples[side] != "").all() for side in sides)
        cameras = sides if has_sides else ("center",)
    path, count = odometry_of(samples), len(samples)
    shape = (count, len(VIEWS_AHEAD_M), NUM_CELLS)
    rgb, seen = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    image_paths = {camera: samples[camera].to_numpy() for camera in cameras}
    looks = _looks(path)
    with Bar("laying out the road", len(looks), "frames") as bar:
        for frame_row, rows, views in bar.over(looks):
            aside_m, ahead_m = _from_camera(path, frame_row, rows)
            for camera in cameras:
                columns, lines = _pixels(aside_m - CAMERA_PLACES_M[camera], ahead_m)
                is_seen = (columns > 1) & (columns < 318) & (ahead_m > 2)
                is_seen &= (lines > ROWS_IN_VIEW[0]) & (lines < ROWS_IN_VIEW[1])
                if len(cameras) == 2:
                    is_seen &= (aside_m < 0) == (camera == cameras[0])
                frame = read_frame(image_paths[camera][frame_row])
                pixels = cv2.remap(frame, columns, lines, cv2.INTER_LINEAR)
                # A column of one pixel loses no axis.
                pixels = pixels.reshape(*columns.shape, 3)
                before = rgb[rows, views]
                rgb[rows, views] = np.where(is_seen[..., None], pixels, before)
                seen[rows, views] |= is_seen
    return RoadStrips(rgb, seen, path)


def _looks(path: Odometry) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return which frame shows which rows' places, and from which of VIEWS_AHEAD_M."""
    rows = np.arange(len(path.run))
    found = []
    for view, ahead_m in enumerate(VIEWS_AHEAD_M):
        wanted_m = path.way_m + REAR_TO_ORIGIN_M - REAR_TO_CAMERA_M - ahead_m
        after = np.clip(np.searchsorted(path.way_m, wanted_m), 0, max(len(rows) - 1, 0))
        before = np.maximum(after - 1, 0)
        after_m, before_m = (np.abs(path.way_m[i] - wanted_m) for i in (after, before))
        frame = np.where(before_m < after_m, before, after)
        is_near = np.minimum(before_m, after_m) < MOST_OFF_M
        is_near &= path.run[frame] == path.run
        found.append(np.stack([frame, rows, np.full(len(rows), view)])[:, is_near])
    looks = np.concatenate(found, axis=1)
    looks = looks[:, np.argsort(looks[0], kind="stable")]
    frames, starts = np.unique(looks[0], return_index=True)
    parts = np.split(looks[1:], starts[1:], axis=1)
    return [(int(frame), *part) for frame, part in zip(frames, parts, strict=False)]


def _from_camera(
    path: Odometry, frame_row: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far right and ahead of a row's centre camera the rows' strips lie.

    Each is float64 (rows, cells), in metres.
    """
    heading_rad = path.heading_rad[rows, None]
    sin, cos = np.sin(heading_rad), np.cos(heading_rad)
    x_m = path.x_m[rows, None] + REAR_TO_ORIGIN_M * sin + ASIDE_M * cos
    y_m = path.y_m[rows, None] + REAR_TO_ORIGIN_M * cos - ASIDE_M * sin
    sin, cos = np.sin(path.heading_rad[frame_row]), np.cos(path.heading_rad[frame_row])
    x_m -= path.x_m[frame_row] + REAR_TO_CAMERA_M * sin
    y_m -= path.y_m[frame_row] + REAR_TO_CAMERA_M * cos
    return x_m * cos - y_m * sin, x_m * sin + y_m * cos


def _pixels(aside_m: np.ndarray, ahead_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and rows at which a camera sees places on the road.

    Args:
        aside_m: How far right of that camera they are, float (rows, cells).
        ahead_m: How far ahead of it they are, of the same shape.

    Returns:
        Two float32 arrays of that shape.
    """
    yaw, pitch, roll = (
        np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        for angle in (CAMERA_YAW_RAD, PITCH_RAD, CAMERA_ROLL_RAD)
    )
    right_m, depth_m = np.tensordot(yaw, [aside_m, ahead_m], 1)
    height_m = np.full_like(right_m, CAMERA_HEIGHT_M)
    down_m, depth_m = np.tensordot(pitch, [height_m, depth_m], 1)
    right_m, down_m = np.tensordot(roll, [right_m, down_m], 1)
    scale = FOCAL_LENGTH_PX / np.maximum(depth_m, 0.5)
    columns, rows = CENTRE_PX[0] + scale * right_m, CENTRE_PX[1] + scale * down_m
    return columns.astype(np.float32), rows.astype(np.float32)
