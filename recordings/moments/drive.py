"""Suspicious moments that the numbers of a log tell by themselves.

The thresholds stand below, in units of the car; where drivers differ, as in how far
they turn the wheel from one row to the next, a recording is held against itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from common.car import MPS_PER_MPH, curvature_of
from recordings.moments.moment import Moment, peaks, runs
from recordings.rows import SESSION_GAP_S

# Nothing but an obstacle takes so much speed from a car within half a second: rolling
# out uphill does 9 m/s2, and its brake, uphill too, 16.
CRASH_S, LEAST_CRASH_MPH, LEAST_CRASH_MPS2 = 0.5, 3.0, 12.0
BRAKED, MOST_BRAKING_MPS2 = 0.1, 20.0
# What led to it is no good example either.
BEFORE_CRASH_S, AFTER_CRASH_S = 3.0, 1.0
# Turned round: so far within so short a way. On the road itself it takes 20 m; within
# 35 m it may be one of the jungle's hairpins.
U_TURN_RAD = np.radians(150)
U_TURNS_M = {20.0: 3.0, 35.0: 1.0}
# A step of the steering between two rows: beyond this, and beyond this much of what is
# usual here.
LEAST_STEP, OVER_USUAL = 0.25, 1.2
# What is usual are the largest steps but for this part of the rows, or this many.
ODD_SHARE, ODD_ROWS = 0.005, 10
FULL_LOCK, RARE_LOCK_SHARE = 0.95, 0.01
# A car that stands, or drives back, for so long.
LEAST_STANDING_S = 1.0
STANDING_SCORE, LOCK_SCORE, COMMON_LOCK_SCORE = 0.8, 2.0, 0.5
# A speed that is so many usual deviations from the usual one, for so long.
LEAST_SPEED_SCORE, UNUSUAL_MPH, LEAST_SPEED_S = 4.0, 3.0, 2.0
MOST_SPEED_MPH = 33.0
# What a jump of speed is at most, that is no crash but a number that is wrong.
MOST_GAIN_MPS2 = 25.0


@dataclass(frozen=True, eq=False)
class Log:
    """The numbers of a recording; one entry a row, in its order."""

    time_s: np.ndarray
    """float64 (n,)"""
    step_s: np.ndarray
    """Time since the row before, float64 (n,); 0 for the first one of a session."""
    session: np.ndarray
    """int64 (n,)"""
    steering: np.ndarray
    """float64 (n,), normalised; + is right."""
    brake: np.ndarray
    """float64 (n,), 0 to 1."""
    speed_mph: np.ndarray
    """float64 (n,)"""
    has_speed: bool
    """Whether the log keeps the speed."""
    excluded: np.ndarray
    """Why the reader does not use a row, str (n,); "" where it does."""

    def rows_in(self, seconds: float) -> int:
        """Return how many rows a time has, at least 1."""
        steps = self.step_s[self.step_s > 0]
        usual_s = float(np.median(steps)) if len(steps) else 0.1
        return max(1, round(seconds / usual_s))


def log_of(samples: pd.DataFrame) -> Log:
    """Return the numbers of a recording's rows, used or not."""
    time_s = samples["time_s"].to_numpy(float)
    session = samples["session"].to_numpy(np.int64)
    step_s = np.diff(time_s, prepend=time_s[:1])
    goes_on = (np.diff(session, prepend=-1) == 0) & (step_s <= SESSION_GAP_S)
    speed_mph = samples["speed_mph"].to_numpy(float)
    return Log(
        time_s=time_s,
        step_s=np.where(goes_on, np.maximum(step_s, 0), 0.0),
        session=session,
        steering=samples["steering"].to_numpy(float),
        brake=samples["brake"].to_numpy(float),
        speed_mph=speed_mph,
        has_speed=bool(speed_mph.any()),
        excluded=samples["excluded"].to_numpy(object),
    )


