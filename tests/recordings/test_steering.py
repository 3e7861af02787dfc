"""Steering: averaged over a moment, of the side cameras, and how often it is drawn."""

import numpy as np
import pytest
from made_recordings import made_up_samples

from recordings.steering import (
    BALANCE_MODES,
    balance_weights,
    savitzky_golay,
    side_camera_steering,
    smooth_steering,
)


@pytest.mark.parametrize(
    ("camera", "expected"),
    [("left", [0.2, 1.0]), ("center", [0.0, 0.95]), ("right", [-0.2, 0.75])],
)
def test_side_cameras_steer_back_to_the_middle(camera, expected):
    taught = side_camera_steering(np.array([0.0, 0.95]), camera, 0.2)
    np.testing.assert_allclose(taught, expected)


def test_inverse_weights_give_every_bin_that_is_used_the_same(rng):
    steering = np.concatenate([np.zeros(900), np.full(90, 0.5), np.full(10, -1.0)])
    weights = balance_weights(steering, "inverse")
    for value in (0.0, 0.5, -1.0):
        assert weights[steering == value].sum() == pytest.approx(1 / 3)


def test_capped_weights_only_thin_out_full_bins():
    steering = np.concatenate([np.zeros(900), np.full(90, 0.5), np.full(10, 1.0)])
    weights = balance_weights(steering, "cap")
    # The average bin holds 1000 / 3 samples, and the fullest then weighs as much.
    total = 1000 / 3 + 90 + 10
    assert weights[steering == 0].sum() == pytest.approx(1000 / 3 / total)
    assert weights[steering == 0.5].sum() == pytest.approx(90 / total)


def test_balancing_off_draws_all_alike_and_weights_sum_to_one(rng):
    steering = rng.normal(0, 0.2, 500).clip(-1, 1)
    np.testing.assert_allclose(balance_weights(steering, "off"), 1 / 500)
    for mode in BALANCE_MODES:
        assert balance_weights(steering, mode).sum() == pytest.approx(1.0)
        assert balance_weights(np.empty(0), mode).shape == (0,)


def test_an_unknown_balance_is_refused():
    with pytest.raises(ValueError, match="'some', expected one of"):
        balance_weights(np.zeros(3), "some")


def test_smooth_steering_is_the_mean_over_the_window_of_its_session(rng):
    samples = made_up_samples(rng, [10, 10])
    smooth = smooth_steering(samples, 0.3, 0.7)
    for i in rng.integers(0, len(samples), 40):
        row = samples.iloc[i]
        after = samples["time_s"] - row["time_s"]
        near = (after >= -0.3) & (after <= 0.7) & (samples["session"] == row["session"])
        expected = samples["steering"][near].mean()
        assert smooth[i] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(
        smooth_steering(samples, 0, 0), samples["steering"], atol=1e-6
    )


@pytest.mark.parametrize("window_s", [60.0, 1e308])
def test_window_longer_than_the_session_leaves_it_as_recorded(window_s, rng):
    samples = made_up_samples(rng, [5])
    smooth = savitzky_golay(samples, window_s)
    np.testing.assert_array_equal(smooth, samples["steering"])
