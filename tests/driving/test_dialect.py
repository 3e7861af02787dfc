"""Which messages may reach python-socketio; other clients, and malformed packets."""

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
import socketio
from running_drive import STEERING, next_event, telemetry, until_steering
from websockets.sync.client import connect

from driving.dialect import SimulatorDialect, passable

ROOT = Path(__file__).resolve().parents[2]


# --- Messages -------------------------------------------------------------------------


GOOD = telemetry(b"jpeg")


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        (GOOD, GOOD),
        ('42["telemetry",null]', '42["telemetry",null]'),
        ('427["telemetry",null]', '427["telemetry",null]'),
        ("40", "40"),
        ('40{"token":1}', '40{"token":1}'),
        ("3", "3"),
        ("2probe", "2probe"),
        (GOOD[:-20], '42["telemetry","unreadable"]'),
        ('42["telemetry",' + "[" * 100_000, '42["telemetry","unreadable"]'),
        ("42" + "x" * 2_000_000, '42["telemetry","unreadable"]'),
        ("", None),
        ("hello", None),
        ("4", None),
        ("42", None),
        ("42[]", None),
        ("42[123]", None),
        ('42["foo",{}]', None),
        ('42["connect",{}]', None),
        ('42/other,["telemetry",{}]', None),
        ("40/other,", None),
        ('451-["telemetry",{"_placeholder":true,"num":0}]', None),
        ('45999999999-["telemetry",{}]', None),
        ("42" + "9" * 200 + '["telemetry",{}]', None),
        ('44{"message":"x"}', None),
        ("9", None),
        (None, None),
    ],
)
def test_only_what_python_socketio_can_bear_is_passed_on(text, passed):
    assert passable(text)[0] == passed


def test_a_ping_is_not_answered_before_the_connection_is_open():
    """A server that reads before it writes, as a busy one does."""
    heard = []

    async def app(scope, receive, send):
        async def write_later():
            await asyncio.sleep(0)
            await send({"type": "websocket.send", "text": "0{}"})

        writing = asyncio.create_task(write_later())
        assert (await receive())["type"] == "websocket.disconnect"
        await writing

    async def run():
        messages = iter(
            [
                {"type": "websocket.receive", "text": "2"},
                {"type": "websocket.disconnect"},
            ]
        )

        async def receive():
            return next(messages)

        async def send(message):
            heard.append(message["text"])

        scope = {"type": "websocket", "query_string": b"EIO=4&transport=websocket"}
        await SimulatorDialect(app)(scope, receive, send)

    asyncio.run(asyncio.wait_for(run(), 5))
    assert heard == ["0{}", "3"]


# --- Over real sockets ----------------------------------------------------------------


def test_server_pings_and_answers_pings(running):
    with running.simulator() as client:
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
    with running.simulator() as client:
        for _ in range(4):
            client.send(huge)
            assert float(next_event(client)[1]["throttle"]) == -1
            client.send(telemetry(jpeg))
            until_steering(client, STEERING)
        # One that was kept would cost 67 MB, four of them 267.
        assert process.memory_info().rss - resident < 150e6


def test_image_over_the_limit_is_answered_with_the_brake(running, jpeg):
    with running.simulator() as client:
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
