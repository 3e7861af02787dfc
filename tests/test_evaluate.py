"""The command line of evaluate.py: figures, table, refusals."""

import json

import numpy as np
import pytest

import evaluate
from model import build_model, save_model


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return str(save_model(build_model(), tmp_path_factory.mktemp("model")))


def run(capsys, *arguments):
    code = evaluate.main([str(each) for each in arguments])
    return code, *capsys.readouterr()


def test_bounds_of_the_real_lake(shared_dir, capsys):
    lake = shared_dir / "data" / "lake"
    code, out, _ = run(capsys, "zero", "oracle", "--recording", lake, "--json")
    said = json.loads(out)["recordings"]["lake"]
    assert code == 0
    assert said["zero"]["at_1_m"]["autonomy_percent"] == 0
    assert said["oracle"]["at_1_m"]["autonomy_percent"] == 100
    rms_m = said["oracle"]["at_1_m"]["rms_cross_track_error_m"]
    assert rms_m == pytest.approx(0.16, abs=0.02)
    assert said["oracle"]["steering_rmse"]["averaged_1_s"] == pytest.approx(0, abs=1e-3)


def test_a_model_beside_a_baseline_on_a_recording(tiny_recording, model_path, capsys):
    code, out, _ = run(capsys, model_path, "zero", "--recording", tiny_recording)
    assert code == 0
    head, columns, *rows = out.strip().splitlines()
    assert head.startswith("tiny: replayed")
    assert "driver" in columns and "RMS m" in columns
    assert len(rows) == 2 and "model.json" in rows[0] and "zero" in rows[1]


def test_on_its_path_a_replayed_model_steers_as_when_it_drives(
    tiny_recording, model_path
):
    """Training, driving and evaluation see the same: one network, one crop."""
    from dataset import read_frame
    from model import load_model, make_predictor
    from replay import frames_from_disk, model_driver, read_path

    (samples,) = evaluate.read_recordings([tiny_recording])
    path = read_path(samples)
    drive = model_driver(
        path, evaluate.load_predictor(model_path), frames_from_disk(path)
    )
    predict = make_predictor(load_model(model_path))
    for row in (0, 20, 59):
        expected = predict(read_frame(samples["center"][row]))
        steering = drive(np.array([row]), np.zeros(1), np.zeros(1))
        assert steering == pytest.approx(min(1, max(-1, expected)), abs=1e-4)


def test_tracks_are_driven_by_everybody(capsys):
    code, out, _ = run(capsys, "zero", "expert", "--track", "lake", "--workers", 2)
    assert code == 0
    assert "lake forward: driven in the simulator" in out
    zero, expert = out.strip().splitlines()[-2:]
    assert "100.0%" in expert and "100.0%" not in zero


def test_a_range_of_random_tracks_is_spelt_out():
    names = evaluate._track_names(["lake", "random:3-5", "random:9"])
    assert names == ["lake", "random:3", "random:4", "random:5", "random:9"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["zero"], "nothing to drive"),
        (["nowhere.json", "--track", "lake"], "nowhere.json: no such file"),
        (["expert", "--recording", "data/sample"], "on recordings give oracle"),
        (["oracle", "--track", "lake"], "on tracks give expert"),
        (["oracle:x", "--recording", "data/sample"], "expected oracle:SECONDS"),
        (["zero", "--track", "monza"], "--track monza"),
        (["zero", "--track", "lake", "--speed", "80"], "--speed is 80"),
        (["zero", "--track", "lake", "--laps", "0"], "1 or more"),
        (["zero", "--recording", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(capsys, arguments, text):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert text in err and len(err.strip().splitlines()) == 1
