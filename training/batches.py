"""What a run is taught: labels, and batches of cached, re-projected, augmented views.

Every number of a batch follows from (seed, epoch, batch), so a run that was killed and
resumed sees exactly the batches of an unbroken one, whichever thread makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd

from augment import NUM_DRAWS, Augmenter
from common.car import CAMERAS, MPS_PER_MPH
from common.errors import InputError
from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, VIEW_SHAPE
from recordings.reproject import (
    SIDE_CAMERA_M,
    ViewGeometry,
    nearest_camera,
    recovery_steering,
    reproject,
)
from recordings.steering import balance_weights, side_camera_steering, smooth_steering
from training.view_cache import FrameCache

if TYPE_CHECKING:
    from training.settings import Settings

# NVIDIA's labels are the curvature of the path driven; averaging the recorded steering
# over a moment is as near as a log without positions comes to it. The same second, a
# little ahead of the car, serves every figure, whatever a run trains on.
REFERENCE_BEFORE_S = 0.3
REFERENCE_AFTER_S = 0.7

# A person keeps to one side of the road. In a mirrored frame the car stands as far on
# the other side of the middle, and that person would steer back by twice as much: a
# number for each recording, learnt beside the network (fitting.with_habits). Adam moves
# every weight alike; in this unit it finds a metre in 100 steps.
HABIT_UNIT_M = 10.0
# Farther from its path than this, a re-projected frame is not to be trusted.
MOST_OFFSET_M = 2.0
VIEW_GEOMETRY = ViewGeometry(
    VIEW_SHAPE[0], VIEW_SHAPE[1], CROP_TOP_ROWS, CROP_BOTTOM_ROWS
)


@dataclass(frozen=True)
class Labels:
    """Steering of each sample, float32 (n,) in [-1, 1]."""

    raw: np.ndarray
    """As recorded."""
    averaged: np.ndarray
    """Averaged from REFERENCE_BEFORE_S before to REFERENCE_AFTER_S after the frame."""
    trained: np.ndarray
    """What the network is taught."""


def make_labels(samples: pd.DataFrame, before_s: float, after_s: float) -> Labels:
    """Return the steering of each sample in the three forms.

    Args:
        samples: what usable_samples returns.
        before_s: start of the taught average, in seconds before the frame; 0 with
            after_s 0 teaches the recorded value.
        after_s: end of the taught average, in seconds after the frame.
    """
    raw = samples["steering"].to_numpy(np.float32)
    smooth = before_s > 0 or after_s > 0
    return Labels(
        raw=raw,
        averaged=smooth_steering(samples, REFERENCE_BEFORE_S, REFERENCE_AFTER_S),
        trained=smooth_steering(samples, before_s, after_s) if smooth else raw,
    )


def cache_positions(samples: pd.DataFrame, cache: FrameCache) -> np.ndarray:
    """Return where each sample's frames lie in the cache.

    Returns:
        int64 (n, 3), columns as CAMERAS; -1 where a sample has no such camera.
    """
    columns = [
        [cache.position.get(path, -1) for path in samples[camera]] for camera in CAMERAS
    ]
    return np.array(columns, np.int64).T.reshape(len(samples), len(CAMERAS))


@dataclass(frozen=True)
class TrainingSet:
    """Samples to draw batches from: one row each, and their frames in a cache.

    Raises:
        ValueError: the lengths differ, or a sample has no centre frame.
    """

    cache: FrameCache
    positions: np.ndarray
    """int64 (n, 3), from cache_positions."""
    steering: np.ndarray
    """float32 (n,), the steering taught for the centre camera."""
    speed_mps: np.ndarray
    """float32 (n,), speed of the car."""
    recording: np.ndarray
    """str (n,), name of the recording that each is of."""
    weights: np.ndarray
    """float64 (n,), probability of drawing each sample; sums to 1."""
    loss_weights: np.ndarray
    """float32 (n,), factor of each sample's loss, from loss_weights_of."""

    def __post_init__(self) -> None:
        lengths = {len(array) for name, array in vars(self).items() if name != "cache"}
        if len(lengths) != 1:
            raise ValueError(f"lengths differ: {sorted(lengths)}")
        if (self.positions[:, 0] < 0).any():
            raise ValueError("a sample has no centre frame in the cache")

    @property
    def recordings(self) -> list[str]:
        """Names of the recordings, in the order of the habits of a batch."""
        return sorted(set(self.recording))


