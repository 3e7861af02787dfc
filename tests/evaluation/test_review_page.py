"""The review's page in headless Chromium: looked at, marked by mouse and by keys."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from cockpit_drive import PHONE
from made_recordings import write_recording
from running_review import DESK, IS_IDLE, IS_SAVED, SHOWS, reviewing

import dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recording of 20 s with a step to full lock; it is copied."""
    steering = 0.5 * np.sin(np.arange(200) / 12)
    steering[140:143] = 1.0
    return write_recording(tmp_path_factory.mktemp("d") / "drive", steering)


@pytest.fixture
def drive(made, tmp_path):
    return shutil.copytree(made, tmp_path / "drive")


@pytest.fixture
def opened(drive, browser):
    """The page of a recording, with its first row shown."""
    with reviewing(drive) as review:
        browser("open", url=review.url, page=DESK)
        browser.until(SHOWS % 0)
        browser.until(IS_SAVED)
        yield browser, drive
        # Before its server ends, which it would complain of.
        browser("leave")


def marks_in(folder):
    path = folder / "driving_log.marks.csv"
    return path.read_text().splitlines()[1:] if path.exists() else []


def contents(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".marks." not in path.name
    }


def drag(page, first, last):
    """Drag over rows of the detail, of 200 that are seen."""
    box = page.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.getElementById('detail').getBoundingClientRect())"
    )
    for part, press in ((first, True), ((first + last) / 2, None), (last, None)):
        x = box[0] + box[2] * (part + 0.5) / 200
        page("mouse", move=[x, box[1] + box[3] / 2])
        if press:
            page("mouse", press=True)
    page("mouse", press=False)


def number_of_marks(page, count):
    word = "1 mark" if count == 1 else f"{count} marks"
    page.until(
        f"document.getElementById('status').textContent.startsWith('Saved: {word}')"
    )


