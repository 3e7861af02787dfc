"""The road's geometry: closed forms on a circle, round trips, crossings."""

import math

import numpy as np
import pytest

from simulator import tracks
from simulator.track import Track, resample_closed, turning_per_m

RADIUS_M = 50.0


def make_circle(turns_left=True, height_m=0.0):
    angles = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    x, y = RADIUS_M * np.cos(angles), RADIUS_M * np.sin(angles)
    points = np.stack([x, y, height_m * np.cos(angles)], axis=1)
    return Track("circle", resample_closed(points if turns_left else points[::-1]), 5.0)


@pytest.mark.parametrize(("turns_left", "sign"), [(True, -1), (False, 1)])
def test_curvature_of_a_circle_is_one_over_its_radius(turns_left, sign):
    curvature = make_circle(turns_left).curvature_per_m
    # The chords of a 1 m polygon are 2e-5 shorter than the arcs.
    np.testing.assert_allclose(curvature, sign / RADIUS_M, rtol=1e-3)


def test_length_of_a_circle_is_its_circumference():
    assert make_circle().length_m == pytest.approx(2 * math.pi * RADIUS_M, rel=1e-4)


def test_lateral_is_positive_to_the_right():
    # Driven counter-clockwise, the outside is on the right.
    place = make_circle().locate(RADIUS_M + 3, 0.0)
    assert place.lateral_m == pytest.approx(3.0, abs=0.01)


def test_grade_follows_the_slope():
    track = make_circle(height_m=4.0)
    slope = -4.0 * np.sin(track.station_m / RADIUS_M) / RADIUS_M
    np.testing.assert_allclose(track.grade, slope, atol=1e-3)
    assert track.grade_at(30.0) == pytest.approx(
        -0.08 * math.sin(30 / RADIUS_M), abs=1e-3
    )


@pytest.mark.parametrize("name", [*tracks.LAYOUTS, "random:3"])
def test_locate_finds_what_point_at_gave(name, rng):
    track = tracks.make_track(name)
    for _ in range(300):
        station_m = rng.uniform(0, track.length_m)
        lateral_m = rng.uniform(-4, 4)
        point = track.point_at(station_m, lateral_m)
        hint = int(station_m / track.spacing_m) + int(rng.integers(-5, 6))
        place = track.locate(point.x_m, point.y_m, hint=hint)
        # A millimetre: the share between two samples is exact on straights and arcs.
        assert abs(track.station_difference_m(place.station_m, station_m)) < 1e-3
        assert place.lateral_m == pytest.approx(lateral_m, abs=1e-3)


def test_hint_keeps_to_the_own_level_at_the_jungles_crossing():
    track = tracks.jungle()
    above = int(np.flatnonzero(track.crosses_over)[15])
    x, y, z = track.points[above]
    flat = np.hypot(track.points[:, 0] - x, track.points[:, 1] - y)
    below = int(np.argmin(np.where(track.points[:, 2] < z - 10, flat, np.inf)))
    assert track.locate(x, y, hint=above - 3).index in (above - 1, above)
    assert abs(track.locate(x, y, hint=below - 3).index - below) <= 2


@pytest.mark.parametrize("name", tracks.LAYOUTS)
def test_reversing_twice_changes_nothing(name):
    track = tracks.make_track(name)
    again = track.reversed().reversed()
    np.testing.assert_array_equal(again.points, track.points)
    assert again.start_m == pytest.approx(track.start_m)
    assert again.bridge_m == pytest.approx(track.bridge_m)


def test_reversed_road_has_the_bridge_in_the_same_place():
    track = tracks.lake()
    backwards = track.reversed()
    ends = {tuple(track.point_at(s)[:2]) for s in track.bridge_m}
    for station_m in backwards.bridge_m:
        point = backwards.point_at(station_m)[:2]
        assert min(math.dist(point, end) for end in ends) < 0.1
    np.testing.assert_allclose(
        backwards.curvature_per_m[1:], -track.curvature_per_m[:0:-1], atol=1e-12
    )


def test_station_difference_takes_the_short_way():
    track = tracks.lake()
    assert track.station_difference_m(2.0, track.length_m - 3.0) == pytest.approx(5.0)
    assert track.station_difference_m(track.length_m - 3.0, 2.0) == pytest.approx(-5.0)


def test_turning_sums_to_a_full_circle_on_a_simple_loop():
    points = tracks.lake().points
    turning = turning_per_m(points).sum() * tracks.lake().spacing_m
    assert turning == pytest.approx(-2 * math.pi, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"half_width_m": 1.0}, "half_width_m is 1.0"),
        ({"style": "moon"}, "no style 'moon'; there are: lake, jungle, mountain"),
        ({"lane_offsets_m": (9.0,)}, "leaves the road"),
        ({"points": np.zeros((5, 3))}, "expected (20 or more, 3)"),
    ],
)
def test_track_refuses(change, text):
    arguments = {"name": "x", "points": make_circle().points, "half_width_m": 5.0}
    with pytest.raises(ValueError) as refusal:
        Track(**(arguments | change))
    assert text in str(refusal.value)


def test_track_refuses_uneven_points():
    points = make_circle().points.copy()
    points[10] = points[9] * 0.7 + points[10] * 0.3
    with pytest.raises(ValueError, match="resample_closed makes it even"):
        Track("uneven", points, 5.0)
