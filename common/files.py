"""Files and folders that appear under their names whole, or not at all.

Each is written under another name, brought to the disk, and renamed: whoever reads it,
at any moment, finds the old one or the new one. Killed in between, a writer leaves a
`.partial.NAME` behind, which the next one of that name replaces. It is locked while its
writer lives, so two of them never write into one another's.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.locks import is_at, try_lock

if TYPE_CHECKING:
    import numpy as np

PARTIAL = ".partial."
# So long a file's writer waits for another of the same name: files take moments.
WAIT_S = 30.0
# On Windows no folder can be locked: one that is older belongs to a writer that died.
LEFTOVER_AGE_S = 24 * 3600.0
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
    partial_path = path.with_name(PARTIAL + path.name)
    with _errors_naming(path):
        descriptor = _open_alone(partial_path, path)
        try:
            yield partial_path
            with partial_path.open("rb+") as file:
                # Without this, a power cut after the rename can leave an empty file.
                os.fsync(file.fileno())
            if sys.platform == "win32":  # What is open cannot be renamed there.
                os.close(descriptor)
            _place(partial_path, path, is_new)
        except BaseException:
            if sys.platform == "win32":
                with suppress(OSError):
                    os.close(descriptor)
            partial_path.unlink(missing_ok=True)
            raise
        finally:
            if sys.platform != "win32":
                os.close(descriptor)


def _open_alone(partial_path: Path, path: Path) -> int:
    """Open a file for this writer alone, empty; wait for others of the same name."""
    give_up_s = time.monotonic() + WAIT_S
    while True:
        descriptor = os.open(partial_path, os.O_RDWR | os.O_CREAT, 0o666)
        # Another may have renamed it between the two.
        if try_lock(descriptor) and is_at(descriptor, partial_path):
            os.truncate(descriptor, 0)
            return descriptor
        os.close(descriptor)
        if time.monotonic() > give_up_s:
            raise InputError(f"{path}: another process is writing it; wait for its end")
        time.sleep(0.02)


def _place(partial_path: Path, path: Path, is_new: bool) -> None:
    """Give a file its name."""
    if not is_new:
        partial_path.replace(path)
        return
    try:
        os.link(partial_path, path)
    except FileExistsError:
        raise
    except OSError:  # The file system has no links.
        if path.exists():
            raise FileExistsError(
                errno.EEXIST, os.strerror(errno.EEXIST), str(path)
            ) from None
        partial_path.replace(path)
    else:
        partial_path.unlink()


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
    partial_folder = folder.with_name(PARTIAL + folder.name)
    with _errors_naming(folder):
        if folder.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        descriptor = _make_alone(partial_folder, folder)
        try:
            yield partial_folder
            partial_folder.rename(folder)
        except BaseException:
            shutil.rmtree(partial_folder, ignore_errors=True)
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _make_alone(partial_folder: Path, folder: Path) -> int | None:
    """Make an empty folder for this writer alone; return what to close at its end."""
    in_use = InputError(f"{folder}: another process is making it; give another name")
    if sys.platform == "win32":
        with suppress(FileNotFoundError):
            if time.time() - partial_folder.stat().st_mtime < LEFTOVER_AGE_S:
                raise in_use
        shutil.rmtree(partial_folder, ignore_errors=True)
        partial_folder.mkdir(parents=True)
        return None
    while True:
        partial_folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(partial_folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        if not try_lock(descriptor):
            os.close(descriptor)
            raise in_use
        if is_at(descriptor, partial_folder):
            break
        os.close(descriptor)
    for left in partial_folder.iterdir():  # By a writer that was killed.
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return descriptor


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
            path.with_name(PARTIAL + path.name).lstat()
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


def free_name(folder: Path, stem: str) -> str:
    """Return a name that nothing in a folder has yet: the stem, or with a number."""
    name, number = stem, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


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
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, expected a regular file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if num_bytes > most_bytes:
        raise InputError(
            f"{path}: {num_bytes:,} bytes, expected at most {most_bytes:,}"
        )
    return content
