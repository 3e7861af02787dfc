"""How every command ends: what is expected in one line, our own mistakes in full.

The exit status is one of four: 0 for done, 1 for what could not be done, as the last
line of stderr says, 2 for wrong usage, 130 for what Ctrl+C has stopped before its end.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import re
import select
import shlex
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from common import ROOT, STOPPED
from common.errors import InputError, NonFiniteLossError
from common.interrupts import has_come, hear_once_loaded, leave_once_done
from common.text import ESCAPED, shown

Main = Callable[..., int]

# What to do about the errors of disks and folders.
MENDS = {
    "ENOSPC": "make space there, and give the same command again",
    "EDQUOT": "remove what is not needed there, and give the same command again",
    "EFBIG": "the file would be larger than is allowed; see ulimit -f",
    "EROFS": "nothing can be written there; give another folder",
    "EACCES": "change who may use it, or give another",
    "EPERM": "change who may use it, or give another",
    "EEXIST": "give another name, or remove it",
    "ENOTEMPTY": "give another name, or remove it",
    "ENOENT": "is the name right, and was it removed meanwhile?",
    "ENOTDIR": "a part of the name is a file, expected a folder; give another",
    "EISDIR": "it is a folder, expected a file; give another",
    "ENAMETOOLONG": "give a shorter name",
    "ELOOP": "links lead in a circle; give another",
    "EMFILE": "ulimit -n 4096 allows more at a time",
    "ENFILE": "close other programs",
    "EIO": "the disk does not work; check it, or give another",
    "ESTALE": "the network's disk has gone; give the same command again",
    "ENODEV": "the disk has gone; give another",
    "ENXIO": "expected a file or a folder; give another",
    "ETXTBSY": "a program uses it; end that, or give another",
    "EBUSY": "a program uses it; end that, or give another",
    "EXDEV": "give a folder on one disk",
    "ENOMEM": "close other programs",
}
MEND_OF = {getattr(errno, n): mend for n, mend in MENDS.items() if hasattr(errno, n)}
# Errors of libraries that say in words what the system said in numbers.
SQLITE_SAYS = {
    "database or disk is full": errno.ENOSPC,
    "disk I/O error": errno.EIO,
    "readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
}
CIRCLE = "Symlink loop"  # pathlib
ERRNO_IN_TEXT = re.compile(r"\berrno = (\d+)")
STDOUT = "standard output"
# Of what a library says of a package that it cannot load.
MOST_SAID = 160
# Of a text that cannot be encoded so much is shown on each side of the fault.
SHOWN_AROUND = 40


def ends_in_one_line(main: Main) -> Main:
    """Let a command's `main` end in one line where it fails as may be expected.

    What the user gave, disks and memory end it with that line on stderr and 1, Ctrl+C
    with a line and 130; a pipe that nobody reads any more with 1 and nothing. Whatever
    else is raised is a mistake of ours: its traceback is shown, and where to report it.
    What it prints may hold names that are no text.
    """

    @functools.wraps(main)
    def ending(argv: list[str] | None = None) -> int:
        _open_closed_streams()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors=ESCAPED)
        try:
            try:
                hear_once_loaded()
                status = main(argv)
            except SystemExit as end:  # Help, or wrong usage.
                _flush()
                leave_once_done(end.code if isinstance(end.code, int) else 1)
                raise
            _flush()
            leave_once_done(status)
            return status
        except KeyboardInterrupt as stop:
            leave_once_done(STOPPED)
            return _stopped(stop)
        except Exception as error:
            if has_come.is_set():  # Cut off, a library raises what it likes.
                leave_once_done(STOPPED)
                return _stopped(KeyboardInterrupt())
            leave_once_done(1)
            if not _is_unread(error):
                say(line_of(error) or _report_of(error))
        _let_go_of_stdout()
        return 1

    return ending


def _stopped(stop: KeyboardInterrupt) -> int:
    """Say that Ctrl+C has stopped it, in words of the command's if it has some."""
    if sys.stderr.isatty():
        print(file=sys.stderr)  # Behind the ^C of the terminal.
    say(str(stop) or "stopped")
    _let_go_of_stdout()
    return STOPPED


def line_of(error: BaseException) -> str | None:
    """Return what to say of an error that may be expected, None for a mistake of ours.

    Names in it are as they are: it is for `say`, or for another error.
    """
    causes = list(_causes(error))
    for each in causes:
        if isinstance(each, InputError | NonFiniteLossError):
            return str(each)
        if isinstance(each, MemoryError):
            return f"not enough memory{_of(each)}; close other programs, or take less"
        if isinstance(each, UnicodeEncodeError) and _is_no_text(each):
            return _no_text_line(each)
        if isinstance(each, FileExistsError) and each.errno is None:
            return str(each)  # In words of ours.
        if isinstance(each, ImportError) and (lacks := _lack_of(each)):
            return lacks
    for each in causes:
        if (number := _errno_of(each)) is not None:
            name = getattr(each, "filename", None)
            shown = "" if name is None else f"{_as_text(name)}: "
            mend = f"; {MEND_OF[number]}" if number in MEND_OF else ""
            return f"{shown}{os.strerror(number)}{mend}"
    return None


