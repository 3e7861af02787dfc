"""The benchmark: what it is made of, what a score says, and that it never varies."""

import hashlib
import json
import math
import re
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from evaluation import benchmark
from evaluation.benchmark import ROADS, Lap, Road, interval, judge, laps_of, score_of
from evaluation.closed_loop import LoopResult, variant_of
from evaluation.rollout import Intervention, Rollout
from simulator.tracks import track_names
from simulator.world import World

ROOT = Path(__file__).resolve().parents[2]
# Of layouts, widths, looks and cameras of version 2, rounded to what can be seen.
ROADS_OF_VERSION = (2, "6206cb26d07889c4")
# Brightness and contrast, of 255, of the upper and the lower half of the first frame.
LOOKS_OF_VERSION: dict[str, list[float]] = {
    "jungle forward": [65.1, 45.0, 134.5, 37.8],
    "lake forward": [126.8, 53.6, 121.0, 34.2],
    "mountain forward": [104.1, 49.3, 136.3, 25.3],
    "random:3000 forward": [156.7, 40.5, 120.6, 30.8],
}
SHORT = Road("random:3015", "short", randomise=0.5)


@pytest.fixture(scope="module")
def laps():
    return laps_of(ROADS)


@pytest.fixture(scope="module")
def lake():
    (lap,) = laps_of([Road("lake", "lake")])
    return lap


def driven(lap, *, at_m, interventions=0, laps=0, error_m=0.0):
    """Return the result of a drive of ten frames that came so far."""
    zero = np.zeros(10)
    rollout = Rollout(
        "x", "lake", time_s=zero, distance_m=np.linspace(0, at_m, 10), x_m=zero,
        y_m=zero, cross_track_error_m=np.broadcast_to(error_m, 10) + zero,
        heading_error_rad=zero, steering=zero, reference_steering=zero, speed_mps=zero,
        interventions=(Intervention(3, "off the road"),) * interventions, dt_s=zero,
    )  # fmt: skip
    counts = {"off_road": interventions, "collisions": 0, "stuck": 0}
    return LoopResult(rollout, laps, (), (), excursions={}, **counts)


def test_a_lap_without_help_scores_100(lake):
    assert lake.figures(driven(lake, at_m=1130, laps=1))["score"] == 100


def test_a_score_is_the_chance_to_drive_a_kilometre_alone():
    assert score_of(0, 1500.0, 1.0) == 100
    assert score_of(1, 1000.0, 1.0) == pytest.approx(100 / math.e)
    # Twice as long a road with twice as many interventions is no worse and no better.
    assert score_of(2, 2000.0, 1.0) == pytest.approx(100 / math.e)
    # So many were counted on half of the road, and the other half was not driven.
    assert score_of(1, 2000.0, 0.5) == pytest.approx(50 / math.e)
    assert score_of(0, 2000.0, 0.0) == 0


def test_one_intervention_is_seen_in_the_score_of_the_road(lake):
    one = lake.figures(driven(lake, at_m=1130, laps=1, interventions=1))
    assert one["score"] == pytest.approx(100 * math.exp(-1000 / lake.track.length_m), 1)


def test_what_was_not_reached_counts_as_not_driven(lake):
    half = lake.figures(driven(lake, at_m=lake.track.length_m / 2))
    assert half["score"] == 50 and half["reached_m"] < half["length_m"]
    assert lake.figures(driven(lake, at_m=-9, interventions=2))["score"] == 0


def test_a_drive_is_given_up_when_hardly_anything_is_left_of_its_score(lake):
    most = lake.job("zero").most_interventions
    # Even if it came to the end of the road without any other.
    last = lake.figures(driven(lake, at_m=1e4, laps=1, interventions=most))
    assert 0 <= last["score"] <= 0.04
    by_road = judged("zero", [Road("lake", "lake")])["by_road"]
    way = by_road["lake"]["ways"]["forward"]
    assert way["interventions"] == most and way["score"] == 0
    assert way["reached_m"] < way["length_m"]


def test_who_drives_in_the_wrong_lane_shows_it_beside_the_score():
    (lap,) = laps_of([Road("jungle", "jungle")])
    lane_m = lap.track.lane_offsets_m[0]
    left = lap.figures(driven(lap, at_m=1e4, laps=1, error_m=-2 * lane_m))
    assert left["score"] == 100 and left["own_half_percent"] == 0
    assert left["from_lane_m"] == pytest.approx(2 * lane_m, abs=1e-3)
    assert left["from_middle_m"] == pytest.approx(lane_m, abs=1e-3)


def test_who_weaves_shows_it_beside_the_score(lake):
    weaving = lake.figures(driven(lake, at_m=1e4, laps=1, error_m=[1.5, -1.5] * 5))
    assert weaving["score"] == 100 and weaving["spread_m"] == 1.5
    assert weaving["own_half_percent"] is None  # the lake has no lanes


def judged(driver, roads, workers=1):
    document, _ = judge([driver], workers, roads)
    return document["benchmark"]["drivers"][driver]


def test_the_bounds_stand_at_both_ends():
    roads = [Road("lake", "lake", ("forward", "reverse")), SHORT]
    expert, zero = judged("expert", roads), judged("zero", roads)
    assert expert["score"] == expert["low"] == expert["high"] == 100
    assert (expert["roads_alone"], expert["roads"]) == (2, 2)
    assert expert["from_lane_m"] < 0.3 and zero["score"] < 30
    assert list(expert["by_road"]["lake"]["ways"]) == ["forward", "reverse"]


