"""What in the strips of a road tells where its middle is.

Four marks are taken from the pixels: lines and edges, and how the ground differs from
that under the car in yellowness, redness and brightness. A road is symmetric about its
middle: from that, a first guess; from the guess, how often each mark is seen at which
distance from this road's middle; and from that, how likely each place is in each row.
So lines of any colour, kerbs, walls, grass or dirt speak for themselves, and a mark
that says nothing on this road (shadows in the jungle) has no weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import (
    binary_erosion,
    gaussian_filter1d,
    median_filter,
    uniform_filter1d,
)

from recordings.road_strips import CELL_M, NUM_CELLS, RoadStrips

# Places of the road's middle that are considered, in cells to the right of the car.
PLACES = np.arange(-40, 41)
# Half-widths that a road may have, in cells: lanes of 3 m to a bridge of 13 m.
HALF_WIDTHS = np.arange(30, 66)
# How far from the middle marks are learnt, in cells.
FROM_MIDDLE = np.arange(-75, 76)
ROWS_AT_ONCE = 500
# The nearest view is the truest, and shows the least.
VIEW_WEIGHTS = (1.0, 0.6, 0.3)
UNDER_CAR = slice(NUM_CELLS // 2 - 6, NUM_CELLS // 2 + 7)
# Yellowness and redness are counted in parts of the brightness, and this many levels.
DARK_LEVELS, DARKEST_LEVELS = 30.0, 20.0
# Of a line or edge that could not be clearer.
FULL_COLOUR_LINE, FULL_BRIGHT_LINE = 0.15, 0.35
FULL_COLOUR_EDGE, FULL_BRIGHT_EDGE, EDGE_WEIGHT = 0.2, 0.6, 0.8
# Each mark is sorted into six classes, with these bounds, and counts this much: cells
# beside each other are not independent, those of whole areas least of all.
CLASS_BOUNDS = (
    (0.08, 0.2, 0.35, 0.5, 0.7),
    (-0.15, -0.06, 0.04, 0.1, 0.2),
    (-0.1, -0.04, 0.04, 0.1, 0.25),
    (-0.5, -0.2, 0.2, 0.45, 0.7),
)
NUM_CLASSES = 6
MARK_WEIGHTS = (0.3, 0.075, 0.075, 0.045)
# A mark is this often something else than the road: a shadow, a sign, dirt.
SURPRISES = 0.2
# So many rows' worth of the average is mixed into what is learnt.
PRIOR_ROWS = 20
LEAST_SEEN_CELLS = 60


@dataclass(frozen=True, eq=False)
class Marks:
    """The marks of every row's strip."""

    values: np.ndarray
    """Line or edge, and yellowness, redness, brightness over that under the car,
    float32 (4, n, cells)."""
    seen: np.ndarray
    """Where there are any, bool (n, cells)."""
    disagreement: np.ndarray
    """How much the far view differs from the near one in log brightness, float (n,)."""


def marks_of(strips: RoadStrips) -> Marks:
    """Return the marks of strips."""
    parts = [
        _marks(strips.rgb[i : i + ROWS_AT_ONCE], strips.seen[i : i + ROWS_AT_ONCE])
        for i in range(0, len(strips.rgb), ROWS_AT_ONCE)
    ]
    values, seen, disagreement = zip(*parts, strict=True)
    return Marks(
        np.concatenate(values, axis=1),
        np.concatenate(seen),
        np.concatenate(disagreement),
    )


