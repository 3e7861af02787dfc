"""The world: a car on a road, in fixed steps of simulated time, with cameras if wanted.

    world = World(tracks.make_track("lake"), seed=3, cameras=("center",))
    seen = world.reset()
    seen = world.step(steering=0.1, throttle=0.5)     # 1/15 s later
    seen.frames["center"]                             # uint8 RGB (160, 320, 3)

The same seed and commands give the same bits. Without cameras neither Panda3D nor
OpenCV is loaded, and a step costs tens of microseconds.
"""

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from simulator import scenery
from simulator.collisions import Collider
from simulator.mesh import Scene
from simulator.scenery import SceneSettings, Surroundings
from simulator.track import Place, Track
from simulator.vehicle import (
    BODY_WIDTH_M,
    FRONT_AXLE_M,
    REAR_AXLE_M,
    WHEELBASE_M,
    Car,
    reach_m,
)

if TYPE_CHECKING:
    # Not above: physics alone needs neither Panda3D nor OpenCV.
    from simulator.camera import Renderer

PHYSICS_DT_S = 1 / 60
STEPS_PER_FRAME = 4
FRAME_DT_S = STEPS_PER_FRAME * PHYSICS_DT_S  # 15 Hz, as the original records
FRAME_SIZE = (320, 160)  # width, height
STUCK_AFTER_S = 4.0
STUCK_BELOW_MPS = 0.3
ROADSIDE_GAP_M = 0.5  # nothing solid stands nearer to the asphalt than this
HALF_TRACK_M = 1.0  # of the wheels


@dataclass(frozen=True, eq=False)
class Observation:
    """What is known after a step."""

    frames: dict[str, np.ndarray] = field(repr=False)
    """The frame of each camera by its name, uint8 RGB (160, 320, 3)."""
    time_s: float
    """The simulated time since the reset."""
    x_m: float
    """Where the car is to the east."""
    y_m: float
    """Where the car is to the north."""
    heading_rad: float
    """The direction of the car's nose, counter-clockwise from east."""
    speed_mps: float
    """The speed over ground, 0 or more."""
    forward_mps: float
    """The speed along the nose; negative when it drives backwards."""
    steering: float
    """The steering executed, [-1, 1], + is right."""
    station_m: float
    """The distance along the road, [0, length of the track)."""
    cross_track_error_m: float
    """The distance from the centre line, + is right of it."""
    heading_error_rad: float
    """The angle of the nose to the road, [-pi, pi], + is left of it."""
    progress_m: float
    """The way along the road since the reset; backwards counts negative."""
    lap: int
    """How many laps were completed since the reset."""
    off_road: bool
    """Whether the middle of the car is beside the asphalt."""
    collision: str
    """What the car has run into since the last step, "" if nothing."""
    stuck: bool
    """Whether it has hardly moved for STUCK_AFTER_S although it was driven or hit."""


