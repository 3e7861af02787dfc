"""What stands beside the road as meshes: cut-out quads, boulders, needles, wires."""

from itertools import pairwise

import numpy as np

from simulator import looks, mesh, obstacles, sprites, terrain, textures

TILE_M = 80.0
FAR_ATLAS = "sprites_far"
# Name of the atlas, share of the look's haze, distances at which it is shown.
HAZES = (
    ("sprites", 0.0, (0.0, 75.0)),
    ("sprites_middle", 0.5, (75.0, 170.0)),
    (FAR_ATLAS, 1.0, (170.0, np.inf)),
)
FLAT = ("sign", "mast_sign", "guard_post")  # one quad, across the road
ROCK_SIDES = 9
ROCK_RINGS = np.array([-0.15, 0.25, 0.55, 0.8, 0.95, 1.0])  # shares of the height
PYLON_SPACING_M, PYLON_M, PYLON_GAP_M = 60.0, 34.0, 40.0


def prop_meshes(
    things: obstacles.Obstacles, look: looks.Look, seed: int
) -> list[mesh.Mesh]:
    """Return the meshes of all that stands on the land."""
    rock = np.isin(things.kind, (obstacles.BOULDER, obstacles.SPIRE))
    parts = rock_meshes(things.chosen(rock), look, seed)
    sprite = things.chosen(~rock)
    tiles = np.floor(sprite.foot_m[:, :2] / TILE_M).astype(int)
    _, tile_of = np.unique(tiles, axis=0, return_inverse=True)
    for tile in range(tile_of.max(initial=-1) + 1):
        here = sprite.chosen(tile_of.ravel() == tile)
        for name, _, visible_m in HAZES:
            near = name == "sprites"
            parts.append(_billboards(here, look.light, name, visible_m, crossed=near))
    return parts


def atlases(look: looks.Look, seed: int) -> dict[str, np.ndarray]:
    """Return the sprite atlas in each of `HAZES`, uint8 RGBA."""
    clear = sprites.make_atlas(seed, look.leaves)
    return {
        name: sprites.add_haze(clear, look.haze, share * look.haze_strength)
        for name, share, _ in HAZES
    }


def _billboards(
    things: obstacles.Obstacles,
    light: looks.Light,
    texture: str,
    visible_m: tuple[float, float],
    crossed: bool,
) -> mesh.Mesh:
    """Return upright quads, each with a sunny and a shady face.

    Args:
        things: What to draw; all kinds are sprites.
        crossed: Give what is not flat a second quad across the first.
    """
    headings, chosen = things.heading_rad, np.arange(len(things))
    if crossed:
        solid = chosen[~np.isin(things.kind, FLAT)]
        # Turned by an eighth: from the road neither quad is seen edge-on.
        headings = headings + np.where(np.isin(things.kind, FLAT), 0, np.pi / 4)
        headings = np.concatenate([headings, headings[solid] + np.pi / 2])
        chosen = np.concatenate([chosen, solid])
    foot, size = things.foot_m[chosen], things.size_m[chosen].copy()
    size[:, 0] *= [sprites.width_share(str(kind)) for kind in things.kind[chosen]]
    quads = _upright(foot, size, headings)
    box = np.array([sprites.uv_box(str(kind)) for kind in things.kind])[chosen]
    uv = np.stack([box[:, [0, 1]], box[:, [2, 1]], box[:, [2, 3]], box[:, [0, 3]]], 1)
    sunny = np.cos(headings - np.radians(light.sun_azimuth_deg))
    shade = 255 * np.clip(np.stack([0.72 + 0.5 * sunny, 0.72 - 0.5 * sunny]), 0.3, 1)
    if texture == FAR_ATLAS:
        shade[:] = 255  # In the haze all faces are alike, and white is drawn faster.
    front = mesh.halves(np.arange(4 * len(quads)).reshape(-1, 4))
    triangles = np.concatenate([front, front[:, ::-1] + 4 * len(quads)])
    vertices = np.concatenate([quads, quads]).reshape(-1, 3)
    colours = np.repeat(shade.reshape(-1, 1), 4, axis=0) * np.ones(3)
    uv = np.concatenate([uv, uv]).reshape(-1, 2)
    return mesh.make_mesh(texture, "props", vertices, colours, uv, triangles, visible_m)


def _upright(foot: np.ndarray, size: np.ndarray, headings: np.ndarray) -> np.ndarray:
    """Return the corners of upright rectangles, (n, 4, 3), from the lower left.

    Args:
        foot: The middles of the lower sides, (n, 3).
        size: The widths and heights, (n, 2).
        headings: The directions that the faces look to [rad], (n,).
    """
    across = np.stack([-np.sin(headings), np.cos(headings)], axis=1)
    half = np.column_stack([across * size[:, :1] / 2, np.zeros(len(foot))])
    up = np.column_stack([np.zeros((len(foot), 2)), size[:, 1]])
    return np.stack([foot - half, foot + half, foot + half + up, foot - half + up], 1)


