"""The Engine.IO sessions in front of python-socketio: how many, and for how long.

By itself it opens a session for every GET and keeps each for a minute or two, also
those that the pictures of any web page ask for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextvars import ContextVar
from urllib.parse import parse_qs

import socketio

from driving.door import Door
from driving.port import App, Receive, Scope, Send, header_of, refuse

logger = logging.getLogger(__name__)

# Clients that poll send their CONNECT in the next request; sessions without one are
# ended, the oldest at once where there are too many.
CONNECT_BY_POLLING_S = 10.0
MOST_UNCONNECTED = 256
# Answers that a client which polls may leave unread; it reads them with every poll.
MOST_UNREAD = 256
# Each that is opened by polling leaves something behind for 25 s, even if it is ended:
# so many a second, and so many at once. Simulators open theirs by WebSocket.
NEW_PER_S, NEW_AT_ONCE = 20, 200
ROOT = "/"

CONNECTION: ContextVar[Door] = ContextVar("connection")
"""The connection by which what is being answered has come."""


class Sessions:
    """ASGI middleware in front of a server's app, which bounds its sessions.

    Args:
        app: What simulators speak to, in the end.
        server: The Socket.IO server behind it.
    """

    def __init__(self, app: App, server: socketio.AsyncServer) -> None:
        self._app, self._server = app, server
        self.refused: Counter[str] = Counter()
        self._seen_s: dict[str, float] = {}
        self._opened_until_s = 0.0
        # A client that has polled takes up one WebSocket instead.
        self._taken_up: dict[str, Door] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = scope["state"]["connection"]
        CONNECTION.set(connection)
        text = scope.get("query_string", b"").decode("latin-1")
        session = parse_qs(text, keep_blank_values=True).get("sid", [""])[0]
        if scope["type"] == "http" and header_of(scope, b"upgrade"):
            # python-engineio would take it for the WebSocket that it is not.
            await refuse(scope, send, 400, "refused: an upgrade to nothing\n")
        elif "sid=" not in text:
            if scope["type"] == "http" and not await self._may_open():
                self._say("sessions that are opened faster than any client does")
                await refuse(scope, send, 503, "refused: too many sessions\n")
            else:
                await self._app(scope, receive, send)
        elif why := await self._why_refused(scope, session):
            self._say(why)
            await refuse(scope, send, 400, f"refused: {why}\n")
        elif scope["type"] == "websocket":
            self._taken_up[session] = connection
            try:
                await self._app(scope, receive, send)
            finally:
                del self._taken_up[session]
        else:
            await self._app(scope, receive, send)

    async def _why_refused(self, scope: Scope, session: str) -> str:
        """Say what is wrong with a request of a session, "" for nothing."""
        found = self._server.eio.sockets.get(session)
        if not found:
            return "a request of a session that there is not"
        if scope["type"] == "websocket" and session in self._taken_up:
            return "a second WebSocket of one session"
        if scope.get("method") == "POST" and found.queue.qsize() > MOST_UNREAD:
            await self.end(session)
            return f"a client that has not read {MOST_UNREAD} answers"
        return ""

    def _say(self, what: str) -> None:
        """Count what is refused; log the first of its kind."""
        self.refused[what] += 1
        if self.refused[what] == 1:
            logger.warning("refused: %s; more will be counted", what)

    def _is_client(self, session: str) -> bool:
        """Say whether a simulator has connected in a session."""
        return self._server.manager.sid_from_eio_sid(session, ROOT) is not None

    async def _may_open(self) -> bool:
        """Say whether a session may be opened by polling, and make room for it."""
        now_s = time.monotonic()
        opened_s = max(self._opened_until_s, now_s - NEW_AT_ONCE / NEW_PER_S)
        if opened_s > now_s:
            return False
        self._opened_until_s = opened_s + 1 / NEW_PER_S
        await self._make_room()
        return True

    async def _make_room(self) -> None:
        """End the oldest sessions that nobody has connected in, if there are too many.

        Those of WebSockets end with their connections.
        """
        unconnected = [
            session
            for session, found in self._server.eio.sockets.items()
            if not found.upgraded and not self._is_client(session)
        ]
        for session in unconnected[: len(unconnected) - MOST_UNCONNECTED + 1]:
            self._say(f"more than {MOST_UNCONNECTED} sessions without a simulator")
            await self.end(session)

    async def end(self, session: str) -> None:
        """End a session, and answer the request that waits in it."""
        if found := self._server.eio.sockets.get(session):
            await found.close(wait=False, abort=True)
            self._server.eio.sockets.pop(session, None)
            found.queue.put_nowait(None)

    async def keep(self) -> None:
        """End every second the sessions that lead to nothing; never end."""
        while True:
            await asyncio.sleep(1)
            await self._sweep(time.monotonic())

    async def _sweep(self, now_s: float) -> None:
        sockets = self._server.eio.sockets
        self._seen_s = {name: self._seen_s.get(name, now_s) for name in sockets}
        for name, seen_s in self._seen_s.items():
            is_old = now_s - seen_s > CONNECT_BY_POLLING_S
            if is_old and not sockets[name].upgraded and not self._is_client(name):
                self._say(f"a session not connected after {CONNECT_BY_POLLING_S:g} s")
                await self.end(name)
        for name, connection in self._taken_up.items():
            connection.is_useful = self._is_client(name)
