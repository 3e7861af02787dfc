"""The frames of a video, decoded by ffmpeg in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from common.errors import InputError
from recordings.decoding import MOST_PIXELS, decode

JPEG_QUALITY = 95
# Of a BMP: two letters, and how many bytes it has in all.
HEAD_BYTES = 6
# Of three colours, with what stands before the pixels.
MOST_BMP_BYTES = 4 * MOST_PIXELS + 2**16


def decoded(video: Path) -> Iterator[bytes]:
    """Yield every frame of an MP4 file, as JPEG.

    Raises:
        InputError: It is missing, or no such file.
    """
    # Not above: the other formats need none of it.
    import imageio_ffmpeg

    if not video.is_file():
        raise InputError(f"{video}: no such file, expected the video of the data set")
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"),
        # Read as MP4, whatever it claims to be: a list of others is none.
        *("-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{video}"),
        # As many frames as there are: none is made up to keep a rate.
        *("-map", "0:v:0", "-fps_mode", "passthrough"),
        *("-f", "image2pipe", "-c:v", "bmp", "-"),
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None, "it is a pipe"
        num = 0
        try:
            for content in _bitmaps(process.stdout, video):
                num += 1
                picture = decode(content, cv2.IMREAD_COLOR)
                if picture is None:
                    raise InputError(f"{video}: frame {num} cannot be read")
                yield as_jpeg(picture)
        finally:
            process.kill()
    if not num:
        raise InputError(f"{video}: not a video that ffmpeg reads, expected MP4")


def _bitmaps(stream: IO[bytes], video: Path) -> Iterator[bytes]:
    """Yield one BMP after the other."""
    while head := stream.read(HEAD_BYTES):
        num = int.from_bytes(head[2:], "little")
        if not (head.startswith(b"BM") and HEAD_BYTES < num <= MOST_BMP_BYTES):
            raise InputError(f"{video}: its frames are too large, or damaged")
        yield head + stream.read(num - len(head))


def as_jpeg(picture: np.ndarray) -> bytes:
    """Encode a picture, uint8 BGR (h, w, 3)."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", picture, quality)[1])
