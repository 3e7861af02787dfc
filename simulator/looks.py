"""Looks: the colours, the relief and the plants of a kind of country.

A look is data only. `vary_look` draws a similar one, for training on roads whose
colours no model has seen.
"""

import colorsys
import math
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import Refusal

Colour = tuple[int, int, int]  # RGB in [0, 255]
UP = np.array([0.0, 0.0, 1.0])  # the normal of level ground


@dataclass(frozen=True)
class Light:
    """Sun and sky light."""

    sun_azimuth_deg: float
    """The direction towards the sun, counter-clockwise from east."""
    sun_elevation_deg: float
    """The height of the sun over the horizon, in (0, 90]."""
    sun: tuple[float, float, float] = (1.0, 0.9, 0.7)
    """Gain of red, green and blue on a surface that faces the sun."""
    fill: tuple[float, float, float] = (0.28, 0.4, 0.52)
    """Gain of red, green and blue from the sky, everywhere."""
    shadow: float = 0.8
    """Share of the sunlight that shadows take, in [0, 1]."""
    sheen: float = 0.0
    """How much more of the sun rough asphalt gives back to who looks away from it, and
    less to who looks towards it, as a share of the sunlight in [0, 1]."""

    def __post_init__(self) -> None:
        azimuth, elevation = self.sun_azimuth_deg, self.sun_elevation_deg
        if not math.isfinite(azimuth):
            raise Refusal(f"sun_azimuth_deg is {azimuth}, expected degrees")
        if not 0 < elevation <= 90:
            raise Refusal(f"sun_elevation_deg is {elevation}, expected (0, 90]")
        if not 0 <= self.shadow <= 1:
            raise Refusal(f"shadow is {self.shadow}, expected [0, 1]")
        if not 0 <= self.sheen <= 1:
            raise Refusal(f"sheen is {self.sheen}, expected [0, 1]")

    @property
    def direction(self) -> np.ndarray:
        """Unit vector towards the sun, float64 (3,)."""
        azimuth = np.radians(self.sun_azimuth_deg)
        elevation = np.radians(self.sun_elevation_deg)
        east, north = np.cos(azimuth), np.sin(azimuth)
        flat, up = np.cos(elevation), np.sin(elevation)
        return np.array([flat * east, flat * north, up])

    def on(self, normals: np.ndarray, lit: np.ndarray | float = 1.0) -> np.ndarray:
        """Return the gain (..., 3) of surfaces with unit normals (..., 3).

        `lit` is the share of the sun that reaches the surface, in [0, 1], (...).
        """
        facing = np.clip(normals @ self.direction, 0, 1) * lit
        return np.array(self.fill) + facing[..., None] * np.array(self.sun)

    def seen_along(self, heading_rad: float) -> np.ndarray:
        """Return the gain (3,) of level asphalt that is looked along, over the mean."""
        sun = self.on(UP) - np.array(self.fill)
        away = -math.cos(heading_rad - math.radians(self.sun_azimuth_deg))
        return 1 + self.sheen * away * sun / self.on(UP)


@dataclass(frozen=True)
class Relief:
    """Heights around the road, in metres."""

    bump_m: float = 1.0
    """The size of the small bumps beside the road, from peak to peak."""
    hill_m: float = 16.0
    """The height of the hills without their bumps."""
    hill_start_m: float = 16.0
    """The distance from the road at which hills begin."""
    hill_run_m: float = 50.0
    """The distance over which they rise."""
    far_m: float = 16.0
    """How much higher lies what is 120 to 240 m from the road."""
    cliff_m: float = 9.0
    """Height of the cliffs beside the road."""
    cliff_share: float = 0.3
    """Share of the road that has cliffs beside it, in [0, 1]."""
    cliff_start_m: float = 15.0
    """Distance of the foot of the cliffs from the road's middle."""
    terrace_m: float = 0.0
    """Height of steps in the hills; 0 for none."""
    lake_m: float = 0.0
    """Depth of the water inside the loop, where the track is one; 0 for none."""


@dataclass(frozen=True)
class Plants:
    """How many props of which sprites there are per hectare (10,000 m²)."""

    trees: tuple[str, ...]
    """The sprites of trees."""
    tree_height_m: tuple[float, float]
    """The range of the trees' heights."""
    near_per_ha: float
    """How many trees stand within 40 m of the road's middle."""
    far_per_ha: float
    """How many trees stand farther away."""
    bushes: tuple[str, ...]
    """The sprites of undergrowth."""
    bushes_per_ha: float
    """How much undergrowth stands within 40 m."""


