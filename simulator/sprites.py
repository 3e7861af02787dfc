"""Sprites: trees, bushes, signs and masts as cut-out pictures in one atlas.

Each is drawn once per seed and colour scheme, with the sun from the upper left. The
atlas exists in several hazes; the renderer shows the hazier ones farther away.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from simulator import textures
from simulator.errors import Refusal

CELL = 128  # pixels, side of one sprite's square in the atlas
Canvas = np.ndarray  # float64 (CELL, CELL, 4), RGBA in [0, 255], row 0 at the top
Colours = dict[str, tuple[int, int, int]]
_ROWS, _COLUMNS = np.mgrid[:CELL, :CELL] + 0.5


def _blob(
    canvas: Canvas,
    rng: np.random.Generator,
    middle: tuple[float, float],
    radii: tuple[float, float],
    colour: np.ndarray,
) -> None:
    """Fill a ragged ellipse; `middle` and `radii` are (x, y) in pixels."""
    (x, y), (rx, ry) = middle, radii
    top, bottom = max(0, int(y - 1.3 * ry)), min(CELL, int(y + 1.3 * ry) + 2)
    left, right = max(0, int(x - 1.3 * rx)), min(CELL, int(x + 1.3 * rx) + 2)
    window = np.s_[top:bottom, left:right]
    distance = ((_COLUMNS[window] - x) / rx) ** 2 + ((_ROWS[window] - y) / ry) ** 2
    inside = distance < 0.65 + 0.7 * rng.random(distance.shape)
    shade = 1 - 0.25 * (_ROWS[window] - y) / ry
    canvas[window][inside, :3] = (colour * shade[..., None])[inside]
    canvas[window][inside, 3] = 255


def _rectangle(canvas: Canvas, box: tuple, colour: tuple[int, int, int]) -> None:
    """Fill (left, top, right, bottom), in pixels."""
    left, top, right, bottom = box
    canvas[top:bottom, left:right] = (*colour, 255)


def _line(canvas: Canvas, points: np.ndarray, width: float, colour: tuple) -> None:
    """Draw a polyline of (x, y) points, `width` pixels wide."""
    size = max(1, round(width))
    for start, end in pairwise(points):
        steps = int(np.hypot(*(end - start)) * 2) + 2
        for x, y in start + (end - start) * np.linspace(0, 1, steps)[:, None]:
            left, top = round(float(x - width / 2)), round(float(y - width / 2))
            box = (max(left, 0), max(top, 0), left + size, top + size)
            _rectangle(canvas, box, colour)


def _crown(
    canvas: Canvas,
    rng: np.random.Generator,
    colours: Colours,
    profile: Callable[[float], float],
    extent: tuple[float, float],
    count: int,
) -> None:
    """Fill a crown with clumps of leaves, those at the back first.

    Args:
        profile: Gives the half width [0, 1] at a depth [0, 1] below the tip.
        extent: The tip and foot of the crown, as shares of the height from the top.
        count: How many clumps there are.
    """
    dark, lit = np.array(colours["leaf"], float), np.array(colours["leaf_lit"], float)
    for k in range(count):
        depth = rng.random() ** 0.8
        half = profile(depth) * CELL / 2
        across = rng.uniform(-1, 1)
        y = (extent[0] + (extent[1] - extent[0]) * depth) * CELL
        front = k / count
        light = front * rng.uniform(0.2, 1.3) - 0.35 * across - 0.2 * depth
        size = rng.uniform(0.045, 0.085) * CELL
        colour = dark + (lit - dark) * np.clip(light, 0, 1)
        _blob(canvas, rng, (CELL / 2 + across * half, y), (size, 0.62 * size), colour)


def broad_tree(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw a tree with an open crown of several storeys on a bare trunk."""
    lean = rng.uniform(-4, 4)
    trunk = np.array([(64, 127), (64 + lean, 60), (64 + lean / 2, 20)], float)
    _line(canvas, trunk, 4, colours["trunk"])
    for _ in range(4):
        y = rng.uniform(45, 80)
        tip = (64 + rng.choice((-1, 1)) * rng.uniform(14, 30), y - rng.uniform(8, 20))
        _line(canvas, np.array([(64 + lean, y), tip]), 2, colours["trunk"])
    waist = rng.uniform(0.35, 0.65)

    def profile(depth: float) -> float:
        storeys = 0.7 + 0.3 * np.cos((depth - waist) * 14)
        return 0.62 * np.sin(np.pi * min(1, 0.12 + 0.83 * depth)) * storeys

    _crown(canvas, rng, colours, profile, (0.03, 0.68), 120)


