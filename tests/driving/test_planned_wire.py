"""Planned speeds over a real socket: the embedded simulator, the page, old models."""

import threading

import numpy as np
import pytest
from running_drive import make_jpegs, next_event, serving, state_of, telemetry

from common.car import MPS_PER_MPH
from network.answer import Answer
from recordings.bends import HORIZON_M, counted
from simulator import client
from simulator.expert import Expert
from simulator.tracks import make_track
from simulator.world import World


class Sight:
    """A model that sees perfectly: it looks at the world, not at the picture."""

    def __init__(self, world):
        self.world, self.seen = world, None
        self.expert = Expert(world.track, sideways_mps2=4.0)
        track, curvature = world.track, np.abs(world.track.curvature_per_m)
        steps = range(int(HORIZON_M / track.spacing_m) + 1)
        self.bends = np.max(
            [counted(np.roll(curvature, -i), i * track.spacing_m) for i in steps],
            axis=0,
        )

    def __call__(self, frame):
        seen = self.seen
        place = int(seen.station_m / self.world.track.spacing_m) % len(self.bends)
        return Answer(self.expert(seen).steering, float(self.bends[place]))


def test_the_simulator_is_driven_as_fast_as_bends_allow_and_always_answered():
    """The first hairpins of the jungle, at 15 frames a simulated second."""
    world = World(make_track("jungle"), cameras=("center",))
    sight = Sight(world)
    sight.seen = world.reset()
    seen = []

    def look(observation):
        sight.seen = observation
        seen.append(observation)

    options = {"predict": sight, "target_mph": 30.0, "sideways_mps2": 4.0}
    with serving(**options) as running, running.page() as page:
        state = state_of(page, lambda s: s["simulator"] == "waiting")
        assert state["planned_speed_mph"] is None
        connection = client.Client(f"http://{running.host}", world)
        connection.world.reset()
        told = []
        listening = threading.Thread(
            target=lambda: told.append(
                state_of(page, lambda s: (s["planned_speed_mph"] or 30) < 20)
            )
        )
        listening.start()
        summary = client.drive(connection, 1, max_simulated_s=40.0, on_frame=look)
        listening.join(10)
        connection.close()
    assert (summary.interventions, running.server.report.faults) == (0, 0)
    assert running.server.report.late == running.server.report.unusable == 0
    assert summary.frames == running.server.report.frames
    speeds_mph = np.array([each.speed_mps for each in seen]) / MPS_PER_MPH
    assert seen[-1].progress_m > 250
    assert speeds_mph.max() > 22 and speeds_mph[150:].min() < 16
    (state,) = told
    assert state["target_speed_mph"] == 30 and state["speed_mph"] is not None


def test_a_page_is_told_the_plan_of_the_frame_and_lowers_its_ceiling():
    (jpeg,) = make_jpegs(1)
    options = {"predict": lambda frame: Answer(0.1, 0.1)}
    with (
        serving(**options, target_mph=30.0, sideways_mps2=4.0) as running,
        running.simulator() as simulator,
        running.page() as page,
    ):
        for _ in range(30):
            simulator.send(telemetry(jpeg, speed="20.0000"))
            name, argument = next_event(simulator)
        assert name == "steer" and float(argument["throttle"]) < 0
        state = state_of(page, lambda s: s["planned_speed_mph"] is not None)
        # sqrt(4 m/s² x 10 m) is 14.1 mph.
        assert state["planned_speed_mph"] == pytest.approx(14.1, abs=0.3)
        page.send('{"type": "speed", "mph": 6}')
        state_of(page, lambda s: s["target_speed_mph"] == 6)
        simulator.send(telemetry(jpeg, speed="20.0000"))
        next_event(simulator)
        state = state_of(page, lambda s: (s["planned_speed_mph"] or 30) <= 6)
        assert state["speed_mph"] == 20


def test_a_bend_that_is_no_number_is_a_fault_answered_with_the_brake():
    (jpeg,) = make_jpegs(1)
    options = {"predict": lambda frame: Answer(0.1, float("nan"))}
    with (
        serving(**options, target_mph=30.0, sideways_mps2=4.0) as running,
        running.simulator() as simulator,
    ):
        simulator.send(telemetry(jpeg, speed="20.0000"))
        _, argument = next_event(simulator)
        assert float(argument["throttle"]) == -1
        assert float(argument["steering_angle"]) == 0
    assert running.server.report.faults == 1


def test_of_a_held_speed_the_page_is_told_no_plan():
    (jpeg,) = make_jpegs(1)
    with serving() as running, running.simulator() as simulator, running.page() as page:
        simulator.send(telemetry(jpeg))
        next_event(simulator)
        state = state_of(page, lambda s: s["speed_mph"] == 12)
        assert state["planned_speed_mph"] is None
