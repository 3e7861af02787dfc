"""What is being written, until it is whole: a file or folder hidden beside its place.

It is called `.partial.NAME`, and its writer holds a lock beside it while it lives: a
second writer of the name is refused, and what a writer that was killed has left is
replaced. The lock is a file of its own, since Windows can neither lock a folder nor
rename what is open.
"""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.disk import lock, rename, unlock

PARTIAL = ".partial."
# Between two looks whether another writer has ended.
LOOK_EVERY_S = 0.02


class Draft:
    """A file or folder that is being written.

    Args:
        place: Its name when it is whole, in a folder that is there.
        is_folder: What it is.
        wait_s: How long another writer of the name is waited for.

    Raises:
        FileExistsError: If another process is writing it.
    """

    def __init__(self, place: Path, is_folder: bool, wait_s: float = 0.0) -> None:
        self.place, self._is_folder = place, is_folder
        self.path = place.with_name(f"{PARTIAL}{place.name}")
        """Where to write until it is whole."""
        self._lock_path = lock_path_of(place)
        self._lock = self._wait_for_lock(wait_s)
        try:
            self._make_empty()
        except BaseException:
            self._release()
            raise

    def _wait_for_lock(self, wait_s: float) -> int | None:
        give_up_s = time.monotonic() + wait_s
        while (descriptor := lock(self._lock_path)) is None:
            if time.monotonic() >= give_up_s:
                raise FileExistsError(
                    f"{self.place} is being written by another process; give another "
                    "name"
                )
            time.sleep(LOOK_EVERY_S)
        return descriptor

    def _make_empty(self) -> None:
        if not self._is_folder:
            self.path.write_bytes(b"")
            return
        self.path.mkdir(exist_ok=True)
        for left in self.path.iterdir():  # By a writer that was killed.
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _release(self) -> None:
        if self._lock is not None:
            unlock(self._lock, self._lock_path)
            self._lock = None

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Let errors of the block name what is written: a full disk does not."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.place)
            raise

    def finish(self, is_new: bool = False) -> None:
        """Give it its name; a folder of that name is never replaced.

        Args:
            is_new: Whether a file of that name is not replaced either.

        Raises:
            FileExistsError: If something has that name by now; nothing is left of it.
        """
        if self._is_folder and self.place.exists():
            self.discard()
            raise FileExistsError(f"{self.place} appeared during the recording")
        if is_new:
            self._give_new_name()
        else:
            rename(self.path, self.place)
        self._release()

    def _give_new_name(self) -> None:
        try:
            os.link(self.path, self.place)
        except FileExistsError:
            raise
        except OSError:  # The file system has no links.
            if self.place.exists():
                text = os.strerror(errno.EEXIST)
                raise FileExistsError(errno.EEXIST, text, str(self.place)) from None
            rename(self.path, self.place)
        else:
            self.path.unlink()

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._is_folder:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._release()


def lock_path_of(place: Path) -> Path:
    """Return the lock of what is written to have this name."""
    return place.with_name(f"{PARTIAL}{place.name}.lock")
