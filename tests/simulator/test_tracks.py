"""The layouts keep their measured dimensions; random roads keep their ranges."""

import numpy as np
import pytest

from simulator import random_roads, tracks
from simulator.errors import Refusal
from simulator.random_roads import RANGES, RandomTrackRanges
from simulator.track import Track, resample_closed


def slope_length_m(track):
    steps = np.roll(track.points, -1, axis=0) - track.points
    return np.linalg.norm(steps, axis=1).sum()


def test_lake_has_the_dimensions_of_the_original():
    track = tracks.lake()
    # 1138 m in the original; the rounded control points lose 0.3 % of it.
    assert track.length_m == pytest.approx(1138, rel=0.004)
    radius_m = 1 / np.maximum(np.abs(track.curvature_per_m), 1e-6)
    assert radius_m.min() == pytest.approx(20, abs=1)
    # 5, 25 and 50 % of the original's waypoints: 34, 84 and 195 m.
    found = np.percentile(radius_m, [5, 25, 50])
    np.testing.assert_allclose(found, [34, 84, 195], rtol=0.1)
    assert track.on_bridge.sum() == pytest.approx(90, abs=1)


def test_lake_passes_the_originals_start():
    place = tracks.lake().locate(-40.62, 108.73)
    assert place.station_m == pytest.approx(258, abs=1)
    assert abs(place.lateral_m) < 1


def test_jungle_has_the_dimensions_of_the_original():
    track = tracks.jungle()
    assert slope_length_m(track) == pytest.approx(1515, abs=3)
    radius_m = 1 / np.abs(track.curvature_per_m).max()
    assert radius_m == pytest.approx(10, abs=0.1)
    assert np.ptp(track.points[:, 2]) == pytest.approx(30, abs=0.1)
    assert np.abs(track.grade).max() == pytest.approx(0.32, abs=0.01)


def test_jungle_pieces_close_exactly():
    points = tracks.jungle().points
    gap = np.linalg.norm(points[0] - points[-1])
    assert gap == pytest.approx(tracks.jungle().spacing_m, rel=0.01)


def test_jungle_starts_in_the_right_lane():
    track = tracks.jungle()
    place = track.locate(170.63, -46.57, hint=0)
    assert place.station_m == pytest.approx(track.start_m, abs=0.5)
    assert place.lateral_m == pytest.approx(track.lane_offsets_m[0], abs=0.3)


def test_jungle_crosses_over_itself_with_room_for_a_car():
    track = tracks.jungle()
    assert track.crosses_over.sum() > 10
    x, y, _ = track.points[np.flatnonzero(track.crosses_over)].mean(axis=0)
    assert np.hypot(x - 106, y + 34) < 12


def test_mountain_climbs_and_never_meets_itself():
    track = tracks.mountain()
    assert np.ptp(track.points[:, 2]) > 50
    assert np.abs(track.grade).max() < 0.2
    assert 1 / np.abs(track.curvature_per_m).max() > 12
    assert random_roads.find_collision(track) is None


@pytest.mark.parametrize(
    # Smoothing and even spacing end within a percent of the drawn length; a winding
    # road is cut short at its bends, and where it closes.
    ("kind", "count", "shortest"),
    [("random", 40, 0.99), ("winding", 40, 0.85), ("serpentine", 12, 0.85)],
)
def test_random_tracks_keep_their_ranges(kind, count, shortest):
    ranges = RANGES[kind]
    for seed in range(count):
        track = random_roads.random_track(seed, kind)
        assert random_roads.find_collision(track, ranges.verge_m) is None, seed
        low, high = ranges.length_range_m
        assert shortest * low <= track.length_m <= 1.01 * high, seed
        tightest_m = 1 / np.abs(track.curvature_per_m).max()
        assert tightest_m >= 0.98 * ranges.radius_range_m[0], seed
        assert np.abs(track.grade).max() <= ranges.grade_range[1] + 1e-9, seed
        low, high = ranges.half_width_range_m
        assert low <= track.half_width_m <= high, seed


