"""How marks are set and taken back, for the page and for the command alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.errors import InputError
from recordings.marks import LEAVE_OUT, Mark, Marks, Rows
from recordings.recording import Recording

DISCARDED = "take discarded"


def mark_of(recording: Recording, rows: Rows, kind: str, note: str) -> Mark:
    """Return a mark on rows of a recording.

    Args:
        recording: As it was read without its marks.

    Raises:
        InputError: The log has not these rows.
    """
    lines = recording.samples["line"]
    first = int(lines.iloc[0]) if rows[0] is None else rows[0]
    last = int(lines.iloc[-1]) if rows[1] is None else rows[1]
    if not int(lines.iloc[0]) <= last <= int(lines.iloc[-1]) or first > last:
        raise InputError(
            f"{recording.log_path}: rows {first} to {last}, expected rows of the log, "
            f"{lines.iloc[0]} to {lines.iloc[-1]}, the first before the last; rows are "
            "the lines of the file, a header too"
        )
    if not lines.between(first, last).any():
        raise InputError(
            f"{recording.log_path}: no row of {first} to {last} can be read; there is "
            "nothing to mark"
        )
    return Mark(first, last, kind, note)


def with_marks(marks: Marks, *more: Mark) -> Marks:
    """Return marks and new ones behind them."""
    return Marks((*marks.entries, *more))


def without_newest(marks: Marks, path: Path) -> Marks:
    """Return marks without the newest one.

    Args:
        path: The file of the marks, for the message.

    Raises:
        InputError: There is none.
    """
    if not marks.entries:
        raise InputError(f"{path}: no mark, so there is nothing to undo")
    return Marks(marks.entries[:-1])


def discarding_last(
    recording: Recording, marks: Marks, seconds: float | None, note: str = DISCARDED
) -> Mark:
    """Return the mark that leaves out the newest take, or its last seconds.

    A take is a session. What is left out already does not count, so that doing it again
    discards the take before.

    Args:
        recording: As it was read without its marks.
        marks: Its marks.
        seconds: How much of its end; None: all of it.

    Raises:
        InputError: There is nothing left.
    """
    left_out = marks.left_out
    lines = recording.samples["line"].to_numpy()
    is_left = np.array([int(line) not in left_out for line in lines])
    if not is_left.any():
        raise InputError(f"{recording.log_path}: every row of it is left out already")
    time_s = recording.samples["time_s"].to_numpy(float)
    session = recording.samples["session"].to_numpy()
    newest = int(np.where(is_left, time_s, -np.inf).argmax())
    is_taken = is_left & (session == session[newest])
    if seconds is not None:
        is_taken &= time_s > time_s[newest] - seconds
    taken = lines[is_taken]
    return Mark(int(taken[0]), int(taken[-1]), LEAVE_OUT, note)
