"""Labels and batches: what the network is taught, and from which draw."""

from dataclasses import replace

import numpy as np
import pytest
from made_recordings import write_recording

from augment import AugmentSettings
from common.errors import InputError
from recordings.recording import read_recording, usable_samples
from training.settings import Settings
from training.view_cache import FrameCache

pytest.importorskip("keras")
import keras

from common.car import MPS_PER_MPH
from recordings.reproject import recovery_steering
from training.batches import (
    HABIT_UNIT_M,
    Batches,
    cache_positions,
    loss_weights_of,
    make_labels,
    make_training_set,
)
from training.epochs import (
    Progress,
    compile_network,
    is_finished,
    validation_loss,
    with_habits,
)

NO_AUGMENTATION = AugmentSettings(
    **dict.fromkeys(AugmentSettings.__dataclass_fields__, 0.0)
)


def road_view(frames):
    """Stand in for the model's crop and resize, in the same shape."""
    return np.ascontiguousarray(frames[:, 50:116, :200])


def training_set_of(folder, cache_dir, steering=None):
    samples = usable_samples([read_recording(folder)])
    paths = [p for camera in ("center", "left", "right") for p in samples[camera] if p]
    cache = FrameCache(paths, road_view, "road", cache_dir)
    taught = samples["steering"].to_numpy(np.float32) if steering is None else steering
    weights = np.ones(len(samples), np.float32)
    return make_training_set(samples, taught, weights, cache, "off")


@pytest.fixture
def training_set(tiny_recording, tmp_path):
    return training_set_of(tiny_recording, tmp_path / "cache")


def settings(**changes):
    return replace(Settings(("a",), batch_size=16), **changes)


def test_batch_follows_from_seed_epoch_and_number(training_set):
    def batch(seed, epoch, number):
        return Batches(training_set, settings(seed=seed), epoch, 4)[number]

    first, again = (
        (*inputs, *rest) for inputs, *rest in (batch(1, 2, 3), batch(1, 2, 3))
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 2)):
        assert not np.array_equal(batch(1, 2, 3)[1], batch(*other)[1])


@pytest.mark.parametrize("recovery", ["reproject", "shift"])
def test_batch_keeps_its_contract(training_set, recovery):
    batches = Batches(training_set, settings(recovery=recovery), 0, 4)
    (views, habit), steering, weights = batches[0]
    assert habit.shape == (16, 1) and habit.dtype == np.float32
    assert views.shape == (16, 66, 200, 3) and views.dtype == np.uint8
    assert steering.shape == (16, 1) and steering.dtype == np.float32
    assert np.abs(steering).max() <= 1 and weights.shape == (16,)


def test_without_any_change_a_batch_is_what_was_recorded(training_set):
    plain = settings(augment=NO_AUGMENTATION, offset_std_m=0.0, heading_std_deg=0.0)
    batches = Batches(training_set, plain, 0, 4)
    (views, habit), steering, _ = batches[1]
    assert not habit.any()
    rows = batches.rows_of(1)
    expected = training_set.cache.gather(training_set.positions[rows, 0])
    np.testing.assert_array_equal(views, expected)
    # The label goes through curvature and back: float32 rounding.
    np.testing.assert_allclose(steering[:, 0], training_set.steering[rows], atol=1e-6)


def test_reprojected_labels_are_pure_pursuit_of_the_path(training_set):
    """On a straight path the label's spread is that of the offsets and headings."""
    straight = replace(training_set, steering=np.zeros(60, np.float32))
    batches = Batches(straight, settings(augment=NO_AUGMENTATION), 0, 200)
    found = np.concatenate([batches[i][1][:, 0] for i in range(200)])
    rng = np.random.default_rng(0)
    offset_m = rng.normal(0, 0.6, 20_000)
    heading_rad = rng.normal(0, np.radians(4.5), 20_000)
    speed_mps = np.full(20_000, 20 * MPS_PER_MPH)
    expected = recovery_steering(np.zeros(20_000), offset_m, heading_rad, speed_mps)
    # 3,200 draws: the mean varies by 2 %, the spread by 1.3 % of the spread.
    assert abs(found.mean()) < 0.1 * expected.std()
    assert found.std() == pytest.approx(expected.std(), rel=0.06)


