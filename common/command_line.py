"""How every command shows its help and what is wrong with its flags."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from common.text import number, shown, unbroken, wrapped

# An environment without a terminal would be 80 columns wide, and break the lines.
WIDTH = 100
# Where the help of a flag begins: behind the longest flag that has a short text.
FLAG_WIDTH = 34
# An environment variable, so that the processes a command starts keep to it, too.
MAX_PARAMETERS = "BC_MAX_PARAMETERS"
# Keras takes no larger seed, and NumPy none below 0.
MOST_SEED = 2**32 - 1


_AppendAction = argparse._AppendAction


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

    def changes(self, args: argparse.Namespace, *but: str) -> list[str]:
        """Return what differs from the defaults, as flags with their values.

        Args:
            args: What this parser has read.
            but: Names that are left out, as those of what is to be written.
        """
        changed = []
        for action in self._actions:
            value = getattr(args, action.dest, action.default)
            if action.option_strings and action.dest not in but:
                is_repeated = isinstance(value, list) and action.nargs is None
                values = value if is_repeated else [value]
                changed += [
                    f"{action.option_strings[-1]} {_value_text(each)}".strip()
                    for each in values
                    if value != action.default
                ]
        return changed

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with 2."""
        super().error(shown(message))


def _value_text(value: Any) -> str:
    """Return the value of a setting as it is typed; of a switch nothing."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return "=".join(filter(None, value))  # NAME=VALUE, or VALUE alone.
    if isinstance(value, list | tuple):
        return " ".join(map(_value_text, value))
    return str(value)


def print_settings(changes: Sequence[str]) -> None:
    """Print the settings that differ from the defaults; nothing if there are none."""
    if changes:
        print(settings_line(changes), flush=True)


def settings_line(changes: Sequence[str], note: str = "") -> str:
    """Return what is said of settings that differ from the defaults.

    Args:
        changes: What Parser.changes returns, or the like.
        note: What is to be said of them besides.
    """
    said = ", ".join(map(unbroken, changes))
    return wrapped(f"settings: {said}{note and f'; {note}'}")
