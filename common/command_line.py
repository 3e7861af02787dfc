"""How every command shows its help and what is wrong with its flags."""

from __future__ import annotations

import argparse
import os
import re
from contextlib import suppress
from typing import Any, NoReturn

from common.text import shown

# An environment without a terminal would be 80 columns wide, and break the lines.
WIDTH = 100
# Where the help of a flag begins: behind the longest flag that has a short text.
FLAG_WIDTH = 34
# An environment variable, so that the processes a command starts keep to it, too.
MAX_PARAMETERS = "BC_MAX_PARAMETERS"
# Keras takes no larger seed, and NumPy none below 0.
MOST_SEED = 2**32 - 1


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions and examples, and gives a flag one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=FLAG_WIDTH, width=WIDTH)


def add_max_parameters(add_argument: Any) -> None:
    """Add the flag that lets a larger model be loaded; see network/limits.py.

    Args:
        add_argument: That of a parser or a group; the namespace gets nothing of it.
    """
    add_argument(
        "--max-parameters",
        action=_SetVariable,
        type=_number,
        default=argparse.SUPPRESS,
        metavar="N",
        help="parameters up to which a model is loaded (default: 50e6)",
    )


def _number(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (number := float(text)) < 1e12:
            return int(number)
    raise argparse.ArgumentTypeError(f"is {text}, expected 1 or more")


def seed_of(text: str) -> int:
    """Read the seed of a command line.

    Raises:
        ArgumentTypeError: It is no whole number, or none that can be one.
    """
    seed = int(text) if re.fullmatch("[0-9]{1,10}", text) else -1
    if not 0 <= seed <= MOST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 0 to {MOST_SEED}")
    return seed


class _SetVariable(argparse.Action):
    def __call__(self, *given: Any) -> None:
        _parser, _namespace, value, _flag = given
        os.environ[MAX_PARAMETERS] = str(value)


class Parser(argparse.ArgumentParser):
    """A parser whose help is formatted so, and whose errors show any text safely."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**({"formatter_class": HelpFormatter} | about))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with 2."""
        super().error(shown(message))
