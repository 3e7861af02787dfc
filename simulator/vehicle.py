"""The car: a single-track model with the original's size, tyres and steer helper.

Plain Python floats, so that the same commands give the same bits on every machine and
a step costs microseconds.

Sources: dimensions, tyre curve, steer helper and downforce from the Udacity simulator's
Car.prefab and CarController.cs; accelerations fitted on a log that it recorded.
"""

import math

GRAVITY_MPS2 = 9.81
MPS_PER_MPH = 0.44704
WHEELBASE_M = 2.87
FRONT_AXLE_M = 1.27  # before the car's origin
REAR_AXLE_M = WHEELBASE_M - FRONT_AXLE_M
BODY_LENGTH_M, BODY_WIDTH_M = 4.47, 2.43
MAX_STEERING_DEG = 25.0
MAX_STEERING_RAD = math.radians(MAX_STEERING_DEG)
MASS_KG = 1000.0
YAW_INERTIA_KGM2 = 1800.0  # of a box of the body's size and the car's mass
TOP_SPEED_MPS = 30.19 * MPS_PER_MPH  # the cap of 30 mph, as logs show it
# The share of each turn of the car by which the helper turns the velocity with it: the
# car runs as on rails.
STEER_HELPER = 0.774
DOWNFORCE_N_PER_MPS = 100.0

THROTTLE_MPS2 = 5.6
BRAKE_MPS2 = 6.2
# A car that plans its speed brakes by so much of what it may pull to the side in bends:
# of 4 m/s² by 3, half of what the simulator's brakes give.
BRAKING_SHARE = 0.75
REVERSE_MPS2 = 1.2  # "braking" below REVERSE_BELOW_MPS drives backwards
REVERSE_BELOW_MPS = 5.0 * MPS_PER_MPH
DRAG_PER_S = 0.1
ROLLING_MPS2 = 0.3
NO_SLIP_BELOW_MPS = 2.0  # slip angles mean nothing in a car that hardly moves
SUBSTEPS = 2


class Car:
    """A car on a plane: x east, y north, heading counter-clockwise from east.

    Its origin is on the ground between the axles.
    """

    def __init__(
        self, x_m: float, y_m: float, heading_rad: float, speed_mps: float = 0.0
    ) -> None:
        self.x_m, self.y_m = x_m, y_m
        self.heading_rad = heading_rad
        """The direction of its nose; not wrapped."""
        self.forward_mps = speed_mps
        """The speed along the nose, negative when it drives backwards."""
        self.leftward_mps = 0.0
        """The speed across the nose, + is to the left."""
        self.yaw_rate_per_s = 0.0
        """How fast it turns, + is to the left [rad/s]."""
        self.steering = 0.0
        """The steering of the last step, [-1, 1], + is right."""

    @property
    def speed_mps(self) -> float:
        """The speed over ground, as the speedometer shows it."""
        return math.hypot(self.forward_mps, self.leftward_mps)

    def state(self) -> tuple[float, ...]:
        """Return all that the next step depends on."""
        return tuple(vars(self).values())

    def step(
        self, steering: float, throttle: float, dt_s: float, grade: float = 0.0
    ) -> None:
        """Drive on for a moment.

        Args:
            steering: The steering in [-1, 1] of 25 degrees, + is right; clipped.
            throttle: The throttle in [-1, 1]; negative brakes, or backs up; clipped.
            dt_s: The length of the step, at most 1/30 s.
            grade: The slope, in metres up per metre along the nose.
        """
        self.steering, throttle = clipped(steering), clipped(throttle)
        wheel_rad = -self.steering * MAX_STEERING_RAD
        for _ in range(SUBSTEPS):
            self._substep(wheel_rad, throttle, dt_s / SUBSTEPS, grade)

    def _substep(
        self, wheel_rad: float, throttle: float, dt_s: float, grade: float
    ) -> None:
        ahead = self.forward_mps
        if ahead < NO_SLIP_BELOW_MPS:
            self.yaw_rate_per_s = ahead * math.tan(wheel_rad) / WHEELBASE_M
            self.leftward_mps = self.yaw_rate_per_s * REAR_AXLE_M
        else:
            self._slide(wheel_rad, dt_s)
        self.forward_mps = next_speed_mps(ahead, throttle, dt_s, grade)
        cos, sin = math.cos(self.heading_rad), math.sin(self.heading_rad)
        self.x_m += (self.forward_mps * cos - self.leftward_mps * sin) * dt_s
        self.y_m += (self.forward_mps * sin + self.leftward_mps * cos) * dt_s
        self.heading_rad += self.yaw_rate_per_s * dt_s

    def _slide(self, wheel_rad: float, dt_s: float) -> None:
        """Let the tyres' side forces turn and shift the car."""
        ahead, left, yaw = self.forward_mps, self.leftward_mps, self.yaw_rate_per_s
        load_n = MASS_KG * GRAVITY_MPS2 + DOWNFORCE_N_PER_MPS * ahead
        front_slip = math.atan2(left + FRONT_AXLE_M * yaw, ahead) - wheel_rad
        rear_slip = math.atan2(left - REAR_AXLE_M * yaw, ahead)
        front_n = -tyre_grip(front_slip) * load_n * REAR_AXLE_M / WHEELBASE_M
        rear_n = -tyre_grip(rear_slip) * load_n * FRONT_AXLE_M / WHEELBASE_M
        front_n *= math.cos(wheel_rad)
        # The helper turns the velocity, so the tyres need not.
        inertia_mps2 = (1 - STEER_HELPER) * ahead * yaw
        self.leftward_mps += ((front_n + rear_n) / MASS_KG - inertia_mps2) * dt_s
        torque_nm = FRONT_AXLE_M * front_n - REAR_AXLE_M * rear_n
        self.yaw_rate_per_s += torque_nm / YAW_INERTIA_KGM2 * dt_s


