"""Steps that fill a folder: those that are missing are done, in one line of progress.

    begun = Begun(Path("demo"), {"quick": True}, "python demo.py --quick")
    begun.check()
    with begun.writing():
        begun.do(steps)

Into a file the line goes when a step begins, and once in a while after that.
"""

from __future__ import annotations

from common.ends import line_of

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.bar import Line
from common.errors import InputError
from common.files import (
    MOST_CONFIG_BYTES,
    PARTIAL,
    lock_path_of,
    read_regular,
    write_json,
)
from common.locks import LOCK_NAME, only_writer
from common.text import wrapped

BEGUN_NAME = "begun.json"
# No machine is so much faster or slower than two cores of 2026.
LEAST_PACE, MOST_PACE = 0.3, 10.0

Show = Callable[[float, str], None]
"""Takes what part of a step is done, 0 to 1, and in a word what it is at."""


@dataclass(frozen=True)
class Step:
    """A part of the whole; it is done when its result is there, which appears whole."""

    name: str
    """What it is called, in a word."""
    result: str
    """The file that appears last of all that it makes."""
    usual_s: float
    """The time that it usually takes, on two cores."""
    do: Callable[[Show], str]
    """Does it, and returns what came of it."""


@dataclass(frozen=True)
class Begun:
    """A folder that steps fill, and what they were begun with."""

    folder: Path
    """Where it is all written to."""
    given: dict[str, Any]
    """What must be the same again for the steps to go on; JSON gives it back equal."""
    command: str
    """What one types to go on."""

    def check(self) -> bool:
        """Say whether it was begun before, with the same given.

        Raises:
            InputError: It was begun with other things, or the folder is another's.
        """
        path = self.folder / BEGUN_NAME
        if not path.is_file():
            ours = {LOCK_NAME, f"{PARTIAL}{BEGUN_NAME}", lock_path_of(path).name}
            if self.folder.is_dir() and {p.name for p in self.folder.iterdir()} - ours:
                raise InputError(f"{self.folder} exists already; give another --out")
            return False
        try:
            was = dict(json.loads(read_regular(path, MOST_CONFIG_BYTES)))
            given, command = dict(was["given"]), str(was["command"])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise InputError(
                f"{path}: damaged, expected how it was begun; give another --out"
            ) from error
        for name, value in self.given.items():
            if given.get(name) != value:
                raise InputError(
                    f"{self.folder} was begun with another {name}; to go on: "
                    f"{command}; to begin anew, give another --out"
                )
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep others from the folder while the block runs, and say what it is for.

        Raises:
            InputError: Another process is at it, or has begun it otherwise.
        """
        with only_writer(self.folder):
            if not self.check():
                document = {"command": self.command, "given": self.given}
                write_json(self.folder / BEGUN_NAME, document)
            yield

    def do(self, steps: Sequence[Step]) -> None:
        """Do the steps whose results are not there, one after another.

        Raises:
            InputError: A step failed; the message says why, and how to go on.
        """
        done = [step.name for step in steps if (self.folder / step.result).is_file()]
        usual_s = {step.name: step.usual_s for step in steps}
        with Overall(usual_s, done) as overall:
            for step in steps:
                if step.name in done:
                    continue
                overall.begin(step.name)
                try:
                    said = step.do(overall.show)
                except (InputError, ImportError, OSError) as error:
                    if (line := line_of(error)) is None:
                        raise
                    raise InputError(
                        f"{step.name}: {line}; all that is done is kept; to go on: "
                        f"{self.command}"
                    ) from error
                overall.end(said)


class Overall(Line):
    """How far some steps are; the line goes to stderr, what came of them to stdout.

    Args:
        usual_s: The steps in their order, and the time that each usually takes.
        done: Those of them that need not be done again.
    """

    def __init__(self, usual_s: dict[str, float], done: list[str]) -> None:
        super().__init__(self.line)
        self.usual_s, self.done = usual_s, done
        self._now, self._part, self._note = "", 0.0, ""
        self._step_begun_s = 0.0
        # What the steps that this process has done took, and what they usually take.
        self._spent_s = self._usual_s = 0.0

    def begin(self, name: str) -> None:
        """Say that a step begins."""
        self._now, self._part, self._note = name, 0.0, ""
        self._step_begun_s = time.monotonic()
        self.write()

    def show(self, part: float, note: str = "") -> None:
        """Say how much of the step is done, 0 to 1, and what it is at."""
        self._part, self._note = min(1.0, max(self._part, part)), note

    def end(self, said: str) -> None:
        """Say that the step is done, and what came of it."""
        took_s = time.monotonic() - self._step_begun_s
        self._spent_s += took_s
        self._usual_s += self.usual_s[self._now]
        self.done.append(self._now)
        self.clear()
        count = f"{len(self.done)}/{len(self.usual_s)}"
        line = f"{count} {self._now}, {took_s:.0f} s: {said}"
        print(wrapped(line), flush=True)
        self._now = ""

    def line(self) -> str:
        """Return the line: what is done, what is not, and how long that takes."""
        total_s = sum(self.usual_s.values())
        done_s = sum(self.usual_s[name] for name in self.done)
        done_s += self._part * self.usual_s.get(self._now, 0.0)
        left = [n for n in self.usual_s if n not in self.done and n != self._now]
        parts = [f"{100 * done_s / total_s:3.0f} %"]
        parts += [f"done: {' '.join(self.done)}"] if self.done else []
        parts += [f"{self._now} {self._note}".strip()] if self._now else []
        parts += [f"left: {' '.join(left)}"] if left else []
        minutes = (total_s - done_s) * self._pace() / 60
        return " | ".join([*parts, f"{minutes:.1f} min to go"])

    def _pace(self) -> float:
        """Return how long this machine takes for what usually takes a second."""
        spent_s, usual_s = self._spent_s, self._usual_s
        if self._now and self._part > 0.1:
            spent_s += time.monotonic() - self._step_begun_s
            usual_s += self._part * self.usual_s[self._now]
        return min(MOST_PACE, max(LEAST_PACE, spent_s / usual_s)) if usual_s else 1.0
