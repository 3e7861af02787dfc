"""What of a WebSocket's frames is passed on, however they are cut and however long."""

import os

import hostile_client
import pytest
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from driving.frames import MOST_KEPT_BYTES, Frames, MessageTooLong

EVERYTHING = (10**9, 10**9)


def frame(opcode, content, final=True, mask=b"mask"):
    """Return a frame as clients send it."""
    size = len(content)
    long_mask = int.from_bytes((mask * (size // 4 + 1))[:size])
    masked = (int.from_bytes(content) ^ long_mask).to_bytes(size)
    return hostile_client.frame(opcode, masked, final, mask)


def message(content, fragment=1016):
    """Return a text message in fragments, as the simulator sends them."""
    pieces = [content[i : i + fragment] for i in range(0, len(content), fragment)]
    last = len(pieces) - 1
    return b"".join(frame(int(i == 0), p, i == last) for i, p in enumerate(pieces))


def heard(data):
    """Return opcode and content of the frames in what a server's parser is given."""
    server = ServerProtocol(max_size=None)
    server.receive_data(
        b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"\r\n"
    )
    [request] = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    server.receive_data(data)
    assert server.parser_exc is None, server.parser_exc
    return [(event.opcode, bytes(event.data)) for event in server.events_received()]


def passed(frames, data, size=None, limits=EVERYTHING):
    """Return what is passed on of data that comes in pieces of a size."""
    out = b""
    for start in range(0, len(data), size or len(data)):
        piece = data[start : start + (size or len(data))]
        while piece:
            more, used = frames.cut(piece, *limits)
            out, piece = out + more, piece[used:]
    return out


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, None])
def test_what_is_short_enough_passes_unchanged(size):
    data = (
        message(os.urandom(21_000)) + frame(9, b"ping") + frame(1, b"") + frame(8, b"")
    )
    data += frame(1, os.urandom(70_000))
    frames = Frames(10**8)
    assert passed(frames, data, size) == data
    assert frames.finished == 5
    assert not frames.is_unfinished and frames.kept_bytes == 0


@pytest.mark.parametrize("fragment", [997, 100_000, 10**7])
@pytest.mark.parametrize("size", [33_333, None])
def test_a_long_message_comes_shortened_and_the_next_one_whole(fragment, size):
    long = b"42" + os.urandom(3_000_000)
    frames = Frames(10**8)
    after = frame(1, b"after")
    out = heard(passed(frames, message(long, fragment) + after, size))
    assert out[-1] == (Opcode.TEXT, b"after")
    kept = b"".join(content for _, content in out[:-1])
    assert long.startswith(kept) and 1_000_000 < len(kept) <= MOST_KEPT_BYTES
    assert frames.finished == 2


def test_a_ping_between_the_fragments_of_a_long_message_is_heard():
    data = frame(1, bytes(2_000_000), False) + frame(9, b"ping") + frame(0, b"end")
    opcodes = [opcode for opcode, _ in heard(passed(Frames(10**8), data))]
    assert opcodes == [Opcode.TEXT, Opcode.PING, Opcode.CONT]


def test_empty_fragments_are_not_kept_for_ever():
    frames = Frames(10**8)
    out = passed(frames, frame(1, b"42", False) + frame(0, b"", False) * 100_000)
    assert frames.is_unfinished
    assert len(heard(out)) < 20_000
    assert frames.kept_bytes < MOST_KEPT_BYTES + 100


@pytest.mark.parametrize("fragment", [100_000, 10**7])
def test_a_message_that_nobody_would_skip_is_refused(fragment):
    with pytest.raises(MessageTooLong):
        passed(Frames(2_000_000), message(bytes(2_000_001), fragment))


def test_what_is_passed_on_at_once_is_bounded():
    frames = Frames(10**8)
    out, used = frames.cut(frame(9, b"") * 100, 32, 8192)
    assert len(heard(out)) == 32 and used == len(out)
    frames = Frames(10**8)
    out, used = frames.cut(frame(1, bytes(100_000)), 32, 8192)
    assert used == len(out) <= 8192 + 14
    assert frames.is_unfinished
