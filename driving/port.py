"""The port of a drive: its sockets, what they may take, and whom they refuse.

uvicorn serves both the simulators and the pages here. By itself it bounds none of its
connections; door.py does, in front of it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.utils import ClientDisconnected

from common.errors import InputError
from driving.door import Door, Gate
from driving.speakers import MOST_WEBSOCKET_BYTES, BoundedHttp, BoundedWebSocket

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What is read of a connection at once.
READ_BYTES = 32_768
# So many connections are taken in one turn of the loop, and so many refused for each;
# the others wait in the system.
ACCEPTED_AT_ONCE, REFUSED_AT_ONCE, WAITING_OUTSIDE = 8, 64, 1024
# Bits that IPv6 puts before an address of IPv4 (RFC 4291, 2.5.5.2).
MAPPED_PREFIX = 96
FOREIGN_HOST = (
    "refused: {host} is a name that a web page elsewhere could have given to this "
    "machine; use its address, as http://127.0.0.1:4567\n"
)
FOREIGN_SITE = (
    "refused: a page of another site asks for this, in this browser; open the address "
    "that drive.py has printed\n"
)

# What it looks like that a connection is over.
GONE = (ConnectionError, TimeoutError, ClientDisconnected)

# --- Sockets --------------------------------------------------------------------------


class _QuickAckSocket(socket.socket):
    """Acknowledges what it receives at once, and receives little at once.

    The simulator writes a frame in some 20 small pieces with Nagle's algorithm on: its
    system holds back all but the first until that is acknowledged, and ours would wait
    40 ms with that. Linux forgets the option, so it is set after every read.
    """

    def recv(self, most: int, *args: Any) -> bytes:
        content = super().recv(min(most, READ_BYTES), *args)
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


class _Listener(socket.socket):
    """Hands over connections as long as there is room for them, and ends the others.

    That is cheap: who connects without end takes little time, and who tries again, as
    the simulator does, is soon in line again.
    """

    gate: Gate | None = None
    kind: type[socket.socket] = socket.socket

    def accept(self) -> tuple[socket.socket, Any]:
        for _ in range(REFUSED_AT_ONCE):
            connection, address = super().accept()
            if self.gate is None or self.gate.has_room():
                return self.kind(fileno=connection.detach()), address
            connection.close()
        raise BlockingIOError


def listen(host: str, port: int, quick_ack: bool = True) -> socket.socket:
    """Bind a port and listen, or say why that is not possible.

    A simulator that finds no listener tries again thousands of times a second and logs
    each; one that finds a listener waits, so this comes before the model is loaded.

    Args:
        host: An address of this machine, or its name.
        port: 0 takes any that is free.
        quick_ack: Whether TCP segments are acknowledged at once, where the system can.

    Raises:
        InputError: The port is taken, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = _Listener(family, socket.SOCK_STREAM)
    if quick_ack and hasattr(socket, "TCP_QUICKACK"):  # Linux has it.
        listener.kind = _QuickAckSocket
    try:
        if os.name == "posix":  # On Windows it would let two servers share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
    except OSError as error:
        listener.close()
        mend = "give an address of this machine to --host, or another --port"
        if error.errno == errno.EADDRINUSE:
            mend = "does another drive.py run? Stop it, or give another --port"
        raise InputError(
            f"cannot listen on {host}:{port} ({error.strerror}); {mend}"
        ) from error
    return listener


