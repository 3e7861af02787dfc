"""Where on the road a recorded car was, in the moments in which its pictures tell.

    known = find_place(samples)
    known.place_m        # metres right of the road's middle, NaN where it is not known

The road is laid out straight (road_strips.py), its marks tell how likely each place is
in each row (road_marks.py), and a hidden Markov model of place and heading follows the
odometry from row to row, forwards and backwards. A place is known where nearly all of
the probability is in one spot, the marks speak for it as they do elsewhere on this
road, and the near and the far view of it agree. All else is not known.

Source: Rabiner, "A Tutorial on Hidden Markov Models", 1989 (forward-backward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import binary_erosion, binary_opening, uniform_filter1d

from common.bar import Bar
from common.car import curvature_of
from recordings.road_marks import (
    PLACES,
    classes_of,
    first_guess,
    learn_road,
    likelihood,
    marks_of,
)
from recordings.road_strips import CELL_M, Odometry, RoadStrips, read_strips
from recordings.steering import smooth_steering

# The angle of the road's middle to the path, as a slope; + goes to the right.
SLOPE_STEP = 0.03
SLOPES = np.arange(-12, 13) * SLOPE_STEP
# What the odometry does not know of a row's way: standard deviations.
PLACE_NOISE_M, SLOPE_NOISE = 0.05, 0.02
# The odometry fails altogether in one row of so many.
LOST_ONCE_IN = 1000
# Roads turn as the path does, averaged over this time around a row.
ROAD_TURNS_S = 0.7
ROUNDS = 3
# What the rows before say is kept of so many, 8 kB each: of half an hour of driving.
ROWS_HELD = 20_000
GUESS_WEIGHT = 8.0
# Cars are seldom at the road's edge: that is worth this much, per square metre.
MIDDLE_PER_M2 = 0.01
# What is known: this share of the probability within SPOT_CELLS of one place that
# is not at the end of those considered ...
LEAST_SURE, SURE_TO_LEARN, SPOT_CELLS = 0.97, 0.8, 3
# ... where the marks say, averaged over so many rows, this share of the usual ...
LEAST_OF_USUAL, USUAL_ROWS = 0.3, 9
# ... and at least so much in all; pictures of noise say up to 2.6 ...
LEAST_SAID = 3.0
# ... while the views differ in log brightness by less than this.
MOST_DISAGREEMENT, AGREEMENT_ROWS = 0.25, 5
# ... for about a second, without the rows next to those where it is not.
LEAST_KNOWN_ROWS, UNSURE_ROWS = 8, 2


@dataclass(frozen=True, eq=False)
class RoadPlace:
    """Where on the road the car of a recording is; one entry a row."""

    place_m: np.ndarray
    """How far right of the road's middle, float64 (n,); NaN where it is not known."""
    half_width_m: float
    """Half the road's width between its lines, or its edges where they show better."""

    @property
    def known(self) -> np.ndarray:
        """In which rows the place is known, bool (n,)."""
        return np.isfinite(self.place_m)


def find_place(samples: pd.DataFrame, cameras: tuple[str, ...] = ()) -> RoadPlace:
    """Find where on the road a recorded car was.

    Args:
        samples: The rows of one recording, as usable_samples returns them, with times.
        cameras: Which cameras to look through, as read_strips takes them.
    """
    turns = curvature_of(smooth_steering(samples, ROAD_TURNS_S, ROAD_TURNS_S))
    strips = read_strips(samples, cameras)
    with Bar("finding the place on the road"):
        return place_in(strips, turns)


def place_in(strips: RoadStrips, road_turns_per_m: np.ndarray) -> RoadPlace:
    """Find the place in strips.

    Args:
        strips: The road, laid out along the path.
        road_turns_per_m: How the road bends, roughly, float (n,); + is right.
    """
    marks = marks_of(strips)
    guess, half_width_m = first_guess(marks)
    path = strips.path
    turn = path.turn_rad - road_turns_per_m * path.step_m
    chance = _smoothed(GUESS_WEIGHT * guess, path, turn)
    classes = classes_of(marks)
    for _ in range(ROUNDS):
        sure = _spot(chance)[1] > SURE_TO_LEARN
        road = learn_road(classes, marks.seen, chance.argmax(axis=1), sure)
        said = likelihood(classes, marks.seen, road)
        prior = MIDDLE_PER_M2 * (PLACES * CELL_M) ** 2
        chance = _smoothed(said - prior, path, turn)
    middle_m, sure_of = _spot(chance)
    says = uniform_filter1d((chance * said).sum(axis=1), USUAL_ROWS)
    known = (sure_of > LEAST_SURE) & (says > LEAST_SAID)
    known &= np.abs(middle_m) < (PLACES[-1] - SPOT_CELLS) * CELL_M
    known &= says > LEAST_OF_USUAL * np.median(says)
    known &= uniform_filter1d(marks.disagreement, AGREEMENT_ROWS) < MOST_DISAGREEMENT
    # Scattered knowledge is luck, and where it begins and ends it is least sure.
    known = binary_opening(known, np.ones(LEAST_KNOWN_ROWS))
    known = binary_erosion(known, np.ones(2 * UNSURE_ROWS + 1), border_value=1)
    return RoadPlace(np.where(known, -middle_m, np.nan), half_width_m)