@dataclass(frozen=True)
class Rocks:
    """Boulders or needles of rock within 40 m of the road's middle."""

    per_ha: float
    """How many there are per hectare (10,000 m²)."""
    radius_m: tuple[float, float]
    """The range of their radii."""
    slenderness: tuple[float, float]
    """The range of height over radius; above 1.5 they are needles."""


@dataclass(frozen=True)
class Look:
    """A kind of country."""

    road: str
    """The kind of road: "kerbs" or "lanes".

    The lake has kerbs: yellow lines, kerbs, concrete banks. The jungle has lanes: white
    lines, two lanes, grass beside it.
    """
    sky: tuple[Colour, ...]
    """The sky's RGB at each of SKY_ELEVATIONS_DEG."""
    haze: Colour
    """The colour of what is far away."""
    haze_strength: float
    """The share of haze in what is farthest, in [0, 1]."""
    grass: Colour
    """The colour of grass in white light."""
    grass_dark: Colour
    """The colour of its darker patches."""
    dirt: Colour
    """The colour of bare ground in white light."""
    rock: Colour
    """The colour of rock in white light."""
    dirt_share: float
    """The share of the land beside the road that is bare, in [0, 1]."""
    water: Colour
    """The colour of the water."""
    leaves: dict[str, Colour]
    """The colours of the sprites: "leaf", "leaf_lit", "bush", "trunk"."""
    light: Light
    """The light of sun and sky."""
    relief: Relief
    """The shape of the land."""
    plants: Plants
    """What grows beside the road."""
    rocks: Rocks
    """What lies around."""
    road_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain of red, green and blue of the road's texture."""
    bonnet: str = "lake"
    """The car's colours, a key of bonnet.COLOURS."""
    ground_texture: str = "ground"
    """The name of the land's detail texture."""
    power_line: bool = False
    """Whether a power line crosses the land."""
    roadside: tuple[str, ...] = ()
    """The sprites of signs and posts beside the road."""
    clouds: float = 0.0
    """How much lighter or darker clouds are than the sky, a share in [0, 1]."""


SKY_ELEVATIONS_DEG = (-30, -3, 0, 3, 5.5, 9, 12, 22, 45, 90)

