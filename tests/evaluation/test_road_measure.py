"""The place on the road as a measure: figures of a car and of who was recorded."""

import numpy as np
import place_on_road
import pytest
from made_recordings import write_recording
from place_on_road import Case

from common.errors import InputError
from evaluation.judging import judge_recordings, read_recordings
from evaluation.replay import read_path
from evaluation.road_measure import middle_driver, road_figures
from evaluation.rollout import Intervention, Rollout
from recordings.road_place import RoadPlace

HALF_WIDTH_M = 3.6


def drive(place_m, recorded_m, interventions=()):
    """Return a rollout of 0.1 s a frame with these places on the road."""
    place_m, recorded_m = (np.asarray(v, float) for v in (place_m, recorded_m))
    arrays = dict.fromkeys(
        "x_m y_m heading_error_rad steering reference_steering".split(),
        np.zeros(len(place_m)),
    )
    time_s = np.arange(len(place_m)) * 0.1
    return Rollout(
        "a",
        "b",
        time_s=time_s,
        distance_m=10 * time_s,
        cross_track_error_m=place_m - recorded_m,
        speed_mps=np.full(len(place_m), 10.0),
        interventions=tuple(Intervention(i, "2 m off") for i in interventions),
        dt_s=np.full(len(place_m), 0.1),
        place_m=place_m,
        **arrays,
    )


def test_the_mean_and_spread_are_of_the_place_and_not_of_the_error():
    weaving_m = np.tile([-1.5, 1.5], 50)
    figures = road_figures(drive(np.full(100, 0.2), weaving_m), HALF_WIDTH_M)
    assert (figures["mean_m"], figures["spread_m"]) == (0.2, 0.0)
    assert figures["largest_m"] == 0.2
    assert figures["recorded_driver"]["spread_m"] == 1.5


def test_a_moment_whose_place_is_not_known_counts_in_no_figure():
    place_m = np.where(np.arange(100) < 50, 0.5, np.nan)
    figures = road_figures(drive(place_m, place_m, [70]), HALF_WIDTH_M)
    assert figures["known_percent"] == 50
    assert figures["mean_m"] == 0.5
    assert figures["interventions"]["known"] == 0


def test_where_no_place_is_known_there_are_no_figures():
    nothing = np.full(20, np.nan)
    figures = road_figures(drive(nothing, nothing), HALF_WIDTH_M)
    assert figures["known_percent"] == 0
    assert figures["mean_m"] is figures["largest_m"] is None
    assert figures["beyond_2_m"]["times"] == 0


def test_a_departure_counts_once_until_the_car_is_back_inside():
    place_m = np.zeros(100)
    place_m[10:30] = 2.3
    place_m[30:40] = 1.8  # not yet back
    place_m[40:50] = 2.3
    place_m[70:80] = 4.0
    figures = road_figures(drive(place_m, np.zeros(100)), HALF_WIDTH_M)
    assert figures["beyond_2_m"]["times"] == 2
    assert figures["beyond_2_m"]["seconds"] == pytest.approx(4.0)
    assert figures["off_road"]["times"] == 1
    assert figures["off_road"]["seconds"] == pytest.approx(1.0)


def test_who_keeps_to_one_half_leaves_it_over_the_middle():
    recorded_m = np.full(100, 2.0)
    place_m = recorded_m.copy()
    place_m[20:30] = -0.4
    figures = road_figures(drive(place_m, recorded_m), HALF_WIDTH_M)
    assert figures["over_half"]["times"] == 1
    assert figures["recorded_driver"]["over_half"]["times"] == 0
    # The same to the left of the road.
    left = road_figures(drive(-place_m, -recorded_m), HALF_WIDTH_M)
    assert left["over_half"] == figures["over_half"]


def test_who_drives_in_the_middle_has_no_half():
    figures = road_figures(drive(np.zeros(10), np.zeros(10)), HALF_WIDTH_M)
    assert "over_half" not in figures


def test_an_intervention_near_the_middle_is_told_apart():
    place_m, recorded_m = np.zeros(400), np.zeros(400)
    place_m[[100, 300]] = 0.3, 2.4
    recorded_m[[100, 300]] = 2.4, 0.3
    figures = road_figures(drive(place_m, recorded_m, [100, 300]), HALF_WIDTH_M)
    said = {"known": 2, "near_middle": 1, "after_put_back": 0}
    assert figures["interventions"] == said


@pytest.mark.parametrize(("path_m", "listed"), [(1.4, 1), (0.2, 0)])
def test_being_put_back_near_the_edge_is_listed_and_not_counted(path_m, listed):
    recorded_m = np.full(200, path_m)
    place_m = recorded_m.copy()
    place_m[60:70] = 2.5  # within six seconds after being put back
    place_m[150:160] = 2.5  # long after
    figures = road_figures(drive(place_m, recorded_m, [50, 65]), HALF_WIDTH_M)
    beyond = figures["beyond_2_m"]
    assert beyond["after_put_back"] == listed + (listed > 0)
    assert figures["interventions"]["after_put_back"] == listed
    # Put back in frame 65, it is out a second time.
    assert beyond["times"] == 3 - beyond["after_put_back"]


def test_who_does_not_come_back_from_the_edge_is_counted_in_the_end():
    recorded_m, place_m = np.full(200, 1.4), np.full(200, 2.5)
    place_m[:51] = 1.4
    figures = road_figures(drive(place_m, recorded_m, [50]), HALF_WIDTH_M)
    beyond = figures["beyond_2_m"]
    assert (beyond["times"], beyond["after_put_back"]) == (1, 1)
    assert beyond["seconds"] == pytest.approx(20 - 5.1 - 6.0, abs=0.2)


@pytest.fixture(scope="module")
def weaving(tmp_path_factory):
    """A recording of an expert who weaves along the lake."""
    folder = tmp_path_factory.mktemp("weaving") / "lake"
    case = Case("lake", "forward", 3, None, 0.0)
    place_on_road.record_weaving(folder, case, num_rows=300, most_aside_m=1.5)
    return folder


def test_the_perfect_line_is_the_roads_middle(weaving):
    figures, rollouts = judge_recordings(["middle"], {}, read_recordings([weaving]))
    road = figures["lake"]["middle"]["road"]
    assert road["known_percent"] > 80
    assert abs(road["mean_m"]) < 0.1 and road["spread_m"] < 0.2
    assert road["recorded_driver"]["spread_m"] > 3 * road["spread_m"]
    # The old measure holds it to the weaving driver.
    assert figures["lake"]["middle"]["at_1_m"]["interventions"] > 0
    assert all(rollout.place_m is not None for rollout in rollouts)


def test_who_follows_the_path_is_where_the_recorded_driver_was(weaving):
    figures, _ = judge_recordings(["oracle:0.5"], {}, read_recordings([weaving]))
    road = figures["lake"]["oracle:0.5"]["road"]
    recorded = road["recorded_driver"]
    assert road["mean_m"] == pytest.approx(recorded["mean_m"], abs=0.15)
    assert road["spread_m"] == pytest.approx(recorded["spread_m"], abs=0.3)


def test_without_a_road_nobody_drives_in_its_middle(tmp_path):
    (samples,) = read_recordings([write_recording(tmp_path / "bars", np.zeros(50))])
    nowhere = RoadPlace(np.full(len(samples), np.nan), HALF_WIDTH_M)
    with pytest.raises(InputError, match="bars: the place on the road is not known"):
        middle_driver(read_path(samples), nowhere)
