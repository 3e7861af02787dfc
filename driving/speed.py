"""A speed that is held: which ones there are, and the throttle for one."""

from __future__ import annotations

from common.errors import InputError


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
