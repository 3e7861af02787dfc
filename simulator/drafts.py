"""What is being written, until it is whole: a file or folder hidden beside its place.

It is called `.partial.NAME`, and locked while its writer lives: a second writer of the
name is refused, and what a writer that was killed has left is replaced.
"""

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# The file system knows no locks: nobody is kept out.
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class Draft:
    """A file or folder that is being written.

    Args:
        place: Its name when it is whole; the folders above are made.
        is_folder: What it is.

    Raises:
        FileExistsError: If another process is writing it.
    """

    def __init__(self, place: Path, is_folder: bool) -> None:
        self.place, self._is_folder = place, is_folder
        self.path = place.with_name(f".partial.{place.name}")
        """Where to write until it is whole."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = -1
        while not self._take():
            pass
        for left in self.path.iterdir() if is_folder else ():
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _take(self) -> bool:
        """Make and lock it; return False if it went away in between."""
        if self._is_folder:
            self.path.mkdir(exist_ok=True)
        else:
            self.path.touch()
        if sys.platform == "win32":  # Folders have no locks there.
            return True
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there, mine = self.path.stat(), os.fstat(self._descriptor)
        except FileNotFoundError:
            self._release()
            return False
        except OSError as error:
            if error.errno in NO_LOCKS:
                return True
            self._release()
            raise FileExistsError(
                f"{self.place} is being written by another process; give another name"
            ) from error
        if not os.path.samestat(there, mine):
            self._release()
            return False
        return True

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Let errors of the block name what is written: a full disk does not."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.place)
            raise

    def finish(self) -> None:
        """Give it its name; a file of that name is replaced, a folder is not.

        Raises:
            FileExistsError: If a folder of that name has appeared meanwhile.
        """
        if self._is_folder and self.place.exists():
            self.discard()
            raise FileExistsError(f"{self.place} appeared during the recording")
        self.path.replace(self.place)
        self._release()

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._is_folder:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._release()
