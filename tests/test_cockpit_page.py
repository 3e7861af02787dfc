"""The cockpit's page in headless Chromium, the embedded simulator driving beside it."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from cockpit import Cockpit
from dataset import read_recording
from drive_server import DriveServer, serve
from pilot import Pilot, SpeedController
from simulator import controls, tracks
from simulator.client import Client, DriveServerError, drive
from simulator.world import World
from wire import listen

ROOT = Path(__file__).resolve().parents[1]
NODE = ROOT / "tests" / "node"
# What the model of most tests steers; no hand of these tests does.
STEERING = 0.0123
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 740}, "hasTouch": True}
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


# --- Browser, server, simulator -------------------------------------------------------


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

    def until(self, expression, timeout_s=20):
        """Wait for an expression of JavaScript to become true."""
        self("until", expression=expression, timeout=1000 * timeout_s)

    def text(self, element):
        return self.evaluate(f"document.getElementById('{element}').textContent")

    def until_banner(self, title):
        self.until(f"document.getElementById('banner-title').textContent == '{title}'")

    def press(self, key):
        self("down", key=key)
        self("up", key=key)

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._process.stdout.close()


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    node = shutil.which("node")
    if (
        not found
        or not node
        or not (NODE / "node_modules" / "playwright-core").is_dir()
    ):
        pytest.skip("needs chromium, node and tests/node/node_modules (make setup)")
    browser = Browser(node, found)
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """The browser, which must have had nothing to complain of in the test."""
    chromium("complaints")
    yield chromium
    complaints = chromium("complaints")
    chromium("leave")
    assert complaints == []


@pytest.fixture(scope="module")
def world():
    made = World(tracks.lake(), seed=1, cameras=("center",))
    yield made
    made.close()


@contextmanager
def serving(port=0, corrections=None):
    """Serve simulators and pages as drive.py does; yields the address."""
    make_pilot = lambda: Pilot(lambda frame: STEERING, SpeedController(12.0))  # noqa: E731
    server = DriveServer(make_pilot, corrections=corrections)
    server.wheel.target_mph = 12.0
    listener = listen("127.0.0.1", port)
    started, loops = threading.Event(), []

    async def run():
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        with listener:
            await serve(server, listener, stop, started.set, Cockpit(server))

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(20)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        if corrections:
            corrections.close()
        assert not thread.is_alive()


class WatchedClient(Client):
    """The simulator's client, which remembers what each picture was answered with."""

    def __init__(self, url, world):
        self.sent_s = [time.time()]
        self.answers = []
        self._picture_of = [0, 0]
        super().__init__(url, world)

    def receive(self, timeout_s):
        before = self.num_answers
        super().receive(timeout_s)
        # The server's last word, the stop, answers no picture.
        if self.num_answers > before and len(self.answers) < len(self._picture_of):
            picture = self._picture_of[len(self.answers)]
            self.answers.append((picture, round(self.steering, 6)))

    def advance(self, seen):
        # Each answer is followed by one telemetry; with none, this picture is not sent.
        if num_new := len(self.answers) + 2 - len(self._picture_of):
            self._picture_of += [len(self.sent_s)] * num_new
            self.sent_s.append(time.time())
        super().advance(seen)

    def first_after(self, seconds):
        """Return the first picture that was sent after a time."""
        return next(i for i, sent in enumerate(self.sent_s) if sent > seconds)


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


# --- The whole way --------------------------------------------------------------------