def _marks(
    rgb: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, seen and disagreement of some rows, as Marks has them."""
    seen = binary_erosion(seen, np.ones((1, 1, 7)))
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    level = (red + green + blue) / 3
    colour = np.stack([np.minimum(red, green) - blue, red - green])
    look = np.stack([*(colour / (level + DARK_LEVELS)), np.log(level + DARKEST_LEVELS)])
    car = median_filter(np.median(look[..., UNDER_CAR], axis=-1), (1, 7, 1))[..., None]
    fine, area = (uniform_filter1d(look, size, axis=-1) for size in (3, 5))
    weight = seen * np.array(VIEW_WEIGHTS, np.float32)[:, None]
    total = np.maximum(weight.sum(axis=1), min(VIEW_WEIGHTS) / 3)

    def fused(values: np.ndarray) -> np.ndarray:
        return (values * weight).sum(axis=1) / total

    lines, edges = (_outstanding(fused(each)) for each in _lines_and_edges(fine))
    line = np.maximum(lines, EDGE_WEIGHT * edges)
    values = np.stack([line, *map(fused, area - car)]).astype(np.float32)
    both = seen[:, 0] & seen[:, -1]
    differs = np.abs((area - car)[2, :, 0] - (area - car)[2, :, -1]) * both
    differs = differs.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return values, np.asarray(seen.any(axis=1)), differs


def _lines_and_edges(fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how clear a line and an edge is everywhere, [0, 1]; fine is (3, ...)."""
    ridge = fine - np.maximum(_beside(fine, -4), _beside(fine, 4))
    step = np.abs(_beside(fine, -2) - _beside(fine, 2))
    lines = np.maximum(ridge[0] / FULL_COLOUR_LINE, ridge[2] / FULL_BRIGHT_LINE)
    edges = np.hypot(step[0], step[1]) / FULL_COLOUR_EDGE
    # A shadow has bright edges too.
    bright_edges = EDGE_WEIGHT * np.minimum(step[2] / FULL_BRIGHT_EDGE, 1)
    return np.clip(lines, 0, 1), np.maximum(np.minimum(edges, 1), bright_edges)


def _beside(values: np.ndarray, cells: int) -> np.ndarray:
    """Return the values so many cells to the right; the outermost repeat."""
    place = np.clip(np.arange(values.shape[-1]) + cells, 0, values.shape[-1] - 1)
    return values[..., place]


def _outstanding(values: np.ndarray) -> np.ndarray:
    """Return by how much values (n, cells) stand out from what is beside them.

    In grass everything is an edge; one edge stands out where there is no other.
    """
    over = values - uniform_filter1d(values, 13, axis=-1)
    mean, square = (uniform_filter1d(v, 21, axis=-1) for v in (values, values**2))
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return np.clip(over / (spread + 0.08) / 2.5, 0, 1)


# --- The first guess ------------------------------------------------------------------


def first_guess(marks: Marks) -> tuple[np.ndarray, float]:
    """Guess by symmetry: an edge on either side of the middle, other ground beyond.

    Returns:
        What speaks for each of PLACES, float (n, places), and half the road's width
        between the lines, or edges, that show best on all of the way, in metres.
    """
    best_of = np.concatenate(
        [
            [_pair_score(*part, int(width)).max(axis=1) for width in HALF_WIDTHS]
            for part in _symmetric_parts(marks)
        ],
        axis=1,
    )
    best = int(np.argmax([each.mean() for each in best_of]))
    around = HALF_WIDTHS[max(best - 1, 0) : best + 2]
    guess = [
        np.max([_pair_score(*part, int(width)) for width in around], axis=0)
        for part in _symmetric_parts(marks)
    ]
    return np.concatenate(guess), float(HALF_WIDTHS[best]) * CELL_M


def _symmetric_parts(marks: Marks) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield what _pair_score looks at, of some rows at once: all widths take memory."""
    for i in range(0, len(marks.seen), ROWS_AT_ONCE):
        seen = marks.seen[i : i + ROWS_AT_ONCE]
        lines, yellow, red, bright = marks.values[:, i : i + ROWS_AT_ONCE]
        # Darker and bluer than under the car: a shadow.
        lit = bright > -0.2
        ground = np.hypot(np.where((yellow < 0) & ~lit, 0, yellow), red) / 0.15
        ground = np.minimum(ground, 1)
        ground = np.maximum(ground, 0.5 * lit * np.clip(bright / 0.8, 0, 1))
        pad = ((0, 0), (FROM_MIDDLE[-1], FROM_MIDDLE[-1] + 1))
        sums = [
            np.pad(
                np.cumsum(each, axis=1), ((0, 0), (FROM_MIDDLE[-1] + 1,) * 2), "edge"
            )
            for each in (ground * seen, seen.astype(np.float32))
        ]
        for each in sums:
            each[:, : FROM_MIDDLE[-1] + 1] = 0
        yield np.pad(lines * seen, pad), sums


def _pair_score(line: np.ndarray, sums: list[np.ndarray], width: int) -> np.ndarray:
    """Return what speaks for a road of a half-width at each of PLACES, (n, places)."""
    at = NUM_CELLS // 2 + FROM_MIDDLE[-1] + PLACES

    def total(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums of other ground and of cells seen over a range of cells."""
        ground, seen = (each[:, at + last + 1] - each[:, at + first] for each in sums)
        return ground, seen

    left, right = line[:, at - width], line[:, at + width]
    inside, num_inside = total(2 - width, width - 2)
    beyond = [total(-width - 13, -width - 3), total(width + 3, width + 13)]
    outside, num_outside = (sum(each) for each in zip(*beyond, strict=True))
    contrast = outside / np.maximum(num_outside, 10)
    contrast = contrast - 1.5 * inside / np.maximum(num_inside, 10)
    return 0.5 * np.minimum(left, right) + 0.25 * (left + right) + 0.5 * contrast


# --- What is learnt of a road ---------------------------------------------------------


def classes_of(marks: Marks) -> np.ndarray:
    """Return the class of each mark, int8 (4, n, cells)."""
    pairs = zip(marks.values, CLASS_BOUNDS, strict=True)
    return np.stack([np.digitize(v, bounds).astype(np.int8) for v, bounds in pairs])


def learn_road(
    classes: np.ndarray, seen: np.ndarray, place: np.ndarray, sure: np.ndarray
) -> np.ndarray:
    """Learn what is seen at which distance from the road's middle.

    Args:
        classes: What classes_of returns.
        seen: Where there are any, bool (n, cells).
        place: The index in PLACES of the middle in each row, int (n,).
        sure: The rows to learn from, bool (n,).

    Returns:
        The log of how much more often than anywhere a class is seen there, float32
        (4, FROM_MIDDLE, classes); the same left and right.
    """
    sure = sure & (seen.sum(axis=1) > LEAST_SEEN_CELLS)
    pad = FROM_MIDDLE[-1]
    cells = (NUM_CELLS // 2 + pad + PLACES[place[sure]])[:, None] + FROM_MIDDLE
    shown = np.take_along_axis(np.pad(seen[sure], ((0, 0), (pad, pad))), cells, axis=1)
    odds = []
    for mark, each in enumerate(classes):
        found = np.pad(each[sure], ((0, 0), (pad, pad)))
        found = np.take_along_axis(found, cells, axis=1)
        names = np.arange(NUM_CLASSES)
        count = np.stack([((found == i) & shown).sum(axis=0) for i in names], axis=1)
        count = gaussian_filter1d(
            (count + count[::-1]).astype(float), 1.5 if mark else 0.7, axis=0
        )
        anywhere = np.bincount(each[seen], minlength=NUM_CLASSES) + 1.0
        anywhere /= anywhere.sum()
        here = count + PRIOR_ROWS * anywhere
        here /= here.sum(axis=1, keepdims=True)
        odds.append(np.log((1 - SURPRISES) * here / anywhere + SURPRISES))
    return np.stack(odds).astype(np.float32)


def likelihood(classes: np.ndarray, seen: np.ndarray, road: np.ndarray) -> np.ndarray:
    """Return the log likelihood of each of PLACES, float32 (n, places).

    Args:
        classes: What classes_of returns.
        seen: Where there are any, bool (n, cells).
        road: What learn_road returns.
    """
    cells = np.arange(NUM_CELLS)[:, None] - NUM_CELLS // 2
    index = cells - PLACES - FROM_MIDDLE[0]
    inside = (index >= 0) & (index < len(FROM_MIDDLE))
    index = np.clip(index, 0, len(FROM_MIDDLE) - 1)
    total = np.zeros((len(seen), len(PLACES)), np.float32)
    for mark, weight in enumerate(MARK_WEIGHTS):
        for name in range(NUM_CLASSES):
            here = ((classes[mark] == name) & seen).astype(np.float32)
            total += here @ (weight * road[mark, :, name][index] * inside)
    return total
