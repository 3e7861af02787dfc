"""The car's body for the chase view: a low-poly coupé, x right, y forward, z up."""

import numpy as np

from simulator import mesh

# Cross-sections from the tail to the nose: (y, half width, sill, belt, roof) in metres,
# within the collider's 2.43 x 4.47 m; the origin lies 0.16 m ahead of the middle.
_SECTIONS = (
    (-2.20, 0.86, 0.42, 0.78, 0.80),
    (-2.05, 0.96, 0.26, 0.92, 0.96),
    (-1.60, 1.00, 0.22, 0.98, 1.04),
    (-1.05, 1.00, 0.22, 0.98, 1.34),
    (-0.30, 1.00, 0.22, 0.96, 1.42),
    (0.25, 0.99, 0.22, 0.94, 1.34),
    (0.95, 0.98, 0.22, 0.92, 0.96),
    (1.70, 0.94, 0.24, 0.80, 0.84),
    (2.10, 0.84, 0.30, 0.64, 0.66),
)
_PAINT, _GLASS, _DARK = (168, 150, 118), (44, 52, 60), (34, 33, 32)
_LAMP, _TAIL_LAMP = (246, 246, 236), (170, 24, 20)
_WHEELS = ((-1.60, 0.37), (1.27, 0.335))  # axle y, radius


def car_mesh() -> mesh.Mesh:
    """Return the body with its wheels and lamps as one untextured mesh."""
    parts = [_hull(), *_lamps(), _shade()]
    for axle_y, radius in _WHEELS:
        parts += [_wheel(side * 0.92, axle_y, radius) for side in (-1, 1)]
    return mesh.merge(parts)


def _hull() -> mesh.Mesh:
    """Return the lofted body.

    Corners are not shared between faces, so that each face keeps its own shade.
    """
    rings = []
    for y, half, sill, belt, roof in _SECTIONS:
        inner = half * (0.66 if roof - belt > 0.2 else 0.9)
        left = [(-half, sill), (-half, belt), (-inner, roof)]
        right = [(-x, z) for x, z in left[::-1]]
        rings.append([(x, y, z) for x, z in left + right])
    ring = np.array(rings)
    quads, colours = [], []
    for k in range(len(ring) - 1):
        roofs = (_SECTIONS[k][4], _SECTIONS[k + 1][4])
        for j in range(5):
            quads.append(ring[[k, k, k + 1, k + 1], [j, j + 1, j + 1, j]])
            flat_roof = j == 2 and min(roofs) > 1.3
            glass = max(roofs) > 1.1 and j in (1, 2, 3) and not flat_roof
            shade = (0.62, 0.86, 1.0, 0.94, 0.78)[j]
            colours.append(np.array(_GLASS if glass else _PAINT) * shade)
    for end, shade in ((0, 0.55), (-1, 0.8)):
        quads += [ring[end, [0, 1, 4, 5]], ring[end, [1, 2, 3, 4]]]
        colours += [np.array(_PAINT) * shade] * 2
    return _from_quads(np.array(quads), np.array(colours))


def _lamps() -> list[mesh.Mesh]:
    """Return head lamps and tail lamps, just in front of the hull."""
    lamps = []
    for side in (-1, 1):
        front, rear = (2.12, 0.48, 0.62, _LAMP), (-2.22, 0.56, 0.72, _TAIL_LAMP)
        for y, low, high, colour in (front, rear):
            x = np.array((0.42, 0.80, 0.80, 0.42)) * side
            quad = np.stack([x, np.full(4, y), (low, low, high, high)], axis=1)
            lamps.append(_from_quads(quad[None], np.array([colour])))
    return lamps


def _shade() -> mesh.Mesh:
    """Return the dark patch under the car, which puts it onto the ground."""
    x, y = np.array((-1.05, 1.05, 1.05, -1.05)), np.array((-2.25, -2.25, 2.1, 2.1))
    quad = np.stack([x, y, np.full(4, 0.06)], axis=1)
    return _from_quads(quad[None], np.array([(62, 60, 54)]))


def _wheel(x: float, y: float, radius: float) -> mesh.Mesh:
    """Return a wheel as a flat 12-gon outside and a tread of 12 quads."""
    turn = np.arange(13) * np.pi / 6
    rim = np.stack([y + radius * np.cos(turn), radius * (1 + np.sin(turn))], axis=1)
    outer = np.column_stack([np.full(13, x + 0.12 * np.sign(x)), rim])
    inner = np.column_stack([np.full(13, x - 0.10 * np.sign(x)), rim])
    hub = np.tile((outer[0, 0], y, radius), (12, 1))
    tread = np.stack([outer[:-1], outer[1:], inner[1:], inner[:-1]], axis=1)
    face = np.stack([outer[:-1], outer[1:], hub, hub], axis=1)
    colours = np.array([_DARK] * 12 + [(70, 70, 72)] * 12)
    return _from_quads(np.concatenate([tread, face]), colours)


def _from_quads(quads: np.ndarray, colours: np.ndarray) -> mesh.Mesh:
    """Return untextured quads, (n, 4, 3), of one colour each, (n, 3)."""
    vertices, colours = quads.reshape(-1, 3), np.repeat(colours, 4, axis=0)
    triangles = mesh.halves(np.arange(len(vertices)).reshape(-1, 4))
    return mesh.make_mesh("plain", "road", vertices, colours, None, triangles)
