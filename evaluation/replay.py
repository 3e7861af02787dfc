"""Drive a recording again: what the car would have seen and done with another driver.

This is how NVIDIA judged its network before it drove on the road: the picture is
re-projected to where the simulated car stands, the network's steering moves the car,
and a car that strays too far from the recorded path is put back, which counts as an
intervention.

    path = read_path(samples)
    rollouts = replay(model_driver(path, predict, frames), path, limits_m=(1.0, 2.0))
    rollouts[1.0].autonomy_percent()

People wander in their lane, so a car that keeps its own good line is still "off" by
their wandering: 1 m is NVIDIA's limit; at 2 m the car is still between the lines, and
beyond that the re-projection is not to be trusted.

Source: Bojarski et al. 2016, arXiv 1604.07316, sections 5 to 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from common.bar import Bar
from common.car import CAMERAS, MPS_PER_MPH, curvature_of
from common.errors import InputError
from common.table import short_name
from evaluation.rollout import MOST_PICTURES, Intervention, Rollout
from recordings.images import read_frame
from recordings.reproject import (
    RAW_FRAME,
    ViewGeometry,
    nearest_camera,
    recovery_steering,
    reproject,
)
from recordings.steering import smooth_steering

# NVIDIA's limit, and the one at which the simulator's car still is between the lines.
LIMITS_M = (1.0, 2.0)
MOST_GAP_S = 0.5
LEAST_SPEED_MPS = 1.0
# Many cars drive at once, each its stretch of the recording, so that pictures go
# through the network in batches. Each sets off this long before its stretch, so that it
# comes there as it would have come from afar: a car that has just been put onto the
# path flatters its driver.
STRETCH_S = 15.0
LEAD_S = 8.0
# Two drives of one recording never differ in the batches that they are made of.
BATCH_SIZE = 32
# So many at most are held at once, however long the recording: even batches, 40 MB.
MOST_FRAMES = 8 * BATCH_SIZE

Driver = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Turns rows of the path, cross_track_error_m and heading_error_rad into steering.

All are (n,). The car stands so many metres to the right of the path (negative: left),
and points so many radians to the right of it.
"""
Frames = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Turns rows of the path and each one's index in CAMERAS, (n,) each, into frames."""


@dataclass(frozen=True, eq=False)
class RecordedPath:
    """The path that a recording was driven along; one entry per row.

    Raises:
        ValueError: The lengths differ.
    """

    samples: pd.DataFrame
    """The rows of one recording, as usable_samples returns them."""
    run: np.ndarray
    """Which stretch without a gap the row belongs to, int64 (n,); -1: not driven."""
    dt_s: np.ndarray
    """Time until the next row of the run, float64 (n,); 0 for its last row."""
    speed_mps: np.ndarray
    """The recorded speed, float64 (n,)."""
    steering: np.ndarray
    """The recorded steering in [-1, 1], float64 (n,)."""

    def __post_init__(self) -> None:
        arrays = (self.run, self.dt_s, self.speed_mps, self.steering)
        lengths = {len(self.samples), *map(len, arrays)}
        if len(lengths) != 1:
            raise ValueError(f"lengths differ: {sorted(lengths)}")

    def check_driven(self) -> None:
        """See that there is something to drive: who does nothing makes no mistake.

        Raises:
            InputError: The car stands in every row, or the log has no speed.
        """
        if not self.dt_s.any():
            name = ", ".join(self.samples["recording"].unique())
            raise InputError(
                f"{name or 'no rows'}: slower than {LEAST_SPEED_MPS:g} m/s all along; "
                "it cannot be replayed, which drives as fast as the log says"
            )

    @property
    def has_sides(self) -> bool:
        """Whether the side cameras' frames are there."""
        return all((self.samples[camera] != "").all() for camera in CAMERAS)


