"""The road: a closed centre line with height, and where on it the car is.

Axes: x east, y north, z up, in metres; headings counter-clockwise from east in rad.
Along the road counts `station_m`, the horizontal distance from the line's first point;
across it `lateral_m`, + is right of the centre line in driving direction.

    track = tracks.make_track("lake")
    place = track.locate(x_m, y_m, hint=place.index)
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulator.errors import Refusal

SPACING_M = 1.0
BRIDGE_CLEARANCE_M = 5.0  # a road this much lower passes underneath
JOINED_M = (1.0, 0.3)  # across and in height: roads that lie so near are one surface
STYLES = ("lake", "jungle", "mountain")


@dataclass(frozen=True, slots=True)
class Place:
    """A point in road coordinates."""

    index: int
    """The last sample of the centre line before the point."""
    station_m: float
    """The distance along the road, [0, length_m)."""
    lateral_m: float
    """The distance across it, + is right of the centre line."""


class RoadPoint(NamedTuple):
    """A point in world coordinates and the direction of the road there."""

    x_m: float
    y_m: float
    z_m: float
    heading_rad: float


@dataclass(frozen=True, eq=False)
class Track:
    """A closed road of constant width. All arrays have one row per sample.

    Raises:
        ValueError: If a value is out of range or the line is not closed evenly.
    """

    name: str
    """What the road is called on the command line."""
    points: np.ndarray
    """The centre line, float64 (n, 3), in driving direction.

    The points are evenly spaced horizontally, about a metre apart; the last is followed
    by the first.
    """
    half_width_m: float
    """The distance from the centre line to the edge of the asphalt."""
    style: str = "lake"
    """One of STYLES, which says what grows and stands beside the road."""
    lane_offsets_m: tuple[float, ...] = (0.0,)
    """The lateral_m of the middle of each lane, the usual one first."""
    start_m: float = 0.0
    """The station at which the car starts."""
    bridge_m: tuple[float, float] | None = None
    """The first and last station of a bridge over water or a valley, if there is one.

    Where the road passes over itself is found without it.
    """

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3 or len(self.points) < 20:
            raise Refusal(f"points is {self.points.shape}, expected (20 or more, 3)")
        gaps = np.linalg.norm(self._steps, axis=1)
        if not np.allclose(gaps, gaps.mean(), rtol=0.1):
            raise Refusal(
                f"points are {gaps.min():.2f} to {gaps.max():.2f} m apart, "
                "expected even spacing; resample_closed makes it even"
            )
        if not 2.0 <= self.half_width_m <= 20.0:
            raise Refusal(f"half_width_m is {self.half_width_m}, expected [2, 20]")
        if self.style not in STYLES:
            raise Refusal(f"no style {self.style!r}; there are: {', '.join(STYLES)}")
        lanes_m = self.lane_offsets_m
        if not lanes_m or max(map(abs, lanes_m)) > self.half_width_m:
            raise Refusal(f"lane_offsets_m {lanes_m} leaves the road")
        self.points.setflags(write=False)

    @cached_property
    def _steps(self) -> np.ndarray:
        """Horizontal vector to the next point, (n, 2) [m]."""
        return np.roll(self.points[:, :2], -1, axis=0) - self.points[:, :2]

    @cached_property
    def length_m(self) -> float:
        """Horizontal length of one lap."""
        return self.spacing_m * len(self.points)

    @cached_property
    def spacing_m(self) -> float:
        """Distance of two samples along the road."""
        chords = np.linalg.norm(self._steps, axis=1)
        # An arc is longer than its chord: angle / (2 sin(angle / 2)) of it.
        angles = np.abs(_wrap(np.roll(self.heading_rad, -1) - self.heading_rad))
        return float(np.mean(chords * (1 + angles**2 / 24)))

    @cached_property
    def station_m(self) -> np.ndarray:
        """Distance along the road, (n,), from 0."""
        return np.arange(len(self.points)) * self.spacing_m

    @cached_property
    def tangents(self) -> np.ndarray:
        """Unit vectors in driving direction, (n, 2)."""
        across = np.roll(self.points, -1, axis=0) - np.roll(self.points, 1, axis=0)
        return across[:, :2] / np.linalg.norm(across[:, :2], axis=1, keepdims=True)

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit vectors to the right of the road, (n, 2)."""
        return np.stack([self.tangents[:, 1], -self.tangents[:, 0]], axis=1)

    @cached_property
    def heading_rad(self) -> np.ndarray:
        """Direction of the road, (n,), counter-clockwise from east, [-pi, pi]."""
        return np.arctan2(self.tangents[:, 1], self.tangents[:, 0])

    @cached_property
    def curvature_per_m(self) -> np.ndarray:
        """One over the radius, (n,), + where the road turns right."""
        return turning_per_m(self.points)

    @cached_property
    def grade(self) -> np.ndarray:
        """Metres up per metre forward, (n,)."""
        rise = np.roll(self.points[:, 2], -1) - np.roll(self.points[:, 2], 1)
        return rise / (2 * self.spacing_m)

    @cached_property
    def crosses_over(self) -> np.ndarray:
        """True where the road passes over a lower part of itself, bool (n,)."""
        near = 2 * self.half_width_m + 4.0
        over = np.zeros(len(self.points), bool)
        for i, (x, y, z) in enumerate(self.points):
            lower = self.points[:, 2] < z - BRIDGE_CLEARANCE_M
            flat = (self.points[:, 0] - x) ** 2 + (self.points[:, 1] - y) ** 2
            over[i] = bool(np.any(lower & (flat < near**2)))
        return over

    @cached_property
    def on_bridge(self) -> np.ndarray:
        """True where nothing but a bridge carries the road, bool (n,)."""
        if self.bridge_m is None:
            return self.crosses_over
        first, last = self.bridge_m
        along = (self.station_m - first) % self.length_m
        return self.crosses_over | (along <= (last - first) % self.length_m)

    @cached_property
    def _scalars(self) -> tuple[list[float], ...]:
        """x, y, z, tangent x, tangent y as lists: ten times faster to index."""
        columns = (*self.points.T, *self.tangents.T)
        return tuple(column.tolist() for column in columns)

    def locate(self, x_m: float, y_m: float, hint: int | None = None) -> Place:
        """Return where on the road a point of the plane is.

        Args:
            hint: The index of a place nearby, as of the step before. With it the search
                follows the road from there, so that a crossing is no trap; without,
                the nearest of all samples is taken.
        """
        xs, ys, _, tangent_x, tangent_y = self._scalars
        count = len(xs)
        i = self._nearest(x_m, y_m) if hint is None else self._descend(x_m, y_m, hint)
        ahead = (x_m - xs[i]) * tangent_x[i] + (y_m - ys[i]) * tangent_y[i]
        if ahead < 0:
            i = (i - 1) % count
            ahead = (x_m - xs[i]) * tangent_x[i] + (y_m - ys[i]) * tangent_y[i]
        j = (i + 1) % count
        behind = (x_m - xs[j]) * tangent_x[j] + (y_m - ys[j]) * tangent_y[j]
        # The perpendiculars of both samples bracket the point; on an arc this share of
        # the way between them is exact to the third order.
        share = min(1.0, max(0.0, ahead / (ahead - behind))) if ahead > behind else 0.0
        dx = x_m - xs[i] - share * (xs[j] - xs[i])
        dy = y_m - ys[i] - share * (ys[j] - ys[i])
        right_x = tangent_y[i] + share * (tangent_y[j] - tangent_y[i])
        right_y = -tangent_x[i] - share * (tangent_x[j] - tangent_x[i])
        lateral_m = (dx * right_x + dy * right_y) / math.hypot(right_x, right_y)
        return Place(i, (i + share) * self.spacing_m % self.length_m, lateral_m)

    def _nearest(self, x_m: float, y_m: float) -> int:
        offsets = self.points[:, :2] - (x_m, y_m)
        return int(np.argmin(np.einsum("ij,ij->i", offsets, offsets)))

    def _descend(self, x_m: float, y_m: float, hint: int) -> int:
        """Return the sample nearest to the point, walking downhill from `hint`."""
        xs, ys = self._scalars[:2]
        count = len(xs)
        i = hint % count
        best = (xs[i] - x_m) ** 2 + (ys[i] - y_m) ** 2
        for step in (1, -1):
            while True:
                j = (i + step) % count
                distance = (xs[j] - x_m) ** 2 + (ys[j] - y_m) ** 2
                if distance >= best:
                    break
                i, best = j, distance
        return i

    def point_at(self, station_m: float, lateral_m: float = 0.0) -> RoadPoint:
        """Return the point at road coordinates; stations wrap around the lap."""
        xs, ys, zs, tangent_x, tangent_y = self._scalars
        along = station_m % self.length_m / self.spacing_m
        i = int(along) % len(xs)
        j, share = (i + 1) % len(xs), along - int(along)
        ahead_x = tangent_x[i] + share * (tangent_x[j] - tangent_x[i])
        ahead_y = tangent_y[i] + share * (tangent_y[j] - tangent_y[i])
        scale = lateral_m / math.hypot(ahead_x, ahead_y)
        return RoadPoint(
            xs[i] + share * (xs[j] - xs[i]) + scale * ahead_y,
            ys[i] + share * (ys[j] - ys[i]) - scale * ahead_x,
            zs[i] + share * (zs[j] - zs[i]),
            math.atan2(ahead_y, ahead_x),
        )

    def grade_at(self, station_m: float) -> float:
        """Return the metres up per metre forward at a station."""
        along = station_m % self.length_m / self.spacing_m
        i = int(along) % len(self.points)
        before, after = self._grades[i], self._grades[(i + 1) % len(self.points)]
        return before + (along - int(along)) * (after - before)

    @cached_property
    def _grades(self) -> list[float]:
        return self.grade.tolist()

    def station_difference_m(self, later_m: float, earlier_m: float) -> float:
        """Return how far `later_m` is ahead of `earlier_m`, the short way round."""
        half = self.length_m / 2
        return (later_m - earlier_m + half) % self.length_m - half

    def reversed(self) -> "Track":
        """Return the same road driven the other way; sample 0 stays sample 0."""
        backwards = np.roll(self.points[::-1], 1, axis=0)
        bridge_m = None
        if self.bridge_m is not None:
            first, last = self.bridge_m
            bridge_m = (-last % self.length_m, -first % self.length_m)
        start_m = -self.start_m % self.length_m
        return replace(self, points=backwards, start_m=start_m, bridge_m=bridge_m)


