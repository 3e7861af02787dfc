"""A run trained before the packages were made still loads, drives and is listed.

run_of_before/ was written by the code of that time: the default network with fewer
filters, two short epochs on a recording that the tests make, no pictures.
"""

from pathlib import Path

import numpy as np
import pytest

from driving.pilot import Pilot, SpeedController
from model import make_predictor
from network.files import load_model
from recordings.images import read_frame
from recordings.recording import read_recording
from training.run_folder import read_config
from training.run_list import read_runs
from training.settings import Settings

FOLDER = Path(__file__).parent / "run_of_before"
SAMPLE = Path(__file__).parents[2] / "data" / "sample"
# What the code of before answered for the centre frames of data/sample, in order.
STEERING = (
    *(0.360603, 0.128841, 0.010216, 0.215474, 0.164458, 0.275152, 0.333364, 0.1751),
    *(0.212267, 0.309102, 0.342684, 0.187973, 0.130943, 0.11767, 0.202759, 0.302653),
)


@pytest.fixture(scope="module")
def predict():
    return make_predictor(load_model(FOLDER / "model.json"))


@pytest.fixture(scope="module")
def frames():
    return [read_frame(path) for path in read_recording(SAMPLE).samples["center"]]


def test_old_model_steers_as_it_did(predict, frames):
    # float32 sums in another order on another processor, and the six digits above.
    np.testing.assert_allclose([predict(f) for f in frames], STEERING, atol=1e-4)


def test_old_model_drives(predict, frames):
    pilot = Pilot(predict, SpeedController(15))
    commands = [pilot(frame, 10.0, 0.1) for frame in frames]
    np.testing.assert_allclose([c.steering for c in commands], STEERING, atol=1e-4)
    assert all(command.throttle > 0 for command in commands)


def test_old_settings_are_read_and_those_that_went_are_left_out():
    document = read_config(FOLDER)["settings"]
    assert document["weigh_recordings"] == "equal"
    settings = Settings.from_json(document)
    assert settings.recordings == ("data/sample",)
    assert (settings.seed, settings.epochs, settings.steps_per_epoch) == (1, 2, 12)
    assert settings.augment.flip == document["augment"]["flip"] == 0.5


def test_old_run_is_listed():
    (run,) = read_runs(FOLDER.parent)
    assert (run.name, run.num_epochs, run.recordings) == (
        "run_of_before",
        2,
        ("sample",),
    )
    assert run.changes == {
        "seed": 1,
        "epochs": 2,
        "steps_per_epoch": 12,
        "batch_size": 32,
        "look_ahead_s": 0.9,
    }
    assert run.rmse_deg == pytest.approx(13.3233, abs=1e-4)
