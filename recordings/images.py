"""Images of a recording: where they are, what one look at each finds, its frame.

What is found is remembered in a cache folder (BC_CACHE_DIR, else the system's usual
place) for as long as a file stays the same. The folder holds nothing of the user's and
is safe to delete at any time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from common.car import CAMERAS, FRAME_SHAPE
from common.errors import InputError

DECODING_THREADS = 4


def read_frame(path: str | Path) -> np.ndarray:
    """Return a frame as uint8 RGB (160, 320, 3).

    Raises:
        InputError: The file is missing, is no picture, or has another size.
    """
    # Not cv2.imread, which cannot open every name that the system allows.
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    frame = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if frame is None:
        raise InputError(f"{path}: not a picture that can be read")
    if frame.shape != FRAME_SHAPE:
        raise InputError(
            f"{path}: {frame.shape[1]}x{frame.shape[0]} pixels, expected "
            f"{FRAME_SHAPE[1]}x{FRAME_SHAPE[0]}"
        )
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


# --- Where the images are -------------------------------------------------------------


def locate_images(
    samples: pd.DataFrame, folder: Path, check_images: bool
) -> dict[str, list[str]]:
    """Put absolute paths into the camera columns, and faults into columns beside them.

    Args:
        samples: Rows of a log, with file names in the camera columns; changed in place.
        folder: The recording's folder.
        check_images: Whether to look into every image, or only whether it is there.

    Returns:
        For each camera, the digest of each row's image, "" where it is not known.
    """
    files = _image_files(folder)
    facts: dict[str, ImageFact] = {}
    for camera in CAMERAS:
        samples[camera] = [
            files.get(name.lower(), str(folder / "IMG" / name)) if name else ""
            for name in samples[camera]
        ]
    if check_images:
        there = set(files.values())
        facts = image_facts(
            [p for camera in CAMERAS for p in samples[camera] if p in there]
        )
    digests = {}
    for camera in CAMERAS:
        known = [facts.get(path) for path in samples[camera]]
        samples[f"{camera}_fault"] = [
            _fault(path, fact, check_images)
            for path, fact in zip(samples[camera], known, strict=True)
        ]
        digests[camera] = [fact.digest if fact else "" for fact in known]
    return digests


def _fault(path: str, fact: ImageFact | None, check_images: bool) -> str:
    if not path:
        return ""
    if fact:
        return fact.fault
    return "missing-image" if check_images or not Path(path).exists() else ""


def _image_files(folder: Path) -> dict[str, str]:
    """Return the images of a recording by lower-case file name; IMG/ comes first."""
    inside = [p for p in sorted(folder.iterdir()) if p.is_dir()]
    inside.sort(key=lambda p: p.name.upper() != "IMG")
    files: dict[str, str] = {}
    for place in [*inside, folder]:
        # A folder beside the log that may not be read holds none of its images.
        with suppress(PermissionError), os.scandir(place) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("._"):
                    files.setdefault(entry.name.lower(), entry.path)
    return files


# --- What is known of the files -------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder of the caches: BC_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("BC_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "behavioural-cloning"


@dataclass(frozen=True)
class ImageFact:
    """What one look at an image file found."""

    digest: str
    """Hexadecimal, of the file's content."""
    fault: str
    """Why the image cannot be used; "" for a good frame."""


def image_facts(paths: Sequence[str]) -> dict[str, ImageFact]:
    """Look at images that exist, once for as long as each file stays the same."""
    stats = {path: Path(path).stat() for path in dict.fromkeys(paths)}
    index_path = make_cache_folder(cache_folder()) / "images.sqlite"
    try:
        return _facts_of(stats, index_path)
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{index_path}: {error}; let BC_CACHE_DIR name a folder to write to"
        ) from error
    except sqlite3.DatabaseError:
        # It is only a memory: a damaged one is forgotten.
        index_path.unlink(missing_ok=True)
        return _facts_of(stats, index_path)


def make_cache_folder(folder: Path) -> Path:
    """Make a folder of the cache.

    Raises:
        InputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made: {error.strerror}; let BC_CACHE_DIR name a "
            "folder to write to"
        ) from error
    return folder


def _facts_of(
    stats: dict[str, os.stat_result], index_path: Path
) -> dict[str, ImageFact]:
    with closing(sqlite3.connect(index_path, timeout=60)) as index:
        # Paths are bytes: on Linux they need not be text.
        index.execute(
            "CREATE TABLE IF NOT EXISTS image_file (path BLOB PRIMARY KEY,"
            " size INTEGER, mtime_ns INTEGER, digest TEXT, fault TEXT)"
        )
        known = _known_facts(index, stats)
        missing = [path for path in stats if path not in known]
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            found = dict(zip(missing, pool.map(_look, missing), strict=True))
        rows = [
            (os.fsencode(p), stats[p].st_size, stats[p].st_mtime_ns, *astuple(fact))
            for p, fact in found.items()
        ]
        index.executemany("REPLACE INTO image_file VALUES (?, ?, ?, ?, ?)", rows)
        index.commit()
    return known | found


def _known_facts(
    index: sqlite3.Connection, stats: dict[str, os.stat_result]
) -> dict[str, ImageFact]:
    known = {}
    for path, stat in stats.items():
        row = index.execute(
            "SELECT size, mtime_ns, digest, fault FROM image_file WHERE path = ?",
            (os.fsencode(path),),
        ).fetchone()
        if row and row[:2] == (stat.st_size, stat.st_mtime_ns):
            known[path] = ImageFact(*row[2:])
    return known


def _look(path: str) -> ImageFact:
    try:
        content = Path(path).read_bytes()
    except OSError:
        return ImageFact("", "unreadable-image")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return ImageFact(digest, _fault_of(content))


def _fault_of(content: bytes) -> str:
    if not content:
        return "empty-image"
    if content.startswith(b"version https://git-lfs"):
        return "lfs-pointer-image"
    # OpenCV reads a JPEG that is cut in half without a word: look for its end marker,
    # which padding may follow.
    if content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content[-64:]:
        return "truncated-image"
    # Decoding at an eighth of the size finds what is broken, at a fraction of the cost.
    values = np.frombuffer(content, np.uint8)
    small = cv2.imdecode(values, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if small is None:
        return "unreadable-image"
    if small.shape != (FRAME_SHAPE[0] // 8, FRAME_SHAPE[1] // 8):
        return "wrong-size-image"
    return ""
