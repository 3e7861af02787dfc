"""Files and folders that appear under their names whole, or not at all.

Each is written under another name, brought to the disk, and renamed: whoever reads it,
at any moment, finds the old one or the new one. Killed in between, a writer leaves a
`.partial.NAME` and its lock behind, which the next one of that name replaces. The lock
ends with its writer, so two of them never write into one another's.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from simulator.drafts import PARTIAL, Draft, lock_path_of

if TYPE_CHECKING:
    import numpy as np

# So long a file's writer waits for another of the same name: files take moments.
WAIT_S = 30.0
# Opened so, a pipe without a writer does not keep its reader waiting for one.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Of a run's config.json, which has some 10 kB.
MOST_CONFIG_BYTES = 10_000_000


@contextmanager
def whole_file(path: Path, is_new: bool = False) -> Iterator[Path]:
    """Give a path to write to; what is there at the end of the block gets its name.

    Args:
        path: The file's name. What is given to write to has the same ending.
        is_new: Whether a file that has the name by then is kept, and an error.

    Yields:
        The path to write to. Nothing is left of it if the block raises.

    Raises:
        InputError: Another process is still writing a file of that name.
        OSError: It cannot be written; the error names the file.
    """
    in_use = f"{path}: another process is writing it; wait for its end"
    with _errors_naming(path):
        draft = _draft(path, False, in_use)
        try:
            yield draft.path
            with draft.path.open("rb+") as file:
                # Without this, a power cut after the rename can leave an empty file.
                os.fsync(file.fileno())
            draft.finish(is_new)
        except BaseException:
            draft.discard()
            raise


def _draft(path: Path, is_folder: bool, in_use: str) -> Draft:
    """Begin what is to have a name; its writers take turns where they take moments."""
    try:
        return Draft(path, is_folder, 0.0 if is_folder else WAIT_S)
    except FileExistsError as error:
        if error.errno is not None:
            raise
        raise InputError(in_use) from None


@contextmanager
def _errors_naming(path: Path) -> Iterator[None]:
    """Let errors of the block name the file or folder, not its partial one."""
    try:
        yield
    except OSError as error:
        # What fails within a library, or in the middle of a file, has no name.
        if error.filename is None or PARTIAL in os.fsdecode(error.filename):
            error.filename = str(path)
        raise


def write_bytes(path: Path, content: bytes, is_new: bool = False) -> None:
    """Write a file whole or not at all."""
    with whole_file(path, is_new) as partial_path:
        partial_path.write_bytes(content)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document whole or not at all."""
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write uint8 RGB (height, width, 3) as a new file, whole or not at all.

    OpenCV's own writing does not say that the disk is full.
    """
    import cv2

    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    is_done, encoded = cv2.imencode(path.suffix, bgr)
    assert is_done, "OpenCV encodes every uint8 picture"
    write_bytes(path, encoded.tobytes(), is_new=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill; it gets its name at the end of the block.

    Args:
        folder: The folder's name; its parents are made.

    Yields:
        The folder to fill. Nothing is left of it if the block raises.

    Raises:
        InputError: Another process is making a folder of that name.
        OSError: The folder cannot be made, or there is one of its name by then.
    """
    in_use = f"{folder}: another process is making it; give another name"
    with _errors_naming(folder):
        if folder.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(folder, True, in_use)
        try:
            yield draft.path
            draft.finish()
        except BaseException:
            draft.discard()
            raise


def check_writable(path: Path, flag: str) -> None:
    """See that a file or folder can be made where it is to be, before any work is done.

    Args:
        path: What is to be made; its parents need not be there.
        flag: The option that names another place.

    Raises:
        InputError: There is a file in its way, the name is too long, or the folder
            cannot be written to.
    """
    try:
        with suppress(FileNotFoundError):
            # Is the name short enough also for what it is first written as?
            lock_path_of(path).lstat()
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
        # To ask for the permission does not tell of disks that are read only or full.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror}; give another {flag}"
        ) from error


def check_space(needed: Mapping[Path, int]) -> None:
    """See that there is room for what is to be written, before any work is done.

    Args:
        needed: Bytes that go into each folder, which need not be there yet.

    Raises:
        InputError: A disk has too little room for what goes onto it.
    """
    of_disks: dict[int, tuple[Path, int]] = {}
    for path, num_bytes in needed.items():
        folder = path.absolute()
        while not folder.exists():
            folder = folder.parent
        first, before = of_disks.get(folder.stat().st_dev, (folder, 0))
        of_disks[folder.stat().st_dev] = first, before + num_bytes
    for folder, num_bytes in of_disks.values():
        free = shutil.disk_usage(folder).free
        if free < num_bytes:
            raise InputError(
                f"{folder}: {free / 1e6:,.0f} MB free on its disk, expected "
                f"{num_bytes / 1e6:,.0f} MB; make space there"
            )


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file, or of what a link to one leads to.

    A pipe or a device may keep its reader waiting, or have no end; it is not read.

    Args:
        most_bytes: A longer file is refused before any of it is read.

    Raises:
        InputError: It is no regular file, is too long, or cannot be read.
    """

    def without_waiting(name: str, _: int) -> int:
        return os.open(name, READ_FLAGS)

    try:
        with open(path, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(
                    f"{path}: no regular file, expected one; put one there"
                )
            # A file that is being written can be longer by now.
            num_bytes = status.st_size
            content = file.read(num_bytes) if num_bytes <= most_bytes else b""
    except OSError as error:
        if path.is_dir():  # To open one says something else on each system.
            raise InputError(f"{path}: a folder, expected a regular file") from None
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if num_bytes > most_bytes:
        raise InputError(
            f"{path}: {num_bytes:,} bytes, expected at most {most_bytes:,}"
        )
    return content
