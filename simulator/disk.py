"""What systems do differently with files: locks, and renaming what is in use."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# What says that another has the lock; other errors: the file system knows no locks.
HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
# On Windows a locked byte cannot be read by others: one that no file is as long as.
LOCKED_BYTE = 2**40
# So long a file that is in use is tried again: others read one, or look through it for
# viruses, in moments.
PATIENCE_S, TRY_EVERY_S = 1.0, 0.02

T = TypeVar("T")


def lock(path: Path) -> int | None:
    """Make a file, and lock it until the process ends or `unlock`.

    Where the system or the disk knows no locks nobody is kept out.

    Returns:
        Its descriptor; None if another process has it.
    """
    while True:
        descriptor = patiently(lambda: os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
        if not _try_lock(descriptor):
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # Its holder has removed it in between.


def unlock(descriptor: int, path: Path) -> None:
    """Remove a file that `lock` has made, and let others lock one of its name."""
    try:
        # While it is held: who waits for it looks whether it is still there.
        path.unlink(missing_ok=True)
        os.close(descriptor)
    except PermissionError:  # On Windows what is open, by whomever, is not removed.
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()


def rename(path: Path, new_path: Path) -> None:
    """Give a file or folder another name; a file of that name is replaced.

    Windows refuses while any program has one of them open.
    """
    patiently(lambda: path.replace(new_path))


def patiently(work: Callable[[], T]) -> T:
    """Do what is refused where a file is in use; try again for a moment.

    Raises:
        PermissionError: It is refused for good.
    """
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except PermissionError:
            if time.monotonic() > give_up_s:
                raise
        time.sleep(TRY_EVERY_S)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except OSError as error:
        return error.errno not in HELD
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, PermissionError):  # On Windows: it is being removed.
        return False
