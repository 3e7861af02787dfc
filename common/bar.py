"""How far something is, on one line of stderr: the only bar of the project.

    with Bar("checking images", len(paths), "images") as bar:
        for part in parts:
            ...
            bar.add(len(part))

On a terminal the line is written over twice a second, also while nothing moves, and is
gone at the end. Into a file, or a pipe, go whole lines: the first after two seconds,
and then ever more seldom. What is done sooner says nothing there. In the processes
that a command starts to share its work nothing is shown.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Self, TextIO, TypeVar

from common.text import shown

T = TypeVar("T")

# Wider, the line would wrap on the narrowest of terminals, and not be written over.
WIDTH = 79
# So often it is written over on a terminal; sooner than that nothing is shown.
EVERY_S = 0.5
# Into a file: the first line after so long, each pause twice the one before, at most.
FIRST_INTO_FILE_S, MOST_INTO_FILE_S = 2.0, 30.0
# Below this the time to go is given in seconds.
SECONDS_BELOW_S = 90.0


class Line:
    """A line that says how far something is, for as long as a block runs.

    Of several at a time on one stream, the one that began last is shown.

    Args:
        text: Returns what it says by now. It is called from another thread.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text
        self._begun_s = time.monotonic()
        self._is_shown = False

    def __enter__(self) -> Self:
        self._begun_s = time.monotonic()
        self._next_s, self._pause_s = self._begun_s, FIRST_INTO_FILE_S
        self._stream = _Stream(sys.stderr)
        self._next_s += EVERY_S if self._stream.is_terminal else FIRST_INTO_FILE_S
        _TICKER.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _TICKER.remove(self)
        self.clear()
        self._stream.close()

    @property
    def elapsed_s(self) -> float:
        """The time since the block began."""
        return time.monotonic() - self._begun_s

    def write(self) -> None:
        """Write it now."""
        with _TICKER.lock:
            now_s = time.monotonic()
            if self._stream.is_terminal:
                self._next_s = now_s + EVERY_S
                self._stream.write(f"\r{shown(self._text())[:WIDTH]:{WIDTH}}")
                self._is_shown = True
                return
            self._next_s = now_s + self._pause_s
            self._pause_s = min(MOST_INTO_FILE_S, 2 * self._pause_s)
            self._stream.write(f"{shown(self._text())}\n")

    def write_if_due(self) -> None:
        """Write it if it is time to."""
        if time.monotonic() >= self._next_s:
            self.write()

    def clear(self) -> None:
        """Take it away, on a terminal, until it is written again."""
        with _TICKER.lock:
            if self._is_shown:
                self._stream.write(f"\r{'':{WIDTH}}\r")
                self._is_shown = False

    def covers(self, other: Line) -> bool:
        """Say whether it hides a line that began before it."""
        return self._stream.target == other._stream.target


class Bar(Line):
    """How many of some things are done.

    Args:
        title: What is being done, such as "checking images".
        total: How many there are; None: nobody knows, and the time is shown.
        unit: What they are, in the plural.
    """

    def __init__(self, title: str, total: float | None = None, unit: str = "") -> None:
        super().__init__(self.line)
        self.title, self.total, self.unit = title, total, unit
        self.done = 0.0
        """How many are done."""
        self.note = ""
        """What is to be said besides."""

    def add(self, count: float = 1) -> None:
        """Count some more as done."""
        self.done += count

    def to(self, done: float, note: str = "") -> None:
        """Say how many are done by now; never less than before."""
        self.done, self.note = max(self.done, done), note

    def over(self, things: Iterable[T]) -> Iterator[T]:
        """Yield things; each is done when the next one is asked for."""
        for each in things:
            yield each
            self.add()

    def line(self) -> str:
        """Return what is shown."""
        elapsed_s, done, total = self.elapsed_s, self.done, self.total
        parts = [self.title]
        if total:
            done = min(done, total)
            parts.insert(0, f"{100 * done / total:3.0f} %")
            parts.append(f"{int(done):,} of {total:,.0f} {self.unit}".strip())
        parts += [self.note] if self.note else []
        # The first few say little of the others.
        if total and done and elapsed_s > 2 * EVERY_S:
            parts.append(f"{_time(elapsed_s * (total - done) / done)} to go")
        else:
            parts.append(_time(elapsed_s))
        return " | ".join(parts)


def say_beside(text: str) -> None:
    """Print on stderr, above what is shown there."""
    with _TICKER.lock:
        _TICKER.clear()
        is_over_anothers = _is_child() and sys.stderr.isatty()
        line = f"\r{text:{WIDTH}}" if is_over_anothers else text
        print(line, file=sys.stderr, flush=True)


def _is_child() -> bool:
    """Say whether a command has started this process to share its work."""
    return multiprocessing.parent_process() is not None


def _time(seconds: float) -> str:
    if seconds < SECONDS_BELOW_S:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min"


# --- Where it is written to -----------------------------------------------------------


class _Stream:
    """stderr as it is now, whatever its number leads to later.

    While a library in C writes, descriptor 2 leads elsewhere (common/stderr.py).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._descriptor = stream, -1
        self.is_terminal = stream.isatty()
        self.target: object = id(stream)
        with suppress(OSError, ValueError):  # That of a test has no number.
            if stream is sys.__stderr__:
                self._descriptor = os.dup(stream.fileno())
                self.target = "stderr"

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # It may be closed, or its disk full.
            if self._descriptor < 0:
                self._stream.write(text)
                self._stream.flush()
                return
            encoding = self._stream.encoding or "utf-8"
            os.write(self._descriptor, text.encode(encoding, "replace"))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Ticker:
    """Writes the lines that are due, from a thread that lives as long as they do."""

    def __init__(self) -> None:
        # It may be asked for in a signal's handler, by the thread that has it.
        self.lock = threading.RLock()
        self._lines: list[Line] = []
        self._thread: threading.Thread | None = None
        self._has_ended = threading.Event()

    def add(self, line: Line) -> None:
        if _is_child():
            return
        with self.lock:
            self.clear()
            self._lines.append(line)
            if self._thread is None:
                self._has_ended.clear()
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def remove(self, line: Line) -> None:
        with self.lock:
            with suppress(ValueError):
                self._lines.remove(line)
            if not self._lines:
                self._has_ended.set()
                self._thread = None

    def clear(self) -> None:
        for line in self._lines:
            line.clear()

    def _run(self) -> None:
        ended = self._has_ended
        while not ended.wait(EVERY_S / 2):
            with self.lock:
                if ended.is_set():
                    return
                for i, line in enumerate(self._lines):
                    if not any(other.covers(line) for other in self._lines[i + 1 :]):
                        line.write_if_due()


_TICKER = _Ticker()
