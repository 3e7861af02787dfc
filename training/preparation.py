"""What a run begins with: the samples of its recordings, their views, and a model.

All of it follows from the settings, so whoever has them, and the same recordings,
begins with the same: a run that is resumed, or one of several workers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from common.car import CAMERAS
from common.errors import InputError
from common.text import wrapped
from model import (
    build_model,
    view_geometry,
    view_key,
    view_of,
    with_bend,
    without_bend,
)
from network.files import has_bend, load_model
from recordings.recording import (
    Recording,
    read_recordings,
    usable_samples,
    what_to_say,
)
from recordings.split import part_of, split_by_time
from training.epochs import batches_per_epoch
from training.samples import (
    Labels,
    TrainingSet,
    make_labels,
    make_training_set,
    with_shares,
)
from training.selection import DrivingTest
from training.settings import Settings
from training.view_cache import ViewCache

# A sample takes a third of the time to validate on that it takes to train on, so that
# validating on these is 4 % of an epoch. Of fewer than the least every one counts.
MOST_VALIDATED_OF_EPOCH = 0.12
LEAST_VALIDATED = 256


@dataclass(frozen=True)
class Split:
    """The samples of a run, and which of them train and which validate."""

    recordings: list[Recording]
    samples: pd.DataFrame
    """Their usable rows, what usable_samples returns."""
    labels: Labels
    train: np.ndarray
    """Rows of the samples to train on, int (n,)."""
    validation: np.ndarray
    """Rows of the samples to validate on in the order of time, int (m,)."""


def read_split(settings: Settings) -> Split:
    """Read the recordings and set aside blocks of time for validation.

    Raises:
        InputError: A recording cannot be read, or too little of it is usable.
    """
    recordings = read_recordings(settings.recordings, settings.steering_units)
    for line in what_to_say(recordings):
        print(line, file=sys.stderr)
    samples = part_of(usable_samples(recordings), settings.part).head(settings.limit)
    rng = np.random.default_rng(settings.seed)
    train, validation = split_by_time(
        samples, settings.validation_fraction, rng, whole=settings.shares
    )
    labels = make_labels(samples, settings.label_before_s, settings.label_after_s)
    return Split(recordings, samples, labels, train, np.sort(validation))


def with_known_camera(
    settings: Settings, split: Split, say: Callable[[str], object]
) -> Settings:
    """Let re-projection give way to shifts where the camera's place is not known.

    Args:
        say: Is told so.

    Returns:
        The settings to train by.

    Raises:
        InputError: The weights are to be chosen by a replay, which moves the camera.
    """
    other = split.samples[~split.samples["is_stock_camera"]]
    if other.empty:
        return settings
    names = ", ".join(other["recording"].unique())
    if settings.select == "driving":
        raise InputError(
            f"--select driving: {names} is of another camera than the simulator's, "
            "which cannot be moved beside the path; choose by --select loss"
        )
    if settings.recovery == "shift":
        return settings
    say(
        wrapped(
            f"{names}: another camera than the simulator's; the way back is taught by "
            "shifts, as with --recovery shift"
        )
    )
    return replace(settings, recovery="shift")


def open_cache(split: Split, model: keras.Model) -> ViewCache:
    """Open, or make, the cache of what this model sees of every frame."""
    paths = [path for camera in CAMERAS for path in split.samples[camera] if path]
    view, geometry = view_of(model).predict_on_batch, view_geometry(model)
    return ViewCache(paths, view, view_key(model), geometry=geometry)


def make_sets(
    split: Split, cache: ViewCache, settings: Settings, model: keras.Model
) -> tuple[TrainingSet, TrainingSet]:
    """Return what to draw batches from, and what to validate on.

    Args:
        model: What is to be trained; only one that has a bend is taught it.
    """
    has_labels = has_bend(model)

    def make(rows: np.ndarray, balance: str, hard_factor: float) -> TrainingSet:
        samples, taught = split.samples.iloc[rows], split.labels.trained[rows]
        bend = split.labels.bend[rows] if has_labels else None
        return make_training_set(samples, taught, cache, balance, hard_factor, bend)

    training_set = make(split.train, settings.balance, settings.hard_factor)
    if settings.shares:
        training_set = with_shares(training_set, settings.shares)
    validation = make(split.validation, "off", 1.0)
    num_drawn = batches_per_epoch(training_set, settings) * settings.batch_size
    return training_set, thinned(validation, num_drawn)


def thinned(validation: TrainingSet, num_drawn: int) -> TrainingSet:
    """Return every k-th sample to validate on, where all take long beside an epoch.

    Args:
        validation: All that are held out, in the order of time: neighbours are alike.
        num_drawn: How many samples an epoch trains on.
    """
    most = max(MOST_VALIDATED_OF_EPOCH * num_drawn, LEAST_VALIDATED)
    step = math.ceil(len(validation.steering) / most)
    if step <= 1:
        return validation
    kept = slice(None, None, step)
    arrays = {
        name: value
        for name, value in vars(validation).items()
        if isinstance(value, np.ndarray)
    }
    weights = validation.weights[kept] / validation.weights[kept].sum()
    thin = {name: value[kept] for name, value in arrays.items()} | {"weights": weights}
    return replace(validation, **thin)


def make_driving_test(
    split: Split, cache: ViewCache, settings: Settings
) -> DrivingTest | None:
    """Return what the weights are chosen by, None if it is the validation loss."""
    if settings.select == "loss":
        return None
    return DrivingTest(split.samples.iloc[split.validation], cache)


def starting_model(
    settings: Settings, split: Split, say: Callable[[str], object]
) -> keras.Model:
    """Build the model of a new run, or load the one to fine-tune.

    It has a bend, if one is to be taught and the recordings tell of any.

    Args:
        say: Is told of recordings that tell of none.

    Raises:
        InputError: The model to fine-tune cannot be used, or the bend alone is to be
            taught and none is known.
    """
    keras.utils.set_random_seed(settings.seed)
    if settings.from_model:
        model = load_model(Path(settings.from_model))
    else:
        model = build_model(settings.preset, settings.dropout)
    if not settings.bend_weight:
        return without_bend(model)
    is_known = ~np.isnan(split.labels.bend)
    names = split.samples["recording"].to_numpy()[split.train]
    known = set(names[is_known[split.train]])
    if silent := sorted(set(names) - known):
        taught = "" if known else "; the steering alone is taught"
        say(
            wrapped(
                f"{', '.join(silent)}: no bend is known, for want of speed or of "
                f"rows in a row{taught}"
            )
        )
    if not known and settings.keep_steering:
        raise InputError(
            "--keep-steering: no recording tells of a bend; expected one with the "
            "speed, and some hundred rows in a row"
        )
    if not known:
        # One that is not taught beside what changes would tell of other roads.
        return without_bend(model)
    model = model if has_bend(model) else with_bend(model)
    if settings.keep_steering:
        for layer in model.layers:
            layer.trainable = layer.name.startswith("bend")
    return model
