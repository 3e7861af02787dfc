"""Suspicious moments: each kind is found where it is, and not where it is not."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from common.car import MPS_PER_MPH, curvature_of
from recordings.marks import Marks
from recordings.moments.drive import crashes, log_of, moments_of_log, u_turns
from recordings.moments.find import find_moments, images_to_look_at
from recordings.moments.looks import Looks, read_looks
from recordings.moments.models import moments_of_model, moments_of_replay
from recordings.moments.moment import Moment, peaks, ranked, runs
from recordings.moments.pictures import moments_of_pictures
from recordings.moments.turning import moments_of_turning
from recordings.recording import read_recording
from recordings.reproject import FOCAL_LENGTH_PX

ROWS = 400


def samples_of(steering, speed_mph=20.0, **columns):
    """Rows a tenth of a second apart, with nothing odd but what is given."""
    count = len(steering)
    table = {
        "time_s": 1e9 + 0.1 * np.arange(count),
        "session": np.zeros(count, int),
        "steering": steering,
        "throttle": np.full(count, 0.5),
        "brake": np.zeros(count),
        "speed_mph": np.broadcast_to(np.asarray(speed_mph, float), count),
        "excluded": np.full(count, "", object),
    }
    return pd.DataFrame(table | columns)


def looks_of(samples, rng, steering=None):
    """What is seen on a drive: pictures that turn as the car is steered."""
    turned = samples["steering"] if steering is None else steering
    step_m = samples["speed_mph"].to_numpy() * MPS_PER_MPH * 0.1
    count = len(samples)
    shift = -1.2 * FOCAL_LENGTH_PX * curvature_of(np.asarray(turned)) * step_m
    shift[0] = np.nan
    change = rng.uniform(5, 8, count)
    change[0] = np.nan
    # One road all along, with some noise in every colour.
    road = rng.integers(40, 200, (7, 16, 3))
    pictures = road + rng.integers(-15, 16, (count, *road.shape))
    return Looks(
        shift_px=(shift + rng.normal(0, 0.3, count)).astype(np.float32),
        match=np.full(count, 0.9, np.float32),
        change=change.astype(np.float32),
        thumbnails=pictures.astype(np.uint8),
        is_seen=np.ones(count, bool),
    )


@pytest.fixture
def steering():
    return 0.15 * np.sin(np.arange(ROWS) / 20)


def kinds_at(moments, row):
    return {each.kind for each in moments if each.first <= row <= each.last}


# --- In the log -----------------------------------------------------------------------


def test_an_ordinary_drive_has_no_moments(steering, rng):
    samples = samples_of(steering)
    assert find_moments(samples, looks_of(samples, rng)) == []


def test_a_crash_is_a_sudden_stop_without_the_brake_and_what_led_to_it(steering):
    speed = np.full(ROWS, 29.0)
    speed[200:202], speed[202:260] = 20.0, np.linspace(12, 29, 58)
    (crash,) = crashes(log_of(samples_of(steering, speed)))
    assert "from 29 to 12 mph" in crash.reason
    assert (crash.first, crash.last, crash.at) == (172, 212, 202)
    pedal = (np.abs(np.arange(ROWS) - 203) < 9) * 1.0
    # Uphill the brake does 16 m/s2, and no more: who brakes may yet hit something.
    braked = np.interp(np.arange(ROWS), [0, 200, 205], [29, 29, 12])
    assert crashes(log_of(samples_of(steering, braked, brake=pedal))) == []
    (crash,) = crashes(log_of(samples_of(steering, speed, brake=pedal)))
    assert crash.at == 202 and "faster than by the brake" in crash.reason
    # Rolling out, or a stop over seconds, is none; nor is another session.
    slow = np.interp(np.arange(ROWS), [0, 150, 250], [29, 29, 5])
    assert crashes(log_of(samples_of(steering, slow))) == []
    session = (np.arange(ROWS) >= 202) * 1
    assert crashes(log_of(samples_of(steering, speed, session=session)))[0].last < 202


def test_a_crash_at_the_end_of_a_session_keeps_to_it(steering):
    speed = np.full(ROWS, 29.0)
    speed[ROWS - 1] = 8.0
    (crash,) = crashes(log_of(samples_of(steering, speed)))
    assert (crash.last, crash.at) == (ROWS - 1, ROWS - 1)


def test_turning_round_is_told_from_a_bend():
    steering = np.zeros(ROWS)
    steering[200:232] = -1.0
    (turn,) = u_turns(log_of(samples_of(steering, 12.0)))
    assert turn.kind == "u-turn" and "to the left within 20 m" in turn.reason
    assert 190 < turn.first < turn.last < 240
    steering[200:232] = -0.4
    assert u_turns(log_of(samples_of(steering, 12.0))) == []


def test_a_step_to_full_lock_is_found_and_one_of_a_keyboard_is_not(steering):
    steering[100:103] = 1.0
    found = moments_of_log(log_of(samples_of(steering)))
    assert kinds_at(found, 100) == {"step", "lock"}
    assert "full lock to the right for 0.2 s" in [m.reason for m in found]
    keyboard = np.where(np.arange(ROWS) % 10 < 3, 0.6, 0.0)
    assert moments_of_log(log_of(samples_of(keyboard))) == []


def test_standing_reversing_and_odd_speeds_are_told(steering):
    speed = np.full(ROWS, 20.0)
    speed[300:340], speed[380:] = 5.0, 55.0
    excluded = np.full(ROWS, "", object)
    excluded[50:80], excluded[100:105], excluded[200:220] = (
        "standing",
        "standing",
        ("reversing"),
    )
    found = moments_of_log(log_of(samples_of(steering, speed, excluded=excluded)))
    told = {(each.kind, each.first, each.last) for each in found}
    assert ("standing", 50, 79) in told and ("reversing", 200, 219) in told
    assert ("speed", 300, 339) in told and kinds_at(found, 380) == {"speed"}
    assert not kinds_at(found, 100)


def test_a_log_without_speeds_has_no_moments_of_speed(steering):
    assert moments_of_log(log_of(samples_of(steering, 0.0))) == []


# --- In the pictures ------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 30])
def test_a_frozen_picture_is_found(steering, rng, count):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    looks.change[100 : 100 + count] = 0
    (found,) = moments_of_pictures(log_of(samples), looks)
    assert (found.kind, found.first, found.last) == ("frozen", 100, 99 + count)
    assert "with the picture of the row before, at 20 mph" in found.reason
    standing = samples_of(steering, 1.5)
    assert moments_of_pictures(log_of(standing), looks) == []


def test_a_frozen_picture_is_found_where_the_log_names_one_file_again(steering, rng):
    """Its time is that of the row before, as the name of the file tells both."""
    time_s = 1e9 + 0.1 * np.arange(ROWS)
    time_s[100:104] = time_s[99]
    samples = samples_of(steering, time_s=time_s)
    looks = looks_of(samples, rng)
    looks.change[100:104] = 0
    (found,) = moments_of_pictures(log_of(samples), looks)
    assert (found.kind, found.first, found.last) == ("frozen", 100, 103)


def test_other_pictures_are_found_where_they_begin_and_end(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    for row in (100, 110):
        looks.change[row], looks.match[row] = 50, 0.1
    (found,) = moments_of_pictures(log_of(samples), looks)
    assert (found.kind, found.first, found.last) == ("jump", 100, 109)
    assert "jumps to another place, and back after 10 rows" in found.reason
    # A new session begins with another picture.
    session = (np.arange(ROWS) >= 100) * 1 + (np.arange(ROWS) >= 110)
    assert (
        moments_of_pictures(log_of(samples_of(steering, session=session)), looks) == []
    )
    # Turning fast, pictures change, and agree.
    looks.match[:] = 0.9
    assert moments_of_pictures(log_of(samples), looks) == []


def test_pictures_that_are_unlike_the_rest_are_found(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    looks.thumbnails[150:160] = 255 - looks.thumbnails[150:160]
    (found,) = moments_of_pictures(log_of(samples), looks)
    assert found.kind == "unlike" and 150 <= found.first <= found.last <= 159


# --- One against the other ------------------------------------------------------------


def test_a_swapped_sign_is_found_and_which_way_it_goes(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    wrong = steering.copy()
    wrong[100:110] *= -1
    samples = samples.assign(steering=wrong)
    found = moments_of_turning(log_of(samples), looks)
    assert "swapped" in kinds_at(found, 105)
    (swapped,) = [each for each in found if each.kind == "swapped"]
    assert "steers to the right, but the pictures turn to the left" in swapped.reason
    assert 97 <= swapped.first <= 103 and 106 <= swapped.last <= 113


def test_steering_that_the_pictures_do_not_show_is_found(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    wrong = steering.copy()
    wrong[200:205] = 1.0
    found = moments_of_turning(log_of(samples.assign(steering=wrong)), looks)
    assert "turning" in kinds_at(found, 202)


def test_a_recording_that_is_steered_the_other_way_is_one_moment(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng, steering=-steering)
    (found,) = moments_of_turning(log_of(samples), looks)
    assert (found.kind, found.first, found.last) == ("swapped", 0, ROWS - 1)
    assert found.reason.endswith("all along")


@pytest.mark.parametrize("count", [0, 1, 5])
def test_short_recordings_have_no_moments(rng, count):
    samples = samples_of(np.zeros(max(count, 1)))
    looks = looks_of(samples, rng)
    if not count:
        samples = samples.iloc[:0]
        looks = Looks(*(array[:0] for array in vars(looks).values()))
    assert find_moments(samples, looks) == []


def test_rows_without_a_picture_tell_nothing(steering, rng):
    samples = samples_of(steering)
    looks = looks_of(samples, rng)
    for array in (looks.shift_px, looks.match, looks.change):
        array[100:120] = np.nan
    looks.thumbnails[100:119] = 0
    looks.is_seen[100:119] = False
    assert find_moments(samples, looks) == []


# --- By a model -----------------------------------------------------------------------


def test_where_a_model_differs_most_comes_first(steering):
    log = log_of(samples_of(steering))
    answered = steering + 0.02
    answered[100:110] += 0.3
    answered[300:305] += 0.2
    answered[200] = np.nan
    found = moments_of_model(log, steering, answered, "a")
    best = max(found, key=lambda each: each.score)
    assert 100 <= best.at < 110 and "a steers +" in best.reason
    assert kinds_at(found, 302) == {"model"} and not kinds_at(found, 200)


def test_an_intervention_is_shown_with_what_led_to_it_in_its_session(steering):
    session = (np.arange(ROWS) >= 90) * 1
    log = log_of(samples_of(steering, session=session))
    found = moments_of_replay(log, [100, 300], "a")
    assert [(each.first, each.at, each.last) for each in found] == [
        (90, 100, 110),
        (260, 300, 310),
    ]


# --- Their order ----------------------------------------------------------------------


def moment(first, last, kind="step", score=1.0, reason="x"):
    return Moment(first, last, kind, reason, score, first)


def test_several_kinds_at_one_place_are_one_moment():
    found = ranked(
        [
            moment(10, 12, "step", 1.0, "steps"),
            moment(11, 20, "swapped", 3.0, "other way"),
            moment(50, 52, "lock", 2.0),
        ]
    )
    assert [(each.first, each.last, each.kind) for each in found] == [
        (10, 20, "swapped"),
        (50, 52, "lock"),
    ]
    assert found[0].reason == "other way; steps" and found[0].score > 3


def test_what_is_long_does_not_swallow_what_is_short():
    found = ranked([moment(0, 900, "swapped", 6.0), moment(400, 402, "frozen", 3.0)])
    assert [(each.first, each.last) for each in found] == [(0, 900), (400, 402)]


def test_no_kind_floods_the_list():
    many = [moment(100 * i, 100 * i, "lock", 2.0) for i in range(300)]
    found = ranked([*many, moment(50, 50, "crash", 1.0)])
    place = next(i for i, each in enumerate(found) if each.kind == "crash")
    assert place < 25 and len(found) < 100


@pytest.mark.parametrize("rows", [(5, 4, 4), (-1, 4, 2), (0, 4, 5)])
def test_a_moment_without_order_is_a_mistake_of_ours(rows):
    first, last, at = rows
    with pytest.raises(ValueError, match="rows"):
        Moment(first, last, "step", "", 1.0, at)


def test_peaks_and_runs():
    score = np.array([0, 3, 5, 4, np.nan, 0, 4, 1])
    assert peaks(score, 2, 1) == [2, 6] and peaks(score, 2, 9) == [2]
    assert runs(np.array([1, 1, 0, 1], bool)) == [(0, 1), (3, 3)]
    assert runs(np.zeros(0, bool)) == []


# --- Pictures on the disk -------------------------------------------------------------


def test_pictures_are_looked_at_on_the_disk(tmp_path):
    """A wide scene that moves to the left by six pixels a row, and stops once."""
    scene = np.random.default_rng(3).integers(0, 256, (160, 800, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(scene, (0, 0), 6)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    paths = []
    for row in range(12):
        at = 6 * (row - (row >= 7))
        paths.append(str(tmp_path / f"{row}.jpg"))
        cv2.imwrite(paths[-1], scene[:, at : at + 320])
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    paths[4] = ""
    told = []
    looks = read_looks(paths, told.append)
    assert list(np.flatnonzero(~looks.is_seen)) == [3, 4] and told == [12]
    assert list(np.flatnonzero(np.isnan(looks.shift_px))) == [0, 3, 4, 5]
    moved = np.delete(looks.shift_px, [0, 3, 4, 5, 7])
    np.testing.assert_allclose(moved, -6, atol=0.6)
    assert abs(looks.shift_px[7]) < 0.2 and looks.change[7] < 0.5
    assert (looks.match[[1, 2, 6]] > 0.5).all() and (looks.change[[1, 6]] > 1).all()


def test_real_recordings_have_few_plain_moments(shared_dir):
    for name, most in (("lake", 3), ("lake_v2", 3)):
        recording = read_recording(shared_dir / "data" / name, marks=Marks())
        looks = read_looks(images_to_look_at(recording.samples))
        found = find_moments(recording.samples, looks)
        assert sum(each.score > 1.5 for each in found) <= most
        # The whole of it, mirrored, is one finding.
        mirrored = recording.samples.assign(steering=-recording.samples["steering"])
        first = find_moments(mirrored, looks)[0]
        assert first.kind == "swapped" and first.last == len(mirrored) - 1
        assert replace(first).reason.endswith("all along")
