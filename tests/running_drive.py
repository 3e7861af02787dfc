"""What the tests of driving share: a server of a drive, its simulators and pages."""

import asyncio
import base64
import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from drive import serve
from driving.cockpit.app import Cockpit
from driving.port import listen
from driving.server import DriveServer

# What the model of these tests steers; no hand and no answer to a fault is like it.
STEERING = 0.25
GERMAN = {"speed": "9,0000", "throttle": "0,1000", "steering_angle": "-1,0000"}


class Running:
    """A real drive server with its cockpit on a free port, in a thread of its own."""

    def __init__(
        self,
        predict=lambda frame: STEERING,
        target_mph=15.0,
        recorder=None,
        corrections=None,
        playing=None,
        sideways_mps2=None,
        recovers=True,
        **of_cockpit,
    ):
        self.server = DriveServer(
            predict,
            target_mph,
            recorder,
            corrections,
            playing,
            sideways_mps2,
            recovers,
        )
        self.cockpit = Cockpit(self.server, **of_cockpit)
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"ws://{self.host}/socket.io/?EIO=4&transport=websocket"
        started = threading.Event()

        async def run():
            self._loop = asyncio.get_running_loop()
            self._stop, self._at_once = asyncio.Event(), asyncio.Event()
            started.set()
            with listener:
                await serve(self.cockpit, listener, self._stop, self._at_once)

        self.thread = threading.Thread(target=asyncio.run, args=(run(),))
        self.thread.start()
        assert started.wait(10)

    def ask_to_stop(self):
        """Do what the first Ctrl+C does."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def stop(self):
        """End the drive as two Ctrl+C do."""
        if self.thread.is_alive():
            self.ask_to_stop()
            self._loop.call_soon_threadsafe(self._at_once.set)
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
        return connect(self.url)

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


# --- Simulators -----------------------------------------------------------------------


def make_jpegs(count):
    """Return pictures that differ."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 160, 320, 3), dtype=np.uint8)
    return [
        cv2.imencode(".jpg", cv2.GaussianBlur(frame, (0, 0), 3))[1].tobytes()
        for frame in noise
    ]


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


class Drive:
    """A simulator, frame by frame."""

    def __init__(self, client, jpegs):
        self.client, self.jpegs, self.sent = client, jpegs, []

    def frame(self, speed="12.0000"):
        """Send a frame that was not sent before; return the answer."""
        count = len(self.sent)
        jpeg = self.jpegs[count % len(self.jpegs)] + count.to_bytes(4, "big")
        self.sent.append(jpeg)
        self.client.send(telemetry(jpeg, speed=speed))
        answer = next_event(self.client)[1]
        return {name: float(value) for name, value in answer.items()}

    def steering(self):
        return self.frame()["steering_angle"]

    def until(self, steering):
        """Drive on until the answer is a certain steering."""
        deadline = time.monotonic() + 20
        while self.steering() != steering:
            assert time.monotonic() < deadline
            time.sleep(0.01)


# --- Pages ----------------------------------------------------------------------------


def raw_page(running):
    """Connect as a page; return its bare socket."""
    raw = socket.create_connection(("127.0.0.1", running.port))
    request = (
        f"GET /cockpit HTTP/1.1\r\nHost: {running.host}\r\nConnection: Upgrade\r\n"
        f"Origin: http://{running.host}\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    raw.sendall((request + "\r\n").encode())
    assert b" 101 " in raw.recv(1000)
    return raw


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
