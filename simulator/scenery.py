"""Everything there is to see around a road, put together from one set of seeds.

    scene = build_scene(track, SceneSettings(seed=3))

Pure numpy; `camera.Renderer` draws it. The scene of a road is the same in both
directions of driving.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from simulator import looks, mesh, obstacles, props, terrain, textures
from simulator.errors import Refusal
from simulator.land_mesh import land_meshes, sky_mesh, water_meshes
from simulator.road_mesh import SLOPE_GAIN, RoadBuilder
from simulator.shadows import shadow_meshes
from simulator.track import Track
from simulator.tracks import road_seed

# Looks that a random road of a style may have; `Track.style` names the first.
LOOKS_OF_STYLE = {
    "lake": ("lake", "meadow"),
    "jungle": ("jungle",),
    "mountain": ("mountain", "desert"),
}


# Of bonnet.COLOURS, which needs OpenCV, and two more.
BONNETS = ("usual", "none", "lake", "jungle")


@dataclass(frozen=True)
class SceneSettings:
    """What varies between scenes of the same road."""

    scenery_seed: int = 0
    """The seed of the land's shape and the places of trees and rocks."""
    texture_seed: int = 0
    """The seed of the grain of asphalt, grass and leaves."""
    look: str | None = None
    """A key of looks.LOOKS; None: the one that belongs to the road."""
    sun_azimuth_deg: float | None = None
    """The direction to the sun, counter-clockwise from east; None: the look's."""
    sun_elevation_deg: float | None = None
    """The sun's height over the horizon, (0, 90]; None: the look's."""
    haze: float = 1.0
    """The gain of the look's haze, in [0, 2]."""
    shadows: float | None = None
    """The share of sunlight that shadows take, [0, 1]; None: the look's."""
    variation: float = 0.0
    """How far texture_seed draws colours and light from the look's, in [0, 1]."""
    overcast: float = 0.0
    """How grey the sky and dull the light is, in [0, 1]; see looks.overcast."""
    clouds: float = 0.0
    """How much clouds differ from the sky, a share in [0, 1]."""
    paint: textures.Paint = textures.USUAL_PAINT
    """What the road is made of and painted with."""
    optics: mesh.Optics = mesh.USUAL_OPTICS
    """How the cameras differ from the usual ones."""
    bonnet: str = "usual"
    """One of BONNETS: of a version of the simulator, none, or the look's own."""

    def __post_init__(self) -> None:
        if min(self.scenery_seed, self.texture_seed) < 0:
            raise Refusal(f"{self}: a seed is negative, expected 0 or more")
        if not 0 <= self.haze <= 2:
            raise Refusal(f"haze is {self.haze}, expected [0, 2]")
        for name in ("variation", "overcast", "clouds"):
            if not 0 <= getattr(self, name) <= 1:
                raise Refusal(f"{name} is {getattr(self, name)}, expected [0, 1]")
        if self.bonnet not in BONNETS:
            known = ", ".join(BONNETS)
            raise Refusal(f"no bonnet {self.bonnet!r}; there are: {known}")
        if self.look is not None:
            looks.look_of(self.look)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The land and what stands on it, as physics needs it."""

    land: terrain.Terrain
    """The heights of the land."""
    things: obstacles.Obstacles
    """The trees, rocks and signs on it."""
    look: looks.Look
    """Its colours and light."""


def canonical(track: Track) -> Track:
    """Return the road in the direction that scenery is made for, this or the other."""
    ahead = track.points[1] - track.points[-1]
    return track if ahead[0] + 2 * ahead[1] > 0 else track.reversed()


def choose_look(track: Track, settings: SceneSettings) -> looks.Look:
    """Return the look of a scene."""
    choices = LOOKS_OF_STYLE[track.style]
    name = settings.look or choices[0]
    if settings.look is None and road_seed(track.name) is not None:
        name = choices[zlib.crc32(track.name.encode()) % len(choices)]
    rng = textures.texture_rng("look", settings.texture_seed)
    look = looks.vary_look(looks.look_of(name), rng, settings.variation)
    light = look.light
    if settings.sun_azimuth_deg is not None:
        light = replace(light, sun_azimuth_deg=settings.sun_azimuth_deg)
    if settings.sun_elevation_deg is not None:
        light = replace(light, sun_elevation_deg=settings.sun_elevation_deg)
    if settings.shadows is not None:
        light = replace(light, shadow=settings.shadows)
    haze_strength = min(1.0, look.haze_strength * settings.haze)
    look = replace(look, light=light, haze_strength=haze_strength)
    return replace(looks.overcast(look, settings.overcast), clouds=settings.clouds)


def make_surroundings(
    track: Track, settings: SceneSettings = SceneSettings()
) -> Surroundings:
    """Return land and obstacles around a road; quick, and without rendering."""
    look = choose_look(track, settings)
    land = terrain.make_terrain(canonical(track), look, settings.scenery_seed)
    things = obstacles.make_obstacles(land, look, settings.scenery_seed)
    return Surroundings(land, things, look)


def build_scene(
    track: Track,
    settings: SceneSettings = SceneSettings(),
    surroundings: Surroundings | None = None,
) -> mesh.Scene:
    """Return all that a renderer draws of a road.

    `surroundings` is what `make_surroundings` gave for the same road and settings; None
    makes them anew.
    """
    around = surroundings or make_surroundings(track, settings)
    land, look, seed = around.land, around.look, settings.texture_seed
    parts = RoadBuilder(land, look).meshes()
    parts += land_meshes(land, look, settings.scenery_seed)
    parts += water_meshes(land, look)
    parts += shadow_meshes(land, around.things, look.light)
    parts += props.prop_meshes(around.things, look, settings.scenery_seed)
    if look.power_line:
        parts += props.power_line(land, look)
    parts.append(sky_mesh(look, settings.texture_seed))
    named = sorted({part.texture for part in parts} & set(textures.PAINTERS))
    images = {name: textures.make_texture(name, seed, settings.paint) for name in named}
    for name in {"lake_road", "jungle_road", "setts"} & set(images):
        images[name] = textures.to_uint8(images[name] * np.array(look.road_tint))
    if textures.SUNLIT_ROAD in images:
        # Light only darkens it.
        gain = SLOPE_GAIN * (1 + look.light.sheen)
        image = gain * images[textures.SUNLIT_ROAD].astype(float)
        images[textures.SUNLIT_ROAD] = textures.to_uint8(image)
    images.update(props.atlases(look, seed))
    bonnets = {"usual": look.bonnet, "none": None}
    shown = bonnets.get(settings.bonnet, settings.bonnet)
    return mesh.Scene(tuple(parts), images, shown, settings.optics, look.light)
