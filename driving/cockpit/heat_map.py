"""Heat maps of a drive that goes on: beside it, never in its way.

One frame is looked at when the one before is done, ten times a second at most, by a
thread of its own. What it makes is laid over the live picture.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import numpy as np

from driving.worker import Worker

logger = logging.getLogger(__name__)

MOST_PER_S = 10
# A heat map that takes longer is not of what the car sees any more.
MADE_WITHIN_S = 5.0


class HeatMap:
    """Makes heat maps of the frames that it is shown, as fast as it can.

    Args:
        draw: Makes the heat map of a uint8 RGB frame (160, 320, 3), a PNG of its size.
    """

    def __init__(self, draw: Callable[[np.ndarray], bytes]) -> None:
        self.newest: bytes | None = None
        """The last one, as `draw` has made it."""
        self.is_broken = False
        """Whether none can be made any more."""
        self._draw = draw
        self._worker = Worker("heat map")
        self._seen: np.ndarray | None = None
        self._task: asyncio.Task[None] | None = None
        self._started_s = float("-inf")

    def look_at(self, frame: np.ndarray, on_made: Callable[[], object]) -> None:
        """Begin with a frame, unless another one is being looked at; return at once.

        Args:
            frame: uint8 RGB (160, 320, 3).
            on_made: Called when its heat map is there.
        """
        is_busy = self._task is not None and not self._task.done()
        is_early = time.perf_counter() - self._started_s < 1 / MOST_PER_S
        if self.is_broken or is_busy or is_early or frame is self._seen:
            return
        self._seen, self._started_s = frame, time.perf_counter()
        self._task = asyncio.create_task(self._make(frame, on_made))

    async def _make(self, frame: np.ndarray, on_made: Callable[[], object]) -> None:
        try:
            self.newest = await self._worker.do(
                lambda: self._draw(frame), MADE_WITHIN_S
            )
        except TimeoutError:
            return
        except Exception as error:  # The car drives on, whatever cannot be drawn.
            logger.warning("no heat maps any more: %s", error)
            self.is_broken = True
            return
        on_made()
