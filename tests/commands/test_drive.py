"""The drive server, over real sockets: every telemetry packet gets its one answer."""

import asyncio
import base64
import json
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import psutil
import pytest
import socketio
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

import train
from common.errors import InputError
from drive import main, reachable_address
from driving.dialect import is_local_name, listen
from driving.pilot import Command, Pilot, SpeedController
from driving.recorder import DriveRecorder
from driving.report import DriveReport
from driving.server import DriveServer, serve
from recordings.recording import read_recording

ROOT = Path(__file__).resolve().parents[2]
# What the pilot of these tests answers; no answer to a fault is like it.
STEERING = 0.25
GERMAN = {"speed": "9,0000", "throttle": "0,1000", "steering_angle": "-1,0000"}


class Running:
    """A real drive server on a free port, in a thread of its own."""

    def __init__(self, predict=lambda frame: STEERING, recorder=None):
        self.server = DriveServer(
            lambda: Pilot(predict, SpeedController(15.0)), recorder
        )
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        started = threading.Event()

        async def run():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            with listener:
                await serve(self.server, listener, self._stop, started.set)

        self._thread = threading.Thread(target=asyncio.run, args=(run(),))
        self._thread.start()
        assert started.wait(10)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=websocket"

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def running():
    server = Running()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def jpeg():
    frame = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(frame, (0, 0), 3))[1].tobytes()


def telemetry(jpeg, **changes):
    data = {
        "steering_angle": "0.0000",
        "throttle": "0.0000",
        "speed": "12.0000",
        "image": base64.b64encode(jpeg).decode(),
    }
    return "42" + json.dumps(["telemetry", {**data, **changes}])


def next_event(client, timeout_s=10):
    """Return name and argument of the next event on a raw WebSocket."""
    while True:
        text = client.recv(timeout=timeout_s)
        if text.startswith("42"):
            name, argument = json.loads(text[2:])
            return name, argument


def until_steering(client, value):
    """Read events up to one that steers so."""
    while True:
        name, argument = next_event(client)
        if name == "steer" and float(argument["steering_angle"]) == value:
            return argument


def test_autonomy_is_nvidias_formula():
    report = DriveReport(interventions=10, elapsed_s=600.0)
    assert report.autonomy_percent() == pytest.approx(90)
    assert DriveReport(interventions=10, elapsed_s=10.0).autonomy_percent() == 0


# --- The server -----------------------------------------------------------------------


def test_every_packet_gets_one_answer_in_order(running, jpeg):
    """The pilot answers each frame with its brightness, so an order can be seen."""
    running.server.make_pilot = lambda: Pilot(
        lambda frame: round(float(frame.mean()) / 255, 3), SpeedController(15.0)
    )
    frames = [np.full((160, 320, 3), 2 * i, np.uint8) for i in range(100)]
    with connect(running.url) as client:
        for frame in frames:
            client.send(telemetry(cv2.imencode(".png", frame)[1].tobytes()))
        answers = [float(next_event(client)[1]["steering_angle"]) for _ in frames]
        with pytest.raises(TimeoutError):
            next_event(client, timeout_s=0.2)
    assert answers == [round(2 * i / 255, 3) for i in range(100)]


def test_a_second_simulator_stands_until_the_first_leaves(running, jpeg, caplog):
    standing = {"steering_angle": "0,000000", "throttle": "0,000000"}
    braking = {"steering_angle": "0,000000", "throttle": "-1,000000"}
    with connect(running.url) as second:
        with connect(running.url) as first:
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
    with connect(running.url) as silent, connect(running.url) as other:
        silent.send(telemetry(jpeg))
        until_steering(silent, STEERING)
        time.sleep(0.3)
        other.send(telemetry(jpeg))
        until_steering(other, STEERING)
        silent.send(telemetry(jpeg))
        assert float(next_event(silent)[1]["throttle"]) == -1


def test_more_simulators_than_anybody_drives_are_refused(running, jpeg, monkeypatch):
    monkeypatch.setattr("driving.server.MOST_SIMULATORS", 1)
    with connect(running.url) as one, connect(running.url) as many:
        for _ in range(3):
            one.send(telemetry(jpeg))
            until_steering(one, STEERING)
            many.send(telemetry(jpeg))
            with pytest.raises(TimeoutError):
                next_event(many, timeout_s=0.2)
    assert running.server.report.frames == 3