def read_path(samples: pd.DataFrame) -> RecordedPath:
    """Return the path of a recording.

    A gap of more than half a second begins a new run, and so does a stretch below
    1 m/s, where a car is not steered.

    Args:
        samples: The rows of one recording, as usable_samples returns them.

    Raises:
        InputError: The rows have no time stamps, or are of another camera.
    """
    if not samples.get("is_stock_camera", pd.Series(dtype=bool)).all():
        name, size = samples["recording"].iloc[0], samples["frame_size"].iloc[0]
        raise InputError(
            f"{name}: frames of {size or 'unknown size'}, of another camera than the "
            "simulator's; a replay moves the camera, and needs to know where it "
            "stands: drive a track instead (--track lake)"
        )
    time_s = samples["time_s"].to_numpy(float)
    if len(time_s) and np.isnan(time_s).any():
        name = samples["recording"].iloc[0]
        raise InputError(
            f"{name}: no time in the names of the images, expected names as "
            "center_2026_01_31_12_59_59_000.jpg; it cannot be replayed"
        )
    session = samples["session"].to_numpy()
    speed_mps = samples["speed_mph"].to_numpy(float) * MPS_PER_MPH
    moves = speed_mps >= LEAST_SPEED_MPS
    step_s = np.diff(time_s, append=np.inf)
    goes_on = (step_s > 0) & (step_s <= MOST_GAP_S) & moves & np.roll(moves, -1)
    goes_on &= session == np.roll(session, -1)
    goes_on[-1:] = False
    run = np.where(moves, np.cumsum(~np.roll(goes_on, 1)), -1)
    dt_s = np.where(goes_on, step_s, 0.0)
    return RecordedPath(
        samples, run, dt_s, speed_mps, samples["steering"].to_numpy(float)
    )


# --- Drivers --------------------------------------------------------------------------


def zero_driver(rows: np.ndarray, *_: np.ndarray) -> np.ndarray:
    """Steer straight ahead always: the lower bound."""
    return np.zeros(len(rows))


def oracle_driver(path: RecordedPath, before_s: float, after_s: float) -> Driver:
    """Return a driver who knows where the car stands: the upper bound.

    Args:
        path: The path to be driven.
        before_s: How long before a row the average of the recorded steering begins.
        after_s: How long after the row it ends; a second in all on a wide road, half of
            it where bends have a radius of 10 m.
    """
    known = smooth_steering(path.samples, before_s, after_s)

    return lambda rows, cross_track_error_m, heading_error_rad: recovery_steering(
        known[rows], cross_track_error_m, heading_error_rad, path.speed_mps[rows]
    )


def model_driver(
    path: RecordedPath,
    predict: Callable[[np.ndarray], np.ndarray],
    frames: Frames,
    geometry: ViewGeometry = RAW_FRAME,
) -> Driver:
    """Return a driver who sees what a camera would see from where the car stands.

    Args:
        path: The path to be driven.
        predict: Turns frames, uint8 (n, h, w, 3), into steering, (n,) or (n, 1).
        frames: Gives the recorded frames.
        geometry: How those frames were cut out of the camera's.
    """

    def drive(
        rows: np.ndarray, cross_track_error_m: np.ndarray, heading_error_rad: np.ndarray
    ) -> np.ndarray:
        steering = np.empty(len(rows))
        for i in range(0, len(rows), MOST_FRAMES):
            part = slice(i, i + MOST_FRAMES)
            errors = (cross_track_error_m[part], heading_error_rad[part])
            seen = _frames_seen(path, frames, rows[part], *errors, geometry)
            steering[part] = np.reshape(predict(seen), len(seen))
        return np.clip(steering, -1, 1)

    return drive


def _frames_seen(
    path: RecordedPath,
    frames: Frames,
    rows: np.ndarray,
    cross_track_error_m: np.ndarray,
    heading_error_rad: np.ndarray,
    geometry: ViewGeometry = RAW_FRAME,
) -> np.ndarray:
    """Return the nearest cameras' frames, re-projected to where the car stands."""
    if path.has_sides:
        camera, rest_m = nearest_camera(cross_track_error_m)
    else:
        camera, rest_m = np.zeros(len(rows), int), cross_track_error_m
    return reproject(frames(rows, camera), rest_m, heading_error_rad, geometry)


