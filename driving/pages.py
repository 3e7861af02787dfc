"""What the servers of pages have in common: files, policy, and who may ask.

The cockpit (drive.py) and the review (review.py) are pages of this machine: nothing in
them comes from elsewhere, no page of another site can use them, and beyond this machine
their address holds a token.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from urllib.parse import parse_qs

from driving.port import Scope, Send, header_of, refuse

# Scripts and styles that several pages use.
PARTS = Path(__file__).resolve().parent / "parts"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing from elsewhere, nothing inline, and in no other page's frame.
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
        "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # The address may hold the token.
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def read_files(*folders: Path) -> dict[str, tuple[str, bytes]]:
    """Return content type and content of each file of a page, by its path."""
    files = {
        f"/{path.name}": (CONTENT_TYPES[path.suffix], path.read_bytes())
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in CONTENT_TYPES
    }
    files["/"] = files.pop("/index.html")
    return files


async def send_content(
    scope: Scope, send: Send, content_type: str, content: bytes, status: int = 200
) -> None:
    """Answer a request with content, its head alone where only that is asked for."""
    headers = SECURITY_HEADERS | {
        "content-type": content_type,
        "content-length": str(len(content)),
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body})


async def refuse_method(scope: Scope, send: Send, *allowed: str) -> bool:
    """Refuse a request by another method; say whether it was refused."""
    if scope["method"] in allowed:
        return False
    only = " and ".join(allowed[:1] if "HEAD" in allowed else allowed)
    await refuse(scope, send, 405, f"refused: there is nothing but {only}\n")
    return True


def has_token(scope: Scope, token: str | None) -> bool:
    """Say whether the address that is asked for holds the token; None asks for none."""
    if token is None:
        return True
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
    return hmac.compare_digest(given[-1].encode(), token.encode())


def is_own_origin(scope: Scope) -> bool:
    """Say whether a page of this server asks.

    A browser names the page that asks, and no page can make it say another.
    """
    return header_of(scope, b"origin") == f"http://{header_of(scope, b'host')}"
