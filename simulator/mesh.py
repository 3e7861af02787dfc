"""What scenery is made of: triangles with colours, as plain numpy arrays.

World axes, as everywhere in the simulator: x east, y north, z up, in metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.errors import Refusal
from simulator.looks import Light

# Drawn in this order. The near and opaque come first, so that the depth test saves the
# painting of what they hide; the sky comes last and fills what is left.
LAYERS = ("road", "ground", "water", "decal", "props", "sky")
EVERYWHERE = (0.0, np.inf)  # distances of the camera
PER_VERTEX = ("vertices", "colours", "uv")  # fields of a mesh


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
    visible_m: tuple[float, float] = EVERYWHERE
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
class Optics:
    """How all cameras differ from the usual ones (camera.MOUNTINGS)."""

    raised_m: float = 0.0
    """How much higher they are."""
    pitch_deg: float = 0.0
    """How much further they look up."""
    yaw_deg: float = 0.0
    """How much further they are turned to the right."""
    fov_gain: float = 1.0
    """The gain of the tangent of half the field of view."""

    def __post_init__(self) -> None:
        if abs(self.raised_m) > 0.5 or not 0.7 <= self.fov_gain <= 1.4:
            raise Refusal(f"{self}: expected raised_m ±0.5, fov_gain [0.7, 1.4]")
        if max(abs(self.pitch_deg), abs(self.yaw_deg)) > 10:
            raise Refusal(f"{self}: expected pitch_deg and yaw_deg within ±10")


USUAL_OPTICS = Optics()
NOON = Light(sun_azimuth_deg=0.0, sun_elevation_deg=90.0)


@dataclass(frozen=True)
class Scene:
    """All that a renderer draws, besides the car."""

    meshes: tuple[Mesh, ...]
    """Everything that stands still, in world coordinates; "sky" follows the camera."""
    textures: dict[str, np.ndarray] = field(repr=False)
    """Each texture by its name, uint8 RGB or RGBA (height, width, 3 or 4)."""
    bonnet: str | None = "lake"
    """The name of the bonnet's colours, a key of bonnet.COLOURS; None shows none."""
    optics: Optics = USUAL_OPTICS
    """How the cameras differ from the usual ones."""
    light: Light = NOON
    """Sun and sky, for what is lit by where one looks from."""


def make_mesh(
    texture: str,
    layer: str,
    vertices: np.ndarray,
    colours: np.ndarray | tuple[float, ...],
    uv: np.ndarray | None,
    triangles: np.ndarray,
    visible_m: tuple[float, float] = EVERYWHERE,
) -> Mesh:
    """Return a mesh from numbers of any type; all are fields of `Mesh`.

    Args:
        colours: RGB or RGBA, clipped to [0, 255], of each vertex or one for all.
        uv: None where the texture is plain.
    """
    rgba = np.full((len(vertices), 4), 255, np.uint8)
    rgba[:, : np.shape(colours)[-1]] = np.clip(colours, 0, 255)
    corners = np.asarray(vertices, np.float32)
    uv = np.zeros((len(vertices), 2)) if uv is None else uv
    uv, triangles = np.asarray(uv, np.float32), np.asarray(triangles, np.int32)
    return Mesh(texture, layer, corners, rgba, uv, triangles, visible_m)


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
        triangles = renumbered.reshape(-1, 3).astype(np.int32)
        corners = {name: getattr(mesh, name)[used] for name in PER_VERTEX}
        parts.append(replace(mesh, triangles=triangles, **corners))
    return parts


def merge(parts: Sequence[Mesh]) -> Mesh:
    """Return one mesh, seen from everywhere, of parts that share texture and layer."""
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    moved = [part.triangles + k for part, k in zip(parts, offsets, strict=True)]
    triangles = np.concatenate(moved).astype(np.int32)
    vertices, colours, uv = (
        np.concatenate([getattr(part, name) for part in parts]) for name in PER_VERTEX
    )
    return Mesh(parts[0].texture, parts[0].layer, vertices, colours, uv, triangles)


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Return the triangles of a (rows, columns) lattice of vertices, int (m, 3)."""
    return halves(squares(np.arange(rows * columns).reshape(rows, columns)))


def squares(index: np.ndarray) -> np.ndarray:
    """Return the corners of all squares of a lattice of vertex numbers, (n, 4)."""
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    return np.stack([corner.ravel() for corner in corners], axis=1)


def halves(quads: np.ndarray) -> np.ndarray:
    """Return the triangles (2n, 3) of quads (n, 4): all first halves, then the rest."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
