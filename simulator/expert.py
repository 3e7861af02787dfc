"""The expert: drives any track by its centre line, and shows how to come back to it.

    expert = Expert(world.track)
    seen = world.reset()
    while seen.lap < 1:
        seen = world.step(*expert(seen))

It steers by pure pursuit and keeps a speed that the curves ahead allow. It knows where
it is, which no pilot does: it is there to be recorded.

Source: Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", 1992.
"""

import math
from typing import NamedTuple

import numpy as np

from simulator import vehicle
from simulator.errors import Refusal
from simulator.track import Track
from simulator.vehicle import BODY_WIDTH_M, MAX_STEERING_RAD, WHEELBASE_M, clipped
from simulator.world import Observation

LOOK_AHEAD_M, LOOK_AHEAD_S = 2.5, 0.3
SIDEWAYS_MPS2 = 5.0  # in curves
BRAKING_MPS2 = 3.0  # planned before curves; the brakes give twice that
MANOEUVRE_MPS = 1.6
WIDE_ANGLE_RAD = math.radians(60)  # target further aside: turn on the spot, slowly
ALONG_RAD = math.radians(20)  # nearer to the road's direction: simply drive on
SLOW_MPS = 3.0
TURN_RADIUS_M = WHEELBASE_M / math.tan(MAX_STEERING_RAD) + 0.5
# The reverse gear is too weak to climb more than this.
STEEPEST_BACKING_GRADE = -0.08
HALT_M = 0.9  # from MANOEUVRE_MPS
GRADE_THROTTLE = (
    vehicle.GRAVITY_MPS2 / vehicle.THROTTLE_MPS2
)  # that holds the car on a slope of 1


class Control(NamedTuple):
    """A command to `World.step`: both in [-1, 1], steering + is right."""

    steering: float
    throttle: float


class Expert:
    """Drives in a lane of a road.

    Args:
        lane_offset_m: Where to drive, + is right of the centre line; None: the
            track's usual lane.
        speed_mph: The speed not to be exceeded.
        sideways_mps2: What curves may pull to the side, above 0; it brakes for them by
            BRAKING_SHARE of it, as a plan of drive.py does. None: SIDEWAYS_MPS2, and
            BRAKING_MPS2.

    Raises:
        ValueError: If the lane is not on the road or the speed is out of range.
    """

    def __init__(
        self,
        track: Track,
        lane_offset_m: float | None = None,
        speed_mph: float = 30.0,
        sideways_mps2: float | None = None,
    ) -> None:
        lane_m = track.lane_offsets_m[0] if lane_offset_m is None else lane_offset_m
        if not abs(lane_m) <= track.half_width_m - 1.0:
            raise Refusal(
                f"lane_offset_m is {lane_m}, expected a lane on the road, within "
                f"±{track.half_width_m - 1.0:.1f} m"
            )
        if not 3.0 <= speed_mph <= 30.0:
            raise Refusal(f"speed_mph is {speed_mph}, expected [3, 30]")
        self.track, self.lane_offset_m = track, lane_m
        speed_mps = speed_mph * vehicle.MPS_PER_MPH
        self._speeds_mps = plan_speeds(track, speed_mps, sideways_mps2).tolist()
        self._backing = False

    def __call__(self, seen: Observation) -> Control:
        """Return what an expert does where the car is now."""
        angle_rad, distance_m = self._target(seen)
        self._backing = self._must_back(seen)
        if self._backing or abs(angle_rad) > WIDE_ANGLE_RAD:
            return self._turn_round(seen, angle_rad)
        curve_rad = math.atan(2 * WHEELBASE_M * math.sin(angle_rad) / distance_m)
        return Control(clipped(-curve_rad / MAX_STEERING_RAD), self._throttle(seen))

    def _turn_round(self, seen: Observation, angle_rad: float) -> Control:
        """Turn within the width of the road, forwards and backwards at walking pace."""
        # Backwards, the wheels turned away from the target swing the nose to it.
        away = math.copysign(1.0, angle_rad)
        wanted_mps = -MANOEUVRE_MPS if self._backing else MANOEUVRE_MPS
        missing_mps = wanted_mps - seen.forward_mps
        slope = GRADE_THROTTLE * self._grade(seen)
        steering = away if seen.forward_mps < 0 else -away
        return Control(steering, clipped(missing_mps + slope))

    def _target(self, seen: Observation) -> tuple[float, float]:
        """Return the angle to the point ahead in the lane, + is left, and its distance.

        Both are seen from the rear axle, whose path pure pursuit bends.
        """
        ahead_m = LOOK_AHEAD_M + LOOK_AHEAD_S * max(1.0, seen.speed_mps)
        target = self.track.point_at(seen.station_m + ahead_m, self.lane_offset_m)
        cos, sin = math.cos(seen.heading_rad), math.sin(seen.heading_rad)
        dx = target.x_m - seen.x_m + vehicle.REAR_AXLE_M * cos
        dy = target.y_m - seen.y_m + vehicle.REAR_AXLE_M * sin
        angle_rad = math.remainder(math.atan2(dy, dx) - seen.heading_rad, 2 * math.pi)
        return angle_rad, math.hypot(dx, dy)

    def _must_back(self, seen: Observation) -> bool:
        """Return whether the car must drive backwards to turn within the road."""
        error = abs(seen.heading_error_rad)
        if error < ALONG_RAD or seen.forward_mps > SLOW_MPS:
            return False
        if self._grade(seen) < STEEPEST_BACKING_GRADE:
            return False
        # How far the ends of the body reach across the road, and the way to a halt.
        reach_m = abs(math.sin(error)) * (vehicle.BODY_LENGTH_M / 2 + HALT_M)
        reach_m += abs(math.cos(error)) * BODY_WIDTH_M / 2
        # From the middle towards the edge that the nose points to.
        offset_m = -math.copysign(seen.cross_track_error_m, 1.0)
        if seen.heading_error_rad * seen.cross_track_error_m < 0:
            offset_m = -offset_m
        room_m = self.track.half_width_m - offset_m
        if not self._backing:
            return bool(seen.collision) or reach_m > room_m
        turn_m = TURN_RADIUS_M * (1 - math.cos(error)) + BODY_WIDTH_M / 2
        tail_room_m = self.track.half_width_m + offset_m
        return not seen.collision and turn_m > room_m and reach_m < tail_room_m

    def _throttle(self, seen: Observation) -> float:
        """Return the throttle that brings the car to the planned speed."""
        index = int(seen.station_m / self.track.spacing_m) % len(self._speeds_mps)
        wanted_mps = self._speeds_mps[index]
        if abs(seen.heading_error_rad) > ALONG_RAD:
            wanted_mps = min(wanted_mps, SLOW_MPS)
        missing_mps = wanted_mps - seen.forward_mps
        if missing_mps <= -1.0:
            return max(-1.0, 0.5 * missing_mps)
        # On a slope, gravity is answered before the speed has changed.
        uphill = max(0.0, GRADE_THROTTLE * self._grade(seen))
        return clipped(0.6 * missing_mps + 0.25 + uphill)

    def _grade(self, seen: Observation) -> float:
        """Return the metres up per metre along the car's nose."""
        along = self.track.grade_at(seen.station_m)
        return along * math.cos(seen.heading_error_rad)


