"""Roads as no one has seen them: surface, light, weather, cameras and width drawn anew.

    variant = draw_variant(make_track("random:7"), seed=7, strength=1.0)
    world = World(variant.track, cameras=CAMERAS, settings=variant.settings)

A network that has seen enough of them takes what it meets next for one more.

Source: Tobin et al., "Domain Randomization for Transferring Deep Neural Networks from
Simulation to the Real World", 2017.
"""

from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import Refusal
from simulator.looks import LOOKS
from simulator.mesh import Optics
from simulator.recorder import JPEG_QUALITY
from simulator.scenery import SceneSettings, choose_look
from simulator.textures import Colour, Paint
from simulator.track import Track
from simulator.tracks import road_seed

# Of road, kerb and bank: what is met beside and on roads, RGB in daylight.
LINE_COLOURS: tuple[Colour, ...] = (
    (238, 238, 238), (214, 196, 96), (236, 170, 60), (190, 190, 182),
)  # fmt: skip
KERB_COLOURS: tuple[Colour, ...] = (
    (214, 92, 80), (80, 110, 190), (60, 60, 60), (226, 190, 70), (110, 150, 90),
)  # fmt: skip
BANK_COLOURS: tuple[Colour, ...] = (
    (250, 247, 226),  # concrete
    (222, 196, 146),  # sand
    (122, 138, 70),  # grass
    (150, 130, 104),  # earth
    (128, 126, 122),  # gravel
    (120, 150, 176),  # wet
)
JPEG_QUALITY_RANGE = (40, 95)
NARROWEST_M = 2.0  # half of it
LEAST_DIVIDED_M = 2.8  # half of it
WIDEST_M = 6.0  # half of it; no random road bends tighter than 12 m
# Of stone between dark walls, over water: the only such place in the stock simulator is
# the lake's, and who has never met one drifts there.
BRIDGES = 0.8  # share of the roads that have room for one
BRIDGE_M = (40.0, 110.0)
RIVER_REACH_M, RIVER_BANK_M = 120.0, 20.0
BEFORE_BRIDGE_M = 60.0  # so that a short recording has it


@dataclass(frozen=True)
class Variant:
    """A road, and how it looks to whom."""

    track: Track
    """The road, with its width."""
    settings: SceneSettings
    """What there is to see, and how the cameras see it."""
    jpeg_quality: int
    """Of the pictures that are recorded, 1 to 100."""

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 100:
            raise Refusal(f"jpeg_quality is {self.jpeg_quality}, expected 1 to 100")


def draw_variant(
    track: Track, settings: SceneSettings, seed: int, strength: float
) -> Variant:
    """Return a variant of a road; the same for the same seed.

    Args:
        settings: What is varied. A look, or a place of the sun, that it names is kept.
        strength: 0 changes nothing; at 1 a road is 4 to 12 m wide, its surface anything
            from smooth asphalt to cobbles, with or without lines and kerbs, in any
            country, light and weather, seen through cameras that sit 0.15 m, 2 degrees
            and 5 % of the view beside the usual ones.

    Raises:
        Refusal: `strength` is not in [0, 1].
    """
    if not 0 <= strength <= 1:
        raise Refusal(f"strength is {strength}, expected [0, 1]")
    rng = np.random.default_rng([seed, 0x5EED])
    usual_m = track.half_width_m
    # A road that is laid out already, or that winds, has no room to grow.
    widest_m = WIDEST_M if track.name.startswith("random") else usual_m
    share = strength * rng.uniform(-1, 1)
    towards_m = NARROWEST_M if share < 0 else max(widest_m, usual_m)
    width_m = usual_m + abs(share) * (towards_m - usual_m)
    drawn = replace(
        _with_weather(settings, rng, strength),
        variation=max(settings.variation, strength),
        paint=_draw_paint(rng, strength),
        optics=_draw_optics(rng, strength),
    )
    if settings.look is None and rng.random() < strength:
        drawn = replace(drawn, look=str(rng.choice(list(LOOKS))))
    if rng.random() < strength:
        drawn = replace(drawn, bonnet=str(rng.choice(["lake", "jungle", "none"])))
    least, most = JPEG_QUALITY_RANGE
    quality = JPEG_QUALITY + strength * (rng.uniform(least, most) - JPEG_QUALITY)
    lanes_m = tuple(lane * width_m / usual_m for lane in track.lane_offsets_m)
    if strength > 0 and road_seed(track.name) is not None:
        lanes_m = _lanes_m(track, drawn, width_m)
    track = replace(track, half_width_m=width_m, lane_offsets_m=lanes_m)
    if road_seed(track.name) is not None and rng.random() < BRIDGES * strength:
        track = _with_bridge(track, rng.uniform(*BRIDGE_M))
    return Variant(track, drawn, round(quality))


