"""A model is taught the bend alone, and steers as before, to the bit."""

import json

import numpy as np
import pytest
from made_recordings import write_recording

import train
from common.errors import InputError
from network.files import BASE_MODEL, check_json, has_bend, load_model
from training.settings import Settings

ROWS = 400


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """40 s at a speed at which most rows have a bend."""
    folder = tmp_path_factory.mktemp("recordings") / "winding"
    return write_recording(folder, 0.8 * np.sin(np.arange(ROWS) / 15))


@pytest.fixture(scope="module")
def kept(recording, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    words = f"{recording} --name kept --models-dir {models} --keep-steering --epochs 2"
    assert train.main([*words.split(), "--steps-per-epoch", "8"]) == 0
    return models / "kept"


def test_it_steers_as_before_and_has_learnt_a_bend(kept):
    before, after = load_model(BASE_MODEL), load_model(kept / "model.json")
    frames = np.random.default_rng(1).integers(0, 256, (8, 160, 320, 3), np.uint8)
    steering, bend = after.predict_on_batch(frames).T
    np.testing.assert_array_equal(steering, before.predict_on_batch(frames)[:, 0])
    assert has_bend(after) and np.ptp(bend) > 0
    for layer in before.layers:
        if layer.name.startswith("bend"):
            continue
        weights = after.get_layer(layer.name).get_weights()
        for was, now in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(was, now)


def test_its_weights_are_chosen_by_the_bend(kept):
    metrics = json.loads((kept / "metrics.json").read_bytes())
    assert metrics["kept_epoch"] > 0
    (scores,) = metrics["validation"].values()
    # Of the 80 rows held out; the square of the RMSE in full locks.
    assert metrics["best_val_loss"] < 0.1 and scores["bend"]["samples"] > 0
    layers = check_json(kept / "model.json")["config"]["layers"]
    assert "bend" in {layer["name"] for layer in layers}
    # What was held fast is trained on again, where one begins from it.
    assert '"trainable": false' not in (kept / "model.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "--from a model"),
        ({"from_model": "base", "bend_weight": 0.0}, "--bend-weight above 0"),
        ({"from_model": "base", "select": "driving"}, "--select loss"),
    ],
)
def test_what_does_not_go_with_it_is_refused(given, expected):
    with pytest.raises(InputError, match=f"--keep-steering: expected {expected}"):
        Settings((), keep_steering=True, **given)


def test_without_any_known_bend_there_is_nothing_to_teach(tmp_path, capsys):
    slow = write_recording(tmp_path / "slow", np.zeros(300), speed_mph=0.0)
    words = f"{slow} --models-dir {tmp_path} --name none --keep-steering --epochs 1"
    assert train.main(words.split()) == 1
    assert "no recording tells of a bend" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none").exists()
