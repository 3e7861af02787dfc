"""How far the car has turned, and where it goes round the other way from.

A lap turns the car once round, whatever its bends; a driver who turns round on the road
and drives back turns it back. So the sum of the turning is followed from one turning
point to the next: what is between them goes one way round.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from common.car import MPS_PER_MPH, curvature_of

# A lap bends back by less than this, of whole turns, before it goes on: the embedded
# mountain by 0.54, the lake by 0.28, a winding road by 0.46. Beyond it the car goes the
# other way, or the road is an eight, which has no way round.
LEAST_TURN = 0.6
# The simulator writes a row after 0.1 s or so; what was driven in a gap is not known.
MOST_STEP_S = 1.0


def turned_by(samples: pd.DataFrame) -> np.ndarray:
    """Return how often the car has turned round so far, from the log's first row on.

    Args:
        samples: Rows as Recording has them, with a fresh index.

    Returns:
        float64 (n,) of whole turns, + is clockwise.
    """
    speed_mps = samples["speed_mph"].to_numpy() * MPS_PER_MPH
    steering = np.clip(samples["steering"].to_numpy(), -1, 1)
    rate = curvature_of(steering) * speed_mps * steps_of(samples)
    return np.cumsum(rate) / (2 * np.pi)


def steps_of(samples: pd.DataFrame) -> np.ndarray:
    """Return the time since the row before, float64 (n,) [s]; 0 where a session begins.

    Args:
        samples: Rows as Recording has them.
    """
    same = samples["session"].diff().fillna(1).to_numpy() == 0
    step_s = np.where(same, samples["time_s"].diff().fillna(0), 0)
    return step_s.clip(0, MOST_STEP_S)


def one_way_stretches(
    turned: np.ndarray, least: float = LEAST_TURN
) -> list[tuple[int, int]]:
    """Return the stretches of a session in which the car goes one way round.

    Args:
        turned: What turned_by returns for its rows.
        least: It goes the other way once it has turned back by so much.

    Returns:
        The first and the last place of each; the last of one is the first of the next.
    """
    points, way, low, high = [0], 0, 0, 0
    for i, value in enumerate(turned):
        low = i if value < turned[low] else low
        high = i if value > turned[high] else high
        if way >= 0 and turned[high] - value >= least:
            points.append(high)
            way, low, high = -1, i, i
        elif way <= 0 and value - turned[low] >= least:
            points.append(low)
            way, low, high = 1, i, i
    # What a session begins with is part of what follows, unless it is as long itself.
    if len(points) > 1 and abs(turned[points[1]] - turned[0]) < least:
        del points[1]
    points.append(len(turned) - 1)
    return list(pairwise(points))
