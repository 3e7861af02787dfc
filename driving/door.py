"""The doors of the port: every byte of every connection passes through one.

One process answers the car and everybody else. So a door hands on what a connection
says in small pieces, one connection at a time, and all of them together get a part of
the time only; the simulator that drives does not stand in line. What a connection
leaves unfinished is bounded in bytes, over all of them, and in time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import Counter
from typing import Any, Protocol

logger = logging.getLogger(__name__)

# Sixteen pages with what their browsers open beside, and simulators.
MOST_CONNECTIONS = 128
# Room is made for another by closing one that has said nothing useful for so long.
GRACE_S = 2.0
# A request is there whole at once, and so is a message, once it has begun.
FIRST_REQUEST_S = 10.0
# The stock simulator says telemetry as soon as it is connected, others CONNECT. One
# that is closed too early, as its window was hidden, connects again by itself.
CONNECT_WITHIN_S = 30.0
# Time in which the other end has to read what fills all buffers on the way.
UNREAD_S = 10.0
# Time that a connection which is over has to take its last words.
LAST_WORDS_S = 2.0
SWEEP_S = 0.5
# What messages and requests that are not complete may take, all together: some hundred
# frames of a simulator, and less than a machine notices.
MOST_UNFINISHED_BYTES = 16_000_000
# Part of one core that all connections but the simulator's get, and how much of it
# they may use at once after a rest.
SHARE = 0.25
BURST_S = 0.02
# Turns of the loop in which what a piece asks for is mostly done.
TURNS = 3
# Who waits for so long in the line has asked for too much, or stands behind such.
SLOW_S = 1.0


class Speaker(Protocol):
    """What reads a connection behind its door."""

    is_websocket: bool
    finished: int
    """Number of requests or messages that were complete."""

    @property
    def is_unfinished(self) -> bool:
        """Whether a request or message has begun and is not complete."""

    @property
    def kept_bytes(self) -> int:
        """What is kept of one that is not complete."""

    def take(self, data: bytes, goes_first: bool) -> int:
        """Read a piece of what has come in; return its length."""


class Gate:
    """What all doors share: the line in front of the loop, and who has to leave.

    Args:
        share: Part of one core that all connections but the simulator's get.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self.doors: set[Door] = set()
        self.unfinished_bytes = 0
        """What all connections have left unfinished."""
        self.refused: Counter[str] = Counter()
        """What was refused or closed, by reason."""
        self._line: list[tuple[float, int, Door]] = []
        self._number = itertools.count()
        self._serving: asyncio.Task[None] | None = None
        # CPU time that the one had used whose turn it was last.
        self._clock_s = 0.0
        self._free_at_s = 0.0
        self._full_until_s = 0.0

    def say(self, what: str) -> None:
        """Count what is refused; log the first of its kind."""
        self.refused[what] += 1
        if self.refused[what] == 1:
            logger.warning("refused: %s; more will be counted", what)

    # --- Who may come in --------------------------------------------------------------

    def has_room(self) -> bool:
        """Say whether there is room for another connection, or make some."""
        if len(self.doors) < MOST_CONNECTIONS or self._make_room():
            return True
        self.say(f"more than {MOST_CONNECTIONS} connections")
        return False

    def admit(self, door: Door) -> bool:
        """Let a connection in if there is, or can be made, room for it."""
        if not self.has_room():
            return False
        if not self.doors:
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        self.doors.add(door)
        return True

    def _make_room(self) -> bool:
        """Close the connection that has been useless longest, if there is one."""
        now_s = time.monotonic()
        if now_s < self._full_until_s:
            return False
        useless = [door for door in self.doors if not door.is_useful]
        per_address = Counter(door.address for door in useless)
        ripe = [door for door in useless if now_s - door.useless_since_s > GRACE_S]
        if not ripe:
            self._full_until_s = now_s + 0.1
            return False
        crowd = max(per_address[door.address] for door in ripe)
        crowded = [door for door in ripe if per_address[door.address] == crowd]
        leaving = min(
            crowded, key=lambda d: (d.owes_since_s is None, d.useless_since_s)
        )
        leaving.close_for("a connection that does nothing, to make room for another")
        return True

    def leave(self, door: Door) -> None:
        """Forget a connection."""
        self.doors.discard(door)

    def _sweep(self) -> None:
        """Close what is overdue; again and again while there are connections."""
        now_s = time.monotonic()
        for door in list(self.doors):
            if why := door.overdue(now_s):
                door.close_for(why)
        if self.doors:
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def account(self, more_bytes: int) -> None:
        """Count what is unfinished; close who has left most of it when it is too much.

        The simulator that drives is never the one.
        """
        self.unfinished_bytes += more_bytes
        if more_bytes > 0 and self.unfinished_bytes > MOST_UNFINISHED_BYTES:
            others = [door for door in self.doors if not door.goes_first]
            worst = max(others, key=lambda door: door.kept_bytes, default=None)
            if worst:
                worst.close_for(
                    f"unfinished messages of over {MOST_UNFINISHED_BYTES:,} bytes"
                )

    # --- Whose turn it is -------------------------------------------------------------

    def line_up(self, door: Door) -> None:
        """Let a connection wait for its turn to be heard.

        Whoever has used least time is next, so that a page or a simulator that has just
        come does not wait behind those who send without end.
        """
        spent_s = max(door.spent_s, self._clock_s)
        heapq.heappush(self._line, (spent_s, next(self._number), door))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())

    async def _serve(self) -> None:
        """Hear one connection after the other, and rest in between."""
        loop = asyncio.get_running_loop()
        try:
            while self._line:
                await asyncio.sleep(max(0.0, self._free_at_s - loop.time()))
                spent_s, _, door = heapq.heappop(self._line)
                self._clock_s = spent_s
                begun_s = time.thread_time()
                door.hand_on()
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                cost_s = time.thread_time() - begun_s
                door.spent_s = spent_s + cost_s
                rested_s = max(self._free_at_s, loop.time() - BURST_S)
                self._free_at_s = rested_s + cost_s / self._share
        finally:
            self._serving = None


