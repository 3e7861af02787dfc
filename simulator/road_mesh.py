"""The road as meshes: asphalt, kerbs, banks and bridges along the centre line."""

from dataclasses import dataclass, replace

import numpy as np

from simulator import looks, mesh, terrain, textures
from simulator.track import Track, is_joined

KERB_LINE_M = 3.8  # outer edge of the lake's lines, measured on rectified real frames
LANE_TOP_M = 4.75  # half of what the lanes' texture shows
# On rectified real frames grass begins at the outer edge of the white line: the land
# covers the rest of the road's top, and its bevel.
LANE_SEEN_M, LANE_EDGE_M = 4.5, 5.0
LANE_LINE_M = 4.2  # between the lines that mark the edges
KERB_RADIUS_M = 75.0  # tighter curves have kerbs
GAP_M = (70.0, 125.0)  # after the bridge: no kerb and no bank on the right
SETTS_M = 2.6  # one repeat of the setts: stones of 0.16 m
WALL_M = 1.15  # height of the parapets of a bridge over water
PARAPET_M = 0.8  # and of one over a road
BRIDGE_WALL_M = 0.15  # from the asphalt to either
TILE_M = 100.0
VERGE_M = 8.0  # from the asphalt; no verge is wider
CLEAR_M = 0.2  # a verge ends this far from another part of the road
WHITE = np.full(3, 255.0)  # leaves a texture as it is
# How much lighter than level a slope towards the sun may be; the texture of a road that
# is lit by its slopes is as much lighter, for colours only darken.
SLOPE_GAIN = 1.08


@dataclass(frozen=True)
class Strip:
    """A band of surface along the road between two rails."""

    texture: str
    """The name of its texture."""
    lateral_m: np.ndarray
    """Where the two rails are beside the centre line, (n, 2), + is right."""
    rise_m: np.ndarray
    """The height of the rails over the centre line, (n, 2)."""
    columns: tuple[float, float]
    """The texture coordinates u at the two rails."""
    chosen: np.ndarray
    """Which sections start a piece of the band, bool (n,)."""
    colours: np.ndarray
    """RGB at the sections, (n, 3), or everywhere, (3,)."""
    repeat_m: float = 8.0
    """The length of one repeat of the texture along the road."""


