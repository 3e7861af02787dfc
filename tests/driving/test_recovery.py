"""Backing out: when, which way, how often; on the wire, and against a real wall."""

import math
import time

import numpy as np
import pytest
from running_drive import make_jpegs, next_event, serving, telemetry

from common.car import MPS_PER_MPH
from driving.pilot import Command, pilot_of
from driving.recovery import (
    BACK_M,
    IS_FREE_M,
    MOST_ATTEMPTS,
    MOST_BACK_S,
    STANDS_S,
    Recovery,
)
from simulator.tracks import make_track
from simulator.world import FRAME_DT_S, World

DT_S = 1 / 15
DRIVE = Command(0.3, 0.8)


def told(recovery, num_frames, command=DRIVE, speed_mph=0.0):
    return [recovery(command, speed_mph, DT_S) for _ in range(num_frames)]


def test_a_car_that_stands_with_its_throttle_open_is_backed_with_opposite_lock():
    recovery = Recovery()
    frames = told(recovery, round(STANDS_S / DT_S) + 2)
    assert frames[: round(STANDS_S / DT_S) - 1] == [DRIVE] * (
        round(STANDS_S / DT_S) - 1
    )
    assert frames[-1] == Command(-1.0, -1.0) and recovery.attempts == 1
    left = Recovery()
    assert told(left, 40, Command(-0.3, 0.8))[-1].steering == 1
    straight = Recovery()
    assert told(straight, 40, Command(0.01, 0.8))[-1].steering == 0


@pytest.mark.parametrize(
    ("command", "speed_mph"), [(Command(0.3, 0.0), 0.0), (DRIVE, 5.0)]
)
def test_a_car_that_is_to_stand_or_drives_is_left_alone(command, speed_mph):
    recovery = Recovery()
    assert told(recovery, 300, command, speed_mph) == [command] * 300
    assert recovery.attempts == 0


def test_it_drives_on_when_it_has_backed_so_far_or_for_so_long():
    recovery = Recovery()
    told(recovery, 40)
    assert recovery.is_backing
    speed_mph = 4.0
    frames = told(recovery, 60, speed_mph=speed_mph)
    num_back = sum(each.throttle < 0 for each in frames)
    step_m = speed_mph * MPS_PER_MPH * DT_S
    assert num_back == pytest.approx(BACK_M / step_m, abs=1) and frames[-1] == DRIVE
    blocked = Recovery()
    frames = told(blocked, 33 + round(MOST_BACK_S / DT_S))
    assert not blocked.is_backing and frames[-1] == DRIVE


def test_after_some_attempts_in_a_row_it_is_left_until_it_has_come_free():
    recovery = Recovery()
    told(recovery, 2000)
    assert recovery.attempts == MOST_ATTEMPTS and not recovery.is_backing
    told(recovery, math.ceil(IS_FREE_M / (20 * MPS_PER_MPH * DT_S)) + 1, DRIVE, 20.0)
    told(recovery, 40)
    assert recovery.attempts == MOST_ATTEMPTS + 1


def test_a_reset_ends_it_at_once():
    recovery = Recovery()
    told(recovery, 40)
    recovery.reset()
    assert recovery(DRIVE, 0.0, DT_S) == DRIVE


# --- Against a wall -------------------------------------------------------------------


def test_a_car_against_the_wall_of_the_bridge_comes_off_it_and_drives_on():
    """Nobody puts it back, as with the stock simulator."""
    track = make_track("lake")
    bridge = np.flatnonzero(track.on_bridge)
    world = World(track, cameras=())
    seen = world.reset(
        station_m=float(bridge[len(bridge) // 3] * track.spacing_m),
        lateral_m=2.6,
        heading_error_rad=-0.9,
        speed_mps=4.0,
    )
    hit_at_m, recovery, hits = None, Recovery(), 0

    def steer_to_the_middle(frame):
        # A model that sees where it is, and no more: it cannot turn on the spot.
        wanted = -0.15 * seen.cross_track_error_m + 0.9 * seen.heading_error_rad
        return float(np.clip(wanted, -1, 1))

    pilot = pilot_of(steer_to_the_middle, 10, None)
    for _ in range(round(20 / FRAME_DT_S)):
        speed_mph = seen.speed_mps / MPS_PER_MPH
        command = recovery(pilot(None, speed_mph, FRAME_DT_S), speed_mph, FRAME_DT_S)
        seen = world.step(command.steering, command.throttle)
        hits += bool(seen.collision)
        hit_at_m = seen.progress_m if hit_at_m is None and seen.collision else hit_at_m
    assert hit_at_m is not None and 1 <= recovery.attempts <= 2
    assert seen.progress_m > hit_at_m + 30
    assert abs(seen.cross_track_error_m) < 2 and abs(seen.heading_error_rad) < 0.3


# --- Over the wire --------------------------------------------------------------------


def answers(simulator, seconds, speed="0.0000"):
    """Send frames of a car at this speed for so long; return what each is told."""
    (jpeg,) = make_jpegs(1)
    said, until_s = [], time.monotonic() + seconds
    while time.monotonic() < until_s:
        simulator.send(telemetry(jpeg, speed=speed))
        name, argument = next_event(simulator)
        assert name == "steer"
        said.append((float(argument["steering_angle"]), float(argument["throttle"])))
    return said


def test_a_standing_simulator_is_backed_out_counted_and_every_frame_answered():
    with serving() as running, running.simulator() as simulator:
        said = answers(simulator, STANDS_S + 1.0)
        assert (-1.0, -1.0) in said and said[0][1] > 0.2
        report = running.server.report
        assert report.recoveries == 1 and report.frames == len(said)
        # It moves again, and the model drives it.
        far = answers(simulator, 1.5, speed="9.0000")
        assert far[-1][0] == pytest.approx(0.25) and far[-1][1] > 0
    assert report.document()["recoveries"] == 1
    assert "backed out 1 time where it stood, and drove on by itself" in (
        report.summary().replace("\n  ", " ")
    )


def test_a_person_and_the_brake_come_before_it():
    with serving() as running, running.simulator() as simulator:
        running.server.wheel.stop()
        assert set(answers(simulator, STANDS_S + 0.5)) == {(0.25, 0.0)}
        running.server.wheel.go()
        said = answers(simulator, STANDS_S + 0.5)
        assert said[-1] == (-1.0, -1.0)
        running.server.wheel.stop()
        assert answers(simulator, 0.3)[-1] == (0.25, 0.0)
    assert running.server.report.recoveries == 1


def test_with_no_backing_out_it_is_left_where_it_is():
    with serving(recovers=False) as running, running.simulator() as simulator:
        said = answers(simulator, STANDS_S + 1.0)
        assert min(throttle for _, throttle in said) > 0
    assert running.server.report.recoveries == 0
    assert "recoveries" in running.server.report.document()
