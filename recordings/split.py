"""Parts of recordings: a fraction of each, or blocks of time to validate on."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from common.errors import InputError
from recordings.rows import NOMINAL_RATE_HZ

# A session is cut into no fewer blocks, so that about a fifth can be held out.
MIN_BLOCKS = 5


def part_of(samples: pd.DataFrame, part: tuple[float, float]) -> pd.DataFrame:
    """Return a part of each recording, to train on one half and judge on the other.

    Args:
        samples: What usable_samples returns.
        part: Begin and end, as fractions of each recording's rows.

    Returns:
        The rows, with a fresh index.
    """
    return samples[_in_part(samples, part)].reset_index(drop=True)


def rest_of(
    samples: pd.DataFrame, part: tuple[float, float], margin_s: float = 2.0
) -> pd.DataFrame:
    """Return what part_of leaves, to judge on what nothing was chosen by.

    Args:
        samples: What usable_samples returns.
        part: Begin and end, as fractions of each recording's rows.
        margin_s: Least time between a row of the rest and one of the part, in seconds.

    Returns:
        The rows, with a fresh index.
    """
    inside = _in_part(samples, part)
    is_rest = ~inside
    for _, recording in samples.groupby("recording"):
        rows, times = recording.index.to_numpy(), recording["time_s"].to_numpy()
        is_rest[rows] &= _distance(times, times[inside[rows]]) > margin_s
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
    block_s: float = 10.0,
    margin_s: float = 2.0,
    whole: Collection[str] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Split into training and validation by contiguous blocks of time.

    Neighbouring frames are near copies, so a split by row would validate on what was
    trained on. Each session gives some of its blocks to validation, and training frames
    too near to one of those are left out. Where a recording holds many sessions shorter
    than two blocks, each of those is a block.

    Args:
        samples: What usable_samples returns.
        validation_fraction: Share of the blocks of each session to hold out, [0, 1).
            0 holds out none: all rows train, and the same rows validate.
        rng: Draws the blocks.
        block_s: Length of a block in seconds; shorter where a session has fewer than
            five of them.
        margin_s: Least time between a training and a validation frame, in seconds.
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
        long, clips = _long_and_short(recording, 2 * block_s)
        for session in long:
            times = session["time_s"].to_numpy()
            blocks = _blocks_of_time(times, block_s)
            validates[session.index] = _held_out(blocks, validation_fraction, rng)
        if clips is not None:
            blocks = clips["session"].to_numpy()
            validates[clips.index] = _held_out(blocks, validation_fraction, rng)
    trains = ~validates
    for _, recording in samples.groupby("recording"):
        rows, times = recording.index.to_numpy(), recording["time_s"].to_numpy()
        held_out = np.sort(times[validates[rows]])
        trains[rows] &= _distance(times, held_out) > margin_s
    # Less than a quarter left to train on is a mistake, not a split.
    if trains.sum() < len(samples) / 4 or not validates.any():
        seconds = len(samples) / NOMINAL_RATE_HZ
        raise InputError(
            f"{len(samples)} usable rows, about {seconds:.0f} s, are too few to split "
            f"into training and validation {margin_s:g} s apart; record a minute more"
        )
    return np.flatnonzero(trains), np.flatnonzero(validates)


def _long_and_short(
    recording: pd.DataFrame, least_s: float
) -> tuple[list[pd.DataFrame], pd.DataFrame | None]:
    """Tell the sessions of a recording to cut into blocks from the clips to keep whole.

    Recoveries are recorded as many clips of a few seconds. Cut into blocks with margins
    between them, nothing of them would be left to train on.
    """
    sessions = [session for _, session in recording.groupby("session")]
    is_short = [np.ptp(session["time_s"]) < least_s for session in sessions]
    if sum(is_short) < MIN_BLOCKS:
        return sessions, None
    long = [s for s, short in zip(sessions, is_short, strict=True) if not short]
    in_long = [session.index for session in long]
    return long, recording.drop(np.concatenate([*in_long, []]).astype(int))


def _blocks_of_time(times: np.ndarray, block_s: float) -> np.ndarray:
    """Return the number of the block that each row of a session lies in, int (n,)."""
    duration = float(np.ptp(times)) + 1e-6
    num_blocks = max(MIN_BLOCKS, round(duration / block_s))
    return ((times - times.min()) / duration * num_blocks).astype(int)


def _held_out(
    blocks: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Return bool (n,): which rows lie in the blocks drawn for validation."""
    from sklearn.model_selection import GroupShuffleSplit  # Not above: slow to load.

    held_out = np.zeros(len(blocks), bool)
    num_blocks = len(np.unique(blocks))
    if num_blocks > 1:
        num_held_out = min(max(1, round(fraction * num_blocks)), num_blocks - 1)
        splitter = GroupShuffleSplit(
            1, test_size=num_held_out, random_state=int(rng.integers(2**31))
        )
        held_out[next(splitter.split(blocks, groups=blocks))[1]] = True
    return held_out


def _distance(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the time from each of `times` to the nearest of sorted `others`."""
    if not len(others):
        return np.full(len(times), np.inf)
    after = np.searchsorted(others, times)
    right = np.abs(others[np.minimum(after, len(others) - 1)] - times)
    left = np.abs(others[np.maximum(after - 1, 0)] - times)
    return np.minimum(left, right)
