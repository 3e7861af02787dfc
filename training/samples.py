"""What a run is taught: samples with their labels, and how often each is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from common.car import CAMERAS, MPS_PER_MPH
from common.errors import InputError
from recordings.bends import bends_ahead
from recordings.steering import balance_weights, smooth_steering
from training.view_cache import ViewCache

# NVIDIA's labels are the curvature of the path driven; averaging the recorded steering
# over a moment is as near as a log without positions comes to it. The same second, a
# little ahead of the car, serves every figure, whatever a run trains on.
REFERENCE_BEFORE_S = 0.3
REFERENCE_AFTER_S = 0.7


@dataclass(frozen=True)
class Labels:
    """Steering of each sample, float32 (n,) in [-1, 1], and the bend that comes."""

    raw: np.ndarray
    """The steering as recorded."""
    averaged: np.ndarray
    """The mean, from REFERENCE_BEFORE_S before the frame to REFERENCE_AFTER_S after."""
    trained: np.ndarray
    """What the network is taught."""
    bend: np.ndarray
    """The bend, float32 (n,) in 1/m, 0 or more; NaN where it is not known."""


def make_labels(samples: pd.DataFrame, before_s: float, after_s: float) -> Labels:
    """Return the steering of each sample in the three forms, and the bend.

    Args:
        samples: What usable_samples returns.
        before_s: Start of the taught average, in seconds before the frame. 0 with
            after_s 0 teaches the recorded value.
        after_s: End of the taught average, in seconds after the frame.
    """
    raw = samples["steering"].to_numpy(np.float32)
    smooth = before_s > 0 or after_s > 0
    return Labels(
        raw=raw,
        averaged=smooth_steering(samples, REFERENCE_BEFORE_S, REFERENCE_AFTER_S),
        trained=smooth_steering(samples, before_s, after_s) if smooth else raw,
        bend=bends_ahead(samples),
    )


def cache_positions(samples: pd.DataFrame, cache: ViewCache) -> np.ndarray:
    """Return where each sample's frames lie in the cache, int64 (n, 3).

    The columns are as CAMERAS; -1 where a sample has no such camera.
    """
    columns = [
        [cache.position.get(path, -1) for path in samples[camera]] for camera in CAMERAS
    ]
    return np.array(columns, np.int64).T.reshape(len(samples), len(CAMERAS))


@dataclass(frozen=True)
class TrainingSet:
    """Samples to draw batches from: one row each, and their frames in a cache.

    Raises:
        ValueError: The lengths differ, or a sample has no centre frame.
    """

    cache: ViewCache
    positions: np.ndarray
    """int64 (n, 3), what cache_positions returns."""
    steering: np.ndarray
    """float32 (n,), the steering taught for the centre camera."""
    speed_mps: np.ndarray
    """float32 (n,), speed of the car."""
    recording: np.ndarray
    """str (n,), name of the recording that each sample comes from."""
    weights: np.ndarray
    """float64 (n,), probability of drawing each sample; sums to 1."""
    bend: np.ndarray | None = None
    """float32 (n,), the bend taught in 1/m, NaN where it is not known; None: the
    steering alone is taught."""

    def __post_init__(self) -> None:
        arrays = [each for each in vars(self).values() if isinstance(each, np.ndarray)]
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1:
            raise ValueError(f"lengths differ: {sorted(lengths)}")
        if (self.positions[:, 0] < 0).any():
            raise ValueError("a sample has no centre frame in the cache")

    @property
    def recordings(self) -> list[str]:
        """Names of the recordings, in the order of the habits of a batch."""
        return sorted(set(self.recording))

    def taught(self, rows: np.ndarray, steering: np.ndarray) -> np.ndarray:
        """Return what a network is to answer, float32 (n, 1) or, with bend, (n, 2).

        Wherever beside its path a frame shows the road from, and mirrored too, the bend
        is the road's.

        Args:
            rows: The rows of this set that the frames are of, int (n,).
            steering: What is right where the frames are seen from, float (n,).
        """
        columns = [steering] if self.bend is None else [steering, self.bend[rows]]
        return np.stack(columns, axis=1).astype(np.float32)


def make_training_set(
    samples: pd.DataFrame,
    steering: np.ndarray,
    cache: ViewCache,
    balance: str,
    hard_factor: float = 1.0,
    bend: np.ndarray | None = None,
) -> TrainingSet:
    """Bring samples, their labels and their frames together.

    Args:
        steering: What to teach for each sample, float32 (n,).
        cache: What holds every frame of the samples.
        balance: How steering is balanced, a mode of balance_weights.
        hard_factor: How many times as often a sample is drawn that is marked hard.
        bend: The bend to teach for each, as TrainingSet has it.
    """
    weights = balance_weights(steering, mode=balance)
    is_hard = samples["is_hard"].to_numpy(bool)
    # Without marks the weights are, to the bit, what they are without this.
    if is_hard.any():
        weights = weights * np.where(is_hard, hard_factor, 1.0)
        weights /= weights.sum()
    return TrainingSet(
        cache,
        cache_positions(samples, cache),
        steering,
        samples["speed_mph"].to_numpy(np.float32) * MPS_PER_MPH,
        samples["recording"].to_numpy(),
        weights,
        bend,
    )


def with_shares(training_set: TrainingSet, shares: dict[str, float]) -> TrainingSet:
    """Let recordings, by name, give fixed fractions of the frames that are drawn.

    Those without a share keep among themselves what is left, as before.

    Raises:
        InputError: There is no recording of a name, or no other one.
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
