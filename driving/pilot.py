"""Turn what the car sees into what it is told: the model steers, a controller drives.

No network and no clock: the drive server hands in frames as they come, a simulator its
own at simulated times, and both get the very same driving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import InputError
from network.answer import Predict, read_answer

if TYPE_CHECKING:
    import numpy as np  # A command checks its --speed without waiting for NumPy.


@dataclass(frozen=True)
class Command:
    """What the car is told.

    Raises:
        ValueError: A value is outside [-1, 1] or not a number.
    """

    steering: float
    """Steering in [-1, 1], + is right."""
    throttle: float
    """Throttle in [-1, 1]; below 0 it brakes."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not -1 <= value <= 1:
                raise ValueError(f"{name} is {value}, expected [-1, 1]")


FULL_BRAKE = Command(steering=0.0, throttle=-1.0)
STOP = Command(steering=0.0, throttle=0.0)


class SpeedController:
    """Holds a speed: proportional and integral, with anti-windup.

    Args:
        target_mph: The speed to hold, 0 to 30 mph.
        gain: Throttle for each mph that is missing.
        integral_gain: Throttle for each mph that is missing for a second.

    Raises:
        InputError: The target is below 0 or beyond the simulator's 30 mph.
    """

    def __init__(
        self, target_mph: float, gain: float = 0.15, integral_gain: float = 0.03
    ) -> None:
        if not 0 <= target_mph <= 30:
            raise InputError(f"--speed is {target_mph}, expected 0 to 30 mph")
        self.target_mph = target_mph
        self.gain = gain
        self.integral_gain = integral_gain
        self._integral = 0.0

    def __call__(self, speed_mph: float, dt_s: float) -> float:
        """Return the throttle in [-1, 1], dt_s after the last call."""
        missing = self.target_mph - speed_mph
        wanted = self.gain * missing + self._integral
        # Anti-windup: a pedal that is already down says nothing about the hill.
        if -1 < wanted < 1 or wanted * missing < 0:
            self._integral += self.integral_gain * missing * min(dt_s, 0.2)
            self._integral = min(1.0, max(-1.0, self._integral))
        throttle = min(1.0, max(-1.0, self.gain * missing + self._integral))
        # The brake of a standing car is its reverse gear.
        return max(0.0, throttle) if abs(speed_mph) < 1 else throttle

    def reset(self) -> None:
        """Forget what is missing so far: somebody else has driven meanwhile."""
        self._integral = 0.0


class Pilot:
    """Turns a frame and a speed into a command.

    Args:
        predict: Function of a uint8 RGB frame (160, 320, 3) to steering, or to steering
            and bend, as model.make_predictor makes it.
    """

    def __init__(self, predict: Predict, speed_controller: SpeedController) -> None:
        self.predict = predict
        self.speed_controller = speed_controller

    def __call__(self, frame: np.ndarray, speed_mph: float, dt_s: float) -> Command:
        """Return the command for a uint8 RGB frame (160, 320, 3), dt_s after the last.

        Raises:
            ValueError: The model's answer is not a finite number.
        """
        steering, _ = read_answer(self.predict(frame))
        if not math.isfinite(steering):
            raise ValueError(f"the model answered {steering}")
        throttle = self.speed_controller(speed_mph, dt_s)
        return Command(min(1.0, max(-1.0, steering)), throttle)
