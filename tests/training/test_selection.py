"""Choosing weights by driving: the measure, and that a run keeps the better driver."""

import numpy as np
import pytest
from made_recordings import write_recording

from common.errors import InputError
from recordings.recording import read_recording, usable_samples
from training.progress import Progress
from training.selection import Driving, DrivingTest
from training.view_cache import ViewCache


def road_view(frames):
    """Stand in for the model's crop and resize, in the same shape."""
    return np.ascontiguousarray(frames[:, 50:116, :200])


@pytest.fixture
def make_test(tmp_path):
    def make(steering, name="a", speed_mph=20.0):
        folder = write_recording(tmp_path / name, steering, speed_mph=speed_mph)
        samples = usable_samples([read_recording(folder)])
        paths = [p for c in ("center", "left", "right") for p in samples[c]]
        return DrivingTest(samples, ViewCache(paths, road_view, "v", tmp_path / "c"))

    return make


def steer(value):
    return lambda views: np.full((len(views), 1), value, np.float32)


def test_who_steers_as_the_road_needs_no_help(make_test):
    test = make_test(np.full(120, 0.2))
    right, straight, wrong = (test(steer(v)) for v in (0.2, 0.1, -0.2))
    assert right.interventions_per_min == 0 and right.rms_m < 1e-3
    assert 0 < straight.interventions_per_min < wrong.interventions_per_min
    assert right.penalty < straight.penalty < wrong.penalty


def test_the_same_network_drives_the_same_twice(make_test):
    test = make_test(0.3 * np.sin(np.arange(120) / 9))
    assert test(steer(0.0)) == test(steer(0.0))


def test_interventions_go_before_the_error():
    assert Driving(0.0, 0.9).penalty < Driving(1.0, 0.1).penalty
    assert Driving(1.0, 0.1).penalty < Driving(1.0, 0.2).penalty


def test_driving_decides_against_the_loss():
    progress = Progress()
    assert progress.add(0.1, 0.05, Driving(2.0, 0.5))
    assert not progress.add(0.1, 0.01, Driving(3.0, 0.5))
    assert progress.kept_epoch == 1
    assert progress.add(0.1, 0.09, Driving(1.0, 0.5))
    assert (progress.best_val_loss, progress.epochs_since_best) == (0.01, 0)
    assert progress.history[1]["interventions_per_min"] == 3.0


def test_no_epoch_is_kept_that_does_not_beat_the_model_before():
    progress = Progress()
    progress.set_bar(0.05)
    assert not progress.add(0.1, 0.06)
    assert progress.kept_epoch == 0
    assert progress.add(0.1, 0.04)
    assert progress.kept_epoch == 2


def test_a_car_that_stands_is_no_test(make_test):
    with pytest.raises(InputError, match="the car stands in all that is held out"):
        make_test(np.zeros(20), speed_mph=0.0)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="expected 0 or more"):
        Driving(-1.0, 0.0)