def test_a_road_that_is_driven_both_ways_counts_once():
    roads = [Road("lake", "lake", ("forward", "reverse")), SHORT]
    said = judged("zero", roads)
    lake, short = (road["score"] for road in said["by_road"].values())
    ways = said["by_road"]["lake"]["ways"].values()
    assert lake == pytest.approx(sum(way["score"] for way in ways) / 2, abs=0.01)
    assert said["score"] == pytest.approx((lake + short) / 2, abs=0.01)


@pytest.mark.slow
def test_a_model_scores_the_same_with_one_worker_as_with_two(saved):
    path = str(saved[1] / "model.json")
    roads = [SHORT, replace(SHORT, track="random:3013", randomise=1.0)]
    one, two = (judge([path], workers, roads) for workers in (1, 2))
    assert json.dumps(one[0]) == json.dumps(two[0])
    for a, b in zip(one[1], two[1], strict=True):
        np.testing.assert_array_equal(a.steering, b.steering)
        assert len(a.steering) > 100


def test_the_interval_holds_the_mean_and_is_the_same_every_time():
    scores = np.array([100.0] * 20 + [60.0, 20.0, 0.0])
    low, high = interval(scores)
    assert low < scores.mean() < high <= 100
    assert interval(scores) == (low, high)
    # Of the mean of 23 roads so spread the normal approximation says the same.
    assert high - low == pytest.approx(2 * 1.96 * scores.std() / 23**0.5, rel=0.1)
    assert interval(np.full(23, 80.0)) == (80, 80)


def test_it_is_lake_jungle_and_mountain_both_ways_and_twenty_random_roads(laps):
    both = {road.track for road in ROADS if len(road.ways) == 2}
    assert both == {"lake", "jungle", "mountain"}
    strengths = [road.randomise for road in ROADS if road.track not in both]
    assert strengths == [1.0] * 10 + [0.5] * 10
    assert (len(ROADS), len(laps)) == (23, 26)


def test_a_road_is_the_one_that_evaluate_drives_under_its_name():
    import evaluate

    command = "zero --track random:3004 --randomise 1 --speed 20".split()
    (theirs,) = evaluate.jobs_of(evaluate.parse_args(command))
    ours = next(road for road in ROADS if road.track == "random:3004")
    assert ours.job("zero", "forward") == theirs


def recipes():
    """Return the files in which a recipe of the project can stand."""
    texts = [*ROOT.glob("*.py"), *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    texts += [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("models/*/*.md")]
    return [*texts, ROOT / "Makefile"]


def roads_named(text):
    """Return the random roads that a text names, alone or in a range."""
    return set(track_names(re.findall(r"random:\d+(?:-\d+)?", text)))


def test_no_recipe_of_the_project_has_a_road_of_the_benchmark():
    ours = {road.track for road in ROADS}
    theirs = {name: roads_named(name.read_text("utf-8")) for name in recipes()}
    assert {name: roads & ours for name, roads in theirs.items() if roads & ours} == {}
    # The recipe of the base model is seen, so another would be.
    assert "random:1000" in theirs[ROOT / "Makefile"]
    assert roads_named("record random:2990-3100 --out x") & ours


def rounded(value):
    """Return a document with its numbers rounded to six digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def fingerprint(laps):
    """Return a hash of all that a lap is drawn from."""
    content = []
    for lap in laps:
        job = lap.job("expert")
        points = np.round(lap.track.points, 2).tolist()
        about = asdict(replace(job, most_s=round(job.most_s, 2)))
        assert about.pop("sideways_mps2") is None  # One speed is held, as ever.
        lane_m = [lap.track.half_width_m, *lap.track.lane_offsets_m]
        bridge_m = [lap.track.start_m, *(lap.track.bridge_m or ())]
        settings = asdict(variant_of(job).settings)
        content.append([points, about, lane_m, bridge_m, settings])
    text = json.dumps(rounded(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_version_is_the_same_roads_for_ever(laps):
    """Red: give evaluation/benchmark.py another VERSION, and write it here.

    Scores of the version before compare with none of the new one: measure what
    docs/results.md and the cards in models/ publish anew.
    """
    assert (benchmark.VERSION, fingerprint(laps)) == ROADS_OF_VERSION


def seen_at_the_start(lap):
    """Return brightness and contrast of the upper and the lower half of a frame."""
    settings = variant_of(lap.job("expert")).settings
    with closing(World(lap.track, settings=settings)) as world:
        frame = world.reset().frames["center"].astype(float)
    return [f(half) for half in (frame[:80], frame[80:]) for f in (np.mean, np.std)]


@pytest.mark.parametrize("name", sorted(LOOKS_OF_VERSION))
def test_a_version_looks_the_same_for_ever(laps, name):
    """Red: as above. Half a grey level is more than two renderers differ by."""
    lap = next(lap for lap in laps if f"{lap.road.track} {lap.way}" == name)
    assert seen_at_the_start(lap) == pytest.approx(LOOKS_OF_VERSION[name], abs=0.5)


def test_another_road_would_be_another_version(laps):
    first, *rest = laps
    wider = replace(first.track, half_width_m=first.track.half_width_m + 0.1)
    assert fingerprint([Lap(first.road, first.way, wider), *rest]) != fingerprint(laps)
