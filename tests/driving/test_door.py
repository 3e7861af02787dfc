"""What connections may leave unfinished, how loud they may be, and who makes room."""

import socket
import struct
import time
from contextlib import ExitStack, contextmanager, suppress

import psutil
import pytest
from hostile_client import MASK, POLLING, WEBSOCKET, frame, request
from running_drive import STEERING, next_event, telemetry, until_steering
from websockets.sync.client import connect

from driving.door import MOST_CONNECTIONS
from driving.server import MOST_SIMULATORS
from driving.sessions import MOST_UNREAD

pytestmark = pytest.mark.alone

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@contextmanager
def connected(running, sent=b""):
    """A bare connection that has sent something."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as raw:
        raw.sendall(sent)
        yield raw


@contextmanager
def websocket(running, sent=b"", path=WEBSOCKET):
    with connected(running, request(path, more=UPGRADE)) as raw:
        assert b" 101 " in raw.recv(1000)
        raw.sendall(sent)
        yield raw


def is_closed_within(raw, seconds):
    """Read on; say whether the other end closes in time."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            raw.settimeout(max(0.01, deadline - time.monotonic()))
            if not raw.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def ask(running, path, method="GET", more="", body=b""):
    """Return what is answered to one request on a connection of its own."""
    more += "Connection: close\r\n"
    with connected(running, request(path, method, more) + body) as raw:
        return b"".join(iter(lambda: raw.recv(65536), b""))


def open_session(running, more=""):
    answer = ask(running, POLLING, more=more)
    return answer.split(b'"sid":"')[1].split(b'"')[0].decode()


def post(running, session, body):
    more = f"Content-Length: {len(body)}\r\n"
    return ask(running, f"{POLLING}&sid={session}", "POST", more, body)


# --- Bytes in flight ------------------------------------------------------------------


def test_unfinished_messages_of_many_take_no_memory_and_the_car_drives_on(running, car):
    process = psutil.Process()
    car.frame()
    resident = process.memory_info().rss
    begun = b"\x81\xff" + struct.pack(">Q", 95_000_000) + MASK + b'42["telemetry",'
    with ExitStack() as stack:
        sockets = [stack.enter_context(websocket(running, begun)) for _ in range(12)]
        for raw in sockets:
            for _ in range(30):
                raw.sendall(bytes(1_000_000))
            assert car.steering() == STEERING
        assert process.memory_info().rss - resident < 60e6
    assert process.memory_info().rss - resident < 60e6


@pytest.mark.parametrize("content", [b"", b"a" * 1016], ids=["empty", "full"])
def test_a_message_of_endless_fragments_takes_no_memory(running, car, content):
    process = psutil.Process()
    car.frame()
    resident = process.memory_info().rss
    piece = frame(0, content, final=False) * (65536 // (len(content) + 8))
    with websocket(running, frame(1, b"42", final=False)) as raw:
        with suppress(OSError):  # It is closed where that takes too long.
            for _ in range(60):
                raw.sendall(piece)
        assert car.steering() == STEERING
        assert process.memory_info().rss - resident < 20e6


def test_all_that_is_unfinished_is_bounded_and_the_driving_simulator_stays(
    running, car, jpeg, monkeypatch, caplog
):
    monkeypatch.setattr("driving.door.MOST_UNFINISHED_BYTES", 1_000_000)
    text = telemetry(jpeg, more="a" * 900_000).encode()
    car.frame()
    raw = car.client.socket
    raw.sendall(frame(1, text)[:-10])  # Of the simulator that drives.
    with ExitStack() as stack:
        others = [
            stack.enter_context(websocket(running, frame(1, bytes(250_000))[:-10]))
            for _ in range(3)
        ]
        assert any(is_closed_within(other, 2) for other in others)
    raw.sendall(frame(1, text)[-10:])
    until_steering(car.client, STEERING)
    said = [r for r in caplog.records if "unfinished messages" in r.message]
    assert len(said) == 1


def test_a_long_message_of_one_that_waits_is_answered(running, car, jpeg):
    car.frame()
    with running.simulator() as other:
        for size in (300_000, 3_000_000, 30_000_000):
            other.send(telemetry(jpeg, image="A" * size))
            assert next_event(other)[0] == "steer"
    assert car.steering() == STEERING


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        request("/", "POST", "Content-Length: 900000\r\n"),
        request("/", "POST", "Transfer-Encoding: chunked\r\n") + b"5\r\n",
    ],
    ids=["head", "body", "chunk"],
)
def test_a_request_that_trickles_in_is_closed(running, car, monkeypatch, begun):
    monkeypatch.setattr("driving.door.FIRST_REQUEST_S", 0.5)
    with connected(running, begun) as raw:
        until_s = time.monotonic() + 10
        with pytest.raises(OSError):
            while time.monotonic() < until_s:
                raw.sendall(b"a")
                assert car.steering() == STEERING
                time.sleep(0.05)
        assert time.monotonic() < until_s