@pytest.fixture
def program(tmp_path):
    """drive.py itself with a model that was never trained, and its address."""
    pytest.importorskip("keras")
    from model import build_model, save_model

    model_path = save_model(build_model("default"), tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", str(port)]
    command += ["--corrections", tmp_path / "corrections"]
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while "listening" not in (tmp_path / "log.txt").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        yield process, f"http://127.0.0.1:{port}/"
        process.kill()
        process.wait()


def test_person_takes_the_wheel_for_two_seconds_and_it_is_kept(
    browser, program, world, tmp_path
):
    process, url = program
    browser("open", url=url, page=DESK)
    browser.until_banner("Waiting for the simulator")
    browser.evaluate(WATCH)

    def scenario():
        browser.until_banner("The model drives")
        seen = [look(browser)]
        time.sleep(1.5)
        seen.append(look(browser))
        hold(browser, "ArrowRight", 2.0)
        browser.until_banner("The model drives")
        time.sleep(0.3)
        browser.press("h")
        browser.until(f"{PIXELS % 'heat'} > 0")
        browser("screenshot", path=str(tmp_path / "page.png"))
        keys, sent = browser.evaluate("keys.slice(0, 2)"), browser.evaluate("sent")
        browser.press("e")
        browser("click", selector="#end-dialog .danger")
        browser.until_banner("The run has ended")
        return seen, keys, sent, browser.text("command")

    client, (seen, keys, sent, command) = drive_during(url, world, scenario)
    assert process.wait(20) == 0
    assert all(first != second for first, second in zip(*seen, strict=True)), seen

    by_person = set(steered(sent))
    assert max(by_person) == 1 and len(by_person) > 10
    pictures = {picture for picture, value in client.answers if value in by_person}
    pressed, let_go = (client.first_after(seconds) for seconds in keys)
    # The first picture after a key event is answered by the new driver: one earlier where
    # a picture was on its way then, one later where the event was.
    assert abs(min(pictures) - pressed) <= 1
    assert abs(max(pictures) + 1 - let_go) <= 1
    assert pictures == set(range(min(pictures), max(pictures) + 1))

    # Of two answers to one picture the first is kept.
    of_picture = groupby(client.answers, key=lambda answer: answer[0])
    taught = [
        next(value for _, value in answers if value in by_person)
        for picture, answers in of_picture
        if picture in pictures
    ]
    samples = read_recording(tmp_path / "corrections").samples
    np.testing.assert_allclose(samples["steering"], taught, atol=1e-6)
    assert "train.py" in command and str(tmp_path / "corrections") in command


PIXELS = """document.getElementById('%s').getContext('2d')
  .getImageData(0, 60, 320, 60).data.reduce((sum, each) => sum + each, 0)"""


def look(browser):
    """Return what must change while the car drives."""
    words = [browser.text(each) for each in ("time", "distance", "model-steering")]
    return [browser.evaluate(PIXELS % "camera"), *words]


# --- Losing the page ------------------------------------------------------------------

# The page does nothing for a second, with the key still held and its socket open; says
# from when to when, in seconds since 1970.
STALL = """(() => {
  const now = () => (performance.timeOrigin + performance.now()) / 1000;
  const start = now();
  while (now() < start + 1);
  return [start, now()];
})()"""


@pytest.mark.parametrize("how", ["reload", "crash", "stall"])
def test_page_that_is_lost_while_steering_gives_the_wheel_back(chromium, world, how):
    def scenario():
        chromium.until_banner("The model drives")
        chromium("down", key="ArrowLeft")
        chromium.until_banner("You drive")
        if how == "stall":
            lost_s, back_s = chromium.evaluate(STALL)
        else:
            chromium(how)
            lost_s, back_s = time.time(), float("inf")
        time.sleep(0.5)
        if how != "crash":
            chromium("up", key="ArrowLeft")
        return lost_s, back_s

    with serving() as url:
        chromium("open", url=url, page=DESK)
        client, (lost_s, back_s) = drive_during(url, world, scenario)
    assert {value for _, value in client.answers} > {STEERING}
    # Silence of 0.15 s is as good as letting go.
    late = [
        value
        for picture, value in client.answers
        if lost_s + 0.2 < client.sent_s[picture] < back_s - 0.2
    ]
    assert late and set(late) == {STEERING}


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


def test_page_says_that_the_connection_is_lost_and_connects_again(chromium, world):
    def scenario():
        chromium.until_banner("The model drives")
        chromium("down", key="ArrowLeft")
        chromium.until_banner("You drive")
        relay.cut()
        chromium.until_banner("Connection lost: the model drives")
        chromium("up", key="ArrowLeft")
        relay.is_cut = False
        chromium.until_banner("The model drives")

    with serving() as url:
        relay = Relay(int(url.rpartition(":")[2]))
        chromium("open", url=f"http://127.0.0.1:{relay.port}/", page=DESK)
        chromium.until_banner("Waiting for the simulator")
        assert "choose Autonomous mode" in chromium.text("banner-hint")
        drive_during(url, world, scenario)
        chromium.until_banner("Waiting for the simulator")
        relay.is_cut = True
    chromium.until_banner("The run has ended")
    relay.close()


# --- Hands ----------------------------------------------------------------------------


def sent_while(browser, act, kind="steer"):
    """Return what the page sends while something is done, of one kind."""
    browser.evaluate("sent.length = 0")
    act()
    return [each for each in browser.evaluate("sent") if each["type"] == kind]


@pytest.fixture
def page(browser):
    """A page of a server that no simulator drives with; it says what it sends."""
    with serving() as url:
        browser("open", url=url, page=DESK)
        browser.until_banner("Waiting for the simulator")
        browser.evaluate(WATCH)
        yield browser


def test_keys_ramp_like_the_simulators(page):
    values = [-1.0, -0.4, 0.0, 0.02, 0.7, 1.0]
    cases = [
        [value, turn, dt]
        for value in values
        for turn in (-1, 0, 1)
        for dt in (0.02, 0.3)
    ]
    there = page.evaluate(
        "import('/hands.js').then(({ ramp }) =>"
        f" {json.dumps(cases)}.map((each) => ramp(...each)))"
    )
    rates = {
        0: controls.RETURN_PER_S,
        1: controls.STEERING_PER_S,
        -1: controls.STEERING_PER_S,
    }
    here = [controls.ramp(value, turn, rates[turn], dt) for value, turn, dt in cases]
    np.testing.assert_allclose(there, here, atol=1e-12)


@pytest.mark.parametrize(("key", "side"), [("a", -1), ("d", 1), ("ArrowLeft", -1)])
def test_held_key_steers_and_letting_go_releases(page, key, side):
    steering = [each["steering"] for each in sent_while(page, lambda: hold(page, key))]
    assert steering[-1] == side and len(set(steering)) > 3
    assert np.all(np.diff(steering) * side >= 0)
    assert page.evaluate("sent.at(-1)") == {"type": "release"}


def test_shift_keeps_the_wheel_straight_until_it_is_let_go(page):
    def act():
        page("down", key="Shift")
        hold(page, "d", 0.2)
        time.sleep(0.6)
        assert page.evaluate("sent.at(-1).steering") == 0
        page("up", key="Shift")

    sent = sent_while(page, act)
    assert max(each["steering"] for each in sent) > 0.2
    assert page.evaluate("sent.at(-1)") == {"type": "release"}
    # Alone it takes nothing: one goes back through the page's buttons with it.
    assert not sent_while(page, lambda: hold(page, "Shift", 0.2))


@pytest.mark.parametrize("element", ["view", "wheel"])
def test_dragging_steers_from_where_it_began(page, element):
    def act():
        page("mouse", move=[x, y])
        page("mouse", press=True)
        page("mouse", move=[x - 0.25 * DESK["viewport"]["width"] / 6, y])
        time.sleep(0.1)
        page("mouse", press=False)

    box = f"document.getElementById('{element}').getBoundingClientRect()"
    x, y = page.evaluate(f"(({{x, y}}) => [x + 90, y + 90])({box})")
    steering = [each["steering"] for each in sent_while(page, act)]
    assert steering[0] == 0 and steering[-1] == pytest.approx(-0.25)
    assert page.evaluate("sent.at(-1)") == {"type": "release"}


def test_gamepad_steers_beyond_its_dead_zone_and_stops(page):
    def act():
        page.evaluate(
            "pad.axes[0] = 0.05; dispatchEvent(new Event('gamepadconnected'))"
        )
        time.sleep(0.2)
        assert page.evaluate("sent.length") == 0
        page.evaluate("pad.axes[0] = -0.6")
        page.until("sent.length > 2")
        page.evaluate("pad.axes[0] = 0")
        page.until("sent.at(-1).type == 'release'")

    # No machine of the tests has one: the browser's word for it is stood in for.
    page.evaluate(
        "window.pad = { axes: [0], buttons: [{}, { pressed: false }] };"
        "navigator.getGamepads = () => [null, pad]"
    )
    assert {each["steering"] for each in sent_while(page, act)} == {-0.6}
    page.evaluate("pad.buttons[1].pressed = true")
    page.until("document.getElementById('stop').textContent.startsWith('Go')")


def test_leaving_the_window_lets_go(page):
    def act():
        page("down", key="d")
        page.until("sent.length > 2")
        page.evaluate("dispatchEvent(new Event('blur'))")

    sent_while(page, act)
    assert page.evaluate("sent.at(-1)") == {"type": "release"}
    page("up", key="d")


def test_space_stops_and_goes_whatever_has_the_focus(page):
    page.evaluate("document.getElementById('heat-map').focus()")
    page.press(" ")
    page.until("document.getElementById('stop').textContent.startsWith('Go')")
    page.press(" ")
    page.until("document.getElementById('stop').textContent.startsWith('Stop')")
    assert page.evaluate("sent.map((each) => each.type)") == ["stop", "go"]


def test_up_and_down_set_the_target_speed(page):
    page.until("document.getElementById('target-value').textContent == '12 mph'")
    page.press("ArrowUp")
    page.until("document.getElementById('speed-target').textContent == 'of 13 mph'")
    assert page.evaluate("sent") == [{"type": "speed", "mph": 13}]


def test_asking_whether_to_end_the_run_lets_one_drive_on(page):
    page.press("e")
    page("click", selector="#end-dialog button[value=on]")
    page.press("h")
    assert [each["type"] for each in page.evaluate("sent")] == ["heat_map"]
    page.press("e")
    page("click", selector="#end-dialog .danger")
    page.until_banner("The run has ended")


# --- Looks ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_page_fits_its_window(browser, size):
    with serving() as url:
        browser("open", url=url, page=size)
        browser.until_banner("Waiting for the simulator")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if size is DESK:
            assert browser.evaluate(
                "document.documentElement.scrollHeight <= innerHeight"
            )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(browser, scheme):
    """At least 4.5 to 1, as WCAG asks for text of any size."""
    with serving() as url:
        browser("open", url=url, page={**DESK, "colorScheme": scheme})
        rgb = browser.evaluate(r"""(() => {
          const probe = document.body.appendChild(document.createElement("i"));
          const words = {};
          for (const name of ["model", "person", "stop", "waiting", "go", "on-colour",
                              "ink", "faint", "card", "ground"]) {
            probe.style.color = `var(--${name})`;
            words[name] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
          }
          probe.remove();
          return words;
        })()""")
        browser.until_banner("Waiting for the simulator")

    def luminance(name):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in np.array(rgb[name]) / 255
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [
        (name, "on-colour") for name in ("model", "person", "stop", "waiting", "go")
    ]
    pairs += [(name, "card") for name in ("model", "person", "ink", "faint")]
    for pair in [*pairs, ("ink", "ground")]:
        dark, light = sorted(map(luminance, pair))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, pair
