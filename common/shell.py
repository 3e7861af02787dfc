"""Commands as somebody types them: each word quoted for the shell, where it must be."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from common.text import shown

# What a word of $'...' escapes: the mark itself, and what ends the word.
IN_ANSI_C = str.maketrans({"\\": "\\\\", "'": "\\'"})


def typed(script: str, *words: object) -> str:
    """Return what one types to run a script of the root.

    Args:
        script: Its name, such as "train.py".
        words: What stands behind it. A path that begins with a dash is no flag: give
            paths as such, and the values of flags by `option`.
    """
    return " ".join(map(quoted, ("python", script, *words)))


def option(flag: str, value: object) -> list[object]:
    """Return the words that give a value to a flag, whatever it begins with."""
    if not isinstance(value, Path) and str(value).startswith("-"):
        return [f"{flag}={value}"]
    return [flag, value]


def from_here(path: Path | str) -> Path:
    """Return a path as it is typed where one is."""
    path, here = Path(path), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def quoted(word: object) -> str:
    """Return a word as it is typed; a path that begins with a dash gets a ./ before.

    It is for bash and zsh, and on Windows for cmd and PowerShell.
    """
    text = str(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = (".\\" if sys.platform == "win32" else "./") + text
    if sys.platform == "win32":
        return shown(subprocess.list2cmdline([text]))
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{shown(text.translate(IN_ANSI_C))}'"