def test_mirrored_views_come_with_mirrored_steering(training_set):
    """And with what twice a metre to the right would add, for what is mirrored only."""
    plain = settings(augment=replace(NO_AUGMENTATION, flip=0.5))
    plain = replace(plain, offset_std_m=0.0, heading_std_deg=0.0)
    batches = Batches(training_set, plain, 0, 4)
    (views, habit), steering, _ = batches[0]
    rows, mirrored = batches.rows_of(0), habit[:, 0] != 0
    assert 0 < mirrored.sum() < 16
    recorded = training_set.cache.gather(training_set.positions[rows, 0])
    recorded[mirrored] = recorded[mirrored, :, ::-1]
    np.testing.assert_array_equal(views, recorded)
    taught = np.where(mirrored, -1, 1) * training_set.steering[rows]
    np.testing.assert_allclose(steering[:, 0], taught, atol=1e-6)
    back = recovery_steering(0.0, 0.01, 0.0, 20 * MPS_PER_MPH) / 0.01
    np.testing.assert_allclose(habit[mirrored], 2 * HABIT_UNIT_M * back, rtol=1e-2)


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
        e_m, mirrored = rng.normal(0, 0.6, 64), rng.random(64) < 0.5
        sign = np.where(mirrored, -1, 1)
        views = sign * (np.array(self.driver_keeps_m)[recording] + e_m)
        habit = np.zeros((64, 2), np.float32)
        habit[np.arange(64), recording] = 2 * HABIT_UNIT_M * self.back_per_m * mirrored
        return (views[:, None], habit), (sign * self.back_per_m * e_m)[:, None]


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


def test_side_cameras_are_taught_a_fixed_correction(training_set):
    plain = settings(recovery="shift", augment=NO_AUGMENTATION, side_camera_share=1.0)
    straight = replace(training_set, steering=np.zeros(60, np.float32))
    steering = Batches(straight, plain, 0, 4)[0][1][:, 0]
    np.testing.assert_allclose(np.abs(steering), 0.2, rtol=1e-6)
    assert set(np.sign(steering)) == {-1, 1}


@pytest.mark.parametrize("recovery", ["reproject", "shift"])
def test_one_camera_gives_centre_frames_only(tmp_path, recovery):
    folder = write_recording(tmp_path / "one", np.zeros(60), num_cameras=1)
    one = training_set_of(folder, tmp_path / "cache")
    assert (one.positions[:, 1:] == -1).all()
    (views, _), steering, _ = Batches(one, settings(recovery=recovery), 0, 4)[0]
    assert views.shape[0] == 16 and np.isfinite(steering).all()


def test_positions_are_those_of_the_cache(tiny_recording, training_set):
    samples = usable_samples([read_recording(tiny_recording)])
    positions = cache_positions(samples, training_set.cache)
    for column, camera in enumerate(("center", "left", "right")):
        path = samples[camera].iloc[7]
        assert positions[7, column] == training_set.cache.position[path]


def test_labels_come_in_three_forms(tiny_recording):
    samples = usable_samples([read_recording(tiny_recording)])
    labels = make_labels(samples, 0.0, 0.0)
    np.testing.assert_array_equal(labels.trained, labels.raw)
    taught = make_labels(samples, 0.2, 0.5).trained
    assert 0 < np.abs(taught - labels.raw).max() < 0.3
    assert labels.averaged.shape == labels.raw.shape


def test_loss_weights_even_out_the_spread_of_recordings(tmp_path):
    wide = write_recording(tmp_path / "wide", 0.1 * np.sin(np.arange(60)))
    hilly = write_recording(tmp_path / "hilly", 0.8 * np.sin(np.arange(60)))
    samples = usable_samples([read_recording(wide), read_recording(hilly)])
    weights = loss_weights_of(samples, samples["steering"].to_numpy(np.float32))
    assert weights.mean() == pytest.approx(1)
    assert weights[0] / weights[-1] == pytest.approx(8, rel=1e-3)
    one_row = samples.iloc[[*range(60), 60]]
    assert np.isfinite(loss_weights_of(one_row, one_row["steering"].to_numpy())).all()


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("offset_std_m", 3.0), ("heading_std_deg", -1.0), ("side_camera_share", 2.0)],
)
def test_setting_out_of_range_names_its_flag(name, value):
    with pytest.raises(InputError, match="--" + name.replace("_", "-")):
        settings(**{name: value})


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


def test_what_is_taught_by_a_share_is_not_held_against_the_rest():
    """Corrections are not validated on: by that loss no epoch might ever be kept."""
    assert settings(from_model="model.json").must_beat_start
    assert not settings(from_model="model.json", shares={"b": 0.3}).must_beat_start
    assert not settings().must_beat_start
