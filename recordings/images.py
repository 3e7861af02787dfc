"""Images of a recording: where they are, what one look at each finds, its frame.

What is found is remembered in a cache folder (BC_CACHE_DIR, else the system's usual
place) for as long as a file stays the same. The folder holds nothing of the user's and
is safe to delete at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pandas as pd

from common.bar import Bar
from common.car import CAMERAS
from common.errors import InputError
from common.files import read_regular
from common.stderr import without_lines
from recordings.decoding import (
    MOST_IMAGE_BYTES,
    PNG_START,
    ImageError,
    decode,
    decode_frame,
    fault_before_decoding,
    is_stock_camera,
    png_fault,
    size_of,
)
from recordings.origin import has_other_camera

log = logging.getLogger(__name__)

DECODING_THREADS = 4
# Pictures that are looked at together, and one by one where a decoder complains.
PICTURES_AT_A_TIME = 256
# What was found of so many, about a second's work, is not lost to who stops it then.
REMEMBERED_AT_A_TIME = 4096
# What libjpeg (jerror.h, its warnings), libpng and OpenCV write of a picture.
COMPLAINT = re.compile(
    rb"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS|"
    rb"Unknown Adobe color|Warning: unknown JFIF|libpng |"
    rb"\[ ?(?:WARN|ERROR):\d+@[^]]*\] global \S+ (?:imdecode_|readHeader|readData)|\s*$"
)
# All of the process writes to one stderr.
_one_at_a_time = threading.Lock()


def read_frame(path: str | Path) -> np.ndarray:
    """Return a frame as uint8 RGB (160, 320, 3), whatever the picture's own size.

    Raises:
        InputError: The file is missing or no regular one, is no picture, or is too
            small or too large for one.
    """
    # Not cv2.imread, which cannot open every name that the system allows.
    content = read_regular(Path(path), MOST_IMAGE_BYTES)
    try:
        return decode_frame(content)
    except ImageError as error:
        raise InputError(f"{path}: {error}") from None


def read_evenly(samples: pd.DataFrame, most: int) -> np.ndarray:
    """Read frames of all cameras, at most so many, evenly over samples.

    Args:
        samples: Usable ones, whose camera columns hold absolute paths, or "".

    Returns:
        uint8 RGB (n, 160, 320, 3).

    Raises:
        InputError: See read_frame.
    """
    paths = [path for camera in CAMERAS for path in samples[camera] if path]
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)
    with Bar("reading frames", len(chosen), "frames") as bar:
        return np.stack([read_frame(paths[i]) for i in bar.over(chosen)])


# --- Where the images are -------------------------------------------------------------


def locate_images(
    samples: pd.DataFrame, folder: Path, check_images: bool
) -> dict[str, list[str]]:
    """Put absolute paths into the camera columns, and faults into columns beside them.

    Two columns are added of the centre images: frame_size, such as "320x160", "" where
    it is not known; and is_stock_camera, whether its geometry is the simulator's.

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
            (files.get(name.lower()) or str(folder / "IMG" / name)) if name else ""
            for name in samples[camera]
        ]
    there = set(files.values())
    if check_images:
        facts = image_facts(
            [p for camera in CAMERAS for p in samples[camera] if p in there]
        )
    digests = {}
    for camera in CAMERAS:
        known = [facts.get(path) for path in samples[camera]]
        samples[f"{camera}_fault"] = [
            _fault(path, fact, path in there)
            for path, fact in zip(samples[camera], known, strict=True)
        ]
        digests[camera] = [fact.digest if fact else "" for fact in known]
        if camera == CAMERAS[0]:
            _tell_camera(samples, known, folder)
    return digests


def _tell_camera(
    samples: pd.DataFrame, known: Sequence[ImageFact | None], folder: Path
) -> None:
    """Add the columns of size and camera; where most are the simulator's, all must be.

    A few pictures of another size among them would cost the way back that is taught by
    moving the camera: they are left out.
    """
    sizes = [(fact.width, fact.height) if fact else (0, 0) for fact in known]
    is_stock = np.array([is_stock_camera(size) for size in sizes], bool)
    is_stock &= not has_other_camera(folder)
    if is_stock.sum() > len(is_stock) / 2:
        faults = samples[f"{CAMERAS[0]}_fault"].to_numpy(object)
        faults[~is_stock & (faults == "")] = "other-camera-image"
        samples[f"{CAMERAS[0]}_fault"] = faults
        is_stock[:] = True
    samples["frame_size"] = [f"{w}x{h}" if w else "" for w, h in sizes]
    samples["is_stock_camera"] = is_stock


def _fault(path: str, fact: ImageFact | None, is_there: bool) -> str:
    if not path:
        return ""
    if fact:
        return fact.fault
    return "" if is_there else "missing-image"


