"""The layouts: the lake, the jungle, a mountain, and any number of random roads.

    track = make_track("lake")
    track = make_track("random:7")     # the same road for the same seed, everywhere
    track = make_track("winding:7")    # one that winds as the jungle's does

Sources: the lake's control points and the jungle's pieces were measured on the Udacity
simulator's tracks (1138 m and 1515 m); no mesh or file of it is used.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.errors import Refusal
from simulator.track import SPACING_M, Track, resample_closed, turning_per_m

LAYOUTS = ("lake", "jungle", "mountain")
KINDS = ("random", "winding")
# A road's seed, of digits that Python reads; roads in a range, weeks of driving.
SEED, MOST_ROADS = r"\d{1,40}", 10_000

# x, y of the lake's centre line; a spline through them keeps to it within 0.4 m (mean).
LAKE_POINTS = """
    179,99 155,138 113,157 65,156 20,142 -22,120 -61,93 -96,62 -129,27 -155,-12 -173,-55
    -174,-103 -148,-140 -104,-156 -56,-160 -10,-156 38,-149 84,-142 125,-120 120,-75
    94,-36 79,7 115,36 156,59
"""
LAKE_BRIDGE_M = (692.0, 782.0)  # the straightest 90 m
LAKE_START_M = 1128.0  # of the original's training mode

# The jungle as pieces of road: S straight, L/R curve, l/r sharp curve, </> S-bend to
# the left/right; + or - after a piece: it goes 5 m up or down.
JUNGLE_PIECES = (
    "SSSS>+RSS>R+R+Srll>LRSSL-R->->-S>+<+R+RSSSSS>-Sll>-RR>+SSSSS<->SSSS<lL+R-L+llrrSR-"
    "<-L+L-S>-<-S<>+SL+SLR+"
)
JUNGLE_START = (166.0, -44.0, -80.0)  # heading east
CLIMB_M = 5.0
BEND_RADIUS_M, BEND_RAD = 12.5, math.atan2(4, 3)  # two of these arcs move 10 m sideways
# (length in metres, or radius in metres and angle in radians of each arc; + is left)
PIECES: dict[str, tuple[tuple[float, float], ...]] = {
    "S": ((10.0, 0.0),),
    "L": ((20.0, math.pi / 2),),
    "R": ((20.0, -math.pi / 2),),
    "l": ((10.0, math.pi / 2),),
    "r": ((10.0, -math.pi / 2),),
    "<": ((BEND_RADIUS_M, BEND_RAD), (BEND_RADIUS_M, -BEND_RAD)),
    ">": ((BEND_RADIUS_M, -BEND_RAD), (BEND_RADIUS_M, BEND_RAD)),
}

# x, y, z of a mountain road: switchbacks up the east face, a ridge, a fast way down.
MOUNTAIN_POINTS = """
    0,0,0 55,-6,3 112,-5,7 137,20,11 112,46,15 62,47,20 8,52,25 -18,78,29 8,104,33
    66,103,38 122,107,43 151,136,47 122,165,51 62,168,54 6,180,56 -50,200,56 -104,190,53
    -136,150,48 -128,98,41 -148,48,33 -176,2,25 -168,-52,17 -122,-84,10 -66,-66,4
    -40,-30,1
