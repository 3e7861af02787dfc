"""The processes of a search; light to load, so that each first quiets TensorFlow."""

from __future__ import annotations

from common.ends import line_of, say

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable

from common.errors import InputError
from common.interrupts import deaf_to_interrupts, hear_interrupts
from common.start_up import quiet_tensorflow


def run_workers(worker: Callable[[], None], num_workers: int) -> None:
    """Do trials in several processes that end with this one, or in this one alone.

    Raises:
        InputError: Every one of them has failed.
    """
    if num_workers == 1:
        worker()
        return
    context = multiprocessing.get_context("spawn")
    # As bytes: to unpickle it imports TensorFlow.
    given = (pickle.dumps(worker),)
    processes = [context.Process(target=_work, args=given) for _ in range(num_workers)]
    # They hear it when they can take it.
    with deaf_to_interrupts():
        for process in processes:
            process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        # They were interrupted as well, and put their trials back.
        for process in processes:
            process.join()
        raise
    if all(process.exitcode for process in processes):
        raise InputError(f"all {num_workers} workers have failed, as they say above")


def _work(pickled: bytes) -> None:
    """Do trials in a process of its own, which ends with its parent, killed or not."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        hear_interrupts()
        quiet_tensorflow()
        pickle.loads(pickled)()
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:
        if not (line := line_of(error)):
            raise
        say(line)
        sys.exit(1)
