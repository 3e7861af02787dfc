"""What reads a connection behind its door: HTTP at first, then often a WebSocket.

Each takes a piece at a time, of a size that is done in some milliseconds.
"""

from __future__ import annotations

import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request

from driving.frames import (
    MOST_KEPT_BESIDE_BYTES,
    MOST_KEPT_BYTES,
    Frames,
    MessageTooLong,
)

# Where the pages of the cockpit open their WebSockets.
SOCKET_PATH = "/cockpit"
# A connection is closed while a longer message is still coming in.
MOST_PAGE_MESSAGE_BYTES = 1024
MOST_WEBSOCKET_BYTES = 100_000_000
# What is heard of a connection at once: of the simulator that drives, its two frames in
# their 21 pieces each; of any other, some milliseconds' work at most.
MOST_FRAMES, MOST_FRAMES_BESIDE = 128, 32
MOST_BYTES, MOST_BYTES_BESIDE = 65_536, 8_192
# A request and its headers are some hundred bytes.
MOST_REQUEST_PIECE = 4_096
# The less the system holds back for a slow page, the newer is what it shows.
PAGE_BUFFER_BYTES = 65_536


class BoundedHttp(H11Protocol):
    """One connection before it is a WebSocket."""

    is_websocket = False
    finished = 0
    kept_bytes = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether a request has begun and is not complete."""
        is_begun = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        return bool(is_begun) or self.conn.their_state is h11.SEND_BODY

    def take(self, data: bytes, goes_first: bool) -> int:  # noqa: ARG002
        """Read a piece of what has come in; return its length."""
        piece = data[:MOST_REQUEST_PIECE]
        self.data_received(piece)
        if self.is_unfinished:
            self.kept_bytes = min(self.kept_bytes + len(piece), MOST_KEPT_BYTES)
            return len(piece)
        self.kept_bytes, self.finished = 0, self.finished + 1
        if self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            # Hundreds of requests in one piece would all be answered in one go. No
            # browser sends one before the last is answered.
            self.transport.abort()
        return len(piece)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket; that of a page takes small messages only."""

    is_websocket = True
    transport: Any  # Its door.

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._frames = Frames(MOST_WEBSOCKET_BYTES)

    @property
    def finished(self) -> int:
        """Number of messages that were complete."""
        return self._frames.finished

    @property
    def is_unfinished(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._frames.is_unfinished

    @property
    def kept_bytes(self) -> int:
        """What is kept of a message that is not complete."""
        return self._frames.kept_bytes

    def take(self, data: bytes, goes_first: bool) -> int:
        """Read a piece of what has come in; return its length."""
        most = MOST_FRAMES_BESIDE, MOST_BYTES_BESIDE
        self._frames.most_kept_bytes = MOST_KEPT_BESIDE_BYTES
        if goes_first:
            most = MOST_FRAMES, MOST_BYTES
            self._frames.most_kept_bytes = MOST_KEPT_BYTES
        try:
            piece, used = self._frames.cut(data, *most)
        except MessageTooLong:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG)
            self.handle_parser_exception()
            return len(data)
        if piece:
            self.data_received(piece)
        return used

    def handle_connect(self, event: Request) -> None:
        if event.path.partition("?")[0] == SOCKET_PATH:
            self.conn.max_message_size = MOST_PAGE_MESSAGE_BYTES
            raw: socket.socket = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PAGE_BUFFER_BYTES)
        super().handle_connect(event)

    async def send(self, message: Any) -> None:
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
            self.transport.abort_soon()