def moments_of_log(log: Log) -> list[Moment]:
    """Return what is suspicious in the numbers alone, in no order."""
    found = [*steps(log), *full_locks(log), *left_out_by_reader(log)]
    if log.has_speed:
        found += [*crashes(log), *u_turns(log), *odd_speeds(log)]
    return found


# --- Speed ----------------------------------------------------------------------------


def crashes(log: Log) -> list[Moment]:
    """Find sudden stops without the brake, or that no brake makes."""
    span = log.rows_in(CRASH_S)
    braked = _within(log.brake, span) > BRAKED
    least = np.where(braked, MOST_BRAKING_MPS2, LEAST_CRASH_MPS2)
    lost_mph = np.zeros(len(log.time_s))
    for rows in range(1, span + 1):
        old, new = slice(None, -rows), slice(rows, None)
        taken_s = log.time_s[new] - log.time_s[old]
        fits = (log.session[new] == log.session[old]) & (taken_s > 0)
        fits &= taken_s < 2 * CRASH_S
        lost = np.where(fits, log.speed_mph[old] - log.speed_mph[new], 0.0)
        rate = lost * MPS_PER_MPH / np.where(fits, taken_s, np.inf)
        is_more = (rate >= least[new]) & (lost > lost_mph[new])
        lost_mph[new] = np.where(is_more, lost, lost_mph[new])
    before, after = log.rows_in(BEFORE_CRASH_S), log.rows_in(AFTER_CRASH_S)
    found = []
    for row in peaks(lost_mph, LEAST_CRASH_MPH, before + after):
        first, last = _in_session(log, row - before, row + after, row)
        speed = log.speed_mph[row]
        how = "faster than by the brake" if braked[row] else "without the brake"
        reason = (
            f"from {speed + lost_mph[row]:.0f} to {speed:.0f} mph within half a second,"
            f" {how}; {BEFORE_CRASH_S:g} s before it are shown as well"
        )
        score_of = 2.0 + lost_mph[row] / 5
        found.append(Moment(first, last, "crash", reason, score_of, row))
    return found


def u_turns(log: Log) -> list[Moment]:
    """Find where the car turns round."""
    speed_mps = np.abs(log.speed_mph) * MPS_PER_MPH
    way_m = np.cumsum(speed_mps * log.step_s)
    curvature = curvature_of(np.clip(log.steering, -1, 1))
    turned = np.cumsum(curvature * speed_mps * log.step_s)
    # Sessions are numbered in the order of the rows.
    begins = np.searchsorted(log.session, log.session)
    is_found = np.zeros(len(way_m), bool)
    found = []
    for within_m, score in U_TURNS_M.items():
        first = np.maximum(np.searchsorted(way_m, way_m - within_m), begins)
        angle = turned - turned[first]
        for row in peaks(np.abs(angle), U_TURN_RAD, log.rows_in(5.0)):
            begin = int(first[row])
            if is_found[begin : row + 1].any():
                continue
            is_found[begin : row + 1] = True
            side = "right" if angle[row] > 0 else "left"
            degrees = abs(np.degrees(angle[row]))
            reason = f"turns {degrees:.0f} degrees to the {side} within {within_m:g} m"
            middle = (begin + row) // 2
            found.append(Moment(begin, row, "u-turn", reason, score, middle))
    return found


