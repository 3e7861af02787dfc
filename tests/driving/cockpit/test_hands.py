"""The cockpit's page without a drive: what hands do at it, and how it looks."""

import json
import time

import numpy as np
import pytest
from cockpit_drive import DESK, PHONE, WATCH, hold, serving

from simulator import controls

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


def test_escape_lets_go_until_the_key_is_pressed_anew(page):
    def act():
        page("down", key="d")
        page.until("sent.length > 2")
        page.press("Escape")
        page("down", key="d")  # As held keys do: it repeats itself.
        time.sleep(0.2)

    sent_while(page, act)
    assert page.evaluate("sent.at(-1)") == {"type": "release"}
    page("up", key="d")
    assert sent_while(page, lambda: hold(page, "d", 0.2))


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