def loss_weights_of(samples: pd.DataFrame, steering: np.ndarray) -> np.ndarray:
    """Weigh each recording's loss by the inverse spread of its steering.

    A hilly road steers, and errs, several times as much as a wide one; unweighted, its
    noise drowns what the wide one has to teach.

    Args:
        samples: what usable_samples returns.
        steering: float32 (n,), what is taught for each.

    Returns:
        float32 (n,), with mean 1.
    """
    spread = (
        pd.Series(steering).groupby(samples["recording"].to_numpy()).transform("std")
    )
    # One row alone has no spread.
    weight = 1 / spread.fillna(0.0).to_numpy(np.float32).clip(0.01)
    return weight / weight.mean()


def make_training_set(
    samples: pd.DataFrame,
    steering: np.ndarray,
    loss_weights: np.ndarray,
    cache: FrameCache,
    balance: str,
) -> TrainingSet:
    """Bring samples, their labels and their frames together.

    Args:
        samples: rows to train on.
        steering: float32 (n,), what to teach for each of them.
        loss_weights: float32 (n,), factor of each one's loss.
        cache: holds every frame of the samples.
        balance: how steering is balanced, a mode of augment.balance_weights.
    """
    return TrainingSet(
        cache,
        cache_positions(samples, cache),
        steering,
        samples["speed_mph"].to_numpy(np.float32) * MPS_PER_MPH,
        samples["recording"].to_numpy(),
        balance_weights(steering, mode=balance),
        loss_weights,
    )


def with_shares(training_set: TrainingSet, shares: dict[str, float]) -> TrainingSet:
    """Let recordings give fixed fractions of the frames that are drawn.

    Args:
        training_set: the others share the rest as before.
        shares: fraction of each recording, by its name.

    Raises:
        InputError: there is no recording of a name, or no other one.
    """
    weights, rest = training_set.weights.copy(), 1 - sum(shares.values())
    known = training_set.recordings
    unknown = sorted(set(shares) - set(known))
    if unknown or len(shares) == len(known):
        raise InputError(
            f"--share names {', '.join(unknown) or 'every recording'}, expected some "
            f"of {', '.join(known)}"
        )
    others = ~np.isin(training_set.recording, list(shares))
    weights[others] *= rest / weights[others].sum()
    for name, share in shares.items():
        rows = training_set.recording == name
        weights[rows] *= share / weights[rows].sum()
    return replace(training_set, weights=weights)