def test_winding_tracks_have_bends_as_tight_as_the_jungles_and_crests():
    def sharp(track):
        return np.mean(np.abs(track.curvature_per_m) > 1 / 13)

    def crests(track):
        return np.sum(np.diff(np.sign(np.diff(track.points[:, 2]))) < 0)

    winding = [random_roads.random_track(seed, "winding") for seed in range(20)]
    usual = [random_roads.random_track(seed) for seed in range(20)]
    assert sharp(tracks.jungle()) > np.mean([*map(sharp, winding)]) > 0.1
    assert np.mean([*map(sharp, usual)]) < 0.01
    assert np.mean([*map(crests, winding)]) > 2 * np.mean([*map(crests, usual)])


def test_serpentine_tracks_come_back_beside_themselves_as_the_jungle_does():
    def beside(track):
        """Return where another part is near by, and how far above or below."""
        apart = np.linalg.norm(
            track.points[:, None, :2] - track.points[None, :, :2], axis=2
        )
        index = np.arange(len(apart))
        steps = np.abs(index[:, None] - index)
        along = np.minimum(steps, len(index) - steps) * track.spacing_m
        apart[along < 4 * track.half_width_m + 20] = np.inf
        is_near = apart.min(axis=1) < 2 * track.half_width_m + 5
        other_m = track.points[apart.argmin(axis=1), 2]
        return is_near, np.abs(track.points[:, 2] - other_m)[is_near]

    assert np.mean(beside(tracks.jungle())[0]) > 0.1
    for seed in range(6):
        track = random_roads.random_track(seed, "serpentine")
        is_near, lift_m = beside(track)
        assert is_near.mean() >= 0.05, seed
        assert lift_m.max() < 6, seed
        # A short recording begins before such a place.
        way_m = (track.station_m[is_near] - track.start_m) % track.length_m
        assert way_m.min() < 65, seed
    assert not any(
        beside(random_roads.random_track(seed, "winding"))[0].any() for seed in range(6)
    )


def test_random_tracks_have_bridges_both_turns_and_all_styles():
    some = [random_roads.random_track(seed) for seed in range(40)]
    crossing = np.mean([track.crosses_over.any() for track in some])
    assert 0.1 < crossing < 0.45
    assert {track.style for track in some} == set(RANGES["random"].styles)
    turns = [np.sign(track.curvature_per_m.sum()) for track in some]
    assert -1 in turns and 1 in turns


def test_random_track_is_the_same_for_the_same_seed():
    first = random_roads.random_track(5).points.copy()
    random_roads.random_track.cache_clear()
    np.testing.assert_array_equal(random_roads.random_track(5).points, first)
    assert random_roads.random_track(6).points.shape != first.shape


def test_roads_that_meet_are_found():
    angles = np.linspace(0, 2 * np.pi, 800, endpoint=False)
    eight = 150 * np.stack([np.sin(angles), np.sin(2 * angles) / 2, 0 * angles], axis=1)
    flat = Track("flat", resample_closed(eight), 5.0)
    assert random_roads.find_collision(flat) is not None
    eight[:, 2] = 4 * np.cos(angles)
    bridged = Track("bridged", resample_closed(eight), 5.0)
    assert random_roads.find_collision(bridged) is None
    assert bridged.crosses_over.any()


@pytest.mark.parametrize(
    "name", ["moon", "random:", "random:x", "winding:-1", "winding"]
)
def test_unknown_track_names_the_known(name):
    with pytest.raises(ValueError, match="lake, jungle, mountain, random:SEED"):
        tracks.make_track(name)


@pytest.mark.parametrize("seeds", ["1-10001", f"1-{10**12}", "9" * 5000])
def test_more_roads_or_digits_than_can_be_are_refused_at_once(seeds):
    (name,) = tracks.track_names([f"random:{seeds}"])
    with pytest.raises(Refusal, match="at most 10,000 of them"):
        tracks.check_track(name)


def test_pieces_that_do_not_close_are_refused():
    with pytest.raises(ValueError, match=r"end 30\.00 m from where they began"):
        tracks.walk_pieces("SSS", (0.0, 0.0, 0.0))


def test_impossible_ranges_are_refused():
    with pytest.raises(ValueError, match="lowest <= highest"):
        RandomTrackRanges(length_range_m=(900.0, 600.0))
    with pytest.raises(ValueError, match="cannot curve within its own width"):
        RandomTrackRanges(radius_range_m=(5.0, 30.0))
    cramped = RandomTrackRanges((600.0, 600.0), (120.0, 120.0))
    with pytest.raises(ValueError, match="too narrow"):
        random_roads.random_track(0, ranges=cramped)
