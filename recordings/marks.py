"""Marks: what a person says of stretches of a recording, in a file beside its log.

    from row,to row,mark,note
    200,260,leave-out,crash

stands in `driving_log.marks.csv`, a line for each mark, the newest last. Rows are the
lines of the log as an editor or a spreadsheet numbers them: the first line of the file
is row 1, a header too; a stretch holds both its ends. The reader's messages count them
so as well. The log and the images are never touched; without the file, nothing is
marked.

What is left out is as if its rows were not in the log at all. Nothing slow is imported
here: a command can refuse its marks before anything else.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import read_regular, whole_file
from recordings.lines import MOST_LINES
from recordings.log import MARKS_SUFFIX

LEAVE_OUT, ONLY, HARD = KINDS = ("leave-out", "only", "hard")
HEADER = ("from row", "to row", "mark", "note")
# Ten thousand marks, with a word each.
MOST_MARKS_BYTES = 1_000_000
MOST_MARKS = 10_000
MOST_NOTE_CHARACTERS = 200
MOST_DIGITS = 9
# What separates the cells where a spreadsheet has saved the file.
DELIMITERS = ",;\t"
# So many stretches are named in a sentence.
MOST_NAMED = 3


RANGE = re.compile(r"([0-9]{1,9})?:([0-9]{1,9})?|([0-9]{1,9})")

Rows = tuple[int | None, int | None]
"""First and last row, as lines of the log; None stands for its beginning or its end."""


# --- Stretches of rows ----------------------------------------------------------------


class Stretches:
    """A set of rows, as stretches in their order that do not touch one another.

    Args:
        stretches: First and last row of each, in any order; they may overlap.
    """

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        found: list[tuple[int, int]] = []
        for first, last in sorted(stretches):
            if found and first <= found[-1][1] + 1:
                found[-1] = found[-1][0], max(found[-1][1], last)
            else:
                found.append((first, last))
        self._firsts = [first for first, _ in found]
        self._lasts = [last for _, last in found]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, row: object) -> bool:
        assert isinstance(row, int), "rows are numbers"
        place = bisect_right(self._firsts, row) - 1
        return place >= 0 and row <= self._lasts[place]

    def others(self) -> Stretches:
        """Return all rows that a log can have, but these."""
        ends = [0, *self._lasts]
        begins = [*self._firsts, MOST_LINES + 2]
        between = zip(ends, begins, strict=True)
        return Stretches((end + 1, begin - 1) for end, begin in between)


# --- Marks ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """What is said of one stretch.

    Raises:
        InputError: It makes no sense; the message says what was expected.
    """

    first: int
    """The first row of the stretch, from 1."""
    last: int
    """Its last row."""
    kind: str
    """One of KINDS: not to be used; the only ones to be used; to be drawn more often
    in training."""
    note: str = ""
    """Why, on one line."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"mark is {self.kind[:40]!r}, expected {', '.join(KINDS[:-1])} or "
                f"{KINDS[-1]}"
            )
        if not 1 <= self.first <= self.last <= MOST_LINES:
            raise InputError(
                f"rows {self.first} to {self.last}, expected a first row of 1 or more, "
                f"and a last one from there on, up to {MOST_LINES}"
            )
        if len(self.note) > MOST_NOTE_CHARACTERS or not self.note.isprintable():
            raise InputError(
                f"note of {len(self.note)} characters, expected one line of at most "
                f"{MOST_NOTE_CHARACTERS} that can be printed"
            )

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.first}-{self.last}{note}"


@dataclass(frozen=True)
class Marks:
    """The marks of a recording, the newest last."""

    entries: tuple[Mark, ...] = ()

    def of_kind(self, kind: str) -> list[Mark]:
        """Return the marks of a kind."""
        return [mark for mark in self.entries if mark.kind == kind]

    @property
    def left_out(self) -> Stretches:
        """The rows that are not to be used: what is left out, and what is beside the
        only ones to be used, where there are such."""
        out = list(self._rows(LEAVE_OUT))
        only = self._rows(ONLY)
        return Stretches([*out, *only.others()] if only else out)

    @property
    def hard(self) -> Stretches:
        """The rows that are to be drawn more often."""
        return self._rows(HARD)

    def _rows(self, kind: str) -> Stretches:
        return Stretches((mark.first, mark.last) for mark in self.of_kind(kind))

    def fingerprint(self) -> bytes:
        """Return what differs whenever the marks say something else of the rows.

        Without any, it is empty; notes, and the order of marking, say nothing.
        """
        said = [("out", *each) for each in self.left_out]
        said += [("hard", *each) for each in self.hard]
        return repr(said).encode() if said else b""

    def check(self, last_row: int, path: Path) -> None:
        """See that the log has the rows.

        Args:
            last_row: The log's last row.
            path: The file of the marks, for the message.

        Raises:
            InputError: It has not.
        """
        for number, mark in enumerate(self.entries, start=2):
            if mark.last > last_row:
                raise InputError(
                    f"{path} line {number}: rows {mark.first} to {mark.last}, expected "
                    f"rows of the log, which ends with row {last_row}; is it another "
                    "log's? Correct the line, or delete it"
                )


