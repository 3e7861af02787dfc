"""The cockpit's server: pages and a simulator over real sockets."""

import asyncio
import base64
import http.client
import json
import logging
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from common.errors import InputError
from driving.cockpit.app import MOST_MESSAGES_PER_S, MOST_PAGES, Cockpit
from driving.cockpit.heat_map import HeatMap, clear_picture
from driving.cockpit.playback import play, read_frames
from driving.corrections import Corrections, train_command
from driving.dialect import listen
from driving.pilot import Pilot, SpeedController
from driving.port import MOST_CONNECTIONS
from driving.server import DriveServer, serve
from recordings.recording import read_recording

# Of the model; no hand of these tests steers like it.
STEERING = 0.25
STATE_FIELDS = """
    type simulator driver steering model_steering person_steering throttle speed_mph
    target_speed_mph frames_per_s latency_ms unusable faults dropped autonomy_percent
    interventions distance_m elapsed_s you may_steer heat_map corrections recording
    command message
""".split()


class Running:
    """A real drive server with its cockpit on a free port, in a thread of its own."""

    def __init__(self, corrections=None, **of_cockpit):
        self.server = DriveServer(
            lambda: Pilot(lambda frame: STEERING, SpeedController(15.0)),
            corrections=corrections,
        )
        self.cockpit = Cockpit(self.server, **of_cockpit)
        listener = listen("127.0.0.1", 0)
        self.host = f"127.0.0.1:{listener.getsockname()[1]}"
        started = threading.Event()

        async def run():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            with listener:
                await serve(
                    self.server, listener, self._stop, started.set, self.cockpit
                )

        self.thread = threading.Thread(target=asyncio.run, args=(run(),))
        self.thread.start()
        assert started.wait(10)

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(10)
        assert not self.thread.is_alive()

    def run(self, work):
        """Run a coroutine beside; return what stops it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)

        def stop():
            assert not future.done(), future.result()
            future.cancel()

        return stop

    def page(self, query="", origin=None, **options):
        """Connect as a page of this server does, unless told otherwise."""
        origin = origin or f"http://{self.host}"
        return connect(f"ws://{self.host}/cockpit{query}", origin=origin, **options)

    def simulator(self):
        return connect(f"ws://{self.host}/socket.io/?EIO=4&transport=websocket")

    def get(self, path, method="GET", **headers):
        client = http.client.HTTPConnection(self.host, timeout=10)
        client.request(method, path, headers=headers)
        answer = client.getresponse()
        content = answer.read()
        client.close()
        return answer, content


@contextmanager
def serving(**options):
    running = Running(**options)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def running():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def jpegs():
    """Eight pictures that differ."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 160, 320, 3), dtype=np.uint8)
    return [
        cv2.imencode(".jpg", cv2.GaussianBlur(frame, (0, 0), 3))[1].tobytes()
        for frame in noise
    ]


class Drive:
    """A simulator, frame by frame."""

    def __init__(self, client, jpegs):
        self.client, self.jpegs, self.sent = client, jpegs, []

    def frame(self, speed="12.0000"):
        """Send a frame that was not sent before; return the answer."""
        jpeg = self.jpegs[len(self.sent) % len(self.jpegs)] + len(self.sent).to_bytes(
            4, "big"
        )
        self.sent.append(jpeg)
        data = {"steering_angle": "0", "throttle": "0", "speed": speed}
        data["image"] = base64.b64encode(jpeg).decode()
        self.client.send("42" + json.dumps(["telemetry", data]))
        while not (text := self.client.recv(timeout=10)).startswith("42"):
            pass
        return {name: float(value) for name, value in json.loads(text[2:])[1].items()}

    def steering(self):
        return self.frame()["steering_angle"]

    def until(self, steering):
        """Drive on until the answer is a certain steering."""
        deadline = time.monotonic() + 20
        while self.steering() != steering:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def car(running, jpegs):
    with running.simulator() as client:
        yield Drive(client, jpegs)


def say(page, kind, **more):
    page.send(json.dumps({"type": kind, **more}))


