"""The land, the water and the sky as meshes, with light, shadow and haze baked in.

The software renderer has neither lamps nor fog, so colours carry them: sunlight by the
slope, shadow by a march over the height field towards the sun, haze by the distance
from the road.
"""

import numpy as np

from simulator import looks, mesh, terrain, textures
from simulator.noise import Layers, lattice_noise, layered_noise
from simulator.shadows import land_shadow
from simulator.terrain import COARSE_CELLS

FINE_M = 40.0  # land is fine within this distance of the road's middle
TILE_M = 80.0
SKY_RADIUS_M = 380.0
HAZE_FROM_M, HAZE_TO_M = 40.0, 220.0  # from the road's middle


def land_meshes(land: terrain.Terrain, look: looks.Look, seed: int) -> list[mesh.Mesh]:
    """Return the land in tiles, without what the road hides and deep water covers."""
    colours = land_colours(land, look, seed).reshape(-1, 3)
    triangles = lattice_triangles(land)
    hidden = land.distance_m < land.track.half_width_m + land.verge.meets_land_m - 4.6
    hidden &= ~land.track.on_bridge[land.nearest]
    hidden |= land.heights_m < land.water_level_m - 1.8
    triangles = triangles[~hidden.ravel()[triangles].all(axis=1)]
    vertices = np.dstack([*land.grid_m, land.heights_m]).reshape(-1, 3)
    triangles, uv = mesh.facing_up(vertices, triangles), vertices[:, :2] / 8.0
    whole = mesh.make_mesh(
        look.ground_texture, "ground", vertices, colours, uv, triangles
    )
    return mesh.split_into_tiles(whole, TILE_M)


def land_colours(land: terrain.Terrain, look: looks.Look, seed: int) -> np.ndarray:
    """Return RGB of the land's corners, float64 (rows, columns, 3)."""
    rng = textures.texture_rng("land", seed)

    def noise(layers: dict[int, float]) -> np.ndarray:
        return lattice_noise(rng, land.heights_m.shape, layers)[..., None]

    patches = np.clip(0.5 + noise({1: 1.0, 2: 0.8, 4: 1.0, 16: 1.2}), 0, 1)
    colours = patches * look.grass + (1 - patches) * np.array(look.grass_dark)
    bare = noise({4: 0.6, 16: 1.0, 32: 1.0}) + look.dirt_share - 0.5
    bare = np.clip(0.5 + 3.5 * bare, 0, 1)
    colours = colours * (1 - bare) + np.array(look.dirt) * bare
    steep = 1 - land.normals[..., 2:]
    rocky = np.clip((steep - 0.07 + 0.12 * noise({2: 1.0, 8: 1.0})) * 8, 0, 1)
    colours = colours * (1 - rocky) + np.array(look.rock) * rocky
    depth = land.water_level_m + 0.5 - land.heights_m[..., None]
    shore = np.clip(depth / 1.5, 0, 1)
    colours = colours * (1 - shore) + 0.85 * np.array(look.dirt) * shore
    lit = 1 - look.light.shadow * land_shadow(land, look.light)
    colours = colours * look.light.on(land.normals, lit) * 255 / textures.DETAIL_LEVEL
    return _add_haze(looks.dimmed(colours), land.distance_m, look)


def _add_haze(
    colours: np.ndarray, distance_m: np.ndarray, look: looks.Look
) -> np.ndarray:
    """Return colours (..., 3) with the haze of their distance from the road (...)."""
    share = np.clip((distance_m - HAZE_FROM_M) / (HAZE_TO_M - HAZE_FROM_M), 0, 1)
    share = (look.haze_strength * share)[..., None]
    haze = np.array(look.haze) * 255 / textures.DETAIL_LEVEL
    return colours * (1 - share) + haze * share


