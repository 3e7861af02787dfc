"""Files and folders that appear under their names whole, or not at all.

Each is written under another name, brought to the disk, and renamed: whoever reads it,
at any moment, finds the old one or the new one. Killed in between, a writer leaves a
`.partial.NAME` behind, which the next one of that name replaces.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