# Sky, ground and road colours of "lake" and "jungle": medians of real frames.
LOOKS = {
    "lake": Look(
        road="kerbs",
        sky=((150, 160, 150), (176, 190, 192), (190, 216, 232), (184, 212, 234),
             (174, 204, 230), (152, 184, 219), (140, 171, 211), (109, 136, 178),
             (84, 110, 156), (66, 92, 140)),
        haze=(150, 180, 200), haze_strength=0.62,
        grass=(198, 182, 66), grass_dark=(140, 132, 46),
        dirt=(206, 152, 88), dirt_share=0.35,
        rock=(190, 184, 156), water=(168, 196, 224),
        leaves={"leaf": (38, 44, 28), "leaf_lit": (132, 126, 66),
                "bush": (34, 38, 16), "trunk": (62, 50, 36)},
        light=Light(0.3, 42.2, shadow=0.0),
        relief=Relief(hill_m=18, cliff_m=10, cliff_share=0.32, lake_m=6),
        plants=Plants(("broad_0", "broad_1", "broad_2", "slim_0", "slim_1"),
                      (8.0, 15.0), 9, 24, ("bush_0", "bush_1", "reeds"), 40),
        rocks=Rocks(2, (2.5, 6.5), (0.45, 0.8)),
        power_line=True,
        roadside=("sign",),
    ),
    "jungle": Look(
        road="lanes",
        sky=((110, 120, 116), (116, 140, 160), (124, 152, 182), (124, 152, 188),
             (122, 150, 190), (124, 152, 190), (122, 150, 189), (101, 127, 167),
             (78, 102, 146), (62, 86, 132)),
        haze=(120, 138, 150), haze_strength=0.25,
        grass=(106, 114, 71), grass_dark=(60, 67, 45),
        dirt=(98, 96, 70), dirt_share=0.12,
        rock=(92, 94, 74), water=(96, 120, 136),
        leaves={"leaf": (24, 30, 20), "leaf_lit": (96, 104, 46),
                "bush": (26, 34, 18), "trunk": (70, 62, 50)},
        light=Light(-60.0, 50.0, (0.92, 0.90, 0.84), (0.26, 0.30, 0.36), 0.85, 0.12),
        relief=Relief(bump_m=0.8, hill_m=32, hill_start_m=18, hill_run_m=45, far_m=50,
                      cliff_m=36, cliff_share=0.8, cliff_start_m=12, terrace_m=6),
        plants=Plants(("palm_0", "palm_1", "palm_2", "spire_0"),
                      (5.5, 9.5), 45, 28, ("bush_0", "bush_1"), 36),
        rocks=Rocks(6, (1.2, 3.0), (3.0, 7.0)),
        bonnet="jungle",
        ground_texture="leafage",
        roadside=("guard_post", "mast_sign"),
    ),
    "mountain": Look(
        road="lanes",
        sky=((150, 158, 160), (184, 196, 206), (202, 216, 228), (194, 212, 230),
             (180, 202, 228), (158, 186, 220), (138, 170, 212), (98, 130, 184),
             (72, 102, 160), (56, 84, 144)),
        haze=(176, 194, 214), haze_strength=0.66,
        grass=(132, 148, 84), grass_dark=(92, 112, 58),
        dirt=(156, 142, 116), dirt_share=0.3,
        rock=(158, 154, 148), water=(120, 164, 176),
        leaves={"leaf": (24, 40, 32), "leaf_lit": (84, 108, 66),
                "bush": (40, 52, 28), "trunk": (72, 58, 44)},
        light=Light(140.0, 38.0, (0.98, 0.92, 0.80), (0.36, 0.42, 0.50), 0.75, 0.12),
        relief=Relief(bump_m=1.2, hill_m=26, hill_start_m=14, hill_run_m=60, far_m=48,
                      cliff_m=12, cliff_share=0.4, cliff_start_m=10),
        plants=Plants(("spire_0", "spire_1", "slim_1"), (7, 14), 16, 26,
                      ("bush_0", "reeds"), 16),
        rocks=Rocks(6, (0.8, 2.5), (0.6, 1.2)),
        road_tint=(0.82, 0.84, 0.86),
        bonnet="jungle",
        roadside=("guard_post",),
    ),
    "desert": Look(
        road="lanes",
        sky=((196, 176, 150), (214, 200, 176), (226, 218, 202), (214, 216, 214),
             (200, 210, 220), (180, 200, 222), (160, 188, 218), (120, 156, 204),
             (92, 128, 184), (74, 108, 166)),
        haze=(214, 204, 186), haze_strength=0.55,
        grass=(212, 178, 122), grass_dark=(186, 146, 92),
        dirt=(224, 190, 136), dirt_share=0.5,
        rock=(196, 128, 88), water=(120, 170, 170),
        leaves={"leaf": (64, 72, 40), "leaf_lit": (150, 150, 88),
                "bush": (82, 84, 48), "trunk": (96, 76, 54)},
        light=Light(210.0, 55.0, (1.0, 0.92, 0.78), (0.36, 0.38, 0.42), 0.7, 0.12),
        relief=Relief(bump_m=1.4, hill_m=12, hill_start_m=26, cliff_m=14,
                      cliff_share=0.25, cliff_start_m=14, terrace_m=4),
        plants=Plants(("palm_1", "broad_1"), (4, 8), 3, 3, ("bush_0", "reeds"), 22),
        rocks=Rocks(5, (1.0, 4.0), (0.5, 1.3)),
        road_tint=(0.94, 0.90, 0.84),
        roadside=("sign",),
    ),
    "meadow": Look(
        road="kerbs",
        sky=((150, 160, 150), (190, 200, 204), (206, 216, 222), (200, 214, 224),
             (190, 208, 224), (176, 198, 220), (162, 188, 216), (130, 162, 204),
             (100, 134, 186), (80, 114, 170)),
        haze=(190, 204, 212), haze_strength=0.55,
        grass=(112, 158, 62), grass_dark=(74, 122, 42),
        dirt=(170, 136, 96), dirt_share=0.1,
        rock=(150, 146, 132), water=(112, 150, 178),
        leaves={"leaf": (30, 54, 24), "leaf_lit": (122, 150, 62),
                "bush": (36, 58, 22), "trunk": (72, 58, 44)},
        light=Light(-100.0, 48.0, (0.94, 0.90, 0.80), (0.38, 0.42, 0.46), 0.7),
        relief=Relief(hill_m=10, hill_start_m=30, hill_run_m=80, far_m=14, cliff_m=5,
                      cliff_share=0.1),
        plants=Plants(("broad_0", "broad_1", "slim_0", "slim_1"), (7, 14), 10, 20,
                      ("bush_0", "bush_1", "reeds"), 22),
        rocks=Rocks(1, (0.8, 1.8), (0.5, 0.8)),
        road_tint=(1.06, 1.06, 1.1),
        roadside=("sign", "guard_post"),
    ),
}  # fmt: skip


