"""Ctrl+C: when a command hears it, and which of its processes do."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from common import is_command, leave_while_loading

# So long after an import is looked again whether it has ended.
LOOK_AGAIN_S = 0.05


# Whether Ctrl+C has come: what is raised after it may be what a library makes of it.
has_come = threading.Event()


def hear(_number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not within an import: that is left to end first.

    What is written in C takes the exception for a package that is missing, or crashes.
    """
    if _is_in_import(frame):
        _hear_again()
        return
    has_come.set()
    raise KeyboardInterrupt


def _hear_again() -> None:
    again = threading.Timer(LOOK_AGAIN_S, _thread.interrupt_main)
    again.daemon = True
    again.start()


def hear_what_is_lost(lost: sys.UnraisableHookArgs) -> None:
    """Hear it again where it was raised and nothing can be: while an object ends."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        _hear_again()
    else:
        sys.__unraisablehook__(lost)


def _is_in_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


# What raises when Ctrl+C is heard.
HEARING = (hear, signal.default_int_handler)


def hear_once_loaded() -> None:
    """Take Ctrl+C over from `common.leave_while_loading`."""
    has_come.clear()
    if signal.getsignal(signal.SIGINT) is leave_while_loading:
        signal.signal(signal.SIGINT, hear)
        sys.unraisablehook = hear_what_is_lost


def leave_once_done(status: int) -> None:
    """Let Ctrl+C end at once what is done: Python takes a while to clear up.

    Only where this process is a command, and hears Ctrl+C at all.
    """
    if is_command() and signal.getsignal(signal.SIGINT) in HEARING:
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))


@contextlib.contextmanager
def hearing_within_imports() -> Iterator[None]:
    """Let Ctrl+C end a long import at once, whatever it makes of the exception.

    Raised in the middle of an import it can be taken for a package that is missing, or
    be caught, and the program would go on.
    """
    before, was_interrupted = signal.getsignal(signal.SIGINT), False
    is_main = threading.current_thread() is threading.main_thread()
    if before not in HEARING or not is_main:
        yield
        return

    def hear_here(*_: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        has_come.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hear_here)
    try:
        yield
    except Exception:
        if not was_interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if was_interrupted:
        raise KeyboardInterrupt


# --- Other processes ------------------------------------------------------------------


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Let processes that are started in the block not hear Ctrl+C.

    A terminal sends it to all of a program's: the first one hears it, and ends them.
    """
    if sys.platform == "win32":
        _hear_as_console(False)
        try:
            yield
        finally:
            _hear_as_console(True)
        return
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_interrupts() -> None:
    """Hear Ctrl+C in a process that was started deaf to it."""
    if sys.platform == "win32":
        _hear_as_console(True)
    elif hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _hear_as_console(is_heard: bool) -> None:
    """Let this process, and those that it starts, hear Ctrl+C or not, on Windows.

    Source: SetConsoleCtrlHandler of the Windows API, which a null handler and TRUE make
    ignore it; processes inherit that.
    """
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetConsoleCtrlHandler(None, not is_heard)
