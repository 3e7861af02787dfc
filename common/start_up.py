"""Load TensorFlow without its start-up notices on the screen."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator

from common.bar import Bar
from common.stderr import without_lines

# Of severities I and W, with process and place in TensorFlow's source; and what stands
# above the first of them.
NOTICE = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ \S+\] |"
    rb"\d{4}-\d\d-\d\d [\d:.]+ [IW] \S+\] |"
    rb"WARNING: All log messages before absl::InitializeLog|"
    rb"To enable the following instructions:"
)


# What TensorFlow reads as it starts.
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_threads() -> int:
    """Return into how many parts TensorFlow divides what it computes.

    Sums are added up part by part: another number gives other last digits, and in
    training other weights.
    """
    given = os.environ.get(THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) else num_cores()


def quiet_tensorflow(threads: int | None = None) -> None:
    """Import Keras, and TensorFlow with it, and show of what they say errors only.

    TensorFlow writes its notices, on missing GPUs and such, to the file descriptor of
    stderr before its logging starts, where no environment variable silences them. So
    the descriptor leads to a file during the import; what is no notice is shown then.
    A command calls this once it knows that its input is good, and before it imports a
    package that needs Keras.

    Args:
        threads: Computes with so many, whatever the number of cores; None takes one for
            each core. It has no effect where Keras is loaded already.
    """
    # For what comes after the import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    if threads is not None:
        os.environ[THREADS_VARIABLE] = str(threads)
    with Bar("loading TensorFlow"), without_lines(NOTICE), _keeping_interrupts():
        import keras  # noqa: F401


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started in the block not hear Ctrl+C.

    A terminal sends it to all of a program's: the first one hears it, and ends them.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_interrupts() -> None:
    """Hear Ctrl+C in a process that was started deaf to it."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _keeping_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the block as such, whatever a library makes of the exception.

    Raised in the middle of an import it can be taken for a package that is missing, or
    be caught, and the program would go on.
    """
    before, was_interrupted = signal.getsignal(signal.SIGINT), False
    is_main = threading.current_thread() is threading.main_thread()
    if before is not signal.default_int_handler or not is_main:
        yield
        return

    def hear(*_: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    except Exception:
        if not was_interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if was_interrupted:
        raise KeyboardInterrupt
