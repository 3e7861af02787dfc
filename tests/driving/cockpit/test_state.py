"""What pages are told of a drive."""

import time

import pytest
from running_drive import STEERING, Drive, picture_of, state_of

from common.car import MPS_PER_MPH

STATE_FIELDS = """
    type simulator driver steering model_steering person_steering throttle speed_mph
    target_speed_mph frames_per_s latency_ms unusable faults dropped autonomy_percent
    interventions distance_m elapsed_s you may_steer heat_map corrections recording
    command message
""".split()


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


def test_person_at_the_simulators_own_keys_is_seen(running, car):
    car.frame()
    car.client.send('42["telemetry",null]')
    with running.page() as page:
        state_of(page, lambda s: s["simulator"] == "manual")
