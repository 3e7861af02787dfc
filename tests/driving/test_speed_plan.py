"""Planned speeds: closed forms of the plan, and a car on hills and before bends."""

import argparse
import math

import numpy as np
import pytest

from common.car import BRAKING_SHARE, MPS_PER_MPH, curvature_of, steering_of
from common.errors import InputError
from driving.pilot import Command, Pilot, SpeedController, check_sees_bends, pilot_of
from driving.speed_plan import (
    AUTO,
    LEAST_MPH,
    MOST_GAIN_MPS2,
    SIDEWAYS_MPS2,
    UNSURE_MPH,
    ModelledSpeed,
    SpeedPlan,
    check_limits,
    limits_of,
    speed_of_text,
    speed_words,
)
from evaluation.closed_loop import FRAME_DT_S
from network.answer import Answer
from recordings.bends import HORIZON_M, counted
from simulator.expert import Expert
from simulator.tracks import make_track
from simulator.vehicle import next_speed_mps
from simulator.world import World

FRAME = np.zeros((160, 320, 3), np.uint8)
DT_S = 1 / 15


def settled(plan, bend_per_m, ceiling_mph=30.0, steering=0.0):
    """Return the speed planned once nothing changes any more, in mph."""
    planned = [plan(ceiling_mph, steering, bend_per_m, DT_S) for _ in range(150)]
    return planned[-1]


# --- The plan -------------------------------------------------------------------------


@pytest.mark.parametrize("sideways_mps2", [1.0, 4.0])
@pytest.mark.parametrize("radius_m", [10, 20, 30])
def test_a_bend_is_driven_at_the_pull_that_is_allowed(sideways_mps2, radius_m):
    planned_mph = settled(SpeedPlan(sideways_mps2), 1 / radius_m)
    expected = math.sqrt(sideways_mps2 * radius_m) / MPS_PER_MPH
    assert planned_mph == pytest.approx(expected, rel=1e-3)


def test_the_ceiling_holds_on_the_straight_and_a_least_in_any_bend():
    assert settled(SpeedPlan(), 0.0, 22.0) == pytest.approx(22)
    assert settled(SpeedPlan(), -0.01, 22.0) == pytest.approx(22)
    assert settled(SpeedPlan(0.5), 0.2) == pytest.approx(LEAST_MPH)
    assert settled(SpeedPlan(0.5), 0.2, 2.0) == pytest.approx(2)


def test_a_bend_that_the_network_misses_is_still_that_of_its_steering():
    planned_mph = settled(SpeedPlan(), 0.0, steering=float(steering_of(1 / 15)))
    assert planned_mph == pytest.approx(math.sqrt(4 * 15) / MPS_PER_MPH, rel=1e-3)


def test_out_of_a_bend_the_plan_rises_no_faster_than_a_car():
    plan = SpeedPlan()
    settled(plan, 0.1)
    planned = np.array([plan(30, 0, 0.0, DT_S) for _ in range(60)])
    gain = np.diff(planned) * MPS_PER_MPH / DT_S
    assert gain.max() <= MOST_GAIN_MPS2 + 1e-6 and planned[-1] == pytest.approx(30)


def test_a_single_frame_that_is_taken_for_a_bend_hardly_brakes():
    plan = SpeedPlan()
    settled(plan, 0.0)
    planned = [plan(30, 0, bend, DT_S) for bend in (0.06, 0.0, 0.0)]
    assert min(planned) > 24


@pytest.mark.parametrize(
    ("steering", "bend_per_m"),
    [
        pytest.param([0.0], [0.4], id="sharper than any road"),
        pytest.param([0.0], [-0.1], id="below 0"),
        pytest.param([0.0], [0.0, 0.06], id="bend to and fro"),
        pytest.param([-0.4, 0.4], [0.0], id="steering to and fro"),
    ],
)
def test_unsure_it_drops_to_the_stated_floor_and_comes_back(steering, bend_per_m):
    plan = SpeedPlan(8.0)
    settled(plan, 0.0)
    for i in range(30):
        planned_mph = plan(
            30, steering[i % len(steering)], bend_per_m[i % len(bend_per_m)], DT_S
        )
    assert plan.is_unsure and planned_mph <= UNSURE_MPH
    assert settled(plan, 0.0) == pytest.approx(30) and not plan.is_unsure


@pytest.mark.parametrize("dt_s", [-1.0, 0.0, 1e-6, 60.0])
def test_any_time_between_frames_gives_a_finite_speed_and_throttle(dt_s):
    speed = ModelledSpeed(30, SpeedPlan())
    for bend in (0.0, 0.3, -5.0, 1e30, 0.1):
        throttle = speed(12.0, dt_s, 1.0, bend)
        assert -1 <= throttle <= 1 and math.isfinite(speed.planned_mph)


# --- The car --------------------------------------------------------------------------


