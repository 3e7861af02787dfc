"""Where a server of the project listens, and what others need to use it."""

from __future__ import annotations

import secrets

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def token_for(host: str) -> str | None:
    """Return what the address of a page must hold; None on this machine alone."""
    return None if host in THIS_MACHINE else secrets.token_urlsafe(16)
