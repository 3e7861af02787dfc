"""The drive server, over real sockets: every telemetry packet gets its one answer."""

import base64
import logging
import time

import cv2
import numpy as np
import pytest
from running_drive import (
    GERMAN,
    STEERING,
    next_event,
    serving,
    telemetry,
    until_steering,
)


def test_every_packet_gets_one_answer_in_order():
    """The pilot answers each frame with its brightness, so an order can be seen."""
    frames = [np.full((160, 320, 3), 2 * i, np.uint8) for i in range(100)]
    with (
        serving(predict=lambda frame: round(float(frame.mean()) / 255, 3)) as running,
        running.simulator() as client,
    ):
        for frame in frames:
            client.send(telemetry(cv2.imencode(".png", frame)[1].tobytes()))
        answers = [float(next_event(client)[1]["steering_angle"]) for _ in frames]
        with pytest.raises(TimeoutError):
            next_event(client, timeout_s=0.2)
    assert answers == [round(2 * i / 255, 3) for i in range(100)]


def test_a_second_simulator_stands_until_the_first_leaves(running, jpeg, caplog):
    standing = {"steering_angle": "0,000000", "throttle": "0,000000"}
    braking = {"steering_angle": "0,000000", "throttle": "-1,000000"}
    with running.simulator() as second:
        with running.simulator() as first:
            for _ in range(20):
                first.send(telemetry(jpeg))
                assert next_event(first)[1]["steering_angle"] == "0.250000"
                second.send(telemetry(jpeg, **GERMAN))
                assert next_event(second) == ("steer", braking)
                second.send(telemetry(jpeg, **{**GERMAN, "speed": "0,5000"}))
                assert next_event(second) == ("steer", standing)
                second.send('42["telemetry",null]')
                assert next_event(second) == ("steer", standing)
        while running.server.driving:
            time.sleep(0.01)
        second.send(telemetry(jpeg, **GERMAN))
        assert next_event(second)[1]["steering_angle"] == "0,250000"
    assert running.server.report.frames == 21 and not running.server.report.manual
    said = [r.message for r in caplog.records if "a simulator has to wait" in r.message]
    assert len(said) == 1


def test_a_simulator_that_falls_silent_gives_its_turn_away(running, jpeg, monkeypatch):
    monkeypatch.setattr("driving.server.SILENT_S", 0.2)
    with running.simulator() as silent, running.simulator() as other:
        silent.send(telemetry(jpeg))
        until_steering(silent, STEERING)
        time.sleep(0.3)
        other.send(telemetry(jpeg))
        until_steering(other, STEERING)
        silent.send(telemetry(jpeg))
        assert float(next_event(silent)[1]["throttle"]) == -1


def test_more_simulators_than_anybody_drives_are_refused(running, jpeg, monkeypatch):
    monkeypatch.setattr("driving.server.MOST_SIMULATORS", 1)
    with running.simulator() as one, running.simulator() as many:
        for _ in range(3):
            one.send(telemetry(jpeg))
            until_steering(one, STEERING)
            many.send(telemetry(jpeg))
            with pytest.raises(TimeoutError):
                next_event(many, timeout_s=0.2)
    assert running.server.report.frames == 3


def test_null_telemetry_is_one_intervention_however_long(running, jpeg):
    with running.simulator() as client:
        for _ in range(2):
            for _ in range(5):
                client.send('42["telemetry",null]')
                assert next_event(client) == ("manual", {})
            client.send(telemetry(jpeg))
            assert next_event(client)[0] == "steer"
    assert running.server.report.interventions == 2
    assert running.server.report.manual == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"image": base64.b64encode(b"no jpeg").decode()},
        {"image": "@@@"},
        {"image": None},
        {"speed": "NaN"},
        {"speed": None},
        {"speed": [1]},
        {"speed": int("9" * 400)},
        {"speed": {"a": [[[[]]]]}},
    ],
    ids=lambda changes: str(changes)[:20],
)
def test_unusable_telemetry_brakes_and_is_counted(running, jpeg, changes, caplog):
    with running.simulator() as client, caplog.at_level(logging.WARNING):
        for _ in range(3):
            client.send(telemetry(jpeg, **changes))
            argument = next_event(client)[1]
            assert float(argument["steering_angle"]) == 0
            assert float(argument["throttle"]) == -1
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)
    assert running.server.report.unusable == 3
    said = [r for r in caplog.records if "cannot be used" in r.message]
    assert len(said) == 1


def test_empty_object_is_a_person_too_and_other_empty_values_are_not(running):
    with running.simulator() as client:
        for data, name in (("{}", "manual"), ('""', "steer"), ("[]", "steer")):
            client.send(f'42["telemetry",{data}]')
            assert next_event(client)[0] == name


def test_cut_jpeg_brakes(running, jpeg):
    """OpenCV would decode it and fill the rest with grey."""
    with running.simulator() as client:
        client.send(telemetry(jpeg[: len(jpeg) // 2]))
        assert float(next_event(client)[1]["throttle"]) == -1


def test_brake_is_let_go_before_the_car_drives_backwards(running, jpeg, monkeypatch):
    """The brake of a standing car is its reverse gear."""
    monkeypatch.setattr("driving.client.MOST_BRAKING_S", 0.3)
    bad, throttles = telemetry(jpeg, image="@@@"), []
    with running.simulator() as client:
        while not throttles or throttles[-1] != 0:
            client.send(bad)
            throttles.append(float(next_event(client)[1]["throttle"]))
        assert set(throttles[:-1]) == {-1.0}
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)
        client.send(bad)
        assert float(next_event(client)[1]["throttle"]) == -1


def test_frame_of_another_camera_is_driven_by(running):
    small = cv2.imencode(".jpg", np.zeros((66, 200, 3), np.uint8))[1].tobytes()
    with running.simulator() as client:
        client.send(telemetry(small))
        until_steering(client, STEERING)


@pytest.mark.parametrize("answer", [float("nan"), RuntimeError("out of memory")])
def test_fault_of_the_pilot_brakes_and_is_logged_once(jpeg, answer, caplog):
    def predict(frame):
        if isinstance(answer, Exception):
            raise answer
        return answer

    with serving(predict=predict) as running, running.simulator() as client:
        for _ in range(3):
            client.send(telemetry(jpeg))
            assert float(next_event(client)[1]["throttle"]) == -1
    assert running.server.report.faults == 3
    said = [r for r in caplog.records if "the pilot failed" in r.message]
    assert len(said) == 1 and said[0].exc_info


def test_wild_prediction_is_clipped(jpeg):
    with serving(predict=lambda frame: 7.0) as running, running.simulator() as client:
        client.send(telemetry(jpeg))
        assert float(next_event(client)[1]["steering_angle"]) == 1


def test_car_is_stopped_before_the_server_goes(jpeg):
    with serving() as running, running.simulator() as client:
        client.send(telemetry(jpeg, **GERMAN))
        next_event(client)
        running.stop()
        name, argument = next_event(client)
    assert (name, set(argument.values())) == ("steer", {"0,000000"})