class Door(asyncio.Protocol):
    """Stands between one socket and what uvicorn reads it with.

    It is the protocol of the socket's transport, and the transport of that protocol.

    Args:
        gate: What all doors share.
        speaker: The class of what reads the connection at first.
        options: What uvicorn makes a protocol with.
    """

    def __init__(self, gate: Gate, speaker: Any, **options: Any) -> None:
        # Whoever answers a request finds its connection here.
        options["app_state"] = {**options["app_state"], "connection": self}
        self._gate = gate
        self._speaker: Any = speaker(**options)
        self._transport: Any = None
        self.goes_first = False
        """Whether the simulator that drives is at the other end: it need not wait."""
        self.address = ""
        self.spent_s = 0.0
        """CPU time that it has used."""
        self.useless_since_s = time.monotonic()
        self.owes_since_s: float | None = self.useless_since_s
        """Since when a request or message is expected; None if none is."""
        self.kept_bytes = 0
        """What is kept of what it has not finished."""
        self._is_useful = False
        self._is_in = False
        self._finished = 0
        self._waiting = b""
        self._is_in_line = False
        self._lined_up_s = 0.0
        self._is_held = False
        self._unread_since_s: float | None = None

    @property
    def is_useful(self) -> bool:
        """Whether a page or a simulator is at the other end."""
        return self._is_useful

    @is_useful.setter
    def is_useful(self, is_useful: bool) -> None:
        if self._is_useful and not is_useful:
            self.useless_since_s = time.monotonic()
        self._is_useful = is_useful

    def overdue(self, now_s: float) -> str:
        """Say why it has to be closed, "" if it has not."""
        if self.owes_since_s and now_s - self.owes_since_s > FIRST_REQUEST_S:
            return f"a request or message not complete after {FIRST_REQUEST_S:g} s"
        if self._unread_since_s and now_s - self._unread_since_s > UNREAD_S:
            return f"a connection that has read nothing for {UNREAD_S:g} s"
        is_silent = self._speaker.is_websocket and not self._is_useful
        if is_silent and now_s - self.useless_since_s > CONNECT_WITHIN_S:
            return f"a WebSocket without a simulator for {CONNECT_WITHIN_S:g} s"
        return ""

    def close_for(self, why: str) -> None:
        """Close it at once, and say why."""
        self._gate.say(why)
        self._gate.leave(self)
        self.abort()

    # --- From the socket --------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.address = str((transport.get_extra_info("peername") or [""])[0])
        self._is_in = self._gate.admit(self)
        if self._is_in:
            self._speaker.connection_made(self)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        if self.goes_first and not self._is_in_line:
            self._hear()
        self._wait_or_read()

    def hand_on(self) -> None:
        """Let a piece of what waits be heard; it is this connection's turn."""
        self._is_in_line = False
        if time.monotonic() - self._lined_up_s > SLOW_S:
            self._gate.say(
                "more than there is time for, beside the simulator: it waits"
            )
        if not self._transport.is_closing():
            self._hear()
            self._wait_or_read()

    def _hear(self) -> None:
        try:
            used = self._speaker.take(self._waiting, self.goes_first)
        except Exception:  # As asyncio does: it ends this connection, and no other.
            logger.exception("a connection has failed")
            self.abort()
            return
        self._waiting = self._waiting[used:]
        before, self.kept_bytes = self.kept_bytes, self._speaker.kept_bytes
        self._gate.account(self.kept_bytes - before)
        if self._speaker.finished != self._finished:
            self._finished, self.owes_since_s = self._speaker.finished, None
        if self._speaker.is_unfinished and self.owes_since_s is None:
            self.owes_since_s = time.monotonic()

    def _wait_or_read(self) -> None:
        """Stand in line with what has come in, or read on; or neither."""
        is_held = self._is_held or self._unread_since_s is not None
        if self._waiting and not is_held and not self._is_in_line:
            self._is_in_line, self._lined_up_s = True, time.monotonic()
            self._gate.line_up(self)
        if self._waiting or is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool | None:
        return self._speaker.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._gate.leave(self)
        self._gate.account(-self.kept_bytes)
        self.kept_bytes, self._waiting = 0, b""
        if self._is_in:
            self._speaker.connection_lost(error)

    def pause_writing(self) -> None:
        self._unread_since_s = time.monotonic()
        self._speaker.pause_writing()
        # Answers would pile up.
        self._wait_or_read()

    def resume_writing(self) -> None:
        self._unread_since_s = None
        self._speaker.resume_writing()
        self._wait_or_read()

    # --- From uvicorn -----------------------------------------------------------------

    def pause_reading(self) -> None:
        self._is_held = True
        self._wait_or_read()

    def resume_reading(self) -> None:
        self._is_held = False
        self._wait_or_read()

    def set_protocol(self, protocol: Any) -> None:
        """Let something else read the connection from now on."""
        self._speaker, self._finished = protocol, protocol.finished
        self.owes_since_s = None

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
            self.abort_soon()

    def abort_soon(self) -> None:
        """Close it in a moment, though it has not taken its last words.

        Closed, it would wait for ever for who has stopped reading.
        """
        asyncio.get_running_loop().call_later(LAST_WORDS_S, self._transport.abort)

    def abort(self) -> None:
        self._transport.abort()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return bool(self._transport.is_closing())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)
