"""Procedural textures of the simulator: numpy only, seeded, nothing but arithmetic.

Every surface is value noise of a few scales with lines, kerbs or setts drawn over it. A
texture depends on its name and on the seed alone, so that neither the order in which
textures are made nor another texture's draws can change its bits.

Detail textures (`ground`, `cliff`, `water`, `leafage`) are grey, around `DETAIL_LEVEL`:
the renderer multiplies them with the colours of the mesh's corners.
"""

import zlib
from collections.abc import Callable

import numpy as np

from simulator.errors import Refusal

DETAIL_LEVEL = 200  # mean of a detail texture; above it is room for light spots

# Columns of the road textures, as shares [0, 1] of the width. A margin of 4 pixels on
# each side keeps the smaller mipmaps from mixing neighbours.
ROAD_PIXELS = 512
ROAD_LENGTH_M = 16.0  # one repeat of a road texture along the road
LAKE_COLUMNS_PX = {
    "asphalt": (0, 256),
    "shoulder": (264, 312),
    "kerb": (320, 376),
    "concrete": (384, 444),
    "earth": (452, 508),
}
JUNGLE_COLUMNS_PX = {"asphalt": (0, 416), "shoulder": (424, 464), "wall": (472, 508)}


Layers = dict[tuple[int, int], float]  # peak-to-peak size of a noise by its cell


def texture_rng(name: str, seed: int) -> np.random.Generator:
    """Return the generator of one texture; the same for a name in every process."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed])


def value_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: tuple[int, int]
) -> np.ndarray:
    """Return smooth noise that tiles in both directions.

    Args:
        rng: Draws the lattice's values.
        shape: The (height, width) in pixels, multiples of `cell`.
        cell: The (rows, columns) between lattice points.

    Returns:
        float64 (height, width) in [-0.5, 0.5].

    Source: value noise with the cubic fade 3t² - 2t³.
    """
    lattice = rng.random((shape[0] // cell[0], shape[1] // cell[1])) - 0.5
    rows, row_share = np.divmod(np.arange(shape[0]) / cell[0], 1)
    columns, column_share = np.divmod(np.arange(shape[1]) / cell[1], 1)
    top, left = rows.astype(int), columns.astype(int)
    bottom, right = (top + 1) % lattice.shape[0], (left + 1) % lattice.shape[1]
    fade_y = (row_share**2 * (3 - 2 * row_share))[:, None]
    fade_x = (column_share**2 * (3 - 2 * column_share))[None]
    upper = lattice[np.ix_(top, left)] * (1 - fade_x)
    upper += lattice[np.ix_(top, right)] * fade_x
    lower = lattice[np.ix_(bottom, left)] * (1 - fade_x)
    lower += lattice[np.ix_(bottom, right)] * fade_x
    return upper * (1 - fade_y) + lower * fade_y


def layered_noise(
    rng: np.random.Generator, shape: tuple[int, int], layers: Layers
) -> np.ndarray:
    """Return the sum of value noises, float64 of `shape`."""
    total = np.zeros(shape)
    for cell, size in layers.items():
        total += size * value_noise(rng, shape, cell)
    return total


def lattice_noise(
    rng: np.random.Generator, shape: tuple[int, ...], layers: dict[int, float]
) -> np.ndarray:
    """Return the sum of value noises of square cells on a lattice of any shape.

    Args:
        layers: The peak-to-peak size of each noise by the side of its cells, up to 64.
    """
    squares: Layers = {(side, side): size for side, size in layers.items()}
    rows, columns = (-(-length // 64) * 64 for length in shape)
    return layered_noise(rng, (rows, columns), squares)[: shape[0], : shape[1]]


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Return `values` clipped to [0, 255] as uint8."""
    return np.clip(values, 0, 255).astype(np.uint8)


def column_range(name: str, columns_px: dict[str, tuple[int, int]]) -> tuple:
    """Return (left, right) of a road column as texture coordinates in [0, 1].

    One pixel of each edge is left out, so that linear filtering stays inside.
    """
    left, right = columns_px[name]
    return (left + 1) / ROAD_PIXELS, (right - 1) / ROAD_PIXELS