def frames_from_disk(path: RecordedPath) -> Frames:
    """Return a function that reads frames as recorded, uint8 RGB (n, 160, 320, 3)."""
    image_paths = path.samples[list(CAMERAS)].to_numpy()

    def read(rows: np.ndarray, camera: np.ndarray) -> np.ndarray:
        return np.stack([read_frame(image) for image in image_paths[rows, camera]])

    return read


def in_batches(
    predict: Callable[[np.ndarray], np.ndarray],
) -> Callable[[np.ndarray], np.ndarray]:
    """Return `predict` for any number of frames, in batches of one size.

    Another size would be compiled anew, and the last bits of a prediction may depend on
    it. Of models that have a bend, the steering alone is returned, (n,).
    """

    def predict_all(frames: np.ndarray) -> np.ndarray:
        fill = np.zeros((-len(frames) % BATCH_SIZE, *frames.shape[1:]), frames.dtype)
        filled = np.concatenate([frames, fill])
        batches = np.split(filled, len(filled) // BATCH_SIZE)
        answers = np.concatenate([predict(batch) for batch in batches])
        return answers.reshape(len(filled), -1)[: len(frames), 0]

    return predict_all


# --- The replay -----------------------------------------------------------------------


@dataclass(frozen=True)
class Stretch:
    """A part of a run that one car drives.

    Raises:
        ValueError: The rows are not in order.
    """

    first: int
    """The row at which the car sets off, on the path."""
    scored: int
    """The row from which on its drive counts."""
    end: int
    """The row after its last one."""

    def __post_init__(self) -> None:
        if not self.first <= self.scored < self.end:
            raise ValueError(f"rows {self.first}, {self.scored}, {self.end}")


def cut(path: RecordedPath, stretch_s: float = STRETCH_S) -> list[Stretch]:
    """Cut a path into stretches; together they count every driven row once.

    Each counts stretch_s at least; infinite leaves the runs whole.
    """
    stretches = []
    for run in np.unique(path.run[path.run >= 0]):
        rows = np.flatnonzero(path.run == run)
        first, end = int(rows[0]), int(rows[-1])  # the last row has no next one
        if end == first:
            continue
        time_s = np.cumsum(np.append(0.0, path.dt_s[first:end]))
        count = max(1, int(time_s[-1] / stretch_s))
        marks = np.linspace(0, time_s[-1], count + 1)
        bounds = first + np.searchsorted(time_s, marks - 1e-9)
        for scored, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            lead = np.searchsorted(time_s, time_s[scored - first] - LEAD_S)
            stretches.append(Stretch(first + int(lead), scored, last))
    return stretches


def replay(
    drive: Driver,
    path: RecordedPath,
    limits_m: Sequence[float] = LIMITS_M,
    *,
    driver: str = "",
    stretch_s: float = STRETCH_S,
) -> dict[float, Rollout]:
    """Let a driver drive a recorded path.

    Args:
        drive: Steers the cars.
        path: The path to be driven.
        limits_m: How far from the path a car is put back; each limit is a drive.
        driver: The driver's name, for the rollouts.
        stretch_s: How long each of the cars drives; infinite is one car a run.

    Returns:
        The rollout over all driven rows, in their order, by its limit.
    """
    stretches = cut(path, stretch_s)
    num_rows = len(path.samples)
    curvature = curvature_of(path.steering)
    shape = (len(limits_m), num_rows)
    error_log, heading_log, steering_log = (np.full(shape, np.nan) for _ in range(3))
    is_off = np.zeros(shape, bool)
    cars = [
        (i, each.first, each.scored, each.end)
        for i in range(len(limits_m))
        for each in stretches
    ]
    limit_index, row, scored, end = np.array(cars, int).reshape(-1, 4).T.copy()
    error_m, heading_rad = np.zeros(len(cars)), np.zeros(len(cars))
    limit_m = np.asarray(limits_m, float)
    with Bar(_title(driver, path), float((end - row).sum()), "frames") as bar:
        while (row < end).any():
            on = np.flatnonzero(row < end)
            at, which = row[on], limit_index[on]
            steering = np.asarray(drive(at, error_m[on], heading_rad[on]), float)
            counts = at >= scored[on]
            place = (which[counts], at[counts])
            error_log[place] = error_m[on][counts]
            heading_log[place] = heading_rad[on][counts]
            steering_log[place] = steering[counts]
            step_m = path.speed_mps[at] * path.dt_s[at]
            error_m[on] += step_m * np.sin(heading_rad[on])
            heading_rad[on] += step_m * (curvature_of(steering) - curvature[at])
            off = np.abs(error_m[on]) > limit_m[which]
            is_off[place] = off[counts]
            error_m[on[off]] = heading_rad[on[off]] = 0.0
            row[on] += 1
            bar.add(len(on))
    logs = zip(error_log, heading_log, steering_log, is_off, strict=True)
    return {
        limit: _rollout(path, driver, limit, *log)
        for limit, log in zip(limits_m, logs, strict=True)
    }


def _title(driver: str, path: RecordedPath) -> str:
    """Return what the bar of a replay says."""
    name = path.samples["recording"].iloc[0] if len(path.samples) else ""
    return f"replaying {name}: {short_name(driver)}" if driver else f"replaying {name}"


def with_pictures(rollout: Rollout, path: RecordedPath, frames: Frames) -> Rollout:
    """Add what the network last saw to the first interventions of a replay."""
    rows = np.flatnonzero(path.dt_s)
    shown = []
    for each in rollout.interventions[:MOST_PICTURES]:
        place = slice(each.index, each.index + 1)
        errors = (rollout.cross_track_error_m[place], rollout.heading_error_rad[place])
        (seen,) = _frames_seen(path, frames, rows[place], *errors)
        shown.append(replace(each, picture=seen))
    unshown = rollout.interventions[MOST_PICTURES:]
    return replace(rollout, interventions=(*shown, *unshown))


def _rollout(
    path: RecordedPath,
    driver: str,
    limit_m: float,
    cross_track_error_m: np.ndarray,
    heading_error_rad: np.ndarray,
    steering: np.ndarray,
    is_off: np.ndarray,
) -> Rollout:
    """Return what was logged of the rows that were driven."""
    rows = np.flatnonzero(~np.isnan(steering))
    dt_s, speed_mps = path.dt_s[rows], path.speed_mps[rows]
    step_m = speed_mps * dt_s
    # + is right, so the heading, which counts to the left, goes against the curvature.
    turned_rad = np.cumsum(step_m * curvature_of(path.steering[rows]))
    heading_rad = np.pi / 2 - np.append(0.0, turned_rad[:-1])[: len(rows)]
    x_m = np.append(0.0, np.cumsum(step_m * np.cos(heading_rad)))[: len(rows)]
    y_m = np.append(0.0, np.cumsum(step_m * np.sin(heading_rad)))[: len(rows)]
    error_m = cross_track_error_m[rows]
    name = path.samples["recording"].iloc[0] if len(path.samples) else ""
    return Rollout(
        driver=driver,
        road=str(name),
        time_s=np.append(0.0, np.cumsum(dt_s))[: len(rows)],
        distance_m=np.append(0.0, np.cumsum(step_m))[: len(rows)],
        x_m=x_m + error_m * np.sin(heading_rad),
        y_m=y_m - error_m * np.cos(heading_rad),
        cross_track_error_m=error_m,
        heading_error_rad=heading_error_rad[rows],
        steering=steering[rows],
        reference_steering=path.steering[rows],
        speed_mps=speed_mps,
        interventions=tuple(
            Intervention(int(i), f"{limit_m:g} m off")
            for i in np.flatnonzero(is_off[rows])
        ),
        dt_s=dt_s,
    )
