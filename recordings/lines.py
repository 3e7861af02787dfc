"""The bytes of a log as lines of cells, within bounds: nothing here knows a column."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from common.errors import InputError

IMAGE_NAME = re.compile(r"\.(jpe?g|png|bmp)$", re.IGNORECASE)
# A file that is no text shows it within so many bytes.
TEXT_START = 1024
# Half a million rows with long paths: ten hours of driving and more.
MOST_LOG_BYTES = 128 * 2**20
# A day of driving; of nothing but line ends, a log could be a hundred times as long.
MOST_LINES = 2_000_000
# Three of the longest paths that Linux opens (4,096), and numbers.
MOST_LINE_CHARACTERS = 16_384
# The stock log has 7 columns, the widest that was seen has 20.
MOST_COLUMNS = 256


def text_of(path: Path, content: bytes) -> str:
    """Return the text of a log; refuse what is none."""
    if path.name.startswith("._") or content.startswith(b"\x00\x05\x16\x07"):
        raise InputError(
            f"{path}: a macOS resource file, not a log; use the file without '._'"
        )
    if content.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{path}: a Git LFS pointer, not the log itself; run `git lfs pull`"
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        # Of UTF-32, which begins alike, zero bytes remain.
        content = content.decode("utf-16", errors="replace").encode()
    # A crash while recording leaves zero bytes behind whole rows; elsewhere they mean
    # that this is no text.
    content = content.rstrip(b"\x00")
    if b"\x00" in content[:TEXT_START]:
        raise InputError(
            f"{path}: binary, expected a text file with commas; save it as csv in UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Only folder names can hold such letters, and those are not used.
        return content.decode("latin-1")


def numbered_lines(path: Path, text: str) -> list[tuple[int, str]]:
    """Return the lines that are not blank, with their numbers from 1."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (num_lines := text.count("\n")) > MOST_LINES:
        raise InputError(
            f"{path}: {num_lines:,} lines, expected at most {MOST_LINES:,}; take the "
            "blank ones out, or split it"
        )
    lines = enumerate(text.split("\n"), start=1)
    return [(i, line) for i, line in lines if line and not line.isspace()]


def delimiter_of(numbered: list[tuple[int, str]]) -> str:
    """Return what separates the columns: what most lines hold often enough."""
    for delimiter in ("\t", ";"):
        enough = sum(line.count(delimiter) >= 4 for _, line in numbered)
        if enough * 2 > len(numbered):
            return delimiter
    return ","


def split_line(line: str, delimiter: str) -> list[str]:
    """Split a line into stripped cells; a path that holds the delimiter stays whole.

    A line that is longer than any row has no cells: nobody looks into it.
    """
    too_long = len(line) > MOST_LINE_CHARACTERS
    if too_long or line.count(delimiter) >= MOST_COLUMNS:
        return []
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    cells = [cell.strip() for cell in cells]
    if len(cells) == 1 and delimiter in cells[0]:
        return split_line(cells[0], delimiter)  # Quotes around all of it.
    last_image = max(
        (i for i, cell in enumerate(cells) if IMAGE_NAME.search(cell)), default=-1
    )
    whole: list[str] = []
    pieces: list[str] = []
    for i, cell in enumerate(cells):
        starts_path = bool(re.match(r"([A-Za-z]:)?[\\/]", cell))
        if i <= last_image and (pieces or starts_path) and not IMAGE_NAME.search(cell):
            pieces.append(cell)
        elif pieces:
            whole.append(delimiter.join([*pieces, cell]))
            pieces = []
        else:
            whole.append(cell)
    return whole + pieces
