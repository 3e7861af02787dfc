"""How far something is: on a terminal, in a file, beside what a library captures."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording

from common import bar as bars
from common.bar import WIDTH, Bar, say_beside

ROOT = Path(__file__).resolve().parents[2]
# Runs a command in which each of some functions takes so much longer.
SLOWED = """
import importlib, sys, time
sys.path.insert(0, {root!r})
def slow(name, seconds):
    module_name, _, function_name = name.rpartition(".")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)
    def slower(*args, **kwargs):
        time.sleep(seconds)
        return function(*args, **kwargs)
    setattr(module, function_name, slower)
for name, seconds in {slow!r}:
    slow(name, seconds)
print("begun", flush=True)
sys.exit(importlib.import_module({script!r}).main({words!r}))
"""


def on_terminal(script, words, slow, cwd):
    """Run a slowed command on a pseudo-terminal.

    Returns:
        Its exit status, what it wrote, and the longest time in which it wrote nothing,
        from when its packages were loaded to its last letter.
    """
    pty = pytest.importorskip("pty", reason="needs the terminals of POSIX")
    master, slave = pty.openpty()
    code = SLOWED.format(root=str(ROOT), slow=slow, script=script, words=words)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=cwd, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        content, before_s, longest_s = b"", None, 0.0
        try:
            while part := os.read(master, 65536):
                now_s = time.monotonic()
                longest_s = max(longest_s, now_s - (before_s or now_s))
                content, before_s = content + part, now_s
        except OSError:  # On Linux, of a terminal that is closed.
            pass
    os.close(master)
    return process.returncode, content.decode(), longest_s


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.5 * np.sin(np.arange(40) / 8), num_cameras=1)


# --- On a terminal --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "words", "slow", "titles"),
    [
        # A library's words are captured meanwhile, and the bar's are not.
        (
            "dataset",
            ["{bars}"],
            {"recordings.images._look": 0.8},
            ["checking images"],
        ),
        (
            "evaluate",
            ["zero", "--recording", "{bars}"],
            {
                "evaluation.judging.find_place": 1.5,
                "recordings.road_strips.read_frame": 0.1,
                "evaluation.judging.zero_driver": 0.1,
            },
            ["laying out the road", "replaying bars: zero"],
        ),
    ],
    ids=["dataset", "evaluate"],
)
def test_a_slow_step_is_never_silent_for_long(
    script, words, slow, titles, recording, tmp_path, monkeypatch
):
    monkeypatch.setenv("BC_CACHE_DIR", str(tmp_path / "cache"))
    words = [word.format(bars=recording) for word in words]
    code, text, silent_s = on_terminal(script, words, list(slow.items()), tmp_path)
    assert code == 0, text
    for title in titles:
        assert len(re.findall(rf"[ \d]{{3}} % \| {title} \|", text)) > 3
    # Twice a second it is written, and each step takes three and more; what is between
    # is for machines that do much else.
    assert silent_s < 2.5
    # What is written over leaves nothing behind, and never wraps.
    shown = [line.rpartition("\r")[2] for line in text.split("\r\n")]
    assert not any(" | " in line for line in shown)
    assert max(map(len, re.split(r"[\r\n]+", text))) <= WIDTH + 1


# --- In a file ------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """A bar that does not wait as long as it does for people."""
    monkeypatch.setattr(bars, "EVERY_S", 0.02)
    monkeypatch.setattr(bars, "FIRST_INTO_FILE_S", 0.05)
    monkeypatch.setattr(bars, "MOST_INTO_FILE_S", 0.2)


def until(holds):
    deadline_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_into_a_file_go_whole_lines_ever_more_seldom(impatient, tmp_path, monkeypatch):
    log_path = tmp_path / "log"
    with log_path.open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        with Bar("drawing", 4, "roads") as bar:
            for each in bar.over(range(3)):
                until(lambda each=each: log_path.read_text().count("\n") > each)
    lines = log_path.read_text().splitlines()
    assert [line.partition(" roads")[0] for line in lines] == [
        "  0 % | drawing | 0 of 4",
        " 25 % | drawing | 1 of 4",
        " 50 % | drawing | 2 of 4",
    ]


def test_what_is_soon_done_says_nothing_in_a_file(capsys):
    for _ in range(3):
        with Bar("drawing", 4, "roads") as bar:
            bar.add(4)
    assert capsys.readouterr() == ("", "")


def test_of_two_bars_the_inner_one_is_shown(impatient, capsys):
    said = []

    def count(title):
        said.append(capsys.readouterr().err)
        return "".join(said).count(title)

    with Bar("driving", 2, "drives"):
        until(lambda: count("driving"))
        with Bar("loading"):
            until(lambda: count("loading"))
            before = count("driving")
            until(lambda: count("loading") > 3)
            assert count("driving") == before
        until(lambda: count("driving") > before)


def test_a_line_beside_a_bar_is_a_line_of_its_own(impatient, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Bar("driving", 2, "drives") as bar:
        bar.write()
        say_beside("random:7 is left out")
    written = capsys.readouterr().err
    assert "\r" + " " * WIDTH + "\rrandom:7 is left out\n" in written


def test_a_share_of_what_is_done_tells_the_time_to_go(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    bar = Bar("driving", 1000, "m")
    bar.to(250, "18 s driven")
    assert bar.line() == " 25 % | driving | 250 of 1,000 m | 18 s driven | 0 s"
    now_s[0] = 10.0
    assert bar.line() == " 25 % | driving | 250 of 1,000 m | 18 s driven | 30 s to go"
    now_s[0] = 100.0
    assert bar.line().endswith("| 5.0 min to go")
    bar.to(100)  # Put back, a car has driven no less.
    assert " 25 % | driving | 250 of 1,000 m | " in bar.line()
    assert Bar("loading").line() == "loading | 0 s"