def plan_speeds(
    track: Track, speed_mps: float, sideways_mps2: float | None = None
) -> np.ndarray:
    """Return the speed at each sample of the road, float64 (n,) [m/s].

    Curves bound it by their pull to the side; before them it falls by braking. Expert
    says how much of either.
    """
    braking_mps2 = BRAKING_MPS2
    if sideways_mps2 is None:
        sideways_mps2 = SIDEWAYS_MPS2
    else:
        braking_mps2 = vehicle.BRAKING_SHARE * sideways_mps2
    tightest = np.maximum(np.abs(track.curvature_per_m), 1e-4)
    fastest = min(speed_mps, vehicle.TOP_SPEED_MPS)
    speeds = np.minimum(fastest, np.sqrt(sideways_mps2 / tightest))
    gain = 2 * braking_mps2 * track.spacing_m
    # Twice around: braking for the first curve begins at the end of the lap.
    for i in [*range(len(speeds) - 1, -1, -1)] * 2:
        following = speeds[(i + 1) % len(speeds)]
        speeds[i] = min(speeds[i], math.sqrt(following**2 + gain))
    return speeds


class SteeringNoise:
    """A disturbance of the steering that comes and goes: an Ornstein-Uhlenbeck process.

    An expert who is pushed off the line shows how to come back to it.

    Args:
        size: The standard deviation of the steering, [0, 1].
        duration_s: The time over which it changes.

    Source: Laskey et al., "DART: Noise Injection for Robust Imitation Learning", 2017.
    """

    def __init__(
        self, rng: np.random.Generator, size: float, duration_s: float = 0.6
    ) -> None:
        if not 0 <= size <= 1:
            raise Refusal(f"size is {size}, expected a share of full lock in [0, 1]")
        self._rng, self._size, self._duration_s = rng, size, duration_s
        self._value = 0.0

    def __call__(self, dt_s: float) -> float:
        """Return the disturbance `dt_s` later, to add to the steering."""
        # The exact step of the process: its spread does not depend on dt_s.
        keep = math.exp(-dt_s / self._duration_s)
        spread = self._size * math.sqrt(1 - keep * keep)
        self._value = keep * self._value + spread * float(self._rng.standard_normal())
        return self._value
