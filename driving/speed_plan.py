"""How fast to drive, and the throttle for it: as the bend that comes allows.

    speed = ModelledSpeed(30, SpeedPlan(sideways_mps2=4))
    throttle = speed(speed_mph, dt_s, steering, bend_per_m)

The bend that a network gives already has the way to brake in it (recordings/bends.py),
so the speed that it allows falls before a hairpin as a braking car's does, and rises
out of it. The throttle is that of a model of the car: what it wants of it, and what
drag, and the slope that its last answers have shown, take.
"""

from __future__ import annotations

import argparse
import math

from common.car import BRAKING_SHARE, MPS_PER_MPH, curvature_of
from common.errors import InputError
from driving.speed import check_speed
from simulator.vehicle import (
    BRAKE_MPS2,
    DRAG_PER_S,
    GRAVITY_MPS2,
    REVERSE_BELOW_MPS,
    REVERSE_MPS2,
    ROLLING_MPS2,
    THROTTLE_MPS2,
    TOP_SPEED_MPS,
)

# Sideways acceleration in bends, measured in docs/results.md; the tyres give 10.
SIDEWAYS_MPS2 = 4.0
LEAST_SIDEWAYS_MPS2, MOST_SIDEWAYS_MPS2 = 0.5, 8.0
# What is driven while the network is unsure, and the least of any plan.
UNSURE_MPH, LEAST_MPH = 10.0, 4.0
# Bends beyond these are of no road that the car can drive: it does not know the place.
LEAST_BEND_PER_M, MOST_BEND_PER_M = -0.03, 0.25
# How much bend and steering go to and fro is measured over this time. On lake and in
# the jungle it was at most 0.16 /m and 1.7 a second, on frames of noise the steering's
# is 3.4 and more (docs/experiments.md).
UNREST_S = 1.0
MOST_BEND_UNREST_PER_M_S, MOST_STEERING_UNREST_PER_S = 0.3, 3.0
# Frames differ by noise: the bend is averaged over this time; over a longer one the
# steering, as it is to show where the car is in a bend that the network has missed.
BEND_OVER_S, STEERING_OVER_S = 0.15, 0.4
# In so long the difference from the planned speed is to be gone, and a slope be known.
SPEED_WITHIN_S, SLOPE_WITHIN_S = 0.35, 0.4
# Over this time it is looked how fast the plan falls.
FALL_OVER_S = 0.15
# How fast the plan rises: out of a bend, and after a frame that was taken for one.
MOST_GAIN_MPS2 = 4.0
# The steepest slope that is believed, of 45 %.
MOST_SLOPE_MPS2 = GRAVITY_MPS2 * math.sin(math.atan(0.45))
# A longer time between two frames says little of what the car did in it.
MOST_STEP_S = 0.2


# The word for a speed that follows from the road.
AUTO = "auto"
TOP_MPH = 30.0


def speed_of_text(text: str) -> float | str:
    """Return what stands behind --speed: a number of mph, or AUTO.

    Raises:
        ArgumentTypeError: It is neither.
    """
    try:
        return AUTO if text == AUTO else float(text)
    except ValueError:
        why = f"{text!r} is neither a number of mph nor {AUTO}"
        raise argparse.ArgumentTypeError(why) from None


def limits_of(
    speed: float | str, sideways_mps2: float | None
) -> tuple[float, float | None]:
    """Return speed and sideways limit of --speed and --sideways-mps2 as given.

    AUTO is the simulator's top speed with the usual limit; a number with a limit is a
    ceiling, and without one a speed to hold.

    Returns:
        The speed to hold, or not to exceed, in mph; and the limit, None to hold it.
    """
    if isinstance(speed, str):
        return TOP_MPH, SIDEWAYS_MPS2 if sideways_mps2 is None else sideways_mps2
    return speed, sideways_mps2


def check_limits(speed: float | str, sideways_mps2: float | None) -> None:
    """See that --speed and --sideways-mps2 are what a car can drive by.

    Raises:
        InputError: One is out of its range.
    """
    speed_mph, sideways_mps2 = limits_of(speed, sideways_mps2)
    check_speed(speed_mph)
    if sideways_mps2 is not None:
        SpeedPlan(sideways_mps2)


