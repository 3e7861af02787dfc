"""Floods a drive server in every way that one process can, until it is ended.

    python tests/hostile_client.py 4567
    python tests/hostile_client.py 4567 pings images

Without names it does everything at once. Every connection that is closed is opened
again. Prints what it begins with, and at the end how often each way was begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
MASK = b"\0\0\0\0"
# What a browser says of a picture that a page elsewhere shows; older ones say nothing.
OF_A_PICTURE = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def frame(
    opcode: int, content: bytes = b"", final: bool = True, mask: bytes = MASK
) -> bytes:
    """Return a frame of a client; the content is masked already, with those 4 bytes."""
    size = len(content)
    if size < 126:
        head = bytes([0x80 | size])
    elif size < 65536:
        head = b"\xfe" + struct.pack(">H", size)
    else:
        head = b"\xff" + struct.pack(">Q", size)
    return bytes([0x80 * final | opcode]) + head + mask + content


def request(path: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode()


class Hostile:
    """The ways to flood the server on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.begun: Counter[str] = Counter()

    async def open(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)

    async def websocket(self, path: str = WEBSOCKET) -> Streams:
        reader, writer = await self.open()
        more = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        )
        more += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        if path != WEBSOCKET:
            more += f"Origin: http://127.0.0.1:{self.port}\r\n".replace(
                f":{self.port}", ""
            )
        writer.write(request(path, more=more))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head:
            writer.transport.abort()
            raise ConnectionError(head)
        return reader, writer

    async def session(self) -> str:
        """Open a session by polling; return its name."""
        reader, writer = await self.open()
        writer.write(request(POLLING))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            writer.transport.abort()
            raise ConnectionError(head)
        body = await reader.readuntil(b"}")
        writer.transport.abort()
        return json.loads(body[body.index(b"{") :])["sid"]

    async def pour(self, streams: Streams, piece: bytes, reads: bool = True) -> None:
        """Write the same again and again, as fast as it is taken."""
        reader, writer = streams
        reading = asyncio.create_task(self.read(reader)) if reads else None
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        finally:
            if reading:
                reading.cancel()
            writer.transport.abort()

    async def read(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        except OSError:
            pass

    async def trickle(self, writer: asyncio.StreamWriter, every_s: float) -> None:
        """Write a byte now and then."""
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(every_s)

    # --- Bytes in flight --------------------------------------------------------------

    async def unfinished(self) -> None:
        """A frame of 95 MB that never comes to its end."""
        streams = await self.websocket()
        streams[1].write(b"\x81\xff" + struct.pack(">Q", 95_000_000) + MASK + b"42")
        for _ in range(94):
            streams[1].write(b"a" * 1_000_000)
            await streams[1].drain()
        await self.trickle(streams[1], 0.5)

    async def fragments(self) -> None:
        streams = await self.websocket()
        streams[1].write(frame(1, b"42", final=False))
        await self.pour(streams, frame(0, b"a" * 1016, final=False) * 64)

    async def empty_fragments(self) -> None:
        streams = await self.websocket()
        streams[1].write(frame(1, b"42", final=False))
        await self.pour(streams, frame(0, b"", final=False) * 5000)

    async def long_messages(self) -> None:
        content = b'42["telemetry",{"image":"' + b"a" * 5_000_000 + b'"}]'
        await self.pour(await self.websocket(), frame(1, content))

    async def slow_bodies(self) -> None:
        session = await self.session()
        _, writer = await self.open()
        more = "Content-Length: 900000\r\nContent-Type: text/plain\r\n"
        writer.write(request(f"{POLLING}&sid={session}", "POST", more))
        writer.write(b"a" * 850_000)
        await self.trickle(writer, 0.5)

    async def endless_bodies(self) -> None:
        session = await self.session()
        more = "Transfer-Encoding: chunked\r\n"
        streams = await self.open()
        streams[1].write(request(f"{POLLING}&sid={session}", "POST", more))
        await self.pour(streams, b"1\r\na\r\n" * 5000)

    async def slow_headers(self) -> None:
        _, writer = await self.open()
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * 12_000)
        await self.trickle(writer, 0.5)

    async def huge_headers(self) -> None:
        await self.pour(await self.open(), b"GET / HTTP/1.1\r\nX: " + b"a" * 10**6)

    # --- Those who say nothing --------------------------------------------------------

    async def silent(self) -> None:
        reader, _ = await self.websocket()
        await self.read(reader)

    async def silent_sockets(self) -> None:
        reader, _ = await self.open()
        await self.read(reader)

    async def connected(self) -> None:
        """A client that connects and says no more: a simulator's place is taken."""
        reader, writer = await self.websocket()
        writer.write(frame(1, b"40"))
        await self.read(reader)

    async def unread(self) -> None:
        """A client that reads no answer."""
        streams = await self.websocket()
        await self.pour(streams, frame(1, b'42["telemetry",null]') * 500, reads=False)

    async def unread_pongs(self) -> None:
        streams = await self.websocket()
        await self.pour(streams, frame(9, b"a" * 125) * 500, reads=False)

    # --- Messages a second ------------------------------------------------------------

    async def pings(self) -> None:
        await self.pour(await self.websocket(), frame(1, b"2") * 5000)

    async def control_frames(self) -> None:
        await self.pour(await self.websocket(), (frame(9) + frame(10)) * 5000)

    async def junk(self) -> None:
        junk = frame(1, b"hello") + frame(2, b"\0") + frame(1, b'42["foo"]')
        await self.pour(await self.websocket(), junk * 1000)

    async def simulators(self) -> None:
        """Telemetry without end, beside the simulator that drives."""
        content = b'42["telemetry",{"speed":"1.0000","image":"' + b"a" * 20_000 + b'"}]'
        await self.pour(await self.websocket(), frame(1, content) * 10)

    async def pipelined(self) -> None:
        await self.pour(await self.open(), request("/") * 500)

    async def page_pings(self) -> None:
        await self.pour(await self.websocket("/cockpit"), frame(9) * 5000)

    async def page_junk(self) -> None:
        await self.pour(await self.websocket("/cockpit"), frame(1, b"{}") * 1000)

    async def page_files(self) -> None:
        reader, writer = await self.open()
        while True:
            writer.write(request("/"))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))

    # --- Sessions and connections -----------------------------------------------------

    async def images(self, more: str = "") -> None:
        reader, writer = await self.open()
        writer.write(request(POLLING, more="Connection: close\r\n" + more))
        await self.read(reader)
        writer.transport.abort()

    async def foreign_images(self) -> None:
        await self.images(OF_A_PICTURE)

    async def polls(self) -> None:
        """A client that posts and never polls."""
        session = await self.session()
        body = b"\x1e".join([b"40", *[b'42["telemetry",null]'] * 15])
        while True:
            reader, writer = await self.open()
            more = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
            writer.write(request(f"{POLLING}&sid={session}", "POST", more) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            if b" 200 " not in head:
                return

    async def connects(self) -> None:
        """Connections that are closed at once, as fast as they can be opened."""
        while True:
            for _ in range(20):
                raw = socket.socket()
                raw.setblocking(False)
                raw.connect_ex(("127.0.0.1", self.port))
                await asyncio.sleep(0)
                raw.close()

    # --- All of them ------------------------------------------------------------------

    async def again(self, name: str) -> None:
        """Flood in one way, and begin again whenever that ends."""
        way: Callable[[], Awaitable[None]] = getattr(self, name)
        while True:
            self.begun[name] += 1
            try:
                await way()
            except (OSError, asyncio.IncompleteReadError, LookupError, ValueError):
                await asyncio.sleep(0.01)

    async def flood(self, names: list[str]) -> None:
        """Flood in many ways at once, until SIGTERM."""
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        work = [
            asyncio.create_task(self.again(name))
            for name in names
            for _ in range(WAYS[name])
        ]
        print("flooding", *names, flush=True)
        await over.wait()
        for task in work:
            task.cancel()


# How many connections of each at once.
WAYS = {
    "unfinished": 16,
    "fragments": 8,
    "empty_fragments": 4,
    "long_messages": 2,
    "slow_bodies": 16,
    "endless_bodies": 2,
    "slow_headers": 16,
    "huge_headers": 2,
    "silent": 32,
    "silent_sockets": 64,
    "connected": 20,
    "unread": 4,
    "unread_pongs": 4,
    "pings": 4,
    "control_frames": 4,
    "junk": 4,
    "simulators": 4,
    "pipelined": 2,
    "page_pings": 2,
    "page_junk": 2,
    "page_files": 2,
    "images": 8,
    "foreign_images": 4,
    "polls": 4,
    "connects": 4,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    args = parser.parse_args()
    hostile = Hostile(args.port)
    asyncio.run(hostile.flood(args.ways or list(WAYS)))
    print(json.dumps(hostile.begun), flush=True)
    os._exit(0)  # Nothing of it is worth to be closed one by one.


if __name__ == "__main__":
    main()
