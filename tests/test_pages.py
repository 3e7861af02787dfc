"""The pages that commands write, as a browser shows them: light, dark, on a phone."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from made_recordings import write_recording

import evaluate
import explore
from common.page import to_svg
from common.shell import typed
from evaluation import benchmark
from evaluation.charts import draw_drive
from evaluation.closed_loop import Job, drive
from evaluation.demo_page import demo_page
from network.files import BASE_MODEL
from simulator.film import Film

LIGHT = {"viewport": {"width": 1280, "height": 900}, "colorScheme": "light"}
DARK = LIGHT | {"colorScheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 844}, "hasTouch": True, "isMobile": True}
# A name that is long, has no place to break, and would be code.
NAME = "a-recording_of-the-lake_both-ways-round_2024-03-01<b>"
# What sticks out of the page and is cut off: what scrolls within itself does not.
SPILLS = """
[...document.querySelectorAll("body *")].filter((element) => {
  const { left, right, width } = element.getBoundingClientRect();
  const isOut = width && (right > innerWidth + 1 || left < -1);
  return isOut && !element.closest(".scroll, pre");
}).map((element) => element.outerHTML.slice(0, 80))
"""
# How each cell of a number stands.
LEFT_CELLS = """
[...document.querySelectorAll("td")]
  .filter((cell) => getComputedStyle(cell).textAlign != "right").length
"""
# Contrast of the text of an element to the page, as WCAG 2 measures it.
CONTRAST = """
(() => {
  const light = (css) => {
    const [r, g, b] = css.match(/[\\d.]+/g).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const texts = "p, dt, dd, th, td, summary, li, figcaption, svg text";
  const worst = [...document.querySelectorAll(texts)]
    .filter((e) => !e.matches(".best"))
    .map((e) => light(getComputedStyle(e)[e.closest("svg") ? "fill" : "color"]))
    .map((ink) => (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05));
  return Math.min(...worst);
})()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of every command that writes one, by the command's name."""
    folder = tmp_path_factory.mktemp("pages")
    recordings = [
        write_recording(folder / name, 0.6 * np.sin(np.arange(60) / 8 + i), seed=i)
        for i, name in enumerate((NAME, "short"))
    ]
    for command in ("report", "benchmark", "explore", "demo"):
        (folder / command).mkdir()
    words = [BASE_MODEL, "zero", "oracle", "--recording", *recordings]
    run(evaluate, *words, "--report", folder / "report" / "page.html")
    roads = benchmark.ROADS
    benchmark.ROADS = (benchmark.Road("random:3013", "random, 1", randomise=1.0),)
    try:
        page = folder / "benchmark" / "page.html"
        run(evaluate, "zero", "--benchmark", "--report", page)
    finally:
        benchmark.ROADS = roads
    run(explore, *recordings, "--out", folder / "explore" / "report")
    make_demo(folder / "demo", folder / "explore" / "report")
    return {
        "report": folder / "report" / "page.html",
        "benchmark": folder / "benchmark" / "page.html",
        "explore": folder / "explore" / "report" / "report.html",
        "demo": folder / "demo" / "index.html",
    }


def run(command, *words):
    assert command.main([str(word) for word in words]) == 0


def make_demo(folder, report):
    """Fill a folder as demo.py does, with less of everything; write its page."""
    shutil.copytree(report, folder / "report")
    (folder / "model").mkdir()
    for name in ("loss", "predictions"):
        shutil.copy(report / "time.png", folder / "model" / f"{name}.png")
    errors = {"averaged_1_s": {"deg": 1.25}}
    scores = {NAME: {"model": errors, "always_zero": errors}}
    metrics = json.dumps({"validation": scores})
    (folder / "model" / "metrics.json").write_text(metrics)
    (folder / "report.json").write_text(json.dumps({"advice": ["Drive more."]}))
    for name, driver in (("drive", "expert"), ("road", "zero")):
        result = drive(Job(driver, "lake", most_s=12.0))
        svg = to_svg(draw_drive(result.rollout))
        (folder / f"{name}.svg").write_text(svg)
        title = {"title": f"Embedded lake, {driver}", "speed_mph": 25.0}
        figures = json.dumps(result.figures() | title)
        (folder / f"{name}.json").write_text(figures)
        with Film(folder / f"{name}.mp4", (64, 32)) as film:
            film.add(np.zeros((32, 64, 3), np.uint8))
    commands = [("Drive", typed("drive.py", folder / "model", "--speed", 20))]
    page = demo_page(folder, NAME, ("drive", "road"), ["--quick leaves out"], commands)
    (folder / "index.html").write_text(page)


@pytest.mark.parametrize("screen", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
@pytest.mark.parametrize("name", ["report", "benchmark", "explore", "demo"])
def test_a_page_fits_every_screen_and_asks_nobody_for_anything(
    name, screen, pages, browser, tmp_path
):
    url = pages[name].as_uri()
    browser("requests")
    browser("open", url=url, page=screen)
    browser("screenshot", path=str(tmp_path / "page.png"), fullPage=False)
    # What is folded away must fit as well.
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    width = screen["viewport"]["width"]
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(SPILLS) == []
    assert browser.evaluate(LEFT_CELLS) == 0
    assert browser.evaluate(CONTRAST) > 4.5  # WCAG 2, level AA
    # The page itself, and of the demo the films beside it.
    films = [pages[name].with_name(f"{f}.mp4").as_uri() for f in ("drive", "road")]
    asked = set(browser("requests"))
    assert url in asked and asked <= {url, *films}
    # In the dark it is dark, and no picture is blank.
    picture = cv2.imread(str(tmp_path / "page.png"), cv2.IMREAD_GRAYSCALE)
    assert (np.median(picture) < 60) == (screen is DARK)
    assert picture[:400].std() > 10


def test_a_page_says_first_how_it_went_and_folds_the_rest_away(pages, browser):
    browser("open", url=pages["report"].as_uri(), page=PHONE)
    said = "document.querySelector('main').previousElementSibling.innerText"
    assert re.search(
        r"The model base .* \(2 recordings replayed\)", browser.evaluate(said)
    )
    # Of everything one can look at on a phone, the verdict is on the first screen.
    verdict = "document.querySelector('.verdict').getBoundingClientRect().bottom"
    assert browser.evaluate(verdict) < PHONE["viewport"]["height"] / 2
    rows = "document.querySelectorAll('main > .scroll tbody th[scope=row]').length"
    assert browser.evaluate(rows) == 8
    assert (
        browser.evaluate("document.querySelectorAll('main > details[open]').length")
        == 0
    )
    assert pages["report"].stat().st_size < 1_000_000
