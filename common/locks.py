"""One writer of a folder at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import InputError
from simulator.disk import lock, unlock

LOCK_NAME = ".lock"


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
        unlock(descriptor, path)
        with suppress(OSError):
            folder.rmdir()


def _lock(folder: Path, path: Path) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = lock(path)
        except FileNotFoundError:
            continue  # Another has just left, and removed the folder.
        if descriptor is not None:
            return descriptor
        holder = ""
        with suppress(OSError):
            holder = path.read_bytes()[:200].decode(errors="replace")
        raise InputError(
            f"{folder}: {holder or 'another process'} is writing it; wait for its "
            "end, or stop it"
        )
