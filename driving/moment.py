"""What a drive shows to whoever looks on: its newest moment, and that there is one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from driving.pilot import Command
from driving.telemetry import Telemetry
from driving.wheel import Choice


@dataclass(frozen=True, eq=False)
class Seen:
    """What the worker has found of a telemetry event."""

    telemetry: Telemetry
    frame: np.ndarray
    """The frame, uint8 RGB (160, 320, 3)."""
    by_model: Command
    """What the model does."""
    planned_mph: float | None
    """The speed that was planned for it; None where one is held."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What the car saw last, and what it was told."""

    jpeg: bytes
    """The frame's file, as it arrived."""
    frame: np.ndarray
    """The frame, uint8 RGB (160, 320, 3)."""
    speed_mph: float
    choice: Choice
    track: str = ""
    """What the simulator calls its track; the stock one does not say."""
    planned_mph: float | None = None
    """The speed that was planned for it; None where one is held."""


class News:
    """Tells all who wait that there is something new; never waits for them."""

    def __init__(self) -> None:
        self.number = 0
        """How often there was something new so far."""
        self._next = asyncio.Event()

    def announce(self) -> None:
        """Wake all who wait; call it in the event loop's thread."""
        self.number += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, number: int) -> None:
        """Wait until there is something newer than what had this number."""
        while self.number == number:
            await self._next.wait()
