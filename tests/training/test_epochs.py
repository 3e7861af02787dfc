"""One epoch after another: what is trained, its loss, and when a run has ended."""

from dataclasses import replace

import keras
import numpy as np
from training_sets import settings, training_set_of

from training.batches import HABIT_UNIT_M
from training.epochs import (
    compile_network,
    is_finished,
    validation_loss,
    with_habits,
)
from training.progress import Progress


class Positions(keras.utils.PyDataset):
    """Batches in which a view is nothing but where the car stands, and is mirrored."""

    def __init__(self, driver_keeps_m, back_per_m=-0.1):
        super().__init__()
        self.driver_keeps_m, self.back_per_m = driver_keeps_m, back_per_m

    def __len__(self):
        return 300

    def __getitem__(self, batch):
        rng = np.random.default_rng(batch)
        recording = rng.integers(0, 2, 64)
        error_m, mirrored = rng.normal(0, 0.6, 64), rng.random(64) < 0.5
        sign = np.where(mirrored, -1, 1)
        views = sign * (np.array(self.driver_keeps_m)[recording] + error_m)
        habit = np.zeros((64, 2), np.float32)
        habit[np.arange(64), recording] = 2 * HABIT_UNIT_M * self.back_per_m * mirrored
        return (views[:, None], habit), (sign * self.back_per_m * error_m)[:, None]


def test_habits_of_drivers_are_found_from_mirrored_views():
    view = keras.Input((1,))
    network = keras.Model(view, keras.layers.Dense(1, kernel_initializer="zeros")(view))
    trained = with_habits(network, 2)
    compile_network(trained, settings(epochs=1, learning_rate=3e-3), 300)
    trained.fit(Positions((0.5, 0.5)), verbose=0, shuffle=False)
    (habits,) = trained.get_layer("habit").get_weights()
    np.testing.assert_allclose(HABIT_UNIT_M * habits[:, 0], 0.5, atol=0.1)
    # It stays where the driver does, and not in the middle.
    where_straight = network.predict_on_batch(np.array([[0.5]], np.float32))
    assert abs(float(where_straight[0, 0])) < 0.01


def test_run_is_finished_by_epochs_or_by_patience():
    short = settings(epochs=5, patience=2)
    progress = Progress()
    assert not is_finished(progress, short)
    assert progress.add(loss=1.0, val_loss=1.0)
    assert not progress.add(loss=0.5, val_loss=1.5) and not is_finished(progress, short)
    assert not progress.add(loss=0.4, val_loss=1.0) and is_finished(progress, short)
    assert not is_finished(progress, replace(short, patience=0))
    assert is_finished(replace_epoch(progress, 5), replace(short, patience=0))


def replace_epoch(progress, epoch):
    progress.epoch = epoch
    return progress


class Straight:
    """A network that never steers."""

    def predict_on_batch(self, views):
        return np.zeros((len(views), 1), np.float32)


def test_validation_asks_for_the_way_back_the_same_in_every_epoch(
    tiny_recording, tmp_path
):
    """At unmoved views a network that never steers back would look perfect."""
    ahead = training_set_of(tiny_recording, tmp_path / "c", np.zeros(60, np.float32))
    plain = settings(offset_std_m=0.0, heading_std_deg=0.0)
    assert validation_loss(Straight(), ahead, plain) == 0
    moved = [validation_loss(Straight(), ahead, settings()) for _ in range(2)]
    assert moved[0] == moved[1] > 0.005
    assert validation_loss(Straight(), ahead, settings(recovery="shift")) == 0
