"""The exported copy that train.py leaves beside a model is driven in its place."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import load_predictor, make_predictor, network_of, view_of
from network.conversion import exportable, leave_copy
from network.exported import copies_of, exported_copy
from network.files import BASE_MODEL, load_model, save_model
from recordings.found import SAMPLE
from recordings.images import read_evenly
from recordings.recording import read_recording
from tuning.fine_tuning import keep

# Its own affair: TensorFlow's converter announces its successor.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def frames():
    return read_evenly(read_recording(SAMPLE).samples, 12)


@pytest.fixture(scope="module")
def base():
    return load_model(BASE_MODEL)


def leave(model, frames, json_path):
    network = exportable(view_of(model), network_of(model))
    return leave_copy(network, make_predictor(model), frames, json_path)


@pytest.fixture
def json_path(base, frames, tmp_path):
    path = save_model(base, tmp_path / "run")
    leave(base, frames, path)
    return path


def test_a_copy_steers_as_its_model(base, frames, json_path):
    of_copy, of_model = load_predictor(json_path), make_predictor(base)
    steering = np.array([[of_copy(f)[0], of_model(f)[0]] for f in frames])
    assert np.abs(np.diff(steering)).max() < 2e-3
    assert np.ptp(steering) > 0.01


def test_with_a_copy_tensorflow_is_not_loaded(json_path):
    code = (
        "import sys; from model import load_predictor;"
        f"load_predictor({str(json_path)!r});"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_base_model_comes_with_its_copy():
    weights = BASE_MODEL.with_name("model.weights.h5")
    assert copies_of(BASE_MODEL) == [exported_copy(BASE_MODEL, weights)]


def test_a_copy_of_other_weights_is_never_driven_and_goes(base, frames, json_path):
    (old,) = copies_of(json_path)
    other = load_model(json_path)
    other.get_layer("steering").bias.assign_add([0.5])
    save_model(other, json_path.parent)
    # Beside the new weights it lies still, and must not steer.
    after, before = load_predictor(json_path), make_predictor(base)
    moved = after(frames[0])[0] - before(frames[0])[0]
    assert moved == pytest.approx(0.5, abs=2e-3)
    new = leave(other, frames, json_path)
    assert copies_of(json_path) == [new] and new != old


def test_layers_belong_to_a_copy_as_weights_do(json_path):
    weights = json_path.with_name("model.weights.h5")
    before = exported_copy(json_path, weights)
    config = json.loads(json_path.read_bytes())
    json_path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    assert exported_copy(json_path, weights) != before


@pytest.mark.parametrize("content", [b"", b"TFL3" * 9, b"<html>"])
def test_a_damaged_copy_is_said_and_the_model_driven(
    base, frames, json_path, caplog, content
):
    (copy,) = copies_of(json_path)
    copy.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        predict = load_predictor(json_path)
    assert predict(frames[0]) == make_predictor(base)(frames[0])
    assert copy.name in caplog.text and "drives is" in caplog.text


def test_what_is_kept_of_a_round_has_its_copy(json_path, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "model.0123456789ab.tflite").write_bytes(b"of the weights of before")
    keep(kept, json_path)
    (copy,) = copies_of(kept / "model.json")
    assert copy.read_bytes() == copies_of(json_path)[0].read_bytes()
    weights = kept / "model.weights.h5"
    assert copy == exported_copy(kept / "model.json", weights)


def test_other_files_of_the_folder_are_no_copies(json_path):
    shutil.copy(copies_of(json_path)[0], json_path.with_name("model.tflite"))
    assert len(copies_of(json_path)) == 1
