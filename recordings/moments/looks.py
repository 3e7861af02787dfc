"""What the pictures of a recording are like, in a few numbers for each row.

From the small picture that a JPEG gives at half its size: how far what is far away has
moved since the row before (which is how far the car has turned), how well the two
pictures agree, how much has changed, and a thumbnail of a hundred colours. A row takes
half a millisecond and 350 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.files import read_regular
from recordings.decoding import MOST_IMAGE_BYTES, decode, fault_before_decoding

# Rows of the half-size picture around the horizon, which is at 30: what is there is far
# away, and moves as the car turns.
FAR_ROWS = slice(14, 40)
# Height and width of what changes are told by, without the bonnet, and of thumbnails.
SMALL, SMALL_ROWS = (16, 32), 13
THUMBNAIL, THUMBNAIL_ROWS = (8, 16), 7
# Of 32 columns, a picture is moved by so many at most before it is compared.
MOST_COLUMNS = 6
FULL_SIZE = 2
HALF_SIZE = (FRAME_SHAPE[0] // FULL_SIZE, FRAME_SHAPE[1] // FULL_SIZE, FRAME_SHAPE[2])
CHUNK_ROWS, THREADS = 256, 2


@dataclass(frozen=True, eq=False)
class Looks:
    """The pictures of the centre camera; one entry a row.

    Raises:
        ValueError: The lengths differ.
    """

    shift_px: np.ndarray
    """How far what is far away has moved to the right since the row before, in pixels
    of the frame, float32 (n,); NaN where one of the two pictures is not there."""
    match: np.ndarray
    """How well the two agree then, float32 (n,), 1 is best; NaN as above."""
    change: np.ndarray
    """By how many levels of 255 they differ then, float32 (n,); NaN as above."""
    thumbnails: np.ndarray
    """The colours of the picture, uint8 (n, 7, 16, 3); 0 where it is not there."""
    is_seen: np.ndarray
    """Whether the picture is there, bool (n,)."""

    def __post_init__(self) -> None:
        lengths = {len(array) for array in vars(self).values()}
        if len(lengths) != 1:
            raise ValueError(f"lengths differ: {sorted(lengths)}")


def read_looks(
    image_paths: Sequence[str], report: Callable[[int], object] = lambda _: None
) -> Looks:
    """Look at the pictures of a recording.

    Args:
        image_paths: The centre camera's image of each row; "" where there is none that
            can be used.
        report: Is told how many rows were looked at, again and again. What it raises
            ends the work.
    """
    count = len(image_paths)
    shift_px, match, change = (np.full(count, np.nan, np.float32) for _ in range(3))
    thumbnails = np.zeros((count, THUMBNAIL_ROWS, THUMBNAIL[1], 3), np.uint8)
    is_seen = np.zeros(count, bool)
    before: np.ndarray | None = None
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, count, CHUNK_ROWS):
            chunk = list(pool.map(_half_size, image_paths[start : start + CHUNK_ROWS]))
            pairs = zip([before, *chunk[:-1]], chunk, strict=True)
            found = pool.map(_compare, pairs)
            for row, (picture, differs) in enumerate(
                zip(chunk, found, strict=True), start=start
            ):
                shift_px[row], match[row], change[row] = differs
                if picture is not None:
                    is_seen[row] = True
                    thumbnails[row] = _shrunk(picture, THUMBNAIL)[:THUMBNAIL_ROWS]
            before = chunk[-1]
            report(start + len(chunk))
    return Looks(shift_px, match, change, thumbnails, is_seen)


def _half_size(path: str) -> np.ndarray | None:
    """Return a frame at half its size, uint8 BGR (80, 160, 3); None if it is none."""
    if not path:
        return None
    try:
        content = read_regular(Path(path), MOST_IMAGE_BYTES)
    except InputError:  # Gone, since the reader has seen it.
        return None
    if fault_before_decoding(content):
        return None
    flags = cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION
    picture = decode(content, flags)
    is_frame = picture is not None and picture.shape == HALF_SIZE
    return picture if is_frame else None


def _compare(
    pair: tuple[np.ndarray | None, np.ndarray | None],
) -> tuple[float, float, float]:
    """Return shift_px, match and change of two pictures."""
    before, now = pair
    if before is None or now is None:
        return np.nan, np.nan, np.nan
    both = before, now
    far, far_now = (each[FAR_ROWS].mean(axis=-1, dtype=np.float32) for each in both)
    # It fades out the sides, which are not in both.
    window = cv2.createHanningWindow((far.shape[1], far.shape[0]), cv2.CV_32F)
    (shift, _), match = cv2.phaseCorrelate(far, far_now, window)
    small = [_shrunk(each, SMALL)[:SMALL_ROWS].astype(np.int16) for each in both]
    columns = round(shift * SMALL[1] / before.shape[1])
    columns = max(-MOST_COLUMNS, min(MOST_COLUMNS, columns))
    one, other = small if columns >= 0 else small[::-1]
    width = SMALL[1] - abs(columns)
    differs = np.abs(one[:, :width] - other[:, abs(columns) :]).mean()
    return FULL_SIZE * shift, match, float(differs)


def _shrunk(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
