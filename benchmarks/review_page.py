"""How fast is the review's page on a long recording, and what memory does it take?

    python benchmarks/review_page.py data/a --rows 100000

A long recording is made of a real one by hard links, and reviewed by review.py in
headless Chromium: the first picture, from opening the page and from typing the command;
seeks to rows drawn at random, with what they take of the cores where the machine has
other work, too; the timeline; the memory of server and page.
Needs chromium and node, as the tests of the page do. Prints a table, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import CAMERAS
from common.command_line import HelpFormatter
from common.table import text_table
from recordings.log import find_log, read_log

START = datetime(2024, 3, 1, 10, tzinfo=UTC)
ROW_S, TAKE_ROWS, PAUSE_S = 0.1, 5000, 30
SEEKS = 60
# Seeks by the field that a person types a row into; a seek ends when its picture is
# painted. Between two a person looks.
SEEK = """(async () => {
  const canvas = document.getElementById("center");
  const field = document.getElementById("jump-row");
  const times = [];
  for (const [line, row] of %s) {
    await new Promise((done) => setTimeout(done, 60));
    const start = performance.now();
    field.value = String(line);
    field.dispatchEvent(new Event("change"));
    await new Promise((done) => {
      const look = new MutationObserver(() => {
        if (canvas.dataset.row === String(row)) { look.disconnect(); done(); }
      });
      look.observe(canvas, { attributes: true });
      if (canvas.dataset.row === String(row)) { look.disconnect(); done(); }
    });
    times.push(performance.now() - start);
  }
  return times;
})()"""
SHOWN = "document.getElementById('center').dataset.row !== undefined"
DRAWN = "document.getElementById('detail').dataset.seen !== undefined"
IDLE = "!/%|Reading/.test(document.getElementById('status').textContent)"


def make_long(source: Path, folder: Path, count: int) -> None:
    """Make a recording of so many rows of another one, again and again, by links."""
    rows, images = read_log(find_log(source)).rows, find_log(source).parent / "IMG"
    (folder / "IMG").mkdir(parents=True)
    lines = []
    for i in range(count):
        row = rows[i % len(rows)]
        at = START + timedelta(seconds=i * ROW_S + i // TAKE_ROWS * PAUSE_S)
        stamp = f"{at:%Y_%m_%d_%H_%M_%S}_{at.microsecond // 1000:03d}"
        names = [f"IMG/{camera}_{stamp}.jpg" for camera in CAMERAS]
        for name, image in zip(names, row.images, strict=True):
            os.link(images / image, folder / name)
        numbers = (row.steering, row.throttle, row.brake, row.speed_mph)
        lines.append(",".join([*names, *map(str, numbers)]))
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Review a recording; return the figures."""
    from cockpit_drive import Browser
    from running_review import DESK, reviewing

    browser = Browser(shutil.which("node"), shutil.which("chromium"))
    typed_s = time.perf_counter()
    with reviewing(folder) as review:
        listens_s = time.perf_counter() - typed_s
        opened_s = time.perf_counter()
        browser("open", url=review.url, page=DESK)
        browser.until(SHOWN)
        first_picture_s = time.perf_counter() - opened_s
        from_command_s = time.perf_counter() - typed_s
        browser.until(DRAWN, 120)
        figures: dict[str, Any] = {
            "rows": count,
            "command_to_address_s": listens_s,
            "command_to_first_picture_s": from_command_s,
            "cold_page_to_first_picture_s": first_picture_s,
            "command_to_timeline_s": time.perf_counter() - typed_s,
        }
        figures["seek_ms_while_it_works"] = seeks(browser, count, 1)
        browser.until(IDLE, 1800)
        figures["command_to_all_found_s"] = time.perf_counter() - typed_s
        opened_s = time.perf_counter()
        browser("open", url=review.url, page=DESK)
        browser.until(SHOWN)
        figures["page_to_first_picture_s"] = time.perf_counter() - opened_s
        browser.until(DRAWN)
        figures["page_to_timeline_s"] = time.perf_counter() - opened_s
        server = psutil.Process(review.process.pid)
        before_s = cpu_s_of(server), cpu_s_of(psutil.Process())
        figures["seek_ms"] = seeks(browser, count, 2)
        after_s = cpu_s_of(server), cpu_s_of(psutil.Process())
        ms = [1e3 * (b - a) / SEEKS for a, b in zip(before_s, after_s, strict=True)]
        figures["cpu_ms_a_seek"] = {"server": ms[0], "browser": ms[1] - ms[0]}
        figures["server_mb"] = server.memory_info().rss / 1e6
        figures["page_heap_mb"] = browser("heap") / 1e6
    browser("leave")
    browser.close()
    return figures


def cpu_s_of(process: psutil.Process) -> float:
    """Return the time that a process and those below it have had a core, in s."""
    all_of_it = [process, *process.children(recursive=True)]
    return float(sum(sum(each.cpu_times()[:2]) for each in all_of_it))


def seeks(browser: Any, count: int, seed: int) -> dict[str, float]:
    """Return quantiles of the time that seeks take, in ms."""
    rows = np.random.default_rng(seed).integers(0, count, SEEKS)
    pairs = [[int(row) + 1, int(row)] for row in rows]
    times = browser.evaluate(SEEK % json.dumps(pairs))
    names = {"p50": 50, "p95": 95, "most": 100}
    return {name: float(np.percentile(times, part)) for name, part in names.items()}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        epilog="Example:\n  python benchmarks/review_page.py data/a --rows 20000",
    )
    add = parser.add_argument
    add("recording", type=Path, help="recording that the long one is made of")
    rows = "rows of the long one (default: 100000)"
    add("--rows", type=int, default=100_000, metavar="N", help=rows)
    where = "folder for the long one, on the recording's disk (default: the system's)"
    add("--folder", type=Path, metavar="DIR", help=where)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and return 0."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as parent:
        folder = Path(parent) / "long"
        make_long(args.recording, folder, args.rows)
        figures = measure(folder, args.rows)
    table = [("what", "measured")]
    for name, value in figures.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{each} {ms:.0f}" for each, ms in value.items())
        else:
            shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        table.append((name.replace("_", " "), shown))
    print(text_table(table, "<>"))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
