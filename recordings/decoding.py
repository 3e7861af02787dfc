"""Pictures of files and of the wire: looked at before they are decoded.

A small file can stand for gigabytes of pixels, so what a picture says of its size is
read first, and none of more than MOST_PIXELS is decoded at all.

Whatever size, ratio and depth it has, grey or in colour, clear or not: a picture
becomes a frame here, and nowhere else. It is scaled to the size of the simulator's
frames, all of it, by each side's own factor, so that nothing of the road is cut off.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from common.car import FRAME_SHAPE

# A frame without any compression takes 154 kB; a photograph some megabytes.
MOST_IMAGE_BYTES = 16 * 2**20
JPEG_START, JPEG_END, JPEG_SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
PNG_START = b"\x89PNG\r\n\x1a\n"
# A frame of a film in 4K has 8.3 million pixels.
MOST_PIXELS = 2**23
# Ratios that differ by less, as by a rounded side, are one.
SAME_RATIO = 0.01
# A smaller picture shows no road.
LEAST_SIDE = 16
# Some programs leave so many bytes behind the end of a JPEG.
MOST_PADDING = 64
# A progressive JPEG has some ten; each is decoded over the whole picture.
MOST_SCANS = 100
# Markers of a JPEG that begin a frame, with the picture's size; the others between are
# tables. And those that stand alone, without a length.
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LONE_MARKERS = frozenset([0x01, *range(0xD0, 0xD8)])
IN_WORDS = {
    "empty-image": "empty",
    "lfs-pointer-image": "a Git LFS pointer, not the picture itself; "
    "run `git lfs pull`",
    "truncated-image": "the picture is cut off",
    "damaged-image": "the picture is damaged",
    "unreadable-image": "not a picture that can be read, expected JPEG, PNG or BMP",
}


class ImageError(ValueError):
    """A picture cannot be used; the message says why, without its name."""


def decode_frame(content: bytes) -> np.ndarray:
    """Return the frame that a JPEG, PNG or BMP file holds, uint8 RGB (160, 320, 3).

    Raises:
        ImageError: It is no picture, is cut off, or is too small or too large for one.
    """
    if fault := fault_before_decoding(content):
        raise ImageError(in_words(fault, content))
    # What is stored counts, whichever way up a note beside it wants it shown. Grey
    # becomes colour, 16 bits become 8, and what says how clear it is goes.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = decode(content, flags)
    if picture is None or picture.size > 3 * MOST_PIXELS:
        raise ImageError(in_words("unreadable-image", content))
    return cv2.cvtColor(as_frame(picture), cv2.COLOR_BGR2RGB)


def as_frame(picture: np.ndarray) -> np.ndarray:
    """Scale a picture, uint8 (h, w, 3), to the size of a frame, (160, 320, 3)."""
    height, width, _ = FRAME_SHAPE
    if picture.shape == FRAME_SHAPE:
        return picture
    # The mean of what falls on a pixel, where several do.
    shrinks = picture.shape[0] >= height and picture.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=how)


def is_stock_camera(size: tuple[int, int]) -> bool:
    """Say whether width and height are those of the simulator's camera, however large.

    Its angle of view upwards is fixed, so another ratio shows another angle sideways;
    of another camera it is not known where it stands, or how far it sees.
    """
    height, width, _ = FRAME_SHAPE
    across, down = size[0] * height, size[1] * width
    return abs(across - down) <= SAME_RATIO * down


def decode(content: bytes, flags: int) -> np.ndarray | None:
    """Decode what fault_before_decoding lets pass; None where it cannot be."""
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None


def in_words(fault: str, content: bytes) -> str:
    """Say in words why a picture cannot be used."""
    if fault not in ("wrong-size-image", "other-camera-image"):
        return IN_WORDS[fault]
    width, height = size_of(content) or (0, 0)
    if fault == "other-camera-image":
        return f"{width}x{height} pixels, and most are of the simulator's camera"
    return (
        f"{width}x{height} pixels, expected {LEAST_SIDE}x{LEAST_SIDE} to "
        f"{MOST_PIXELS:,} pixels in all"
    )


def fault_before_decoding(content: bytes) -> str:
    """Return why a picture must not be decoded, "" if it may.

    It takes microseconds. What is behind the header can be damaged nevertheless.
    """
    if not content:
        return "empty-image"
    if content.startswith(b"version https://git-lfs"):
        return "lfs-pointer-image"
    is_jpeg = content.startswith(JPEG_START)
    # OpenCV reads a JPEG that is cut in half without a word, and fills it with grey.
    if is_jpeg and JPEG_END not in content[-MOST_PADDING:]:
        return "truncated-image"
    size = size_of(content)
    if not size or (is_jpeg and content.count(JPEG_SCAN) > MOST_SCANS):
        return "unreadable-image"
    width, height = size
    is_fit = min(size) >= LEAST_SIDE and width * height <= MOST_PIXELS
    return "" if is_fit else "wrong-size-image"


def size_of(content: bytes) -> tuple[int, int] | None:
    """Return the width and height that a JPEG, PNG or BMP says it has, in pixels."""
    if content.startswith(JPEG_START):
        return _jpeg_size(content)
    if content.startswith(PNG_START) and content[12:16] == b"IHDR":
        return _big(content[16:20]), _big(content[20:24])
    if content.startswith(b"BM") and len(content) >= 26:
        if int.from_bytes(content[14:18], "little") == 12:  # Of OS/2.
            sides = content[18:20], content[20:22]
            return _little(sides[0]), _little(sides[1])
        # Below 0, the rows stand from top to bottom.
        return abs(_little(content[18:22])), abs(_little(content[22:26]))
    return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Walk from marker to marker as libjpeg does, up to the one with the size."""
    place = len(JPEG_START)
    while (place := content.find(b"\xff", place)) >= 0:
        while content[place : place + 1] == b"\xff":
            place += 1
        marker = content[place] if place < len(content) else 0
        place += 1
        if marker in FRAME_MARKERS:
            height, width = (
                content[place + 3 : place + 5],
                content[place + 5 : place + 7],
            )
            return _big(width), _big(height)
        if marker in LONE_MARKERS or not marker:
            continue
        # Neither an end nor a scan comes before the size.
        if marker in (0xD8, 0xD9, 0xDA):
            return None
        place += max(2, _big(content[place : place + 2]))
    return None


def _big(digits: bytes) -> int:
    return int.from_bytes(digits, "big")


def _little(digits: bytes) -> int:
    return int.from_bytes(digits, "little", signed=True)


def png_fault(content: bytes) -> str:
    """Return what the checksums of a PNG say of it: "" if every part of it is whole."""
    place = len(PNG_START)
    while place < len(content):
        end = place + 12 + _big(content[place : place + 4])
        if end > len(content):
            return "truncated-image"
        if zlib.crc32(content[place + 4 : end - 4]) != _big(content[end - 4 : end]):
            return "damaged-image"
        if content[place + 4 : place + 8] == b"IEND":
            return ""
        place = end
    return "truncated-image"