def drive(speed, num_frames, grade_of=lambda _: 0.0, bend_of=lambda _: 0.0, mps=0.0):
    """Return way [m], speed [m/s], throttle: the simulator's own car along a line."""
    way_m, rows = 0.0, []
    for _ in range(num_frames):
        throttle = speed(mps / MPS_PER_MPH, DT_S, 0.0, bend_of(way_m))
        for _ in range(8):
            mps = next_speed_mps(mps, throttle, DT_S / 8, grade_of(way_m))
            way_m += mps * DT_S / 8
        rows.append((way_m, mps, throttle))
    return np.array(rows).T


def hairpin(way_m, begins_m=150.0, ends_m=166.0, curvature=0.1):
    """Return the bend of a hairpin of 10 m on a straight, with the way to brake."""
    if way_m >= ends_m:
        return 0.0
    ahead_m = max(0.0, begins_m - way_m)
    return float(counted(curvature, ahead_m)) if ahead_m <= HORIZON_M else 0.0


def test_a_car_brakes_in_time_and_not_early_and_drives_out_again():
    way_m, mps, _ = drive(ModelledSpeed(30, SpeedPlan(4.0)), 450, bend_of=hairpin)
    allowed = math.sqrt(4.0 / 0.1)
    inside = (way_m > 150) & (way_m < 166)
    # The plan is a mean over 0.15 s; the tyres give 10 m/s².
    assert mps[inside].max() < 1.12 * allowed
    assert mps[inside].min() > 0.9 * allowed
    assert mps[(way_m > 80) & (way_m < 115)].min() > 0.97 * 30 * MPS_PER_MPH
    braking = -np.diff(mps)[(way_m[1:] > 120) & (way_m[1:] < 150)].min() / DT_S
    assert 0.8 < braking / (BRAKING_SHARE * 4.0) < 1.7
    assert mps[-1] > 0.97 * 30 * MPS_PER_MPH


def test_in_a_steady_bend_the_throttle_does_not_swing():
    _, mps, throttle = drive(
        ModelledSpeed(30, SpeedPlan(4.0)), 300, bend_of=lambda _: 0.05
    )
    late = slice(120, None)
    assert np.ptp(mps[late]) < 0.05 and np.ptp(throttle[late]) < 0.05


@pytest.mark.parametrize("target_mph", [5, 15, 25, 30])
def test_a_held_speed_is_reached_without_overshoot(target_mph):
    _, mps, _ = drive(ModelledSpeed(target_mph), 600)
    mph = mps / MPS_PER_MPH
    assert mph.max() < target_mph + 0.5
    np.testing.assert_allclose(mph[-150:], target_mph, atol=0.1)


@pytest.mark.parametrize("grade", [0.32, -0.32])
@pytest.mark.parametrize("target_mph", [10, 20])
def test_a_held_speed_is_held_up_and_down_the_steepest_hill(grade, target_mph):
    def grade_of(way_m):
        # From the plain into the hill over 10 m, as the jungle's pieces of road do.
        return grade * min(1.0, max(0.0, (way_m - 100) / 10))

    way_m, mps, _ = drive(ModelledSpeed(target_mph), 600, grade_of)
    error_mph = np.abs(mps / MPS_PER_MPH - target_mph)[way_m > 60]
    assert error_mph.max() < 1.5 and error_mph[-30:].max() < 0.1


def test_a_car_that_was_held_fast_runs_away_no_more_than_from_rest():
    speed = ModelledSpeed(15)
    for _ in range(450):
        speed(0.0, DT_S, 0.0, 0.0)
    _, mps, _ = drive(speed, 200)
    assert mps.max() / MPS_PER_MPH < 16


def test_at_the_top_speed_no_hill_is_felt_and_the_brake_comes_at_once():
    """The cap holds the car back, which is no slope."""
    speed = ModelledSpeed(30, SpeedPlan(4.0))
    for _ in range(300):
        speed(30.19, DT_S, 0.0, 0.0)
    throttles = [speed(30.0, DT_S, 0.0, 0.1) for _ in range(4)]
    assert throttles[1] < -0.4


# --- The pilot ------------------------------------------------------------------------


def commands(pilot, speeds=(0.0, 3.0, 9.0, 14.0, 16.0, 15.2)):
    return [pilot(FRAME, speed_mph, DT_S) for speed_mph in speeds]


def test_a_model_of_steering_alone_is_driven_as_ever_to_the_bit():
    def predict(frame):
        return 0.125

    ever, controller = [], SpeedController(15)
    for speed_mph in (0.0, 3.0, 9.0, 14.0, 16.0, 15.2):
        ever.append(Command(0.125, controller(speed_mph, DT_S)))
    assert commands(pilot_of(predict, 15, None)) == ever
    assert commands(Pilot(predict, SpeedController(15))) == ever
    assert pilot_of(predict, 15, None).planned_mph is None