def dimmed(colours: np.ndarray) -> np.ndarray:
    """Return colours (..., 3) with those above 255 dimmed to it as a whole.

    Cutting off the channels one by one would turn the hue.
    """
    return colours * (255 / np.maximum(colours.max(axis=-1, keepdims=True), 255))


def look_of(name: str) -> Look:
    """Return a look by its name.

    Raises:
        Refusal: If there is no such look.
    """
    if name not in LOOKS:
        raise Refusal(f"no look is called {name!r}; there are: {', '.join(LOOKS)}")
    return LOOKS[name]


def vary_look(look: Look, rng: np.random.Generator, strength: float) -> Look:
    """Return a similar look: other hues, another sun.

    Args:
        strength: 0 changes nothing; 1 turns hues by up to 20 degrees, brightness by a
            fifth, haze and shadow by a third, and puts the sun anywhere.

    Raises:
        Refusal: If `strength` is not in [0, 1].
    """
    if not 0 <= strength <= 1:
        raise Refusal(f"strength is {strength}, expected [0, 1]")

    def gain(share: float) -> float:
        return 1 + strength * share * rng.uniform(-1, 1)

    def ground(colour: Colour) -> Colour:
        return _turn(colour, strength * rng.uniform(-20, 20), gain(0.2))

    light, tint = look.light, look.road_tint
    elevation = light.sun_elevation_deg
    leaf_turn = strength * rng.uniform(-20, 20)
    leaf_gain, sky_gain = gain(0.2), gain(0.12)
    return replace(
        look,
        grass=ground(look.grass),
        grass_dark=ground(look.grass_dark),
        dirt=ground(look.dirt),
        rock=ground(look.rock),
        water=ground(look.water),
        leaves={k: _turn(v, leaf_turn, leaf_gain) for k, v in look.leaves.items()},
        sky=tuple(_turn(colour, 0, sky_gain) for colour in look.sky),
        haze_strength=min(1.0, look.haze_strength * gain(0.33)),
        road_tint=(tint[0] * gain(0.12), tint[1] * gain(0.12), tint[2] * gain(0.12)),
        light=replace(
            light,
            sun_azimuth_deg=light.sun_azimuth_deg + strength * rng.uniform(-180, 180),
            sun_elevation_deg=elevation + strength * rng.uniform(-0.4, 0.3) * elevation,
            shadow=min(1.0, light.shadow * gain(0.33)),
        ),
    )


def overcast(look: Look, grey: float) -> Look:
    """Return a look under a grey sky.

    Args:
        grey: 0 changes nothing; at 1 the sun and its shadows are gone, the sky is
            grey, colours are dull and the distance is hazy, as in rain.

    Raises:
        Refusal: If `grey` is not in [0, 1].
    """
    if not 0 <= grey <= 1:
        raise Refusal(f"grey is {grey}, expected [0, 1]")

    def dull(colour: Colour, target: float) -> Colour:
        level = sum(colour) / 3
        level += grey * (target - level)
        red, green, blue = (round(c + grey * 0.8 * (level - c)) for c in colour)
        return red, green, blue

    light = look.light
    # What the sky gains is less than what the sun loses.
    red, green, blue = np.array(light.fill) + 0.55 * grey * np.array(light.sun)
    sun = (1 - grey) * np.array(light.sun)
    return replace(
        look,
        sky=tuple(dull(colour, 178) for colour in look.sky),
        haze=dull(look.haze, 172),
        haze_strength=look.haze_strength + grey * 0.8 * (1 - look.haze_strength),
        grass=dull(look.grass, sum(look.grass) / 3),
        grass_dark=dull(look.grass_dark, sum(look.grass_dark) / 3),
        dirt=dull(look.dirt, sum(look.dirt) / 3),
        rock=dull(look.rock, sum(look.rock) / 3),
        light=replace(
            light,
            sun=(float(sun[0]), float(sun[1]), float(sun[2])),
            fill=(float(red), float(green), float(blue)),
            shadow=(1 - grey) * light.shadow,
        ),
    )


def _turn(colour: Colour, degrees: float, gain: float) -> Colour:
    """Return `colour` with its hue turned and its brightness multiplied."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in colour))
    lightness = min(1.0, lightness * gain)
    rgb = colorsys.hls_to_rgb((hue + degrees / 360) % 1, lightness, saturation)
    red, green, blue = (round(255 * c) for c in rgb)
    return red, green, blue