def _image_files(folder: Path) -> dict[str, str]:
    """Return the images of a recording by lower-case file name; IMG/ comes first."""
    inside = [p for p in sorted(folder.iterdir()) if p.is_dir()]
    inside.sort(key=lambda p: p.name.upper() != "IMG")
    files: dict[str, str] = {}
    for place in [*inside, folder]:
        # A folder beside the log that may not be read holds none of its images.
        with suppress(PermissionError), os.scandir(place) as entries:
            for entry in entries:
                if _is_file(entry) and not entry.name.startswith("._"):
                    files.setdefault(entry.name.lower(), entry.path)
    return files


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Say whether there is a regular file; a link that leads nowhere is none."""
    try:
        return entry.is_file()
    except OSError:  # Of links in a circle; of one to nothing it says so itself.
        return False


# --- What is known of the files -------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder of the caches: BC_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("BC_CACHE_DIR")
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_cache_path("behavioural-cloning", False, opinion=False)


@dataclass(frozen=True, slots=True)  # A recording of hours has hundreds of thousands.
class ImageFact:
    """What one look at an image file found."""

    digest: str
    """Hexadecimal, of the file's content."""
    fault: str
    """Why the image cannot be used; "" for a good frame."""
    width: int = 0
    """In pixels, as the file says it; 0 where it does not."""
    height: int = 0


def image_facts(paths: Sequence[str]) -> dict[str, ImageFact]:
    """Look at images that exist, once for as long as each file stays the same."""
    states = {path: _state_of(path) for path in dict.fromkeys(paths)}
    index_path = make_cache_folder(cache_folder()) / "images.sqlite"
    try:
        return _facts_of(states, index_path)
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{index_path}: {error}; let BC_CACHE_DIR name a folder to write to"
        ) from error
    except sqlite3.DatabaseError:
        # It is only a memory: a damaged one is forgotten.
        log.warning("%s: damaged; looking at the images anew", index_path)
        index_path.unlink(missing_ok=True)
        return _facts_of(states, index_path)


def _state_of(path: str) -> tuple[int, int]:
    """Return a file's size and when it was changed, in ns: the same, if it is."""
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns


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
    states: dict[str, tuple[int, int]], index_path: Path
) -> dict[str, ImageFact]:
    with closing(sqlite3.connect(index_path, timeout=60)) as index:
        # Paths are bytes: on Linux they need not be text. Former versions looked less
        # closely, or for less, and remembered it in other tables.
        index.execute(
            "CREATE TABLE IF NOT EXISTS picture_fact (path BLOB PRIMARY KEY,"
            " size INTEGER, mtime_ns INTEGER, digest TEXT, fault TEXT,"
            " width INTEGER, height INTEGER, crc INTEGER)"
        )
        known = _known_facts(index, states, index_path)
        new = [path for path in states if path not in known]
        marks = ", ".join("?" * 8)
        with Bar("checking images", len(new), "images") as bar:
            for start in range(0, len(new), REMEMBERED_AT_A_TIME):
                found = _look_at(new[start : start + REMEMBERED_AT_A_TIME], bar)
                rows = [_row_of(path, states[path], found[path]) for path in found]
                index.executemany(f"REPLACE INTO picture_fact VALUES ({marks})", rows)
                index.commit()
                known |= found
    return known


def _row_of(path: str, state: tuple[int, int], fact: ImageFact) -> tuple[Any, ...]:
    """Return what is remembered of a file, and a checksum of it."""
    row = (os.fsencode(path), *state, *astuple(fact))
    return *row, zlib.crc32(repr(row).encode())


def _known_facts(
    index: sqlite3.Connection, states: dict[str, tuple[int, int]], index_path: Path
) -> dict[str, ImageFact]:
    known, num_damaged = {}, 0
    for path, state in states.items():
        row = index.execute(
            "SELECT * FROM picture_fact WHERE path = ?", (os.fsencode(path),)
        ).fetchone()
        if row and row[1:3] == state:
            fact = ImageFact(*row[3:7])
            if row == _row_of(path, state, fact):
                known[path] = fact
            else:
                num_damaged += 1
    if num_damaged:
        log.warning(
            "%s: %d entries damaged; looking at their images anew",
            index_path,
            num_damaged,
        )
    return known


# --- One look -------------------------------------------------------------------------


def _look_at(paths: Sequence[str], bar: Bar) -> dict[str, ImageFact]:
    """Look at images, and listen to what the decoders complain of.

    libjpeg decodes on over damage and says so on the screen, without a name. What it
    writes is caught: where something was, each picture is looked at alone.
    """
    facts: dict[str, ImageFact] = {}
    with ThreadPoolExecutor(DECODING_THREADS) as pool, _one_at_a_time:
        for start in range(0, len(paths), PICTURES_AT_A_TIME):
            part = paths[start : start + PICTURES_AT_A_TIME]
            with without_lines(COMPLAINT) as written:
                found = list(pool.map(_look, part))
                if _size(written):
                    found = [_look_closely(path, written) for path in part]
            facts |= zip(part, found, strict=True)
            bar.add(len(part))
    return facts


def _look_closely(path: str, written: IO[bytes]) -> ImageFact:
    """Look at one image; what is written meanwhile is said of this one."""
    size = _size(written)
    fact = _look(path)
    is_damaged = not fact.fault and _size(written) > size
    return replace(fact, fault="damaged-image") if is_damaged else fact


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _look(path: str) -> ImageFact:
    try:
        content = read_regular(Path(path), MOST_IMAGE_BYTES)
    except InputError:
        return ImageFact("", "unreadable-image")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    width, height = size_of(content) or (0, 0)
    return ImageFact(digest, _fault_of(content), width, height)


def _fault_of(content: bytes) -> str:
    fault = fault_before_decoding(content)
    if not fault and content.startswith(PNG_START):
        fault = png_fault(content)
    if fault:
        return fault
    # Decoding at an eighth of the size finds what is broken, at a fraction of the cost.
    small = decode(content, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return "unreadable-image" if small is None else ""
