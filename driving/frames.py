"""The frames of a WebSocket, followed byte by byte as they arrive.

A parser that keeps a message until it is whole keeps as much as its sender likes. Here
what is too long is left out while it comes in: the message arrives shortened, and is
answered as one that is too long.
"""

from __future__ import annotations

# Of a message, this much is kept: a little more than what the dialect reads. It is less
# beside the simulator that drives; a frame with all its pixels in base64 has 205 kB.
MOST_KEPT_BYTES = 1_100_000
MOST_KEPT_BESIDE_BYTES = 262_144
# What Python keeps for a fragment, however empty it is.
FRAGMENT_COST_BYTES = 64
# Opcodes from here on are of control frames, which stand between those of a message.
FIRST_CONTROL_OPCODE = 8


class MessageTooLong(ValueError):
    """A message is longer than anybody would skip."""


class Frames:
    """Follows the frames that a client sends, and shortens its messages.

    Args:
        most_bytes: A longer message is not even skipped.
    """

    def __init__(self, most_bytes: int) -> None:
        self.finished = 0
        """Number of messages and control frames that are complete."""
        self.kept_bytes = 0
        """What of a message that is not complete has been passed on."""
        self.most_kept_bytes = MOST_KEPT_BYTES
        """So much of a message is passed on."""
        self._most_bytes = most_bytes
        self._message_bytes = 0
        self._head = b""
        self._pass = self._skip = 0
        self._is_control = self._is_last = False
        self._is_in_message = False

    @property
    def is_unfinished(self) -> bool:
        """Whether a frame or a message has begun and is not complete."""
        return bool(self._head or self._pass or self._skip or self._is_in_message)

    def cut(self, data: bytes, most_frames: int, most_bytes: int) -> tuple[bytes, int]:
        """Return what to pass on, and how many bytes that stands for.

        Args:
            data: What has come in.
            most_frames: As many frames begin in what is passed on, at most.
            most_bytes: Of their content so much is passed on, at most.

        Raises:
            MessageTooLong: A message is longer than can be.
        """
        out: list[bytes] = []
        at = passed = frames = 0
        while at < len(data) and passed < most_bytes:
            if self._pass:
                piece = data[at : at + min(self._pass, most_bytes - passed)]
                out.append(piece)
                at += len(piece)
                passed += len(piece)
                self._pass -= len(piece)
            elif self._skip:
                skipped = min(self._skip, len(data) - at)
                at += skipped
                self._skip -= skipped
            else:
                if not self._head:
                    if frames == most_frames:
                        break
                    frames += 1
                at = self._take_head(data, at, out)
                if self._head:
                    break
            if not (self._pass or self._skip):
                self._end_frame()
        return b"".join(out), at

    def _take_head(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Read a frame's head, as far as it is there; return where it ends."""
        begun = len(self._head)
        head = self._head + data[at : at + 14 - begun]
        self._head = head  # Kept while it is cut off.
        if len(head) < 2:
            return at + len(head) - begun
        extra = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        size = 2 + extra + (4 if head[1] & 0x80 else 0)
        if len(head) < size:
            return at + len(head) - begun
        self._head = b""
        length = int.from_bytes(head[2 : 2 + extra]) if extra else head[1] & 0x7F
        is_passed = self._begin_frame(head[0], length)
        if self._skip and is_passed:
            # Of a shorter one, the first bytes are masked as they were.
            mask = head[1] & 0x80
            out.append(bytes([head[0], mask | 127]) + self._pass.to_bytes(8))
            out.append(head[2 + extra : size])
        elif is_passed:
            out.append(head[:size])
        return at + size - begun

    def _begin_frame(self, first: int, length: int) -> bool:
        """Decide how much of a frame is passed on; say whether its head is.

        Raises:
            MessageTooLong: Its message is longer than can be.
        """
        opcode, self._is_last = first & 0x0F, bool(first & 0x80)
        self._is_control = opcode >= FIRST_CONTROL_OPCODE
        if self._is_control:
            self._pass, self._skip = length, 0
            return True
        if opcode:
            self._message_bytes = self.kept_bytes = 0
        self._is_in_message = True
        self._message_bytes += length
        if self._message_bytes > self._most_bytes:
            raise MessageTooLong
        room = max(0, self.most_kept_bytes - self.kept_bytes)
        self._pass = min(length, room)
        self._skip = length - self._pass
        if room:
            self.kept_bytes += self._pass + FRAGMENT_COST_BYTES
        return self._is_last or room > 0

    def _end_frame(self) -> None:
        if self._is_control:
            self.finished += 1
        elif self._is_last:
            self.finished += 1
            self.kept_bytes = self._message_bytes = 0
            self._is_in_message = False
