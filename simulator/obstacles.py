"""Trees, rocks, signs and posts: what stands where, for the eye and for the bumper.

Pure numpy. The same road, look and seed give the same obstacles in both directions of
driving, so that the car hits what one sees.
"""

from dataclasses import dataclass

import numpy as np

from simulator import looks, textures
from simulator.terrain import CELL_M, Terrain
from simulator.track import Track, is_joined

NEAR_M = 40.0  # from the road's middle: within it stand bushes and `near_per_ha` trees
TRUNK_RADIUS_M, POST_RADIUS_M = 0.35, 0.12
KERB_TREE_GAP_M, LANE_TREE_GAP_M = 6.0, 2.5  # free of trees beside the asphalt
SPIRE = "spire_rock"  # a needle of rock
BOULDER = "boulder"
JOINED_POST_M = 3.0  # from one post between two roads to the next
CURVE_PER_M = 1 / 60  # tighter curves have signs or posts on their outer side


@dataclass(frozen=True, eq=False)
class Obstacles:
    """Things that stand on the land; arrays have one row per thing."""

    kind: np.ndarray
    """What it is: the name of a sprite, or BOULDER or SPIRE, str (n,)."""
    foot_m: np.ndarray
    """The x, y, z of the middle of its foot, float64 (n, 3)."""
    size_m: np.ndarray
    """Its width and height, float64 (n, 2)."""
    heading_rad: np.ndarray
    """The direction that its face looks to, (n,), if it has one."""
    radius_m: np.ndarray
    """The radius of what stops a car, (n,); 0: the car passes through."""

    def __post_init__(self) -> None:
        n = len(self.kind)
        assert self.foot_m.shape == (n, 3) and self.size_m.shape == (n, 2)
        assert self.heading_rad.shape == self.radius_m.shape == (n,)

    def __len__(self) -> int:
        return len(self.kind)

    def chosen(self, which: np.ndarray) -> "Obstacles":
        """Return those at an index or mask."""
        return Obstacles(*(column[which] for column in vars(self).values()))

    def solid(self) -> "Obstacles":
        """Return those that stop a car."""
        return self.chosen(self.radius_m > 0)


def make_obstacles(land: Terrain, look: looks.Look, seed: int) -> Obstacles:
    """Return what stands on the land: `look` says what, and how densely."""
    rng = textures.texture_rng("obstacles", seed)
    gap = KERB_TREE_GAP_M if look.road == "kerbs" else LANE_TREE_GAP_M
    groups = [
        _trees(land, look.plants, gap, rng),
        _bushes(land, look.plants, gap, rng),
        _rocks(land, look.rocks, gap + 2.0, rng),
        _roadside(land, look.roadside),
    ]
    columns = zip(*(vars(group).values() for group in groups), strict=True)
    return Obstacles(*map(np.concatenate, columns))


