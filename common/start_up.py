"""Load TensorFlow: no more than is used, and without its notices on the screen."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import threading
from collections.abc import Iterator

from common.bar import Bar
from common.interrupts import hearing_within_imports
from common.memory import keep_freed_memory
from common.stderr import without_lines

# Of severities I and W, with process and place in TensorFlow's source; and what stands
# above the first of them.
NOTICE = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ \S+\] |"
    rb"\d{4}-\d\d-\d\d [\d:.]+ [IW] \S+\] |"
    rb"WARNING: All log messages before absl::InitializeLog|"
    rb"To enable the following instructions:"
)

# What Keras takes up where it is installed, for wrappers, pictures and tables that no
# command gives it: a third of the time that it loads.
EXTRAS = frozenset({"matplotlib", "pandas", "scipy", "sklearn"})

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
    keep_freed_memory()
    with (
        Bar("loading TensorFlow"),
        without_lines(NOTICE),
        hearing_within_imports(),
        _without_extras(),
        _nothing_collected(),
    ):
        # Keras would miss it only when weights are saved, after an epoch.
        import h5py  # noqa: F401
        import keras  # noqa: F401


@contextlib.contextmanager
def _without_extras() -> Iterator[None]:
    """Let what this thread imports take EXTRAS for not installed, but for those loaded.

    Who uses one of them imports it afterwards as ever.
    """
    finder = _NotInstalled()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NotInstalled:
    """Finds none of EXTRAS, for the thread that makes it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, *_: object) -> None:
        """Leave a module to other finders.

        Raises:
            ModuleNotFoundError: It is one of EXTRAS.
        """
        if name in EXTRAS and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Look for no garbage meanwhile: modules are none, but many objects to look at."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
