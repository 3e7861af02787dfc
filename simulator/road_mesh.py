"""The road as meshes: asphalt, kerbs, banks and bridges along the centre line."""

from dataclasses import dataclass

import numpy as np

from simulator import looks, mesh, terrain, textures
from simulator.track import Track

KERB_LINE_M = 3.8  # outer edge of the lake's lines, measured on rectified real frames
LANE_BEVEL_M = 0.25
KERB_RADIUS_M = 75.0  # tighter curves have kerbs
GAP_M = (70.0, 125.0)  # after the bridge: no kerb and no bank on the right
SETTS_M = 2.6  # one repeat of the setts: stones of 0.16 m
WALL_M = 1.15  # height of the parapets of a bridge over water
PARAPET_M = 0.8  # and of one over a road
TILE_M = 100.0
VERGE_M = 8.0  # from the asphalt; no verge is wider
CLEAR_M = 0.2  # a verge ends this far from another part of the road


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
    repeat_m: float
    """The length of one repeat of the texture along the road."""
    colours: np.ndarray
    """RGB at the sections, (n, 3); 255 leaves the texture as it is."""
    chosen: np.ndarray
    """Which sections start a piece of the band, bool (n,)."""


class RoadBuilder:
    """Builds the meshes of one road.

    Args:
        track: The road; scenery does not depend on the direction of driving, so this is
            the one that `scenery.canonical` gives.
        land: The terrain around it.
        look: Road type and colours.
    """

    def __init__(self, track: Track, land: terrain.Terrain, look: looks.Look) -> None:
        self.track, self.land, self.look = track, land, look
        self.sections = _sections(track)
        self.count = len(self.sections)
        self.points = track.points[self.sections]
        self.normals = track.normals[self.sections]
        self.curvature = track.curvature_per_m[self.sections]
        self.bridge = track.on_bridge[self.sections]
        self.everywhere = np.ones(self.count, bool)
        self.white = np.full((self.count, 3), 255.0)

    def meshes(self) -> list[mesh.Mesh]:
        """Return all meshes of the road, in tiles."""
        build = self._kerbs_road if self.look.road == "kerbs" else self._lanes_road
        groups: dict[tuple[str, bool], list[mesh.Mesh]] = {}
        for strip in build() + self._bridges():
            part = self._ribbon(strip)
            groups.setdefault((part.texture, part.is_plain), []).append(part)
        parts: list[mesh.Mesh] = []
        for group in groups.values():
            parts += mesh.split_into_tiles(mesh.merge(group), TILE_M)
        return parts

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
        triangles = np.concatenate(
            [
                np.stack([first, first + 1, first + 3], axis=1),
                np.stack([first, first + 3, first + 2], axis=1),
            ]
        )
        vertices = corners.reshape(-1, 3)
        upright = np.ptp(strip.lateral_m[strip.chosen], axis=1).max(initial=0) < 1e-6
        if upright:  # A wall: seen from either side.
            triangles = np.concatenate([triangles, triangles[:, ::-1]])
        else:
            triangles = mesh.facing_up(vertices, triangles)
        layer = "ground" if strip.texture == self.look.ground_texture else "road"
        colours = np.repeat(strip.colours[ring], 2, axis=0)
        return mesh.make_mesh(
            strip.texture, layer, vertices, colours, uv.reshape(-1, 2), triangles
        )

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
        level = self.look.light.on(np.array([[0.0, 0.0, 1.0]]))
        return 255 * np.minimum(self.look.light.on(tilt) / level, 1.15) / 1.15

    def _kerbs_road(self) -> list[Strip]:
        """Return the lake's road: lines, shoulder or kerb, concrete bank, grass."""
        line = KERB_LINE_M / 5.0 * self.track.half_width_m
        edge = self.track.half_width_m
        free = ~self.bridge
        column = textures.LAKE_COLUMNS_PX
        strips = [
            Strip(
                "lake_road",
                self._rails(-line, line),
                self._rails(0, 0),
                textures.column_range("asphalt", column),
                textures.ROAD_LENGTH_M,
                self.white,
                free,
            )
        ]
        curve = _widen(np.abs(self.track.curvature_per_m) > 1 / KERB_RADIUS_M, 12)
        curve = curve[self.sections]
        gap = self._gap()
        for side in (-1, 1):
            bare = gap & (side > 0)
            for name, chosen in (
                ("kerb", curve & ~bare),
                ("shoulder", ~curve & ~bare),
                ("earth", bare),
            ):
                strips.append(
                    Strip(
                        "lake_road",
                        side * self._rails(line, edge),
                        self._rails(0, 0.03 if name != "earth" else 0.0),
                        textures.column_range(name, column),
                        textures.ROAD_LENGTH_M,
                        self.white,
                        chosen & free,
                    )
                )
            strips += self._banks(side, bare)
        return strips

    def _banks(self, side: int, bare: np.ndarray) -> list[Strip]:
        """Return concrete or earth beside the lake's road, and the grass behind."""
        edge = self.track.half_width_m
        (_, low), (width, high) = self.land.verge.bank_m
        strips = []
        for name, chosen in (("concrete", ~bare), ("earth", bare)):
            strips.append(
                Strip(
                    "lake_road",
                    side * self._rails(edge, edge + width),
                    self._rails(low, high),
                    textures.column_range(name, textures.LAKE_COLUMNS_PX),
                    textures.ROAD_LENGTH_M,
                    self._shade(side, high - low, width),
                    chosen & ~self.bridge,
                )
            )
        return strips + [self._grass(side, edge + width, high)]

    def _lanes_road(self) -> list[Strip]:
        """Return the two-lane road: asphalt, bevels, grass or retaining walls."""
        edge, column = self.track.half_width_m, textures.JUNGLE_COLUMNS_PX
        top = edge - LANE_BEVEL_M
        strips = [
            Strip(
                "jungle_road",
                self._rails(-top, top),
                self._rails(0, 0),
                textures.column_range("asphalt", column),
                textures.ROAD_LENGTH_M,
                self.white,
                self.everywhere,
            )
        ]
        for side in (-1, 1):
            strips.append(
                Strip(
                    "jungle_road",
                    side * self._rails(top, edge),
                    self._rails(0, -0.2),
                    textures.column_range("shoulder", column),
                    textures.ROAD_LENGTH_M,
                    self.white * 0.8,
                    self.everywhere,
                )
            )
            strips.append(self._grass(side, edge, -0.2))
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
        light = look.light.on(np.array([0.0, 0.0, 1.0])) * 255 / textures.DETAIL_LEVEL
        return Strip(
            self.look.ground_texture,
            side * self._rails(start, far),
            self._rails(rise, end),
            (0.0, 0.5),
            8.0,
            np.tile(looks.dimmed(soil * light), (self.count, 1)),
            ~self.bridge,
        )

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
        edge = self.track.half_width_m
        over_water = self.track.bridge_m is not None
        strips = []
        if over_water and self.look.road == "kerbs":
            setts = self._rails(-edge - 0.15, edge + 0.15)
            columns = (0.0, round(2 * edge / SETTS_M))
            rise = self._rails(0.02, 0.02)
            strips.append(
                Strip("setts", setts, rise, columns, SETTS_M, self.white, self.bridge)
            )
        edge += 0.15
        top = WALL_M if over_water else PARAPET_M
        inner, cap, outer = (
            ((12, 13, 16), (70, 72, 78), (104, 98, 88))
            if over_water
            else ((150, 146, 138), (164, 160, 152), (96, 92, 86))
        )
        for side in (-1, 1):
            for near, far, low, high, colour in (
                (edge, edge, 0.0, top, inner),
                (edge, edge + 0.4, top, top, cap),
                (edge + 0.4, edge + 0.4, -4.0 if over_water else -1.5, top, outer),
            ):
                strips.append(
                    Strip(
                        "plain",
                        side * self._rails(near, far),
                        self._rails(low, high),
                        (0.0, 1.0),
                        8.0,
                        np.tile(np.array(colour, float), (self.count, 1)),
                        self.bridge,
                    )
                )
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
