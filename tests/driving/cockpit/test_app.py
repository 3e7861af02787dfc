"""The cockpit's server: pages and a simulator over real sockets."""

import socket
import time
from contextlib import ExitStack

import pytest
from running_drive import (
    STEERING,
    Drive,
    held,
    next_event,
    picture_of,
    raw_page,
    say,
    serving,
    state_of,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from driving.cockpit.app import MOST_MESSAGES_PER_S, MOST_PAGES

# --- Files ----------------------------------------------------------------------------


def test_files_of_the_page_come_with_a_policy_that_allows_nothing_from_elsewhere(
    running,
):
    for path, kind in (
        ("/", "text/html"),
        ("/cockpit.css", "text/css"),
        ("/cockpit.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ):
        answer, content = running.get(path)
        assert answer.status == 200 and answer.getheader("content-type").startswith(
            kind
        )
        assert content and b"https://" not in content.replace(b'https:"', b"")
        policy = answer.getheader("content-security-policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        answer, nothing = running.get(path, method="HEAD")
        assert nothing == b"" and int(answer.getheader("content-length")) == len(
            content
        )
    assert running.get("/", method="POST")[0].status == 405
    assert running.get("/../cockpit.py")[0].status == 404


# --- Taking over ----------------------------------------------------------------------


def is_steering(state):
    return state["you"] == "steering"


def test_the_next_frame_is_answered_with_the_persons_steering(running, car):
    with running.page() as page:
        assert car.steering() == STEERING
        for steering in (-1.0, -0.125, 0.5):
            say(page, "steer", steering=steering)
            # The page knows that it steers once the message has been read.
            state_of(page, is_steering)
            assert car.steering() == steering
            say(page, "release")
            state_of(page, lambda s: not is_steering(s))
            assert car.steering() == STEERING


def test_model_and_pictures_go_on_while_a_person_drives(running, car):
    with running.page() as page, held(page, -0.5):
        car.until(-0.5)
        state = state_of(page, lambda s: s["driver"] == "person")
        assert picture_of(page, 1) in car.sent
        assert (state["steering"], state["person_steering"]) == (-0.5, -0.5)
        assert state["model_steering"] == STEERING
        state_of(page, lambda s: s["interventions"] == 1 and s["autonomy_percent"] == 0)


def test_a_person_beyond_full_lock_is_at_full_lock(running, car):
    with running.page() as page, held(page, 7):
        car.until(1.0)


def test_silence_gives_the_wheel_back(running, car):
    with running.page() as page:
        with held(page, -0.5):
            car.until(-0.5)
        car.until(STEERING)
        assert page.recv(timeout=10)


def test_a_page_that_is_killed_gives_the_wheel_back_at_once(running, car):
    with running.page() as page, held(page, -0.5):
        car.until(-0.5)
        page.socket.shutdown(socket.SHUT_RDWR)
        while running.cockpit.pages:
            time.sleep(0.001)
        assert car.steering() == STEERING


def test_a_page_that_is_reloaded_while_it_steers_finds_the_model_driving(running, car):
    with running.page() as page, held(page, -0.5):
        car.until(-0.5)
    with running.page() as page:
        assert state_of(page)["you"] == "watching"
        assert car.steering() == STEERING


def test_one_page_steers_at_a_time(running, car):
    with running.page() as first, running.page() as second:
        with held(first, -0.5):
            car.until(-0.5)
            state_of(first, is_steering)
            state = state_of(second, lambda s: not s["may_steer"])
            assert (state["driver"], state["you"]) == ("person", "watching")
            with held(second, 1.0):
                assert {car.steering() for _ in range(10)} == {-0.5}
            say(second, "release")
            assert car.steering() == -0.5
        say(first, "release")
        state_of(second, lambda s: s["may_steer"])
        with held(second, 1.0):
            car.until(1.0)


def test_stop_brakes_and_holds_and_go_drives_on(running, car):
    with running.page() as page:
        assert car.frame()["throttle"] > 0
        say(page, "stop")
        state_of(page, lambda s: s["driver"] == "stop")
        assert car.frame() == {"steering_angle": STEERING, "throttle": -1}
        assert car.frame(speed="0.4000")["throttle"] == 0
        say(page, "go")
        state_of(page, lambda s: s["driver"] != "stop")
        assert car.frame()["throttle"] > 0


def test_speed_that_a_page_sets_is_held(running, car):
    with running.page() as page:
        assert car.frame()["throttle"] > 0
        for mph, expected in ((9, 9), (99, 30), (-1, 0)):
            say(page, "speed", mph=mph)
            state_of(page, lambda s, e=expected: s["target_speed_mph"] == e)
            assert (car.frame()["throttle"] > 0) == (expected > 12)


def test_end_stops_the_car_and_says_what_to_do_next(jpegs):
    with (
        serving(command_of_end=lambda: "python train.py") as running,
        running.simulator() as client,
        running.page() as page,
    ):
        car = Drive(client, jpegs)
        assert car.frame()["throttle"] > 0
        say(page, "end")
        state = state_of(page, lambda s: s["command"] is not None)
        assert (state["command"], state["driver"]) == ("python train.py", "stop")
        assert set(next_event(client)[1].values()) == {"0.000000"}
        running.thread.join(10)
        assert not running.thread.is_alive()


def test_no_page_drives_on_while_the_run_comes_to_its_end(jpegs):
    with (
        serving() as running,
        running.simulator() as client,
        running.page() as page,
    ):
        car = Drive(client, jpegs)
        assert car.frame()["throttle"] > 0
        running.ask_to_stop()
        state_of(page, lambda s: s["is_ending"])
        say(page, "go")
        say(page, "speed", mph=9)
        state_of(page, lambda s: s["target_speed_mph"] == 9)
        assert car.frame()["throttle"] == -1


# --- Hostile pages --------------------------------------------------------------------


def test_a_page_that_takes_no_pictures_cannot_steer(running, jpegs, monkeypatch):
    """It says that it steers, as before, and sees nothing of where."""
    monkeypatch.setattr("driving.cockpit.app.BLIND_S", 0.1)
    mask = b"\0\0\0\0"
    text = b'{"type":"steer","steering":-0.5}'
    steer = bytes([0x81, 0x80 | len(text)]) + mask + text
    with running.simulator() as client, raw_page(running) as raw:
        car = Drive(client, jpegs)
        deadline = time.monotonic() + 4.5  # Then it would be dropped.
        while car.steering() != -0.5:
            raw.sendall(steer)
            time.sleep(0.02)
            assert time.monotonic() < deadline
        while car.steering() != STEERING:
            raw.sendall(steer)
            time.sleep(0.02)
            assert time.monotonic() < deadline
        (page,) = running.cockpit.pages.values()
        raw.sendall(steer)
        assert car.steering() == STEERING and page.number in running.cockpit.pages


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "http://127.0.0.1",
        "https://{host}",
        "http://{host}.example",
        "null",
        None,
    ],
    ids=str,
)
def test_a_page_of_another_origin_is_refused_and_that_is_logged_once(
    running, car, origin, caplog
):
    """A page on the web must neither watch nor steer, nor a program without origin."""
    if origin is not None:
        origin = origin.format(host=running.host)
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{running.host}/cockpit", origin=origin).__enter__()
        assert refused.value.response.status_code == 403
        assert b"another origin" in refused.value.response.body
    said = [r for r in caplog.records if "another origin" in r.message]
    assert len(said) == 1 and running.cockpit.refused.total() == 3
    assert car.steering() == STEERING


def test_the_token_is_asked_for_where_there_is_one(jpegs):
    with serving(token="right") as running, running.simulator() as client:
        for query in ("", "?token=", "?token=wrong", "?token=ri%67hx", "?token=%ff"):
            assert running.get(f"/{query}")[0].status == 403
            with pytest.raises(InvalidStatus, match="403"):
                running.page(query).__enter__()
        assert running.get("/?token=right")[0].status == 200
        with running.page("?token=right") as page:
            assert state_of(page)["simulator"] == "waiting"
        assert Drive(client, jpegs).steering() == STEERING


def test_more_pages_than_are_served_are_refused(running, car):
    with ExitStack() as stack:
        pages = [stack.enter_context(running.page()) for _ in range(MOST_PAGES)]
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="503"):
                running.page().__enter__()
        car.frame()
        for page in pages:
            state_of(page, lambda s: s["simulator"] == "driving")


def test_too_many_messages_cost_their_connection_and_nothing_else(running, car, caplog):
    with running.page() as other:
        with running.page() as page, pytest.raises(ConnectionClosed):
            for _ in range(3 * MOST_MESSAGES_PER_S):
                say(page, "release")
            while page.recv(timeout=10):
                pass
        assert car.steering() == STEERING
        assert state_of(other)
    assert len([r for r in caplog.records if "messages a second" in r.message]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "3",
        "null",
        '"steer"',
        "{}",
        '{"type": "dance"}',
        '{"type": []}',
        '{"type": "steer"}',
        '{"type": "steer", "steering": "1"}',
        '{"type": "steer", "steering": true}',
        '{"type": "steer", "steering": NaN}',
        '{"type": "steer", "steering": -Infinity}',
        '{"type": "steer", "steering": 1e999}',
        '{"type": "steer", "steering": ' + "9" * 900 + "}",
        '{"type": "speed", "mph": null}',
        '{"type": "heat_map"}',
        '{"type": "seek", "at_s": 1}',
        "[" * 1000,
        b"\x01\x02",
    ],
    ids=lambda text: str(text)[:32],
)
def test_messages_that_say_nothing_change_nothing(running, car, text, caplog):
    with running.page() as page:
        for _ in range(3):
            page.send(text)
        say(page, "speed", mph=7)
        state = state_of(page, lambda s: s["target_speed_mph"] == 7)
        assert state["you"] == "watching" and car.steering() == STEERING
    assert len([r for r in caplog.records if "none of the protocol" in r.message]) == 1
