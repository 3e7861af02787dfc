"""Procedural textures of the simulator: numpy only, seeded, nothing but arithmetic.

Every surface is value noise of a few scales with lines, kerbs or setts drawn over it. A
texture depends on its name and on the seed alone, so that neither the order in which
textures are made nor another texture's draws can change its bits.

Detail textures (`ground`, `cliff`, `water`, `leafage`) are grey, around `DETAIL_LEVEL`:
the renderer multiplies them with the colours of the mesh's corners.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.errors import Refusal
from simulator.noise import Layers, layered_noise, value_noise

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
# Metres from the middle of the jungle's road, and the gains of red, green and blue of
# its asphalt there, medians of 260 rectified real frames: dark where wheels run, pale
# beside the middle line, warm towards the edges.
JUNGLE_WORN = (
    (0.25, 0.7, 1.0, 1.6, 2.0, 2.4, 3.0, 3.5),
    (1.05, 1.01, 0.970, 0.973, 0.985, 1.0, 1.030, 1.045),
    (1.06, 1.02, 0.975, 0.977, 0.986, 1.0, 1.022, 1.040),
    (1.07, 1.03, 0.982, 0.984, 0.988, 1.0, 1.017, 1.030),
)
SUNLIT_ROAD = "jungle_road"  # is lit by its slopes and by where one looks from
JUNGLE_COLUMNS_PX = {"asphalt": (0, 416), "shoulder": (424, 464), "wall": (472, 508)}


Colour = tuple[int, int, int]  # RGB in [0, 255]
MIDDLE_LINES = ("usual", "none", "dashed", "solid", "double")


@dataclass(frozen=True)
class Paint:
    """What a road is made of and painted with; the default is as its kind has it."""

    brightness: float = 1.0
    """The gain of the asphalt's brightness, above 0."""
    grain: float = 1.0
    """The gain of the asphalt's chips; 0 is smooth."""
    patches: float = 0.0
    """How much lighter or darker large patches are, in grey levels."""
    cobbles: float = 0.0
    """The share of setts in the surface, [0, 1]."""
    has_edge_lines: bool = True
    """Whether its edges are painted."""
    middle_line: str = "usual"
    """What divides its lanes, one of MIDDLE_LINES."""
    line: Colour | None = None
    """The colour of all lines; None is the usual one."""
    line_width: float = 1.0
    """The gain of the lines' width, above 0."""
    wear: float = 0.0
    """The share of the lines that is worn off, [0, 1]."""
    has_kerbs: bool = True
    """Whether bends have striped kerbs, where the kind of road has any."""
    kerb: Colour = (214, 92, 80)
    """The colour of every other block of a kerb."""
    bank: Colour = (250, 247, 226)
    """The colour of the banks, where the kind of road has any."""
    blur_px: float = 0.0
    """The spread of a blur of every texture, 0 to 3 pixels."""

    def __post_init__(self) -> None:
        for name in ("cobbles", "wear"):
            if not 0 <= getattr(self, name) <= 1:
                raise Refusal(f"{name} is {getattr(self, name)}, expected [0, 1]")
        if min(self.brightness, self.line_width) <= 0 or self.grain < 0:
            raise Refusal(f"{self}: brightness, line_width or grain is too small")
        if not 0 <= self.blur_px <= 3:
            raise Refusal(f"blur_px is {self.blur_px}, expected [0, 3]")
        if self.middle_line not in MIDDLE_LINES:
            known = ", ".join(MIDDLE_LINES)
            given = self.middle_line
            raise Refusal(f"middle_line is {given!r}, expected one of {known}")


USUAL_PAINT = Paint()