class World:
    """A car on a road.

    Args:
        track: The road as it is driven; `track.reversed()` for the other direction.
        seed: The seed of land, plants and textures, in place of those in `settings`.
        cameras: Which frames an observation has: "left", "center", "right", "chase".
        settings: The sun, haze, look and seeds of the scenery.

    Raises:
        camera.RenderingError: At the first reset, if the renderer does not load.
        ValueError: If a camera is unknown or the seed is negative.
    """

    def __init__(
        self,
        track: Track,
        *,
        seed: int | None = None,
        cameras: Sequence[str] = ("center",),
        settings: SceneSettings | None = None,
    ) -> None:
        self.track, self.cameras = track, tuple(cameras)
        settings = settings or SceneSettings()
        self.settings = settings if seed is None else _with_seed(settings, seed)
        self._surroundings: Surroundings | None = None
        self._collider: Collider | None = None
        self._scene: Scene | None = None
        self._renderers: dict[tuple, Renderer] = {}
        self._put(track.start_m, track.lane_offsets_m[0], 0.0, 0.0)

    @property
    def surroundings(self) -> Surroundings:
        """The land and what stands on it, made when first needed."""
        if self._surroundings is None:
            self._surroundings = scenery.make_surroundings(self.track, self.settings)
        return self._surroundings

    def reset(
        self,
        seed: int | None = None,
        *,
        station_m: float | None = None,
        lateral_m: float | None = None,
        heading_error_rad: float = 0.0,
        speed_mps: float = 0.0,
    ) -> Observation:
        """Put the car onto the road and set time, progress and laps to zero.

        Args:
            seed: The seed of a new scenery; None keeps the one there is.
            station_m: Where along the road to start; None: at the track's start.
            lateral_m: Where across the road, + is right; None: in the usual lane.
            heading_error_rad: The angle to the road's direction, + is left.
            speed_mps: The speed along the car's nose.
        """
        if seed is not None and _with_seed(self.settings, seed) != self.settings:
            self.close()
            self.settings = _with_seed(self.settings, seed)
            self._surroundings, self._collider = None, None
        start_m = self.track.start_m if station_m is None else station_m
        lane_m = self.track.lane_offsets_m[0] if lateral_m is None else lateral_m
        self._put(start_m, lane_m, heading_error_rad, speed_mps)
        return self._observe()

    def _put(
        self, station_m: float, lateral_m: float, heading_rad: float, speed_mps: float
    ) -> None:
        point = self.track.point_at(station_m, lateral_m)
        heading_rad += point.heading_rad
        self._car = Car(point.x_m, point.y_m, heading_rad, speed_mps)
        index = int(station_m % self.track.length_m / self.track.spacing_m)
        self._place = self.track.locate(point.x_m, point.y_m, hint=index)
        self._steps, self._progress_m, self._idle_s = 0, 0.0, 0.0
        self._collision = ""

    def move_to_road(self) -> Observation:
        """Put the car into its usual lane where it is, at rest; time runs on.

        This is what a person at the wheel does when the car has left the road. On a
        narrow one it is not put against the wall of a bridge.
        """
        steps, progress_m = self._steps, self._progress_m
        room_m = self.track.half_width_m - BODY_WIDTH_M / 2 - ROADSIDE_GAP_M
        lane_m = float(np.clip(self.track.lane_offsets_m[0], -room_m, room_m))
        self._put(self._place.station_m, lane_m, 0.0, 0.0)
        self._steps, self._progress_m = steps, progress_m
        return self._observe()

    def step(self, steering: float, throttle: float) -> Observation:
        """Drive on for 1/15 s of simulated time.

        Args:
            steering: The steering in [-1, 1], + is right; clipped.
            throttle: The throttle in [-1, 1], negative brakes; clipped.

        Raises:
            ValueError: If a command is not finite.
        """
        if not (math.isfinite(steering) and math.isfinite(throttle)):
            raise ValueError(f"steering {steering}, throttle {throttle}: not finite")
        self._collision = ""
        for _ in range(STEPS_PER_FRAME):
            self._physics_step(steering, throttle)
        wants_to_move = throttle > 0 or self._collision or self._idle_s > 0
        is_idle = wants_to_move and self._car.speed_mps < STUCK_BELOW_MPS
        self._idle_s = self._idle_s + FRAME_DT_S if is_idle else 0.0
        return self._observe()

    def _physics_step(self, steering: float, throttle: float) -> None:
        car, before = self._car, self._place
        x_m, y_m, heading_rad = car.x_m, car.y_m, car.heading_rad
        car.step(steering, throttle, PHYSICS_DT_S, self._grade())
        self._steps += 1
        place = self.track.locate(car.x_m, car.y_m, hint=before.index)
        if obstacle := self._obstacle(place):
            # It stops where it was before it would have run into the obstacle.
            self._car, self._collision = Car(x_m, y_m, heading_rad), obstacle
            return
        stations_m = place.station_m, before.station_m
        self._progress_m += self.track.station_difference_m(*stations_m)
        self._place = place

    def _heading_error_rad(self) -> float:
        road_rad = self.track.point_at(self._place.station_m).heading_rad
        return math.remainder(self._car.heading_rad - road_rad, 2 * math.pi)

    def _obstacle(self, place: Place) -> str:
        """Return what the car would run into, "" if nothing."""
        # How far the body reaches beyond the asphalt.
        beside_m = abs(place.lateral_m) + reach_m(self._heading_error_rad())
        beside_m -= self.track.half_width_m
        if beside_m < (0.0 if self.track.on_bridge[place.index] else ROADSIDE_GAP_M):
            return ""
        if self._collider is None:
            around = self.surroundings
            self._collider = Collider(self.track, around.land, around.things)
        height_m = self._height_m(self._car.x_m, self._car.y_m)
        return self._collider.hit(self._car, place, height_m)

    def _height_m(self, x_m: float, y_m: float) -> float:
        """Return the height of what a wheel near the car stands on."""
        place = self.track.locate(x_m, y_m, hint=self._place.index)
        if abs(place.lateral_m) <= self.track.half_width_m:
            return self.track.point_at(place.station_m).z_m
        land = self.surroundings.land
        # The land knows the road in the direction that it was made for.
        hint = self._place.index if land.track is self.track else -self._place.index
        return land.surface_m(x_m, y_m, land.track.locate(x_m, y_m, hint=hint))

    def _attitude(self) -> tuple[float, float, float]:
        """Return height [m], pitch [rad, + nose up], roll [rad, + right side down]."""
        car = self._car
        cos, sin = math.cos(car.heading_rad), math.sin(car.heading_rad)

        def height_m(ahead_m: float, left_m: float) -> float:
            x_m = car.x_m + ahead_m * cos - left_m * sin
            return self._height_m(x_m, car.y_m + ahead_m * sin + left_m * cos)

        front, rear = height_m(FRONT_AXLE_M, 0.0), height_m(-REAR_AXLE_M, 0.0)
        left, right = height_m(0.0, HALF_TRACK_M), height_m(0.0, -HALF_TRACK_M)
        middle = rear + (front - rear) * REAR_AXLE_M / WHEELBASE_M
        pitch_rad = math.atan2(front - rear, WHEELBASE_M)
        return middle, pitch_rad, math.atan2(left - right, 2 * HALF_TRACK_M)

    def _grade(self) -> float:
        if abs(self._place.lateral_m) <= self.track.half_width_m:
            along = self.track.grade_at(self._place.station_m)
            return along * math.cos(self._heading_error_rad())
        return math.tan(self._attitude()[1])

    def _observe(self) -> Observation:
        car, place = self._car, self._place
        return Observation(
            frames=self.render(self.cameras) if self.cameras else {},
            time_s=self._steps * PHYSICS_DT_S,
            x_m=car.x_m,
            y_m=car.y_m,
            heading_rad=car.heading_rad,
            speed_mps=car.speed_mps,
            forward_mps=car.forward_mps,
            steering=car.steering,
            station_m=place.station_m,
            cross_track_error_m=place.lateral_m,
            heading_error_rad=self._heading_error_rad(),
            progress_m=self._progress_m,
            lap=max(0, math.floor(self._progress_m / self.track.length_m)),
            off_road=abs(place.lateral_m) > self.track.half_width_m,
            collision=self._collision,
            stuck=self._idle_s >= STUCK_AFTER_S,
        )

    def render(
        self, cameras: Sequence[str], size: tuple[int, int] = FRAME_SIZE
    ) -> dict[str, np.ndarray]:
        """Return what cameras show now, beyond the frames of the observations.

        Args:
            cameras: Names among "left", "center", "right" and "chase".
            size: The (width, height) of a frame in pixels.

        Returns:
            The frame of each camera by its name, uint8 RGB (height, width, 3).
        """
        from simulator.camera import Pose, Renderer

        key = (tuple(cameras), size)
        if key not in self._renderers:
            if self._scene is None:
                self._scene = scenery.build_scene(
                    self.track, self.settings, self.surroundings
                )
            self._renderers[key] = Renderer(self._scene, key[0], size)
        height_m, pitch_rad, roll_rad = self._attitude()
        pose = (self._car.x_m, self._car.y_m, height_m, self._car.heading_rad)
        return self._renderers[key].render(Pose(*pose, pitch_rad, roll_rad))

    def digest(self) -> str:
        """Return a short hash of the state of car and time, to compare two runs."""
        state = (*self._car.state(), self._progress_m, float(self._steps))
        return hashlib.sha256(struct.pack(f"<{len(state)}d", *state)).hexdigest()[:16]

    def close(self) -> None:
        """Give the renderers' memory back; the next observation makes new ones."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._scene = None


def _with_seed(settings: SceneSettings, seed: int) -> SceneSettings:
    return replace(settings, scenery_seed=seed, texture_seed=seed)