def lattice_triangles(land: terrain.Terrain) -> np.ndarray:
    """Return triangles over the lattice's corners, int (n, 3): fine near the road.

    A coarse square next to fine ones is a fan that has their corners on its rim, so
    that no crack opens between them.
    """
    n = COARSE_CELLS
    corners = land.distance_m[::n, ::n]
    near = corners < FINE_M
    fine = near[:-1, :-1] | near[1:, :-1] | near[:-1, 1:] | near[1:, 1:]
    ringed = np.pad(fine, 1)
    sides = (ringed[:-2, 1:-1], ringed[1:-1, 2:], ringed[2:, 1:-1], ringed[1:-1, :-2])
    border = ~fine & np.any(sides, axis=0)
    index = np.arange(land.heights_m.size).reshape(land.heights_m.shape)
    coarse_quads = mesh.squares(index[::n, ::n])[(~fine & ~border).ravel()]
    fine_quads = mesh.squares(index)[np.kron(fine, np.ones((n, n), bool)).ravel()]
    triangles = [mesh.halves(np.concatenate([coarse_quads, fine_quads]))]
    for row, column in np.argwhere(border):
        square = index[n * row : n * row + n + 1, n * column : n * column + n + 1]
        edges = (square[0], square[:, -1], square[-1, ::-1], square[::-1, 0])
        steps = [1 if side[row, column] else n for side in sides]
        rim = [edge[:-1:step] for edge, step in zip(edges, steps, strict=True)]
        ring = np.concatenate(rim)
        middle = np.full(len(ring), square[n // 2, n // 2])
        triangles.append(np.stack([middle, ring, np.roll(ring, -1)], axis=1))
    return np.concatenate(triangles)


def water_meshes(land: terrain.Terrain, look: looks.Look) -> list[mesh.Mesh]:
    """Return still water wherever the land is lower, in tiles."""
    n = COARSE_CELLS
    wet = land.heights_m < land.water_level_m + 0.2
    if not wet.any():
        return []
    squares = np.lib.stride_tricks.sliding_window_view(wet, (n + 1, n + 1))[::n, ::n]
    grid_x, grid_y = (axis[::n, ::n] for axis in land.grid_m)
    quads = mesh.squares(np.arange(grid_x.size).reshape(grid_x.shape))
    quads = quads[squares.any(axis=(2, 3)).ravel()]
    level = np.full_like(grid_x, land.water_level_m)
    vertices = np.dstack([grid_x, grid_y, level]).reshape(-1, 3)
    triangles = mesh.facing_up(vertices, mesh.halves(quads))
    colour = np.array(look.water) * 255 / textures.DETAIL_LEVEL
    uv = vertices[:, :2] / 24.0
    whole = mesh.make_mesh("water", "water", vertices, colour, uv, triangles)
    return mesh.split_into_tiles(whole, 2 * TILE_M)


def sky_mesh(look: looks.Look, seed: int = 0) -> mesh.Mesh:
    """Return the sky as a dome of rings, lighter towards the sun; `seed` has clouds."""
    rings = np.array(looks.SKY_ELEVATIONS_DEG, float)
    if look.clouds:  # They need more corners than a clear sky.
        rings = np.unique(np.concatenate([rings, np.linspace(0, 60, 31)]))
    sky = [
        np.interp(rings, looks.SKY_ELEVATIONS_DEG, c) for c in np.transpose(look.sky)
    ]
    elevation = np.radians(rings)[:, None]
    azimuth = np.linspace(0, 2 * np.pi, 97 if look.clouds else 25)[None]
    east = np.cos(elevation) * np.cos(azimuth)
    north = np.cos(elevation) * np.sin(azimuth)
    up = np.broadcast_to(np.sin(elevation), east.shape)
    directions = np.dstack([east, north, up])
    sunward = directions @ look.light.direction
    colours = np.stack(sky, axis=1)[:, None] * (1.0 + 0.1 * sunward)[..., None]
    if look.clouds:
        colours *= 1 + look.clouds * _clouds(rings, azimuth.size, seed)[..., None]
    vertices, colours = SKY_RADIUS_M * directions.reshape(-1, 3), colours.reshape(-1, 3)
    triangles = mesh.grid_triangles(*east.shape)
    return mesh.make_mesh("plain", "sky", vertices, colours, None, triangles)


def _clouds(rings_deg: np.ndarray, num_azimuths: int, seed: int) -> np.ndarray:
    """Return how light the sky's corners are by clouds, (rings, azimuths) in [-1, 1].

    They are drawn out along the horizon, and end towards it and above.
    """
    rng = textures.texture_rng("clouds", seed)
    layers: Layers = {(8, 16): 1.6, (4, 8): 1.0, (2, 4): 0.6}
    noise = layered_noise(rng, (64, 96), layers)[: len(rings_deg)]
    noise = np.column_stack([noise, noise[:, 0]])[:, :num_azimuths]
    share = np.clip(rings_deg / 6, 0, 1) * np.clip((75 - rings_deg) / 30, 0, 1)
    return np.clip(noise, -1, 1) * share[:, None]
