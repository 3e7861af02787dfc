"""Where a model drives otherwise than the driver did: a model's own suspicious moments.

Either the model has not learnt the place, or the label is wrong. What it answers comes
from whoever has a model; nothing here needs Keras.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recordings.moments.drive import Log
from recordings.moments.moment import Moment, peaks

# Differences are averaged over this time: single rows are noise.
AVERAGED_S = 0.7
# The usual difference, at least so much, and this part of the steering itself: in a
# sharp bend more is usual.
LEAST_USUAL, OF_STEERING = 0.05, 0.15
# So many usual differences are worth a look, and so many count as a score of 1.
LEAST_DIFFERENCE, DIFFERENCE_UNIT = 2.0, 2.5
MOST_SCORE, INTERVENTION_SCORE = 2.5, 1.5
# What led to an intervention, as improve.py takes it for a hard place.
BEFORE_S, AFTER_S = 4.0, 1.0


def moments_of_model(
    log: Log, taught: np.ndarray, answered: np.ndarray, name: str
) -> list[Moment]:
    """Return where a model differs most from what it would be taught.

    Args:
        taught: The averaged steering, float (n,) in [-1, 1]; NaN where a row is not
            used.
        answered: The model's steering for each frame, float (n,); NaN where it has not
            looked.
        name: What the model is called.
    """
    difference = np.nan_to_num(np.clip(answered, -1, 1) - taught)
    taught = np.nan_to_num(taught)
    window = log.rows_in(AVERAGED_S)
    mean = np.convolve(difference, np.ones(window) / window, mode="same")
    mean = mean[: len(difference)]
    mean -= np.median(mean)
    usual = max(LEAST_USUAL, 1.4826 * float(np.median(np.abs(mean))))
    away = np.abs(mean) / (usual + OF_STEERING * np.abs(taught))
    found = []
    for row in peaks(away, LEAST_DIFFERENCE, log.rows_in(2.0)):
        half = window // 2
        first, last = max(0, row - half), min(len(away) - 1, row + half)
        reason = (
            f"{name} steers {np.clip(answered[row], -1, 1):+.2f}, the driver "
            f"{taught[row]:+.2f} on average"
        )
        score = min(MOST_SCORE, float(away[row]) / DIFFERENCE_UNIT)
        found.append(Moment(first, last, "model", reason, score, row))
    return found


def moments_of_replay(log: Log, rows: Sequence[int], name: str) -> list[Moment]:
    """Return where a model that drives the recording again had to be put back.

    Args:
        rows: The rows after which it was.
        name: What the model is called.
    """
    before, after = log.rows_in(BEFORE_S), log.rows_in(AFTER_S)
    found = []
    for row in rows:
        inside = np.flatnonzero(log.session == log.session[row])
        first = max(int(inside[0]), row - before)
        last = min(int(inside[-1]), row + after)
        reason = f"{name} leaves the path when it drives this again"
        moment = Moment(first, last, "intervention", reason, INTERVENTION_SCORE, row)
        found.append(moment)
    return found