def _scatter(
    land: Terrain, per_ha: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return random points [m], (n, 2), and headings from there to the road, (n,).

    `per_ha` is the expected number per hectare at each node of the lattice.
    """
    counts = rng.poisson(per_ha * CELL_M**2 / 10_000)
    nodes = np.repeat(np.arange(counts.size), counts.ravel())
    points = np.dstack(land.grid_m).reshape(-1, 2)[nodes]
    nearest = land.track.points[land.nearest.ravel()[nodes], :2]
    headings = np.arctan2(nearest[:, 1] - points[:, 1], nearest[:, 0] - points[:, 0])
    return points + rng.uniform(-CELL_M / 2, CELL_M / 2, points.shape), headings


def _open_land(land: Terrain, gap_m: float, flatness: float) -> np.ndarray:
    """Return where something may grow, bool (rows, columns)."""
    dry = land.heights_m > max(land.water_level_m + 0.6, -1e8)
    away = land.distance_m > land.track.half_width_m + gap_m + CELL_M / 2
    return away & dry & (land.normals[..., 2] > flatness)


def _stand(
    kinds: np.ndarray,
    points: np.ndarray,
    land: Terrain,
    sizes: np.ndarray,
    headings: np.ndarray,
    radius_m: float | np.ndarray,
) -> Obstacles:
    """Put things onto the land, sunk a little so that no foot floats."""
    foot_z = land.land_m(points[:, 0], points[:, 1]) - 0.05 * sizes[:, 1].clip(0, 6)
    feet, radii_m = np.column_stack([points, foot_z]), np.full(len(points), radius_m)
    return Obstacles(kinds, feet, sizes, headings, radii_m)


def _trees(
    land: Terrain, plants: looks.Plants, gap_m: float, rng: np.random.Generator
) -> Obstacles:
    density = np.where(land.distance_m < NEAR_M, plants.near_per_ha, plants.far_per_ha)
    # On an open lake shore trees are sparse, as the view over the water shall be free.
    density = np.where(land.inside & np.isfinite(land.water_level_m), 0.3, 1) * density
    points, headings = _scatter(land, density * _open_land(land, gap_m, 0.72), rng)
    height = rng.uniform(*plants.tree_height_m, len(points))
    kinds, sizes = rng.choice(plants.trees, len(points)), np.stack([height, height], 1)
    return _stand(kinds, points, land, sizes, headings, TRUNK_RADIUS_M)


def _bushes(
    land: Terrain, plants: looks.Plants, gap_m: float, rng: np.random.Generator
) -> Obstacles:
    near = land.distance_m < NEAR_M
    clumps = rng.random(land.heights_m.shape) < 0.3
    density = plants.bushes_per_ha / 0.3 * near * clumps
    points, headings = _scatter(land, density * _open_land(land, gap_m - 1, 0.8), rng)
    height = rng.uniform(0.6, 1.9, len(points))
    kinds = rng.choice(plants.bushes, len(points))
    sizes = np.stack([2.4 * height, height], axis=1)
    return _stand(kinds, points, land, sizes, headings, 0.0)


def _rocks(
    land: Terrain, rocks: looks.Rocks, gap_m: float, rng: np.random.Generator
) -> Obstacles:
    """Return boulders or needles of rock within NEAR_M; their whole width is solid."""
    field = _open_land(land, gap_m + rocks.radius_m[1], 0.6)
    density = rocks.per_ha * field * (land.distance_m < NEAR_M)
    points, headings = _scatter(land, density, rng)
    radius = rng.uniform(*rocks.radius_m, len(points))
    height = radius * rng.uniform(*rocks.slenderness, len(points))
    kinds = np.full(len(points), SPIRE if rocks.slenderness[0] > 1.5 else BOULDER)
    sizes = np.stack([2 * radius, height], axis=1)
    return _stand(kinds, points, land, sizes, headings, 0.9 * radius)


def _roadside(land: Terrain, kinds: tuple[str, ...]) -> Obstacles:
    """Return signs and posts on the outer side of curves, masts along a straight."""
    track = land.track
    edge, curve = track.half_width_m, track.curvature_per_m
    tight = np.abs(curve) > CURVE_PER_M
    found: list[tuple[str, int, float]] = []  # kind, sample, lateral position
    if "sign" in kinds:
        for i in np.nonzero(tight & ~_before(tight))[0].tolist():
            lateral = float(-np.sign(curve[i])) * (edge + 4.5)
            found += [("sign", i + 8 * k, lateral) for k in range(4)]
    if "guard_post" in kinds:
        for i in np.nonzero(tight)[0].tolist()[::5]:
            lateral = float(-np.sign(curve[i])) * (edge + 1.3)
            found.append(("guard_post", i, lateral))
    if "mast_sign" in kinds:
        middle = _straightest(track)
        for k in range(-5, 6):
            found += [("mast_sign", middle + 9 * k, s * (edge + 0.9)) for s in (-1, 1)]
    count = len(track.points)
    found = [(k, i % count, o) for k, i, o in found if _is_free(track, i % count, o)]
    num_beside = len(found)
    if "guard_post" in kinds:
        # Between roads that lie side by side; those have each other on their left, or
        # on their right. Whoever hits one is off the road already.
        joined = np.nonzero(is_joined(track, -1))[0].tolist()[:: int(JOINED_POST_M)]
        found += [("guard_post", i, -edge) for i in joined]
    index = np.array([i for _, i, _ in found], int)
    lateral_m = np.array([o for _, _, o in found], float)
    points = track.points[index, :2] + lateral_m[:, None] * track.normals[index]
    size = {"sign": (2.2, 2.4), "guard_post": (1.1, 1.2), "mast_sign": (5.0, 6.5)}
    names = np.array([k for k, _, _ in found], str)
    sizes = np.array([size[k] for k, _, _ in found], float).reshape(-1, 2)
    headings = track.heading_rad[index] + np.pi
    radii_m = np.where(np.arange(len(found)) < num_beside, POST_RADIUS_M, 0.0)
    placed = _stand(names, points, land, sizes, headings, radii_m)
    placed.foot_m[:, 2] = land.surfaces_m(points) - 0.1
    return placed


def _before(tight: np.ndarray) -> np.ndarray:
    """Return samples that have a tight curve on the 60 m before them, bool (n,)."""
    return np.any([np.roll(tight, shift) for shift in range(1, 61)], axis=0)


def _straightest(track: Track) -> int:
    """Return the middle of the straightest 90 m that no bridge carries."""
    bent = np.abs(track.curvature_per_m) + track.on_bridge
    half = int(45 / track.spacing_m)
    ring = np.concatenate([bent[-half:], bent, bent[:half]])
    return int(np.argmin(np.convolve(ring, np.ones(2 * half + 1), "valid")))


def _is_free(track: Track, index: int, lateral_m: float) -> bool:
    """Return whether a place beside the road is off all parts of the road."""
    if track.on_bridge[index]:
        return False
    spot = track.points[index, :2] + lateral_m * track.normals[index]
    away = np.linalg.norm(track.points[:, :2] - spot, axis=1).min()
    return bool(away > track.half_width_m + 0.5)
