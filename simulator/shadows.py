"""Shadows: what land and trees take from the sun, baked before anything is drawn.

The land's own shadow darkens its corners (`land_shadow`). On the road, where corners
are far apart, shadows are thin dark sheets with the outline that the light has.
"""

import numpy as np

from simulator import looks, mesh, obstacles, sprites, terrain
from simulator.road_mesh import TILE_M
from simulator.terrain import CELL_M
from simulator.track import Track

REACH_M = 150.0  # farthest thing that casts a shadow
MARCH_M = 5.0
SHEET_M = 0.06  # height of a shadow over the road
ALONG_M, ACROSS_M = 1.5, 1.0  # corners of the grid on which the road's shadow is found
COLOUR = (8, 16, 32)  # on the jungle's asphalt, with OPACITY, as on real frames
OPACITY = 0.92  # of a full shadow


def sun_hidden_m(
    land: terrain.Terrain, light: looks.Light, points: np.ndarray
) -> np.ndarray:
    """Return by how much land rises over the line to the sun, (n,), + is shadow.

    `points` are the x, y, z of the places, (n, 3), in metres.
    """
    east, north, up = light.direction
    flat = max(float(np.hypot(east, north)), 1e-6)
    hidden = np.full(len(points), -np.inf)
    for distance_m in np.arange(MARCH_M, REACH_M, MARCH_M):
        x = points[:, 0] + distance_m * east / flat
        y = points[:, 1] + distance_m * north / flat
        line = points[:, 2] + distance_m * up / flat
        hidden = np.maximum(hidden, land.land_m(x, y) - line)
    return hidden


def land_shadow(land: terrain.Terrain, light: looks.Light) -> np.ndarray:
    """Return the share of the sun's disc that land hides, (rows, columns) in [0, 1]."""
    heights = land.heights_m
    east, north, up = light.direction
    flat = max(float(np.hypot(east, north)), 1e-6)
    rows, columns = np.mgrid[: heights.shape[0], : heights.shape[1]]
    hidden = np.zeros_like(heights)
    for distance_m in np.arange(MARCH_M, REACH_M, MARCH_M):
        i = np.rint(rows + north / flat * distance_m / CELL_M).astype(int)
        j = np.rint(columns + east / flat * distance_m / CELL_M).astype(int)
        i, j = np.clip(i, 0, rows.max()), np.clip(j, 0, columns.max())
        above = heights[i, j] - heights - 0.8 - distance_m * up / flat
        hidden = np.maximum(hidden, np.clip(above / 2.0, 0, 1))
    return hidden


def shadow_meshes(
    land: terrain.Terrain, things: obstacles.Obstacles, light: looks.Light
) -> list[mesh.Mesh]:
    """Return the shadows that lie on the road, in tiles; none without shadow."""
    if light.shadow == 0:
        return []
    alpha = 255 * OPACITY * light.shadow
    parts = [_land_on_road(land, light, alpha)]
    cast = _trees_on_road(land, things, light, alpha)
    if cast is not None:
        parts.append(cast)
    return [tile for part in parts for tile in mesh.split_into_tiles(part, TILE_M)]


def _land_on_road(land: terrain.Terrain, light: looks.Light, alpha: float) -> mesh.Mesh:
    """Return the land's shadow on the asphalt as outlines cut from a grid."""
    track, edge = land.track, land.track.half_width_m
    rows = max(4, round(track.length_m / ALONG_M))
    step = np.arange(rows + 1) * len(track.points) / rows
    index = np.rint(step).astype(int) % len(track.points)
    lateral = np.linspace(-edge, edge, round(2 * edge / ACROSS_M) + 1)
    points, aside = track.points[index, None], track.normals[index, None]
    grid = np.empty((rows + 1, len(lateral), 3))
    grid[..., :2] = points[..., :2] + lateral[:, None] * aside
    grid[..., 2] = points[..., 2] + SHEET_M
    hidden = sun_hidden_m(land, light, grid.reshape(-1, 3)).reshape(grid.shape[:2])
    polygons = _outlines(grid, hidden)
    vertices = np.concatenate([np.zeros((0, 3)), *polygons])
    triangles, first = [], 0
    for polygon in polygons:
        last = first + len(polygon) - 1
        triangles += [(first, k, k + 1) for k in range(first + 1, last)]
        first = last + 1
    corners = np.array(triangles, int).reshape(-1, 3)
    return mesh.make_mesh("plain", "decal", vertices, (*COLOUR, alpha), None, corners)


