"""Locks that end with the process that holds them, however that ends."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import InputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = ".lock"
# What says that another has the lock; other errors: the file system knows no locks.
HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
# On Windows a locked byte cannot be read by others: one that no file is as long as.
LOCKED_BYTE = 2**40


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; return False if another has it.

    Where the file system knows no locks nobody is kept out.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in HELD
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder while the block runs.

    Who only reads is not kept out. A folder that is not there is made; if it is empty
    at the end, it is removed again.

    Raises:
        InputError: Another process has the folder; the message says which.
    """
    path = folder / LOCK_NAME
    descriptor = _lock(folder, path)
    with suppress(OSError):  # On a full disk the lock holds all the same.
        os.truncate(descriptor, 0)
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        os.write(descriptor, holder.encode())
    try:
        yield
    finally:
        if sys.platform == "win32":  # What is open cannot be removed there.
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
        else:
            # While it is held: who waits for it looks whether it is still there.
            path.unlink(missing_ok=True)
            os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()


def _lock(folder: Path, path: Path) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # Another has just left, and removed the folder.
        if not try_lock(descriptor):
            holder = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            raise InputError(
                f"{folder}: {holder or 'another process'} is writing it; wait for its "
                "end, or stop it"
            )
        if is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
