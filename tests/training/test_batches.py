"""Batches: what the network is shown, and taught, by which draw."""

from dataclasses import replace

import numpy as np
import pytest
from made_recordings import write_recording
from training_sets import settings, training_set_of

from augment import AugmentSettings, apply, flip, sample_parameters
from common.car import MPS_PER_MPH
from recordings.reproject import recovery_steering
from training.batches import (
    HABIT_UNIT_M,
    Batches,
    draw_places,
    prefetched,
    reprojected,
)
from training.preparation import thinned

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


def test_one_map_and_few_passes_are_the_chain_of_steps(training_set):
    """Re-projected, mirrored, moved down, recoloured: drawn and done one by one."""
    changes = AugmentSettings(shift_down=0.1, shift_right=0.0, flip=0.5)
    strong = settings(augment=changes, seed=4)
    (views, habit), taught = Batches(training_set, strong, 0, 4)[2]
    rng = np.random.default_rng([4, 0, 2])
    rng.random(16)  # which rows
    places = draw_places(16, strong, rng)
    mirrored = rng.random(16) < 0.5
    np.testing.assert_array_equal(mirrored, habit[:, 0] != 0)
    drawn = sample_parameters(replace(changes, flip=0.0), rng, 16)
    rows = np.array(Batches(training_set, strong, 0, 4).rows_of(2))
    beside, steering = reprojected(training_set, rows, places, strong)
    num_values = num_other = 0
    for i, parameters in enumerate(drawn):
        expected, expected_steering = beside[i], float(steering[i])
        if mirrored[i]:
            expected, expected_steering = flip(expected, expected_steering)
        expected, expected_steering = apply(expected, expected_steering, parameters)
        assert taught[i, 0] == pytest.approx(expected_steering, abs=1e-6)
        # The rows that come in at a border show the scene, where steps repeat a row;
        # and those beside them, where the frame is blurred.
        down_px = round(parameters.shift_down * 66)
        inside = slice(2 + max(0, down_px), 64 + min(0, down_px))
        difference = np.abs(views[i].astype(int) - expected)[inside]
        num_values += difference.size
        num_other += (difference > 2).sum()
    # A place in single precision may fall on the other side of 1/32 of a pixel.
    assert num_values > 0.85 * views.size
    assert num_other < 0.002 * num_values


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


def test_prefetched_batches_are_all_of_them_in_their_order(training_set):
    for num in (1, 3, 9):
        batches = Batches(training_set, settings(), 5, num)
        found = [steering for _, steering in prefetched(batches)]
        np.testing.assert_array_equal(found, [batches[i][1] for i in range(num)])


def test_what_fails_in_making_a_batch_is_raised_where_it_is_wanted(training_set):
    class Broken(Batches):
        def __getitem__(self, batch):
            if batch == 2:
                raise ValueError("batch 2")
            return super().__getitem__(batch)

    coming = prefetched(Broken(training_set, settings(), 0, 4))
    assert len([next(coming), next(coming)]) == 2
    with pytest.raises(ValueError, match="batch 2"):
        next(coming)


def test_many_held_out_samples_are_thinned_evenly(training_set):
    many = replace(
        training_set,
        **{
            name: np.concatenate([value] * 20)
            for name, value in vars(training_set).items()
            if isinstance(value, np.ndarray)
        },
    )
    assert thinned(many, num_drawn=100_000) is many
    thin = thinned(many, num_drawn=64)
    assert len(thin.steering) == 1200 / 5
    np.testing.assert_array_equal(thin.steering, many.steering[::5])
    np.testing.assert_array_equal(thin.positions, many.positions[::5])
    assert thin.weights.sum() == pytest.approx(1)
