"""The layouts: the lake, the jungle, a mountain, and any number of random roads.

    track = make_track("lake")
    track = make_track("random:7")     # the same road for the same seed, everywhere
    track = make_track("winding:7")    # one that winds as the jungle's does
    track = make_track("serpentine:7")  # one that comes back beside itself

Sources: the lake's control points and the jungle's pieces were measured on the Udacity
simulator's tracks (1138 m and 1515 m); no mesh or file of it is used.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from simulator.errors import Refusal
from simulator.random_roads import KINDS, random_track
from simulator.track import Track, resample_closed, spline_points

LAYOUTS = ("lake", "jungle", "mountain")
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


def make_track(name: str) -> Track:
    """Return the track called `name`: one of LAYOUTS, or KIND:SEED ("random:7").

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
            "(random:7), winding:SEED, serpentine:SEED, and several as "
            f"random:FIRST-LAST (at most {MOST_ROADS:,} of them)"
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
