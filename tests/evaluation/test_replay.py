"""NVIDIA's replay: its bounds on real recordings, closed forms, gaps, batches."""

import numpy as np
import pandas as pd
import pytest

from common.car import curvature_of
from common.errors import InputError
from evaluation import replay as rp
from recordings.recording import read_recording, usable_samples

SPEED_MPS = 10.0


def make_samples(num_rows=400, steering=0.0, dt_s=0.1, gap_after=(), **columns):
    steps = np.full(num_rows, dt_s)
    steps[list(gap_after)] = 2.0
    samples = pd.DataFrame(
        {
            "recording": "made",
            "session": 0,
            "time_s": np.append(0.0, np.cumsum(steps[:-1])),
            "steering": np.broadcast_to(steering, num_rows).astype(float),
            "speed_mph": SPEED_MPS / rp.MPS_PER_MPH,
            "center": "c",
            "left": "l",
            "right": "r",
        }
    )
    return samples.assign(**columns)


def steer_by(value):
    return lambda rows, *_: np.full(len(rows), value)


def test_who_steers_as_recorded_stays_on_the_path():
    samples = make_samples(steering=0.3 * np.sin(np.arange(400) / 20))
    steering = samples["steering"].to_numpy()
    rollout = rp.replay(lambda rows, *_: steering[rows], rp.read_path(samples))[1.0]
    assert not rollout.interventions
    assert np.abs(rollout.cross_track_error_m).max() < 1e-9


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("limit_m", [1.0, 2.0])
def test_a_constant_error_leaves_the_path_when_the_circle_does(side, limit_m):
    """A circle of curvature k is k s^2 / 2 away from its tangent after s metres."""
    path = rp.read_path(make_samples(1200))
    rollout = rp.replay(steer_by(0.05 * side), path, stretch_s=np.inf)[limit_m]
    reach_m = np.sqrt(2 * limit_m / curvature_of(0.05))
    per_frame_m = SPEED_MPS * 0.1
    first = rollout.interventions[0].index + 1
    # The first step's heading moves the car only in the second: half a frame late.
    assert first * per_frame_m == pytest.approx(reach_m, abs=1.5 * per_frame_m)
    # Put back, the car does the same again.
    between = np.diff([each.index for each in rollout.interventions])
    assert (between == first).all()
    assert (np.sign(rollout.cross_track_error_m) * side >= 0).all()


def test_elapsed_time_leaves_out_gaps_and_standing():
    samples = make_samples(100, gap_after=(49,))
    assert rp.replay(rp.zero_driver, rp.read_path(samples))[1.0].elapsed_s == (
        pytest.approx(9.8)
    )
    samples.loc[80:, "speed_mph"] = 0.5
    rollout = rp.replay(rp.zero_driver, rp.read_path(samples))[1.0]
    assert rollout.elapsed_s == pytest.approx(4.9 + 2.9)


def test_a_car_begins_anew_after_a_gap():
    samples = make_samples(60, gap_after=(29,))
    path = rp.read_path(samples)
    rollout = rp.replay(steer_by(0.02), path, stretch_s=np.inf)[2.0]
    rows = np.flatnonzero(rollout.cross_track_error_m == 0)
    # The heading turns in the first frame, so the second is still on the path.
    assert rows.tolist() == [0, 1, 29, 30]


