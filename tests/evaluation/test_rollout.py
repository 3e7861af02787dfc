"""The measures of a drive: NVIDIA's autonomy, errors, smoothness."""

import numpy as np
import pytest

from common.car import steering_of
from evaluation.rollout import Intervention, Rollout


def make_rollout(steering=None, interventions=(), num_frames=100, **changes):
    dt_s = np.full(num_frames, 0.1)
    time_s = np.arange(num_frames) * 0.1
    arrays = {
        "time_s": time_s,
        "distance_m": time_s * 10,
        "x_m": time_s * 10,
        "y_m": np.zeros(num_frames),
        "cross_track_error_m": np.zeros(num_frames),
        "heading_error_rad": np.zeros(num_frames),
        "steering": np.zeros(num_frames) if steering is None else steering,
        "reference_steering": np.zeros(num_frames),
        "speed_mps": np.full(num_frames, 10.0),
        "dt_s": dt_s,
    }
    return Rollout("a", "b", interventions=tuple(interventions), **(arrays | changes))


def test_ten_interventions_in_ten_minutes_are_nvidias_ninety_percent():
    rollout = make_rollout(
        interventions=[Intervention(i, "1 m off") for i in range(0, 6000, 600)],
        num_frames=6000,
    )
    assert rollout.elapsed_s == pytest.approx(600)
    assert rollout.autonomy_percent() == pytest.approx(90)


def test_autonomy_is_never_below_zero():
    rollout = make_rollout(interventions=[Intervention(5, "1 m off")] * 3)
    assert rollout.autonomy_percent() == 0


def test_smoothness_is_the_change_of_steering_per_second():
    steering = np.tile([0.0, 0.1], 50)
    assert make_rollout(steering).smoothness_per_s() == pytest.approx(1.0)


def test_sideways_acceleration_is_speed_squared_by_curvature():
    rollout = make_rollout(np.full(100, float(steering_of(0.05))))
    np.testing.assert_allclose(rollout.sideways_mps2(), 5.0)
    measures = rollout.measures()
    assert (measures["p95_sideways_mps2"], measures["top_speed_mps"]) == (5.0, 10.0)


def test_jerk_is_the_change_of_the_steerings_rate_per_second():
    """A wheel turned evenly has none; one that is turned faster and faster has."""
    time_s = np.arange(100) * 0.1
    assert make_rollout(0.05 * time_s).jerk_per_s2() == pytest.approx(0, abs=1e-9)
    assert make_rollout(0.004 * time_s**2).jerk_per_s2() == pytest.approx(0.008)
    steering = np.repeat([0.5, -0.5], 50)
    put_back = make_rollout(steering, [Intervention(49, "1 m off")])
    assert put_back.jerk_per_s2() == 0
    assert make_rollout(np.zeros(2), num_frames=2).jerk_per_s2() == 0


def test_a_change_of_steering_at_an_intervention_does_not_count():
    steering = np.repeat([0.5, -0.5], 50)
    rollout = make_rollout(steering, [Intervention(49, "1 m off")])
    assert rollout.smoothness_per_s() == 0


def test_errors_are_of_either_side():
    error_m = np.tile([-1.0, 1.0], 50)
    measures = make_rollout(cross_track_error_m=error_m).measures()
    assert measures["mean_abs_cross_track_error_m"] == 1
    assert measures["rms_cross_track_error_m"] == 1
    assert measures["p95_cross_track_error_m"] == 1


def test_an_empty_rollout_has_measures():
    assert make_rollout(num_frames=0).measures()["autonomy_percent"] == 100


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="lengths differ"):
        make_rollout(x_m=np.zeros(3))


def test_an_intervention_beyond_the_end_is_refused():
    with pytest.raises(ValueError, match="after frame 100 of 100"):
        make_rollout(interventions=[Intervention(100, "stuck")])