def state_of(page, holds=lambda state: True):
    """Read on to a state for which something holds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = page.recv(timeout=10)
        if isinstance(text, str) and holds(state := json.loads(text)):
            return state
    raise AssertionError(f"no such state; the last is {state}")


def picture_of(page, kind):
    """Read on to the next picture of a kind."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        message = page.recv(timeout=10)
        if isinstance(message, bytes) and message[0] == kind:
            return message[1:]
    raise AssertionError(f"no picture of kind {kind}")


def is_steering(state):
    return state["you"] == "steering"


@contextmanager
def held(page, steering):
    """Steer from a page as a held key does, from now on to the end of the block."""
    is_over = threading.Event()

    def hold():
        while not is_over.wait(0.03):
            try:
                say(page, "steer", steering=steering)
            except ConnectionClosed:
                return

    say(page, "steer", steering=steering)
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


# --- Watching -------------------------------------------------------------------------


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
            12 * 0.44704 * state["elapsed_s"], abs=0.1
        )
        state_of(page, lambda s: s["simulator"] == "waiting")


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


def test_person_at_the_simulators_own_keys_is_seen(running, car):
    car.frame()
    car.client.send('42["telemetry",null]')
    with running.page() as page:
        state_of(page, lambda s: s["simulator"] == "manual")


# --- Taking over ----------------------------------------------------------------------


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


def test_heat_maps_come_to_the_page_that_asks_for_them(jpegs):
    heat = np.zeros((160, 320), np.float32)
    heat[80:, 160:] = 1
    with (
        serving(heat_map=HeatMap(lambda frame: heat)) as running,
        running.simulator() as client,
        running.page() as page,
        running.page() as other,
    ):
        say(page, "heat_map", on=True)
        state_of(page, lambda s: s["heat_map"])
        assert not state_of(other)["heat_map"]
        car = Drive(client, jpegs)
        car.frame()
        assert picture_of(page, 2) == clear_picture(heat)
        say(page, "heat_map", on=False)
        state_of(page, lambda s: not s["heat_map"])
        kinds = set()
        for _ in range(5):
            car.frame()
            for each in (page, other):
                while isinstance(message := each.recv(timeout=10), str):
                    pass
                kinds.add(message[0])
        assert kinds == {1}


