"""How every command shows its help."""

from __future__ import annotations

import argparse

# An environment without a terminal would be 80 columns wide, and break the lines.
WIDTH = 100
# Where the help of a flag begins: behind the longest flag that has a short text.
FLAG_WIDTH = 34


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and gives a flag one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=FLAG_WIDTH, width=WIDTH)
