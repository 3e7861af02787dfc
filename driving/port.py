"""Bounds of what the port's connections may take: their number, patience and sizes.

uvicorn bounds none of these by itself: a connection that sends nothing stays for ever,
and so does one whose other end has stopped reading.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.http11 import Request

from driving.cockpit import app as cockpit

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

logger = logging.getLogger(__name__)

# Sixteen pages with what their browsers open beside, and simulators.
MOST_CONNECTIONS = 128
# A request is there at once; what has not sent one by then will not.
FIRST_REQUEST_S = 10.0
# What a connection that is over may still take of its last words.
LAST_WORDS_S = 2.0
# The less the system holds back for a slow page, the newer is what it shows.
PAGE_BUFFER_BYTES = 65_536

_said_full = False


class BoundedHttp(H11Protocol):
    """One connection before it is a WebSocket; too many are closed at once."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            _say_full()
            transport.abort()
            return
        self.loop.call_later(FIRST_REQUEST_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket; that of a page takes small messages only."""

    def handle_connect(self, event: Request) -> None:
        if event.path.partition("?")[0] == cockpit.SOCKET_PATH:
            self.conn.max_message_size = cockpit.MOST_MESSAGE_BYTES
            raw: socket.socket = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PAGE_BUFFER_BYTES)
        super().handle_connect(event)

    async def send(self, message: ASGISendEvent) -> None:
        try:
            await super().send(message)
        except RuntimeError:
            if self.close_sent:  # As a message was refused; the app hears of it next.
                raise ClientDisconnected from None
            raise

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            # Closed, it would wait for ever for a page that has stopped reading.
            self.loop.call_later(LAST_WORDS_S, self.transport.abort)


def _say_full() -> None:
    global _said_full
    if not _said_full:
        logger.warning(
            "refused: more than %d connections; more will not be said",
            MOST_CONNECTIONS,
        )
    _said_full = True