@pytest.mark.parametrize("num_rows", [4, 60, 151, 1000])
def test_stretches_count_every_driven_row_once(num_rows):
    path = rp.read_path(make_samples(num_rows, gap_after=(num_rows // 3,)))
    counted = np.concatenate([np.arange(s.scored, s.end) for s in rp.cut(path)])
    assert sorted(counted) == np.flatnonzero(path.dt_s).tolist()


def test_every_stretch_has_a_lead_unless_its_run_begins_there():
    path = rp.read_path(make_samples(1000))
    first, *others = rp.cut(path)
    assert first.first == first.scored == 0
    for each in others:
        lead_s = path.dt_s[each.first : each.scored].sum()
        assert lead_s == pytest.approx(rp.LEAD_S, abs=0.11)


def test_cutting_changes_nothing_once_the_lead_has_settled():
    """The oracle converges in less than the lead, so that the cut cannot be seen."""
    steering = 0.2 * np.sin(np.arange(1000) / 30)
    path = rp.read_path(make_samples(1000, steering=steering))
    drive = rp.oracle_driver(path, 0.3, 0.7)
    cut = rp.replay(drive, path)[1.0]
    whole = rp.replay(drive, path, stretch_s=np.inf)[1.0]
    np.testing.assert_allclose(
        cut.cross_track_error_m, whole.cross_track_error_m, atol=0.02
    )


def test_model_sees_the_nearest_cameras_frame_and_steers():
    asked = []

    def frames(rows, camera):
        asked.extend(camera.tolist())
        return np.repeat(camera[:, None, None, None], 3, 3).astype(np.uint8) * np.ones(
            (1, 160, 320, 1), np.uint8
        )

    path = rp.read_path(make_samples())
    drive = rp.model_driver(path, lambda seen: seen[:, 100, 160, 0] / 10, frames)
    error_m = np.array([0.0, -0.7, 0.7])
    np.testing.assert_allclose(drive(np.arange(3), error_m, np.zeros(3)), [0, 0.1, 0.2])
    assert asked == [0, 1, 2]


def test_of_many_cars_no_more_frames_are_held_than_fit():
    """Three hours have more than a thousand cars that drive at once."""
    count = rp.MOST_FRAMES + 5
    held = []

    def frames(rows, camera):
        held.append(len(rows))
        return np.full(
            (len(rows), 160, 320, 3), (rows % 100)[:, None, None, None], "u1"
        )

    drive = rp.model_driver(
        rp.read_path(make_samples(count)),
        lambda seen: seen[:, 100, 160, 0] / 100,
        frames,
    )
    steering = drive(np.arange(count), np.zeros(count), np.zeros(count))
    np.testing.assert_allclose(steering, np.arange(count) % 100 / 100)
    assert held == [rp.MOST_FRAMES, 5] and rp.MOST_FRAMES % rp.BATCH_SIZE == 0


def test_without_side_cameras_the_centre_is_asked():
    samples = make_samples(left="", right="")
    asked = []

    def frames(rows, camera):
        asked.extend(camera.tolist())
        return np.zeros((len(rows), 160, 320, 3), np.uint8)

    drive = rp.model_driver(
        rp.read_path(samples), lambda seen: seen[:, 0, 0, 0], frames
    )
    drive(np.arange(2), np.array([0.9, -0.9]), np.zeros(2))
    assert asked == [0, 0]


def test_batches_have_one_size_and_answers_keep_their_order():
    sizes = []

    def predict(frames):
        sizes.append(len(frames))
        return frames[:, 0, 0, 0].astype(float)

    frames = np.arange(70, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 2, 2, 3), np.uint8
    )
    np.testing.assert_array_equal(rp.in_batches(predict)(frames), np.arange(70))
    assert sizes == [rp.BATCH_SIZE] * 3


def test_rows_without_time_are_refused():
    with pytest.raises(InputError, match="no time in the names"):
        rp.read_path(make_samples(time_s=np.nan))


def test_nothing_to_drive_is_an_empty_rollout():
    samples = make_samples(10, speed_mph=0.0)
    rollout = rp.replay(rp.zero_driver, rp.read_path(samples))[1.0]
    assert rollout.elapsed_s == 0 and not rollout.interventions
    with pytest.raises(InputError, match="slower than 1 m/s all along"):
        rp.read_path(samples).check_driven()


# --- The measure itself, on real recordings -------------------------------------------


@pytest.fixture(scope="module")
def real_path(shared_dir):
    def read(name):
        return rp.read_path(
            usable_samples([read_recording(shared_dir / "data" / name)])
        )

    return read


def test_on_the_lake_a_blind_driver_scores_nothing_and_a_knowing_one_all(real_path):
    path = real_path("lake")
    blind = rp.replay(rp.zero_driver, path)[1.0]
    assert blind.autonomy_percent() == 0 and len(blind.interventions) == 139
    assert blind.elapsed_s == pytest.approx(223, abs=1)
    knowing = rp.replay(rp.oracle_driver(path, 0.3, 0.7), path)[1.0]
    assert knowing.autonomy_percent() == 100
    assert knowing.measures()["rms_cross_track_error_m"] == pytest.approx(
        0.16, abs=0.02
    )


def test_in_the_jungle_half_a_second_is_the_time_to_average_over(real_path):
    path = real_path("jungle")
    blind = rp.replay(rp.zero_driver, path)
    assert [len(blind[limit].interventions) for limit in (1.0, 2.0)] == [97, 70]
    second = rp.replay(rp.oracle_driver(path, 0.3, 0.7), path)
    half = rp.replay(rp.oracle_driver(path, 0.15, 0.35), path)
    assert second[2.0].autonomy_percent() == pytest.approx(82, abs=1)
    assert second[1.0].autonomy_percent() == 0
    assert half[2.0].autonomy_percent() == 100
    assert half[1.0].autonomy_percent() == pytest.approx(76, abs=1)


@pytest.mark.parametrize("name", ["lake", "jungle"])
def test_cutting_flatters_nobody(real_path, name):
    """Interventions of the bounds, cut and uncut: equal to one in a hundred."""
    path = real_path(name)
    for drive in (rp.zero_driver, rp.oracle_driver(path, 0.15, 0.35)):
        cut, whole = (rp.replay(drive, path, stretch_s=s) for s in (15.0, np.inf))
        for limit in rp.LIMITS_M:
            counts = len(cut[limit].interventions), len(whole[limit].interventions)
            assert counts[0] == pytest.approx(counts[1], rel=0.02)