def is_joined(track: Track, side: int) -> np.ndarray:
    """Return where another part of the road lies along one side, level with it, (n,).

    `side` is 1 for the right and -1 for the left.
    """
    across = 2 * side * track.half_width_m * track.normals
    beside = np.column_stack([track.points[:, :2] + across, track.points[:, 2]])
    apart = np.abs(beside[:, None] - track.points[None])
    near = np.hypot(apart[..., 0], apart[..., 1]) < JOINED_M[0]
    return (near & (apart[..., 2] < JOINED_M[1])).any(axis=1)


def resample_closed(points: np.ndarray, spacing_m: float = SPACING_M) -> np.ndarray:
    """Return points on the same closed line, evenly spaced horizontally.

    Args:
        points: A dense line, float (m, 3); straight lines join the points.
        spacing_m: The wanted distance; the nearest that divides the lap is taken.

    Returns:
        float64 (n, 3), beginning with the first point.
    """
    loop = np.vstack([points, points[:1]])
    steps = np.linalg.norm(np.diff(loop[:, :2], axis=0), axis=1)
    station_m = np.concatenate([[0.0], np.cumsum(steps)])
    count = round(station_m[-1] / spacing_m)
    wanted_m = np.arange(count) * station_m[-1] / count
    return np.stack([np.interp(wanted_m, station_m, axis) for axis in loop.T], axis=1)


