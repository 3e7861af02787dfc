"""What a drive was like, frame by frame, and the measures of driving taken from it.

A rollout comes from the embedded simulator (closed_loop.py) or from a recording that is
driven again (replay.py). Autonomy is NVIDIA's: each intervention costs six seconds.

Source: Bojarski et al. 2016, End to End Learning for Self-Driving Cars, section 7.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from common.car import autonomy_percent, curvature_of

# A change over a longer gap, or an intervention, is nobody's steering.
MOST_GAP_S = 0.5
# So many of a drive's interventions get a picture.
MOST_PICTURES = 8


@dataclass(frozen=True)
class Intervention:
    """A moment at which a person would have taken the wheel.

    Raises:
        ValueError: The index is below 0.
    """

    index: int
    """The frame of the rollout after which it happened."""
    reason: str
    """What made it necessary, such as "1 m off", "off the road" or "stuck"."""
    picture: np.ndarray | None = field(default=None, repr=False, compare=False)
    """What the network last saw, uint8 RGB (h, w, 3); None if it was not kept."""

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError(f"index is {self.index}, expected 0 or more")


@dataclass(frozen=True, eq=False)
class Rollout:
    """A drive of one model along one road; arrays have one entry a frame.

    Raises:
        ValueError: The lengths differ, or an intervention lies beyond the last frame.
    """

    driver: str
    """Who drove: a model's path, or the name of a baseline."""
    road: str
    """Where: a recording's name, or a track and its direction."""
    time_s: np.ndarray
    """Time since the start, float64 (n,); gaps of a recording are left out."""
    distance_m: np.ndarray
    """Way along the recorded path or the centre line since the start, float64 (n,)."""
    x_m: np.ndarray
    """Place to the east, float64 (n,); for a recording by its steering and speed."""
    y_m: np.ndarray
    """Place to the north, float64 (n,)."""
    cross_track_error_m: np.ndarray
    """Distance from the recorded path or the lane's middle, float64 (n,); + right."""
    heading_error_rad: np.ndarray
    """Angle of the car's nose to the path, float64 (n,); + is right."""
    steering: np.ndarray
    """What the driver did, float64 (n,) in [-1, 1]."""
    reference_steering: np.ndarray
    """What was recorded, or what the expert would do, float64 (n,) in [-1, 1]."""
    speed_mps: np.ndarray
    """Speed over ground, float64 (n,)."""
    interventions: tuple[Intervention, ...]
    """All interventions in the order of time."""
    dt_s: np.ndarray
    """Time that each frame stands for, float64 (n,); its sum is the time driven."""
    place_m: np.ndarray | None = None
    """Distance from the road's middle, + right, float64 (n,), NaN where it is not
    known; None if it was not looked for."""

    def __post_init__(self) -> None:
        arrays = {n: a for n, a in vars(self).items() if isinstance(a, np.ndarray)}
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"lengths differ: {lengths}")
        for intervention in self.interventions:
            if intervention.index >= len(self.time_s):
                index, num_frames = intervention.index, len(self.time_s)
                raise ValueError(f"intervention after frame {index} of {num_frames}")

    @property
    def elapsed_s(self) -> float:
        """The time driven, without gaps."""
        return float(self.dt_s.sum())

    def autonomy_percent(self) -> float:
        """Return NVIDIA's autonomy, in percent."""
        return autonomy_percent(len(self.interventions), self.elapsed_s)

    def smoothness_per_s(self) -> float:
        """Return the mean |change of steering| per second; less is smoother."""
        if len(self.steering) < 2:
            return 0.0
        is_on = np.diff(self.time_s) < MOST_GAP_S
        is_on &= ~np.isin(np.arange(len(is_on)), self._ends())
        change = np.abs(np.diff(self.steering))[is_on]
        elapsed_s = np.diff(self.time_s)[is_on].sum()
        return float(change.sum() / elapsed_s) if elapsed_s else 0.0

    def sideways_mps2(self) -> np.ndarray:
        """Return the acceleration to the side, float64 (n,): speed² x curvature."""
        return self.speed_mps**2 * np.abs(curvature_of(self.steering))

    def jerk_per_s2(self) -> float:
        """Return the mean |change of the rate of steering|; less is smoother."""
        if len(self.steering) < 3:
            return 0.0
        ends = np.isin(np.arange(len(self.steering) - 1), self._ends())
        step_s = np.diff(self.time_s)
        is_on = (step_s < MOST_GAP_S) & (step_s > 0) & ~ends
        rate = np.diff(self.steering)[is_on] / step_s[is_on]
        is_next = np.diff(np.flatnonzero(is_on)) == 1
        change = np.abs(np.diff(rate)) / step_s[is_on][1:]
        return float(change[is_next].mean()) if is_next.any() else 0.0

    def _ends(self) -> list[int]:
        """Return the frames after which the car was put back."""
        return [intervention.index for intervention in self.interventions]

    def measures(self) -> dict[str, Any]:
        """Return every measure by name, rounded, as in the JSON document."""
        # A car that was not driven has made no error.
        has_frames = len(self.time_s) > 0
        error_m = np.abs(self.cross_track_error_m) if has_frames else np.zeros(1)
        return {
            "frames": len(self.time_s),
            "elapsed_s": round(self.elapsed_s, 2),
            "distance_m": round(float(self.distance_m[-1]) if has_frames else 0.0, 1),
            "interventions": len(self.interventions),
            "autonomy_percent": round(self.autonomy_percent(), 2),
            "mean_abs_cross_track_error_m": _rounded(error_m.mean()),
            "rms_cross_track_error_m": _rounded(np.sqrt(np.mean(error_m**2))),
            "p95_cross_track_error_m": _rounded(np.percentile(error_m, 95)),
            "max_abs_cross_track_error_m": _rounded(error_m.max()),
            "smoothness_per_s": _rounded(self.smoothness_per_s()),
            "steering_jerk_per_s2": _rounded(self.jerk_per_s2()),
            "mean_speed_mps": _rounded(self.speed_mps.mean() if has_frames else 0),
            "top_speed_mps": _rounded(self.speed_mps.max() if has_frames else 0),
            "p95_sideways_mps2": _rounded(
                np.percentile(self.sideways_mps2(), 95) if has_frames else 0
            ),
            "interventions_at": [
                {
                    "time_s": round(float(self.time_s[each.index]), 2),
                    "distance_m": round(float(self.distance_m[each.index]), 1),
                    "reason": each.reason,
                }
                for each in self.interventions
            ],
        }


def _rounded(value: float) -> float:
    return round(float(value), 4)
