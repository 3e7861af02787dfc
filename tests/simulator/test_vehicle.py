"""The car against closed forms, a kinematic reference, and the fitted log."""

import math

import pytest

from simulator.vehicle import (
    MAX_STEERING_RAD,
    MPS_PER_MPH,
    REAR_AXLE_M,
    TOP_SPEED_MPS,
    WHEELBASE_M,
    Car,
    next_speed_mps,
    tyre_grip,
)

DT_S = 1 / 60


class KinematicCar:
    """A bicycle without slip: what the car must be when it drives slowly."""

    def __init__(self, speed_mps):
        self.x_m = self.y_m = self.heading_rad = 0.0
        self.speed_mps = speed_mps

    def step(self, steering, dt_s):
        wheel_rad = -steering * MAX_STEERING_RAD
        turn = self.speed_mps * math.tan(wheel_rad) / WHEELBASE_M
        slip_rad = math.atan(turn * REAR_AXLE_M / self.speed_mps)
        ahead_mps = self.speed_mps / math.cos(slip_rad)
        course_rad = self.heading_rad + slip_rad
        self.x_m += ahead_mps * math.cos(course_rad) * dt_s
        self.y_m += ahead_mps * math.sin(course_rad) * dt_s
        self.heading_rad += turn * dt_s


def hold_speed(car, steering, seconds, speed_mps):
    for _ in range(round(seconds / DT_S)):
        car.step(steering, 1.0, DT_S)
        car.forward_mps = speed_mps


def test_straight_wheels_drive_straight_on():
    car = Car(1.0, 2.0, 0.5, 10.0)
    for _ in range(600):
        car.step(0.0, 0.3, DT_S)
    across = (car.x_m - 1) * math.sin(0.5) - (car.y_m - 2) * math.cos(0.5)
    assert abs(across) < 1e-9
    assert car.heading_rad == 0.5


def test_positive_steering_turns_right():
    car = Car(0.0, 0.0, 0.0, 5.0)
    for _ in range(60):
        car.step(0.5, 0.2, DT_S)
    assert car.heading_rad < 0 and car.y_m < 0


@pytest.mark.parametrize("steering", [-0.8, 0.3, 1.0])
def test_slow_car_follows_the_kinematic_reference(steering):
    car, reference = Car(0.0, 0.0, 0.0, 1.5), KinematicCar(1.5)
    for _ in range(300):
        car.step(steering, 0.0, DT_S)
        car.forward_mps = 1.5
        reference.step(steering, DT_S)
    # The reference turns once per step, the car twice: half a step of turning apart,
    # and the car coasts a little within each step.
    assert math.dist((car.x_m, car.y_m), (reference.x_m, reference.y_m)) < 0.15
    assert car.heading_rad == pytest.approx(reference.heading_rad, rel=0.01)


@pytest.mark.parametrize(
    ("steering", "share"), [(0.1, 1.00), (0.4, 0.99), (0.7, 0.98), (1.0, 0.95)]
)
def test_steady_turn_at_30_mph_is_nearly_kinematic(steering, share):
    speed_mps = 30 * MPS_PER_MPH
    car = Car(0.0, 0.0, 0.0, speed_mps)
    hold_speed(car, steering, 5.0, speed_mps)
    kinematic = -speed_mps * math.tan(MAX_STEERING_RAD * steering) / WHEELBASE_M
    # The real car's yaw over a lap is 0.985 of it; shares as the tyre curve gives them.
    assert car.yaw_rate_per_s / kinematic == pytest.approx(share, abs=0.02)


def test_steady_turn_is_a_circle_of_the_expected_radius():
    car = Car(0.0, 0.0, 0.0, 5.0)
    hold_speed(car, 0.5, 5.0, 5.0)
    expected = WHEELBASE_M / math.tan(0.5 * MAX_STEERING_RAD)
    assert 5.0 / abs(car.yaw_rate_per_s) == pytest.approx(expected, rel=0.01)


def test_left_and_right_are_mirror_images():
    left, right = Car(0.0, 0.0, 0.0, 8.0), Car(0.0, 0.0, 0.0, 8.0)
    for step in range(300):
        steering = math.sin(step / 20)
        left.step(-steering, 0.4, DT_S)
        right.step(steering, 0.4, DT_S)
    assert left.x_m == right.x_m
    assert (left.y_m, left.heading_rad) == (-right.y_m, -right.heading_rad)


@pytest.mark.parametrize(
    ("speed_mps", "throttle", "expected"),
    [(3, 1, 5.0), (9, 1, 4.4), (9, 0, -1.2), (12.7, 0, -1.57), (9, -1, -7.4)],
)
def test_accelerations_are_those_of_the_log(speed_mps, throttle, expected):
    gained = next_speed_mps(speed_mps, throttle, 0.001) - speed_mps
    # The fit is to 0.3 m/s² over the whole range.
    assert gained / 0.001 == pytest.approx(expected, abs=0.05)


def test_full_throttle_reaches_the_cap_and_no_more():
    car = Car(0.0, 0.0, 0.0)
    for _ in range(600):
        car.step(0.0, 1.0, DT_S)
    assert car.forward_mps == TOP_SPEED_MPS


def test_coasting_car_comes_to_rest_and_stays():
    car = Car(0.0, 0.0, 0.0, 3.0)
    for _ in range(1200):
        car.step(0.0, 0.0, DT_S)
    assert car.forward_mps == 0.0
    assert car.x_m > 0


def test_slow_car_backs_up_when_it_brakes():
    car = Car(0.0, 0.0, 0.0, 0.0)
    for _ in range(120):
        car.step(0.0, -1.0, DT_S)
    assert car.forward_mps == pytest.approx(-2 * 0.9, rel=0.1)
    assert car.x_m < 0


def test_car_rolls_down_a_slope():
    car = Car(0.0, 0.0, 0.0, 0.0)
    for _ in range(60):
        car.step(0.0, 0.0, DT_S, grade=-0.2)
    assert car.forward_mps > 1.0


def test_commands_are_clipped():
    hard, clipped = Car(0.0, 0.0, 0.0, 5.0), Car(0.0, 0.0, 0.0, 5.0)
    hard.step(9.0, 9.0, DT_S)
    clipped.step(1.0, 1.0, DT_S)
    assert hard.state() == clipped.state()


def test_tyre_curve_is_odd_and_has_its_corners():
    assert [tyre_grip(s) for s in (0.0, 0.2, 0.5, 1.0)] == pytest.approx(
        [0.0, 1.0, 0.75, 0.75]
    )
    assert tyre_grip(-0.1) == -tyre_grip(0.1)
