"""What pages are told of a drive."""

import time

import pytest
from running_drive import STEERING, Drive, picture_of, state_of, telemetry

from common.car import MPS_PER_MPH

STATE_FIELDS = """
    type model simulator track driver steering model_steering person_steering throttle
    speed_mph target_speed_mph planned_speed_mph frames_per_s latency_ms unusable faults
    dropped autonomy_percent interventions distance_m elapsed_s playing you may_steer
    heat_map can_heat_map corrections recording is_ending command message
""".split()
OF_THE_CAR = (
    "steering model_steering person_steering throttle speed_mph planned_speed_mph"
).split()
KNOWN_LATER = ["autonomy_percent", "latency_ms", "playing", "command"]


def test_a_page_is_told_what_to_wait_for_then_shown_the_drive(running, jpegs):
    with running.page() as page:
        state = state_of(page)
        assert sorted(state) == sorted(STATE_FIELDS)
        assert (state["simulator"], state["driver"]) == ("waiting", "model")
        with running.simulator() as client:
            car = Drive(client, jpegs)
            car.frame()
            assert picture_of(page, 1) == car.sent[-1]
            time.sleep(0.1)
            car.frame()
            assert picture_of(page, 1) == car.sent[-1]
            state = state_of(page, lambda s: s["elapsed_s"] > 0)
        assert state["simulator"] == "driving" and state["driver"] == "model"
        assert state["steering"] == state["model_steering"] == STEERING
        assert (state["speed_mph"], state["target_speed_mph"]) == (12, 15)
        assert state["autonomy_percent"] == 100 and state["frames_per_s"] > 0
        assert state["distance_m"] == pytest.approx(
            12 * MPS_PER_MPH * state["elapsed_s"], abs=0.1
        )
        state_of(page, lambda s: s["simulator"] == "waiting")


def test_what_is_not_known_is_told_as_nothing(running, jpegs):
    def unknown(state):
        return {name for name, value in state.items() if value is None}

    with running.page() as page:
        none = {*OF_THE_CAR, *KNOWN_LATER, "recording"}
        assert unknown(state_of(page)) == none
        with running.simulator() as client:
            Drive(client, jpegs).frame()
            state = state_of(page, lambda s: s["speed_mph"] == 12)
            # It has driven for no time yet.
            assert {"person_steering", "playing"} < unknown(state)
            assert not unknown(state) & {"model_steering", "speed_mph", "throttle"}
        # The car has gone: what it does now is not known, what it has done is.
        state = state_of(
            page, lambda s: s["simulator"] == "waiting" and s["latency_ms"]
        )
        assert unknown(state) >= set(OF_THE_CAR)
        assert state["autonomy_percent"] == 100


def test_no_autonomy_is_told_of_a_car_that_has_never_moved(running, car):
    with running.page() as page:
        state = state_of(page)
        # Answers may come so fast that some frames take no time that is told.
        while not state["elapsed_s"] > 0:
            car.frame(speed="0.0000")
            state = state_of(page)
        assert state["autonomy_percent"] is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("lake", "lake"),
        (None, ""),
        (7, ""),
        ("<b>\x1b[2J\u202e", "<b>\\x1b[2J\\u202e"),
        ("x" * 1000, "x" * 40),
    ],
    ids=["embedded", "stock", "number", "hostile", "long"],
)
def test_the_track_is_what_the_simulator_calls_it(running, jpegs, said, shown):
    more = {} if said is None else {"track": said}
    with running.page() as page, running.simulator() as client:
        client.send(telemetry(jpegs[0], **more))
        assert state_of(page, lambda s: s["speed_mph"])["track"] == shown


def test_person_at_the_simulators_own_keys_is_seen(running, car):
    car.frame()
    car.client.send('42["telemetry",null]')
    with running.page() as page:
        state = state_of(page, lambda s: s["simulator"] == "manual")
        assert state["speed_mph"] is None
