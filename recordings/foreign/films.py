"""The frames of a video, decoded by ffmpeg in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.errors import InputError
from recordings.decoding import MOST_PIXELS

JPEG_QUALITY = 95


def decoded(video: Path) -> Iterator[bytes]:
    """Yield every frame of a video, as JPEG.

    Raises:
        InputError: It is missing, or no video.
    """
    # Not above: the other formats need none of it.
    import imageio_ffmpeg

    if not video.is_file():
        raise InputError(f"{video}: no such file, expected the video of the data set")
    # As many frames as there are: none is made up to keep a rate.
    how = ["-fps_mode", "passthrough"]
    reader = imageio_ffmpeg.read_frames(str(video), "rgb24", output_params=how)
    try:
        width, height = next(reader)["size"]
        if not 0 < width * height <= MOST_PIXELS:
            raise InputError(f"{video}: frames of {width}x{height} pixels")
        for content in reader:
            picture = np.frombuffer(content, np.uint8).reshape(height, width, 3)
            yield as_jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except InputError:
        raise
    # What it raises where ffmpeg finds no video is up to the file.
    except (OSError, RuntimeError, LookupError, ValueError, StopIteration) as error:
        first = str(error).strip().partition("\n")[0][:100]
        raise InputError(f"{video}: not a video that ffmpeg reads ({first})") from None
    finally:
        reader.close()


def as_jpeg(picture: np.ndarray) -> bytes:
    """Encode a picture, uint8 BGR (h, w, 3)."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return bytes(cv2.imencode(".jpg", picture, quality)[1])