def _asphalt(
    rng: np.random.Generator, shape: tuple[int, int], colour: tuple, grain: float
) -> np.ndarray:
    """Return asphalt (height, width, 3): light chips, drawn out along the road."""
    sizes = {(2, 1): 0.8, (4, 2): 1.3, (16, 8): 0.15, (128, 32): 0.2}
    noise = layered_noise(rng, shape, {cell: k * grain for cell, k in sizes.items()})
    chips = np.clip(value_noise(rng, shape, (4, 2)) - 0.22, 0, None) * 2.2 * grain
    return np.array(colour, float) + (noise + chips)[..., None]


def lake_road(rng: np.random.Generator) -> np.ndarray:
    """Return the lake's road, uint8 RGB (1024, 512, 3): see `LAKE_COLUMNS_PX`.

    The asphalt column is 7.6 m wide between the outer edges of the double lines.
    Colours: medians of rectified real frames.
    """
    shape = (2 * ROAD_PIXELS, ROAD_PIXELS)
    image = _asphalt(rng, shape, (116, 115, 98), 70)
    dirt = layered_noise(rng, shape, {(4, 4): 40, (32, 16): 40})[..., None]
    _double_yellow_lines(image, dirt)
    image[:, 258:316] = _asphalt(rng, (shape[0], 64), (120, 119, 103), 45)[:, :58]
    block = (np.arange(shape[0]) // 16) % 2 == 0  # 0.25 m
    image[:, 316:380] = np.where(block[:, None, None], (214, 92, 80), (238, 226, 214))
    image[:, 316:380] += 0.3 * dirt[:, 316:380]
    image[:, 380:448] = np.array((250, 247, 226)) + 0.4 * dirt[:, 380:448]
    image[np.arange(shape[0]) % 256 < 3, 380:448] -= 35  # joints, every 4 m
    image[:, 448:] = np.array((226, 186, 130)) + 0.9 * dirt[:, 448:]
    return to_uint8(image)


def _double_yellow_lines(image: np.ndarray, dirt: np.ndarray) -> None:
    """Paint a double line into each edge of the lake's asphalt column, in place.

    On rectified real frames a dark band lies 3.6 m from the middle, between yellows.
    """
    pixels_per_metre = 256 / 7.6
    for outer_m, inner_m, colour in (
        (0.00, 0.08, (156, 146, 86)),
        (0.08, 0.30, (82, 76, 56)),
        (0.30, 0.44, (190, 174, 88)),
    ):
        a, b = round(outer_m * pixels_per_metre), round(inner_m * pixels_per_metre)
        for columns in (slice(a, b), slice(256 - b, 256 - a)):
            image[:, columns] = np.array(colour) + 0.5 * dirt[:, columns]


def jungle_road(rng: np.random.Generator) -> np.ndarray:
    """Return the two-lane road, uint8 RGB (1024, 512, 3): see `JUNGLE_COLUMNS_PX`.

    The asphalt column is 9.5 m wide: white edge lines, dashed centre line.
    """
    shape = (2 * ROAD_PIXELS, ROAD_PIXELS)
    image = _asphalt(rng, shape, (160, 158, 153), 32)
    dirt = layered_noise(rng, shape, {(4, 4): 30, (32, 16): 24})[..., None]
    pixels_per_metre = 416 / 9.5
    dash = (np.arange(shape[0]) / shape[0] * 4) % 1 < 0.6  # 2.4 m of each 4 m
    everywhere = np.ones(shape[0], bool)
    for middle_m, width_m, rows in (
        (0.36, 0.17, everywhere),
        (9.14, 0.17, everywhere),
        (4.75, 0.20, dash),
    ):
        left = round((middle_m - width_m / 2) * pixels_per_metre)
        right = round((middle_m + width_m / 2) * pixels_per_metre)
        image[rows, left:right] = 238 + 0.7 * dirt[rows, left:right]
    image[:, 420:468] = np.array((150, 146, 138)) + dirt[:, 420:468]
    image[:, 468:] = np.array((158, 154, 146)) + 1.4 * dirt[:, 468:]
    return to_uint8(image)


def setts(rng: np.random.Generator) -> np.ndarray:
    """Return the bridge's stone setts, uint8 RGB (512, 512, 3); a stone is 32 px wide.

    Rows of stones with wandering joints: the nearest two of jittered points decide
    what is stone and what is mortar (Worley 1996).
    """
    size, cells = ROAD_PIXELS, 16
    points = rng.uniform(0.28, 0.72, (cells, cells, 2))
    points[1::2, :, 1] += 0.5
    tone = rng.uniform(-30, 26, (cells, cells))
    first, second, stone = _nearest_two(points, size, cells)
    joint = np.clip((second - first - 0.05) / 0.12, 0, 1)[..., None]
    noise = layered_noise(rng, (size, size), {(2, 2): 40, (8, 8): 30, (128, 64): 24})
    brown = np.array((150, 130, 116)) + tone.ravel()[stone][..., None]
    mortar = np.array((220, 198, 174)) + np.zeros((size, size, 1))
    return to_uint8(joint * brown + (1 - joint) * mortar + 0.8 * noise[..., None])


def _nearest_two(points: np.ndarray, size: int, cells: int) -> tuple:
    """Return distances to the nearest two points and the index of the nearest.

    Args:
        points: Offsets (row, column) in each cell, float (cells, cells, 2), [0, 1.5).
        size: The side of the square image in pixels.
        cells: How many cells lie along a side; the pattern tiles.
    """
    rows, columns = np.mgrid[:size, :size] / (size / cells)
    first = np.full((size, size), 9.0)
    second = first.copy()
    index = np.zeros((size, size), int)
    for dy in (-1, 0, 1):
        for dx in (-2, -1, 0, 1):
            i, j = np.floor(rows).astype(int) + dy, np.floor(columns).astype(int) + dx
            offset = points[i % cells, j % cells]
            distance = np.hypot(i + offset[..., 0] - rows, j + offset[..., 1] - columns)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            index = np.where(nearer, i % cells * cells + j % cells, index)
            first = np.where(nearer, distance, first)
    return first, second, index


def _detail(rng: np.random.Generator, size: int, layers: Layers) -> np.ndarray:
    """Return a grey detail texture, uint8 RGB (size, size, 3) around `DETAIL_LEVEL`."""
    noise = layered_noise(rng, (size, size), layers)
    return to_uint8(DETAIL_LEVEL + np.repeat(noise[..., None], 3, axis=2))


def ground(rng: np.random.Generator) -> np.ndarray:
    """Return grass and earth: tufts of a few sizes, uint8 RGB (256, 256, 3)."""
    layers: Layers = {(2, 2): 50, (4, 4): 60, (8, 8): 50, (16, 16): 60, (64, 64): 60}
    return _detail(rng, 256, layers)


def water(rng: np.random.Generator) -> np.ndarray:
    """Return still water, uint8 RGB (128, 128, 3): long faint ripples."""
    return _detail(rng, 128, {(4, 32): 16.0, (2, 16): 10.0, (32, 64): 14.0})


def leafage(rng: np.random.Generator) -> np.ndarray:
    """Return overgrown rock for steep places, uint8 RGB (256, 256, 3): strong blotches.

    Mapped from above, as terrain is, it is drawn out downwards on a cliff.
    """
    layers: Layers = {(4, 4): 110, (8, 8): 130, (16, 16): 140, (32, 32): 90}
    return _detail(rng, 256, layers)


def plain(_: np.random.Generator) -> np.ndarray:
    """Return white: the colours of the mesh's corners show as they are."""
    return np.full((4, 4, 3), 255, np.uint8)


PAINTERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    painter.__name__: painter
    for painter in (lake_road, jungle_road, setts, ground, leafage, water, plain)
}


def make_texture(name: str, seed: int) -> np.ndarray:
    """Return the texture called `name`, uint8 RGB (height, width, 3).

    Raises:
        ValueError: If there is no such texture.
    """
    if name not in PAINTERS:
        known = ", ".join(PAINTERS)
        raise Refusal(f"no texture is called {name!r}; there are: {known}")
    return PAINTERS[name](texture_rng(name, seed))