def clipped(command: float) -> float:
    """Return a command brought into [-1, 1]."""
    return max(-1.0, min(1.0, command))


def reach_m(heading_error_rad: float) -> float:
    """Return how far across the road the body reaches from the car's middle."""
    along, across = abs(math.sin(heading_error_rad)), abs(math.cos(heading_error_rad))
    return (across * BODY_WIDTH_M + along * BODY_LENGTH_M) / 2


def tyre_grip(slip_rad: float) -> float:
    """Return side force over load, of a slip angle: odd, at most 1.

    Source: the sideways friction curve of Car.prefab: 1.0 at slip 0.2, 0.75 from 0.5.
    """
    size = abs(slip_rad)
    if size < 0.2:
        grip = size / 0.2 * (2 - size / 0.2)
    elif size < 0.5:
        grip = 1 - 0.25 * (size - 0.2) / 0.3
    else:
        grip = 0.75
    return math.copysign(grip, slip_rad)


def next_speed_mps(
    speed_mps: float, throttle: float, dt_s: float, grade: float = 0.0
) -> float:
    """Return the forward speed after a moment of throttle or brake on a slope.

    Source: fitted on a log of the original: +5.0 m/s² at 3 m/s with full throttle,
    -1.2 to -1.6 coasting, -7.3 with full brake.
    """
    if throttle >= 0:
        drive_mps2 = THROTTLE_MPS2 * throttle
    elif speed_mps > REVERSE_BELOW_MPS:
        drive_mps2 = BRAKE_MPS2 * throttle
    else:
        drive_mps2 = REVERSE_MPS2 * throttle
    slope_mps2 = GRAVITY_MPS2 * grade / math.sqrt(1 + grade * grade)
    speed_mps += (drive_mps2 - slope_mps2 - DRAG_PER_S * speed_mps) * dt_s
    # Rolling friction stops a car, and never sets it in motion.
    friction_mps = min(ROLLING_MPS2 * dt_s, abs(speed_mps))
    speed_mps -= math.copysign(friction_mps, speed_mps)
    return max(-TOP_SPEED_MPS, min(TOP_SPEED_MPS, speed_mps))
