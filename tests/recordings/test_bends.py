"""The bend that comes, as a log tells it: closed forms, its ends, its symmetries."""

import math

import numpy as np
import pandas as pd
import pytest
from real_recordings import SHARED

from common.car import (
    BRAKING_SHARE,
    MOST_CURVATURE_PER_M,
    MPS_PER_MPH,
    steering_of,
)
from recordings.bends import HORIZON_M, STEP_M, TURN_OVER_M, bends_ahead
from recordings.recording import read_recording, usable_samples

RATE_HZ = 15


def drive(curvature_of_way, length_m=120.0, speed_mps=10.0, session=0):
    """Return the rows of a drive along a way whose signed curvature is given."""
    way_m = np.arange(0.0, length_m, speed_mps / RATE_HZ)
    curvature = np.array([curvature_of_way(each) for each in way_m])
    return pd.DataFrame(
        {
            "steering": steering_of(curvature),
            "speed_mph": speed_mps / MPS_PER_MPH,
            "time_s": np.arange(len(way_m)) / RATE_HZ,
            "session": session,
        }
    )


def test_on_a_circle_the_bend_is_its_curvature():
    bends = bends_ahead(drive(lambda _: 1 / 25))
    known = ~np.isnan(bends)
    assert known.sum() > 100
    np.testing.assert_allclose(bends[known], 1 / 25, rtol=1e-5)


@pytest.mark.parametrize("speed_mps", [4.0, 13.0])
def test_before_a_bend_it_allows_what_one_can_brake_from(speed_mps):
    """By hand: 60 m straight, then a radius of 20 m, at whichever speed it was driven.

    Where the whole window of curvature lies in the bend, and d metres before, the speed
    allowed is that from which the brakes reach the bend's own.
    """
    samples = drive(lambda way_m: 0.05 * (way_m >= 60), speed_mps=speed_mps)
    bends = bends_ahead(samples)
    way_m = np.arange(len(samples)) * speed_mps / RATE_HZ
    begins_m, sideways_mps2 = 60 + TURN_OVER_M / 2, 4.0
    slow = math.sqrt(sideways_mps2 * 20)
    for before_m in (5.0, 12.0, 25.0):
        (row, *_) = np.flatnonzero(way_m >= begins_m - before_m)
        allowed = math.sqrt(sideways_mps2 / bends[row])
        braking_mps2 = BRAKING_SHARE * sideways_mps2
        expected = math.sqrt(slow**2 + 2 * braking_mps2 * (begins_m - way_m[row]))
        # Two steps of the way, and the row before the bend that is between two of it.
        slack_m = 2 * STEP_M + speed_mps / RATE_HZ
        assert allowed == pytest.approx(expected, abs=braking_mps2 * slack_m / expected)
    assert not bends[way_m < begins_m - TURN_OVER_M - HORIZON_M - 1].any()


def test_what_lies_behind_does_not_count():
    bends = bends_ahead(drive(lambda way_m: 0.05 * (way_m < 40)))
    way_m = np.arange(len(bends)) * 10 / RATE_HZ
    straight = (way_m > 40 + TURN_OVER_M) & ~np.isnan(bends)
    assert straight.sum() > 20 and np.abs(bends[straight]).max() < 1e-6


def test_left_and_right_are_alike_to_the_bit():
    def winding(way_m):
        return 0.06 * math.sin(way_m / 9)

    samples = drive(winding)
    mirrored = samples.assign(steering=-samples["steering"])
    np.testing.assert_array_equal(bends_ahead(samples), bends_ahead(mirrored))


def test_pulses_of_a_keyboard_are_no_bends():
    """Full lock for a fifteenth of a second each second, to either side in turn."""
    samples = drive(lambda _: 0.0, length_m=300)
    samples.loc[::15, "steering"] = 1.0
    samples.loc[7::15, "steering"] = -1.0
    bends = bends_ahead(samples)
    assert np.nanmax(bends) < 0.15 * MOST_CURVATURE_PER_M


def test_near_the_end_of_a_session_only_what_nothing_could_change_is_known():
    straight = bends_ahead(drive(lambda _: 0.0, speed_mps=11.0))
    way_m = np.arange(len(straight)) * 11 / RATE_HZ
    left_m = way_m[-1] - way_m
    np.testing.assert_array_equal(np.isnan(straight), left_m < HORIZON_M)
    # In full lock nothing sharper can come: known to the last row.
    lock = bends_ahead(drive(lambda _: MOST_CURVATURE_PER_M, speed_mps=11.0))
    assert not np.isnan(lock[:-2]).any()
    # With so much room left full lock would count as much as this bend does.
    bends = bends_ahead(drive(lambda _: 0.08, speed_mps=11.0))
    least_m = (1 / 0.08 - 1 / MOST_CURVATURE_PER_M) / (2 * BRAKING_SHARE)
    np.testing.assert_array_equal(np.isnan(bends), left_m < least_m)


@pytest.mark.parametrize("how", ["session", "gap", "back in time"])
def test_nothing_is_taken_from_beyond_a_gap(how):
    """A bend after the gap says nothing of the rows before it."""
    samples = drive(lambda way_m: 0.1 * (way_m > 60))
    after = samples.index > 89  # 60 m
    if how == "session":
        samples.loc[after, "session"] = 1
    else:
        samples.loc[after, "time_s"] += 0.6 if how == "gap" else -20
    bends = bends_ahead(samples)
    assert np.isnan(bends[60:90]).all() and not np.nan_to_num(bends[:90]).any()
    assert np.isnan(bends_ahead(samples[:90])).sum() == np.isnan(bends[:90]).sum()


def test_of_a_log_without_speed_no_bend_is_known():
    samples = drive(lambda _: 0.05).assign(speed_mph=0.0)
    assert np.isnan(bends_ahead(samples)).all()


def test_rows_keep_their_places_whatever_their_sessions_are():
    first, second = drive(lambda _: 0.03), drive(lambda _: 0.06, session=1)
    both = pd.concat([second, first], ignore_index=True)
    expected = np.concatenate([bends_ahead(second), bends_ahead(first)])
    np.testing.assert_array_equal(bends_ahead(both), expected)
    assert bends_ahead(both).dtype == np.float32


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not here")
@pytest.mark.parametrize(
    ("name", "sharpest_m", "usual_m"), [("lake", 10, 65), ("jungle", 6, 25)]
)
def test_real_tracks_have_the_bends_that_they_have(name, sharpest_m, usual_m):
    """The lake's median radius is 84 m, of what comes within 30 m less; hairpins 10."""
    bends = bends_ahead(usable_samples([read_recording(SHARED / "data" / name, False)]))
    assert np.nanmax(bends) < 1 / sharpest_m
    assert 1 / np.nanmedian(bends) == pytest.approx(usual_m, rel=0.15)
