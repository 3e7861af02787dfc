"""Does the car turn as it is steered? The pictures tell.

What is far away moves across the picture as the car turns, some 140 pixels a radian.
So a steering whose sign is swapped, that stays where it was, or that belongs to another
picture is found in any recording, without a model: where the bend is no wider than a
few hundred metres, a second of it is enough.

Source: Kuglin and Hines 1975, The phase correlation image alignment method (the move);
the likelihood ratio of two normal distributions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.car import MPS_PER_MPH, curvature_of
from recordings.moments.drive import Log
from recordings.moments.looks import Looks
from recordings.moments.moment import Moment, peaks
from recordings.reproject import FOCAL_LENGTH_PX

# The move of a radian is the focal length; what is nearer than the horizon moves more.
GAINS = (0.7 * FOCAL_LENGTH_PX, 1.5 * FOCAL_LENGTH_PX)
# Lags of the car behind the wheel, in s and in rows, of which the best is taken.
LAGS_S, LAGS_ROWS = (0.05, 0.1, 0.2, 0.3), (0, 1, 2)
# So many rows tell the lag.
FITTED_ROWS = 20_000
# Pictures that agree less do not tell a move.
LEAST_MATCH = 0.4
# What the move is not known by: at least so many pixels, and parts of the move itself,
# steered and seen.
LEAST_NOISE_PX, OF_STEERED, OF_SEEN = 0.4, 0.15, 0.1
UNKNOWN_PX = 10.0
# What one row can say at most, and what a window of so many seconds must say in all.
MOST_SAID, SWAPPED_S, LEAST_SWAPPED = 6.0, 0.8, 8.0
MOST_OFF, OFF_S, LEAST_OFF = 16.0, 0.4, 24.0
# A log that is steered the other way all along is one finding, not hundreds.
ALL_ALONG = 0.5
# Evidence that counts as a score of 1.
SWAPPED_UNIT, OFF_UNIT = 10.0, 18.0
NOMINAL_MPH = 20.0
# Any less, and the car stands.
LEAST_MPH = 1.0


@dataclass(frozen=True, eq=False)
class Turning:
    """How far the picture should move, and how far it does; one entry a row."""

    steered_px: np.ndarray
    """By steering and speed, float64 (n,), + is to the right."""
    seen_px: np.ndarray
    """In the pictures, float64 (n,); 0 where they do not tell."""
    noise_px: np.ndarray
    """How well it is known, a standard deviation, float64 (n,)."""
    is_mirrored: bool
    """Whether the steering's sign is the other one all along."""


def turning_of(log: Log, looks: Looks) -> Turning:
    """Hold what the pictures tell of turning against the steering."""
    is_told = np.isfinite(looks.shift_px) & (looks.match >= LEAST_MATCH)
    is_told &= log.step_s > 0
    seen = np.where(is_told, looks.shift_px, 0.0)
    fitted = slice(0, FITTED_ROWS)
    part = seen[fitted], is_told[fitted]
    fits = [
        (*_fit(_unit_turns(log, lag_s, rows)[fitted], *part), lag_s, rows)
        for lag_s in LAGS_S
        for rows in LAGS_ROWS
    ]
    _, gain, lag_s, lag_rows = min(fits)
    is_mirrored = gain > 0
    gain = np.sign(gain) * np.clip(abs(gain), *GAINS) if gain else -GAINS[0]
    steered = gain * _unit_turns(log, lag_s, lag_rows)
    off = np.abs(seen - steered)[is_told]
    usual = 1.4826 * float(np.median(off)) if len(off) else 0.0
    noise = max(LEAST_NOISE_PX, usual) + OF_STEERED * np.abs(steered)
    noise += OF_SEEN * np.abs(seen) + np.where(is_told, 0.0, UNKNOWN_PX)
    return Turning(steered, seen, noise, is_mirrored)


