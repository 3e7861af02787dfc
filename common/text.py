"""Text of other people, as it is shown: on one line, and what it seems to be."""

from __future__ import annotations

import codecs
import logging
import re

# What os.fsdecode makes of a byte that is no text.
STRAY_BYTES = re.compile("[\udc80-\udcff]")
# What is written instead on a console that has no such letter.
PLAIN = str.maketrans({"…": "...", "±": "+-", "°": " deg", "·": "-", "×": "x"})
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
