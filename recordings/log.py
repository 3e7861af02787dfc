"""Read the text of a driving_log.csv, whoever wrote it.

The simulator writes seven columns without a header; people add headers and index
columns, glue logs together, open them in a spreadsheet, move them between systems. What
can be read safely is read; what cannot is refused with the row and the way to mend it.
No image is looked at here, and nothing slow is imported: a command can find a log, and
refuse a folder without one, before anything else.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

from common.car import CAMERAS
from common.errors import InputError
from common.files import read_regular
from recordings.columns import (
    AmbiguousHeaderError,
    columns_of,
    named_columns,
    words_of,
)
from recordings.lines import (
    IMAGE_NAME,
    MOST_COLUMNS,
    MOST_LINE_CHARACTERS,
    MOST_LOG_BYTES,
    delimiter_of,
    numbered_lines,
    split_line,
    text_of,
)

NUMBERS = ("steering", "throttle", "brake", "speed")
# A digit belongs to one place of it only: what is no number shows it at one look.
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
# No program writes a number of more characters; 17 digits tell any two apart.
MOST_NUMBER_CHARACTERS = 64
# What train.py writes into the folder of a run.
NAMES_OF_RUNS = ("config.json", "model.json")
# So many rows that are left out are shown, and recordings of a folder.
MOST_SHOWN = 3


@dataclass(frozen=True)
class LogRow:
    """One row that could be read."""

    line: int
    """The line of the file, counted from 1."""
    images: tuple[str, ...]
    """The file names of center, left and right image; "" where the log names none."""
    steering: float
    throttle: float
    brake: float
    speed_mph: float


@dataclass
class DrivingLog:
    """Everything that a log says."""

    rows: list[LogRow] = field(default_factory=list)
    has_header: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    """What the header calls each column that is read; empty without a header."""
    excluded: Counter[str] = field(default_factory=Counter)
    """The number of rows that were left out, by reason."""
    warnings: list[str] = field(default_factory=list)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that have an image in at least one row."""
        images = zip(*(row.images for row in self.rows), strict=True)
        return tuple(compress(CAMERAS, map(any, images)))


