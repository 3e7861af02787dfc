"""Parts of recordings: a fraction of each, or blocks of time to validate on."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from common.errors import InputError
from recordings.rows import NOMINAL_RATE_HZ

# A session is cut into no fewer blocks, so that about a fifth can be held out.
MIN_BLOCKS = 5
# The length of a block in a session that has as many of them.
BLOCK_S = 10.0
# The least time between frames to train on and frames to judge on.
MARGIN_S = 2.0


def part_of(samples: pd.DataFrame, part: tuple[float, float]) -> pd.DataFrame:
    """Return a part of each recording, to train on one half and judge on the other.

    The part is its begin and end as fractions of the recording's rows; the rows get a
    fresh index.
    """
    return samples[_in_part(samples, part)].reset_index(drop=True)


def rest_of(
    samples: pd.DataFrame, part: tuple[float, float], margin_s: float = MARGIN_S
) -> pd.DataFrame:
    """Return what part_of leaves, to judge on what nothing was chosen by.

    Rows of the rest are more than margin_s seconds from those of the part.
    """
    is_rest = _far_from(samples, _in_part(samples, part), margin_s)
    return samples[is_rest].reset_index(drop=True)


def _in_part(samples: pd.DataFrame, part: tuple[float, float]) -> np.ndarray:
    """Return bool (n,): which rows lie in a part of their recording."""
    sizes = samples.groupby("recording")["line"].transform("size")
    place = samples.groupby("recording").cumcount() / sizes
    return ((place >= part[0]) & (place < part[1])).to_numpy()


def split_by_time(
    samples: pd.DataFrame,
    validation_fraction: float,
    rng: np.random.Generator,
    whole: Collection[str] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Split into training and validation by contiguous blocks of time.

    Neighbouring frames are near copies, so a split by row would validate on what was
    trained on. Each session gives some of its blocks to validation, and training frames
    too near to one of those are left out. Where a recording holds many sessions shorter
    than two blocks, each of those is a block.

    Args:
        validation_fraction: Share of the blocks of each session to hold out, [0, 1).
            0 holds out none: all rows train, and the same rows validate.
        rng: Draws the blocks.
        whole: Names of recordings to train on only.

    Returns:
        Rows to train on and rows to validate on, each int (n,), ascending.

    Raises:
        InputError: Too little is left to train on.
    """
    if validation_fraction == 0:
        validates = ~samples["recording"].isin(whole).to_numpy()
        if not validates.any():
            raise InputError(f"{len(samples)} usable rows, none to validate on")
        return np.arange(len(samples)), np.flatnonzero(validates)
    validates = np.zeros(len(samples), bool)
    for name, recording in samples.groupby("recording"):
        if name in whole:
            continue
        long, clips = _long_and_short(recording)
        for session in long:
            times = session["time_s"].to_numpy()
            blocks = _blocks_of_time(times)
            validates[session.index] = _held_out(blocks, validation_fraction, rng)
        blocks = clips["session"].to_numpy()
        validates[clips.index] = _held_out(blocks, validation_fraction, rng)
    trains = _far_from(samples, validates, MARGIN_S)
    # Less than a quarter left to train on is a mistake, not a split.
    if trains.sum() < len(samples) / 4 or not validates.any():
        seconds = len(samples) / NOMINAL_RATE_HZ
        raise InputError(
            f"{len(samples)} usable rows, about {seconds:.0f} s, are too few to split "
            f"into training and validation {MARGIN_S:g} s apart; record a minute more"
        )
    return np.flatnonzero(trains), np.flatnonzero(validates)


def _long_and_short(
    recording: pd.DataFrame,
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Tell the sessions of a recording to cut into blocks from the clips to keep whole.

    Recoveries are recorded as many clips of a few seconds. Cut into blocks with margins
    between them, nothing of them would be left to train on.
    """
    is_short = recording.groupby("session")["time_s"].transform(np.ptp) < 2 * BLOCK_S
    is_short &= recording["session"][is_short].nunique() >= MIN_BLOCKS
    long = [session for _, session in recording[~is_short].groupby("session")]
    return long, recording[is_short]


def _blocks_of_time(times: np.ndarray) -> np.ndarray:
    """Return the number of the block that each row of a session lies in, int (n,)."""
    duration = float(np.ptp(times)) + 1e-6
    num_blocks = max(MIN_BLOCKS, round(duration / BLOCK_S))
    return ((times - times.min()) / duration * num_blocks).astype(int)


def _held_out(
    blocks: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Return bool (n,): which rows lie in the blocks drawn for validation."""
    held_out = np.zeros(len(blocks), bool)
    numbers = np.unique(blocks)
    if (num_blocks := len(numbers)) > 1:
        num_held_out = min(max(1, round(fraction * num_blocks)), num_blocks - 1)
        # As scikit-learn's GroupShuffleSplit draws them, so that runs of before go on.
        drawn = np.random.RandomState(int(rng.integers(2**31))).permutation(numbers)
        held_out = np.isin(blocks, drawn[:num_held_out])
    return held_out


def _far_from(samples: pd.DataFrame, chosen: np.ndarray, margin_s: float) -> np.ndarray:
    """Return bool (n,): which rows are farther in time from all that are chosen."""
    is_far = ~chosen
    for _, recording in samples.groupby("recording"):
        rows, times = recording.index.to_numpy(), recording["time_s"].to_numpy()
        is_far[rows] &= _distance(times, np.sort(times[chosen[rows]])) > margin_s
    return is_far


def _distance(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the time from each of `times` to the nearest of sorted `others`."""
    if not len(others):
        return np.full(len(times), np.inf)
    after = np.searchsorted(others, times)
    right = np.abs(others[np.minimum(after, len(others) - 1)] - times)
    left = np.abs(others[np.maximum(after - 1, 0)] - times)
    return np.minimum(left, right)
