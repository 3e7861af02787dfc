"""Roads that are drawn from a seed: no end of them, and never twice the same.

track = random_track(7)                # rounded corners, sometimes a bridge
track = random_track(7, "winding")     # bends as tight as the jungle's, and crests
track = random_track(7, "serpentine")  # one that comes back beside itself
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from simulator.errors import Refusal
from simulator.track import (
    SPACING_M,
    Track,
    resample_closed,
    spline_points,
    turning_per_m,
)


@dataclass(frozen=True)
class RandomTrackRanges:
    """What a random road is drawn from, uniformly; each pair is (lowest, highest)."""

    length_range_m: tuple[float, float] = (600.0, 1500.0)
    """The length of the lap."""
    radius_range_m: tuple[float, float] = (12.0, 30.0)
    """The smallest radius of a curve that the road may have."""
    half_width_range_m: tuple[float, float] = (4.0, 6.0)
    """The distance from the centre line to the edge of the asphalt."""
    grade_range: tuple[float, float] = (0.02, 0.16)
    """The steepest metres up or down per metre forward."""
    control_points_range: tuple[int, int] = (9, 20)
    """The corners of the outline: more make it more winding."""
    crossing_probability: float = 0.25
    """Share of the roads that pass over themselves."""
    styles: tuple[str, ...] = ("lake", "jungle", "mountain")
    """What stands beside the road."""
    waves: int = 4
    """How many times a lap it goes up and down, at most."""
    swing_deg: float = 0.0
    """How far its bends turn it to either side of the way round; 0: no such bends."""
    verge_m: float = 4.0
    """Of open ground beside the asphalt, which no other part of the road may enter."""
    beside_share: float = 0.0
    """The least share of the road that has another part of it within BESIDE_M."""

    def __post_init__(self) -> None:
        pairs: list[tuple[float, float]] = [self.length_range_m, self.radius_range_m]
        pairs += [self.half_width_range_m, self.grade_range, self.control_points_range]
        if any(low > high or low <= 0 for low, high in pairs):
            raise Refusal(f"{self}: expected 0 < lowest <= highest in each range")
        if self.radius_range_m[0] <= self.half_width_range_m[1] + 2:
            raise Refusal("radius_range_m: a road cannot curve within its own width")
        if not 0 <= self.crossing_probability <= 1:
            raise Refusal(f"crossing_probability is {self.crossing_probability}")


RANGES = {
    "random": RandomTrackRanges(),
    # As the jungle: hairpins of 10 m radius, crests in the middle of bends.
    "winding": RandomTrackRanges(
        length_range_m=(500.0, 1100.0),
        radius_range_m=(8.5, 11.0),
        half_width_range_m=(4.0, 5.0),
        grade_range=(0.1, 0.32),
        crossing_probability=0.0,
        waves=16,
        swing_deg=100.0,
    ),
    # As the jungle's slopes: what turns off ahead may be another part of the road, and
    # the height follows the place, as that of roads on one hill does.
    "serpentine": RandomTrackRanges(
        length_range_m=(500.0, 900.0),
        radius_range_m=(8.5, 11.0),
        half_width_range_m=(4.0, 5.0),
        grade_range=(0.1, 0.32),
        crossing_probability=0.0,
        swing_deg=140.0,
        verge_m=0.3,
        beside_share=0.05,
    ),
}
KINDS = tuple(RANGES)
CROSSING_HEIGHT_M = 8.0
# Of a hundred outlines of a serpentine one comes back beside itself and no nearer.
MOST_OUTLINES, MOST_OF_SERPENTINE = 300, 10_000
BESIDE_M = 5.0  # between the asphalt of roads side by side
BEFORE_BESIDE_M = 60.0  # so that a short recording has it
HILLS_M = (50.0, 250.0)  # from top to top, of the land that a road follows
EASING_M = 2.0  # the Gaussian that leads into the bends of a winding road


@lru_cache(maxsize=8)
def random_track(
    seed: int, kind: str = "random", ranges: RandomTrackRanges | None = None
) -> Track:
    """Return a closed random road, the same for the same seed and ranges.

    It never meets itself but on a bridge. Outlines that do are drawn again.

    Args:
        seed: Any number from 0.
        kind: One of KINDS, which the road's name begins with.
        ranges: What it is drawn from; None: RANGES of its kind.
    """
    ranges = ranges or RANGES[kind]
    rng = np.random.default_rng([seed, 0x70AD])
    crossing = bool(rng.random() < ranges.crossing_probability)
    style = str(rng.choice(ranges.styles))
    most = MOST_OF_SERPENTINE if ranges.beside_share else MOST_OUTLINES
    for _ in range(most):
        line = _draw_line(crossing, ranges, rng)
        half_width_m = round(float(rng.uniform(*ranges.half_width_range_m)), 2)
        if line is None:
            continue
        lane_m = half_width_m / 2
        track = Track(
            name=f"{kind}:{seed}",
            points=line,
            half_width_m=half_width_m,
            style=style,
            lane_offsets_m=(0.0,) if style == "lake" else (lane_m, -lane_m),
        )
        if find_collision(track, ranges.verge_m) is not None:
            continue
        if not ranges.beside_share:
            return track
        beside = _has_beside(track)
        if beside.mean() >= ranges.beside_share:
            start_m = track.station_m[beside.argmax()] - BEFORE_BESIDE_M
            return replace(track, start_m=float(start_m % track.length_m))
    raise Refusal(f"no road found in {most} outlines; are {ranges} too narrow?")


def _draw_line(
    crossing: bool, ranges: RandomTrackRanges, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a centre line, float64 (n, 3), or None if it would break the ranges."""
    corners = int(rng.integers(*ranges.control_points_range, endpoint=True))
    length_m = rng.uniform(*ranges.length_range_m)
    radius_m = rng.uniform(*ranges.radius_range_m)
    grade = rng.uniform(*ranges.grade_range)
    if ranges.swing_deg:
        line = _meander(length_m, radius_m, math.radians(ranges.swing_deg), rng)
    else:
        plane = _eight(corners, rng) if crossing else _ring(corners, rng)
        line = _round_corners(spline_points(plane), length_m, radius_m)
    if line is None:
        return None
    if ranges.beside_share:
        line[:, 2] = _heights_of_land(line, grade, rng)
    else:
        line[:, 2] = _heights(line, grade, ranges.waves, crossing, rng)
    steepest = np.abs(np.diff(line[:, 2], append=line[0, 2])).max()
    return line if steepest <= ranges.grade_range[1] * SPACING_M else None


