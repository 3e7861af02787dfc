"""What scenery is made of: triangles with colours, as plain numpy arrays.

World axes, as everywhere in the simulator: x east, y north, z up, in metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Drawn in this order. The near and opaque come first, so that the depth test saves the
# painting of what they hide; the sky comes last and fills what is left.
LAYERS = ("road", "ground", "water", "decal", "props", "sky")


@dataclass(frozen=True)
class Mesh:
    """Triangles that share one texture and one layer."""

    texture: str
    """The name of its texture, a key of Scene.textures."""
    layer: str
    """One of LAYERS, which decides how it is drawn.

    "props" are cut out where the texture is transparent; "decal" is blended by the
    alpha of the colours.
    """
    vertices: np.ndarray
    """Where the corners are, float32 (n, 3), in metres."""
    colours: np.ndarray
    """The corners' RGBA, uint8 (n, 4), multiplied with the texture."""
    uv: np.ndarray
    """The corners' texture coordinates, float32 (n, 2); v points up in the image."""
    triangles: np.ndarray
    """Rows of `vertices`, int32 (m, 3).

    They go counter-clockwise seen from outside where the layer is "road" or "ground",
    which are drawn from above only.
    """
    visible_m: tuple[float, float] = (0.0, np.inf)
    """The nearest and farthest distance of the camera at which it is drawn."""

    @property
    def is_plain(self) -> bool:
        """Whether all colours are white; such a mesh is drawn at half the cost."""
        return bool((self.colours == 255).all())

    def __post_init__(self) -> None:
        assert self.layer in LAYERS, self.layer
        n = len(self.vertices)
        assert self.vertices.shape == (n, 3) and self.uv.shape == (n, 2)
        assert self.colours.shape == (n, 4) and self.colours.dtype == np.uint8
        assert self.triangles.size == 0 or self.triangles.max() < n


@dataclass(frozen=True)
class Scene:
    """All that a renderer draws, besides the car."""

    meshes: tuple[Mesh, ...]
    """Everything that stands still, in world coordinates; "sky" follows the camera."""
    textures: dict[str, np.ndarray] = field(repr=False)
    """Each texture by its name, uint8 RGB or RGBA (height, width, 3 or 4)."""
    bonnet: str = "lake"
    """The name of the bonnet's colours, a key of bonnet.COLOURS."""


def make_mesh(
    texture: str,
    layer: str,
    vertices: np.ndarray,
    colours: np.ndarray,
    uv: np.ndarray,
    triangles: np.ndarray,
    visible_m: tuple[float, float] = (0.0, np.inf),
) -> Mesh:
    """Return a mesh from arrays of any number type.

    Args:
        texture: The field of `Mesh`, as all that follow.
        layer: One of LAYERS.
        vertices: Any numbers (n, 3).
        colours: Any numbers, RGB (n, 3) or RGBA (n, 4), clipped to [0, 255].
        uv: Any numbers (n, 2).
        triangles: Whole numbers (m, 3).
        visible_m: The nearest and the farthest distance.
    """
    rgba = np.full((len(vertices), 4), 255, np.uint8)
    rgba[:, : colours.shape[1]] = np.clip(colours, 0, 255)
    return Mesh(
        texture,
        layer,
        np.asarray(vertices, np.float32),
        rgba,
        np.asarray(uv, np.float32),
        np.asarray(triangles, np.int32),
        visible_m,
    )


def facing_up(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return `triangles` (m, 3) with those that face down turned over."""
    a, b, c = (vertices[triangles[:, k], :2] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    turned = triangles.copy()
    turned[area < 0] = turned[area < 0][:, [0, 2, 1]]
    return turned


def split_into_tiles(mesh: Mesh, tile_m: float) -> list[Mesh]:
    """Return `mesh` cut into square tiles by the middles of its triangles.

    The renderer leaves out whole tiles that the camera does not see.
    """
    middles = mesh.vertices[mesh.triangles].mean(axis=1)[:, :2]
    tiles = np.floor(middles / tile_m).astype(int)
    _, tile_of = np.unique(tiles, axis=0, return_inverse=True)
    parts = []
    for tile in range(tile_of.max(initial=-1) + 1):
        chosen = mesh.triangles[tile_of.ravel() == tile]
        used, renumbered = np.unique(chosen, return_inverse=True)
        parts.append(
            Mesh(
                mesh.texture,
                mesh.layer,
                mesh.vertices[used],
                mesh.colours[used],
                mesh.uv[used],
                renumbered.reshape(-1, 3).astype(np.int32),
                mesh.visible_m,
            )
        )
    return parts


def merge(parts: Sequence[Mesh]) -> Mesh:
    """Return one mesh of all triangles of parts that share texture and layer."""
    first = parts[0]
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts])
    triangles = [p.triangles + k for p, k in zip(parts, offsets, strict=False)]
    return Mesh(
        first.texture,
        first.layer,
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.colours for part in parts]),
        np.concatenate([part.uv for part in parts]),
        np.concatenate(triangles).astype(np.int32),
        first.visible_m,
    )


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Return the triangles of a (rows, columns) lattice of vertices, int (m, 3)."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