def test_marks_by_mouse_and_keys_are_saved_undone_and_there_after_a_reload(
    opened, capsys
):
    page, drive = opened
    before = contents(drive)
    # By mouse: a stretch, a button, a word.
    drag(page, 20, 39)
    page.until("document.getElementById('selection').textContent === 'rows 21–40'")
    page("click", selector="#controls [data-kind='leave-out']")
    page("click", selector="#words button")
    page("click", selector="#note-mark")
    number_of_marks(page, 1)
    assert marks_in(drive) == ["21,40,leave-out,crash"]
    # By keys: In and Out ten rows on, hard, with a word.
    page.press("Home")
    page.until(SHOWS % 0)
    for key in ("i", *["ArrowRight"] * 9, "o", "h"):
        page.press(key)
    page("type", text="bridge")
    page.press("Enter")
    number_of_marks(page, 2)
    assert marks_in(drive)[1] == "1,10,hard,bridge"
    page.press("z")
    number_of_marks(page, 1)
    page.press("y")
    number_of_marks(page, 2)
    page("down", key="Control")
    page.press("z")
    page("up", key="Control")
    number_of_marks(page, 1)
    assert marks_in(drive) == ["21,40,leave-out,crash"]
    page("reload")
    number_of_marks(page, 1)
    page("click", selector="#tab-marks")
    assert "left out: crash" in page.text("mark-list")
    page("click", selector="#tab-summary")
    page.until("document.getElementById('summary-rows').textContent.includes('180')")
    assert page.text("command") == f"python train.py {drive}"
    assert dataset.main([str(drive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["excluded"] == {"marked-out": 20}
    assert contents(drive) == before


def test_what_is_chosen_before_all_is_read_is_kept(drive, browser):
    """The rows are there; how they are used, and the moments, come later."""
    chosen = "document.getElementById('selection').textContent == 'rows 21–40'"
    with reviewing(drive) as review:
        browser("open", url=review.url, page=DESK, hold="**/details*")
        browser.until(SHOWS % 0)
        browser.until(IS_SAVED)
        drag(browser, 20, 39)
        browser.until(chosen)
        browser("release")
        browser("click", selector="#tab-summary")
        browser.until(
            "document.getElementById('summary-rows').textContent.includes('200')"
        )
        assert browser.evaluate(chosen)
        browser("leave")


CURRENT = "document.querySelector('#moment-list [aria-current=true]')"


def test_a_moment_is_one_key_away_and_marked_by_another(opened):
    page, drive = opened
    page.until("document.getElementById('moment-list').children.length > 0")
    # The bars of these pictures move as no road does: that is a moment, too.
    text = ""
    while "full lock" not in text:
        page.press("n")
        page.until(f"{CURRENT} !== null && {CURRENT}.textContent != {text!r}")
        text = page.evaluate(f"{CURRENT}.textContent")
    assert "full lock to the right for 0.2 s" in text
    page.until("/^14[0-2]$/.test(document.getElementById('center').dataset.row)")
    assert "(moment)" in page.text("selection")
    for key in ("x", "Enter"):
        page.press(key)
    number_of_marks(page, 1)
    first, last = map(int, marks_in(drive)[0].split(",")[:2])
    assert first <= 141 <= last and last - first < 20
    page.until("document.querySelector('#moment-list .left-out') !== null")


PAUSE_BEHIND_120 = """(() => {
  const row = document.getElementById("row");
  window.paused = new Promise((done) => {
    const look = new MutationObserver(() => {
      if (!(Number(row.textContent.split(" ")[1]) > 120)) return;
      look.disconnect();
      document.body.dispatchEvent(
        new KeyboardEvent("keydown", { key: " ", bubbles: true }),
      );
      const [, first] = row.textContent.split(" ");
      // A picture of the screen is made in less.
      setTimeout(() => {
        done(row.textContent.split(" ")[1] === first ? Number(first) : null);
      }, 300);
    });
    look.observe(row, { childList: true, characterData: true, subtree: true });
  });
})()"""


def test_it_is_stepped_played_sought_and_jumped(opened):
    page, _ = opened
    page.press("ArrowRight")
    page.until(SHOWS % 1)
    page("down", key="Shift")
    page.press("ArrowRight")
    page("up", key="Shift")
    page.until(SHOWS % 11)
    assert page.text("row") == "row 12 of 200" and page.text("speed") == "20.0 mph"
    page.press("g")
    page("type", text="101")
    page.press("Enter")
    page.until(SHOWS % 100)
    # Paused within the page: it plays on while a test here waits for its turn.
    page.evaluate(PAUSE_BEHIND_120)
    for key in ("]", "]", "]", " "):
        page.press(key)
    row = page.evaluate("window.paused")
    assert 120 < row < 200
    page.until(SHOWS % (row - 1))
    assert page.text("row") == f"row {row} of 200"
    assert page.evaluate("document.getElementById('play').ariaPressed") == "false"
    assert page.evaluate("document.getElementById('rate').value") == "8×"
    page.press("End")
    page.until(SHOWS % 199)
    # The pictures of a row are its own: a bright bar stands where it is steered to.
    at = """(() => { const c = document.getElementById('%s').getContext('2d');
        const d = c.getImageData(0, 90, 320, 1).data; let s = 0, n = 0;
        for (let x = 0; x < 320; x++) if (d[4 * x] > 180) { s += x; n++; }
        return s / n; })()"""
    steered = 160 + 120 * 0.5 * np.sin(199 / 12)
    cameras = ("center", "left", "right")
    for name in cameras:  # Each picture comes by itself.
        page.until(f"document.getElementById('{name}').dataset.row === '199'")
    places = [page.evaluate(at % name) for name in cameras]
    np.testing.assert_allclose(places, steered + np.array([0, 25, -25]), atol=2)


def test_what_the_command_line_marks_meanwhile_is_shown(opened, capsys):
    import review

    page, drive = opened
    assert review.main([str(drive), "--leave-out", "5:9"]) == 0
    number_of_marks(page, 1)
    page("click", selector="#tab-marks")
    page("click", selector="#mark-list button:last-child")
    number_of_marks(page, 0)
    assert marks_in(drive) == []


def test_the_last_take_is_discarded_by_a_key(opened):
    page, drive = opened
    page.press("d")
    page("click", selector="#discard-seconds")
    page("type", text="2,5")
    page.press("Enter")
    number_of_marks(page, 1)
    assert marks_in(drive) == ["176,200,leave-out,take discarded"]


def test_what_cannot_be_saved_is_said_and_saved_later(drive, chromium):
    with reviewing(drive) as review:
        chromium("open", url=review.url, page=DESK)
        chromium.until(SHOWS % 0)
        port = review.port
    for key in ("x", "Enter"):
        chromium.press(key)
    chromium.until("document.getElementById('status').dataset.kind == 'unsaved'")
    chromium.until(
        "document.getElementById('status').textContent == "
        "'Connection lost: does review.py still run?'"
    )
    # That the connection is lost may be known before the mark has found no answer.
    chromium.until(
        "document.getElementById('fault').textContent"
        ".includes('Not saved: review.py does not answer')"
    )
    assert marks_in(drive) == []
    with reviewing(drive, port=port):
        number_of_marks(chromium, 1)
        assert marks_in(drive) == ["1,1,leave-out,"]
    chromium("leave")


@pytest.mark.parametrize("page_of", [DESK, PHONE], ids=["desk", "phone"])
def test_nobody_is_shut_out(drive, browser, page_of):
    """axe-core finds nothing serious, in any panel and dialog, light or dark."""
    with reviewing(drive) as review:
        for scheme in ("light", "dark"):
            browser("open", url=review.url, page={**page_of, "colorScheme": scheme})
            browser.until(SHOWS % 0)
            browser.until(IS_IDLE)
            for panel in ("moments", "marks", "models", "summary"):
                browser("click", selector=f"#tab-{panel}")
                assert browser("barriers") == []
            for key in ("x", "d", "?"):
                browser.press(key)
                assert browser("barriers") == []
                browser.press("Escape")
        browser("leave")
