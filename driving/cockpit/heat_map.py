"""Heat maps of a drive that goes on: beside it, never in its way.

One frame is looked at when the one before is done, so many times a second at most, by a
thread of its own. What it makes is laid over the live picture: a PNG that is clear
where the network sees nothing of use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from network.saliency import Saliency

MOST_PER_S = 10
# Of the picture below, where the heat map is at its hottest.
MOST_COVER = 0.65


class HeatMap:
    """Makes heat maps of the frames that it is shown, as fast as it can.

    Args:
        look: from network.saliency.make_saliency.
    """

    def __init__(self, look: Saliency) -> None:
        self.newest: bytes | None = None
        """The last one, a PNG of the frame's size."""
        self._look = look
        self._worker = ThreadPoolExecutor(1, "heat map")
        self._seen: np.ndarray | None = None
        self._task: asyncio.Task[None] | None = None
        self._started_s = float("-inf")

    def look_at(self, frame: np.ndarray, on_made: Callable[[], object]) -> None:
        """Begin with a frame, unless another one is being looked at; return at once.

        Args:
            frame: uint8 RGB (160, 320, 3).
            on_made: called when its heat map is there.
        """
        is_busy = self._task is not None and not self._task.done()
        is_early = time.perf_counter() - self._started_s < 1 / MOST_PER_S
        if is_busy or is_early or frame is self._seen:
            return
        self._seen, self._started_s = frame, time.perf_counter()
        self._task = asyncio.create_task(self._make(frame, on_made))

    async def _make(self, frame: np.ndarray, on_made: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        self.newest = await loop.run_in_executor(self._worker, self._picture, frame)
        on_made()

    def _picture(self, frame: np.ndarray) -> bytes:
        return clear_picture(self._look(frame))


def clear_picture(heat: np.ndarray) -> bytes:
    """Return a heat map as a PNG to lay over its frame.

    Args:
        heat: float32 (h, w) in [0, 1].

    Returns:
        The PNG: green to yellow, the clearer the colder.
    """
    import cv2
    import numpy as np

    hot = np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    full = np.full_like(hot, 255)
    alpha = np.rint(MOST_COVER * hot).astype(np.uint8)
    # OpenCV's order of channels: blue, green, red.
    picture = cv2.merge([np.zeros_like(hot), full, hot, alpha])
    done, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done, "OpenCV encodes every uint8 picture"
    return png.tobytes()
