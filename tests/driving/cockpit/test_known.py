"""The cockpit's page says what it knows, and nothing else."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cockpit_drive import (
    DESK,
    PHONE,
    SIDEWAYS,
    drive_during,
    playing,
    serving,
)
from made_recordings import write_recording

from driving.cockpit.heat_map import HeatMap
from simulator import tracks
from simulator.world import World

ROOT = Path(__file__).resolve().parents[3]
UNKNOWN = "–"


@pytest.fixture(scope="module")
def world():
    made = World(tracks.lake(), seed=1, cameras=("center",))
    yield made
    made.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording of 20 s, whose pictures all differ."""
    steering = [steering_of(row) for row in range(1, 201)]
    return write_recording(tmp_path_factory.mktemp("recordings") / "laps", steering)


def texts(browser, *names):
    return [browser.text(name) for name in names]


# --- Before, beside and after a drive -------------------------------------------------


def test_before_the_first_frame_nothing_is_said_of_the_car(browser):
    with serving(model="models/some") as url:
        browser("open", url=url, page=DESK)
        browser.until_text("target-value", "12 mph")
        said = texts(
            browser, "model-steering", "speed", "throttle", "autonomy", "latency"
        )
        assert said == [UNKNOWN] * 5
        assert browser.evaluate("document.getElementById('mark-model').style.display")
        assert browser.text("what") == "Model models/some"


def test_waiting_tells_of_both_simulators(browser):
    with serving() as url:
        browser("open", url=url, page=DESK)
        browser.until_banner("Waiting for the simulator")
        hint = browser.text("banner-hint")
        assert "choose Autonomous mode" in hint
        assert f"python simulate.py drive lake --url {url}" in hint


# What the page says, again and again until it is asked for it.
LISTEN = """
window.heard = [];
(function listen() {
  const text = (id) => document.getElementById(id).textContent;
  heard.push([text("banner-title"), text("banner-hint"), text("speed")]);
  requestAnimationFrame(listen);
})();
"""


def test_a_car_is_said_to_stand_when_it_does_and_to_be_gone_when_it_is(browser, world):
    def scenario():
        browser.until_banner("The model drives")
        names = browser.text("what")
        browser.until("Number(document.getElementById('speed').textContent) > 9")
        browser.evaluate(LISTEN)
        browser.press("e")
        browser("click", selector="#end-dialog .danger")
        browser.until_banner("The run has ended")
        return names

    with serving(model="models/some") as url:
        browser("open", url=url, page=DESK)
        _, names = drive_during(url, world, scenario)
    assert names == "Model models/some · track lake"
    heard = browser.evaluate("heard")
    moves = [(hint, speed) for _, hint, speed in heard if speed != UNKNOWN]
    assert any("The car brakes: " in hint for hint, _ in moves)
    stands = [float(speed) for hint, speed in moves if "has stopped" in hint]
    assert max(stands, default=0) <= 1
    browser.until_text("speed", UNKNOWN)
    assert "The car has stopped" in browser.text("banner-hint")


# A state of the server, the changes made to it, and what the page says to it.
DRIVING = {
    "simulator": "driving",
    "driver": "model",
    "speed_mph": 14.0,
    "you": "watching",
    "may_steer": True,
    "is_ending": False,
    "command": None,
    "playing": None,
}
PLAYING = {"simulator": "playing", "playing": {}}


@pytest.mark.parametrize(
    ("link", "changes", "title", "hint", "never"),
    [
        ("open", {}, "The model drives", "Take over", "stop"),
        ("open", {"driver": "stop"}, "Stopping", "Go on", "Stopped"),
        ("open", {"driver": "stop", "speed_mph": 0.4}, "Stopped", "Go on", "Stopping"),
        ("lost", {}, "Connection lost", "What the car does is not known", "drives"),
        ("lost", PLAYING, "Connection lost", "drive.py still runs", "car"),
        ("open", {"is_ending": True}, "The run ends", "brakes: 14 mph", "Go on"),
        ("lost", {"command": ""}, "The run has ended", "drove 14 mph", "has stopped"),
        (
            "lost",
            {"command": "", "speed_mph": 0.9},
            "The run has ended",
            "stopped",
            "14",
        ),
        (
            "lost",
            {"command": "", "speed_mph": None, "simulator": "waiting"},
            "The run has ended",
            "reload",
            "car",
        ),
        ("open", {"command": "", **PLAYING}, "The run has ended", "reload", "car"),
    ],
)
def test_the_banner_says_what_follows(waiting, link, changes, title, hint, never):
    state = json.dumps({**DRIVING, **changes})
    said = waiting.evaluate(
        "import('/panel.js').then(({ bannerOf }) =>"
        f" bannerOf('{link}', {state}, false))"
    )
    assert said["title"] == title and hint in said["hint"]
    assert never not in said["title"] + said["hint"]