def spline_points(control: np.ndarray) -> np.ndarray:
    """Return the closed cubic spline through `control`, sampled every metre.

    `control` is float (m, 3), in order; what is returned float64 (n, 3), evenly spaced
    horizontally.

    Source: natural form of the periodic cubic spline, with centripetal knots (square
    root of the chords), which do not overshoot at sharp turns.
    """
    count = len(control)
    following = np.roll(control, -1, axis=0)
    knots = np.linalg.norm(following - control, axis=1) ** 0.5
    slopes = (following - control) / knots[:, None]
    system = np.zeros((count, count))
    for i in range(count):
        system[i, i - 1] += knots[i - 1]
        system[i, i] += 2 * (knots[i - 1] + knots[i])
        system[i, (i + 1) % count] += knots[i]
    bends = np.linalg.solve(system, 6 * (slopes - np.roll(slopes, 1, axis=0)))
    next_bends = np.roll(bends, -1, axis=0)
    share = np.arange(200)[None, :, None] / 200
    rest = 1 - share
    pull = (rest**3 - rest) * bends[:, None] + (share**3 - share) * next_bends[:, None]
    dense = rest * control[:, None] + share * following[:, None]
    dense = dense + pull * knots[:, None, None] ** 2 / 6
    return resample_closed(dense.reshape(-1, 3))


def turning_per_m(points: np.ndarray) -> np.ndarray:
    """Return the curvature of a closed line, float64 (n,), + where it turns right.

    The line is float (n, 2 or 3), evenly spaced horizontally.
    """
    back = points[:, :2] - np.roll(points[:, :2], 1, axis=0)
    ahead = np.roll(points[:, :2], -1, axis=0) - points[:, :2]
    turn = _wrap(np.arctan2(*ahead.T[::-1]) - np.arctan2(*back.T[::-1]))
    return -2 * turn / (np.linalg.norm(back, axis=1) + np.linalg.norm(ahead, axis=1))


def _wrap(angle_rad: np.ndarray) -> np.ndarray:
    """Bring angles into [-pi, pi)."""
    return (angle_rad + np.pi) % (2 * np.pi) - np.pi