def odd_speeds(log: Log) -> list[Moment]:
    """Find stretches at a speed that is unusual here, or that no car has."""
    moves = (log.speed_mph > 1) & (log.excluded == "")
    found = []
    if moves.any():
        usual, spread = _usual(log.speed_mph[moves])
        away = (log.speed_mph - usual) / max(spread, UNUSUAL_MPH)
        for first, last in runs(moves & (np.abs(away) >= LEAST_SPEED_SCORE)):
            if log.time_s[last] - log.time_s[first] < LEAST_SPEED_S:
                continue
            at = first + int(np.abs(away[first : last + 1]).argmax())
            reason = f"{log.speed_mph[at]:.0f} mph, where {usual:.0f} is usual"
            score = min(1.5, abs(away[at]) / (2 * LEAST_SPEED_SCORE))
            found.append(Moment(first, last, "speed", reason, score, at))
    gain = np.diff(log.speed_mph, prepend=log.speed_mph[:1]) * MPS_PER_MPH
    gain = np.divide(gain, log.step_s, out=np.zeros_like(gain), where=log.step_s > 0.01)
    for first, last in runs(log.speed_mph > MOST_SPEED_MPH):
        at = first + int(log.speed_mph[first : last + 1].argmax())
        reason = f"{log.speed_mph[at]:.0f} mph, which the car does not do"
        found.append(Moment(first, last, "speed", reason, 1.5, at))
    for row in peaks(gain, MOST_GAIN_MPS2, log.rows_in(1.0)):
        before = log.speed_mph[row - 1]
        reason = f"from {before:.0f} to {log.speed_mph[row]:.0f} mph in one row"
        found.append(Moment(row - 1, row, "speed", reason, 2.0, row))
    return found


def left_out_by_reader(log: Log) -> list[Moment]:
    """Find where the car stands, or drives back; the reader leaves that out."""
    found = []
    for kind, words in (("standing", "stands"), ("reversing", "drives backwards")):
        for first, last in runs(log.excluded == kind):
            seconds = log.time_s[last] - log.time_s[first]
            if seconds >= LEAST_STANDING_S:
                reason = f"{words} for {seconds:.0f} s; the reader leaves it out"
                score = STANDING_SCORE
                found.append(Moment(first, last, kind, reason, score, first))
    return found


# --- Steering -------------------------------------------------------------------------


def steps(log: Log) -> list[Moment]:
    """Find steps of the steering that are larger than this driver's own."""
    goes_on = log.step_s > 0
    step = np.where(goes_on, np.abs(np.diff(log.steering, prepend=0.0)), 0.0)
    largest = np.sort(step[goes_on])[::-1]
    odd = max(ODD_ROWS, int(ODD_SHARE * len(largest)))
    usual = float(largest[odd]) if odd < len(largest) else 0.0
    least = max(LEAST_STEP, OVER_USUAL * usual)
    found = []
    for row in peaks(step, least, log.rows_in(1.0)):
        last = row
        # Up to where it steps back, if it soon does.
        back = np.flatnonzero(step[row + 1 : row + log.rows_in(1.0)] >= least)
        if len(back):
            last = row + int(back[0])
        before, after = log.steering[row - 1], log.steering[row]
        reason = f"steering steps from {before:+.2f} to {after:+.2f} in one row"
        score = min(3.0, step[row] / least)
        found.append(Moment(row, last, "step", reason, score, row))
    return found


def full_locks(log: Log) -> list[Moment]:
    """Find where the wheel is turned as far as it goes."""
    is_locked = np.abs(log.steering) >= FULL_LOCK
    is_rare = is_locked.mean() < RARE_LOCK_SHARE
    found = []
    for first, last in runs(is_locked & (log.excluded == "")):
        side = "right" if log.steering[first] > 0 else "left"
        seconds = log.time_s[last] - log.time_s[first]
        length = f"for {seconds:.1f} s" if last > first else "in one row"
        reason = f"full lock to the {side} {length}"
        score = LOCK_SCORE if is_rare else COMMON_LOCK_SCORE
        found.append(Moment(first, last, "lock", reason, score, first))
    return found


# --- Parts ----------------------------------------------------------------------------


def _usual(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and a spread of which single values are no part."""
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median)))


def _within(values: np.ndarray, rows: int) -> np.ndarray:
    """Return the greatest value of each row and those before it, float (n,)."""
    most = values.copy()
    for back in range(1, rows + 1):
        most[back:] = np.maximum(most[back:], values[:-back])
    return most


def _in_session(log: Log, first: int, last: int, row: int) -> tuple[int, int]:
    """Return the ends of a stretch around a row, cut to the row's session."""
    first, last = max(0, first), min(len(log.session) - 1, last)
    inside = np.flatnonzero(log.session[first : last + 1] == log.session[row])
    return first + int(inside[0]), first + int(inside[-1])
