"""Suspicious moments that pictures tell: the same again, others, unlike the rest."""

from __future__ import annotations

import numpy as np

from recordings.moments.drive import Log
from recordings.moments.looks import Looks
from recordings.moments.moment import Moment, peaks, runs

# The same picture again, while the car moves: it changes by so few levels, where those
# of this recording change by more. Slower than this it may not have to change.
SAME_LEVELS, OTHERS_LEVELS, LEAST_MOVING_MPH = 1.0, 2.5, 4.0
AROUND_ROWS, LEAST_AROUND = 5, 2.0
# Other pictures: they change by so much of what their neighbours do, and by so many
# levels, and do not agree.
JUMP, JUMP_LEVELS, MOST_MATCH = 2.4, 8.0, 0.5
# Two jumps within this time are one stretch of other pictures.
BACK_WITHIN_S = 4.0
# Unlike the rest: how far it is to the so-manieth part of the others, which lie this
# far away in time, in usual deviations; at least so many rows together.
OF_OTHERS, APART_S, LEAST_UNLIKE = 0.05, 3.0, 3.5
COMPARED_ROWS, ROWS_AT_ONCE = 2000, 4096
# A recording of any fewer has no usual pictures.
LEAST_ROWS = 200


def moments_of_pictures(log: Log, looks: Looks) -> list[Moment]:
    """Return what is suspicious in the pictures alone, in no order."""
    around = _around(looks.change)
    return [
        *frozen(log, looks),
        *jumps(log, looks, around),
        *unlike(log, looks),
    ]


def frozen(log: Log, looks: Looks) -> list[Moment]:
    """Find rows whose picture is nearly that of the row before, while the car moves."""
    # Where the log names one file twice, no time passes either.
    goes_on = np.diff(log.session, prepend=-1) == 0
    moves = goes_on & np.isfinite(looks.change)
    if log.has_speed:
        moves &= np.abs(log.speed_mph) >= LEAST_MOVING_MPH
    if not moves.any() or np.median(looks.change[moves]) < OTHERS_LEVELS:
        return []
    is_same = moves & (np.nan_to_num(looks.change, nan=np.inf) < SAME_LEVELS)
    found = []
    for first, last in runs(is_same):
        count = last - first + 1
        rows = "row" if count == 1 else f"{count} rows"
        is_exact = looks.change[first : last + 1].max() == 0
        nearly = "" if is_exact else "nearly "
        reason = f"{rows} with {nearly}the picture of the row before, at "
        reason += f"{log.speed_mph[first]:.0f} mph"
        score = 2.5 + min(1.5, 0.25 * count)
        found.append(Moment(first, last, "frozen", reason, score, first))
    return found


def jumps(log: Log, looks: Looks, around: np.ndarray) -> list[Moment]:
    """Find where the picture jumps within a session, and where it jumps back."""
    with np.errstate(invalid="ignore"):
        ratio = looks.change / np.maximum(around, LEAST_AROUND)
        is_jump = (ratio >= JUMP) & (looks.change >= JUMP_LEVELS)
        is_jump &= (looks.match < MOST_MATCH) & (log.step_s > 0)
    places = np.flatnonzero(is_jump).tolist()
    found = []
    while places:
        first = places.pop(0)
        last, reason = first, "the picture jumps to another place"
        if places and log.time_s[places[0]] - log.time_s[first] <= BACK_WITHIN_S:
            last = max(first, places.pop(0) - 1)
            count = last - first + 1
            rows = "1 row" if count == 1 else f"{count} rows"
            reason = f"the picture jumps to another place, and back after {rows}"
        ends = [ratio[first], ratio[min(last + 1, len(ratio) - 1)]]
        strength = float(np.nanmax(ends))
        is_back = last > first or "back" in reason
        score = min(4.0, strength / JUMP + (1.0 if is_back else 0.0))
        found.append(Moment(first, last, "jump", reason, score, first))
    return found


def unlike(log: Log, looks: Looks) -> list[Moment]:
    """Find pictures whose colours are far from those of the rest of the recording."""
    seen = np.flatnonzero(looks.is_seen)
    if len(seen) < LEAST_ROWS:
        return []
    distance = np.full(len(looks.is_seen), np.nan)
    distance[seen] = _distances(looks.thumbnails[seen], log.time_s[seen])
    known = distance[seen]
    spread = 1.4826 * float(np.median(np.abs(known - np.median(known))))
    away = (distance - np.median(known)) / max(spread, 1e-9)
    found = []
    for row in peaks(away, LEAST_UNLIKE, log.rows_in(2.0)):
        rows = log.rows_in(1.0)
        first, last = max(0, row - rows), min(len(away) - 1, row + rows)
        near = runs(away[first : last + 1] >= 0.8 * away[row])
        begin, end = next(run for run in near if run[0] <= row - first <= run[1])
        reason = "its colours are unlike the rest of the recording"
        score = min(2.0, float(away[row]) / 3.5)
        found.append(Moment(first + begin, first + end, "unlike", reason, score, row))
    return found


def _distances(thumbnails: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return how far each picture is from a part of those at other times, float (n,).

    The part is OF_OTHERS of COMPARED_ROWS, so that a stretch of other pictures is not
    taken for usual because it is like itself.
    """
    colours = thumbnails.reshape(len(thumbnails), -1).astype(np.float32) / 255
    compared = np.unique(np.linspace(0, len(colours) - 1, COMPARED_ROWS).astype(int))
    others, others_s = colours[compared], time_s[compared]
    squares = (others**2).sum(axis=1)
    nearest = max(1, int(OF_OTHERS * len(compared)))
    found = np.empty(len(colours))
    for start in range(0, len(colours), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        square = (colours[part] ** 2).sum(axis=1)[:, None] + squares
        square -= 2 * colours[part] @ others.T
        square[np.abs(time_s[part][:, None] - others_s) < APART_S] = np.inf
        each = np.partition(square, nearest, axis=1)[:, nearest]
        found[part] = np.sqrt(np.maximum(each, 0))
    return np.where(np.isfinite(found), found, np.nan)


def _around(change: np.ndarray) -> np.ndarray:
    """Return how much the neighbours of each row change, float (n,): their median."""
    padded = np.pad(change.astype(float), AROUND_ROWS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_ROWS + 1)
    windows = np.delete(windows, AROUND_ROWS, axis=1)
    is_known = np.isfinite(windows).any(axis=1)
    found = np.full(len(change), np.nan)
    found[is_known] = np.nanmedian(windows[is_known], axis=1)
    return found
