"""The land around the road: one height field for the eye and for the wheels.

Pure numpy, so that physics needs no renderer. The land depends on the road, the relief
and the seed, and not on the direction of driving.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from simulator import looks, textures
from simulator.noise import lattice_noise
from simulator.track import Place, Track

CELL_M = 5.0
COARSE_CELLS = 4  # far from the road the renderer draws squares of this many cells
MARGIN_M = 170.0  # land beyond the outermost parts of the road
UNDER_ROAD_M = 0.45  # how deep below the road the land passes
RIVER_DEPTH_M, WATER_LEVEL_M = 5.5, -1.35  # below the road
BRIDGE_EDGE_M = 0.55  # from the asphalt to the outside of a bridge's wall
OTHER_ROAD_M = 25.0  # along the road: farther is another part of it


Noise = Callable[[dict[int, float]], np.ndarray]  # on the lattice of a terrain


@dataclass(frozen=True)
class Verge:
    """The profile from the edge of the asphalt to open land, per side."""

    bank_m: tuple[tuple[float, float], ...]
    """The corners of the profile: metres from the edge and metres over the road."""
    meets_land_m: float
    """How far from the edge the land is reached."""


# Lake: concrete rises by half a metre; jungle: a bevel, then grass.
VERGES = {
    "kerbs": Verge(((0.0, 0.03), (2.6, 0.5)), 7.0),
    "lanes": Verge(((0.0, 0.0), (0.25, -0.2)), 3.75),
}


@dataclass(frozen=True, eq=False)
class Terrain:
    """Heights on a square lattice; row i, column j is at origin + CELL_M * (j, i)."""

    origin_m: tuple[float, float]
    """The (x, y) of the lattice's first point."""
    grid_m: tuple[np.ndarray, np.ndarray]
    """x and y of the lattice's points, each (rows, columns)."""
    heights_m: np.ndarray
    """The land's height at each point, float64 (rows, columns)."""
    distance_m: np.ndarray
    """The distance to the nearest centre line, (rows, columns)."""
    nearest: np.ndarray
    """The nearest sample of the centre line, int (rows, columns)."""
    inside: np.ndarray
    """Whether the loop goes around the point, bool (rows, columns)."""
    track: Track
    """The road that the land is made for."""
    verge: Verge
    """The profile beside the road."""
    water_level_m: float
    """The height of still water; -inf if there is none."""

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit normals of the land, (rows, columns, 3)."""
        rise_y, rise_x = np.gradient(self.heights_m, CELL_M)
        normals = np.dstack([-rise_x, -rise_y, np.ones_like(rise_x)])
        return normals / np.linalg.norm(normals, axis=2, keepdims=True)

    def land_m(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """Return the height of the land by bilinear interpolation, (n,).

        Outside the lattice the height of its edge holds on.
        """
        rows, columns = self.heights_m.shape
        across = np.clip((np.asarray(x_m) - self.origin_m[0]) / CELL_M, 0, columns - 1)
        along = np.clip((np.asarray(y_m) - self.origin_m[1]) / CELL_M, 0, rows - 1)
        i = np.minimum(along.astype(int), rows - 2)
        j = np.minimum(across.astype(int), columns - 2)
        a, b, heights = along - i, across - j, self.heights_m
        south = heights[i, j] * (1 - b) + heights[i, j + 1] * b
        north = heights[i + 1, j] * (1 - b) + heights[i + 1, j + 1] * b
        return south * (1 - a) + north * a

    def surface_m(self, x_m: float, y_m: float, place: Place) -> float:
        """Return the height of what a wheel stands on: road, verge or land.

        `place` is the same point in road coordinates.
        """
        road = self.track.point_at(place.station_m)
        beside_m = abs(place.lateral_m) - self.track.half_width_m
        if beside_m <= 0:
            return road.z_m
        if self.track.on_bridge[place.index]:
            land_m = float(self.land_m(np.array([x_m]), np.array([y_m]))[0])
            return road.z_m if beside_m < BRIDGE_EDGE_M else land_m
        outwards = np.array([[x_m - road.x_m, y_m - road.y_m]]) / abs(place.lateral_m)
        foot = np.array([[road.x_m, road.y_m, road.z_m]])
        return float(self._beside(foot, outwards, np.array([beside_m]))[0])

    def surfaces_m(self, points_m: np.ndarray) -> np.ndarray:
        """Return the height of the surface nearest to each (x, y), (n, 2) -> (n,).

        Slower than `surface_m`: it looks for the nearest part of the road.
        """
        line = self.track.points
        apart = np.linalg.norm(points_m[:, None] - line[None, :, :2], axis=2)
        foot, distance_m = line[apart.argmin(axis=1)], apart.min(axis=1)
        outwards = (points_m - foot[:, :2]) / np.maximum(distance_m, 1e-6)[:, None]
        beside_m = distance_m - self.track.half_width_m
        beside = self._beside(foot, outwards, np.maximum(beside_m, 0))
        bridge = self.track.on_bridge[apart.argmin(axis=1)]
        beside = np.where(bridge, self.land_m(*points_m.T), beside)
        on_road = beside_m <= np.where(bridge, BRIDGE_EDGE_M, 0)
        return np.where(on_road, foot[:, 2], beside)

    def _beside(
        self, foot: np.ndarray, outwards: np.ndarray, beside_m: np.ndarray
    ) -> np.ndarray:
        """Return heights beside the road: the bank's profile, then a slope to land.

        Args:
            foot: Nearest points of the centre line, (n, 3).
            outwards: Unit vectors from there, (n, 2).
            beside_m: Distances from the edge of the asphalt, (n,).
        """
        lateral_m, rise_m = np.array(self.verge.bank_m).T
        meets_m = self.verge.meets_land_m
        meeting = foot[:, :2] + outwards * (self.track.half_width_m + meets_m)
        end_m = self.verge_end_m(foot[:, 2], meeting)
        bank_m = foot[:, 2] + np.interp(beside_m, lateral_m, rise_m)
        share = np.clip((beside_m - lateral_m[-1]) / (meets_m - lateral_m[-1]), 0, 1)
        away_m = (self.track.half_width_m + beside_m)[:, None]
        x, y = (foot[:, :2] + outwards * away_m).T
        slope_m = bank_m * (1 - share) + end_m * share
        return np.where(beside_m < meets_m, slope_m, self.land_m(x, y))

    def verge_end_m(self, road_m: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """Return heights where the verge of a road at `road_m` meets land, (n,).

        Args:
            road_m: The heights of the road, (n,).
            points_m: Where the verge ends, (n, 2).
        """
        rise_m = self.land_m(points_m[:, 0], points_m[:, 1]) - road_m
        return road_m + np.clip(rise_m - 0.08, -8.0, 3.0)


def make_terrain(track: Track, look: looks.Look, seed: int) -> Terrain:
    """Return land around a road: `look.relief` shapes it, `look.road` its verges."""
    step = CELL_M * COARSE_CELLS
    low = np.floor((track.points[:, :2].min(axis=0) - MARGIN_M) / step) * step
    span = track.points[:, :2].max(axis=0) + MARGIN_M - low
    columns, rows = (np.ceil(span / step).astype(int) * COARSE_CELLS + 1).tolist()
    origin = (float(low[0]), float(low[1]))
    x, y = np.arange(columns) * CELL_M, np.arange(rows) * CELL_M
    grid = np.meshgrid(low[0] + x, low[1] + y)
    distance, nearest, road = _relate(track, *grid)
    inside = _inside(track, *grid)
    rng = textures.texture_rng("terrain", seed)
    noise = partial(lattice_noise, rng, (rows, columns))
    beside = np.maximum(distance - track.half_width_m, 0)
    heights = _spread(road, beside > 3.0) + _hills(look.relief, noise, beside, inside)
    verge = VERGES[look.road]
    # Under the road, and under the verge almost up to where it meets the land.
    buried = _smooth_step((verge.meets_land_m - beside) / 2.0)
    river = _river(track, *grid)
    heights = heights * (1 - buried) + (road - UNDER_ROAD_M) * buried
    # Squares that reach under the asphalt rise gently: they must not pierce it.
    gentle = road - UNDER_ROAD_M + 0.2 * beside
    heights = np.where(beside < 1.45 * CELL_M, np.minimum(heights, gentle), heights)
    heights = heights * (1 - river) + (road - RIVER_DEPTH_M) * river
    level = float(track.points[:, 2].min()) + WATER_LEVEL_M
    level = level if river.any() or look.relief.lake_m > 0 else -np.inf
    return Terrain(
        origin, grid, heights, distance, nearest, inside, track, verge, level
    )


def _hills(
    relief: looks.Relief, noise: Noise, beside: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Return the height of the land over the road nearby, (rows, columns).

    `beside` is the distance from the edge of the asphalt, `inside` where the loop goes
    around.
    """
    start = relief.hill_start_m
    bumps = noise({2: 0.5, 4: 1.0, 8: 1.0}) * relief.bump_m
    rough = noise({8: 2, 16: 5, 32: 10, 64: 18})
    lie = _smooth_step(noise({32: 1.0, 64: 2.0}) + 0.5)
    rise = _smooth_step((beside - start + 6 - 22 * lie) / relief.hill_run_m)
    land = rise * (relief.hill_m * (0.35 + lie) + np.abs(rough) * relief.hill_m / 16)
    land += _smooth_step((beside - 110) / 120) * relief.far_m
    where = noise({8: 0.4, 32: 2})
    # Ranked, the noise spreads evenly over [0, 1], and cliffs get their share.
    ranked = np.searchsorted(np.sort(where.ravel()), where) / where.size
    edge = _smooth_step((ranked - 1 + relief.cliff_share) * 7)
    wall = _smooth_step((beside + 5 - relief.cliff_start_m) / 6)
    wall *= _smooth_step((110 - beside) / 70)
    land += edge * wall * relief.cliff_m * (0.75 + 0.05 * np.abs(rough))
    if relief.terrace_m > 0:
        step = relief.terrace_m
        level = np.floor(land / step)
        share = _smooth_step((land / step - level - 0.55) / 0.4)
        land = (level + share) * step * 0.85 + land * 0.15
    land += 0.45 + bumps * _smooth_step((beside - 5) / 10)
    if relief.lake_m > 0:
        shore = 5 + 12 * lie
        lake = 0.45 + 0.6 * bumps * _smooth_step((beside - 5) / 10)
        lake += np.clip(0.25 * rough, -0.2, 3.5) * _smooth_step((beside - 6) / 12)
        lake -= _smooth_step((beside - shore) / 16) * (relief.lake_m + 0.5)
        land = np.where(inside, lake, land)
    return land


