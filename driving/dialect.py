"""The stock simulator's dialect, so that a current Socket.IO server understands it.

The simulator's client of 2017 never sends the Socket.IO CONNECT, and pings the server
itself. Both are met here, in front of an unmodified python-socketio: docs/protocol.md
tells the story. telemetry.py reads what the simulator says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qs

from driving.port import App, Message, Receive, Scope, Send, refuse

logger = logging.getLogger(__name__)

# A frame is 21 kB; a message beyond this is read, answered with the brake, and dropped.
MOST_MESSAGE_BYTES = 1_000_000
# Telemetry has two. python-socketio parses again, deeper in the stack than we do: what
# is nested just as deep as Python can bear here would fail there.
MOST_BRACKETS = 100
WRONG_VERSION = (
    "This server speaks Engine.IO 4 (EIO=4), as the Udacity simulator and "
    "socket.io-client 3 and 4 do; Engine.IO 3, of socket.io-client 1 and 2, is not "
    "served\n"
)
# Stands for a telemetry event that is cut off or no JSON: it is answered like any that
# cannot be used, so that the simulator's turn is not lost.
UNREADABLE_EVENT = '42["telemetry","unreadable"]'
# Engine.IO's, between the packets of one POST.
PACKET_SEPARATOR = "\x1e"
# More, and python-engineio closes the session.
MOST_POSTED_PACKETS = 16
# Socket.IO's DISCONNECT and Engine.IO's close. A client that leaves closes its
# WebSocket as well, which says the same; one that stays would get no answer after them.
FAREWELLS = ("41", "1")


class SimulatorDialect:
    """ASGI middleware in front of a socketio.ASGIApp.

    On a WebSocket it puts in the CONNECT that the simulator never sends, answers its
    pings, and lets nothing through that could close or mute the connection behind it;
    nor in the POST of a client that polls.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.dropped: Counter[str] = Counter()
        """Messages that were let fall, by reason."""
        self._has_said_version = False
        self._polling_sessions: deque[str] = deque(maxlen=1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        if "EIO=" in query and "EIO=4" not in query:
            if not self._has_said_version:
                logger.warning("refused: %s", WRONG_VERSION.strip())
            self._has_said_version = True
            await refuse(scope, send, 400, WRONG_VERSION)
        elif scope["type"] == "websocket":
            # A WebSocket with a session id takes over from polling: its client knows
            # how to connect, and may have done so there. The simulator's is a new one.
            inbox = _Inbox(self, receive, send, must_connect="sid=" not in query)
            await self.app(scope, inbox.receive, inbox.send)
        elif scope.get("method") == "POST" and "sid=" in query:
            body = self._fit_for_polling(await _read_body(receive), query)
            await self.app(*_with_body(scope, body, receive), send)
        else:
            await self.app(scope, receive, send)

    def _fit_for_polling(self, body: bytes, query: str) -> bytes:
        """Return what of the packets of a POST goes on to python-socketio."""
        if len(body) > MOST_MESSAGE_BYTES:
            self.drop("too long")
            body = b""
        packets = body.decode(errors="replace").split(PACKET_SEPARATOR)
        passed = [
            fit for packet in packets if (fit := self._passed_by_polling(packet, query))
        ]
        for _ in passed[MOST_POSTED_PACKETS:]:
            self.drop("too many in a POST")
        # An empty body would close the session; a pong changes nothing.
        return PACKET_SEPARATOR.join(passed[:MOST_POSTED_PACKETS] or ["3"]).encode()

    def _passed_by_polling(self, packet: str, query: str) -> str | None:
        if packet in FAREWELLS:
            # Polling, the session ends with it: later requests are refused.
            return packet
        passed, reason = passable(packet)
        if passed in ("2probe", "5", "6"):
            passed, reason = None, "not for polling"
        if passed and passed.startswith("40"):
            session = parse_qs(query).get("sid", [""])[0]
            if session in self._polling_sessions:
                passed, reason = None, "a second CONNECT"
            self._polling_sessions.append(session)
        if passed is None:
            self.drop(reason)
        return passed

    def drop(self, reason: str) -> None:
        """Count a message that is let fall; log the first of its kind."""
        self.dropped[reason] += 1
        if self.dropped[reason] == 1:
            logger.warning("a message was dropped: %s; more will be counted", reason)


class _Inbox:
    """The messages of one WebSocket, made fit for python-socketio."""

    def __init__(
        self,
        dialect: SimulatorDialect,
        receive: Receive,
        send: Send,
        must_connect: bool,
    ) -> None:
        self._dialect, self._receive, self._send = dialect, receive, send
        self._must_connect = must_connect
        self._has_connected = False
        self._waiting: list[Message] = []
        self._has_opened = asyncio.Event()
        if not must_connect:
            # Its session was opened while polling; here the client speaks first.
            self._has_opened.set()

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "websocket.send":
            self._has_opened.set()

    async def receive(self) -> Message:
        while True:
            if self._waiting:
                return self._waiting.pop()
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            text = message.get("text")
            if text == "2":  # The simulator's ping; only servers ping in version 4.
                # A client must not hear anything before the packet that opens.
                await self._has_opened.wait()
                await self._send({"type": "websocket.send", "text": "3"})
                continue
            if text in FAREWELLS:
                continue
            passed, reason = passable(text)
            if passed is None:
                self._dialect.drop(reason)
                continue
            if passed.startswith("40"):
                if self._has_connected:
                    self._dialect.drop("a second CONNECT")
                    continue
                self._has_connected = True
            message = {"type": "websocket.receive", "text": passed}
            is_event = passed.startswith("42")
            if is_event and self._must_connect and not self._has_connected:
                self._has_connected = True
                self._waiting.append(message)
                return {"type": "websocket.receive", "text": "40"}
            return message


def passable(text: str | None) -> tuple[str | None, str]:
    """Decide what of a message, None for a binary one, goes on to python-socketio.

    Returns:
        What to pass on, None to drop it; and why it is dropped or replaced.
    """
    if text is None:
        return None, "binary"
    if len(text) > MOST_MESSAGE_BYTES:
        return UNREADABLE_EVENT if text.startswith("42") else None, "too long"
    # Engine.IO: pong, upgrade, no-op; the probe of a polling client. Socket.IO: CONNECT
    # to the default namespace.
    if text in ("3", "5", "6", "2probe", "40"):
        return text, ""
    if text.startswith("40{") and len(text) < 10_000:
        return (text, "") if _parsed(text[2:]) is not None else (None, "not JSON")
    found = re.match(r"42(\d{0,9})\[", text)
    if not found:
        return None, "not a packet of the drive server"
    event = _parsed(text[found.end() - 1 :])
    if not isinstance(event, list):
        is_telemetry = text.startswith('["telemetry"', found.end() - 1)
        return (UNREADABLE_EVENT if is_telemetry else None), "not JSON"
    # A client may name its event `connect`, which would call that handler.
    if not event or event[0] != "telemetry":
        return None, "an event that is not telemetry"
    return text, ""


def _parsed(text: str) -> Any:
    """Return what a JSON text says, None where it is none or nested too deep."""
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


async def _read_body(receive: Receive) -> bytes:
    """Return the body of a request, or a little more than the limit of a longer one."""
    body, more = b"", True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        if len(body) <= MOST_MESSAGE_BYTES:
            body += message.get("body", b"")
    return body


def _with_body(scope: Scope, body: bytes, receive: Receive) -> tuple[Scope, Receive]:
    """Return the request with another body."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return {**scope, "headers": headers}, receive_again