def rock_meshes(
    rocks: obstacles.Obstacles, look: looks.Look, seed: int
) -> list[mesh.Mesh]:
    """Return boulders and needles as lumpy stacks of rings."""
    if not len(rocks):
        return []
    rng = textures.texture_rng("rocks", seed)
    parts, texture = [], look.ground_texture
    triangles = mesh.grid_triangles(len(ROCK_RINGS), ROCK_SIDES + 1)
    for kind, foot, size in zip(rocks.kind, rocks.foot_m, rocks.size_m, strict=True):
        shape, lit = _rock(str(kind) == obstacles.SPIRE, size, look.light, rng)
        vertices = shape.reshape(-1, 3) + foot
        gain = lit * 255 / textures.DETAIL_LEVEL
        colours = looks.dimmed(np.array(look.rock) * gain).reshape(-1, 3)
        uv = np.stack([vertices[:, 0] + vertices[:, 1], vertices[:, 2]], axis=1) / 6.0
        one = mesh.make_mesh(texture, "ground", vertices, colours, uv, triangles)
        parts.append(one)
    return mesh.split_into_tiles(mesh.merge(parts), TILE_M)


def _rock(
    needle: bool, size: np.ndarray, light: looks.Light, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return corners around the foot and gains of light, (rings, sides + 1, 3) each."""
    if needle:
        girth = np.array([1.15, 0.95, 0.72, 0.5, 0.28, 0.04])
    else:
        girth = np.sqrt(np.clip(1 - ROCK_RINGS**2, 0, 1)) + 0.05
    around = [*range(ROCK_SIDES), 0]  # the last corner closes the ring
    angle = np.linspace(0, 2 * np.pi, ROCK_SIDES + 1)[around]
    lumps = rng.uniform(0.75, 1.15, (len(ROCK_RINGS), ROCK_SIDES))
    radius = size[0] / 2 * (girth[:, None] * lumps)[:, around]
    height = np.broadcast_to(size[1] * ROCK_RINGS[:, None], radius.shape)
    corners = [radius * np.cos(angle), radius * np.sin(angle), height]
    outwards = np.stack([np.cos(angle), np.sin(angle), np.full_like(angle, 0.5)], 1)
    lit = light.on(outwards / np.linalg.norm(outwards, axis=1, keepdims=True))
    tone = rng.uniform(0.55, 1.0) * (0.75 + 0.25 * ROCK_RINGS)
    return np.stack(corners, axis=2), lit * tone[:, None, None]


def power_line(land: terrain.Terrain, look: looks.Look) -> list[mesh.Mesh]:
    """Return pylons and wires in a straight line across the land, over the road."""
    grid_x, grid_y = land.grid_m
    x = np.arange(grid_x.min() + 60, grid_x.max() - 60, PYLON_SPACING_M)
    share = (x - x[0]) / (x[-1] - x[0])
    low, high = grid_y.min() + 190, grid_y.max() - 150
    y = low + (high - low) * share
    heading = np.arctan2(high - low, x[-1] - x[0])
    tops = np.stack([x, y, land.land_m(x, y)], axis=1)
    road = land.track.points[:, :2]
    apart = np.linalg.norm(tops[:, None, :2] - road[None], axis=2).min(axis=1)
    tops = tops[apart > PYLON_GAP_M]
    sizes, headings = np.full((len(tops), 2), PYLON_M), np.full(len(tops), heading)
    kinds, passed_through = np.full(len(tops), "pylon"), np.zeros(len(tops))
    pylons = obstacles.Obstacles(kinds, tops, sizes, headings, passed_through)
    atlas = "sprites_middle"
    masts = _billboards(pylons, look.light, atlas, mesh.EVERYWHERE, crossed=False)
    return [masts, *_wires(tops, heading)]


def _wires(feet: np.ndarray, heading: float) -> list[mesh.Mesh]:
    """Return sagging wires between the cross-arms of pylons, thin upright bands."""
    across = np.array([-np.sin(heading), np.cos(heading), 0.0])
    spans, share = [], np.linspace(0, 1, 7)[:, None]
    for start, end in pairwise(feet):
        for height, reach in ((0.89, 7.0), (0.78, 9.0), (0.67, 7.0)):
            for side in (-1, 1):
                arm = across * side * reach + (0, 0, height * PYLON_M)
                line = (start + arm) * (1 - share) + (end + arm) * share
                line[:, 2] -= 14.0 * (share * (1 - share))[:, 0]
                spans.append(np.stack([line, line + (0, 0, 0.16)], axis=1))
    bands = np.array(spans).reshape(-1, 3)
    one = mesh.grid_triangles(7, 2)
    triangles = np.concatenate([one + 14 * k for k in range(len(spans))])
    triangles = np.concatenate([triangles, triangles[:, ::-1]])
    wires = mesh.make_mesh("plain", "props", bands, (56, 74, 100), None, triangles)
    return mesh.split_into_tiles(wires, 2 * TILE_M)
