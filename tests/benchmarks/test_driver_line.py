"""Where a recorded driver was on the road, and what keeping a line can score."""

import json

import driver_line
import numpy as np
import pytest

from recordings.recording import read_recording, usable_samples
from simulator.expert import Expert, SteeringNoise
from simulator.recorder import CAMERAS, Recorder, record_expert
from simulator.tracks import make_track
from simulator.world import World

DT_S = np.full(400, 0.1)


@pytest.fixture(scope="module")
def right_of_the_middle(tmp_path_factory):
    """A recording of an expert who keeps 0.6 m to the right."""
    folder = tmp_path_factory.mktemp("lake") / "right"
    world = World(make_track("lake"), cameras=CAMERAS)
    expert = Expert(world.track, lane_offset_m=0.6, speed_mph=20)
    noise = SteeringNoise(np.random.default_rng(0), 0.0)
    with Recorder(folder) as recorder:
        record_expert(recorder, world, expert, noise, num_rows=300)
    world.close()
    return folder


def test_place_on_the_road_is_that_of_the_simulator(right_of_the_middle):
    # The road begins with a bend, in which the place is less sure.
    samples = usable_samples([read_recording(right_of_the_middle)]).iloc[100:]
    samples = samples.reset_index(drop=True)
    place_m = driver_line.driver_place_m(samples)
    assert np.isfinite(place_m).mean() > 0.5
    assert np.nanmedian(place_m) == pytest.approx(0.6, abs=0.2)


def test_the_likeliest_sequence_does_not_jump():
    scores = np.zeros((50, 100))
    scores[np.arange(50), 20 + np.arange(50) // 2] = 5
    scores[25] = 0
    scores[25, 90] = 9
    places = driver_line.likeliest_places(scores)
    assert np.abs(places - (20 + np.arange(50) // 2)).max() <= 1


def test_a_line_keeper_is_off_by_the_wandering_of_the_driver():
    slow = np.sin(np.arange(400) / 40)
    count, rms_m = driver_line.keep_line(0.5 * slow, DT_S, 0.0, 1.0)
    assert count == 0 and rms_m == pytest.approx(0.5 * np.std(slow), abs=0.05)
    assert driver_line.keep_line(1.5 * slow, DT_S, 0.0, 1.0)[0] >= 3
    unknown = np.where(np.abs(slow) > 0.6, np.nan, 1.5 * slow)
    assert driver_line.keep_line(unknown, DT_S, 0.0, 1.0)[0] == 0
    # Who keeps to another place is off by it.
    assert driver_line.keep_line(np.zeros(400), DT_S, 0.8, 1.0) == (
        0,
        pytest.approx(0.8, abs=0.02),
    )


def test_figures_come_as_json(right_of_the_middle, tmp_path, capsys):
    arguments = ["--recording", str(right_of_the_middle), "--part", "0.35", "1"]
    assert driver_line.main([*arguments, "--plot", str(tmp_path / "line.png")]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["mean_m"] == pytest.approx(0.6, abs=0.2)
    assert figures["keeps_0_m_limit_2_m"]["interventions"] == 0
    assert (tmp_path / "line.png").stat().st_size > 5_000