@pytest.fixture(scope="module")
def waiting(chromium):
    """The page of a server that waits."""
    with serving() as url:
        chromium("open", url=url, page=DESK)
        yield chromium


PLAY = """
import sys, time
from cockpit_drive import playing
with playing(sys.argv[1]) as url:
    print(url, flush=True)
    time.sleep(1000)
"""


def test_a_server_that_is_killed_while_it_plays_is_not_said_to_drive(
    chromium, recording
):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with subprocess.Popen(
        [sys.executable, "-c", PLAY, recording],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as server:
        chromium("open", url=server.stdout.readline().strip(), page=DESK)
        chromium.until_banner("A recording is played")
        server.kill()
    chromium.until_banner("Connection lost")
    assert "drives" not in chromium.text("banner-hint")
    chromium.until_text("speed", UNKNOWN)
    assert texts(chromium, "model-steering", "person-steering") == [UNKNOWN] * 2
    chromium("leave")  # It would complain of a server that is not there.


# --- A recording ----------------------------------------------------------------------


@pytest.fixture
def played(browser, recording):
    """A page that is shown a recording, held at its begin."""
    with playing(recording) as url:
        browser("open", url=url, page=DESK)
        browser.until_banner("A recording is played")
        browser.press(" ")
        browser.until_banner("The recording is held")
        browser.press("Home")
        browser.until_text("row", "1")
        yield browser


def test_a_recording_shows_nothing_of_a_drive(played, recording):
    for selector in ("#autonomy", "#target-speed", "#keep", "#corrections", "#time"):
        assert not played.is_shown(selector)
    assert played.is_shown("#seek") and played.text("speed-target") == "mph"
    assert texts(played, "stop-word", "person") == ["Play", "As recorded"]
    assert played.text("what") == f"Model models/some · recording {recording}"


# Where the bright bar of a made recording is, in the middle of the picture's height.
BAR = """(() => {
  const { data } = document.getElementById("camera").getContext("2d")
    .getImageData(0, 90, 320, 1);
  const bright = [...Array(320).keys()].filter((x) => data[4 * x] > 200);
  return bright.reduce((sum, x) => sum + x, 0) / bright.length;
})()"""


def steering_of(row):
    return 0.8 * ((row - 1) % 40 - 20) / 20


def until_row(browser, row):
    """Wait until a row is shown, in words and as a picture."""
    browser.until_text("row", str(row))
    column = 160 + 120 * steering_of(row)
    browser.until(f"Math.abs({BAR} - {column}) < 4")


def test_keys_go_to_other_places_of_a_recording(played):
    for key, row, at in (
        ("ArrowRight", 11, "0:01"),
        ("ArrowRight", 21, "0:02"),
        ("ArrowLeft", 11, "0:01"),
        ("End", 200, "0:19"),
        ("Home", 1, "0:00"),
    ):
        played.press(key)
        until_row(played, row)
        assert played.text("place-value") == f"{at} of 0:19"
    played("down", key="Shift")
    played.press("ArrowRight")
    played("up", key="Shift")
    until_row(played, 2)
    # Held, it stays where it is; let go, it goes on.
    time.sleep(0.5)
    assert played.text("row") == "2"
    played.press(" ")
    played.until("Number(document.getElementById('row').textContent) > 6")


def test_the_bar_is_dragged_to_any_place(played):
    box = "document.getElementById('seek').getBoundingClientRect()"
    x, y, width = played.evaluate(f"(({{x, y, width}}) => [x, y + 16, width])({box})")
    played("mouse", move=[x + width / 4, y])
    played("mouse", press=True)
    played("mouse", move=[x + width / 2, y])
    played.until(
        "Math.abs(Number(document.getElementById('row').textContent) - 100) < 5"
    )
    played("mouse", press=False)
    played("click", selector="#left")
    played.until(
        "Math.abs(Number(document.getElementById('row').textContent) - 90) < 5"
    )


# --- What is drawn, and where ---------------------------------------------------------


def test_chart_has_a_scale_and_a_legend(browser, world):
    def scenario():
        browser.until_banner("The model drives")
        browser.evaluate(
            "window.drawn = new Set();"
            "const write = CanvasRenderingContext2D.prototype.fillText;"
            "CanvasRenderingContext2D.prototype.fillText = function (text, ...at)"
            " { drawn.add(text); write.call(this, text, ...at); };"
        )
        browser.until("drawn.size > 0")
        return browser.evaluate("[...drawn]")

    with serving() as url:
        browser("open", url=url, page=DESK)
        _, drawn = drive_during(url, world, scenario)
    assert {"left −1", "0", "right +1", "30 mph", "−30 s", "now"} <= set(drawn)
    lines = "[...document.querySelectorAll('#legend li')].map((each) => each.innerText)"
    steering = ["Model's steering", "Person's steering"]
    assert browser.evaluate(lines) == [*steering, "Speed", "Target speed"]
    colour = "getComputedStyle(document.querySelector('#legend .%s'), '::before')"
    shown = [
        browser.evaluate(f"{colour % name}.borderTopColor")
        for name in ("model", "person", "speed", "target")
    ]
    assert len(set(shown)) == 4


def test_heat_map_has_a_legend_while_it_is_shown(browser, recording):
    begin = threading.Event()

    def draw(frame):
        assert begin.wait(60)
        return PNG

    with playing(recording, heat_map=HeatMap(draw)) as url:
        browser("open", url=url, page=DESK)
        browser.until_banner("A recording is played")
        assert not browser.is_shown("#heat-legend")
        browser.press("h")
        browser.until("document.getElementById('heat-legend').offsetHeight > 0")
        assert browser.is_shown("#heat-wait") and not browser.is_shown("#heat-scale")
        begin.set()
        browser.until("document.getElementById('heat-scale').offsetHeight > 0")
        assert not browser.is_shown("#heat-wait")
        browser.press("h")
        browser.until("document.getElementById('heat-legend').offsetHeight == 0")


# One clear pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000a4944"
    "4154081d63000100000500018a6dbc200000000049454e44ae426082"
)


