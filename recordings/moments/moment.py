"""A suspicious moment of a recording, and the order in which to look at several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

# What one looks for, in the words of the page and of the command.
KINDS = {
    "crash": "crash",
    "u-turn": "turns round",
    "swapped": "steers the other way",
    "turning": "turns otherwise",
    "jump": "other pictures",
    "frozen": "same picture",
    "unlike": "unlike the rest",
    "step": "sharp step",
    "lock": "full lock",
    "standing": "stands",
    "reversing": "reverses",
    "speed": "unusual speed",
    "model": "model differs",
    "intervention": "model leaves",
}
# Of one kind, each further one counts so much of the one before: no kind floods the
# top of the list.
OF_THE_BEFORE = 0.96
# Several kinds at one place are one moment, if it stays as short as this; each adds
# this part of its own score.
MOST_JOINED_ROWS, NEAR_ROWS, ADDED = 60, 3, 0.25
# Of each kind so many are kept.
MOST_OF_A_KIND = 60


@dataclass(frozen=True)
class Moment:
    """A stretch of rows that somebody should look at.

    Raises:
        ValueError: The rows are not in order, or the kind is unknown.
    """

    first: int
    """The first row, an index from 0."""
    last: int
    """The last row."""
    kind: str
    """One of KINDS; of several at one place, the plainest."""
    reason: str
    """What is the matter, in words."""
    score: float
    """How plain it is: 1 is worth a look, 3 can hardly be chance."""
    at: int
    """The row to show first."""

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.at <= self.last:
            raise ValueError(f"rows {self.first}, {self.at}, {self.last}")
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}, expected one of {list(KINDS)}")


def ranked(found: Iterable[Moment]) -> list[Moment]:
    """Return moments with those of one place joined, the plainest first."""
    joined: list[Moment] = []
    for moment in _discounted(found):
        for i, other in enumerate(joined):
            if _is_one_place(moment, other):
                joined[i] = _join(other, moment)
                break
        else:
            joined.append(moment)
    return sorted(joined, key=lambda moment: (-moment.score, moment.first))


def _discounted(found: Iterable[Moment]) -> Iterator[Moment]:
    """Yield moments, the plainest first, each less than those of its kind before it."""
    count: Counter[str] = Counter()
    best = sorted(found, key=lambda moment: (-moment.score, moment.first))
    kept = []
    for moment in best:
        if count[moment.kind] < MOST_OF_A_KIND:
            discount = OF_THE_BEFORE ** count[moment.kind]
            kept.append(replace(moment, score=moment.score * discount))
        count[moment.kind] += 1
    yield from sorted(kept, key=lambda moment: (-moment.score, moment.first))


def _is_one_place(moment: Moment, other: Moment) -> bool:
    apart = max(moment.first, other.first) - min(moment.last, other.last)
    length = max(moment.last, other.last) - min(moment.first, other.first) + 1
    return apart <= NEAR_ROWS and length <= MOST_JOINED_ROWS


def _join(plain: Moment, other: Moment) -> Moment:
    reason = plain.reason
    if other.kind != plain.kind and other.reason not in reason:
        reason += f"; {other.reason}"
    return replace(
        plain,
        first=min(plain.first, other.first),
        last=max(plain.last, other.last),
        reason=reason,
        score=plain.score + ADDED * other.score * (other.kind != plain.kind),
    )


def peaks(score: np.ndarray, least: float, apart: int) -> list[int]:
    """Return the places of the highest scores, the highest first.

    Args:
        score: float (n,); NaN counts for nothing.
        least: Lower ones are none.
        apart: Two are more than so many rows from one another.
    """
    places: list[int] = []
    taken = np.zeros(len(score), bool)
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    for place in order.tolist():
        if not score[place] >= least or len(places) == MOST_OF_A_KIND:
            break
        if not taken[place]:
            places.append(place)
            taken[max(0, place - apart) : place + apart + 1] = True
    return places


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last place of each run of set flags, bool (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    ends = zip(edges[::2], edges[1::2] - 1, strict=True)
    return [(int(first), int(last)) for first, last in ends]
