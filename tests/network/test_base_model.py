"""The model that comes with the project: it drives, and nothing of anybody is in it."""

import json

import pytest

import evaluate
from network.files import BASE_MODEL

pytest.importorskip("keras")
from evaluation.closed_loop import Job, drive


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_base_model_laps_the_lake_near_its_middle(direction):
    job = Job(str(BASE_MODEL), "lake", direction=direction, speed_mph=25.0)
    result = drive(job)
    assert result.laps == 1
    assert (result.off_road, result.collisions, result.stuck) == (0, 0, 0)
    # Measured: 0.15 m; between the car and the edge of the road there are 4 m.
    assert result.rollout.measures()["mean_abs_cross_track_error_m"] < 0.5


@pytest.mark.slow
def test_base_model_stays_on_a_road_that_it_has_never_seen(shared_dir, capsys):
    """Another simulator, another person; where on the road it is, pictures tell."""
    for name in ("lake", "lake_v2"):
        recording = str(shared_dir / "data" / name)
        argv = [str(BASE_MODEL), "--recording", recording, "--part", "0", "0.2"]
        assert evaluate.main([*argv, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["recordings"][name]
        (figures,) = found.values()
        place = figures["road"]
        assert place["known_percent"] > 80
        assert place["beyond_2_m"]["times"] == place["off_road"]["times"] == 0


def test_its_files_name_no_path_of_a_machine():
    folder = BASE_MODEL.parent
    assert {"model.json", "model.weights.h5", "card.md"} <= {
        path.name for path in folder.iterdir()
    }
    for path in folder.iterdir():
        for word in (b"/tmp/", b"/work/", b"/home/", b"/root/"):
            assert word not in path.read_bytes(), (path.name, word)
    json.loads(BASE_MODEL.read_text())