class RoadBuilder:
    """Builds the meshes of the road that `land` is made for."""

    def __init__(self, land: terrain.Terrain, look: looks.Look) -> None:
        self.track, self.land, self.look = land.track, land, look
        track = self.track
        self.sections = _sections(track)
        self.count = len(self.sections)
        self.points = track.points[self.sections]
        self.normals = track.normals[self.sections]
        self.curvature = track.curvature_per_m[self.sections]
        self.bridge = track.on_bridge[self.sections]

    def meshes(self) -> list[mesh.Mesh]:
        """Return all meshes of the road, in tiles."""
        build = self._kerbs_road if self.look.road == "kerbs" else self._lanes_road
        groups: dict[tuple[str, bool], list[mesh.Mesh]] = {}
        for strip in build() + self._bridges():
            part = self._ribbon(strip)
            groups.setdefault((part.texture, part.is_plain), []).append(part)
        wholes = [mesh.merge(group) for group in groups.values()]
        return [tile for one in wholes for tile in mesh.split_into_tiles(one, TILE_M)]

    def _ribbon(self, strip: Strip) -> mesh.Mesh:
        """Return the mesh of a strip; the lap closes on a copy of the first section."""
        ring = np.append(np.arange(self.count), 0)
        offsets = strip.lateral_m[ring][..., None] * self.normals[ring][:, None]
        corners = np.empty((len(ring), 2, 3))
        corners[..., :2] = self.points[ring, None, :2] + offsets
        corners[..., 2] = self.points[ring, None, 2] + strip.rise_m[ring]
        length = self.track.length_m
        along = np.append(self.track.station_m[self.sections], length)
        # A whole number of repeats, so that the lap's ends meet.
        along *= max(1, round(length / strip.repeat_m)) / length
        uv = np.empty((len(ring), 2, 2))
        uv[..., 0], uv[..., 1] = strip.columns, along[:, None]
        first = 2 * np.nonzero(strip.chosen)[0]
        triangles = mesh.halves(first[:, None] + (0, 1, 3, 2))
        vertices = corners.reshape(-1, 3)
        widths_m = np.ptp(strip.lateral_m[strip.chosen], axis=1)
        if widths_m.max(initial=0) < 1e-6:  # A wall: seen from either side.
            triangles = np.concatenate([triangles, triangles[:, ::-1]])
        else:
            triangles = mesh.facing_up(vertices, triangles)
        layer = "ground" if strip.texture == self.look.ground_texture else "road"
        colours = np.broadcast_to(strip.colours, (self.count, 3))[ring]
        colours = np.repeat(colours, 2, axis=0)
        return mesh.make_mesh(
            strip.texture, layer, vertices, colours, uv.reshape(-1, 2), triangles
        )

    def _paved(
        self,
        column: str,
        lateral_m: np.ndarray,
        rise_m: np.ndarray,
        chosen: np.ndarray,
        colours: np.ndarray = WHITE,
    ) -> Strip:
        """Return a strip that shows a column of the road's own texture."""
        lake = self.look.road == "kerbs"
        texture = "lake_road" if lake else "jungle_road"
        columns = textures.LAKE_COLUMNS_PX if lake else textures.JUNGLE_COLUMNS_PX
        u = textures.column_range(column, columns)
        repeat_m = textures.ROAD_LENGTH_M
        return Strip(texture, lateral_m, rise_m, u, chosen, colours, repeat_m)

    def _rails(self, near: np.ndarray | float, far: np.ndarray | float) -> np.ndarray:
        """Return two values for each section, (n, 2)."""
        return np.stack([np.broadcast_to(v, self.count) for v in (near, far)], axis=1)

    def _shade(self, side: int, rise: float, run: float) -> np.ndarray:
        """Return RGB (n, 3) of a bank that rises outwards on a side.

        The slope counts twice: real frames show a white sunny and a blue shady bank.
        """
        slope = 2 * np.arctan2(rise, run)
        flat = -side * np.sin(slope) * self.normals
        tilt = np.column_stack([flat, np.full(self.count, np.cos(slope))])
        level = self.look.light.on(looks.UP)
        return 255 * np.minimum(self.look.light.on(tilt) / level, 1.15) / 1.15

    def _slopes(self) -> np.ndarray:
        """Return RGB (n, 3) of the road by how its slopes face the sun."""
        grade = self.track.grade[self.sections, None]
        tilt = np.hstack([-grade * self.track.tangents[self.sections], 1 + 0 * grade])
        tilt /= np.linalg.norm(tilt, axis=1, keepdims=True)
        light = self.look.light
        gain = light.on(tilt) / light.on(looks.UP)
        return 255 * np.minimum(gain, SLOPE_GAIN) / SLOPE_GAIN

    def _kerbs_road(self) -> list[Strip]:
        """Return the lake's road: lines, shoulder or kerb, concrete bank, grass."""
        edge, free, level = self.track.half_width_m, ~self.bridge, self._rails(0, 0)
        line = KERB_LINE_M / 5.0 * edge
        strips = [self._paved("asphalt", self._rails(-line, line), level, free)]
        curve = _widen(np.abs(self.track.curvature_per_m) > 1 / KERB_RADIUS_M, 12)
        curve = curve[self.sections]
        gap = self._gap()
        for side in (-1, 1):
            bare = gap & (side > 0)
            rails, raised = side * self._rails(line, edge), self._rails(0, 0.03)
            strips += [
                self._paved("kerb", rails, raised, curve & ~bare & free),
                self._paved("shoulder", rails, raised, ~curve & ~bare & free),
                self._paved("earth", rails, level, bare & free),
            ]
            strips += self._banks(side, bare)
        return strips

    def _banks(self, side: int, bare: np.ndarray) -> list[Strip]:
        """Return concrete or earth beside the lake's road, and the grass behind."""
        edge = self.track.half_width_m
        (_, low), (width, high) = self.land.verge.bank_m
        rails, rise = side * self._rails(edge, edge + width), self._rails(low, high)
        shade = self._shade(side, high - low, width)
        return [
            self._paved("concrete", rails, rise, ~bare & ~self.bridge, shade),
            self._paved("earth", rails, rise, bare & ~self.bridge, shade),
            self._grass(side, edge + width, high),
        ]

    def _lanes_road(self) -> list[Strip]:
        """Return the two-lane road: asphalt between its lines, grass or a bridge."""
        edge = self.track.half_width_m
        seen, line = (edge / LANE_EDGE_M * m for m in (LANE_SEEN_M, LANE_LINE_M))
        level, lit, bridge = self._rails(0, 0), self._slopes(), self.bridge
        everywhere = np.ones(self.count, bool)

        def paved(near: float, far: float, chosen: np.ndarray, as_at: float) -> Strip:
            """Return a strip that looks like the asphalt up to `as_at`."""
            strip = self._paved("asphalt", self._rails(near, far), level, chosen, lit)
            left, right = strip.columns
            middle, per_m = (left + right) / 2, (right - left) / 2 / LANE_TOP_M
            per_m *= LANE_EDGE_M / edge
            first = as_at - (far - near)
            columns = (middle + first * per_m, middle + as_at * per_m)
            return replace(strip, columns=columns)

        strips = [paved(-line, line, everywhere, line)]
        for side in (-1, 1):
            joined = is_joined(self.track, side)[self.sections] & ~bridge
            a, b = sorted((side * line, side * seen))
            strips.append(paved(a, b, ~joined, b))
            # Where roads lie side by side, neither has a line between them.
            a, b = sorted((side * line, side * edge))
            strips.append(paved(a, b, joined, 0.8 * line))
            rails = side * self._rails(seen, edge + BRIDGE_WALL_M)
            strips.append(self._paved("shoulder", rails, level, bridge))
            grass = self._grass(side, seen, 0.0)
            strips.append(replace(grass, chosen=grass.chosen & ~joined))
        return strips

    def _grass(self, side: int, start: float, rise: float) -> Strip:
        """Return the strip from the verge to the land; narrow where roads are close."""
        wanted = self.track.half_width_m + self.land.verge.meets_land_m
        radius = 1 / np.maximum(side * self.curvature, 1e-6)
        far = np.minimum(wanted, 0.85 * radius)
        far = np.maximum(np.minimum(far, self._clearance(side)), start + 0.1)
        position = self.points[:, :2] + (side * far)[:, None] * self.normals
        end = self.land.verge_end_m(self.points[:, 2], position) - self.points[:, 2]
        look, bare = self.look, self.look.dirt_share
        grass = 0.8 * np.array(look.grass) + 0.2 * np.array(look.grass_dark)
        soil = grass * (1 - bare) + np.array(look.dirt) * bare
        light = look.light.on(looks.UP) * 255 / textures.DETAIL_LEVEL
        rails, rises = side * self._rails(start, far), self._rails(rise, end)
        colour, free = looks.dimmed(soil * light), ~self.bridge
        return Strip(look.ground_texture, rails, rises, (0.0, 0.5), free, colour)

    def _clearance(self, side: int) -> np.ndarray:
        """Return how far a verge may reach before it meets other road, (n,) [m]."""
        reach = np.full(self.count, np.inf)
        plane = self.track.points[:, :2]
        count = len(plane)
        index = np.abs(self.sections[:, None] - np.arange(count)[None])
        other = np.minimum(index, count - index) * self.track.spacing_m > 25
        apart = np.linalg.norm(self.points[:, None, :2] - plane[None], axis=2)
        edge = self.track.half_width_m
        rows = np.nonzero((other & (apart < VERGE_M + 2 * edge)).any(axis=1))[0]
        for offset in np.arange(edge, VERGE_M + edge, 0.5)[::-1]:
            spot = self.points[rows, :2] + side * offset * self.normals[rows]
            near = np.linalg.norm(spot[:, None] - plane[None], axis=2)
            taken = np.where(other[rows], near, np.inf).min(axis=1) < edge + CLEAR_M
            reach[rows] = np.where(taken, offset - 0.5, reach[rows])
        return reach

    def _gap(self) -> np.ndarray:
        """Return the sections without kerb after the bridge of the lake, bool (n,)."""
        if self.track.bridge_m is None:
            return np.zeros(self.count, bool)
        along = self.track.station_m[self.sections] - self.track.bridge_m[1]
        along %= self.track.length_m
        return (along >= GAP_M[0]) & (along < GAP_M[1])

    def _bridges(self) -> list[Strip]:
        """Return what a bridge has instead of verges: setts and walls, or parapets."""
        if not self.bridge.any():
            return []
        bridge, over_water = self.bridge, self.track.bridge_m is not None
        edge = self.track.half_width_m + BRIDGE_WALL_M
        strips = []
        if over_water and self.look.road == "kerbs":
            rails, rise = self._rails(-edge, edge), self._rails(0.02, 0.02)
            u = (0.0, round(2 * self.track.half_width_m / SETTS_M))
            strips.append(Strip("setts", rails, rise, u, bridge, WHITE, SETTS_M))
        if over_water:
            foot, top = -4.0, WALL_M
            inner, cap, outer = (12, 13, 16), (70, 72, 78), (104, 98, 88)
        else:
            foot, top = -1.5, PARAPET_M
            inner, cap, outer = (150, 146, 138), (164, 160, 152), (96, 92, 86)
        for side in (-1, 1):
            for near, far, low, high, colour in (
                (edge, edge, 0.0, top, inner),
                (edge, edge + 0.4, top, top, cap),
                (edge + 0.4, edge + 0.4, foot, top, outer),
            ):
                rails, rise = side * self._rails(near, far), self._rails(low, high)
                rgb = np.array(colour, float)
                strips.append(Strip("plain", rails, rise, (0.0, 1.0), bridge, rgb))
        return strips


def _sections(track: Track) -> np.ndarray:
    """Return the samples that get a cross-section: dense in curves, int (n,)."""
    bent = np.abs(track.curvature_per_m)
    steep = np.abs(np.gradient(track.grade))
    chosen, index, count = [], 0, len(track.points)
    while index < count - 1:
        chosen.append(index)
        ahead = slice(index, index + 6)
        curved = bent[ahead].max() > 1 / 110 or steep[ahead].max() > 0.004
        # Bridges begin and end where they should, to two metres.
        edges = np.ptp(track.on_bridge[ahead].astype(int)) > 0
        index += 2 if curved or edges else 6
    return np.array(chosen)


def _widen(flags: np.ndarray, by: int) -> np.ndarray:
    """Return flags that are true within `by` samples of a true one, around the lap."""
    ring = np.concatenate([flags[-by:], flags, flags[:by]]).astype(int)
    return np.convolve(ring, np.ones(2 * by + 1, int), "valid") > 0
