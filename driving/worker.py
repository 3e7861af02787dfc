"""A thread that does one thing after another, and that nothing waits for in vain."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Does jobs in their order, in a thread of its own.

    The thread is a daemon: a job that hangs, as a model or a disk can, holds up neither
    an answer nor the end of the program, as one of an executor would.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]]
        self._jobs = queue.SimpleQueue()
        self._begun_s: float | None = None
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def do(self, job: Callable[[], T], within_s: float) -> T:
        """Return what a job returns, or raise what it raises.

        Args:
            job: Called in the worker's thread.
            within_s: Time after which its result is not waited for, and dropped.

        Raises:
            TimeoutError: It was not done in time, or the one before hangs.
        """
        begun_s = self._begun_s
        if begun_s is not None and time.perf_counter() - begun_s > within_s:
            raise TimeoutError
        done = asyncio.get_running_loop().create_future()
        self._jobs.put((job, done))
        async with asyncio.timeout(within_s):
            return await done

    def _work(self) -> None:
        while True:
            job, done = self._jobs.get()
            if done.cancelled():
                continue  # It has waited too long behind another.
            self._begun_s = time.perf_counter()
            try:
                result, error = job(), None
            except Exception as failure:
                result, error = None, failure
            self._begun_s = None
            # The loop is closed where the program ends meanwhile.
            with contextlib.suppress(RuntimeError):
                done.get_loop().call_soon_threadsafe(_settle, done, result, error)


def _settle(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    """Hand a result to who waits for it, if anybody still does."""
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
