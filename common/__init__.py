"""What every other package may use: errors, the car, whole files, pages, tables.

Every command imports it before all else, so what comes first is here, in words that
Python 3.7 can read: another Python than the project's is refused, and Ctrl+C ends a
command that is still loading in one line. `common.interrupts` takes over from there.
"""

# `signal` itself takes a while to load, in which Ctrl+C would be a traceback.
import _signal as signal
import os
import sys

# The exit status of what Ctrl+C has stopped, as shells count it: 128 and its number.
STOPPED = 130
FIRST_PYTHON, LAST_PYTHON = (3, 11), (3, 13)
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120


def leave_while_loading(*_: object) -> None:
    """Hear Ctrl+C while packages load, some of which would take it for a fault."""
    try:
        # Behind the ^C that a terminal shows.
        os.write(2, b"\nstopped\n" if os.isatty(2) else b"stopped\n")
    finally:
        os._exit(STOPPED)


def is_command() -> bool:
    """Say whether this process runs a script of the root."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return False
    return os.path.dirname(os.path.abspath(path)) == FOLDER  # noqa: PTH100, PTH120


# Ignored, as in a background job, it stays so.
if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, leave_while_loading)

from pathlib import Path  # noqa: E402 - now that it may take a while

ROOT = Path(FOLDER)


def _refusal() -> str:
    """Return what to say of a Python that the packages are not made for."""
    is_windows, venv = sys.platform == "win32", ROOT / ".venv"
    activate = r".venv\Scripts\activate" if is_windows else "source .venv/bin/activate"
    make = "py -3.13 -m venv .venv" if is_windows else "python3.13 -m venv .venv"
    mend = f"make an environment with one of them: {make} (see docs/setup.md)"
    if sys.prefix == sys.base_prefix and venv.is_dir():
        mend = f"activate the project's environment, in {ROOT}: {activate}"
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{sys.executable} is Python {version}, expected 3.11 to 3.13; {mend}"


if not FIRST_PYTHON <= sys.version_info[:2] <= LAST_PYTHON:
    sys.exit(_refusal())
