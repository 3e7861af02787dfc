"""A disk that is soon full."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """Put a small disk of its own into an empty folder; skip where nobody may.

    Args:
        size: How large, as `mount` takes it.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    may = sys.platform == "linux" and shutil.which("mount")
    if not (may and subprocess.run(command, capture_output=True).returncode == 0):
        pytest.skip("needs to mount a small disk: run as root, or unshare -Urm pytest")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0):
    """Fill a small disk but for so many bytes; return the file that takes the room."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    # A disk gives its room out in pages.
    with path.open("rb+") as file:
        file.truncate(max(0, path.stat().st_size - leave))
    return path
