"""Let drivers drive recordings and tracks, and put their figures side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from common.bar import Bar
from evaluation.closed_loop import Job, drive_all
from evaluation.drivers import (
    MIDDLE,
    ZERO,
    is_model,
    middle_offset_m,
    oracle_seconds,
)
from evaluation.replay import (
    Driver,
    RecordedPath,
    frames_from_disk,
    in_batches,
    model_driver,
    oracle_driver,
    read_path,
    replay,
    with_pictures,
    zero_driver,
)
from evaluation.road_measure import middle_driver, place_of, road_figures
from evaluation.rollout import Rollout
from network.files import load_model
from network.saliency import Saliency, make_saliency
from recordings import recording
from recordings.road_place import RoadPlace, find_place
from recordings.split import part_of
from recordings.steering import smooth_steering

if TYPE_CHECKING:
    import keras  # For its types only: baselines are judged without Keras.

Predict = Callable[[np.ndarray], np.ndarray]
"""Frames, uint8 (n, 160, 320, 3), to steering in float (n,)."""
Figures = dict[str, dict[str, dict[str, Any]]]
"""By the name of a recording or track, by driver, by name."""

# This share of the time that an oracle averages over lies before the row.
ORACLE_BEFORE = 0.3


def load_models(drivers: Iterable[str]) -> dict[str, keras.Model]:
    """Return the models among the drivers by their paths."""
    return {driver: load_model(driver) for driver in drivers if is_model(driver)}


def load_saliency(drivers: Iterable[str]) -> dict[str, Saliency]:
    """Return what makes heat maps of the models among the drivers, by their paths."""
    return {path: make_saliency(each) for path, each in load_models(drivers).items()}


def batch_predictor(model: keras.Model) -> Predict:
    """Return a model's prediction for any number of frames, made in even batches."""
    return in_batches(model.predict_on_batch)


def load_batch_predictor(model_path: Path | str) -> Predict:
    """Return the batch_predictor of a model's file.

    Raises:
        InputError: The model cannot be loaded.
    """
    return batch_predictor(load_model(model_path))


def read_recordings(
    folders: Sequence[Path],
    part: tuple[float, float] = (0.0, 1.0),
    units: Mapping[str, str] | None = None,
) -> list[pd.DataFrame]:
    """Return the usable samples of each recording between two fractions of its rows.

    Args:
        units: What units_by_path returns; None: no recording is given a unit.

    Raises:
        InputError: A recording cannot be read, or has no row that can be used.
    """
    recordings = recording.read_recordings(folders, units)
    for line in recording.what_to_say(recordings):
        print(line, file=sys.stderr)
    for each in recordings:
        recording.usable_rows(each)
    samples = recording.usable_samples(recordings)
    return [
        rows.reset_index(drop=True)
        for _, rows in part_of(samples, part).groupby("recording", sort=False)
    ]


# --- Recordings -----------------------------------------------------------------------


def judge_recordings(
    drivers: Sequence[str],
    models: Mapping[str, keras.Model],
    recordings: Sequence[pd.DataFrame],
) -> tuple[Figures, list[Rollout]]:
    """Let every driver drive every recording; return the figures, and every drive.

    Args:
        drivers: Paths of models, and names of baselines.
        models: The models by their paths.
        recordings: What read_recordings returns.

    Raises:
        InputError: A recording has no times, or the car stands all along.
    """
    predictors = {path: batch_predictor(model) for path, model in models.items()}
    figures: Figures = {}
    rollouts = []
    with Bar("judging", len(recordings) * len(drivers), "drives") as bar:
        for samples in recordings:
            by_driver = figures.setdefault(str(samples["recording"].iloc[0]), {})
            path = read_path(samples)
            path.check_driven()
            road = find_place(samples)
            for driver in bar.over(drivers):
                predict = predictors.get(driver)
                by_driver[driver], drives = judge_recording(driver, predict, path, road)
                rollouts += drives
    return figures, rollouts


def judge_recording(
    driver: str, predict: Predict | None, path: RecordedPath, road: RoadPlace
) -> tuple[dict[str, Any], list[Rollout]]:
    """Let one driver drive one recording.

    Args:
        driver: The path of a model, or the name of a baseline.
        predict: The model's batch_predictor; None for a baseline.
        path: The recording's path.
        road: Where on the road that is.

    Returns:
        The measures of the rollout at each limit, the place on the road at the widest
        of them, and the RMSE of the steering; and the rollouts.

    Raises:
        InputError: The driver is the middle's, and the place is known nowhere.
    """
    frames = frames_from_disk(path)
    if predict is None:
        drive = baseline_driver(driver, path, road)
    else:
        drive = model_driver(path, predict, frames)
    by_limit = {
        limit_m: replace(rollout, place_m=place_of(rollout, path, road))
        for limit_m, rollout in replay(drive, path, driver=driver).items()
    }
    figures: dict[str, Any] = {
        f"at_{limit_m:g}_m": rollout.measures() for limit_m, rollout in by_limit.items()
    }
    # A car that is seldom put back shows best where it drives by itself.
    figures["road"] = road_figures(by_limit[max(by_limit)], road.half_width_m)
    figures["steering_rmse"] = steering_rmse(drive, path.samples)
    return figures, [with_pictures(each, path, frames) for each in by_limit.values()]


def baseline_driver(driver: str, path: RecordedPath, road: RoadPlace) -> Driver:
    """Return the baseline of a name, for a path and where on the road that is.

    Raises:
        InputError: The number in the name is out of its range, or the road's middle
            is known nowhere.
    """
    if driver == ZERO:
        return zero_driver
    if driver.startswith(MIDDLE):
        return middle_driver(path, road, middle_offset_m(driver))
    seconds = oracle_seconds(driver)
    before_s = ORACLE_BEFORE * seconds
    return oracle_driver(path, before_s, seconds - before_s)


def steering_rmse(drive: Driver, samples: pd.DataFrame) -> dict[str, float]:
    """Return how far a driver's steering is from the recorded, on the path itself."""
    # In parts, so that not all frames are held at once.
    parts = np.split(np.arange(len(samples)), range(256, len(samples), 256))
    with Bar("steering on the path itself", len(samples), "frames") as bar:
        steering = np.empty(len(samples))
        for rows in parts:
            no_error = np.zeros(len(rows))
            steering[rows] = drive(rows, no_error, no_error)
            bar.add(len(rows))
    labels = {
        "raw": samples["steering"].to_numpy(float),
        "averaged_1_s": smooth_steering(samples, ORACLE_BEFORE, 1 - ORACLE_BEFORE),
    }
    return {
        name: round(float(np.sqrt(np.mean((steering - each) ** 2))), 4)
        for name, each in labels.items()
    }


# --- Tracks ---------------------------------------------------------------------------


def judge_tracks(
    jobs: Sequence[Job], num_workers: int
) -> tuple[Figures, list[Rollout]]:
    """Do every drive in the simulator; return the figures, and every drive.

    Raises:
        InputError: A model cannot be loaded.
    """
    figures: Figures = {}
    rollouts = []
    for job, result in zip(jobs, drive_all(jobs, num_workers), strict=True):
        rollouts.append(result.rollout)
        figures.setdefault(result.rollout.road, {})[job.driver] = result.figures()
    return figures, rollouts