def url_of(host: str, port: int) -> str:
    """Return the URL that others, or this machine, open a page of this port by."""
    host = reachable_address(host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def reachable_address(host: str) -> str:
    """Return the address that others reach this machine by, for "all of them"."""
    if host not in ("0.0.0.0", "::"):
        return host
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    # Addresses for documentation; nothing is sent, the system only looks up the way.
    elsewhere = "2001:db8::1" if host == "::" else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
        except OSError:
            return "::1" if host == "::" else "127.0.0.1"
        return str(probe.getsockname()[0])


# --- Connections ----------------------------------------------------------------------


class WebServer(uvicorn.Server):
    """A uvicorn server behind doors; it hears the names of this machine only."""

    def __init__(self, app: App) -> None:
        self.gate = Gate()
        super().__init__(
            uvicorn.Config(
                HostGuard(app),
                # uvloop would read without the sockets above.
                loop="asyncio",
                http=partial(Door, self.gate, BoundedHttp),  # type: ignore[arg-type]
                ws=BoundedWebSocket,
                ws_max_size=MOST_WEBSOCKET_BYTES,
                # Pictures are compressed; doing it again costs more than it sends.
                ws_per_message_deflate=False,
                backlog=ACCEPTED_AT_ONCE,
                # Nobody else says here who sends a request.
                proxy_headers=False,
                log_level="error",
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            if isinstance(listener, _Listener):
                listener.gate = self.gate
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(WAITING_OUTSIDE)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would close before the cars have stopped."""
        yield


# --- Who is refused -------------------------------------------------------------------


class HostGuard:
    """ASGI middleware that refuses what pages of other sites make a browser send.

    That is a Host that is no address; and whatever a browser says to come from another
    site, also the pictures that a page shows, for which it names no origin.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.refused: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _without_port(header_of(scope, b"host"))
        if not is_local_name(host):
            await self._refuse(scope, send, FOREIGN_HOST.format(host=host[:80]), "host")
        elif is_of_another_site(scope):
            await self._refuse(scope, send, FOREIGN_SITE, "site")
        else:
            await self.app(scope, receive, send)

    async def _refuse(self, scope: Scope, send: Send, line: str, kind: str) -> None:
        self.refused[kind] += 1
        if self.refused[kind] == 1:
            logger.warning("%s", line.strip())
        await refuse(scope, send, 403, line)


def is_of_another_site(scope: Scope) -> bool:
    """Say whether a browser says that a page from elsewhere asks for this.

    A link to the page of this server is followed all the same; it is nobody's frame.
    """
    if header_of(scope, b"sec-fetch-site") not in ("cross-site", "same-site"):
        return False
    is_followed = header_of(scope, b"sec-fetch-dest") == "document"
    return not (is_followed and scope["type"] == "http" and scope["path"] == "/")


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header of a request by its lower-case name, "" if there is none."""
    values = (value for key, value in scope.get("headers", ()) if key == name)
    return str(next(values, b"").decode("latin-1"))


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


class AllowList:
    """The addresses that simulators may come from.

    The stock simulator can send no token, so where it comes from is all there is to
    know it by. This machine is always among them.

    Args:
        texts: Addresses and networks, such as 192.168.1.20 and 192.168.1.0/24; none
            allows all.

    Raises:
        InputError: One of them is neither.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        try:
            self._networks = [_network(text) for text in texts]
        except ValueError as error:
            raise InputError(
                f"--allow: {error}; expected an address or network, such as "
                "192.168.1.20 or 192.168.1.0/24"
            ) from None

    @property
    def is_open(self) -> bool:
        """Whether all addresses are allowed."""
        return not self._networks

    def __str__(self) -> str:
        return ", ".join(["this machine", *map(str, self._networks)])

    def allows(self, scope: Scope) -> bool:
        """Say whether a simulator may send this."""
        if self.is_open:
            return True
        address = _address((scope.get("client") or ("",))[0])
        if address is None or address.is_loopback:
            return address is not None
        is_here = address == _address((scope.get("server") or ("",))[0])
        return is_here or any(address in network for network in self._networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read a network, as `_address` reads addresses; the error is ip_network's."""
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_PREFIX:
        return network
    return ipaddress.ip_network(f"{mapped}/{network.prefixlen - MAPPED_PREFIX}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; one of IPv4 is such also where a socket of IPv6 hears it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


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