def test_a_body_of_a_session_that_trickles_in_is_closed(running, monkeypatch):
    monkeypatch.setattr("driving.door.FIRST_REQUEST_S", 0.5)
    head = request(
        f"{POLLING}&sid={open_session(running)}", "POST", "Content-Length: 900000\r\n"
    )
    with connected(running, head + b"a" * 100_000) as raw:
        assert is_closed_within(raw, 5)


@pytest.mark.parametrize(
    "begun",
    [frame(1, b"4", False), frame(1, bytes(99))[:-9]],
    ids=["message", "frame"],
)
def test_a_message_that_is_not_finished_is_closed(running, car, monkeypatch, begun):
    monkeypatch.setattr("driving.door.FIRST_REQUEST_S", 0.5)
    with websocket(running, begun) as raw:
        assert is_closed_within(raw, 5)
    assert car.steering() == STEERING


# --- Time to CONNECT ------------------------------------------------------------------


def test_a_websocket_that_says_nothing_is_closed_and_simulators_stay(
    running, jpeg, monkeypatch
):
    """Also the one that stands in a pause, and the one that waits for its turn."""
    monkeypatch.setattr("driving.door.CONNECT_WITHIN_S", 1.0)
    with (
        running.simulator() as driving,
        running.simulator() as waiting,
        running.simulator() as modern,
        running.page() as page,
        websocket(running) as silent,
        websocket(running) as pinging,
    ):
        driving.send(telemetry(jpeg))
        next_event(driving)
        waiting.send(telemetry(jpeg))
        next_event(waiting)
        modern.send("40")
        pinging.sendall(frame(1, b"2"))
        assert is_closed_within(silent, 5) and is_closed_within(pinging, 5)
        time.sleep(1)
        for client in (driving, waiting, modern):
            client.send(telemetry(jpeg))
            assert next_event(client)[0] == "steer"
        page.ping().wait(5)


def test_a_websocket_that_takes_up_a_session_and_says_nothing_ends_with_it(
    running, monkeypatch
):
    monkeypatch.setattr("driving.door.CONNECT_WITHIN_S", 1.0)
    session = open_session(running)
    with websocket(running, path=f"{WEBSOCKET}&sid={session}") as raw:
        again = request(f"{WEBSOCKET}&sid={session}", more=UPGRADE)
        with connected(running, again) as second:
            answer = second.recv(1000)
        assert b" 400 " in answer
        assert is_closed_within(raw, 5)


# --- Messages a second ----------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        frame(1, b"2") * 2000,
        frame(9) * 2000,
        frame(10) * 2000,
        frame(1, b"hello") * 2000,
        frame(1, b'42["telemetry",null]') * 500,
        frame(1, b'42["telemetry",{"image":"' + b"a" * 20_000 + b'"}]'),
    ],
    ids=["pings", "control-pings", "pongs", "junk", "manual", "telemetry"],
)
def test_a_flood_from_beside_does_not_hold_the_answer(running, car, piece):
    car.frame()
    with ExitStack() as stack:
        floods = [stack.enter_context(websocket(running)) for _ in range(4)]
        for raw in floods:
            raw.setblocking(False)
        slowest_s = 0.0
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            for raw in floods:
                try:
                    raw.send(piece * 20)
                except BlockingIOError:
                    pass
                except OSError:
                    raw.close()
            sent_s = time.monotonic()
            assert car.steering() == STEERING
            slowest_s = max(slowest_s, time.monotonic() - sent_s)
    # Whoever floods was heard in turn with all others: it took seconds.
    assert slowest_s < 0.5


def test_requests_without_end_in_one_piece_are_not_all_answered(running, car):
    car.frame()
    with connected(running, request("/") * 1000) as raw:
        assert is_closed_within(raw, 5)
    assert car.steering() == STEERING


def test_who_reads_no_answer_is_not_read_either(running, car, monkeypatch):
    monkeypatch.setattr("driving.door.UNREAD_S", 1.0)
    process = psutil.Process()
    car.frame()
    resident = process.memory_info().rss
    with websocket(running) as raw:
        raw.settimeout(5)
        with pytest.raises(OSError):  # Nothing is taken any more, then it is closed.
            for _ in range(10_000):
                raw.sendall(frame(9, bytes(125)) * 1000)
        assert car.steering() == STEERING
    assert process.memory_info().rss - resident < 20e6


