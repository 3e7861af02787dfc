"""Back out, where a car stands against something though it is told to drive.

    recovery = Recovery()
    command = recovery(command, speed_mph, dt_s)      # of every frame that is answered

Nobody puts a car of the stock simulator back onto the road. What stands for STANDS_S
with its throttle open is driven backwards for a moment, the wheels turned away from
where the model wants to go: backwards, that swings the nose there. Then the model
drives on. A person at the wheel, the brake and a fault come before it.
"""

from __future__ import annotations

import math

from common.car import MPS_PER_MPH
from driving.pilot import Command
from driving.wheel import STANDING_MPH

# So long a car stands with its throttle open before it is taken to be held.
STANDS_S = 2.0
OPEN_THROTTLE = 0.2
# It backs so far, or for so long where something is behind it too. The simulator's
# reverse gear gives 1.2 m/s², and does not climb.
BACK_M, MOST_BACK_S = 3.0, 3.5
# After so many attempts in a row it is left standing, until it has come so far again.
MOST_ATTEMPTS, IS_FREE_M = 3, 15.0
# Below this steering the model wants straight on, and the car backs straight.
STRAIGHT = 0.05
# A longer time between two frames is no time driven.
MOST_STEP_S = 0.5


class Recovery:
    """Watches one car, and backs it out."""

    def __init__(self) -> None:
        self.attempts = 0
        """How often it was backed out so far."""
        self._in_a_row = 0
        self.reset()

    @property
    def is_backing(self) -> bool:
        """Whether it backs out now."""
        return self._back_steering is not None

    def reset(self) -> None:
        """Let another drive: a person, or the brake."""
        self._stood_s = self._steered = self._driven_m = 0.0
        self._backed_s = self._backed_m = 0.0
        self._back_steering: float | None = None

    def __call__(self, command: Command, speed_mph: float, dt_s: float) -> Command:
        """Return what the car is told: the model's command, or to back out.

        Args:
            command: What the model does.
            speed_mph: The car's speed, of which the simulator tells no direction.
            dt_s: Time since the frame before.
        """
        dt_s = min(max(dt_s, 0.0), MOST_STEP_S)
        if self.is_backing:
            self._backed_s += dt_s
            self._backed_m += abs(speed_mph) * MPS_PER_MPH * dt_s
            if self._backed_s < MOST_BACK_S and self._backed_m < BACK_M:
                return self._back()
            self.reset()
            return command
        is_held = abs(speed_mph) < STANDING_MPH and command.throttle > OPEN_THROTTLE
        if not is_held:
            self._stood_s = self._steered = 0.0
            self._driven_m += abs(speed_mph) * MPS_PER_MPH * dt_s
            if self._driven_m > IS_FREE_M:
                self._in_a_row = 0
            return command
        self._stood_s += dt_s
        self._steered += command.steering * dt_s
        if self._stood_s < STANDS_S or self._in_a_row >= MOST_ATTEMPTS:
            return command
        self.attempts += 1
        self._in_a_row += 1
        wants = self._steered / self._stood_s
        is_straight = abs(wants) < STRAIGHT
        self._back_steering = 0.0 if is_straight else -math.copysign(1.0, wants)
        return self._back()

    def _back(self) -> Command:
        assert self._back_steering is not None
        return Command(self._back_steering, -1.0)
