"""Hostile logs: the work grows with the file, and what is no file is not waited for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from recordings import lines as lines_of
from recordings import log as reader
from recordings.log import find_log, parse_log, read_log

ROOT = Path(__file__).resolve().parents[2]
PATHS = "IMG/center_{0}.jpg,IMG/left_{0}.jpg,IMG/right_{0}.jpg"
GOOD = [f"{PATHS.format(f'{i:030d}')},0.{i},1,0,9" for i in range(9)]
PATH = Path("driving_log.csv")


def nested_quotes(depth):
    text = GOOD[0]
    for _ in range(depth):
        text = '"' + text.replace('"', '""') + '"'
    return text


# Lines of a hostile kind, of about n characters.
HOSTILE = {
    "numbers": lambda n: [f"{PATHS},{','.join(['0.5'] * (n // 4))}"],
    "numbers without points": lambda n: [f"{PATHS},{','.join(['12'] * (n // 3))}"],
    "commas": lambda n: ["," * n],
    "commas behind images": lambda n: [f"{PATHS},{',' * n}0,0"],
    "digits": lambda n: [f"{PATHS},{'1' * n},0,0,9"],
    "digits that are no number": lambda n: [f"{PATHS},{'1' * n}x,0,0,9"],
    "digits with an exponent": lambda n: [f"{PATHS},1e{'9' * n},0,0,9"],
    "numbers before the images": lambda n: ["7," * (n // 2) + GOOD[0]],
    "pieces of a path": lambda n: [f"/{'a,' * (n // 2)}b.jpg,0,0,0,9"],
    "images": lambda n: ["a.jpg," * (n // 6)],
    "letters": lambda n: ["a" * n],
    "capitals": lambda n: ["aA" * (n // 2)],
    "dots": lambda n: ["." * n],
    "ends of names": lambda n: [".jpg" * (n // 4)],
    "slashes": lambda n: ["/" * n + "a.jpg,0,0,0,9"],
    "quotes": lambda n: ['"' * n],
    "quotes and commas": lambda n: ['",' * (n // 2)],
    "spaces": lambda n: [" " * n + "x"],
    "tabs": lambda n: ["\t" * n + "x"],
    "semicolons": lambda n: [";" * n],
    "zero bytes": lambda n: ["x" + "\0" * n + "x"],
    "letters that unfold": lambda n: ["\ufdfa" * n],
    "words of a header": lambda n: ["steering," * (n // 9)],
    "empty lines": lambda n: [""] * n,
    "short lines": lambda n: ["x"] * (n // 2),
    "headers": lambda n: (
        ["center,left,right,steering,throttle,brake,speed"] * (n // 50)
    ),
    "bad numbers": lambda n: [f"{PATHS},x,1,0,9"] * (n // 60),
}
# Work, in calls and in characters looked at, that a hostile row of any length may cost.
MOST_CALLS, MOST_LOOKED_AT = 40_000, 40 * lines_of.MOST_LINE_CHARACTERS


def content_of(lines):
    return "\n".join([*GOOD, *lines, *GOOD[::-1], ""]).encode()


class Work:
    """Counts the calls of a block, and the characters that regexes and csv look at."""

    def __init__(self, monkeypatch):
        self.calls = self.looked_at = 0
        for where, name in ((lines_of, "IMAGE_NAME"), (reader, "NUMBER")):
            monkeypatch.setattr(where, name, self.spied(getattr(where, name)))
        monkeypatch.setattr(reader, "IMAGE_NAME", lines_of.IMAGE_NAME)
        named = reader.named_columns
        monkeypatch.setattr(
            reader, "named_columns", lambda c: self.look("".join(c)) or named(c)
        )
        rows = lines_of.csv.reader
        monkeypatch.setattr(
            lines_of.csv, "reader", lambda s, **k: self.look(*s) or rows(s, **k)
        )

    def look(self, text):
        self.looked_at += len(text)

    def spied(self, pattern):
        work = self

        class Spy:
            def search(self, text):
                return work.look(text) or pattern.search(text)

            def fullmatch(self, text):
                # Each digit may be looked at again from each other one.
                work.looked_at += len(text) ** 2
                return pattern.fullmatch(text)

        return Spy()

    def __enter__(self):
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _count(self, frame, event, argument):
        self.calls += event in ("call", "c_call")


def work_of(lines, monkeypatch):
    content = content_of(lines)
    with monkeypatch.context() as patched:
        work = Work(patched)
        with work:
            log = parse_log(PATH, content)
    assert len(log.rows) >= 9
    return work


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_row_costs_the_same_however_long_it_is(kind, monkeypatch):
    make, bound = HOSTILE[kind], lines_of.MOST_LINE_CHARACTERS
    lines = make(bound // 2)
    if len(lines) > 1:
        # Many lines: twice as many are twice the work.
        once, twice = (work_of(make(n), monkeypatch) for n in (40_000, 80_000))
        assert twice.calls < 2.2 * once.calls
        assert twice.looked_at < 2.2 * max(once.looked_at, 1)
        return
    for length in (bound // 2, bound - 400, 100 * bound):
        work = work_of(make(length), monkeypatch)
        assert work.calls < MOST_CALLS and work.looked_at < MOST_LOOKED_AT


def test_row_beyond_the_bounds_is_left_out_and_said():
    long = f"{PATHS},{'0' * lines_of.MOST_LINE_CHARACTERS}"
    wide = f"{PATHS},{','.join(['0.5'] * 80_000)}"
    log = parse_log(PATH, content_of([long, wide]))
    assert len(log.rows) == 18 and log.excluded == {"bad-row": 2}
    assert log.warnings[0].startswith(
        "2 rows left out; row 10: more than 16,384 characters or 256 columns; row 11: "
    )


def test_longest_row_within_the_bounds_is_read():
    folder = "/".join(["x" * 200] * 20)
    row = f"{PATHS.replace('IMG', folder)},{','.join(['0.5'] * 200)}"
    assert len(row) < lines_of.MOST_LINE_CHARACTERS
    header = f"center,left,right,steering,throttle,brake,speed{',lap' * 197}"
    log = parse_log(PATH, "\n".join([header, row, ""]).encode())
    assert log.rows[0].images[0] == "center_{0}.jpg" and log.rows[0].steering == 0.5


@pytest.mark.parametrize("depth", [1, 2, 10])
def test_quotes_around_quotes_are_taken_off_to_the_last(depth):
    log = parse_log(PATH, content_of([nested_quotes(depth)]))
    assert len(log.rows) == 19 and not log.excluded


def test_log_of_too_many_lines_or_bytes_is_refused_before_it_is_split(
    tmp_path, monkeypatch
):
    with pytest.raises(InputError, match="2,000,001 lines, expected at most 2,000,000"):
        parse_log(PATH, b"\n" * 2_000_001)
    log = tmp_path / "driving_log.csv"
    log.touch()
    os.truncate(log, lines_of.MOST_LOG_BYTES + 1)
    with pytest.raises(InputError, match="134,217,729 bytes, expected at most"):
        read_log(log)


def test_only_the_first_bad_rows_are_kept_in_words():
    log = parse_log(PATH, content_of([f"{PATHS},x,1,0,9"] * 5000))
    assert log.excluded == {"bad-number": 5000} and len(log.warnings) == 1
    assert len(re.findall(r"row \d+:", log.warnings[0])) == 3


COMMANDS = {
    "dataset": ["dataset.py", "{}"],
    "explore": ["explore.py", "{}", "--out", "{}/out"],
    "augment": ["augment.py", "{}", "--out", "{}/sheet.png"],
    "train": ["train.py", "{}", "--name", "a", "--models-dir", "{}/models"],
    "evaluate": ["evaluate.py", "zero", "--recording", "{}"],
    "drive": ["drive.py", str(ROOT / "models" / "none.json"), "--play", "{}"],
}


@pytest.mark.parametrize("kind", ["pipe", "endless", "elsewhere"])
def test_log_that_is_no_regular_file_is_refused_and_not_waited_for(kind, tmp_path):
    path = tmp_path / ("a.csv" if kind == "elsewhere" else "driving_log.csv")
    if kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    with pytest.raises(InputError) as caught:
        find_log(tmp_path)
    expected = "no driving_log.csv" if kind == "elsewhere" else "no regular file"
    assert expected in str(caught.value)
    with pytest.raises(InputError, match="no regular file"):
        read_log(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_waits_for_a_log_that_is_a_pipe(command, tmp_path):
    os.mkfifo(tmp_path / "driving_log.csv")
    arguments = [part.format(tmp_path) for part in COMMANDS[command]]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