class Batches(keras.utils.PyDataset):
    """The batches of one epoch, drawn at random with replacement.

    Args:
        training_set: what to draw from.
        settings: of the run.
        epoch: 0-based; with the seed it determines every batch.
        num_batches: batches in the epoch.
        share: the samples of each batch to make, as another of several workers makes
            the others; None for all of them.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        settings: Settings,
        epoch: int,
        num_batches: int,
        share: slice | None = None,
    ) -> None:
        # Two threads, not one: with one Keras hands the batches to tf.data, and then
        # the step keeps to one core in some epochs (docs/experiments.md).
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=8)
        self.training_set = training_set
        self.settings = settings
        self.epoch = epoch
        self._length = num_batches
        self._share = share or slice(0, settings.batch_size)
        self._recording = np.searchsorted(
            training_set.recordings, training_set.recording.astype(str)
        )
        self._num_recordings = len(training_set.recordings)
        # Generator.choice would sum the weights up again for every batch.
        self._cumulative = np.cumsum(training_set.weights)
        self._cumulative /= self._cumulative[-1]
        # Mirroring is done here, for what it tells of the driver's habit.
        augment = replace(settings.augment, flip=0.0)
        if settings.recovery == "reproject":
            # Re-projection shifts the view itself, and knows the steering for it.
            augment = replace(augment, shift_right=0.0)
        self._augmenter = Augmenter(augment)

    def __len__(self) -> int:
        return self._length

    def __getitem__(
        self, batch: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
        """Return views and what mirroring does to habits, steering and loss weights.

        uint8 (n, 66, 200, 3) and float32 (n, recordings), float32 (n, 1), float32 (n,),
        n the size of the share.
        """
        rng, rows = self._draw(batch)
        share = self._share
        if self.settings.recovery == "reproject":
            views, steering = reprojected(
                self.training_set, rows, self.settings, rng, share
            )
        else:
            views, steering = self._from_side_cameras(rows, rng)
        mirrored = (rng.random(len(rows)) < self.settings.augment.flip)[share]
        views[mirrored] = views[mirrored, :, ::-1]
        steering[mirrored] *= -1
        # What the frames before the share undergo is drawn, so that ours is the same.
        rng.random((share.start, NUM_DRAWS))
        views, steering = self._augmenter(views, steering.astype(np.float32), rng)
        rows = rows[share]
        habit = self._habit(rows, mirrored)
        return (views, habit), steering[:, None], self.training_set.loss_weights[rows]

    def _habit(self, rows: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Return what each recording's habit, in HABIT_UNIT_M, adds to the steering."""
        habit = np.zeros((len(rows), self._num_recordings), np.float32)
        per_m = back_per_m(self.training_set.speed_mps[rows], self.settings)
        habit[np.arange(len(rows)), self._recording[rows]] = (
            2 * HABIT_UNIT_M * per_m * mirrored
        )
        return habit

    def rows_of(self, batch: int) -> list[int]:
        """Return the rows of the training set that a batch is made from."""
        return self._draw(batch)[1].tolist()

    def _draw(self, batch: int) -> tuple[np.random.Generator, np.ndarray]:
        rng = np.random.default_rng([self.settings.seed, self.epoch, batch])
        drawn = rng.random(self.settings.batch_size)
        return rng, self._cumulative.searchsorted(drawn, side="right")

    def _from_side_cameras(
        self, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take some frames from the side cameras, with a fixed correction."""
        training_set, settings = self.training_set, self.settings
        from_side = rng.random(len(rows)) < settings.side_camera_share
        cameras = np.where(from_side, rng.integers(1, 3, len(rows)), 0)
        rows, cameras = rows[self._share], cameras[self._share]
        cameras[training_set.positions[rows, cameras] < 0] = 0
        steering = training_set.steering[rows].copy()
        for side in (1, 2):
            drawn = cameras == side
            steering[drawn] = side_camera_steering(
                steering[drawn], CAMERAS[side], settings.side_camera_correction
            )
        views = training_set.cache.gather(training_set.positions[rows, cameras])
        return views, steering


def back_per_m(speed_mps: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the steering taught for each metre to the right of the path, (n,)."""
    if settings.recovery == "shift":
        return np.full(len(speed_mps), -settings.side_camera_correction / SIDE_CAMERA_M)
    zero = np.zeros(len(speed_mps))
    # A small step: farther off the steering is no longer in proportion.
    back = recovery_steering(zero, zero + 0.1, zero, speed_mps, settings.look_ahead_s)
    return back / 0.1


def reprojected(
    training_set: TrainingSet,
    rows: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
    share: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """Move the car beside its path, and steer back as pure pursuit does.

    Args:
        training_set: whose views are moved.
        rows: int (n,), of the training set.
        settings: how far, and how hard to steer back.
        rng: draws where the car stands, for all rows.
        share: the m of the rows that are wanted.

    Returns:
        Views, uint8 (m, 66, 200, 3), and the steering to teach, float64 (m,).
    """
    offset_m = rng.normal(0, settings.offset_std_m, len(rows))[share]
    heading_rad = rng.normal(0, np.radians(settings.heading_std_deg), len(rows))[share]
    rows = rows[share]
    # Without side cameras the picture bears less: see recordings/reproject.py.
    has_sides = (training_set.positions[rows] >= 0).all(axis=1)
    most_m = np.where(has_sides, MOST_OFFSET_M, MOST_OFFSET_M / 2)
    offset_m = np.clip(offset_m, -most_m, most_m)
    cameras, rest_m = nearest_camera(offset_m)
    cameras, rest_m = (
        np.where(has_sides, cameras, 0),
        np.where(has_sides, rest_m, offset_m),
    )
    views = training_set.cache.gather(training_set.positions[rows, cameras])
    steering = recovery_steering(
        training_set.steering[rows],
        offset_m,
        heading_rad,
        training_set.speed_mps[rows],
        settings.look_ahead_s,
    )
    return reproject(views, rest_m, heading_rad, VIEW_GEOMETRY), steering
