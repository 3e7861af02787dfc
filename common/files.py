"""Files and folders that appear under their names whole, or not at all.

Each is written under another name, brought to the disk, and renamed: whoever reads it,
at any moment, finds the old one or the new one. Killed in between, a writer leaves a
`.partial.NAME` behind, which the next one of that name replaces.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import InputError

# Opened so, a pipe without a writer does not keep its reader waiting for one.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Of a run's config.json, which has some 10 kB.
MOST_CONFIG_BYTES = 10_000_000


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end of the block gets its name.

    Args:
        path: The file's name. What is given to write to has the same ending.

    Yields:
        The path to write to. Nothing is left of it if the block raises.
    """
    partial_path = path.with_name(f".partial.{path.name}")
    try:
        yield partial_path
        with partial_path.open("rb+") as file:
            # Without this, a power cut after the rename can leave an empty file.
            os.fsync(file.fileno())
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as partial_path:
        partial_path.write_bytes(content)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document whole or not at all."""
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill; it gets its name at the end of the block.

    Args:
        folder: The folder's name; its parents are made.

    Yields:
        The folder to fill. Nothing is left of it if the block raises.

    Raises:
        OSError: The folder cannot be made, or one of its name is not empty.
    """
    partial_folder = folder.with_name(f".partial.{folder.name}")
    # Of a writer that was killed.
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    try:
        yield partial_folder
        partial_folder.rename(folder)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


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
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if num_bytes > most_bytes:
        raise InputError(
            f"{path}: {num_bytes:,} bytes, expected at most {most_bytes:,}"
        )
    return content