def speed_words(speed_mph: float, sideways_mps2: float | None) -> str:
    """Return in words how fast a car is to drive."""
    if sideways_mps2 is None:
        return f"to hold {speed_mph:g} mph"
    return (
        f"to drive as bends allow, by {sideways_mps2:g} m/s² to the side, and up to "
        f"{speed_mph:g} mph"
    )


class SpeedPlan:
    """Says how fast to drive, from what the network sees.

    Args:
        sideways_mps2: The acceleration across the road that bends may take.

    Raises:
        InputError: It is out of its range.
    """

    def __init__(self, sideways_mps2: float = SIDEWAYS_MPS2) -> None:
        if not LEAST_SIDEWAYS_MPS2 <= sideways_mps2 <= MOST_SIDEWAYS_MPS2:
            raise InputError(
                f"--sideways-mps2 is {sideways_mps2:g}, expected "
                f"{LEAST_SIDEWAYS_MPS2:g} to {MOST_SIDEWAYS_MPS2:g} m/s²"
            )
        self.sideways_mps2 = sideways_mps2
        self.is_unsure = False
        """Whether the network seems not to know the place."""
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: the car is elsewhere, or somebody else has driven."""
        self._bend: float | None = None
        self._curvature = 0.0
        self._last: tuple[float, float] | None = None
        self._bend_unrest = self._steering_unrest = 0.0
        self._planned_mps: float | None = None

    def __call__(
        self, ceiling_mph: float, steering: float, bend_per_m: float, dt_s: float
    ) -> float:
        """Return the speed to drive now, in mph, at most the ceiling.

        Args:
            ceiling_mph: The speed that is not to be exceeded.
            steering: What the network steers, [-1, 1].
            bend_per_m: The bend that it sees, finite.
            dt_s: Time since the last frame.
        """
        dt_s = min(max(dt_s, 0.0), MOST_STEP_S)
        self.is_unsure = self._look_unsure(steering, bend_per_m, dt_s)
        seen = min(max(bend_per_m, 0.0), MOST_BEND_PER_M)
        bend = seen if self._bend is None else self._bend
        self._bend = bend + (seen - bend) * part_of(dt_s, BEND_OVER_S)
        turning = abs(float(curvature_of(steering))) - self._curvature
        self._curvature += turning * part_of(dt_s, STEERING_OVER_S)
        sharpest = max(self._bend, self._curvature, 1e-6)
        planned_mps = math.sqrt(self.sideways_mps2 / sharpest)
        planned_mps = max(planned_mps, LEAST_MPH * MPS_PER_MPH)
        if self.is_unsure:
            planned_mps = min(planned_mps, UNSURE_MPH * MPS_PER_MPH)
        planned_mps = min(planned_mps, ceiling_mph * MPS_PER_MPH)
        if self._planned_mps is not None:
            most_mps = self._planned_mps + MOST_GAIN_MPS2 * dt_s
            planned_mps = min(planned_mps, most_mps)
        self._planned_mps = planned_mps
        return planned_mps / MPS_PER_MPH

    def _look_unsure(self, steering: float, bend_per_m: float, dt_s: float) -> bool:
        """Say whether what is answered goes to and fro as on no road."""
        before, self._last = self._last, (steering, bend_per_m)
        keep = math.exp(-dt_s / UNREST_S)
        self._steering_unrest *= keep
        self._bend_unrest *= keep
        if before is not None:
            self._steering_unrest += abs(steering - before[0]) / UNREST_S
            self._bend_unrest += abs(bend_per_m - before[1]) / UNREST_S
        return (
            not LEAST_BEND_PER_M <= bend_per_m <= MOST_BEND_PER_M
            or self._bend_unrest > MOST_BEND_UNREST_PER_M_S
            or self._steering_unrest > MOST_STEERING_UNREST_PER_S
        )


class ModelledSpeed:
    """Holds a speed, or that of a plan: a model of the car, and the slope as it shows.

    Args:
        target_mph: The speed to hold, or not to exceed, 0 to 30 mph.
        plan: Says how fast to drive up to it; None: as fast as that.

    Raises:
        InputError: The speed is out of its range.
    """

    def __init__(self, target_mph: float, plan: SpeedPlan | None = None) -> None:
        check_speed(target_mph)
        self.target_mph = target_mph
        """The speed to hold, or the ceiling, which may be set anew at any time."""
        self.plan = plan
        self.planned_mph: float | None = None
        """The speed planned last; None where there is no plan, or was no frame."""
        self.reset()

    def reset(self) -> None:
        """Forget the slope, and the road ahead: somebody else has driven meanwhile."""
        if self.plan:
            self.plan.reset()
        self._slope_mps2 = self._falling_mps2 = 0.0
        self._told: float | None = None
        self._speed_mps = 0.0
        self._wanted_mps: float | None = None

    def __call__(
        self, speed_mph: float, dt_s: float, steering: float, bend_per_m: float
    ) -> float:
        """Return the throttle in [-1, 1]; the other arguments are those of the plan."""
        wanted_mph = self.target_mph
        if self.plan:
            wanted_mph = self.plan(self.target_mph, steering, bend_per_m, dt_s)
            self.planned_mph = wanted_mph
        speed_mps, wanted_mps = speed_mph * MPS_PER_MPH, wanted_mph * MPS_PER_MPH
        self._feel_slope(speed_mps, dt_s)
        self._see_fall(wanted_mps, dt_s)
        wanted_mps2 = (wanted_mps - speed_mps) / SPEED_WITHIN_S + self._falling_mps2
        wanted_mps2 += drag_mps2(speed_mps) + self._slope_mps2
        throttle = wanted_mps2 / (THROTTLE_MPS2 if wanted_mps2 > 0 else BRAKE_MPS2)
        throttle = min(1.0, max(-1.0, throttle))
        # The brake of a standing car is its reverse gear.
        self._told = max(0.0, throttle) if abs(speed_mph) < 1 else throttle
        self._speed_mps = speed_mps
        return self._told

    def _see_fall(self, wanted_mps: float, dt_s: float) -> None:
        """Learn how fast the plan falls: who brakes by what is missing is too late."""
        before, self._wanted_mps = self._wanted_mps, wanted_mps
        if not (self.plan and before is not None and dt_s > 0):
            return
        most_mps2 = BRAKING_SHARE * self.plan.sideways_mps2
        fall_mps2 = max(-most_mps2, min(0.0, (wanted_mps - before) / dt_s))
        change_mps2 = fall_mps2 - self._falling_mps2
        self._falling_mps2 += change_mps2 * part_of(dt_s, FALL_OVER_S)

    def _feel_slope(self, speed_mps: float, dt_s: float) -> None:
        """Learn from what the last throttle has come to how the road climbs."""
        if self._told is None or not 0 < dt_s <= MOST_STEP_S:
            return
        expected_mps2 = drive_mps2(self._told, speed_mps) - drag_mps2(speed_mps)
        gained_mps = speed_mps - self._speed_mps
        taken_mps = (expected_mps2 - self._slope_mps2) * dt_s - gained_mps
        # At its top speed, and standing, the car does not gain, whatever the slope.
        is_held = speed_mps > TOP_SPEED_MPS - 0.2 or speed_mps < MPS_PER_MPH
        if is_held and taken_mps > 0:
            return
        slope_mps2 = self._slope_mps2 + taken_mps / SLOPE_WITHIN_S
        self._slope_mps2 = min(MOST_SLOPE_MPS2, max(-MOST_SLOPE_MPS2, slope_mps2))


def part_of(dt_s: float, over_s: float) -> float:
    """Return how much of a change a mean over some time takes up in a step."""
    return 1 - math.exp(-dt_s / over_s)


def drive_mps2(throttle: float, speed_mps: float) -> float:
    """Return what throttle or brake give."""
    if throttle >= 0:
        return THROTTLE_MPS2 * throttle
    return (BRAKE_MPS2 if speed_mps > REVERSE_BELOW_MPS else REVERSE_MPS2) * throttle


def drag_mps2(speed_mps: float) -> float:
    """Return what air and tyres take of a car that drives forward."""
    return ROLLING_MPS2 + DRAG_PER_S * max(0.0, speed_mps)