def _spot(chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the likeliest place [m] and how sure it is, float (n,) each."""
    width = 2 * SPOT_CELLS - 1
    best = uniform_filter1d(chance, width, axis=1, mode="constant").argmax(axis=1)
    index = np.arange(len(PLACES))
    near = chance * (np.abs(index - best[:, None]) <= SPOT_CELLS)
    sure = near.sum(axis=1)
    place_m = (near * PLACES).sum(axis=1) * CELL_M / np.maximum(sure, 1e-9)
    return place_m, sure


def _smoothed(score: np.ndarray, path: Odometry, turn: np.ndarray) -> np.ndarray:
    """Return how probable each of PLACES is in each row, given all rows.

    Args:
        score: The log likelihood of each place, float (n, places).
        path: How the car moved from row to row.
        turn: How far it turned to the right of the road on that way [rad], float (n,).

    Returns:
        float64 (n, places); each row sums to 1.
    """
    anywhere = np.full((len(SLOPES), len(PLACES)), 1 / (len(SLOPES) * len(PLACES)))
    seen = np.exp(score - score.max(axis=1, keepdims=True))[:, None]
    goes_on = path.run[1:] == path.run[:-1]

    def forwards(rows: range, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the rows up to each say, from the one before; and the last."""
        said = np.empty((len(rows), *anywhere.shape), np.float32)
        for i in rows:
            if i and goes_on[i - 1]:
                now = _moved(now, SLOPES * path.step_m[i - 1], -turn[i - 1])
                now = now + anywhere / LOST_ONCE_IN
            else:
                now = anywhere
            now = now * seen[i]
            now /= now.sum()
            said[i - rows.start] = now
        return said, now

    # What of a part does not fit into memory with the rest is computed again.
    parts = [
        range(i, min(i + ROWS_HELD, len(score)))
        for i in range(0, len(score), ROWS_HELD)
    ]
    begins, now = [], anywhere
    for rows in parts:
        begins.append(now)
        before, now = forwards(rows, now)
    chance = np.empty(score.shape)
    after = anywhere
    for rows, begin in zip(reversed(parts), reversed(begins), strict=True):
        if rows is not parts[-1]:
            before, _ = forwards(rows, begin)
        for i in reversed(rows):
            if i + 1 < len(score):
                after = after * seen[i + 1]
                if goes_on[i]:
                    lost = after.sum() * anywhere / LOST_ONCE_IN
                    after = _moved_back(after, SLOPES * path.step_m[i], -turn[i]) + lost
                else:
                    after = anywhere
                after /= after.sum()
            chance[i] = (before[i - rows.start] * after).sum(axis=0)
    return chance / chance.sum(axis=1, keepdims=True)


def _moved(chance: np.ndarray, aside_m: np.ndarray, slope: float) -> np.ndarray:
    """Return probabilities (slopes, places) moved aside, turned and made less sure."""
    return _turn(slope) @ _blurred(_shifted(chance, aside_m / CELL_M))


def _moved_back(chance: np.ndarray, aside_m: np.ndarray, slope: float) -> np.ndarray:
    """Return what _moved would have been given."""
    return _shifted(_blurred(_turn(slope).T @ chance), -aside_m / CELL_M)


def _shifted(chance: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return each row moved to the right by its number of cells, a fraction too."""
    count = chance.shape[1]
    whole = np.floor(cells)
    part = (cells - whole)[:, None]
    padded = np.zeros((len(chance), count + 3))
    padded[:, 2:-1] = chance
    place = np.arange(2, count + 2) - whole[:, None].astype(int)
    place = np.clip(place, 1, count + 2)
    # Whole numbers of one long row are looked up quicker than two indices.
    place += np.arange(len(chance))[:, None] * (count + 3)
    return padded.take(place) * (1 - part) + padded.take(place - 1) * part


def _turn(slope: float) -> np.ndarray:
    """Return the matrix that turns (slopes, places) by a slope, with its noise."""
    away = (SLOPES[:, None] - SLOPES - slope) / SLOPE_NOISE
    weights = np.exp(-0.5 * away**2)
    return weights / max(weights.sum(axis=0).max(), 1e-9)


def _blurred(chance: np.ndarray) -> np.ndarray:
    """Return probabilities (slopes, places) with the noise of the way aside."""
    beside = 0.5 * (PLACE_NOISE_M / CELL_M) ** 2
    blurred = (1 - 2 * beside) * chance
    blurred[:, 1:] += beside * chance[:, :-1]
    blurred[:, :-1] += beside * chance[:, 1:]
    return blurred
