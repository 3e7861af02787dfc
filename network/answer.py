"""What a model answers of a frame: how to steer, and what bend it sees coming."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Answer(NamedTuple):
    """Steering and bend, as a model of two outputs gives them."""

    steering: float
    """Steering, + is right; not clipped, about [-1, 1]."""
    bend_per_m: float
    """The bend that comes (recordings/bends.py), 1/m; not clipped, about 0 to 0.16."""


Predict = Callable[["np.ndarray"], float | Answer]
"""Turns a uint8 RGB frame (160, 320, 3) into steering, or into an Answer."""


def read_answer(answer: float | Answer) -> tuple[float, float | None]:
    """Return steering and bend; the bend is None of a model that gives none."""
    return answer if isinstance(answer, Answer) else (answer, None)
