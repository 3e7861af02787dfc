"""What a command has printed: within 80 columns, and no number in its raw bits."""

import re

from common.text import WIDTH

# 0.30000000000000004, 1e-05: how Python shows numbers that nobody has shaped.
RAW_NUMBER = re.compile(r"\d\.\d{7,}|\d[eE]-\d")
# What is to be copied stays on one line, however long the names in it are.
TO_COPY = re.compile(r"(?:next: )?python \S+\.py .*|\S+")


def check_printed(text):
    """See that a person can read it on any terminal."""
    for line in text.splitlines():
        assert len(line) <= WIDTH or TO_COPY.fullmatch(line.strip()), line
    assert not RAW_NUMBER.search(text), text