# --- Who makes room -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [connected, websocket])
def test_connections_that_do_nothing_make_room_for_a_simulator(
    running, car, jpeg, kind, monkeypatch
):
    monkeypatch.setattr("driving.door.GRACE_S", 0.2)
    car.frame()
    with running.page() as page, ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS - 2):
            stack.enter_context(kind(running))
        time.sleep(0.3)
        with running.simulator() as late:
            late.send(telemetry(jpeg))
            assert next_event(late)[0] == "steer"
        assert car.steering() == STEERING
        page.ping().wait(5)


def test_simulators_that_say_nothing_make_room_for_one_that_drives(
    running, jpeg, monkeypatch
):
    monkeypatch.setattr("driving.server.SILENT_S", 0.2)
    with ExitStack() as stack:
        for _ in range(MOST_SIMULATORS):
            raw = stack.enter_context(websocket(running, frame(1, b"40")))
            while b'40{"sid"' not in raw.recv(1000):
                pass
        time.sleep(0.3)
        with running.simulator() as client:
            client.send(telemetry(jpeg))
            until_steering(client, STEERING)
        assert len(running.server.clients) <= MOST_SIMULATORS


# --- Sessions -------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_page_of_another_site_shows_is_refused(running, site, caplog):
    """An <img> names no origin; browsers say by this what asks for it."""
    more = f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: no-cors\r\n"
    more += "Sec-Fetch-Dest: image\r\n"
    for path in (POLLING, "/", "/panel.js"):
        assert b" 403 " in ask(running, path, more=more)
    assert not running.server.socketio.eio.sockets
    assert len([r for r in caplog.records if "another site" in r.message]) == 1
    link = f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Dest: document\r\n"
    assert b" 200 " in ask(running, "/", more=link)
    assert b" 403 " in ask(running, POLLING, more=link)
    own = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: empty\r\n"
    assert b" 200 " in ask(running, POLLING, more=own)


def test_pictures_of_pages_leave_few_sessions_and_no_simulator_is_locked_out(
    running, jpeg, monkeypatch
):
    """As an old browser asks for them, which does not say what for."""
    monkeypatch.setattr("driving.sessions.MOST_UNCONNECTED", 16)
    monkeypatch.setattr("driving.sessions.CONNECT_BY_POLLING_S", 1.0)
    # However slow the machine is, it asks faster.
    monkeypatch.setattr("driving.sessions.NEW_PER_S", 1)
    sessions = running.server.socketio.eio.sockets
    answers = [ask(running, POLLING) for _ in range(300)]
    assert len(sessions) <= 16
    assert b" 503 " in answers[-1] and b" 200 " in answers[0]
    with running.simulator() as client:
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)
        deadline = time.monotonic() + 10
        while len(sessions) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_client_that_posts_and_never_polls_is_ended(running):
    session = open_session(running)
    assert b" 200 " in post(running, session, b"40")
    packets = b"\x1e".join([b'42["telemetry",null]'] * 16)
    answers = [post(running, session, packets) for _ in range(MOST_UNREAD // 16 + 2)]
    assert b" 200 " in answers[0] and b" 400 " in answers[-1]
    assert session not in running.server.socketio.eio.sockets
    assert not running.server.clients


def test_an_upgrade_that_is_none_is_refused_in_one_line(running, caplog):
    """Of two Connection headers, uvicorn reads the last and python-engineio both."""
    session = open_session(running)
    answer = ask(running, f"{WEBSOCKET}&sid={session}", more=UPGRADE)
    assert b" 400 " in answer and not caplog.records


def test_a_session_that_there_is_not_is_refused_before_its_body_is_read(running):
    more = "Content-Length: 900000\r\n"
    head = request(f"{POLLING}&sid=none", "POST", more)
    with connected(running, head) as raw:
        assert b" 400 " in raw.recv(1000)


def test_all_is_back_when_they_are_gone(running, car, jpeg):
    car.frame()
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(websocket(running, frame(1, b"40")))
            stack.enter_context(connected(running, b"GET / HT"))
    deadline = time.monotonic() + 10
    while (
        len(running.server.clients) > 1 or len(running.server.socketio.eio.sockets) > 1
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with connect(running.url) as client:
        client.send(telemetry(jpeg))
        assert next_event(client)[0] == "steer"
