"""The errors that end a command in one line."""

from __future__ import annotations


class InputError(ValueError):
    """A mistake in what the user gave; the message is one line for the user."""


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message names epoch, batch and samples."""