def slim_tree(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw a tree with a closed, oval crown that reaches far down."""
    _line(canvas, np.array([(64, 127), (64, 60)], float), 4, colours["trunk"])
    width = rng.uniform(0.40, 0.52)

    def profile(depth: float) -> float:
        return width * np.sin(np.pi * (0.1 + 0.85 * depth)) ** 0.8

    _crown(canvas, rng, colours, profile, (0.04, 0.80), 130)


def spire_tree(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw a conifer or cypress: a narrow cone down to the ground."""
    _line(canvas, np.array([(64, 127), (64, 90)], float), 4, colours["trunk"])

    def profile(depth: float) -> float:
        return 0.06 + 0.38 * depth * (1 + 0.2 * np.cos(30 * depth))

    _crown(canvas, rng, colours, profile, (0.05, 0.94), 150)


def palm(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw a palm: a bent trunk under a rosette of drooping fronds."""
    bend = rng.uniform(-14, 14)
    rise = np.linspace(0, 1, 12)
    trunk = np.stack([64 - bend + bend * rise**2, 127 - 85 * rise], axis=1)
    _line(canvas, trunk, 4, colours["trunk"])
    dark, lit = np.array(colours["leaf"], float), np.array(colours["leaf_lit"], float)
    for k in range(15):
        turn = rng.uniform(-0.35, np.pi + 0.35)
        reach = rng.uniform(40, 60)
        share = np.linspace(0, 1, 40)
        x = 64 + np.cos(turn) * reach * share
        y = 42 - np.sin(turn) * 0.75 * reach * share + 34 * share**2
        colour = dark + (lit - dark) * np.clip(k / 15 * rng.uniform(0.3, 1.3), 0, 1)
        for px, py, width in zip(x, y, 6.0 * (1.02 - share), strict=True):
            _blob(canvas, rng, (px, py), (2.2, 0.6 + width), colour)


def bush(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw a wide clump, dark at its foot; it fills the width of the cell."""
    dark, lit = np.array(colours["bush"], float), np.array(colours["leaf_lit"], float)
    for k in range(90):
        across = rng.uniform(-1, 1)
        height = (1 - across**2) * rng.uniform(0.45, 0.9)
        y = CELL * (1 - height * rng.random() ** 0.6)
        light = 0.45 * (k / 90) * rng.random() * (1 - y / CELL) * 2
        colour = dark + (lit - dark) * light
        _blob(canvas, rng, (64 + across * 54, y), (9, 11), colour)
    filled = canvas[CELL // 2 - 1, 14:114, 3] > 0
    canvas[CELL // 2 :, 14:114, 3][:, filled] = 255


def reeds(canvas: Canvas, rng: np.random.Generator, colours: Colours) -> None:
    """Draw tall grass: upright blades, as broad as the cell."""
    low, high = np.array(colours["bush"], float), np.array(colours["leaf_lit"], float)
    for _ in range(110):
        x, length = rng.integers(2, CELL - 3), int(rng.uniform(40, 120))
        light = np.linspace(rng.uniform(0.4, 1.0), 0, length)[:, None, None]
        canvas[CELL - length :, x : x + 2, :3] = low + (high - low) * light
        canvas[CELL - length :, x : x + 2, 3] = 255


def sign(canvas: Canvas, _: np.random.Generator, __: Colours) -> None:
    """Draw a red and white board on two posts."""
    for left in (34, 86):
        _rectangle(canvas, (left, 40, left + 8, CELL), (150, 122, 92))
    for top, colour in ((6, (206, 78, 66)), (24, (232, 220, 206)), (40, (206, 78, 66))):
        _rectangle(canvas, (16, top, 112, top + 18), colour)


def mast_sign(canvas: Canvas, _: np.random.Generator, __: Colours) -> None:
    """Draw a small red and white board on a tall grey mast."""
    _rectangle(canvas, (60, 8, 67, CELL), (164, 170, 176))
    _rectangle(canvas, (64, 8, 67, CELL), (126, 130, 138))
    for top, colour in ((2, (210, 84, 74)), (8, (228, 224, 220)), (13, (210, 84, 74))):
        _rectangle(canvas, (48, top, 80, top + 6), colour)


def guard_post(canvas: Canvas, _: np.random.Generator, __: Colours) -> None:
    """Draw a white post with a reflector board on top."""
    _rectangle(canvas, (58, 10, 70, CELL), (196, 200, 202))
    _rectangle(canvas, (40, 4, 88, 22), (214, 216, 216))
    _rectangle(canvas, (40, 22, 88, 32), (196, 88, 78))


def pylon(canvas: Canvas, _: np.random.Generator, __: Colours) -> None:
    """Draw a lattice mast of a power line with three cross-arms."""
    steel = (70, 88, 112)
    left = np.array([(44, 127), (58, 40), (61, 2)], float)
    right = np.array([(84, 127), (70, 40), (67, 2)], float)
    _line(canvas, left, 2, steel)
    _line(canvas, right, 2, steel)
    for k in range(7):
        low, high = 127 - 15 * k, 127 - 15 * (k + 1)
        half = np.interp((low, high), (40, 127), (6, 20))
        _line(canvas, np.array([(64 - half[0], low), (64 + half[1], high)]), 1, steel)
        _line(canvas, np.array([(64 + half[0], low), (64 - half[1], high)]), 1, steel)
    for y, reach in ((14, 26), (28, 34), (42, 26)):
        _line(canvas, np.array([(64 - reach, y), (64 + reach, y)], float), 2, steel)


PAINTERS: dict[str, Callable[[Canvas, np.random.Generator, Colours], None]] = {
    **dict.fromkeys(("broad_0", "broad_1", "broad_2"), broad_tree),
    **dict.fromkeys(("slim_0", "slim_1"), slim_tree),
    **dict.fromkeys(("spire_0", "spire_1"), spire_tree),
    **dict.fromkeys(("palm_0", "palm_1", "palm_2"), palm),
    **dict.fromkeys(("bush_0", "bush_1"), bush),
    "reeds": reeds,
    "sign": sign,
    "mast_sign": mast_sign,
    "guard_post": guard_post,
    "pylon": pylon,
}
# Share of the cell's width that a sprite fills, around the middle; 1 where not named.
# What is left out need not be drawn: most of the renderer's time goes into pixels.
WIDTHS = {
    "broad": 0.76,
    "slim": 0.62,
    "spire": 0.58,
    "sign": 0.76,
    "mast": 0.27,
    "guard": 0.39,
    "pylon": 0.56,
}
_PER_ROW = 8
_GRID_ROWS = 4  # a power of two that holds all painters


def make_atlas(seed: int, colours: Colours) -> np.ndarray:
    """Return all sprites, uint8 RGBA (512, 1024, 4).

    Args:
        seed: Each sprite draws from its own generator, by its name.
        colours: The RGB of "leaf", "leaf_lit", "bush" and "trunk".
    """
    atlas = np.zeros((_GRID_ROWS * CELL, _PER_ROW * CELL, 4), np.uint8)
    for index, (name, painter) in enumerate(PAINTERS.items()):
        row, column = divmod(index, _PER_ROW)
        canvas = np.zeros((CELL, CELL, 4))
        painter(canvas, textures.texture_rng(name, seed), colours)
        cell = np.s_[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        atlas[cell] = textures.to_uint8(canvas)
    return atlas


def add_haze(
    atlas: np.ndarray, haze: tuple[int, int, int], amount: float
) -> np.ndarray:
    """Return the atlas with its colours moved to `haze` by `amount` in [0, 1]."""
    hazy = atlas.copy()
    moved = atlas[..., :3] * (1 - amount) + np.array(haze) * amount
    hazy[..., :3] = textures.to_uint8(moved)
    return hazy


def width_share(name: str) -> float:
    """Return the share of its cell's width that a sprite fills, in (0, 1]."""
    return WIDTHS.get(name.partition("_")[0], 1.0)


def uv_box(name: str) -> tuple[float, float, float, float]:
    """Return (left, bottom, right, top) of a sprite in texture coordinates.

    The box is as wide as `width_share` says. Half a pixel is left out on each side, so
    that no neighbour shows.

    Raises:
        ValueError: If there is no such sprite.
    """
    if name not in PAINTERS:
        known = ", ".join(PAINTERS)
        raise Refusal(f"no sprite is called {name!r}; there are: {known}")
    row, column = divmod(list(PAINTERS).index(name), _PER_ROW)
    margin = 0.5 / CELL
    half = width_share(name) / 2 - margin
    return (
        (column + 0.5 - half) / _PER_ROW,
        1 - (row + 1 - margin) / _GRID_ROWS,
        (column + 0.5 + half) / _PER_ROW,
        1 - (row + margin) / _GRID_ROWS,
    )
