"""Batches: what the network is shown, and taught, by which draw."""

from dataclasses import replace

import numpy as np
import pytest
from made_recordings import write_recording
from training_sets import settings, training_set_of

from augment import AugmentSettings
from common.car import MPS_PER_MPH
from recordings.reproject import recovery_steering
from training.batches import HABIT_UNIT_M, Batches

NO_AUGMENTATION = AugmentSettings(
    **dict.fromkeys(AugmentSettings.__dataclass_fields__, 0.0)
)


def test_batch_follows_from_seed_epoch_and_number(training_set):
    def batch(seed, epoch, number):
        return Batches(training_set, settings(seed=seed), epoch, 4)[number]

    first, again = ((*inputs, rest) for inputs, rest in (batch(1, 2, 3),) * 2)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 2)):
        assert not np.array_equal(batch(1, 2, 3)[1], batch(*other)[1])


@pytest.mark.parametrize("recovery", ["reproject", "shift"])
def test_batch_keeps_its_contract(training_set, recovery):
    batches = Batches(training_set, settings(recovery=recovery), 0, 4)
    (views, habit), steering = batches[0]
    assert habit.shape == (16, 1) and habit.dtype == np.float32
    assert views.shape == (16, 66, 200, 3) and views.dtype == np.uint8
    assert steering.shape == (16, 1) and steering.dtype == np.float32
    assert np.abs(steering).max() <= 1


def test_without_any_change_a_batch_is_what_was_recorded(training_set):
    plain = settings(augment=NO_AUGMENTATION, offset_std_m=0.0, heading_std_deg=0.0)
    batches = Batches(training_set, plain, 0, 4)
    (views, habit), steering = batches[1]
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
    errors = rng.normal(0, 0.6, 20_000), rng.normal(0, np.radians(4.5), 20_000)
    speed_mps = np.full(20_000, 20 * MPS_PER_MPH)
    expected = recovery_steering(np.zeros(20_000), *errors, speed_mps, 0.6)
    # 3,200 draws: the mean varies by 2 %, the spread by 1.3 % of the spread.
    assert abs(found.mean()) < 0.1 * expected.std()
    assert found.std() == pytest.approx(expected.std(), rel=0.06)


def test_mirrored_views_come_with_mirrored_steering(training_set):
    """And with what twice a metre to the right would add, for what is mirrored only."""
    plain = settings(augment=replace(NO_AUGMENTATION, flip=0.5))
    plain = replace(plain, offset_std_m=0.0, heading_std_deg=0.0)
    batches = Batches(training_set, plain, 0, 4)
    (views, habit), steering = batches[0]
    rows, mirrored = batches.rows_of(0), habit[:, 0] != 0
    assert 0 < mirrored.sum() < 16
    recorded = training_set.cache.gather(training_set.positions[rows, 0])
    recorded[mirrored] = recorded[mirrored, :, ::-1]
    np.testing.assert_array_equal(views, recorded)
    taught = np.where(mirrored, -1, 1) * training_set.steering[rows]
    np.testing.assert_allclose(steering[:, 0], taught, atol=1e-6)
    back = recovery_steering(0.0, 0.01, 0.0, 20 * MPS_PER_MPH, 0.6) / 0.01
    np.testing.assert_allclose(habit[mirrored], 2 * HABIT_UNIT_M * back, rtol=1e-2)


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
    (views, _), steering = Batches(one, settings(recovery=recovery), 0, 4)[0]
    assert views.shape[0] == 16 and np.isfinite(steering).all()