def test_null_telemetry_is_one_intervention_however_long(running, jpeg):
    with connect(running.url) as client:
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
    with connect(running.url) as client, caplog.at_level(logging.WARNING):
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
    with connect(running.url) as client:
        for data, name in (("{}", "manual"), ('""', "steer"), ("[]", "steer")):
            client.send(f'42["telemetry",{data}]')
            assert next_event(client)[0] == name


def test_cut_jpeg_brakes(running, jpeg):
    """OpenCV would decode it and fill the rest with grey."""
    with connect(running.url) as client:
        client.send(telemetry(jpeg[: len(jpeg) // 2]))
        assert float(next_event(client)[1]["throttle"]) == -1


def test_brake_is_let_go_before_the_car_drives_backwards(running, jpeg, monkeypatch):
    """The brake of a standing car is its reverse gear."""
    monkeypatch.setattr("driving.server.MOST_BRAKING_S", 0.3)
    bad, throttles = telemetry(jpeg, image="@@@"), []
    with connect(running.url) as client:
        while not throttles or throttles[-1] != 0:
            client.send(bad)
            throttles.append(float(next_event(client)[1]["throttle"]))
        assert set(throttles[:-1]) == {-1.0}
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)
        client.send(bad)
        assert float(next_event(client)[1]["throttle"]) == -1


def test_frame_of_another_size_brakes(running):
    small = cv2.imencode(".jpg", np.zeros((66, 200, 3), np.uint8))[1].tobytes()
    with connect(running.url) as client:
        client.send(telemetry(small))
        assert float(next_event(client)[1]["throttle"]) == -1


@pytest.mark.parametrize("answer", [float("nan"), RuntimeError("out of memory")])
def test_fault_of_the_pilot_brakes_and_is_logged_once(jpeg, answer, caplog):
    def predict(frame):
        if isinstance(answer, Exception):
            raise answer
        return answer

    running = Running(predict)
    try:
        with connect(running.url) as client:
            for _ in range(3):
                client.send(telemetry(jpeg))
                assert float(next_event(client)[1]["throttle"]) == -1
    finally:
        running.stop()
    assert running.server.report.faults == 3
    said = [r for r in caplog.records if "the pilot failed" in r.message]
    assert len(said) == 1 and said[0].exc_info


def test_wild_prediction_is_clipped(jpeg):
    running = Running(lambda frame: 7.0)
    try:
        with connect(running.url) as client:
            client.send(telemetry(jpeg))
            assert float(next_event(client)[1]["steering_angle"]) == 1
    finally:
        running.stop()


def test_car_is_stopped_before_the_server_goes(jpeg):
    running = Running()
    with connect(running.url) as client:
        client.send(telemetry(jpeg, **GERMAN))
        next_event(client)
        running.stop()
        name, argument = next_event(client)
    assert (name, set(argument.values())) == ("steer", {"0,000000"})


def test_server_pings_and_answers_pings(running):
    with connect(running.url) as client:
        client.send("2")
        texts = [client.recv(timeout=5) for _ in range(2)]
    assert texts[0].startswith("0{") and texts[1] == "3"


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_engine_io_3_is_refused_with_a_line_that_says_so(running, transport):
    request = (
        f"GET /socket.io/?EIO=3&transport={transport} HTTP/1.1\r\nHost: localhost\r\n"
    )
    if transport == "websocket":
        request += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        request += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        request += "Sec-WebSocket-Version: 13\r\n"
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw:
        raw.sendall((request + "\r\n").encode())
        answer = raw.recv(4096).decode()
        while "not served" not in answer and (more := raw.recv(4096)):
            answer += more.decode()
    assert " 400 " in answer.splitlines()[0] and "Engine.IO 3" in answer


def test_web_pages_of_other_origins_are_refused(running):
    """A page somewhere on the web must not see or steer through the user's browser."""
    with connect(running.url, origin=f"http://127.0.0.1:{running.port}") as client:
        assert client.recv(timeout=5).startswith("0{")
    with pytest.raises(InvalidHandshake):
        connect(running.url, origin="http://example.com").__enter__()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4567", "127.0.0.1.nip", "[::"]
)
def test_a_name_that_points_here_is_refused(running, host):
    """A page may let its own name point to 127.0.0.1: then its origin is no other."""
    request = (
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"
        f"Host: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw:
        raw.sendall(request.encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b"")).decode()
    assert " 403 " in answer.splitlines()[0] and "use its address" in answer
    assert not running.server.clients


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("192.168.1.7", True),
        ("::1", True),
        ("", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_addresses_and_localhost_are_nobodys_name(host, is_local):
    assert is_local_name(host) == is_local


# --- Malformed packets ----------------------------------------------------------------


def malformed(rng, jpeg):
    """Return one packet that no simulator sends."""
    good = telemetry(jpeg)
    deep = "[" * 5000
    kinds = [
        lambda: good[: rng.integers(1, len(good))],
        lambda: rng.bytes(rng.integers(0, 200)),
        lambda: rng.bytes(rng.integers(0, 200)).decode("latin-1"),
        lambda: '42["telemetry",' + deep,
        lambda: '42["telemetry",' + deep + "]" * 5001,
        # As deep as Python's parser can just bear, or just not.
        lambda: (
            '42["telemetry",' + "[" * (n := rng.integers(850, 1000)) + "]" * n + "]"
        ),
        lambda: '42["telemetry",{"speed":' + "9" * rng.integers(90, 5000) + "}]",
        lambda: telemetry(jpeg, speed=rng.choice(["NaN", "fast", "", "1e9", "∞"])),
        lambda: '42["telemetry",{"speed":NaN,"steering_angle":1e999}]',
        lambda: '42["telemetry",[1,2]]',
        lambda: '42["telemetry",{},1,2]',
        lambda: '42["telemetry"]',
        lambda: '42["telemetry",{"a":1}]',
        lambda: telemetry(rng.bytes(500)),
        lambda: telemetry(jpeg, image="*" * 50),
        lambda: telemetry(jpeg[: rng.integers(1, 200)]),
        lambda: telemetry(jpeg, image={"a": 1}),
        lambda: '451-["telemetry",{"_placeholder":true,"num":0}]',
        lambda: "45999999999-[]",
        lambda: '42["connect",{}]',
        lambda: '42["disconnect"]',
        lambda: "40/other,",
        lambda: "",
        lambda: "hello",
        lambda: rng.choice(["0", "1", "3", "41", "5", "6", "2probe", "40", "40{}"]),
    ]
    return kinds[rng.integers(len(kinds))]()


def test_malformed_packets_neither_stop_nor_mute_the_server(running, jpeg, rng):
    """10,000 of them on one connection; the good ones between are all answered."""
    num_good = 0
    process = psutil.Process()
    with connect(running.url, max_size=None) as client:
        for i in range(10_001):
            if i == 2000:
                resident = process.memory_info().rss
            if i % 50 == 0:
                client.send(telemetry(jpeg))
                until_steering(client, STEERING)
                num_good += 1
            client.send(malformed(rng, jpeg))
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)
    assert running.server.report.frames >= num_good + 1
    # What Python's allocator keeps varies by some MB; a leak of 1 kB a packet is 8 MB.
    assert process.memory_info().rss - resident < 30e6


def test_malformed_packets_by_polling_neither_close_nor_mute_the_session(
    running, jpeg, rng
):
    """Some 1,000 packets in POSTs of up to four; then a good frame is answered."""
    address = f"http://127.0.0.1:{running.port}/socket.io/?EIO=4&transport=polling"

    def post(*packets):
        body = "\x1e".join(packets).encode("utf-8", "surrogateescape")
        with urlopen(Request(url, body, {"Content-Type": "text/plain"}), timeout=10):
            pass

    def answers():
        with urlopen(url, timeout=10) as response:
            return response.read().decode().split("\x1e")

    with urlopen(address, timeout=10) as response:
        url = f"{address}&sid={json.loads(response.read()[1:])['sid']}"
    post("40")
    assert any(packet.startswith("40") for packet in answers())
    driven = f'"steering_angle":"{STEERING:.6f}"'
    leaving = ("1", "41")  # Polling, a session ends by these.
    for _ in range(250):
        packets = [malformed(rng, jpeg) for _ in range(4)]
        text = [packet for packet in packets if isinstance(packet, str)]
        fit = [packet for packet in text if packet not in leaving]
        post(*fit, "40", telemetry(jpeg))
        while not any(driven in packet for packet in answers()):
            pass
    assert len(running.server.clients) == 1


def test_post_of_no_session_is_refused(running):
    """python-socketio's own refusal, not a fault of ours."""
    address = f"http://127.0.0.1:{running.port}/socket.io/?EIO=4&transport=polling&sid="
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(address, b"40", {"Content-Type": "text/plain"}), timeout=10)
    assert refused.value.code == 400
    refused.value.close()


def test_image_of_50_mb_is_answered_and_the_next_frame_is_driven(running, jpeg):
    huge = telemetry(jpeg, image=base64.b64encode(bytes(50_000_000)).decode())
    process = psutil.Process()
    resident = process.memory_info().rss
    with connect(running.url) as client:
        for _ in range(4):
            client.send(huge)
            assert float(next_event(client)[1]["throttle"]) == -1
            client.send(telemetry(jpeg))
            until_steering(client, STEERING)
        # One that was kept would cost 67 MB, four of them 267.
        assert process.memory_info().rss - resident < 150e6


def test_endless_message_costs_its_connection_and_no_other(jpeg, monkeypatch):
    monkeypatch.setattr("driving.server.MOST_WEBSOCKET_BYTES", 3_000_000)
    running = Running()
    try:
        with connect(running.url) as other, connect(running.url) as client:
            # It may be closed while the message is still on its way.
            with pytest.raises(ConnectionClosed):
                client.send(telemetry(jpeg, image="A" * 4_000_000))
                until_steering(client, STEERING)
            other.send(telemetry(jpeg))
            until_steering(other, STEERING)
    finally:
        running.stop()


def test_image_over_the_limit_is_answered_with_the_brake(running, jpeg):
    with connect(running.url) as client:
        client.send(telemetry(jpeg, image="A" * 2_000_000))
        assert float(next_event(client)[1]["throttle"]) == -1


# --- Other clients --------------------------------------------------------------------


# None begins with polling and upgrades to a WebSocket.
@pytest.mark.parametrize("transports", [["websocket"], None], ids=str)
def test_python_socketio_client_drives_200_frames(running, jpeg, transports):
    with socketio.SimpleClient() as simple:
        simple.connect(f"http://127.0.0.1:{running.port}", transports=transports)
        data = json.loads(telemetry(jpeg)[2:])[1]
        for _ in range(200):
            simple.emit("telemetry", data)
            name, argument = simple.receive(timeout=10)
            assert (name, argument["steering_angle"]) == ("steer", "0.250000")


NODE_CLIENT = """
const { io } = require("socket.io-client");
const [url, image] = process.argv.slice(2);
const socket = io(url);
const frame = { steering_angle: "0", throttle: "0", speed: "1", image };
let answers = 0;
socket.on("connect", () => socket.emit("telemetry", frame));
socket.on("steer", () => {
  if (++answers === 200) { console.log(answers); process.exit(0); }
  socket.emit("telemetry", frame);
});
setTimeout(() => process.exit(1), 30000);
"""


def test_node_client_drives_200_frames(running, jpeg, tmp_path):
    modules = ROOT / "tests" / "node" / "node_modules"
    if not shutil.which("node") or not (modules / "socket.io-client").is_dir():
        pytest.skip("needs node and tests/node/node_modules (make setup installs it)")
    script = tmp_path / "client.js"
    script.write_text(NODE_CLIENT)
    done = subprocess.run(
        ["node", script, f"http://127.0.0.1:{running.port}"]
        + [base64.b64encode(jpeg).decode()],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


# --- The program ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    pytest.importorskip("keras")
    from model import build_model
    from network.files import save_model

    return save_model(build_model("default"), tmp_path_factory.mktemp("model"))


@pytest.fixture
def program(model_path, tmp_path):
    """drive.py itself, recording, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", str(port)]
    command += ["--json", "--record", tmp_path / "run"]
    log = (tmp_path / "log.txt").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    deadline = time.monotonic() + 60
    while "listening" not in (tmp_path / "log.txt").read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield process, port
    if process.poll() is None:
        process.kill()
    process.communicate()
    log.close()


def legacy_client(shared_dir, port, *more):
    """Drive as the stock simulator does on the wire; return its report."""
    command = [sys.executable, shared_dir / "tools" / "legacy_client.py", *more]
    command += ["--images", shared_dir / "data" / "lake" / "IMG", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_stock_simulator_is_driven_in_every_culture(program, shared_dir, tmp_path):
    process, port = program
    for culture in ("en", "de", "fr"):
        report = legacy_client(
            shared_dir, port, "--culture", culture, "--frames", "200", "--ping", "1"
        )
        assert report["unread_replies"] == 0 and report["steering"]["beyond_1"] == 0
    manual = legacy_client(shared_dir, port, "--frames", "200", "--manual-every", "50")
    assert manual["manuals"] == 19
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    said = json.loads(out)
    # Frames 1 to 4, 50 to 54, 100 to 104, 150 to 154 and from 200 on.
    assert said["frames"] in range(781, 788)
    assert said["interventions"] == 5 and said["unusable"] == said["faults"] == 0
    recording = read_recording(tmp_path / "run")
    assert recording.cameras == ("center",)
    assert set(recording.excluded) <= {"standing"}


def test_port_in_use_is_said_before_anything_is_loaded(model_path, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main([str(model_path), "--port", str(port)]) == 1
    assert "does another drive.py run?" in capsys.readouterr().err


def test_interrupt_while_loading_ends_in_one_line(model_path, tmp_path):
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr and process.stderr.readline().startswith("loading")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 1
    assert process.stderr.read().splitlines() == ["stopped before the model was loaded"]
    process.stderr.close()


def test_port_out_of_range_is_refused(capsys):
    assert main(["model.json", "--port", "99999"]) == 1
    assert capsys.readouterr().err == "--port is 99999, expected 0 to 65535\n"


def test_missing_model_is_said_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.json"), "--port", "0"]) == 1
    assert "no such file" in capsys.readouterr().err.splitlines()[-1]


def test_existing_recording_is_refused(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="exists already"):
        DriveRecorder(tmp_path / "run")
    arguments = ["no.json", "--port", "0", "--record", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_recorder_writes_what_was_driven(tmp_path, jpeg):
    recorder = DriveRecorder(tmp_path / "run")
    for i in range(30):
        recorder.add(jpeg + bytes([i]), 12.5, Command(0.01 * i, -0.5))
        recorder.add(jpeg + bytes([i]), 12.5, Command(0.9, -0.5))
    recorder.close()
    samples = read_recording(tmp_path / "run", check_images=False).samples
    # The simulator's two frames in flight show one picture, which is written once.
    np.testing.assert_allclose(samples["steering"], 0.01 * np.arange(30), atol=1e-6)
    assert set(samples["brake"]) == {0.5} and set(samples["speed_mph"]) == {12.5}
    assert len(list((tmp_path / "run" / "IMG").glob("*.jpg"))) == 30


def test_only_the_simulator_that_drives_is_recorded(tmp_path, jpeg):
    recorder = DriveRecorder(tmp_path / "run")
    running = Running(recorder=recorder)
    with connect(running.url) as first, connect(running.url) as second:
        for i in range(20):
            for client, speed in ((first, "3.0000"), (second, "7.0000")):
                frame = jpeg + f"{i} {speed}".encode()
                client.send(telemetry(frame, speed=speed))
                next_event(client)
    running.stop()
    recorder.close()
    samples = read_recording(tmp_path / "run", check_images=False).samples
    assert list(samples["speed_mph"]) == [3.0] * 20


def test_drive_goes_on_when_the_disk_fails(tmp_path, jpeg, caplog):
    recorder = DriveRecorder(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "IMG")
    for i in range(5000):  # More than may wait.
        recorder.add(i.to_bytes(4, "big"), 12.5, Command(0.0, 0.0))
    recorder.close()
    assert recorder.written == 0
    said = [r for r in caplog.records if "recording stops" in r.message]
    assert len(said) == 1


RECORD_FOR_EVER = """
import sys
from pathlib import Path
from driving.recorder import DriveRecorder
from driving.pilot import Command
recorder = DriveRecorder(Path(sys.argv[1]))
jpeg = Path(sys.argv[2]).read_bytes()
for i in range(1_000_000):
    recorder.add(jpeg + i.to_bytes(4, "big"), 10.0, Command(0.5, 0.1))
"""


def test_killed_recording_is_whole_up_to_its_last_row(tmp_path, jpeg):
    (tmp_path / "frame.jpg").write_bytes(jpeg)
    log = tmp_path / "run" / "driving_log.csv"
    command = [
        sys.executable,
        "-c",
        RECORD_FOR_EVER,
        log.parent,
        tmp_path / "frame.jpg",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not log.exists() or log.stat().st_size < 5000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    samples = read_recording(log.parent, check_images=False).samples
    assert len(samples) >= 50 and set(samples["steering"]) == {0.5}
    assert {Path(p).stat().st_size for p in samples["center"]} == {len(jpeg) + 4}


def test_help_loads_no_tensorflow_and_has_its_example():
    code = "import sys, drive\ntry: drive.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('tensorflow' in sys.modules or 'socketio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "Example:" in done.stdout and done.stdout.endswith("False\n")


def until_said(path, process, text):
    """Wait for a line in the log of a program; return it."""
    deadline = time.monotonic() + 60
    while True:
        lines = [line for line in path.read_text().splitlines() if text in line]
        if lines:
            return lines[0]
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_run_that_is_ended_from_the_page_prints_how_to_train(
    model_path, jpeg, tmp_path
):
    """Open to the network, so that the page needs the token that is printed."""
    (model_path.parent / "config.json").write_text(
        json.dumps({"settings": {"recordings": ["/data/a", "/data/b b"]}})
    )
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    command += ["--host", "0.0.0.0", "--corrections", tmp_path / "taught"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path
        )
    address = until_said(log_path, process, "cockpit:").split()[-1]
    assert "pages need the token" in log_path.read_text()
    host, token = address.removeprefix("http://").split("/")
    assert len(token) > len("?token=") + 20
    port = host.rpartition(":")[2]
    url = f"ws://127.0.0.1:{port}"
    origin = f"http://127.0.0.1:{port}"
    with pytest.raises(InvalidHandshake):
        connect(f"{url}/cockpit", origin=origin).__enter__()
    with (
        connect(f"{url}/cockpit{token}", origin=origin) as page,
        connect(f"{url}/socket.io/?EIO=4&transport=websocket") as client,
    ):
        for i in range(1000):
            page.send('{"type": "steer", "steering": -0.125}')
            client.send(telemetry(jpeg + bytes([i % 256])))
            if float(next_event(client)[1]["steering_angle"]) == -0.125:
                break
            time.sleep(0.02)
        page.send('{"type": "end"}')
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    samples = read_recording(tmp_path / "taught", check_images=False).samples
    assert list(samples["steering"]) == [-0.125]
    said = out.splitlines()[-1]
    assert said == (
        f"next: python train.py /data/a '/data/b b' {tmp_path / 'taught'} "
        f"--share taught=0.3 --from {model_path} --name {model_path.parent.name}"
        "-corrected"
    )
    args, _ = train.parse_args(shlex.split(said)[3:])
    assert args.shares == [("taught", 0.3)] and len(args.recordings) == 3


def test_recording_is_played_without_a_simulator(model_path, tiny_recording, tmp_path):
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0", "--json"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*command, "--replay", tiny_recording],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    address = until_said(log_path, process, "cockpit:").split()[-1]
    origin = address.rstrip("/")
    with connect(f"ws{origin.removeprefix('http')}/cockpit", origin=origin) as page:
        page.send('{"type": "heat_map", "on": true}')
        kinds = set()
        while kinds != {1, 2}:
            if isinstance(message := page.recv(timeout=20), bytes):
                kinds.add(message[0])
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(out)["frames"] > 0


def test_replay_of_no_recording_is_refused(tmp_path, capsys):
    assert main(["model.json", "--port", "0", "--replay", str(tmp_path)]) == 1
    assert "no driving_log.csv" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.7", "::1"])
def test_an_address_of_this_machine_is_shown_as_it_is(host):
    assert reachable_address(host) == host


def test_all_addresses_are_shown_as_one_that_can_be_reached():
    with listen("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((reachable_address("0.0.0.0"), port), timeout=5):
            pass
