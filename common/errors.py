"""The errors that end a command in one line."""

from __future__ import annotations

from common.text import shown


class InputError(ValueError):
    """A mistake in what the user gave; the message is one line for the user.

    Names of files and cells of a log may hold anything: it is shown, and does nothing.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message names epoch, batch and samples."""