def test_heat_map_is_clear_where_it_is_cold():
    heat = np.linspace(0, 1, 320, dtype=np.float32)[None].repeat(160, axis=0)
    picture = cv2.imdecode(
        np.frombuffer(clear_picture(heat), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert picture.shape == (160, 320, 4)
    assert picture[0, 0, 3] == 0 and 0 < picture[0, -1, 3] < 255
    assert (np.diff(picture[0, :, 3].astype(int)) >= 0).all()


# --- Slow pages and hostile ones ------------------------------------------------------


def raw_page(running):
    """Connect as a page; return its bare socket."""
    host, port = running.host.split(":")
    raw = socket.create_connection((host, int(port)))
    request = (
        f"GET /cockpit HTTP/1.1\r\nHost: {running.host}\r\nConnection: Upgrade\r\n"
        f"Origin: http://{running.host}\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    raw.sendall((request + "\r\n").encode())
    assert b" 101 " in raw.recv(1000)
    return raw


def test_a_page_that_stops_reading_is_dropped_and_memory_stays_flat(
    running, jpegs, monkeypatch
):
    monkeypatch.setattr("driving.cockpit.app.STALLED_S", 0.3)
    monkeypatch.setattr("driving.port.LAST_WORDS_S", 0.1)
    process = psutil.Process()
    with running.simulator() as client, running.page() as reader, ExitStack() as stack:
        car = Drive(client, jpegs)
        car.frame()
        for _ in range(5):
            raw = stack.enter_context(raw_page(running))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while len(running.cockpit.pages) < 6:
            time.sleep(0.01)
        resident = process.memory_info().rss
        deadline = time.monotonic() + 30
        while len(running.cockpit.pages) > 1:
            assert car.steering() == STEERING and time.monotonic() < deadline
            state_of(reader)
        # What five pages may be owed is some 100 kB each.
        assert process.memory_info().rss - resident < 20e6
        state_of(reader, lambda s: s["simulator"] == "driving")


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


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4567", "127.0.0.1.nip"])
def test_a_name_that_points_here_is_refused_the_page_and_its_socket(
    running, car, host, caplog
):
    """Its origin is no other than its Host: DNS rebinding."""
    assert running.get("/", Host=host)[0].status == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Host": host}
    upgrade |= {"Origin": f"http://{host}", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for _ in range(3):
        assert running.get("/cockpit", **upgrade)[0].status == 403
    assert len([r for r in caplog.records if "use its address" in r.message]) == 1
    assert car.steering() == STEERING and not running.cockpit.pages


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


def test_a_thousand_connections_are_refused_and_the_car_drives_on(running, car, caplog):
    host, port = running.host.split(":")
    assert car.steering() == STEERING
    with running.page() as page, ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert [car.steering() for _ in range(20)] == [STEERING] * 20
        state_of(page, lambda s: s["simulator"] == "driving")
    said = [r for r in caplog.records if f"{MOST_CONNECTIONS} connections" in r.message]
    assert len(said) == 1
    deadline = time.monotonic() + 20
    while True:  # They are gone: a new page is served again.
        try:
            with running.page() as page:
                assert state_of(page)
            return
        except (OSError, ConnectionClosed, InvalidStatus, EOFError):
            assert time.monotonic() < deadline


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch):
    monkeypatch.setattr("driving.port.FIRST_REQUEST_S", 0.2)
    with serving() as running, running.page() as page:
        host, port = running.host.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n")
            with suppress(ConnectionResetError):
                assert raw.recv(10) == b""
        assert state_of(page)


def test_more_pages_than_are_served_are_refused(running, car):
    with ExitStack() as stack:
        pages = [stack.enter_context(running.page()) for _ in range(MOST_PAGES)]
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="503"):
                running.page().__enter__()
        car.frame()
        for page in pages:
            state_of(page, lambda s: s["simulator"] == "driving")


def test_a_message_of_100_mb_costs_its_connection_and_nothing_else(
    running, car, caplog
):
    process = psutil.Process()
    car.frame()
    resident = process.memory_info().rss
    piece = bytes(1_000_000)
    with running.page() as other:
        for _ in range(2):
            with raw_page(running) as raw, pytest.raises(OSError):
                raw.sendall(b"\x81\xff" + (100 * len(piece)).to_bytes(8, "big"))
                raw.sendall(b"mask")
                for _ in range(100):
                    raw.sendall(piece)
                while raw.recv(65536):
                    pass
                raise ConnectionResetError
            assert car.steering() == STEERING
        state_of(other, lambda s: s["simulator"] == "driving")
    said = [r for r in caplog.records if "message over 1024 bytes" in r.message]
    assert len(said) == 1
    assert process.memory_info().rss - resident < 20e6


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


# --- Teaching -------------------------------------------------------------------------


def test_corrections_hold_the_persons_frames_and_those_before_apart(tmp_path, jpegs):
    corrections = Corrections(tmp_path / "taught")
    by_person, before = {}, []
    with (
        serving(corrections=corrections) as running,
        running.simulator() as client,
        running.page() as page,
    ):
        car = Drive(client, jpegs)
        for steering in (-0.5, 0.75):
            model = [car.steering() for _ in range(10)]
            assert model == [STEERING] * 10
            before += car.sent[-10:]
            with held(page, steering):
                while len(by_person) < 20 * (1 + (steering > 0)):
                    told = car.steering()
                    if told == steering:
                        by_person[car.sent[-1]] = steering
                    else:
                        before.append(car.sent[-1])
            say(page, "release")
            car.until(STEERING)
            time.sleep(1.1)  # What is older than a second is not kept.
        state = state_of(page, lambda s: s["interventions"] == 2)
        taught = {"folder": str(tmp_path / "taught"), "frames": len(by_person)}
        assert state["corrections"] == taught
    corrections.close()
    assert images_of(tmp_path / "taught") == by_person
    assert images_of(tmp_path / "taught-before") == dict.fromkeys(before, STEERING)


def images_of(folder):
    """Return the steering of each image of a recording, as dataset.py reads it."""
    samples = read_recording(folder, check_images=False).samples
    found = {}
    for path, steering in zip(samples["center"], samples["steering"], strict=True):
        found[Path(path).read_bytes()] = steering
    return found


def test_corrections_leave_no_folder_when_nobody_takes_the_wheel(tmp_path, jpegs):
    corrections = Corrections(tmp_path / "taught")
    with serving(corrections=corrections) as running, running.simulator() as client:
        Drive(client, jpegs).frame()
    corrections.close()
    assert corrections.is_empty and not list(tmp_path.iterdir())
    assert train_command(tmp_path / "m" / "model.json", corrections) == ""


@pytest.mark.parametrize("name", ["taught", "taught-before"])
def test_corrections_are_never_written_over(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="give another folder to --corrections"):
        Corrections(tmp_path / "taught")


def test_the_car_is_driven_by_the_person_when_the_disk_fails(tmp_path, jpegs, caplog):
    (tmp_path / "file").touch()
    corrections = Corrections(tmp_path / "file" / "taught")
    with (
        serving(corrections=corrections) as running,
        running.simulator() as client,
        running.page() as page,
        held(page, -0.5),
    ):
        car = Drive(client, jpegs)
        car.until(-0.5)
        assert running.server.report.faults == 0
    said = [r for r in caplog.records if "corrections are not written" in r.message]
    assert len(said) == 1 and said[0].levelno == logging.ERROR


def test_end_stops_the_car_and_says_what_to_do_next(jpegs):
    running = Running(command_of_end=lambda: "python train.py")
    try:
        with running.simulator() as client, running.page() as page:
            car = Drive(client, jpegs)
            assert car.frame()["throttle"] > 0
            say(page, "end")
            state = state_of(page, lambda s: s["command"] is not None)
            assert (state["command"], state["driver"]) == ("python train.py", "stop")
            while not (text := client.recv(timeout=10)).startswith("42"):
                pass
            assert set(json.loads(text[2:])[1].values()) == {"0.000000"}
            running.thread.join(10)
            assert not running.thread.is_alive()
    finally:
        if running.thread.is_alive():
            running.stop()


# --- Replay ---------------------------------------------------------------------------


def test_a_recording_is_played_into_the_page_over_and_over(tiny_recording, jpegs):
    frames = read_frames(tiny_recording)[:5]
    recorded = {frame.path.read_bytes(): frame.command.steering for frame in frames}
    with serving() as running:
        running.server.replay = "tiny"
        stop_playing = running.run(play(running.server, frames))
        with running.page() as page:
            seen = []
            while len(seen) < 12:
                state = state_of(page, lambda s: s["frames_per_s"] > 0 or not seen)
                seen.append(picture_of(page, 1))
            assert set(seen) == set(recorded)
            assert state["simulator"] == "replay" and not state["may_steer"]
            assert state["model_steering"] == STEERING
            assert state["person_steering"] in recorded.values()
            say(page, "steer", steering=1.0)
            say(page, "stop")
            assert state_of(page, lambda s: s["driver"] == "stop")["steering"] < 1
            with running.simulator() as client:
                assert Drive(client, jpegs).frame()["throttle"] == -1
        stop_playing()


def test_a_recording_with_a_missing_image_plays_on(tiny_recording):
    frames = read_frames(tiny_recording)[:3]
    frames[1].path.write_bytes(b"no picture")
    frames[2].path.unlink()
    with serving() as running:
        stop_playing = running.run(play(running.server, frames))
        with running.page() as page:
            state_of(page, lambda s: s["unusable"] >= 4)
        stop_playing()
    assert running.server.report.frames >= 2