def texture_rng(name: str, seed: int) -> np.random.Generator:
    """Return the generator of one texture; the same for a name in every process."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed])


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
    rng: np.random.Generator,
    shape: tuple[int, int],
    colour: tuple,
    grain: float,
    paint: Paint,
) -> np.ndarray:
    """Return asphalt (height, width, 3): light chips, drawn out along the road."""
    grain *= paint.grain
    sizes = {(4, 1): 0.8, (8, 2): 1.3, (16, 8): 0.15, (128, 32): 0.2}
    noise = layered_noise(rng, shape, {cell: k * grain for cell, k in sizes.items()})
    chips = np.clip(value_noise(rng, shape, (4, 2)) - 0.22, 0, None) * 2.2 * grain
    image = paint.brightness * np.array(colour, float) + (noise + chips)[..., None]
    if paint.patches:
        patches = layered_noise(rng, shape, {(256, 32): 1.2, (64, 16): 0.8})
        image += paint.patches * patches[..., None]
    if paint.cobbles:
        stones = np.tile(setts(rng, paint), (2, 1, 1))[: shape[0], : shape[1]]
        grey = stones.mean(axis=2, keepdims=True)
        grey *= image.mean() / grey.mean()
        image += paint.cobbles * (grey - image)
    return image


def _worn(
    rng: np.random.Generator, painted: np.ndarray, bare: np.ndarray, paint: Paint
) -> np.ndarray:
    """Return a painted surface where part of the paint is worn off, (h, w, 3)."""
    if not paint.wear:
        return painted
    layers: Layers = {(4, 2): 0.8, (16, 4): 1.0, (128, 16): 1.0}
    noise = layered_noise(rng, painted.shape[:2], layers)
    worn = noise < np.quantile(noise, paint.wear)
    return np.where(worn[..., None], bare, painted)


def _stripe(
    image: np.ndarray, left: float, right: float, colour: tuple, dirt: np.ndarray
) -> None:
    """Paint the columns between two, in pixels, in place."""
    columns = slice(round(left), max(round(right), round(left) + 1))
    image[:, columns] = np.array(colour, float) + dirt[:, columns]


def _dashes(rows: int, paint: Paint, usual: str) -> np.ndarray:
    """Return which rows of a road texture have a middle line, bool (rows,)."""
    kind = usual if paint.middle_line == "usual" else paint.middle_line
    if kind == "dashed":
        return (np.arange(rows) / rows * 4) % 1 < 0.6  # 2.4 m of each 4 m
    return np.full(rows, kind != "none")


def lake_road(rng: np.random.Generator, paint: Paint = USUAL_PAINT) -> np.ndarray:
    """Return the lake's road, uint8 RGB (1024, 512, 3): see `LAKE_COLUMNS_PX`.

    The asphalt column is 7.6 m wide between the outer edges of the double lines.
    Colours: medians of rectified real frames.
    """
    shape = (2 * ROAD_PIXELS, ROAD_PIXELS)
    image = _asphalt(rng, shape, (116, 115, 98), 42, paint)
    bare = image.copy()
    dirt = layered_noise(rng, shape, {(4, 4): 40, (32, 16): 40})[..., None]
    if paint.has_edge_lines:
        _double_yellow_lines(image, dirt, paint)
    shoulder = _asphalt(rng, (shape[0], 64), (120, 119, 103), 34, paint)
    image[:, 258:316] = shoulder[:, :58]
    if paint.middle_line != "usual":
        _middle_line(image, 128, 256 / 7.6, dirt, paint, "none")
    image = _worn(rng, image, bare, paint)
    block = (np.arange(shape[0]) // 16) % 2 == 0  # 0.25 m
    image[:, 316:380] = np.where(block[:, None, None], paint.kerb, (238, 226, 214))
    image[:, 316:380] += 0.3 * dirt[:, 316:380]
    if not paint.has_kerbs:
        image[:, 316:380] = shoulder
    image[:, 380:448] = np.array(paint.bank) + 0.4 * dirt[:, 380:448]
    image[np.arange(shape[0]) % 256 < 3, 380:448] -= 35  # joints, every 4 m
    image[:, 448:] = np.array((226, 186, 130)) + 0.9 * dirt[:, 448:]
    return to_uint8(image)


def _double_yellow_lines(image: np.ndarray, dirt: np.ndarray, paint: Paint) -> None:
    """Paint a double line into each edge of the lake's asphalt column, in place.

    On rectified real frames a dark band lies 3.6 m from the middle, between yellows.
    """
    pixels_per_metre = paint.line_width * 256 / 7.6
    for outer_m, inner_m, colour in (
        (0.00, 0.08, paint.line or (156, 146, 86)),
        (0.08, 0.30, (82, 76, 56)),
        (0.30, 0.44, paint.line or (190, 174, 88)),
    ):
        a, b = outer_m * pixels_per_metre, inner_m * pixels_per_metre
        _stripe(image, a, b, colour, 0.5 * dirt)
        _stripe(image, 256 - round(b), 256 - round(a), colour, 0.5 * dirt)


def _middle_line(
    image: np.ndarray,
    middle_px: float,
    pixels_per_metre: float,
    dirt: np.ndarray,
    paint: Paint,
    usual: str,
) -> None:
    """Paint what divides the lanes into a road texture, in place."""
    rows = _dashes(len(image), paint, usual)
    width_px = 0.20 * paint.line_width * pixels_per_metre
    apart_px = 0.8 * width_px if paint.middle_line == "double" else 0.0
    colour, marked = paint.line or (238, 238, 238), image[rows]
    for middle in {middle_px - apart_px, middle_px + apart_px}:
        left, right = middle - width_px / 2, middle + width_px / 2
        _stripe(marked, left, right, colour, 0.7 * dirt[rows])
    image[rows] = marked


def jungle_road(rng: np.random.Generator, paint: Paint = USUAL_PAINT) -> np.ndarray:
    """Return the two-lane road, uint8 RGB (1024, 512, 3): see `JUNGLE_COLUMNS_PX`.

    The asphalt column is 9.5 m wide: white edge lines, dashed centre line.
    """
    shape = (2 * ROAD_PIXELS, ROAD_PIXELS)
    image = _asphalt(rng, shape, (160, 158, 153), 26, paint)
    pixels_per_metre = 416 / 9.5
    from_middle_m = np.abs((np.arange(shape[1]) + 0.5) / pixels_per_metre - 4.75)
    worn = [np.interp(from_middle_m, JUNGLE_WORN[0], gain) for gain in JUNGLE_WORN[1:]]
    image *= np.stack(worn, axis=1)
    bare = image.copy()
    dirt = layered_noise(rng, shape, {(4, 4): 30, (32, 16): 24})[..., None]
    half_px = 0.17 / 2 * paint.line_width * pixels_per_metre
    for middle_m in (0.36, 9.14) if paint.has_edge_lines else ():
        middle_px = middle_m * pixels_per_metre
        colour = paint.line or (238, 238, 238)
        _stripe(image, middle_px - half_px, middle_px + half_px, colour, 0.7 * dirt)
    middle_px = 4.75 * pixels_per_metre
    _middle_line(image, middle_px, pixels_per_metre, dirt, paint, "dashed")
    image = _worn(rng, image, bare, paint)
    image[:, 420:468] = np.array((150, 146, 138)) + dirt[:, 420:468]
    image[:, 468:] = np.array((158, 154, 146)) + 1.4 * dirt[:, 468:]
    return to_uint8(image)


def setts(rng: np.random.Generator, _: Paint = USUAL_PAINT) -> np.ndarray:
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


def ground(rng: np.random.Generator, _: Paint = USUAL_PAINT) -> np.ndarray:
    """Return grass and earth: tufts of a few sizes, uint8 RGB (256, 256, 3)."""
    layers: Layers = {(2, 2): 50, (4, 4): 60, (8, 8): 50, (16, 16): 60, (64, 64): 60}
    return _detail(rng, 256, layers)


def water(rng: np.random.Generator, _: Paint = USUAL_PAINT) -> np.ndarray:
    """Return still water, uint8 RGB (128, 128, 3): long faint ripples."""
    return _detail(rng, 128, {(4, 32): 16.0, (2, 16): 10.0, (32, 64): 14.0})


def leafage(rng: np.random.Generator, _: Paint = USUAL_PAINT) -> np.ndarray:
    """Return overgrown rock for steep places, uint8 RGB (256, 256, 3): strong blotches.

    Mapped from above, as terrain is, it is drawn out downwards on a cliff.
    """
    layers: Layers = {(4, 4): 110, (8, 8): 130, (16, 16): 140, (32, 32): 90}
    return _detail(rng, 256, layers)


def plain(_: np.random.Generator, __: Paint = USUAL_PAINT) -> np.ndarray:
    """Return white: the colours of the mesh's corners show as they are."""
    return np.full((4, 4, 3), 255, np.uint8)


PAINTERS: dict[str, Callable[[np.random.Generator, Paint], np.ndarray]] = {
    painter.__name__: painter
    for painter in (lake_road, jungle_road, setts, ground, leafage, water, plain)
}


def make_texture(name: str, seed: int, paint: Paint = USUAL_PAINT) -> np.ndarray:
    """Return the texture called `name`, uint8 RGB (height, width, 3).

    Raises:
        Refusal: If there is no such texture.
    """
    if name not in PAINTERS:
        known = ", ".join(PAINTERS)
        raise Refusal(f"no texture is called {name!r}; there are: {known}")
    return _blurred(PAINTERS[name](texture_rng(name, seed), paint), paint.blur_px)


def _blurred(image: np.ndarray, spread_px: float) -> np.ndarray:
    """Return an image that tiles with a Gaussian blur, in the frequency domain."""
    if not spread_px:
        return image
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    frequency = np.hypot(rows[:, None], columns[None])
    damping = np.exp(-2 * (np.pi * frequency * spread_px) ** 2)[..., None]
    waves = np.fft.rfft2(image, axes=(0, 1)) * damping
    return to_uint8(np.fft.irfft2(waves, image.shape[:2], axes=(0, 1)) + 0.5)