def say(text: str) -> None:
    """Print on stderr: a line as one line, and what is a report as it is."""
    with suppress(OSError, ValueError):  # It may be closed, or its disk full.
        print(text if text.endswith("\n") else shown(text), file=sys.stderr)


# --- What is expected -----------------------------------------------------------------


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and those that it was raised from."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__


def _errno_of(error: BaseException) -> int | None:
    """Return the system's number of an error that is of a disk or the like, or None."""
    if isinstance(error, OSError) and error.errno is not None:
        is_expected = error.errno in MEND_OF or error.filename is not None
        return error.errno if is_expected else None
    text = str(error)
    if isinstance(error, sqlite3.Error):
        return next((n for said, n in SQLITE_SAYS.items() if said in text), None)
    if text.startswith(CIRCLE):
        return errno.ELOOP
    # HDF5 and TensorFlow tell in words only.
    if found := ERRNO_IN_TEXT.search(text):
        return int(found[1]) if int(found[1]) in MEND_OF else None
    full = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return next((n for n in full if os.strerror(n) in text), None)


def _lack_of(error: ImportError) -> str | None:
    """Return what to say of a package that is not there, None if it is one of ours."""
    package = (error.name or "").partition(".")[0]
    if package and any((ROOT / name).exists() for name in (package, f"{package}.py")):
        return None
    # A package that is there may miss another, or a library of the system.
    what = f"lacks {package}"
    if not isinstance(error, ModuleNotFoundError):
        said = " ".join(str(error).split())
        what = f"cannot load {package or 'a package'} ({said[:MOST_SAID]})"
    return f"{sys.executable} {what}; {_way_to_packages()}"


def _way_to_packages() -> str:
    """Return how to come by what the project needs."""
    venv, is_windows = ROOT / ".venv", sys.platform == "win32"
    activate = _from_here(venv / ("Scripts" if is_windows else "bin") / "activate")
    activate = activate if is_windows else f"source {activate}"
    install = f"pip install -r {_from_here(ROOT / 'requirements.txt')}"
    if sys.prefix != sys.base_prefix:  # An environment is active, if not ours.
        return f"install it: {install}"
    if venv.is_dir():
        return f"activate the project's environment: {activate}"
    return (
        f"make an environment: python -m venv {_from_here(venv)}; {activate}; {install}"
    )


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return shlex.quote(
        str(path.relative_to(here) if path.is_relative_to(here) else path)
    )


def _as_text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes | str) else str(name)


def _of(error: BaseException) -> str:
    return f" ({error})" if str(error) else ""


def _is_no_text(error: UnicodeEncodeError) -> bool:
    cut = error.object[error.start : error.end]
    return all("\ud800" <= letter <= "\udfff" for letter in cut)


def _no_text_line(error: UnicodeEncodeError) -> str:
    start, end = max(0, error.start - SHOWN_AROUND), error.end + SHOWN_AROUND
    shown = error.object[start:end]
    return f"{shown}: a name that is no {error.encoding.upper()} text; rename it"


# --- Streams --------------------------------------------------------------------------


def _open_closed_streams() -> None:
    """Let streams that are closed, as of a program without a console, lead nowhere.

    Python has None in their place, and the next file that is opened gets their number:
    what a library writes to the screen would go into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Open to the end of the program, as what it stands for is.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = STDOUT
        raise


def _is_unread(error: BaseException) -> bool:
    """Say whether an error is that nobody reads what is printed, as with `| head`."""
    if not isinstance(error, BrokenPipeError):
        return False
    if error.filename == STDOUT or not hasattr(select, "poll"):
        return error.filename in (STDOUT, None)
    # Unbuffered, the error does not tell which pipe it is of.
    poll = select.poll()
    with suppress(OSError, ValueError):  # Of a test, it has no number.
        poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _let_go_of_stdout() -> None:
    """Print nothing more: Python would at its end, and complain where that fails."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):  # Of a test, it has no number.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- Our own mistakes -----------------------------------------------------------------


def _report_of(error: Exception) -> str:
    """Return an error's traceback, and what to do with it, as lines."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    command = shlex.join(sys.argv)
    where = f"Python {platform.python_version()} on {platform.platform()}"
    lines += [
        "This is a mistake in the program. Please report it where you have the program "
        "from, with all of the above and this:",
        f"  {command}",
        f"  {where}",
    ]
    return "\n".join(map(shown, lines)) + "\n"
