"""A table of text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from common.text import shown


def text_table(rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Return rows of cells as lines of text, the columns two spaces apart.

    Args:
        rows: Rows of cells, the headings first, all of one length.
        align: Side of each column, "<" (left) or ">" (right). The last one stands for
            all that follow it; left if not given.
    """
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = (align or "<").ljust(len(widths), (align or "<")[-1])
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    )
