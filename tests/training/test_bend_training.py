"""Training steering and bend together: what is taught, weighed, begun with and kept."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from made_recordings import write_recording
from training_sets import road_view, settings

from common.car import MOST_CURVATURE_PER_M
from model import build_model, network_of, with_bend, without_bend
from network.files import has_bend, save_model
from recordings.bends import bends_ahead
from recordings.recording import read_recording, usable_samples
from training.batches import Batches
from training.epochs import partly_of, start_of, with_habits
from training.figures import score_bend
from training.losses import both_errors, steering_error
from training.preparation import read_split, starting_model
from training.samples import make_labels, make_training_set
from training.view_cache import ViewCache


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """300 rows, 30 s, at a speed at which most of them have a bend."""
    folder = tmp_path_factory.mktemp("recordings") / "winding"
    return write_recording(folder, 0.8 * np.sin(np.arange(300) / 15))


@pytest.fixture(scope="module")
def bend_set(recording, tmp_path_factory):
    samples = usable_samples([read_recording(recording)])
    paths = [p for camera in ("center", "left", "right") for p in samples[camera] if p]
    cache = ViewCache(paths, road_view, "road", tmp_path_factory.mktemp("cache"))
    labels = make_labels(samples, 0.2, 0.5)
    np.testing.assert_array_equal(labels.bend, bends_ahead(samples))
    return make_training_set(samples, labels.trained, cache, "off", bend=labels.bend)


# --- What is taught -------------------------------------------------------------------


@pytest.mark.parametrize("recovery", ["reproject", "shift"])
def test_moved_and_mirrored_frames_are_taught_the_bend_of_their_road(
    bend_set, recovery
):
    chosen = settings(recovery=recovery, augment=replace(settings().augment, flip=0.5))
    batches = Batches(bend_set, chosen, 0, 8)
    mirrored = []
    for batch in range(8):
        (_, habit), taught = batches[batch]
        assert taught.shape == (16, 2) and taught.dtype == np.float32
        rows = batches.rows_of(batch)
        np.testing.assert_array_equal(taught[:, 1], bend_set.bend[rows])
        mirrored += (habit[:, 0] != 0).tolist()
    assert 0 < sum(mirrored) < len(mirrored)


def test_the_steering_taught_is_the_same_with_and_without_a_bend(bend_set):
    alone = Batches(replace(bend_set, bend=None), settings(), 0, 4)[2]
    both = Batches(bend_set, settings(), 0, 4)[2]
    np.testing.assert_array_equal(alone[0][0], both[0][0])
    np.testing.assert_array_equal(alone[1][:, 0], both[1][:, 0])


def test_a_bend_of_full_lock_weighs_as_full_lock_and_an_unknown_one_not_at_all():
    taught = np.array([[0.5, 0.0], [0.5, np.nan]], np.float32)
    answered = np.array([[0.2, MOST_CURVATURE_PER_M], [0.2, 7.0]], np.float32)
    errors = both_errors(0.3)(taught, answered)
    np.testing.assert_allclose(errors, [0.09 + 0.3, 0.09], rtol=1e-5)
    np.testing.assert_allclose(steering_error(taught, answered), 0.09, rtol=1e-5)
    alone = both_errors(0.3)(taught[:, :1], answered[:, :1])
    np.testing.assert_allclose(alone, [0.09, 0.09], rtol=1e-5)


def test_unknown_bends_leave_weights_finite_and_the_bend_as_it_was():
    network = with_bend(build_model(dropout=0.0))
    before = network.get_layer("bend").get_weights()
    network.compile(optimizer=keras.optimizers.SGD(0.1), loss=both_errors(0.3))
    frames = np.random.default_rng(0).integers(0, 256, (4, 160, 320, 3), np.uint8)
    taught = np.full((4, 2), np.nan, np.float32)
    taught[:, 0] = 0.1
    network.train_on_batch(frames, taught)
    for was, now in zip(before, network.get_layer("bend").get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    assert all(np.isfinite(each).all() for each in network.get_weights())


def test_a_drivers_habit_is_none_of_the_bend():
    network = network_of(with_bend(build_model()))
    trained = with_habits(network, 2)
    trained.get_layer("habit").set_weights([np.array([[2.0], [3.0]], np.float32)])
    views = np.random.default_rng(0).integers(0, 256, (2, 66, 200, 3), np.uint8)
    plain = network.predict_on_batch(views)
    habit = np.array([[0.1, 0.0], [0.0, 0.2]], np.float32)
    found = trained.predict_on_batch((views, habit))
    np.testing.assert_allclose(found[:, 0] - plain[:, 0], [0.2, 0.6], atol=1e-5)
    np.testing.assert_array_equal(found[:, 1], plain[:, 1])


# --- What a run begins with -----------------------------------------------------------


def begun(recording, **changes):
    said = []
    chosen = settings(recordings=(str(recording),), **changes)
    return starting_model(chosen, read_split(chosen), said.append), said


def test_a_model_of_one_output_gets_a_bend_and_steers_the_same(recording, tmp_path):
    one = build_model()
    path = save_model(one, tmp_path / "one")
    model, said = begun(recording, from_model=str(path))
    frames = np.random.default_rng(1).integers(0, 256, (2, 160, 320, 3), np.uint8)
    steering, bend = model.predict_on_batch(frames).T
    np.testing.assert_array_equal(steering, one.predict_on_batch(frames)[:, 0])
    np.testing.assert_array_equal(bend, 0)
    assert has_bend(model) and said == []


def test_what_a_new_network_steers_at_first_is_the_same_with_a_bend(recording):
    frames = np.random.default_rng(1).integers(0, 256, (2, 160, 320, 3), np.uint8)
    both, _ = begun(recording)
    alone, _ = begun(recording, bend_weight=0.0)
    assert has_bend(both) and not has_bend(alone)
    np.testing.assert_array_equal(
        both.predict_on_batch(frames)[:, :1], alone.predict_on_batch(frames)
    )


def test_without_weight_or_without_speed_the_steering_alone_is_left(
    recording, tmp_path
):
    path = str(save_model(with_bend(build_model()), tmp_path / "two"))
    model, said = begun(recording, from_model=path, bend_weight=0.0)
    assert not has_bend(model) and said == []
    slow = write_recording(tmp_path / "slow", np.zeros(200), speed_mph=0.0)
    model, (line,) = begun(slow, from_model=path)
    assert not has_bend(model)
    assert " ".join(line.split()) == (
        "slow: no bend is known, for want of speed or of rows in a row; the steering "
        "alone is taught"
    )


def test_without_bend_is_what_with_bend_was_made_of():
    one = build_model()
    frames = np.random.default_rng(2).integers(0, 256, (2, 160, 320, 3), np.uint8)
    again = without_bend(with_bend(one))
    np.testing.assert_array_equal(
        again.predict_on_batch(frames), one.predict_on_batch(frames)
    )
    assert without_bend(one) is one


# --- What is kept ---------------------------------------------------------------------


def test_of_a_new_bend_nothing_of_the_start_is_kept():
    """Of one that was taught before, as of all the rest."""
    network = network_of(with_bend(build_model()))
    start, learnt = start_of(network), [w + 1 for w in network.get_weights()]
    names = [weight.path for weight in network.weights]
    new = [name for name, value in zip(names, start, strict=True) if value is None]
    assert new and all("bend" in name for name in new)
    assert [name for name in names if "bend" in name] == new
    network.set_weights(learnt)
    with partly_of(network, start, 0.5):
        for was, now, full in zip(start, network.get_weights(), learnt, strict=True):
            expected = full if was is None else (was + full) / 2
            np.testing.assert_allclose(now, expected, rtol=1e-5, atol=1e-6)
    assert all(value is not None for value in start_of(network))


def test_the_bends_error_stands_beside_that_of_their_mean():
    taught = np.array([0.1, 0.02, np.nan])
    found = score_bend(np.array([0.1, 0.04, 5.0]), taught, 0.06)
    assert found["samples"] == 2
    assert found["model"] == pytest.approx(0.02 / 2**0.5)
    assert found["always_mean"] == pytest.approx(0.04)
    assert score_bend(np.zeros(1), taught[2:], 0.06) is None
