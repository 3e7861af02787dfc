"""The errors that end a command in one line."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in what the user gave; the message is one line for the user.

    What a stranger named, a file or a layer, may be quoted in it as it is: whatever
    would break the line, or tell a terminal something, is shown escaped.
    """

    def __init__(self, message: object) -> None:
        super().__init__(escaped(str(message)))


def escaped(text: str) -> str:
    """Return a text with each character that does not print as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message names epoch, batch and samples."""
