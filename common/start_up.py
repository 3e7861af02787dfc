"""Load TensorFlow without its start-up notices on the screen."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator

# Of severities I and W, with process and place in TensorFlow's source; and what stands
# above the first of them.
NOTICE = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ \S+\] |"
    rb"\d{4}-\d\d-\d\d [\d:.]+ [IW] \S+\] |"
    rb"WARNING: All log messages before absl::InitializeLog|"
    rb"To enable the following instructions:"
)


def quiet_tensorflow() -> None:
    """Import Keras, and TensorFlow with it, and show of what they say errors only.

    TensorFlow writes its notices, on missing GPUs and such, to the file descriptor of
    stderr before its logging starts, where no environment variable silences them. So
    the descriptor leads to a file during the import; what is no notice is shown then.
    A command calls this once it knows that its input is good, and before it imports a
    package that needs Keras.
    """
    # For what comes after the import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    with _without_notices(), _keeping_interrupts():
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
def _without_notices() -> Iterator[None]:
    """Keep what is written to stderr in the block; show at its end what is no notice.

    A process whose stderr is closed, as that of a program without a console, runs the
    block as it is.
    """
    try:
        stderr_fd = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as written, os.fdopen(stderr_fd, "wb", 0) as stderr:
        sys.stderr.flush()
        was_enabled = faulthandler.is_enabled()
        if not was_enabled:
            # A crash within the library ends the process before anything can be shown.
            faulthandler.enable(stderr)
        os.dup2(written.fileno(), 2)
        try:
            yield
        except KeyboardInterrupt:
            # What an import says of being cut short is no error of anybody's.
            written.truncate(0)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr_fd, 2)
            if not was_enabled:
                faulthandler.disable()
            written.seek(0)
            stderr.writelines(line for line in written if not NOTICE.match(line))


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
