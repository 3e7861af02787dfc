"""Tables: for the terminal, and for pages (common/parts.html)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.text import WIDTH, shown, wrapped

# Between two columns.
GAP = "  "


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; a row of one cell heads those that follow it.

    Raises:
        ValueError: A row has more or fewer cells than there are headings.
    """

    heads: tuple[str, ...]
    """What stands over each column; over the names of the rows mostly nothing."""
    rows: tuple[tuple[str, ...], ...]
    """The cells, the name of the row first."""
    best: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells to be marked."""
    title: str = ""
    """What it shows, in a few words."""
    note: str = ""
    """What the marks of the best cells mean, or what else one must know."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) not in (1, len(self.heads)):
                raise ValueError(f"{row}: expected {len(self.heads)} cells")

    def text(self) -> str:
        """Return it for the terminal: its title, and the cells marked by a star."""
        rows = [list(self.heads)]
        for r, (name, *cells) in enumerate(self.rows):
            marks = [
                "*" if (r, c) in self.best else " " for c in range(1, len(cells) + 1)
            ]
            marked = [f"{c}{mark}" for c, mark in zip(cells, marks, strict=True)]
            rows.append([name, *(marked or [""] * (len(self.heads) - 1))])
        lines = [wrapped(self.title)] if self.title else []
        lines += [text_table(rows, "<>")] if self.rows else []
        mark = "* " if self.best else ""
        lines += [wrapped(f"{mark}{self.note}")] if self.note else []
        return "\n".join(lines)


def text_table(
    rows: Sequence[Sequence[str]], align: str = "", width: int = WIDTH
) -> str:
    """Return rows of cells as lines of text.

    A table that is too wide goes on below, with the first column again.

    Args:
        rows: Rows of cells, the headings first, all of one length.
        align: Side of each column, "<" (left) or ">" (right). The last one stands for
            all that follow it; left if not given.
        width: Columns of the terminal.
    """
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = (align or "<").ljust(len(widths), (align or "<")[-1])
    parts: list[list[int]] = []
    for column in range(1, len(widths)):
        fits = parts and _width(widths, [*parts[-1], column]) <= width
        if not fits:
            parts.append([0])
        parts[-1].append(column)
    return "\n".join(
        GAP.join(f"{row[i]:{sides[i]}{widths[i]}}" for i in part).rstrip()
        for part in parts or [[0]]
        for row in rows
    )


def short_name(name: str, most: int = 24) -> str:
    """Return a name that fits into a column; the end of a long path tells the most."""
    name = shown(name)
    return name if len(name) <= most else "..." + name[3 - most :]


def _width(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[i] for i in columns) + len(GAP) * (len(columns) - 1)
