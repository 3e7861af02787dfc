"""Value noise: what every procedural surface, land and sky is made of. numpy only."""

import numpy as np

Layers = dict[tuple[int, int], float]  # peak-to-peak size of a noise by its cell


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
