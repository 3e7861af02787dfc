"""The table of other people's models: what steers, what is skipped, where they fail."""

import json

import numpy as np
import peer_models
import pytest

from evaluation.closed_loop import Job, drive
from model import build_model
from network.files import save_model
from simulator.tracks import make_track


def test_where_the_models_of_others_are_absent_it_says_so(tmp_path, capsys):
    absent = tmp_path / "nowhere"
    assert peer_models.main(["--peers", str(absent), "--track", "lake"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{absent / 'peer_models.py'}: no such file")
    assert json.loads(said[-1]) == []


@pytest.mark.slow
def test_a_model_of_ours_gets_a_line_for_each_drive(tmp_path, capsys):
    model = str(save_model(build_model(), tmp_path / "m"))
    arguments = [model, "--peers", str(tmp_path), "--most-s", "2", "--seed", "0", "4"]
    assert peer_models.main(arguments) == 0
    lines = json.loads(capsys.readouterr().out.splitlines()[-1])
    drives = {(each["road"], each["speed_mph"], each["seed"]) for each in lines}
    assert len(drives) == len(lines) == 2 * (2 + 1) * 2
    assert ("jungle reverse", 10.0, 4) in drives


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_stations_and_places_are_the_roads_own(direction):
    seen = []
    job = Job("straight on", "jungle", direction, most_s=30, speed_mph=10)
    result = drive(job, lambda now, _: seen.append(now), predict=lambda frame: 0.0)
    line = peer_models.describe(job, result)
    track = make_track("jungle")
    left = [seen[each.index].station_m for each in result.rollout.interventions]
    assert line.interventions == len(left) >= 2
    # A frame at 10 mph is 0.3 m long.
    apart_m = (np.array(line.stations_m) - left) % track.length_m
    assert np.minimum(apart_m, track.length_m - apart_m).max() < 1.5
    place_m = [now.cross_track_error_m for now in seen]
    assert line.middle_m == pytest.approx(np.mean(place_m), abs=0.01)
    assert line.lane_error_m == pytest.approx(
        np.mean(np.abs(np.array(place_m) - 2.4)), abs=0.01
    )


@pytest.mark.slow
def test_the_models_of_others_drive_the_embedded_lake(shared_dir):
    if not (shared_dir / "peer_models").is_dir():
        pytest.skip("needs the models of other people in ../shared/peer_models")
    for name, predict in peer_models.predictors([], shared_dir / "peer_models"):
        job = Job(name, "lake", speed_mph=15, most_s=25)
        assert peer_models.describe(job, drive(job, predict=predict)).interventions == 0