def _lanes_m(
    track: Track, settings: SceneSettings, width_m: float
) -> tuple[float, ...]:
    """Return the lanes of a road that is `width_m` wide to each side.

    There are two where a line divides them and each has room for a car; people drive in
    the middle of all other roads.
    """
    line = settings.paint.middle_line
    is_divided = line != "none"
    if line == "usual":
        is_divided = choose_look(track, settings).road == "lanes"
    if not is_divided or width_m < LEAST_DIVIDED_M:
        return (0.0,)
    return (width_m / 2, -width_m / 2)


def _with_bridge(track: Track, length_m: float) -> Track:
    """Return a road that begins before a bridge, where it has room for one.

    That is at its straightest: a river reaches RIVER_REACH_M to both sides, where no
    other part of the road may be.
    """
    if track.crosses_over.any():
        return track
    half = round(length_m / 2 / track.spacing_m)
    bent = np.convolve(np.abs(track.curvature_per_m), np.ones(2 * half + 1), "valid")
    for first in np.argsort(bent)[:: max(1, half // 2)]:
        middle, beside = first + half, np.ones(len(track.points), bool)
        beside[first : first + 2 * half + 1] = False
        away = (track.points - track.points[middle])[beside, :2]
        along = np.abs(away @ track.tangents[middle, :2])
        across = np.abs(away @ track.normals[middle, :2])
        # What is left of the bridge's own ends lies on the river's axis.
        is_other = (across > track.half_width_m) & (across < RIVER_REACH_M)
        if not np.any(is_other & (along < length_m / 2 + RIVER_BANK_M)):
            ends = track.station_m[[first, first + 2 * half]].tolist()
            start_m = (ends[0] - BEFORE_BRIDGE_M) % track.length_m
            return replace(track, bridge_m=tuple(ends), start_m=start_m)
    return track


def _draw_paint(rng: np.random.Generator, strength: float) -> Paint:
    """Return a road's surface and lines."""

    def chance(share: float) -> bool:
        return bool(rng.random() < strength * share)

    def colour(choices: tuple[Colour, ...]) -> Colour:
        chosen = np.array(choices[rng.integers(len(choices))]) + rng.uniform(-20, 20, 3)
        red, green, blue = np.clip(chosen, 20, 255).round().astype(int).tolist()
        return red, green, blue

    gain = float(np.exp(strength * rng.uniform(-0.5, 0.45)))
    return Paint(
        brightness=gain,
        grain=max(0.0, 1 + strength * rng.uniform(-0.95, 0.9)),
        patches=strength * rng.uniform(0, 50),
        cobbles=rng.uniform(0.3, 1.0) if chance(0.15) else 0.0,
        has_edge_lines=not chance(0.3),
        middle_line=str(rng.choice(["usual", "none", "dashed", "solid", "double"]))
        if chance(0.8)
        else "usual",
        line=colour(LINE_COLOURS) if chance(0.7) else None,
        line_width=float(np.exp(strength * rng.uniform(-0.6, 0.7))),
        wear=rng.uniform(0, 0.8) if chance(0.5) else 0.0,
        has_kerbs=not chance(0.5),
        kerb=colour(KERB_COLOURS) if chance(0.7) else Paint.kerb,
        bank=colour(BANK_COLOURS) if chance(0.8) else Paint.bank,
        blur_px=rng.uniform(0, 1.5) if chance(0.5) else 0.0,
    )


def _draw_optics(rng: np.random.Generator, strength: float) -> Optics:
    """Return cameras within what tells the stock simulator's versions apart."""
    raised_m, pitch_deg, yaw_deg, gain = strength * rng.uniform(-1, 1, 4)
    return Optics(
        raised_m=0.15 * raised_m,
        pitch_deg=2.0 * pitch_deg,
        yaw_deg=1.0 * yaw_deg,
        fov_gain=1 + 0.05 * gain,
    )


def _with_weather(
    settings: SceneSettings, rng: np.random.Generator, strength: float
) -> SceneSettings:
    """Return settings with other haze, shadows and clouds, or under a grey sky."""
    shadows, clouds = rng.uniform(0, 0.9), rng.uniform(0, 0.35)
    haze, grey = rng.uniform(0, 2), rng.uniform(0.3, 1.0)
    has_shadows = rng.random() < 0.75 * strength and settings.shadows is None
    is_grey = rng.random() < 0.3 * strength
    return replace(
        settings,
        haze=settings.haze + strength * (haze - settings.haze),
        clouds=strength * clouds,
        shadows=shadows if has_shadows else settings.shadows,
        overcast=grey if is_grey else settings.overcast,
    )
