"""Stopping and answering do not depend on other code being well."""

import contextlib
import threading
import time

import pytest
from running_drive import (
    STEERING,
    Drive,
    next_event,
    raw_page,
    serving,
    telemetry,
)
from websockets.exceptions import ConnectionClosed

from driving.corrections import Corrections
from driving.recorder import DriveRecorder
from driving.report import STUCK_S, DriveReport

pytestmark = pytest.mark.alone

BRAKE = ("steer", {"steering_angle": "0.000000", "throttle": "-1.000000"})
STOP = {"steering_angle": 0.0, "throttle": 0.0}


@pytest.fixture
def hung():
    """An event that a model waits for; it is set when the test is over."""
    is_over = threading.Event()
    yield is_over
    is_over.set()


def last_answer(client):
    """Read on to the last answer before the server closes."""
    answer = None
    try:
        while True:
            answer = next_event(client, timeout_s=5)[1]
    except Exception:
        return {name: float(value) for name, value in answer.items()}


# --- Braking --------------------------------------------------------------------------


def test_a_car_brakes_until_it_nearly_stands_and_the_model_steers(running, jpegs):
    with running.simulator() as client:
        car = Drive(client, jpegs)
        car.until(STEERING)
        running.ask_to_stop()
        speeds = [12.0, 8.0, 4.0, 2.0]
        while car.frame(speed="12.0000")["throttle"] != -1:
            time.sleep(0.01)
        for speed in speeds:
            answer = car.frame(speed=f"{speed:.4f}")
            assert answer == {"steering_angle": STEERING, "throttle": -1.0}
            assert running.thread.is_alive()
        assert car.frame(speed="0.5000")["throttle"] == 0
        assert last_answer(client) == STOP
    running.thread.join(5)
    assert not running.thread.is_alive()


def test_a_second_request_ends_the_braking(running, jpegs):
    with running.simulator() as client:
        Drive(client, jpegs).until(STEERING)
        started_s = time.perf_counter()
        running.stop()
        assert time.perf_counter() - started_s < 2
        assert last_answer(client) == STOP


def test_a_car_that_is_not_heard_of_is_braked_for_three_seconds_at_most(running, jpegs):
    with running.simulator() as client:
        Drive(client, jpegs).until(STEERING)
        running.ask_to_stop()
        running.thread.join(6)
        assert not running.thread.is_alive()
        assert last_answer(client) == STOP


def test_a_simulator_that_waits_is_told_last_to_do_nothing(running, jpegs):
    """Its last command would be the brake, which drives a car backwards for ever."""
    with running.simulator() as first, running.simulator() as second:
        Drive(first, jpegs).until(STEERING)
        waiting = Drive(second, jpegs)
        assert waiting.frame(speed="20.0000")["throttle"] == -1
        running.ask_to_stop()
        running._loop.call_soon_threadsafe(running._at_once.set)
        answer = {}
        with contextlib.suppress(ConnectionClosed):
            while True:
                answer = waiting.frame(speed="20.0000")
        assert answer == STOP


def test_with_no_car_it_ends_at_once(running):
    started_s = time.perf_counter()
    running.ask_to_stop()
    running.thread.join(5)
    assert time.perf_counter() - started_s < 2


def test_a_page_that_hangs_at_the_end_is_cut_without_a_word(running, capfd):
    raw = raw_page(running)  # It takes nothing, and answers nothing.
    running.stop()
    raw.close()
    assert "Cancel" not in capfd.readouterr().err


def fail():
    raise OSError("a folder, not a file")


def test_cars_stop_though_the_end_of_the_run_raises(jpegs, caplog):
    with serving(command_of_end=fail) as running, running.simulator() as client:
        Drive(client, jpegs).until(STEERING)
        running.stop()
        assert last_answer(client) == STOP
        assert running.cockpit.command == ""
    assert "a folder, not a file" in caplog.text


def test_a_page_ends_the_run_though_the_end_raises(jpegs, caplog):
    with serving(command_of_end=fail) as running:
        with running.page() as page:
            page.send('{"type": "end"}')
            running.thread.join(5)
        assert not running.thread.is_alive()
    assert "a folder, not a file" in caplog.text


# --- Faults ---------------------------------------------------------------------------


def fail_to_steer(frame):
    raise RuntimeError("no such layer")


@pytest.mark.parametrize(
    "predict", [fail_to_steer, lambda frame: float("nan")], ids=["raises", "nan"]
)
def test_on_a_fault_the_brake_is_let_go_when_the_car_stands(predict, jpegs):
    """A car that stands and is told to brake drives backwards."""
    with serving(predict=predict) as running, running.simulator() as client:
        car = Drive(client, jpegs)
        assert [car.frame(speed=f"{v}.0000")["throttle"] for v in (20, 9, 2)] == [
            -1
        ] * 3
        assert car.frame(speed="0.6000") == STOP
        assert car.frame(speed="0.0000") == STOP