def _outlines(grid: np.ndarray, hidden: np.ndarray) -> list[np.ndarray]:
    """Return convex polygons, each (3 to 6, 3), that cover where `hidden` is positive.

    Squares of the grid that lie wholly in shadow are joined across the road.
    """
    dark = hidden > 0
    corners = dark[:-1, :-1].astype(int) + dark[1:, :-1] + dark[:-1, 1:] + dark[1:, 1:]
    partly = np.argwhere((corners > 0) & (corners < 4))
    polygons = [_clip_square(grid, hidden, i, j) for i, j in partly]
    for i in np.nonzero((corners == 4).any(axis=1))[0]:
        edges = np.diff(np.concatenate([[0], (corners[i] == 4).astype(int), [0]]))
        for a, b in zip(*(np.nonzero(edges == s)[0] for s in (1, -1)), strict=True):
            polygons.append(grid[[i, i, i + 1, i + 1], [a, b, b, a]])
    return polygons


def _clip_square(grid: np.ndarray, hidden: np.ndarray, i: int, j: int) -> np.ndarray:
    """Return the part of a grid square where `hidden` is positive, (3 to 6, 3)."""
    around = ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))
    polygon = []
    for here, ahead in zip(around, around[1:] + around[:1], strict=True):
        if hidden[here] > 0:
            polygon.append(grid[here])
        if (hidden[here] > 0) != (hidden[ahead] > 0):
            share = hidden[here] / (hidden[here] - hidden[ahead])
            polygon.append(grid[here] + share * (grid[ahead] - grid[here]))
    return np.array(polygon)


def _trees_on_road(
    land: terrain.Terrain, things: obstacles.Obstacles, light: looks.Light, alpha: float
) -> mesh.Mesh | None:
    """Return shadows of trees, signs and masts that reach the road, as flat sprites."""
    east, north, up = light.direction
    flat = max(float(np.hypot(east, north)), 1e-6)
    away = -np.array([east, north]) / flat
    stretch = min(flat / up, 3.0)
    sunny = sun_hidden_m(land, light, things.foot_m + (0, 0, 2.0)) < 0
    chosen = _reaching_road(land.track, things.chosen(sunny), away * stretch)
    if not len(chosen):
        return None
    share = np.linspace(0, 1, 4)
    across = np.array([-away[1], away[0]])
    length = chosen.size_m[:, 1] * stretch
    spine = chosen.foot_m[:, None, :2] + share[:, None] * (away * length[:, None, None])
    filled = np.array([sprites.width_share(str(kind)) for kind in chosen.kind])
    half = across * (chosen.size_m[:, 0] * filled)[:, None, None] / 2
    plane = np.stack([spine - half, spine + half], axis=2)
    z = land.surfaces_m(plane.reshape(-1, 2)) + 1.5 * SHEET_M
    vertices = np.column_stack([plane.reshape(-1, 2), z])
    box = np.array([sprites.uv_box(str(kind)) for kind in chosen.kind])
    v = box[:, 1:2] + share * (box[:, 3:] - box[:, 1:2])
    uv = np.stack([np.stack([box[:, :1] + 0 * v, v], -1),
                   np.stack([box[:, 2:3] + 0 * v, v], -1)], axis=2)  # fmt: skip
    first = np.arange(len(chosen))[:, None, None] * 2 * len(share)
    triangles = (first + mesh.grid_triangles(len(share), 2)).reshape(-1, 3)
    colour, uv = (*(np.array(COLOUR) * 0.3), alpha), uv.reshape(-1, 2)
    return mesh.make_mesh("sprites", "decal", vertices, colour, uv, triangles)


def _reaching_road(
    track: Track, things: obstacles.Obstacles, throw: np.ndarray
) -> obstacles.Obstacles:
    """Return upright sprites whose shadow would touch the road on level land.

    `throw` is the length and direction of the shadow of a pole of one metre, (2,).
    """
    casts = np.isin(things.kind, list(sprites.PAINTERS)) & (things.radius_m > 0)
    half = things.size_m[:, 1:] * throw / 2
    middle = things.foot_m[:, :2] + half
    apart = np.linalg.norm(middle[:, None] - track.points[None, :, :2], axis=2)
    reach = track.half_width_m + np.linalg.norm(half, axis=1)
    return things.chosen(casts & (apart.min(axis=1) < reach))