def _ring(corners: int, rng: np.random.Generator) -> np.ndarray:
    """Return corners of a bumpy ring, driven either way round, float (corners, 3)."""
    places = np.arange(corners) + rng.uniform(-0.3, 0.3, corners)
    angles = 2 * np.pi * places / corners
    radii = rng.uniform(40, 150, corners)
    plane = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    plane[:, :2] *= radii[:, None] * rng.uniform(0.6, 1.0, 2)
    return plane if rng.random() < 0.5 else plane[::-1]


def _eight(corners: int, rng: np.random.Generator) -> np.ndarray:
    """Return corners of a figure eight, float (corners, 3)."""
    corners += corners % 2
    angles = 2 * np.pi * (np.arange(corners) + 0.5) / corners
    plane = np.stack([np.sin(angles), np.sin(2 * angles) * 0.6, 0 * angles], axis=1)
    plane[:, :2] *= 150 * rng.uniform(0.7, 1.2, (corners, 1))
    return plane if rng.random() < 0.5 else plane[::-1]


def _meander(
    length_m: float, radius_m: float, swing_rad: float, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a ring that swings left and right, float64 (n, 3), or None if it fails.

    Bends of up to twice the smallest radius, with or without straights between them.
    """
    turns, aim, side, walked_m = [], 0.0, rng.choice([-1, 1]), 0
    while True:
        begun, side = aim, -side
        aim = side * rng.uniform(0.2, 1.0) * swing_rad
        bend_m = round(abs(aim - begun) * radius_m * rng.uniform(1.1, 2.0))
        straight_m = round(rng.uniform(0, 30) * rng.integers(2))
        # Room is left for the bend that leads back to the way round.
        if walked_m + bend_m + straight_m > length_m - 2.5 * swing_rad * radius_m:
            break
        turns += [np.linspace(begun, aim, bend_m), np.full(straight_m, aim)]
        walked_m += bend_m + straight_m
    turns.append(np.linspace(begun, 0, round(length_m) - walked_m))
    swung = np.concatenate(turns)
    around = np.linspace(0, 2 * np.pi, len(swung)) * rng.choice([-1, 1])
    steps = np.exp(1j * (around + swung))
    if abs(steps.mean()) > 0.1:  # It ends too far from where it began.
        return None
    plane = np.cumsum(steps - steps.mean())
    line = np.stack([plane.real, plane.imag, 0 * plane.real], axis=1)
    line = _smooth(resample_closed(line), EASING_M)
    is_sharp = np.abs(turning_per_m(line)).max() > 1 / radius_m
    return None if is_sharp else line


def _round_corners(
    points: np.ndarray, length_m: float, radius_m: float
) -> np.ndarray | None:
    """Scale a closed line to a length and smooth it until no curve is tighter.

    Return float64 (n, 3), evenly spaced, or None if it would lose its shape.
    """
    for sigma_m in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20):
        points = _smooth(points, sigma_m)
        steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
        points = resample_closed(points * (length_m / steps.sum()))
        if np.abs(turning_per_m(points)).max() <= 1 / radius_m:
            return points
    return None


def _smooth(points: np.ndarray, sigma_m: float) -> np.ndarray:
    """Return a closed line of points a metre apart, smoothed by a Gaussian."""
    waves = np.fft.rfftfreq(len(points))[:, None]
    damping = np.exp(-2 * (np.pi * waves * sigma_m) ** 2)
    return np.fft.irfft(np.fft.rfft(points, axis=0) * damping, len(points), axis=0)


def _heights(
    line: np.ndarray,
    grade: float,
    most_waves: int,
    crossing: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return heights of the road, float (n,): random waves no steeper than `grade`.

    The two passes of a figure eight differ by CROSSING_HEIGHT_M where they cross.
    """
    angles = 2 * np.pi * np.arange(len(line)) / len(line)
    waves = np.arange(1, most_waves + 1)
    sizes = rng.normal(0, 1 / waves)
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    heights = np.cos(waves * angles[:, None] + phases) @ sizes
    steepest = np.abs(np.gradient(heights)).max()
    heights *= rng.uniform(0.3, 1.0) * grade / steepest
    if crossing:
        first, second = _crossing(line)
        middle = (first + second) / 2
        wave = np.cos(angles - 2 * np.pi * (middle / len(line) - 0.25))
        lift = heights[second] - heights[first]
        share = (CROSSING_HEIGHT_M - lift) / (wave[second] - wave[first])
        heights = heights + share * wave
    return heights - heights.min()


def _heights_of_land(
    line: np.ndarray, grade: float, rng: np.random.Generator
) -> np.ndarray:
    """Return heights of a road that lies on random hills, float (n,).

    Parts that lie side by side are as high as each other, or nearly.
    """
    hills = 6
    apart_m = np.exp(rng.uniform(math.log(HILLS_M[0]), math.log(HILLS_M[1]), hills))
    towards, begun = rng.uniform(0, 2 * np.pi, (2, hills))
    sizes = apart_m * rng.normal(0, 1, hills)
    along = line[:, :1] * np.cos(towards) + line[:, 1:2] * np.sin(towards)
    heights = np.cos(2 * np.pi * along / apart_m + begun) @ sizes
    steepest = np.abs(np.gradient(heights)).max()
    heights *= rng.uniform(0.3, 1.0) * grade / steepest
    return heights - heights.min()


def _crossing(line: np.ndarray) -> tuple[int, int]:
    """Return the two samples, far apart along the road, that are nearest in plan."""
    count = len(line)
    plane = line[:, 0] + 1j * line[:, 1]
    distance = np.abs(plane[:, None] - plane[None, :])
    apart = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :])
    distance[np.minimum(apart, count - apart) < count // 6] = np.inf
    first, second = np.unravel_index(int(np.argmin(distance)), distance.shape)
    return int(min(first, second)), int(max(first, second))


def _has_beside(track: Track) -> np.ndarray:
    """Return where a road has another part of it within BESIDE_M, bool (n,)."""
    distance_m, along_m = _apart(track)
    near_m = 2 * track.half_width_m + BESIDE_M
    is_other = (distance_m < near_m) & (along_m > 2.2 * near_m)
    return np.asarray(is_other.any(axis=1))


def _apart(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Return how far all samples are from each other in plan, and along the road.

    Metres, float64 (n, n).
    """
    count, index = len(track.points), np.arange(len(track.points))
    plane = track.points[:, 0] + 1j * track.points[:, 1]
    steps = np.abs(index[:, None] - index[None, :])
    along_m = np.minimum(steps, count - steps) * track.spacing_m
    return np.abs(plane[:, None] - plane[None, :]), along_m


def find_collision(track: Track, verge_m: float = 4.0) -> tuple[float, float] | None:
    """Return two stations where the road or its verge meets itself, or None.

    Passing over itself is no collision where the lower road has its clearance.
    """
    distance_m, along_m = _apart(track)
    height_m = np.abs(track.points[:, 2][:, None] - track.points[:, 2][None, :])
    near_m = 2 * (track.half_width_m + verge_m)
    # A half circle is pi / 2 times longer than the distance of its ends.
    meets = (distance_m < near_m) & (along_m > 2.2 * near_m) & (height_m < 5.0)
    if not meets.any():
        return None
    first, second = np.unravel_index(int(np.argmax(meets)), meets.shape)
    return float(track.station_m[first]), float(track.station_m[second])
