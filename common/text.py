"""Text and numbers as they are shown: other people's on one line, ours in a width."""

from __future__ import annotations

import codecs
import logging
import math
import re
import textwrap
from collections.abc import Sequence
from decimal import Decimal

# What os.fsdecode makes of a byte that is no text.
STRAY_BYTES = re.compile("[\udc80-\udcff]")
# What is written instead on a console that has no such letter.
PLAIN = str.maketrans({"…": "...", "±": "+-", "°": " deg", "·": "-", "×": "x"})
# Columns of a terminal, where nobody has changed it.
WIDTH = 80
# A space that stays one, in a text that is wrapped.
NO_BREAK = "\xa0"
# What an encoder does, by this name, with a letter that it cannot write.
ESCAPED = "escaped"


def shown(text: str) -> str:
    """Return a text in which nothing acts on a terminal, or hides, or turns it round.

    Control characters, line ends, marks that set the direction of writing and bytes
    that are no text are written as Python writes them: \\x1b, \\n, \\u202e.
    """
    if text.isprintable():
        return text
    text = STRAY_BYTES.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def wrapped(text: str, indent: str = "  ") -> str:
    """Return what is said to a person, in lines that fit a terminal of 80 columns.

    Words are never broken, nor what `unbroken` has returned.

    Args:
        indent: What all lines but the first begin with.
    """
    filled = textwrap.fill(
        NO_BREAK.join(map(shown, text.split(NO_BREAK))),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(NO_BREAK, " ")


def unbroken(word: object) -> str:
    """Return a path, or a command, for `wrapped` to leave on one line."""
    return shown(str(word)).replace(" ", NO_BREAK)


def counted(count: int, thing: str) -> str:
    """Return how many there are of a thing, whose plural ends in s: 1 lap, 2 laps."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def number(value: float) -> str:
    """Return a number without what its bits add to it: 0.3, 0.00001, 20."""
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    # Adding 0 makes a 0 of a -0.
    return f"{Decimal(f'{value + 0.0:.6g}').normalize():f}"


def told_apart(names: Sequence[str]) -> list[str]:
    """Return names, with a number where another one before has the name."""
    found: list[str] = []
    for name in names:
        apart, number = name, 1
        while apart in found:
            number += 1
            apart = f"{name}-{number}"
        found.append(apart)
    return found


class ShownFormatter(logging.Formatter):
    """Writes each message on one line, in which nothing acts on a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback comes after it, as it is."""
        return shown(super().formatMessage(record))


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "nothing is decoded with it"
    cut = shown(error.object[error.start : error.end].translate(PLAIN))
    # What can be shown, but not in this encoding.
    return cut.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error(ESCAPED, _escape)
