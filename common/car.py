"""The simulator's car: its cameras, units, geometry, and how its driving is judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulator.vehicle import (
    BRAKING_SHARE,
    MAX_STEERING_RAD,
    MPS_PER_MPH,
    WHEELBASE_M,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BRAKING_SHARE", "MAX_STEERING_RAD", "MPS_PER_MPH", "WHEELBASE_M"]

CAMERAS = ("center", "left", "right")
# Height, width and RGB of every camera's frame.
FRAME_SHAPE = (160, 320, 3)
# The simulator's telemetry gives the angle of the front wheels in degrees.
MAX_STEERING_ANGLE_DEG = math.degrees(MAX_STEERING_RAD)
# The sharpest that it can turn: its front wheels at full lock.
MOST_CURVATURE_PER_M = math.tan(MAX_STEERING_RAD) / WHEELBASE_M
# Time that a person's intervention is counted with (Bojarski et al. 2016, section 7.1).
INTERVENTION_S = 6.0


def curvature_of(steering: np.ndarray | float) -> np.ndarray:
    """Return the curvature of the path that a steering gives.

    Args:
        steering: Steering in [-1, 1], of any shape.

    Returns:
        float64 of that shape, in 1/m; + is right.

    Source: the kinematic bicycle, whose tyres do not slip.
    """
    import numpy as np  # Not above: a command that refuses its input need not wait.

    angle_rad = np.asarray(steering, float) * MAX_STEERING_RAD
    return np.tan(angle_rad) / WHEELBASE_M


def steering_of(curvature_per_m: np.ndarray | float) -> np.ndarray:
    """Return the steering for a curvature in 1/m, clipped to [-1, 1]."""
    import numpy as np

    angle_rad = np.arctan(WHEELBASE_M * np.asarray(curvature_per_m, float))
    return np.clip(angle_rad / MAX_STEERING_RAD, -1, 1)


def mph_and_mps(speed_mph: float) -> str:
    """Return a speed as the simulator's users know it, and in SI units beside."""
    return f"{speed_mph:.1f} mph ({speed_mph * MPS_PER_MPH:.1f} m/s)"


def autonomy_percent(num_interventions: int, elapsed_s: float) -> float:
    """Return NVIDIA's autonomy: (1 - interventions x 6 s / elapsed) x 100, at least 0.

    Args:
        num_interventions: How often a person took, or would have taken, the wheel.
        elapsed_s: Time driven, in seconds.

    Source: Bojarski et al. 2016, arXiv 1604.07316, section 7.1.
    """
    if not elapsed_s:
        return 0.0 if num_interventions else 100.0
    lost = num_interventions * INTERVENTION_S / elapsed_s
    return max(0.0, (1 - lost) * 100)
