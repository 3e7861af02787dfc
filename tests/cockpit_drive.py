"""What the tests of the cockpit's page share: a browser, the server, the simulator."""

import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import running_drive

from driving.cockpit.playback import Player, read_frames
from simulator.client import Client, DriveServerError, drive

NODE = Path(__file__).resolve().parent / "node"
# What the model of most tests steers; no hand of these tests does.
STEERING = 0.0123
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 740}, "hasTouch": True}
SIDEWAYS = {"viewport": {"width": 740, "height": 360}, "hasTouch": True}
# What the page sends, and when a key was pressed or let go, in seconds since 1970.
WATCH = """
window.sent = []; window.keys = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) {
  sent.push(JSON.parse(text)); send.call(this, text);
};
for (const kind of ["keydown", "keyup"]) addEventListener(kind, (event) =>
  keys.push((performance.timeOrigin + event.timeStamp) / 1000), true);
"""


class Browser:
    """One Chromium with one page; tests/node/browser.mjs says what it can be told."""

    def __init__(self, node, chromium):
        self._process = subprocess.Popen(
            [node, NODE / "browser.mjs", chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, what, **options):
        self._process.stdin.write(json.dumps({"do": what, **options}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def evaluate(self, expression):
        return self("evaluate", expression=expression)

    def until(self, expression, timeout_s=60):
        """Wait for an expression of JavaScript to become true."""
        self("until", expression=expression, timeout=1000 * timeout_s)

    def until_text(self, element, text):
        """Wait until an element has exactly this text."""
        content = f"document.getElementById('{element}').textContent"
        self.until(f"{content} == {json.dumps(text)}")

    def is_shown(self, selector):
        """Say whether an element takes room on the page."""
        return self.evaluate(f"document.querySelector('{selector}').offsetHeight > 0")

    def text(self, element):
        return self.evaluate(f"document.getElementById('{element}').textContent")

    def until_banner(self, title):
        self.until_text("banner-title", title)

    def press(self, key):
        self("down", key=key)
        self("up", key=key)

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._process.stdout.close()


@contextmanager
def serving(**options):
    """Serve simulators and pages as drive.py does; yields the address."""
    options = {"predict": lambda frame: STEERING, "target_mph": 12.0, **options}
    with running_drive.serving(**options) as it:
        yield f"http://{it.host}"


@contextmanager
def playing(folder, **options):
    """Serve a recording that is played, as drive.py --play does; yields the address."""
    player = Player(read_frames(folder))
    options = {"model": "models/some", "playing": str(folder), **options}
    with running_drive.serving(player=player, **options) as it:
        stop_playing = it.run(player.play(it.server))
        yield f"http://{it.host}"
        stop_playing()


class WatchedClient(Client):
    """The simulator's client, which remembers what each picture was answered with."""

    def __init__(self, url, world):
        self.sent_s = [time.time()]
        self.answers = []
        self.answered_s = []
        self._picture_of = [0, 0]
        super().__init__(url, world)

    def receive(self, timeout_s):
        before = self.num_answers
        super().receive(timeout_s)
        # The server's last word, the stop, answers no picture.
        if self.num_answers > before and len(self.answers) < len(self._picture_of):
            picture = self._picture_of[len(self.answers)]
            self.answers.append((picture, round(self.steering, 6)))
            self.answered_s.append(time.time())

    def advance(self, seen):
        # Each answer is followed by one telemetry; with none, this picture is not sent.
        if num_new := len(self.answers) + 2 - len(self._picture_of):
            self._picture_of += [len(self.sent_s)] * num_new
            self.sent_s.append(time.time())
        super().advance(seen)

    def first_after(self, seconds):
        """Return the first picture that was sent after a time."""
        return next(i for i, sent in enumerate(self.sent_s) if sent > seconds)

    def first_answer(self, after_s, is_by):
        """Find the first answer after an event that is by a driver.

        Args:
            after_s: time of the event, since 1970.
            is_by: says of a steering whether it is the driver's.

        Returns:
            When it came, in seconds since 1970; and to which picture: 0 is the first
            that was sent after the event, -1 one that was on its way then.
        """
        arrived_s, picture = next(
            (arrived_s, picture)
            for arrived_s, (picture, steering) in zip(
                self.answered_s, self.answers, strict=True
            )
            if arrived_s > after_s and is_by(steering)
        )
        return arrived_s, picture - self.first_after(after_s)


class Enough(Exception):
    """The scenario is over."""


def drive_during(url, world, scenario):
    """Let the simulator drive in real time while something happens.

    Returns:
        The client, and what the scenario has returned.
    """
    client = WatchedClient(url, world)
    with ThreadPoolExecutor(1) as pool:
        happening = pool.submit(scenario)

        def on_frame(_):
            if happening.done():
                raise Enough

        # Also over when the run is ended from the page.
        with pytest.raises((Enough, DriveServerError)):
            drive(client, 1000, is_real_time=True, on_frame=on_frame)
    client.close()
    return client, happening.result()


def hold(browser, key, seconds=0.5):
    browser("down", key=key)
    time.sleep(seconds)
    browser("up", key=key)


def steered(messages):
    """Return the steering of what a page has sent, as the simulator reads it."""
    return [round(each["steering"], 6) for each in messages if each["type"] == "steer"]


class Relay:
    """Passes on what comes to a port of its own; can be cut, and mended."""

    def __init__(self, port):
        self._to, self._sockets = port, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(
                        target=self._pass_on, args=pair, daemon=True
                    ).start()

    def _pass_on(self, source, sink):
        with suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.is_cut = True
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        for each in [self._listener, *self._sockets]:
            each.close()