def what_marks_say(marks: Marks, num_left_out: int, num_hard: int) -> list[str]:
    """Return in words what marks change of a recording."""
    said = []
    if num_left_out:
        out = _named(marks.of_kind(LEAVE_OUT))
        if only := marks.of_kind(ONLY):
            out = "; ".join(filter(None, [f"only {_named(only)} to be used", out]))
        said.append(f"{num_left_out:,} rows marked out: {out}")
    if num_hard:
        said.append(f"{num_hard:,} rows marked hard: {_named(marks.of_kind(HARD))}")
    return said


def _named(marks: list[Mark]) -> str:
    shown = ", ".join(map(str, marks[:MOST_NAMED]))
    more = len(marks) - MOST_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


# --- Rows of a command line -----------------------------------------------------------


def rows_of_text(text: str) -> Rows:
    """Read FROM:TO, FROM:, :TO or ROW of a command line; both ends belong to it.

    Raises:
        ArgumentTypeError: It is none of these.
    """
    found = RANGE.fullmatch(text)
    if not found or text == ":":
        raise argparse.ArgumentTypeError(
            f"{text!r}, expected rows of the log: FROM:TO, FROM:, :TO or ROW"
        )
    first, last, only = (int(each) if each else None for each in found.groups())
    return (only, only) if only is not None else (first, last)


# --- The file -------------------------------------------------------------------------


def marks_path(log_path: Path) -> Path:
    """Return where the marks of a log lie."""
    return log_path.with_name(log_path.stem + MARKS_SUFFIX)


def read_marks(log_path: Path) -> Marks:
    """Return the marks of a log; none where there is no file of them.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    path = marks_path(log_path)
    if not path.exists():
        return Marks()
    return marks_of_text(read_regular(path, MOST_MARKS_BYTES), path)


def marks_of_text(content: bytes, path: Path) -> Marks:
    """Return the marks that a file holds.

    Args:
        content: What is in the file.
        path: Its name, for the message.

    Raises:
        InputError: It holds something else.
    """
    mend = "correct the line, or delete it"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no UTF-8 text; save it as such") from error
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        lines = list(reader)
    except csv.Error as error:
        where = f"{path} line {reader.line_num}"
        raise InputError(
            f"{where}: {error}, expected cells of a csv; {mend}"
        ) from error
    numbered = [(i, [c.strip() for c in row]) for i, row in enumerate(lines, start=1)]
    numbered = [(i, row) for i, row in numbered if any(row)]
    if not numbered:
        return Marks()
    (number, header), *rest = numbered
    if tuple(cell.lower() for cell in header) != HEADER:
        raise InputError(
            f"{path} line {number}: found {','.join(header)[:80]!r}, expected the "
            f"header {','.join(HEADER)}; put it there"
        )
    if len(rest) > MOST_MARKS:
        raise InputError(
            f"{path}: {len(rest):,} marks, expected at most {MOST_MARKS:,}; join some"
        )
    marks = []
    for number, cells in rest:
        try:
            marks.append(_mark_of(cells))
        except InputError as error:
            raise InputError(f"{path} line {number}: {error}; {mend}") from error
    return Marks(tuple(marks))


def _mark_of(cells: list[str]) -> Mark:
    if not 3 <= len(cells) <= len(HEADER):
        raise InputError(f"found {len(cells)} cells, expected {', '.join(HEADER)}")
    first, last, kind, note = [*cells, ""][: len(HEADER)]
    return Mark(_row_of(first), _row_of(last), kind, note)


def _row_of(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InputError(f"row is {text[:40]!r}, expected a number")
    return int(text)


def text_of_marks(marks: Marks) -> bytes:
    """Return what a file of marks holds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for mark in marks.entries:
        writer.writerow((mark.first, mark.last, mark.kind, mark.note))
    return text.getvalue().encode()


def change_marks(log_path: Path, change: Callable[[Marks], Marks]) -> Marks:
    """Read the marks of a log, and write them changed, whole or not at all.

    Others who change them meanwhile wait, and nothing of theirs is lost.

    Args:
        change: Returns the new marks. What it raises leaves the file as it is.

    Returns:
        The new marks.

    Raises:
        InputError: The file holds something else.
        OSError: It cannot be written.
    """
    with whole_file(marks_path(log_path)) as partial_path:
        marks = change(read_marks(log_path))
        if len(marks.entries) > MOST_MARKS:
            raise InputError(
                f"{marks_path(log_path)}: more than {MOST_MARKS:,} marks; join some"
            )
        partial_path.write_bytes(text_of_marks(marks))
    return marks