def _relate(
    track: Track, grid_x: np.ndarray, grid_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distance to the road, nearest sample, and height of the road nearby.

    Where roads pass over or close to each other it is the height of the lower one:
    land that follows it never pokes through a road.
    """
    points = np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)
    line, count = track.points[:, :2], len(track.points)
    # The nearest of every fourth sample first, then the nearest around it.
    rough = [
        (-2 * spots @ line[::4].T + (line[::4] ** 2).sum(1)).argmin(axis=1)
        for spots in np.array_split(points, 1 + len(points) // 4096)
    ]
    around = (4 * np.concatenate(rough)[:, None] + np.arange(-4, 5)) % count
    apart = ((points[:, None] - line[around]) ** 2).sum(axis=2)
    best = apart.argmin(axis=1)[:, None]
    nearest = np.take_along_axis(around, best, axis=1)[:, 0]
    distance = np.sqrt(np.take_along_axis(apart, best, axis=1)[:, 0])
    # In a dip the straight sides of a square of land would cut the road.
    dip = np.min([np.roll(track.points[:, 2], k) for k in range(-4, 5)], axis=0)
    road = dip[nearest]
    # A square of land under the asphalt has corners up to its diagonal away.
    reach = track.half_width_m + 1.45 * CELL_M
    close = np.nonzero(distance < reach)[0]
    apart = ((points[close, None] - line[None]) ** 2).sum(axis=2)
    along = np.abs(np.arange(count) - nearest[close, None])
    other = np.minimum(along, count - along) * track.spacing_m > OTHER_ROAD_M
    lower = np.where(other & (apart < reach**2), dip, np.inf).min(axis=1)
    road[close] = np.minimum(road[close], lower)
    shape = grid_x.shape
    return distance.reshape(shape), nearest.reshape(shape), road.reshape(shape)


def _inside(track: Track, grid_x: np.ndarray, grid_y: np.ndarray) -> np.ndarray:
    """Return whether the loop goes around each point of the lattice (even-odd rule)."""
    # One pass over the edges, all rows at once: an edge flips what lies east of it.
    inside = np.zeros(grid_x.shape, bool)
    ends = np.roll(track.points[:, :2], -1, axis=0)
    for (x0, y0), (x1, y1) in zip(track.points[:, :2], ends, strict=True):
        rows = np.nonzero((grid_y[:, 0] > y0) != (grid_y[:, 0] > y1))[0]
        if len(rows):
            crossing = x0 + (grid_y[rows, 0] - y0) * (x1 - x0) / (y1 - y0)
            inside[rows] ^= grid_x[rows] > crossing[:, None]
    return inside


def _river(track: Track, grid_x: np.ndarray, grid_y: np.ndarray) -> np.ndarray:
    """Return the share [0, 1] of river bed under the track's named bridge."""
    if track.bridge_m is None:
        return np.zeros(grid_x.shape)
    first, last = track.bridge_m
    length = (last - first) % track.length_m
    middle = track.point_at(first + length / 2)
    x, y = grid_x - middle.x_m, grid_y - middle.y_m
    along = np.abs(x * np.cos(middle.heading_rad) + y * np.sin(middle.heading_rad))
    across = np.abs(y * np.cos(middle.heading_rad) - x * np.sin(middle.heading_rad))
    width = _smooth_step((length / 2 + 4 - along) / 14)
    return width * _smooth_step((120 - across) / 40)


def _spread(road: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return road heights smoothed over the land: fixed where not `free`."""
    heights = road.copy()
    for _ in range(60):
        padded = np.pad(heights, 1, mode="edge")
        mean = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2]
        heights = np.where(free, (mean + padded[1:-1, 2:]) / 4, road)
    return heights


def _smooth_step(share: np.ndarray) -> np.ndarray:
    """Return 3t² - 2t³ of `share` clipped to [0, 1]."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
