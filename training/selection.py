"""Choose weights by driving: the held-out stretches, driven again after every epoch.

A low loss says little about driving. `train.py --select driving` keeps the weights that
need the fewest interventions when the held-out blocks are replayed (replay.py), and
among equals those that stay nearest to the path.

Source: Bojarski et al. 2016, arXiv 1604.07316, section 7.1; Codevilla et al. 2018,
arXiv 1809.04843, on how little offline errors say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from common.errors import InputError
from evaluation.replay import (
    LIMITS_M,
    RecordedPath,
    in_batches,
    model_driver,
    read_path,
    replay,
)
from training.samples import cache_positions
from training.view_cache import ViewCache

S_PER_MIN = 60.0


@dataclass(frozen=True)
class Driving:
    """How a network drove the held-out stretches.

    Raises:
        ValueError: A value is below 0.
    """

    interventions_per_min: float
    """Interventions at NVIDIA's limit of 1 m, a minute."""
    rms_m: float
    """Root mean square of the cross-track error, put back at 2 m."""

    def __post_init__(self) -> None:
        if min(self.interventions_per_min, self.rms_m) < 0:
            raise ValueError(f"{self}: expected 0 or more")

    @property
    def penalty(self) -> float:
        """What is to be small: interventions first, then the error."""
        # A tenth of a metre weighs like an intervention in a hundred minutes.
        return self.interventions_per_min + self.rms_m / 10


class DrivingTest:
    """Replays held-out stretches, rows as usable_samples returns them, from the cache.

    Raises:
        InputError: The rows have no time stamps, or nothing is driven.
    """

    def __init__(self, samples: pd.DataFrame, cache: ViewCache) -> None:
        self._cache = cache
        self._parts: list[tuple[RecordedPath, np.ndarray]] = []
        for _, part in samples.groupby("recording", sort=False):
            own = part.reset_index(drop=True)
            self._parts.append((read_path(own), cache_positions(own, cache)))
        if not any(path.dt_s.any() for path, _ in self._parts):
            raise InputError(
                "--select driving: the car stands in all that is held out, expected a "
                "drive; choose by --select loss"
            )

    def __call__(self, predict: Callable[[np.ndarray], np.ndarray]) -> Driving:
        """Drive.

        Args:
            predict: What gives the steering (n, 1) for views, uint8 (n, 66, 200, 3); n
                is always the same.
        """
        near_m, far_m = LIMITS_M
        count, elapsed_s, errors_m = 0, 0.0, [np.zeros(1)]
        for path, positions in self._parts:

            def views(
                rows: np.ndarray, camera: np.ndarray, at: np.ndarray = positions
            ) -> np.ndarray:
                return self._cache.gather(at[rows, camera])

            drive = model_driver(path, in_batches(predict), views, self._cache.geometry)
            rollouts = replay(drive, path)
            count += len(rollouts[near_m].interventions)
            elapsed_s += rollouts[near_m].elapsed_s
            errors_m.append(rollouts[far_m].cross_track_error_m)
        rms_m = float(np.sqrt(np.mean(np.concatenate(errors_m) ** 2)))
        return Driving(S_PER_MIN * count / max(elapsed_s, 1.0), rms_m)