def test_a_car_whose_model_has_never_worked_is_braked_at_the_end(jpegs):
    with serving(predict=fail_to_steer) as running, running.simulator() as client:
        car = Drive(client, jpegs)
        car.frame(speed="20.0000")
        running.ask_to_stop()
        until_s = time.monotonic() + 1
        while time.monotonic() < until_s:
            assert car.frame(speed="10.0000")["throttle"] == -1
        assert car.frame(speed="0.5000") == STOP
        assert last_answer(client) == STOP


# --- The answer deadline --------------------------------------------------------------


def test_a_model_that_hangs_is_answered_for_with_the_brake(jpeg, hung):
    with (
        serving(predict=lambda frame: hung.wait(60) * 0.5) as running,
        running.simulator() as client,
    ):
        for _ in range(3):
            client.send(telemetry(jpeg))
            assert next_event(client, timeout_s=1) == BRAKE
        assert running.server.report.late == 3
        assert running.server.report.frames == 0
        hung.set()
        answers, deadline_s = [], time.monotonic() + 5
        while BRAKE in answers[-1:] or not answers:
            assert time.monotonic() < deadline_s
            client.send(telemetry(jpeg))
            answers.append(next_event(client))
        # What the model made of the first frames came too late, and is dropped.
        assert running.server.report.frames == len(answers) - answers.count(BRAKE) == 1
        assert float(answers[-1][1]["steering_angle"]) == 0.5


def test_a_drive_whose_model_hangs_can_be_ended(jpeg, hung):
    with serving(predict=lambda frame: hung.wait(60) * 0.5) as running:
        with running.simulator() as client:
            client.send(telemetry(jpeg))
            assert next_event(client, timeout_s=1) == BRAKE
            running.ask_to_stop()
            assert last_answer(client) == STOP
        running.thread.join(5)
        assert not running.thread.is_alive()


# --- Disks ----------------------------------------------------------------------------


class Stalling(DriveRecorder):
    """A recorder whose disk stalls in the middle of the first frame."""

    def __init__(self, folder):
        self.goes_on = threading.Event()
        super().__init__(folder)

    def _write_row(self, *row):
        self.goes_on.wait(30)
        super()._write_row(*row)


@pytest.fixture
def stalling(tmp_path, monkeypatch):
    monkeypatch.setattr("driving.recorder.MOST_WAITING", 5)
    monkeypatch.setattr("driving.recorder.CLOSE_WITHIN_S", 0.2)
    recorder = Stalling(tmp_path / "run")
    yield recorder
    recorder.goes_on.set()


def test_a_disk_that_stalls_keeps_no_frame_waiting(stalling, jpegs, caplog):
    with serving(recorder=stalling) as running, running.simulator() as client:
        car = Drive(client, jpegs)
        for _ in range(20):
            started_s = time.perf_counter()
            assert car.steering() == STEERING
            assert time.perf_counter() - started_s < 1
    assert stalling.dropped >= 14
    stalling.close()
    assert "the disk is too slow" in caplog.text
    assert "the disk does not answer" in caplog.text


class Raising(DriveRecorder):
    """A recorder with a mistake of ours in it."""

    def add(self, *_):
        raise RuntimeError("a mistake of ours")


def test_a_recorder_that_raises_is_answered_for_with_the_brake(tmp_path, jpeg):
    with (
        serving(recorder=Raising(tmp_path / "run")) as running,
        running.simulator() as client,
    ):
        for _ in range(3):
            client.send(telemetry(jpeg))
            assert next_event(client, timeout_s=2) == BRAKE
        assert running.server.report.faults == 3 and not running.server.report.frames


def test_corrections_that_cannot_be_written_do_not_disturb_the_drive(
    tmp_path, jpegs, caplog
):
    (tmp_path / "file").write_text("")
    corrections = Corrections(tmp_path / "file" / "taught")
    with (
        serving(corrections=corrections) as running,
        running.page() as page,
        running.simulator() as client,
    ):
        car = Drive(client, jpegs)
        page.send('{"type": "steer", "steering": -0.5}')
        car.frame()
        for _ in range(5):
            car.frame()
    assert "corrections are not written" in caplog.text
    assert corrections.is_empty  # Nothing to train on: no command says so.


# --- A car that stands ----------------------------------------------------------------


def test_a_car_that_stands_at_full_throttle_is_an_intervention():
    report = DriveReport(elapsed_s=60.0)
    num_frames = round(2.5 * STUCK_S / 0.1)
    found = [report.add_standing(0.0, 1.0, 0.1) for _ in range(num_frames)]
    assert sum(found) == report.stuck == report.interventions == 2
    assert report.autonomy_percent() == pytest.approx(80)
    assert "never moved" in DriveReport(frames=1).summary()


def test_a_car_that_is_told_to_stand_or_moves_is_not_stuck():
    report = DriveReport()
    for _ in range(500):
        assert not report.add_standing(0.0, 0.0, 0.1)
        assert not report.add_standing(9.0, 1.0, 0.1)
        report.add_driven(9.0, 0.1)
    assert report.has_moved and "never moved" not in report.summary()
