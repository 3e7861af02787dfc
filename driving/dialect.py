"""The stock simulator's dialect, so that a current Socket.IO server understands it.

The simulator's client of 2017 never sends the Socket.IO CONNECT, pings the server
itself, and stalls 40 ms a frame unless the server acknowledges its packets at once. All
of it is met here, in front of an unmodified python-socketio: docs/protocol.md tells the
story. telemetry.py reads what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import re
import socket
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

logger = logging.getLogger(__name__)

# --- The port -------------------------------------------------------------------------


class _QuickAckSocket(socket.socket):
    """Acknowledges what it receives at once.

    The simulator writes a frame in some 20 small pieces with Nagle's algorithm on: its
    system holds back all but the first until that is acknowledged, and ours would wait
    40 ms with that. Linux forgets the option, so it is set after every read.
    """

    def recv(self, *args: Any) -> bytes:
        content = super().recv(*args)
        self._acknowledge()
        return content

    def recv_into(self, *args: Any) -> int:
        count = super().recv_into(*args)
        self._acknowledge()
        return count

    def _acknowledge(self) -> None:
        # An error means that the connection is going; the next read says so.
        with contextlib.suppress(OSError):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _QuickAckListener(socket.socket):
    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        return _QuickAckSocket(fileno=connection.detach()), address


def listen(host: str, port: int, quick_ack: bool = True) -> socket.socket:
    """Bind a port and listen.

    A simulator that finds no listener tries again thousands of times a second and logs
    each; one that finds a listener waits, so this comes before the model is loaded.

    Raises:
        OSError: the port is taken, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = _QuickAckListener if quick_ack and sys.platform == "linux" else socket.socket
    listener = kind(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # There it would let two servers share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener


# --- The dialect ----------------------------------------------------------------------

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A frame is 21 kB; a message beyond this is read, answered with the brake, and dropped.
MOST_MESSAGE_BYTES = 1_000_000
# Beyond this a connection is closed while the message is still coming in.
MOST_WEBSOCKET_BYTES = 100_000_000
# Telemetry has two. python-socketio parses again, deeper in the stack than we do: what
# is nested just as deep as Python can bear here would fail there.
MOST_BRACKETS = 100
WRONG_VERSION = (
    "This server speaks Engine.IO 4 (EIO=4), as the Udacity simulator and "
    "socket.io-client 3 and 4 do; Engine.IO 3, of socket.io-client 1 and 2, is not "
    "served\n"
)
FOREIGN_HOST = (
    "refused: {host} is a name that a web page elsewhere could have given to this "
    "machine; use its address, as http://127.0.0.1:4567\n"
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
    """ASGI middleware in front of a Socket.IO app.

    On a WebSocket it puts in the CONNECT that the simulator never sends, answers its
    pings, and lets nothing through that could close or mute the connection behind it;
    nor in the POST of a client that polls.

    Args:
        app: a socketio.ASGIApp.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.dropped: Counter[str] = Counter()
        """Messages that were let fall, by reason."""
        self._polling_sessions: deque[str] = deque(maxlen=1000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        if "EIO=" in query and "EIO=4" not in query:
            logger.warning("refused: %s", WRONG_VERSION.strip())
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
    """Decide what of a message goes on to python-socketio.

    Args:
        text: of the message, None for a binary one.

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


# --- Who is asked ---------------------------------------------------------------------


class HostGuard:
    """ASGI middleware that refuses requests to a Host that is no address.

    Args:
        app: to guard.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._has_said = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _without_port(header_of(scope, b"host"))
        if is_local_name(host):
            await self.app(scope, receive, send)
            return
        line = FOREIGN_HOST.format(host=host[:80])
        if not self._has_said:
            logger.warning("%s", line.strip())
            self._has_said = True
        await refuse(scope, send, 403, line)


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header of a request by its lower-case name, "" if there is none."""
    for key, value in scope.get("headers", ()):
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _without_port(host: str) -> str:
    with contextlib.suppress(ValueError):
        return urlsplit(f"//{host}").hostname or ""
    return host


def is_local_name(host: str) -> bool:
    """Say whether a Host header can only mean the machine that it was sent to.

    A web page elsewhere can let its own name point to 127.0.0.1 and so pass for a page
    of this server (DNS rebinding); an address, or localhost, belongs to nobody.
    """
    if host in ("", "localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """Answer with a line that says why, to a request or a WebSocket handshake."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1002})
            return
        kind = "websocket.http.response"
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": reason.encode()})