def _unit_turns(log: Log, lag_s: float, lag_rows: int) -> np.ndarray:
    """Return how far the car turns to the right in each row, in radians, float (n,).

    Args:
        lag_s: Time in which it follows the wheel.
        lag_rows: Rows by which it comes later.
    """
    follow = 1 - np.exp(-log.step_s / lag_s)
    # The first row of a session begins with the wheel where it is.
    follow[log.step_s == 0] = 1.0
    wheel = np.clip(log.steering, -1, 1).tolist()
    now = 0.0
    for i, part in enumerate(follow.tolist()):
        now += part * (wheel[i] - now)
        wheel[i] = now
    turned = np.concatenate([np.zeros(lag_rows), wheel[: len(wheel) - lag_rows]])
    speed_mph = log.speed_mph if log.has_speed else np.full(len(wheel), NOMINAL_MPH)
    is_moving = np.abs(speed_mph) >= LEAST_MPH
    step_m = np.where(is_moving, np.abs(speed_mph), 0) * MPS_PER_MPH * log.step_s
    return curvature_of(turned[: len(step_m)]) * step_m


def _fit(
    turned: np.ndarray, seen: np.ndarray, is_told: np.ndarray
) -> tuple[float, float]:
    """Return how badly a gain fits, in pixels, and the gain in pixels a radian."""
    use = is_told & (turned != 0)
    gain = off = 0.0
    for _ in range(3):
        gain = float(turned[use] @ seen[use] / max(turned[use] @ turned[use], 1e-12))
        miss = np.abs(seen - gain * turned)
        told = miss[is_told]
        off = float(np.minimum(told, 6).mean()) if len(told) else 0.0
        # Once more without what fits least: it may be what is looked for.
        use = is_told & (turned != 0)
        use &= miss <= 6 * off + 0.3 * np.abs(gain * turned)
    return off, gain


def moments_of_turning(log: Log, looks: Looks) -> list[Moment]:
    """Return where the pictures turn otherwise than the car is steered."""
    turning = turning_of(log, looks)
    steered, seen, noise = turning.steered_px, turning.seen_px, turning.noise_px
    if turning.is_mirrored and len(seen) and _agreement(turning) > ALL_ALONG:
        reason = "the pictures turn to the other side than the steering, all along"
        return [Moment(0, len(seen) - 1, "swapped", reason, 6.0, 0)]
    swapped = ((seen - steered) ** 2 - (seen + steered) ** 2) / (2 * noise**2)
    swapped = np.clip(swapped, -MOST_SAID, MOST_SAID)
    off = np.clip(((seen - steered) / noise) ** 2, 0, MOST_OFF)
    found = []
    width = log.rows_in(SWAPPED_S)
    said = _sums(swapped, width)
    for row in peaks(said, LEAST_SWAPPED, width):
        first, last = _core(swapped, row, row + width - 1)
        side = "right" if log.steering[first : last + 1].mean() > 0 else "left"
        other = "left" if side == "right" else "right"
        reason = f"steers to the {side}, but the pictures turn to the {other}"
        score = min(5.0, said[row] / SWAPPED_UNIT)
        found.append(Moment(first, last, "swapped", reason, score, (first + last) // 2))
    width = log.rows_in(OFF_S)
    said = _sums(off, width)
    for row in peaks(said, LEAST_OFF, log.rows_in(1.0)):
        first, last = _core(off, row, row + width - 1)
        reason = "the pictures turn otherwise than the steering says"
        score = min(3.0, said[row] / OFF_UNIT)
        found.append(Moment(first, last, "turning", reason, score, first))
    return found


def _agreement(turning: Turning) -> float:
    """Return how well what is seen follows what is steered, a correlation."""
    is_told = turning.noise_px < UNKNOWN_PX
    if is_told.sum() < 2:
        return 0.0
    pair = turning.steered_px[is_told], turning.seen_px[is_told]
    if min(each.std() for each in pair) == 0:
        return 0.0
    return float(np.corrcoef(*pair)[0, 1])


def _sums(values: np.ndarray, width: int) -> np.ndarray:
    """Return the sum of each value and those behind it, a window in all, float (n,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.minimum(np.arange(len(values)) + width, len(values))
    return total[ends] - total[:-1]


def _core(values: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Return the part of a window in which the values speak, at least one row."""
    last = min(last, len(values) - 1)
    speaking = np.flatnonzero(values[first : last + 1] > 0.5)
    if not len(speaking):
        return first, last
    return first + int(speaking[0]), first + int(speaking[-1])
