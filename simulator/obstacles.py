"""Trees, rocks, signs and posts: what stands where, for the eye and for the bumper.

Pure numpy. The same road, look and seed give the same obstacles in both directions of
driving, so that the car hits what one sees.
"""

from dataclasses import dataclass

import numpy as np

from simulator import looks, textures
from simulator.terrain import CELL_M, Terrain
from simulator.track import Track

NEAR_M = 40.0  # from the road's middle: within it stand bushes and `near_per_ha` trees
TRUNK_RADIUS_M, POST_RADIUS_M = 0.35, 0.12
KERB_TREE_GAP_M, LANE_TREE_GAP_M = 6.0, 2.5  # free of trees beside the asphalt
SPIRE = "spire_rock"  # a needle of rock
BOULDER = "boulder"
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
        return Obstacles(
            self.kind[which],
            self.foot_m[which],
            self.size_m[which],
            self.heading_rad[which],
            self.radius_m[which],
        )

    def solid(self) -> "Obstacles":
        """Return those that stop a car."""
        return self.chosen(self.radius_m > 0)


def make_obstacles(
    track: Track, land: Terrain, look: looks.Look, seed: int
) -> Obstacles:
    """Return what stands around a road.

    Args:
        track: The road.
        land: Its terrain.
        look: Says what grows, and how densely.
        seed: Another seed, other places.
    """
    rng = textures.texture_rng("obstacles", seed)
    gap = KERB_TREE_GAP_M if look.road == "kerbs" else LANE_TREE_GAP_M
    groups = [
        _trees(track, land, look.plants, gap, rng),
        _bushes(track, land, look.plants, gap, rng),
        _rocks(track, land, look, gap + 2.0, rng),
        _roadside(track, land, look.roadside),
    ]
    return Obstacles(
        *(
            np.concatenate([getattr(group, name) for group in groups])
            for name in ("kind", "foot_m", "size_m", "heading_rad", "radius_m")
        )
    )


def _scatter(
    land: Terrain, per_ha: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return random points [m], (n, 2), and their nodes of the lattice.

    Args:
        land: The terrain.
        per_ha: Expected number per hectare at each node of the lattice.
        rng: Draws the places.
    """
    counts = rng.poisson(per_ha * CELL_M**2 / 10_000)
    nodes = np.repeat(np.arange(counts.size), counts.ravel())
    grid_x, grid_y = land.grid_m
    points = np.stack([grid_x.ravel()[nodes], grid_y.ravel()[nodes]], axis=1)
    return points + rng.uniform(-CELL_M / 2, CELL_M / 2, points.shape), nodes


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
    return Obstacles(
        kinds,
        np.column_stack([points, foot_z]),
        sizes,
        headings,
        np.broadcast_to(np.asarray(radius_m, float), len(points)).copy(),
    )


def _facing_road(track: Track, land: Terrain, nodes: np.ndarray) -> np.ndarray:
    """Return headings from lattice nodes towards the nearest part of the road."""
    grid_x, grid_y = land.grid_m
    target = track.points[land.nearest.ravel()[nodes], :2]
    return np.arctan2(
        target[:, 1] - grid_y.ravel()[nodes], target[:, 0] - grid_x.ravel()[nodes]
    )


def _trees(
    track: Track,
    land: Terrain,
    plants: looks.Plants,
    gap_m: float,
    rng: np.random.Generator,
) -> Obstacles:
    density = np.where(land.distance_m < NEAR_M, plants.near_per_ha, plants.far_per_ha)
    # On an open lake shore trees are sparse, as the view over the water shall be free.
    density = np.where(land.inside & np.isfinite(land.water_level_m), 0.3, 1) * density
    points, nodes = _scatter(land, density * _open_land(land, gap_m, 0.72), rng)
    height = rng.uniform(*plants.tree_height_m, len(points))
    return _stand(
        rng.choice(np.array(plants.trees), len(points)),
        points,
        land,
        np.stack([height, height], axis=1),
        _facing_road(track, land, nodes),
        TRUNK_RADIUS_M,
    )


def _bushes(
    track: Track,
    land: Terrain,
    plants: looks.Plants,
    gap_m: float,
    rng: np.random.Generator,
) -> Obstacles:
    near = land.distance_m < NEAR_M
    clumps = rng.random(land.heights_m.shape) < 0.3
    density = plants.bushes_per_ha / 0.3 * near * clumps
    points, nodes = _scatter(land, density * _open_land(land, gap_m - 1, 0.8), rng)
    height = rng.uniform(0.6, 1.9, len(points))
    return _stand(
        rng.choice(np.array(plants.bushes), len(points)),
        points,
        land,
        np.stack([2.4 * height, height], axis=1),
        _facing_road(track, land, nodes),
        0.0,
    )


def _rocks(
    track: Track,
    land: Terrain,
    look: looks.Look,
    gap_m: float,
    rng: np.random.Generator,
) -> Obstacles:
    """Return boulders or needles of rock within NEAR_M; their whole width is solid."""
    rocks = look.rocks
    field = _open_land(land, gap_m + rocks.radius_m[1], 0.6)
    points, nodes = _scatter(
        land, rocks.per_ha * field * (land.distance_m < NEAR_M), rng
    )
    radius = rng.uniform(*rocks.radius_m, len(points))
    height = radius * rng.uniform(*rocks.slenderness, len(points))
    return _stand(
        np.full(len(points), SPIRE if rocks.slenderness[0] > 1.5 else BOULDER),
        points,
        land,
        np.stack([2 * radius, height], axis=1),
        _facing_road(track, land, nodes),
        0.9 * radius,
    )


def _roadside(track: Track, land: Terrain, kinds: tuple[str, ...]) -> Obstacles:
    """Return signs and posts on the outer side of curves, masts along a straight."""
    edge = track.half_width_m
    curve = track.curvature_per_m
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
    index = np.array([i for _, i, _ in found], int)
    lateral_m = np.array([o for _, _, o in found], float)
    points = track.points[index, :2] + lateral_m[:, None] * track.normals[index]
    size = {"sign": (2.2, 2.4), "guard_post": (1.1, 1.2), "mast_sign": (5.0, 6.5)}
    placed = _stand(
        np.array([k for k, _, _ in found], str),
        points,
        land,
        np.array([size[k] for k, _, _ in found], float).reshape(-1, 2),
        track.heading_rad[index] + np.pi,
        POST_RADIUS_M,
    )
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
