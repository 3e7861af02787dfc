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

    from driving.speed_plan import ModelledSpeed


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


def check_speed(target_mph: float) -> None:
    """See that a speed is one that the simulator's car can hold.

    Raises:
        InputError: It is below 0 or beyond the simulator's 30 mph.
    """
    if not 0 <= target_mph <= 30:
        raise InputError(f"--speed is {target_mph}, expected 0 to 30 mph")


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
        check_speed(target_mph)
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

    A model that gives the steering alone is driven at a speed that SpeedController
    holds; one that sees bends, by the model of the car of speed_plan.py: at one speed,
    or as fast as they allow.

    Args:
        predict: Function of a uint8 RGB frame (160, 320, 3) to steering, or to steering
            and bend, as model.make_predictor makes it.
        speed_controller: Holds the speed where no bend is seen.
        modelled: Holds it, or plans it, where one is; None: as where none is.
    """

    def __init__(
        self,
        predict: Predict,
        speed_controller: SpeedController,
        modelled: ModelledSpeed | None = None,
    ) -> None:
        self.predict = predict
        self.speed_controller = speed_controller
        self.modelled = modelled

    @property
    def planned_mph(self) -> float | None:
        """The speed that was planned for the last frame; None without a plan."""
        return self.modelled.planned_mph if self.modelled else None

    def set_speed(self, target_mph: float) -> None:
        """Set the speed to hold, or not to exceed, 0 to 30 mph."""
        for keeper in (self.speed_controller, self.modelled):
            if keeper:
                keeper.target_mph = target_mph

    def reset(self) -> None:
        """Forget what the speed is held by: somebody else has driven meanwhile."""
        for keeper in (self.speed_controller, self.modelled):
            if keeper:
                keeper.reset()

    def __call__(self, frame: np.ndarray, speed_mph: float, dt_s: float) -> Command:
        """Return the command for a uint8 RGB frame (160, 320, 3), dt_s after the last.

        Raises:
            ValueError: The model's answer is not a finite number, or its bend.
        """
        steering, bend_per_m = read_answer(self.predict(frame))
        if not math.isfinite(steering):
            raise ValueError(f"the model answered {steering}")
        if bend_per_m is not None and not math.isfinite(bend_per_m):
            raise ValueError(f"the model answered a bend of {bend_per_m}")
        clipped = min(1.0, max(-1.0, steering))
        if bend_per_m is None or self.modelled is None:
            throttle = self.speed_controller(speed_mph, dt_s)
        else:
            throttle = self.modelled(speed_mph, dt_s, clipped, bend_per_m)
        return Command(clipped, throttle)
