"""Turn what the car sees into what it is told: the model steers, a controller drives.

No network and no clock: the drive server hands in frames as they come, a simulator its
own at simulated times, and both get the very same driving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.car import FRAME_SHAPE
from common.errors import InputError
from driving.speed import SpeedController
from driving.speed_plan import ModelledSpeed, SpeedPlan
from network.answer import Answer, Predict, read_answer

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


def pilot_of(predict: Predict, speed_mph: float, sideways_mps2: float | None) -> Pilot:
    """Return a pilot that holds a speed, or plans it.

    Raises:
        InputError: A number is out of its range.
    """
    plan = None if sideways_mps2 is None else SpeedPlan(sideways_mps2)
    modelled = ModelledSpeed(speed_mph, plan)
    return Pilot(predict, SpeedController(speed_mph), modelled)


def check_sees_bends(predict: Predict, name: object) -> None:
    """See that a model tells what a plan needs.

    Raises:
        InputError: It gives the steering alone.
    """
    import numpy as np  # Not above: the flags of drive.py need this module.

    if not isinstance(predict(np.zeros(FRAME_SHAPE, np.uint8)), Answer):
        raise InputError(
            f"{name}: it has no output for bends, which the speed is planned by "
            "(--speed auto, --sideways-mps2); give --speed in mph alone, or teach it "
            "bends: python train.py RECORDING --from MODEL --keep-steering"
        )
