"""How much a model may take of the machine, and what holds its loading to it.

A model file says in a few bytes what takes gigabytes or hours. The one limit that a
user sets is the number of parameters; memory and time go with it.
"""

from __future__ import annotations

import atexit
import mmap
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from common.command_line import MAX_PARAMETERS
from common.errors import InputError

T = TypeVar("T")

# NVIDIA's network has 0.25 million, the usual ones for ImageNet 4 to 45 million.
MOST_PARAMETERS = 50_000_000
# Numbers put out, for each parameter: DenseNet-121 makes 51 million of a frame.
OUTPUTS_EACH = 2
# To read the weights apart, and to build a network and compute a frame. The project's
# own takes 0.2 s of either.
MOST_S = 8.0
# On a machine that does much else it may take so many times longer, if it only waits.
WAITING_TIMES = 8
# That many parameters in float32, thrice: as read, as kept, and what a frame makes.
MOST_BYTES = 600_000_000
# How often the memory is looked at: some 100 MB can be filled in this time.
LOOK_EVERY_S = 0.02

HINT = (
    "; if you trust it, give a larger --max-parameters (or set "
    f"{MAX_PARAMETERS}), time and memory grow with it"
)


@dataclass(frozen=True)
class Limits:
    """What one model may take."""

    parameters: int
    """Its numbers."""
    outputs: int
    """The numbers that all its layers put out for a frame."""
    seconds: float
    """For each step of loading it."""
    memory_bytes: int
    """Beyond what the process has before."""


def current_limits() -> Limits:
    """Return the limits of this process, set by its --max-parameters or a parent's.

    Raises:
        InputError: The environment variable holds no whole number above 0.
    """
    text = os.environ.get(MAX_PARAMETERS, str(MOST_PARAMETERS))
    if not (re.fullmatch("[0-9]{1,12}", text) and int(text)):
        raise InputError(f"{MAX_PARAMETERS} is {text!r}, expected a whole number")
    times = max(1.0, int(text) / MOST_PARAMETERS)
    outputs = OUTPUTS_EACH * int(text)
    return Limits(int(text), outputs, MOST_S * times, int(MOST_BYTES * times))


def within_limits(job: Callable[[], T], what: str) -> T:
    """Return what a job returns, or raise what it raises, if it keeps to the limits.

    It runs in a thread of its own, which is left alone where it does not end: nothing
    can end it but the process, and that leaves it behind without a word.

    Args:
        job: Called once.
        what: The file and what is done with it, to begin a message.

    Raises:
        InputError: It takes longer, or more memory.
    """
    limits = current_limits()
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    most_bytes = _memory_bytes() + limits.memory_bytes
    results: list[T] = []
    errors: list[BaseException] = []
    is_done = threading.Event()

    def work() -> None:
        try:
            results.append(job())
        except BaseException as error:
            errors.append(error)
        is_done.set()

    threading.Thread(target=work, name=what, daemon=True).start()
    try:
        while not is_done.wait(LOOK_EVERY_S):
            took_s = time.monotonic() - began_s
            worked_s = min(took_s, time.process_time() - began_cpu_s)
            if max(worked_s, took_s / WAITING_TIMES) > limits.seconds:
                raise InputError(f"{what} takes longer than {limits.seconds:g} s{HINT}")
            if _memory_bytes() > most_bytes:
                megabytes = limits.memory_bytes // 1_000_000
                raise InputError(f"{what} takes more than {megabytes} MB{HINT}")
    except BaseException:
        # A library that computes meanwhile can hold up or crash the end of Python.
        atexit.register(_leave)
        raise
    if errors:
        raise errors[0]
    return results[0]


def _memory_bytes() -> int:
    """Return the memory that the process has."""
    if sys.platform == "linux":  # Without loading anything.
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * mmap.PAGESIZE
    import psutil

    return int(psutil.Process().memory_info().rss)


def _leave() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def confine() -> None:
    """Keep this process within the memory of a model, from now on, without mercy.

    For a process that does nothing but try a file; see network.apart. Where the system
    has no such limit, as Windows and macOS, time alone is limited.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except (ImportError, OSError):
        return
    most = pages * mmap.PAGESIZE + current_limits().memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
