"""What a network is judged by while it learns: its steering, and the bend beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from common.car import MOST_CURVATURE_PER_M

Errors = Callable[[Any, Any], Any]
"""Turns what is taught and what is answered, (n, 1) or (n, 2), into (n,)."""


def steering_error(taught: Any, answered: Any) -> Any:
    """Return the square error of the steering, (n,)."""
    return ops.square(answered[:, 0] - taught[:, 0])


def bend_error(taught: Any, answered: Any) -> Any:
    """Return the square error of the bend, (n,), where that of full lock is 1.

    One that is not known, NaN, has no error.
    """
    is_known = ops.logical_not(ops.isnan(taught[:, 1]))
    # Not only the error: a NaN that is multiplied by 0 has a gradient of NaN.
    bend = ops.where(is_known, taught[:, 1], answered[:, 1])
    return ops.square((answered[:, 1] - bend) / MOST_CURVATURE_PER_M)


def both_errors(bend_weight: float) -> Errors:
    """Return a loss: the steering's square error, and the bend's times its weight."""

    def errors(taught: Any, answered: Any) -> Any:
        error = steering_error(taught, answered)
        if answered.shape[1] == 1:
            return error
        return error + bend_weight * bend_error(taught, answered)

    return errors
