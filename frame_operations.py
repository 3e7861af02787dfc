"""What can be done to a frame: geometry, light on the scene, faults of a camera.

Pure functions of a uint8 frame of any size, and of the steering where it changes that;
lengths are fractions of the frame's width and height. Shape and type stay, and zero
strength changes nothing. `augment.py` draws what a frame undergoes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Share of luminance of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)
# The bank of noise holds normal values times this, as 16-bit integers.
NOISE_SCALE = 1024
# A narrower Gaussian gives a neighbour less than half a grey level of 255.
INVISIBLE_BLUR_PX = 0.28
# CLAHE counts its histograms in this many tiles across and down.
CLAHE_TILES = (8, 8)


def flip(frame: np.ndarray, steering: float) -> tuple[np.ndarray, float]:
    """Mirror left and right; the steering changes its sign."""
    import cv2

    return cv2.flip(frame, 1), -steering


def shift(
    frame: np.ndarray,
    steering: float,
    right: float,
    down: float,
    steering_per_width: float,
) -> tuple[np.ndarray, float]:
    """Move the picture by whole pixels, as if the car stood beside or pitched.

    Args:
        frame: uint8 (h, w, 3).
        steering: [-1, 1].
        right: fraction of the width that the picture moves to the right; the road then
            lies further right, as seen from a car further left.
        down: fraction of the height that the picture moves down; the steering stays.
        steering_per_width: steering added for a move by one width. The usual 0.002 per
            pixel of a 320-pixel frame is 0.64.

    Returns:
        The moved frame, its border repeated, and the steering clipped to [-1, 1].
    """
    import cv2
    import numpy as np

    steering = min(1.0, max(-1.0, steering + right * steering_per_width))
    height, width = frame.shape[:2]
    # Parts of a pixel would cost ten times as much, and blur the frame besides.
    x, y = round(right * width), round(down * height)
    if not (x or y):
        return frame, steering
    x, y = np.clip((x, y), (1 - width, 1 - height), (width - 1, height - 1)).tolist()
    kept = frame[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    borders = (max(0, y), max(0, -y), max(0, x), max(0, -x))
    return cv2.copyMakeBorder(kept, *borders, cv2.BORDER_REPLICATE), steering


def side_camera_steering(
    steering: np.ndarray | float, camera: str, correction: float
) -> np.ndarray | float:
    """Return the steering to teach for a frame of the left or right camera.

    Args:
        steering: of the centre camera, [-1, 1].
        camera: "left", "center" or "right".
        correction: steering that brings the car back from where a side camera stands.

    Returns:
        Clipped to [-1, 1]; the left camera must steer further right.
    """
    import numpy as np

    sign = {"left": 1.0, "center": 0.0, "right": -1.0}[camera]
    return np.clip(steering + sign * correction, -1.0, 1.0)


def brightness(frame: np.ndarray, gain: float) -> np.ndarray:
    """Multiply every value by gain (0 black, 1 as it is), saturated at 255."""
    import cv2

    return cv2.convertScaleAbs(frame, alpha=gain) if gain != 1 else frame


def colour(
    frame: np.ndarray, saturation: float, red_gain: float, blue_gain: float
) -> np.ndarray:
    """Change saturation and white balance, as another version of the game or hour does.

    Args:
        frame: uint8 RGB (h, w, 3).
        saturation: 0 grey, 1 as it is.
        red_gain: factor of the red channel, 1 as it is.
        blue_gain: factor of the blue channel, 1 as it is.
    """
    import cv2
    import numpy as np

    if saturation == red_gain == blue_gain == 1:
        return frame
    mix = saturation * np.eye(3) + (1 - saturation) * np.array([LUMINANCE] * 3)
    gains = np.array([[red_gain], [1.0], [blue_gain]])
    return cv2.transform(frame, gains * mix)


def gamma(frame: np.ndarray, exponent: float) -> np.ndarray:
    """Raise values in [0, 1] to an exponent: below 1 lightens the dark parts."""
    import cv2

    return cv2.LUT(frame, _gamma_table(round(exponent, 2))) if exponent != 1 else frame


@lru_cache(maxsize=512)
def _gamma_table(exponent: float) -> np.ndarray:
    import numpy as np

    return np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)


def shadow(
    frame: np.ndarray, edges: tuple[float, float, float, float], light: float
) -> np.ndarray:
    """Lay a hard shadow across the frame from top to bottom.

    Args:
        frame: uint8 (h, w, 3).
        edges: where the shadow begins and ends at the top, and at the bottom, as
            fractions of the width.
        light: of the shaded part, 0 black, 1 as it is.
    """
    import cv2
    import numpy as np

    if light == 1:
        return frame
    height, width = frame.shape[:2]
    top_from, top_to, bottom_from, bottom_to = (round(edge * width) for edge in edges)
    corners = np.array(
        [[top_from, 0], [top_to, 0], [bottom_to, height], [bottom_from, height]],
        np.int32,  # the only integers that fillPoly is sure to take
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners], 255)
    shaded = frame.copy()
    cv2.copyTo(cv2.convertScaleAbs(frame, alpha=light), mask, shaded)
    return shaded


def gaussian_noise(frame: np.ndarray, std: float, offset: int) -> np.ndarray:
    """Add independent noise to every value.

    Args:
        frame: uint8 (h, w, 3).
        std: of the noise, in grey levels.
        offset: where in the bank of noise this frame's begins, 0 or more. Drawing a
            new value for each pixel costs more than all other operations together.
    """
    import cv2

    if std == 0:
        return frame
    bank = _noise_bank(frame.size)
    start = offset % (len(bank) - frame.size)
    noise = bank[start : start + frame.size].reshape(frame.shape)
    return cv2.addWeighted(frame, 1.0, noise, std / NOISE_SCALE, 0.0, dtype=cv2.CV_8U)


@lru_cache(maxsize=4)
def _noise_bank(frame_size: int) -> np.ndarray:
    import numpy as np

    # The same in every run; which part a frame gets is drawn. Sixteen frames long, so
    # that two frames share a stretch at the same pixels once in a million draws.
    normal = np.random.default_rng(0).standard_normal(16 * frame_size, np.float32)
    return np.rint(normal * NOISE_SCALE).astype(np.int16)


def blur(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian; sigma is a fraction of the frame's height."""
    import cv2

    sigma_px = sigma * frame.shape[0]
    if sigma_px < INVISIBLE_BLUR_PX:
        return frame
    # Up to here a second neighbour has less than a hundredth of the weight.
    size = 3 if sigma_px < 0.65 else 0
    return cv2.GaussianBlur(frame, (size, size), sigma_px)


def equalize(frame: np.ndarray) -> np.ndarray:
    """Spread the histogram of the luminance over the whole range."""
    import cv2

    return _on_luminance(frame, cv2.equalizeHist)


def clahe(frame: np.ndarray, clip_limit: float = 2.0) -> np.ndarray:
    """Equalize the luminance in tiles, with limited contrast (Zuiderveld 1994)."""
    import cv2

    return _on_luminance(frame, cv2.createCLAHE(clip_limit, CLAHE_TILES).apply)


def _on_luminance(
    frame: np.ndarray, operation: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    import cv2

    ycrcb = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
    ycrcb[:, :, 0] = operation(ycrcb[:, :, 0])
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def invert(frame: np.ndarray) -> np.ndarray:
    """Turn the frame into its negative."""
    import cv2

    return cv2.bitwise_not(frame)


def swap_channels(frame: np.ndarray) -> np.ndarray:
    """Swap red and blue."""
    import cv2

    return cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