def test_a_model_without_heat_maps_offers_none(browser):
    with serving() as url:
        browser("open", url=url, page=DESK)
        browser.until("document.getElementById('heat-map').disabled")
        browser.press("h")
        time.sleep(0.3)
        assert not browser.is_shown("#heat-legend")


@pytest.mark.parametrize(
    "size", ["568x320", "667x375", "740x360", "844x390", "932x430"]
)
def test_a_phone_held_sideways_shows_picture_wheel_and_stop(browser, size):
    width, height = map(int, size.split("x"))
    with serving() as url:
        page = {"viewport": {"width": width, "height": height}, "hasTouch": True}
        browser("open", url=url, page=page)
        browser.until_banner("Waiting for the simulator")
        places = browser.evaluate(
            "['view', 'wheel', 'stop', 'left', 'right'].map((id) => {"
            " const { left, right, top, bottom } ="
            " document.getElementById(id).getBoundingClientRect();"
            " return [left, right, top, bottom]; })"
        )
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view, wheel, stop, *_ = places
    for left, right, top, bottom in places[1:]:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
    # The picture is twice as wide as high: what of the view is shown holds all of it.
    assert view[1] - view[0] > 0.5 * width and view[2] < 0.25 * height
    assert view[2] + (view[1] - view[0]) / 2 <= height
    assert wheel[1] - wheel[0] > 60 and wheel[3] - wheel[2] > 60
    assert stop[0] >= view[1] and stop[2] >= wheel[3]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESK, "light"), (PHONE, "dark"), (SIDEWAYS, "light")],
    ids=["desk", "phone", "sideways"],
)
def test_nothing_keeps_people_from_using_the_page(browser, recording, size, scheme):
    page = {**size, "colorScheme": scheme}
    with serving(model="models/some") as url:
        browser("open", url=url, page=page)
        browser.until_banner("Waiting for the simulator")
        assert browser("barriers") == []
        browser.press("e")
        assert browser("barriers") == []
    with playing(recording) as url:
        browser("open", url=url, page=page)
        browser.until_banner("A recording is played")
        assert browser("barriers") == []