def find_log(path: Path) -> Path:
    """Return the log that a folder or a file stands for.

    Raises:
        InputError: There is none, or more than one.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder, expected a recording")
    log_path = path / "driving_log.csv"
    if log_path.is_file():
        return log_path
    if log_path.exists():
        raise InputError(f"{log_path}: no regular file, expected a log; put one there")
    if any((path / name).is_file() for name in NAMES_OF_RUNS):
        raise InputError(
            f"{path}: a run of train.py, expected a recording; its config.json names "
            "those that it has learnt"
        )
    found = [p for p in sorted(path.iterdir()) if p.suffix.lower() == ".csv"]
    found = [p for p in found if p.is_file() and not p.name.startswith("._")]
    if len(found) == 1:
        return found[0]
    inside = sorted(p.parent for p in path.glob("[!.]*/driving_log.csv"))
    if inside:
        more = f" and {len(inside) - MOST_SHOWN} more" if inside[MOST_SHOWN:] else ""
        named = " ".join(shlex.quote(str(p)) for p in inside[:MOST_SHOWN])
        hint = f"it holds recordings, give those: {named}{more}"
    elif found:
        hint = f"it holds {', '.join(p.name for p in found)}: give one of them"
    else:
        hint = "record into it with the simulator's R key, or simulate.py record"
    raise InputError(f"{path}: no driving_log.csv in this folder; {hint}")


def read_log(path: Path) -> DrivingLog:
    """Read every row of a log that can be read safely, in the order of the file.

    Raises:
        InputError: The file is no log, its numbers are ambiguous, or no row of it can
            be read.
    """
    return parse_log(path, read_regular(path, MOST_LOG_BYTES))


def parse_log(path: Path, content: bytes) -> DrivingLog:
    """Do as read_log does with what the file holds.

    The work grows with the length of the content and no faster, whatever is in it: each
    line has a bound, in characters and in columns, and beyond it is left out unread.
    """
    text = text_of(path, content)
    is_cut = not text.endswith(("\n", "\r"))
    numbered = numbered_lines(path, text)
    del text
    if not numbered:
        raise InputError(f"{path}: the log is empty, expected rows; record again")
    delimiter = delimiter_of(numbered)
    cells = [(i, split_line(line, delimiter)) for i, line in numbered]
    first_line, last_line = numbered[0][0], numbered[-1][0]
    log = DrivingLog()
    if delimiter == ",":
        _refuse_decimal_commas(path, cells)
    problems = _read_rows(path, cells, log, is_cut)
    if not log.rows:
        found = problems[0] if problems else f"row {first_line}: only a header"
        raise InputError(
            f"{path} {found}, expected image paths, steering, throttle, brake and "
            "speed; record again, or save it with these columns between commas"
        )
    if problems:
        left_out = log.excluded.total()
        log.warnings.append(f"{left_out} rows left out; {'; '.join(problems)}")
    if is_cut:
        log.warnings.append(
            f"row {last_line} has no line end: its last number may be cut off"
        )
    return log


def _read_rows(
    path: Path, cells: list[tuple[int, list[str]]], log: DrivingLog, is_cut: bool
) -> list[str]:
    """Fill a log with its rows; return in words what is amiss with the first bad ones.

    Args:
        cells: The number of each line, and what stands in it.
        is_cut: Whether the last line has no end.
    """
    header: list[str] | None = None
    problems: list[str] = []
    for line, row in cells:
        if _is_header(row, is_first=line == cells[0][0]):
            header = _columns_of(path, line, row)
            columns = {c: cell for c, cell in zip(header, row, strict=True) if c}
            _refuse_other_steering(path, line, columns, log.columns)
            log.has_header, log.columns = True, columns
            continue
        if _is_numbering(row):
            log.has_header = True
            continue
        try:
            log.rows.append(_read_row(line, row, header))
        except ValueError as error:
            log.excluded[_reason_of(error, is_cut and line == cells[-1][0])] += 1
            if len(problems) < MOST_SHOWN:
                problems.append(f"row {line}: {error}")
    return problems


class _BadNumberError(ValueError):
    """A cell holds no finite number."""


def _reason_of(error: ValueError, is_cut: bool) -> str:
    if isinstance(error, _BadNumberError):
        return "bad-number"
    return "cut-off-row" if is_cut else "bad-row"


def _is_header(cells: list[str], is_first: bool = False) -> bool:
    """Say whether a row holds names: no image, no number, but words we know.

    Where a header is expected, one such word among several tells it: of what stands in
    other columns it would be a guess which is the steering.
    """
    if any(IMAGE_NAME.search(cell) for cell in cells):
        return False
    words = [cell for cell in cells if cell]
    if any(_number_or_none(cell) is not None for cell in words):
        return False
    return len(named_columns(words)) >= (1 if is_first and len(words) > 3 else 2)


def _is_numbering(cells: list[str]) -> bool:
    """Say whether a row counts the columns from 0, as pandas does without names."""
    numbers = [cell for cell in cells if cell]
    return len(numbers) >= 4 and numbers == [str(i) for i in range(len(numbers))]


def _columns_of(path: Path, line: int, cells: list[str]) -> list[str]:
    """Return the column of each header cell, "" for those that are not needed."""
    try:
        columns = columns_of(cells)
    except AmbiguousHeaderError as error:
        raise InputError(
            f"{path} row {line}: {error}? Rename the right one as the simulator does: "
            "center, left, right, steering, throttle, brake, speed"
        ) from None
    for needed in ("center", "steering"):
        if needed not in columns:
            raise InputError(
                f"{path} row {line}: the header has no column for {needed}, found "
                f"{_shown(', '.join(cells))}; expected center, left, right, steering, "
                "throttle, brake, speed; rename the column"
            )
    return columns


def _refuse_other_steering(
    path: Path, line: int, columns: dict[str, str], before: dict[str, str]
) -> None:
    """Refuse a second header of other steering: one unit holds for all of a log."""
    cell, first = columns["steering"], before.get("steering", columns["steering"])
    if words_of(cell) != words_of(first):
        raise InputError(
            f"{path} row {line}: another header calls the steering {_shown(cell)}, "
            f"expected {_shown(first)} as above; make a recording of each part"
        )


def _refuse_decimal_commas(path: Path, cells: list[tuple[int, list[str]]]) -> None:
    """Refuse a log with commas both between and within its numbers.

    `-0,0858,0,1286` may be two numbers or four. A log without any decimal point that
    has too many numbers in a row was written by a simulator in such a language.
    """
    tails = [(line, _numbers_behind_images(row)) for line, row in cells]
    # As many columns in every row, or in the header, and points somewhere: one more
    # column is only one more column.
    widths = {len(tail) for _, tail in tails if tail}
    has_points = any("." in cell for _, tail in tails for cell in tail)
    if has_points and len(widths) == 1:
        return
    named = max((len(row) for _, row in cells if _is_header(row)), default=0)
    for (line, tail), (_, row) in zip(tails, cells, strict=True):
        plain = not any("." in cell for cell in tail) and any(
            cell.strip("0") for cell in tail
        )
        if len(tail) > len(NUMBERS) and len(row) > named and plain:
            raise InputError(
                f"{path} row {line}: found {len(tail)} numbers ({','.join(tail)}), "
                f"expected {len(NUMBERS)}; with decimal commas between commas they "
                "cannot be told apart: record again with the system's number format "
                "set to English (LC_ALL=C on Linux)"
            )


def _numbers_behind_images(cells: list[str]) -> list[str]:
    images = [i for i, cell in enumerate(cells) if IMAGE_NAME.search(cell)]
    if not images:
        return []
    tail = cells[images[-1] + 1 :]
    while tail and not tail[-1]:
        tail.pop()
    # Empty cells for cameras that the log does not have.
    while len(tail) > len(NUMBERS) and not tail[0]:
        tail.pop(0)
    return tail


def _read_row(line: int, cells: list[str], header: list[str] | None) -> LogRow:
    """Turn the cells of a row into numbers and names; a bad row is a ValueError."""
    if not cells:
        raise ValueError(
            f"more than {MOST_LINE_CHARACTERS:,} characters or {MOST_COLUMNS} columns"
        )
    if any("\x00" in cell for cell in cells):
        raise ValueError("found zero bytes, as after a crash")
    by_column = dict(_pair(cells, header))
    if not IMAGE_NAME.search(by_column.get("center", "")):
        raise ValueError(f"found no centre image in {_shown(', '.join(cells))}")
    if "steering" not in by_column:
        raise ValueError(f"found {len(cells)} columns")
    numbers = []
    for name in NUMBERS:
        # Some people's logs keep the steering alone.
        absent = header is not None and name not in header
        cell = by_column.get(name, "0" if absent else None)
        if cell is None:
            raise ValueError(f"found {len(cells)} columns, none for {name}")
        value = _number_or_none(cell)
        if value is None:
            raise _BadNumberError(f"{name} is {_shown(cell)}, expected a number")
        numbers.append(value)
    images = tuple(_file_name(by_column.get(camera, "")) for camera in CAMERAS)
    return LogRow(line, images, *numbers)


def _pair(cells: list[str], header: list[str] | None) -> Iterator[tuple[str, str]]:
    """Pair each cell with its column, by the header or by what the cells look like."""
    if header and not (len(cells) < len(header) and _is_stock_order(header)):
        # R writes an index without a name for it.
        if len(cells) == len(header) + 1 and header[0] in CAMERAS:
            cells = _without_index(cells)
        while len(cells) > len(header) and not cells[-1]:
            cells = cells[:-1]
        if len(cells) > len(header):
            raise ValueError(f"found {len(cells)} columns, expected {len(header)}")
        yield from zip(header, cells, strict=False)
        return
    cells = _without_index(cells)
    num_images = 1
    if len(cells) >= 3 and all(not c or IMAGE_NAME.search(c) for c in cells[1:3]):
        num_images = 3
    for camera, cell in zip(CAMERAS[:num_images], cells, strict=False):
        # A row that was cut may begin with another camera, and some logs do.
        yield _camera_of(cell) or camera, cell
    yield from zip(NUMBERS, cells[num_images:], strict=False)


def _is_stock_order(header: list[str]) -> bool:
    columns = [column for column in header if column]
    return columns == [name for name in (*CAMERAS, *NUMBERS) if name in columns]


def _without_index(cells: list[str]) -> list[str]:
    """Drop what stands before the images; a damaged image path is none of it."""
    while len(cells) > 1 and (
        _number_or_none(cells[0]) is not None
        or (_camera_of(cells[1]) == "center" and not IMAGE_NAME.search(cells[0]))
    ):
        cells = cells[1:]
    return cells


def _camera_of(image_path: str) -> str | None:
    """Return the camera that a file name begins with, None where it says nothing."""
    name = re.split(r"[\\/]", image_path)[-1].lower()
    return next((camera for camera in CAMERAS if name.startswith(camera)), None)


def _shown(text: str) -> str:
    """Return a text between quotes, on one line, not longer than a line."""
    return repr(text if len(text) <= 80 else f"{text[:79]}\N{HORIZONTAL ELLIPSIS}")


def _number_or_none(cell: str) -> float | None:
    """Return a finite number; a comma in a cell without a point is a decimal one."""
    if "." not in cell:
        cell = cell.replace(",", ".")
    cell = cell.replace("\N{MINUS SIGN}", "-")
    if len(cell) > MOST_NUMBER_CHARACTERS or not NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def _file_name(path_text: str) -> str:
    """Return the last part of a path of any system."""
    name = re.split(r"[\\/]", path_text)[-1]
    return name if IMAGE_NAME.search(name) else ""
