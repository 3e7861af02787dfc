"""How every command shows its help, and what is wrong with its flags."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from common.text import shown

# An environment without a terminal would be 80 columns wide, and break the lines.
WIDTH = 100
# Where the help of a flag begins: behind the longest flag that has a short text.
FLAG_WIDTH = 34


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and gives a flag one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=FLAG_WIDTH, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """A parser whose help is formatted so, and whose errors show any text safely."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**({"formatter_class": HelpFormatter} | about))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with 2."""
        super().error(shown(message))
