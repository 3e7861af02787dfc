"""A person's hands: held keys, mouse and gamepad in, steering and throttle out.

The ramps are those of the stock simulator, so that what a person records here has the
same grain as what one records there. No Panda3D: `window` reads the devices.

Source: CarRemoteControl.cs and the Input settings of the Udacity simulator.
"""

from collections.abc import Set
from dataclasses import dataclass

from simulator.errors import Refusal
from simulator.vehicle import clipped

STEERING_PER_S = 2.5  # 0.05 in each of its steps of 0.02 s, while a key is held
THROTTLE_PER_S = 3.0
RETURN_PER_S = 3.0  # back to zero when nothing is held
CRUISE_THROTTLE = 0.4  # of the space bar
MOUSE_FULL_LOCK = 1 / 6  # share of the window's width from the middle to full lock
DEAD_ZONE = 0.08  # of a gamepad's stick

LEFT_KEYS = frozenset({"arrow_left", "a"})
RIGHT_KEYS = frozenset({"arrow_right", "d"})
FORWARD_KEYS = frozenset({"arrow_up", "w"})
BACKWARD_KEYS = frozenset({"arrow_down", "s"})
CRUISE_KEY = "space"


@dataclass(frozen=True)
class Inputs:
    """What the devices say now."""

    keys: Set[str] = frozenset()
    """Names of the keys held, as Panda3D has them."""
    drag: float | None = None
    """How far the mouse was dragged to the right, as a share of the window's width.

    None: it is not dragged.
    """
    stick: float = 0.0
    """The gamepad's stick, [-1, 1], + is right; 0 without one."""
    pedals: float = 0.0
    """The gamepad's right trigger less its left one, [-1, 1]; 0 without one."""

    def __post_init__(self) -> None:
        for name in ("stick", "pedals"):
            value = getattr(self, name)
            if not -1 <= value <= 1:
                raise Refusal(f"{name} is {value}, expected [-1, 1]")


class Controls:
    """Steering wheel and pedals, moved by what is held."""

    def __init__(self) -> None:
        self.steering = 0.0
        """Where the steering wheel is, [-1, 1], + is right."""
        self.throttle = 0.0
        """Where the pedals are, [-1, 1], negative brakes."""

    def step(self, inputs: Inputs, dt_s: float) -> None:
        """Move on by `dt_s`. The mouse goes before the gamepad, that before keys."""
        if inputs.drag is not None:
            self.steering = clipped(inputs.drag / MOUSE_FULL_LOCK)
        elif abs(inputs.stick) > DEAD_ZONE:
            self.steering = inputs.stick
        else:
            turn = _direction(inputs.keys, RIGHT_KEYS, LEFT_KEYS)
            self.steering = ramp(self.steering, turn, STEERING_PER_S, dt_s)
        push = _direction(inputs.keys, FORWARD_KEYS, BACKWARD_KEYS)
        if abs(inputs.pedals) > DEAD_ZONE:
            self.throttle = inputs.pedals
        elif not push and CRUISE_KEY in inputs.keys:
            self.throttle = CRUISE_THROTTLE
        else:
            self.throttle = ramp(self.throttle, push, THROTTLE_PER_S, dt_s)


def ramp(value: float, direction: int, rate_per_s: float, dt_s: float) -> float:
    """Return an axis of the keyboard, [-1, 1], `dt_s` later.

    `direction` is 1 or -1 while a key is held, 0 when none is, or both.
    """
    if direction:
        start = value if value * direction > 0 else 0.0  # snaps through the middle
        return clipped(start + direction * rate_per_s * dt_s)
    back = RETURN_PER_S * dt_s
    return max(0.0, value - back) if value > 0 else min(0.0, value + back)


def _direction(keys: Set[str], plus: Set[str], minus: Set[str]) -> int:
    return bool(keys & plus) - bool(keys & minus)
