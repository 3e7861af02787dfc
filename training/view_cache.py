"""Decoded views of frames, kept between runs in memory-mapped files.

They lie in the cache folder (recordings/images.py), are keyed by the content of the
images and by the layers that make the views, and are safe to delete at any time. Each
is checked when it is opened, and made anew where it is not as it was written. Two
runs may use them at once: a file appears under its name only when it is whole, and both
would write the same.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from common.bar import Bar
from common.car import FRAME_SHAPE
from common.errors import InputError
from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, VIEW_SHAPE
from recordings.images import (
    DECODING_THREADS,
    cache_folder,
    image_facts,
    make_cache_folder,
    read_frame,
)
from recordings.reproject import ViewGeometry
from simulator.disk import rename

# Views in one file of the cache: 80 MB, so that a killed build loses seconds only.
SHARD_SIZE = 2048
# What `gather` reads before it gives the pages back to the system.
MOST_RESIDENT_BYTES = 4 * 2**20
# Frames decoded and viewed at a time while a shard is built.
CHUNK_SIZE = 64
# A file still without its name after so long belongs to a build that was killed: a
# shard takes seconds.
LEFTOVER_AGE_S = 3600.0
# At the end of each file stands a CRC-32 of all before it.
CHECKSUM_BYTES = 4
# Read at a time to check it.
READ_BYTES = 2**20

# The view of a new network's (model.build_model).
VIEW_GEOMETRY = ViewGeometry(
    VIEW_SHAPE[0], VIEW_SHAPE[1], CROP_TOP_ROWS, CROP_BOTTOM_ROWS
)

log = logging.getLogger(__name__)
# What the system says of a disk, or of a share of it, that is full.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ViewCache:
    """Decoded frames as the network sees them, in memory-mapped files.

    Args:
        image_paths: Paths of the frames; one that occurs twice is kept once.
        view: Makes uint8 views (n, h, w, 3) from uint8 RGB frames (n, 160, 320, 3).
        view_key: Names the view; another key is another cache.
        geometry: How the view was cut out of the frame.
        cache_dir: Where the files lie; None for cache_folder().

    Raises:
        InputError: A frame cannot be read.
    """

    def __init__(
        self,
        image_paths: Iterable[str],
        view: Callable[[np.ndarray], np.ndarray],
        view_key: str,
        cache_dir: Path | None = None,
        geometry: ViewGeometry = VIEW_GEOMETRY,
    ) -> None:
        self.geometry = geometry
        """How the view was cut out of the frame."""
        paths = list(dict.fromkeys(image_paths))
        self.position = {path: i for i, path in enumerate(paths)}
        """Place of each path's view."""
        self._folder = make_cache_folder((cache_dir or cache_folder()) / "views")
        _remove_leftovers(self._folder)
        facts = image_facts(paths)
        shards = [paths[i : i + SHARD_SIZE] for i in range(0, len(paths), SHARD_SIZE)]
        names = [
            _shard_name(view_key, [facts[path].digest for path in shard])
            for shard in shards
        ]
        self._build_missing(shards, names, view)
        self._shards = [_Shard(self._folder / name) for name in names]
        self._bytes_read = 0
        self.view_shape = self._shards[0].views.shape[1:] if names else (0, 0, 3)
        """Height, width and channels of a view."""

    def __len__(self) -> int:
        return len(self.position)

    def gather(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copy views out of the cache.

        Args:
            rows: Places of views, int (n,), each a value of `position`.
            out: What to write into and return, uint8 (n, h, w, 3); None: a new one.
        """
        if out is None:
            out = np.empty((len(rows), *self.view_shape), np.uint8)
        for i, row in enumerate(rows):
            out[i] = self._shards[row // SHARD_SIZE].views[row % SHARD_SIZE]
        self._bytes_read += out.nbytes
        if self._bytes_read > MOST_RESIDENT_BYTES:
            # Not after each batch: giving pages back costs as much as copying them.
            self._bytes_read = 0
            for shard in self._shards:
                shard.release()
        return out

    def _build_missing(
        self, shards: list[list[str]], names: list[str], view: Callable
    ) -> None:
        with Bar("checking the cache of frames", len(names), "files") as bar:
            todo = [
                (shard, self._folder / name)
                for shard, name in bar.over(zip(shards, names, strict=True))
                if not _is_whole(self._folder / name, len(shard))
            ]
        total = sum(len(shard) for shard, _ in todo)
        with Bar("decoding frames once", total, "frames") as bar:
            for shard, path in todo:
                _build_shard(shard, path, view, bar.add, total)
                total -= len(shard)


def _remove_leftovers(folder: Path) -> None:
    """Remove what builds that were killed have left, but not what is being built."""
    for path in folder.glob("*.partial"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > LEFTOVER_AGE_S:
                path.unlink()


class _Shard:
    """One file of views, mapped into memory."""

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._map: mmap.mmap = mapped.base
        # A plain array on it, which is faster to take views from.
        self.views = mapped.view(np.ndarray)

    def release(self) -> None:
        """Take the pages read out of our resident memory.

        The system keeps them cached for as long as there is room, so reading them again
        costs no disk; without this, memory grows with the data.
        """
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows has it not.
            self._map.madvise(mmap.MADV_DONTNEED)


def _shard_name(view_key: str, digests: list[str]) -> str:
    key = "\n".join([view_key, *digests]).encode()
    return hashlib.blake2b(key, digest_size=16).hexdigest() + ".npy"


def _is_whole(path: Path, num_views: int) -> bool:
    """Say whether a shard is there and, to the bit, as it was written."""
    if not path.is_file():
        return False
    with suppress(OSError, EOFError, ValueError):
        # First: what NumPy raises on a damaged header is up to the damage.
        if _checksums_agree(path):
            views = np.load(path, mmap_mode="r", allow_pickle=False)
            if len(views) == num_views:
                return True
    log.warning("%s: not as it was written; decoding its frames anew", path)
    return False


def _checksums_agree(path: Path) -> bool:
    with path.open("rb") as file:
        found = _checksum(file, path.stat().st_size - CHECKSUM_BYTES)
        return file.read() == found


def _add_checksum(path: Path) -> None:
    """Add its checksum to a shard; NumPy reads no further than the views."""
    with path.open("rb+") as file:
        file.write(_checksum(file, path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _checksum(file: BinaryIO, num_bytes: int) -> bytes:
    """Read so many bytes of a file, and return a checksum of them.

    A CRC finds what disks and memory do, at the speed of reading; against somebody who
    wants to deceive it there is no key here that he could not read as well.
    """
    checksum = 0
    while num_bytes > 0 and (part := file.read(min(num_bytes, READ_BYTES))):
        checksum = zlib.crc32(part, checksum)
        num_bytes -= len(part)
    return checksum.to_bytes(CHECKSUM_BYTES, "big")


def _build_shard(
    paths: list[str],
    shard_path: Path,
    view: Callable[[np.ndarray], np.ndarray],
    report: Callable[[float], object],
    num_todo: int,
) -> None:
    """Decode the frames of a shard and write their views, whole or not at all.

    Raises:
        InputError: The disk is full; the message says what all num_todo frames need.
    """
    frames = np.zeros((CHUNK_SIZE, *FRAME_SHAPE), np.uint8)
    made = frames
    handle, partial_name = tempfile.mkstemp(".partial", dir=shard_path.parent)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            ThreadPoolExecutor(DECODING_THREADS) as pool,
        ):
            for start in range(0, len(paths), CHUNK_SIZE):
                chunk = paths[start : start + CHUNK_SIZE]
                for i, frame in enumerate(pool.map(read_frame, chunk)):
                    frames[i] = frame
                # Always a full chunk: another size would be compiled anew.
                made = view(frames)[: len(chunk)]
                # Not into a map of memory, which crashes where the disk is full.
                if not start:
                    _write_header(file, (len(paths), *made.shape[1:]))
                file.write(made.tobytes())
                report(len(chunk))
        _add_checksum(Path(partial_name))
        _place(Path(partial_name), shard_path, len(paths))
    except BaseException as error:
        Path(partial_name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise _no_space(shard_path.parent, made[0].nbytes * num_todo) from error
        raise


def _place(partial_path: Path, shard_path: Path, num_views: int) -> None:
    """Give a shard its name, unless another run has made, and uses, the same."""
    try:
        rename(partial_path, shard_path)
    except PermissionError:  # Windows replaces nothing that is mapped.
        if not _is_whole(shard_path, num_views):
            raise
        partial_path.unlink()


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    dtype = np.lib.format.dtype_to_descr(np.dtype(np.uint8))
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _no_space(folder: Path, needed_bytes: int) -> InputError:
    free_bytes = shutil.disk_usage(folder).free
    return InputError(
        f"{folder}: no space for the views of the frames, {needed_bytes / 1e6:,.0f} MB "
        f"are needed, {free_bytes / 1e6:,.0f} MB are free; make space there, or let "
        "BC_CACHE_DIR name a folder on another disk"
    )
