"""What a command has printed: within 80 columns, and no number in its raw bits."""

import re

from common.text import WIDTH

# 0.30000000000000004, 1e-05: how Python shows numbers that nobody has shaped.
RAW_NUMBER = re.compile(r"\d\.\d{7,}|\d[eE]-\d")
# What is to be copied stays on one line, however long the names in it are.
TO_COPY = re.compile(r"(?:next: )?python \S+\.py .*|\S+")


# Where a long line goes on below.
GOES_ON = re.compile(r"\n {2,}(?=\S)")


def unwrapped(text):
    """Return it as it would stand on a terminal of any width."""
    return GOES_ON.sub(" ", text)


def without_bars(text):
    """Return the lines that do not say how far something is."""
    return [line for line in text.splitlines() if line and " | " not in line]


def check_printed(text):
    """See that a person can read it on any terminal."""
    for line in text.splitlines():
        assert len(line) <= WIDTH or TO_COPY.fullmatch(line.strip()), line
    assert not RAW_NUMBER.search(text), text
