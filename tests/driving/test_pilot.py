"""Commands, and the speed held on the longitudinal model of the simulator's car."""

import numpy as np
import pytest

from common.car import MPS_PER_MPH
from common.errors import InputError
from driving.pilot import Command, Pilot, SpeedController

FRAME = np.zeros((160, 320, 3), np.uint8)


@pytest.mark.parametrize("values", [(1.1, 0), (0, -1.5), (float("nan"), 0)])
def test_command_refuses_what_the_car_cannot_do(values):
    with pytest.raises(ValueError, match=r"expected \[-1, 1\]"):
        Command(*values)


def drive_for(controller, seconds, grade=0.0, speed_mps=0.0, held=False):
    """Return speeds [mph] of a car on the model fitted to the real one, at 15 Hz."""
    dt_s, speeds = 1 / 15, []
    for _ in range(round(seconds / dt_s)):
        throttle = controller(speed_mps / MPS_PER_MPH, dt_s)
        if not held:
            pull = 5.6 * throttle if throttle > 0 else 6.2 * throttle
            rolling = (0.1 * speed_mps + 0.3) * (speed_mps > 0)
            speed_mps = max(0.0, speed_mps + dt_s * (pull - rolling - 9.81 * grade))
        speeds.append(speed_mps / MPS_PER_MPH)
    return np.array(speeds)


@pytest.mark.parametrize("target_mph", [5, 15, 25, 30])
def test_speed_is_reached_and_held(target_mph):
    speeds = drive_for(SpeedController(target_mph), 40)
    assert speeds.max() < target_mph + 1.0
    np.testing.assert_allclose(speeds[-150:], target_mph, atol=0.3)


def test_speed_is_held_on_a_hill():
    controller = SpeedController(15)
    drive_for(controller, 20)
    uphill = drive_for(controller, 20, grade=0.15, speed_mps=15 * MPS_PER_MPH)
    np.testing.assert_allclose(uphill[-100:], 15, atol=0.5)


def test_standing_blocked_winds_nothing_up():
    """After half a minute against a wall the car overshoots no more than from rest."""
    controller = SpeedController(15)
    drive_for(controller, 30, held=True)
    assert drive_for(controller, 30).max() < 16.5


def test_car_brakes_when_much_too_fast_and_never_reverses():
    controller = SpeedController(5)
    assert controller(30, 0.07) == -1
    assert SpeedController(0)(0.0, 0.07) == 0


def test_speed_out_of_range_is_refused():
    with pytest.raises(InputError, match="--speed is 80, expected 0 to 30 mph"):
        SpeedController(80)


def test_steering_is_clipped_and_no_number_is_a_fault():
    controller = SpeedController(15)
    assert Pilot(lambda frame: 7.0, controller)(FRAME, 10.0, 0.1).steering == 1
    assert Pilot(lambda frame: -0.3, controller)(FRAME, 10.0, 0.1).steering == -0.3
    with pytest.raises(ValueError, match="the model answered inf"):
        Pilot(lambda frame: float("inf"), controller)(FRAME, 10.0, 0.1)