def test_a_bend_is_planned_by_only_where_a_pull_is_given():
    def predict(frame):
        return Answer(0.1, 0.1)

    planned, held = pilot_of(predict, 30, 4.0), pilot_of(predict, 30, None)
    for _ in range(30):
        slow, fast = planned(FRAME, 20.0, DT_S), held(FRAME, 20.0, DT_S)
    assert slow.throttle < 0 < fast.throttle
    assert planned.planned_mph == pytest.approx(14.1, abs=0.1)
    assert held.planned_mph is None
    planned.set_speed(5)
    planned(FRAME, 20.0, DT_S)
    assert planned.planned_mph <= 5


@pytest.mark.parametrize("answer", [Answer(0.1, math.nan), Answer(math.inf, 0.0)])
def test_nothing_that_is_no_number_reaches_the_car(answer):
    with pytest.raises(ValueError, match="the model answered"):
        pilot_of(lambda frame: answer, 30, 4.0)(FRAME, 10.0, DT_S)


def test_a_model_without_bends_is_refused_in_a_sentence():
    check_sees_bends(lambda frame: Answer(0.0, 0.0), "m")
    with pytest.raises(InputError) as refused:
        check_sees_bends(lambda frame: 0.0, "models/one/model.json")
    assert str(refused.value) == (
        "models/one/model.json: it has no output for bends, which the speed is planned "
        "by (--speed auto, --sideways-mps2); give --speed in mph alone, or teach it "
        "bends: python train.py RECORDING --from MODEL --keep-steering"
    )


# --- What is typed --------------------------------------------------------------------


def test_auto_is_the_top_speed_and_the_usual_pull():
    assert speed_of_text("auto") == AUTO and speed_of_text("12.5") == 12.5
    assert limits_of(AUTO, None) == (30.0, SIDEWAYS_MPS2)
    assert limits_of(AUTO, 2.5) == (30.0, 2.5)
    assert limits_of(20.0, 3.0) == (20.0, 3.0)
    assert limits_of(20.0, None) == (20.0, None)
    assert speed_words(15, None) == "to hold 15 mph"
    with pytest.raises(argparse.ArgumentTypeError, match="neither a number of mph"):
        speed_of_text("fast")


@pytest.mark.parametrize(
    ("speed", "sideways", "said"),
    [
        (AUTO, 9.0, "--sideways-mps2 is 9, expected 0.5 to 8 m/s²"),
        (20.0, 0.0, "--sideways-mps2 is 0, expected 0.5 to 8 m/s²"),
        (20.0, math.nan, "--sideways-mps2 is nan, expected 0.5 to 8 m/s²"),
        (31.0, 4.0, "--speed is 31.0, expected 0 to 30 mph"),
        (math.nan, None, "--speed is nan, expected 0 to 30 mph"),
    ],
)
def test_limits_out_of_range_are_refused(speed, sideways, said):
    with pytest.raises(InputError) as refused:
        check_limits(speed, sideways)
    assert str(refused.value) == said


# --- On the road ----------------------------------------------------------------------


def bends_of(track):
    """Return what a network that sees perfectly would answer at each sample."""
    curvature, spacing_m = np.abs(track.curvature_per_m), track.spacing_m
    return np.max(
        [
            counted(np.roll(curvature, -i), i * spacing_m)
            for i in range(int(HORIZON_M / spacing_m) + 1)
        ],
        axis=0,
    )


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_jungle_is_driven_nearly_as_fast_as_by_the_expert(direction):
    """With perfect sight, on 600 m of hairpins and climbs of 32 %, no pictures."""
    track = make_track("jungle")
    track = track.reversed() if direction == "reverse" else track
    bends = bends_of(track)

    def first_600_m(throttle_of):
        world, expert = World(track, cameras=()), Expert(track, sideways_mps2=4.0)
        seen, sideways = world.reset(), []
        while seen.progress_m < 600:
            assert seen.time_s < 120 and not (seen.off_road or seen.collision)
            control = expert(seen)
            sideways.append(seen.speed_mps**2 * abs(curvature_of(seen.steering)))
            seen = world.step(control.steering, throttle_of(seen, control))
        return seen.time_s, np.percentile(sideways, 95)

    speed = ModelledSpeed(30, SpeedPlan(4.0))

    def planned(seen, control):
        bend = float(bends[int(seen.station_m / track.spacing_m) % len(bends)])
        return speed(seen.speed_mps / MPS_PER_MPH, FRAME_DT_S, control.steering, bend)

    time_s, sideways_mps2 = first_600_m(planned)
    expert_s, of_expert_mps2 = first_600_m(lambda _, control: control.throttle)
    assert time_s < 1.15 * expert_s
    assert sideways_mps2 < 1.15 * of_expert_mps2
