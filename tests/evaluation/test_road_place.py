"""The place on the road, found in pictures, beside the truth of the simulator."""

import numpy as np
import place_on_road
import pytest
from made_recordings import write_recording
from place_on_road import Case

from recordings.road_place import find_place

LEAST_KNOWN = {"lake": 0.85, "jungle": 0.6}


@pytest.fixture(scope="module", params=["lake", "jungle"])
def weaving(request, tmp_path_factory):
    """The rows of an expert who weaves over a road, where he was, and which road."""
    folder = tmp_path_factory.mktemp("weaving") / request.param
    case = Case(request.param, "forward", 2, None, 0.3)
    truth = place_on_road.record_weaving(folder, case, num_rows=240)
    samples = place_on_road.read_rows(folder)
    return samples, truth[samples["line"].to_numpy() - 1], request.param


def test_the_place_on_the_road_is_that_of_the_simulator(weaving):
    samples, truth, track = weaving
    place_m = find_place(samples).place_m
    assert np.isfinite(place_m).mean() > LEAST_KNOWN[track]
    found = place_on_road.judge(place_m, truth)["judged"]
    # In the jungle the road is no plane, which the pictures are taken to show.
    assert found["median"] < 0.15
    assert found["p90"] < {"lake": 0.2, "jungle": 0.8}[track]


def test_half_the_roads_width_is_between_its_lines(weaving):
    samples, _, track = weaving
    half_width_m = {"lake": 3.65, "jungle": 4.5}[track]
    assert find_place(samples).half_width_m == pytest.approx(half_width_m, abs=0.35)


def test_each_camera_alone_finds_the_same_place(weaving, tmp_path):
    samples, _, track = weaving
    if track == "jungle":
        # It begins beside another part of itself, without line or grass between: one
        # camera, which sees one edge of the road there, is off by 0.5 m.
        case = Case(track, "forward", 2, None, 0.3)
        place_on_road.record_weaving(tmp_path / track, case, num_rows=370)
        samples = place_on_road.read_rows(tmp_path / track)
        samples = samples[samples["line"] > 130].reset_index(drop=True)
    apart = place_on_road.compare_cameras(samples)
    for figures in apart.values():
        assert figures["median"] < 0.12, apart


def test_rows_too_many_to_be_held_are_computed_again_to_the_bit(weaving, monkeypatch):
    samples, _, _ = weaving
    place_m = find_place(samples).place_m
    monkeypatch.setattr("recordings.road_place.ROWS_HELD", 50)
    np.testing.assert_array_equal(find_place(samples).place_m, place_m)


@pytest.mark.parametrize("steering", ["straight", "random", "weaving"])
def test_pictures_of_no_road_have_no_place(tmp_path, rng, steering):
    rows = {
        "straight": np.zeros(120),
        "random": rng.uniform(-0.5, 0.5, 120),
        "weaving": 0.3 * np.sin(np.arange(120) / 20),
    }[steering]
    samples = place_on_road.read_rows(write_recording(tmp_path / "noise", rows))
    assert not find_place(samples).known.any()


def test_a_recording_of_others_has_its_place_known_with_each_camera(shared_dir):
    samples = place_on_road.read_rows(shared_dir / "data" / "lake_v2").iloc[:200]
    assert find_place(samples).known.mean() > 0.8
    apart = place_on_road.compare_cameras(samples)
    assert max(figures["median"] for figures in apart.values()) < 0.15