"""


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
}
CROSSING_HEIGHT_M = 8.0
MOST_OUTLINES = 300
EASING_M = 2.0  # the Gaussian that leads into the bends of a winding road
VERGE_M = 4.0  # of open ground beside the asphalt, which no other road may enter


def make_track(name: str) -> Track:
    """Return the track called `name`: one of LAYOUTS, "random:SEED" or "winding:SEED".

    Raises:
        ValueError: If there is no such track.
    """
    check_track(name)
    if name in LAYOUTS:
        return {"lake": lake, "jungle": jungle, "mountain": mountain}[name]()
    kind, _, seed = name.partition(":")
    return random_track(int(seed), kind)


def road_seed(name: str) -> int | None:
    """Return the seed of a road that is drawn from one, or None of a layout."""
    kind, _, seed = name.partition(":")
    return int(seed) if kind in KINDS else None


def track_names(names: Sequence[str]) -> list[str]:
    """Return the names, with random:3-5 as random:3, random:4 and random:5."""
    every: list[str] = []
    for name in names:
        kind, _, seeds = name.partition(":")
        ends = re.fullmatch(rf"({SEED})-({SEED})", seeds) if kind in KINDS else None
        first, last = map(int, ends.groups()) if ends else (1, 0)
        # One that counts backwards, or too far, is no name: check_track says so.
        roads = range(first, last + 1) if last - first < MOST_ROADS else range(0)
        every += [f"{kind}:{i}" for i in roads] or [name]
    return every


def check_track(name: str) -> None:
    """See that make_track knows a name, without making the track.

    Raises:
        ValueError: If there is no such track.
    """
    kind, _, seed = name.partition(":")
    is_road = kind in KINDS and re.fullmatch(SEED, seed)
    if name not in LAYOUTS and not is_road:
        raise Refusal(
            f"no track {name!r}; there are: {', '.join(LAYOUTS)}, random:SEED "
            "(random:7), winding:SEED, and several as random:FIRST-LAST (at most "
            f"{MOST_ROADS:,} of them)"
        )


@lru_cache(maxsize=1)
def lake() -> Track:
    """Return the wide road around the lake, 1138 m, driven counter-clockwise."""
    return Track(
        name="lake",
        points=spline_points(_parse_points(LAKE_POINTS)),
        half_width_m=5.0,
        start_m=LAKE_START_M,
        bridge_m=LAKE_BRIDGE_M,
    )


@lru_cache(maxsize=1)
def jungle() -> Track:
    """Return the two-lane figure eight through the jungle, 1515 m along its slopes."""
    return Track(
        name="jungle",
        points=walk_pieces(JUNGLE_PIECES, JUNGLE_START),
        half_width_m=5.0,
        style="jungle",
        lane_offsets_m=(2.4, -2.4),
        start_m=4.6,
    )


@lru_cache(maxsize=1)
def mountain() -> Track:
    """Return a mountain road: switchbacks up to 56 m, a ridge, a fast descent."""
    return Track(
        name="mountain",
        points=spline_points(_parse_points(MOUNTAIN_POINTS)),
        half_width_m=4.5,
        style="mountain",
        lane_offsets_m=(2.1, -2.1),
    )


def _parse_points(text: str) -> np.ndarray:
    rows = [[float(number) for number in word.split(",")] for word in text.split()]
    points = np.array(rows)
    return np.pad(points, ((0, 0), (0, 3 - points.shape[1])))


def spline_points(control: np.ndarray) -> np.ndarray:
    """Return the closed cubic spline through `control`, sampled every metre.

    `control` is float (m, 3), in order; what is returned float64 (n, 3), evenly spaced
    horizontally.

    Source: natural form of the periodic cubic spline, with centripetal knots (square
    root of the chords), which do not overshoot at sharp turns.
    """
    count = len(control)
    following = np.roll(control, -1, axis=0)
    knots = np.linalg.norm(following - control, axis=1) ** 0.5
    slopes = (following - control) / knots[:, None]
    system = np.zeros((count, count))
    for i in range(count):
        system[i, i - 1] += knots[i - 1]
        system[i, i] += 2 * (knots[i - 1] + knots[i])
        system[i, (i + 1) % count] += knots[i]
    bends = np.linalg.solve(system, 6 * (slopes - np.roll(slopes, 1, axis=0)))
    next_bends = np.roll(bends, -1, axis=0)
    share = np.arange(200)[None, :, None] / 200
    rest = 1 - share
    pull = (rest**3 - rest) * bends[:, None] + (share**3 - share) * next_bends[:, None]
    dense = rest * control[:, None] + share * following[:, None]
    dense = dense + pull * knots[:, None, None] ** 2 / 6
    return resample_closed(dense.reshape(-1, 3))


def walk_pieces(pieces: str, start: tuple[float, float, float]) -> np.ndarray:
    """Return the closed centre line that pieces of road make, sampled every metre.

    Args:
        pieces: The letters of PIECES; a + or - after one lifts or lowers its end by
            CLIMB_M, level at both ends.
        start: x, y, z of the first piece, which heads east.

    Returns:
        float64 (n, 3), evenly spaced horizontally.

    Raises:
        ValueError: If the pieces do not lead back to their start.
    """
    x, y, z = start
    heading_rad = 0.0
    dense: list[tuple[float, float, float]] = []
    for letter, sign in re.findall(r"(.)([+-]?)", pieces):
        climb_m = {"": 0.0, "+": CLIMB_M, "-": -CLIMB_M}[sign]
        arcs = PIECES[letter]
        for number, (size_m, turn_rad) in enumerate(arcs):
            for step in range(100):
                share = step / 100
                rise = _smooth_step((number + share) / len(arcs)) * climb_m
                dx, dy = _along_arc(size_m, turn_rad, share, heading_rad)
                dense.append((x + dx, y + dy, z + rise))
            dx, dy = _along_arc(size_m, turn_rad, 1.0, heading_rad)
            x, y, heading_rad = x + dx, y + dy, heading_rad + turn_rad
        z += climb_m
    gap_m = math.dist((x, y, z), start)
    if gap_m > 1e-6:
        raise Refusal(f"the pieces end {gap_m:.2f} m from where they began")
    return resample_closed(np.array(dense))


def _along_arc(
    size_m: float, turn_rad: float, share: float, heading_rad: float
) -> tuple[float, float]:
    """Return x, y after a share of a straight (no turn) or of an arc of a radius."""
    if turn_rad == 0:
        ahead, left = size_m * share, 0.0
    else:
        angle = abs(turn_rad) * share
        ahead = size_m * math.sin(angle)
        left = math.copysign(size_m * (1 - math.cos(angle)), turn_rad)
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    return ahead * cos - left * sin, ahead * sin + left * cos


def _smooth_step(share: float) -> float:
    return share * share * (3 - 2 * share)


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
    for _ in range(MOST_OUTLINES):
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
        if find_collision(track) is None:
            return track
    raise Refusal(
        f"no road found in {MOST_OUTLINES} outlines; are {ranges} too narrow?"
    )


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


def _crossing(line: np.ndarray) -> tuple[int, int]:
    """Return the two samples, far apart along the road, that are nearest in plan."""
    count = len(line)
    plane = line[:, 0] + 1j * line[:, 1]
    distance = np.abs(plane[:, None] - plane[None, :])
    apart = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :])
    distance[np.minimum(apart, count - apart) < count // 6] = np.inf
    first, second = np.unravel_index(int(np.argmin(distance)), distance.shape)
    return int(min(first, second)), int(max(first, second))


def find_collision(track: Track) -> tuple[float, float] | None:
    """Return two stations where the road or its verge meets itself, or None.

    Passing over itself is no collision where the lower road has its clearance.
    """
    count, spacing_m = len(track.points), track.spacing_m
    plane = track.points[:, 0] + 1j * track.points[:, 1]
    distance_m = np.abs(plane[:, None] - plane[None, :])
    height_m = np.abs(track.points[:, 2][:, None] - track.points[:, 2][None, :])
    index = np.arange(count)
    apart = np.abs(index[:, None] - index[None, :])
    along_m = np.minimum(apart, count - apart) * spacing_m
    near_m = 2 * (track.half_width_m + VERGE_M)
    # A half circle is pi / 2 times longer than the distance of its ends.
    meets = (distance_m < near_m) & (along_m > 2.2 * near_m) & (height_m < 5.0)
    if not meets.any():
        return None
    first, second = np.unravel_index(int(np.argmax(meets)), meets.shape)
    return float(track.station_m[first]), float(track.station_m[second])
