"""Layers that do what people did to a picture with OpenCV before their network saw it.

They belong to the model, as crop and resize do: training, driving, evaluation and what
is exported cannot see different pictures. They compute with additions, products and
comparisons of what every backend and both export formats know, and give the very
numbers of OpenCV 4, to 1 of 255 in hue.

OpenCV below 3.2 took red and blue the other way round from RGB to YUV, and from BGR to
YUV: COLOUR_SPACES calls that yuv-opencv31. Source: github.com/opencv/opencv, issue 4946
("YUV implemented incorrectly"), mended by pull request 7481 of October 2016.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# By name, the channels of what comes out.
COLOUR_SPACES = {"rgb": 3, "bgr": 3, "yuv": 3, "yuv-opencv31": 3, "hsv": 3, "gray": 1}
# What OpenCV's GaussianBlur takes for so many pixels and sigma 0 (getGaussianKernel).
BLUR_WEIGHTS = {
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    7: (0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125),
}
# OpenCV computes in whole numbers of 1 / 2**14 (imgproc/src/color.simd_helpers.hpp).
ONE = 2.0**14
RED_TO_Y, GREEN_TO_Y, BLUE_TO_Y = 4899.0, 9617.0, 1868.0
BLUE_TO_U, RED_TO_V = 8061.0, 14369.0


@keras.saving.register_keras_serializable(package="behavioural_cloning")
class Colour(keras.layers.Layer):
    """Turns RGB, 0 to 255, into another colour space of 0 to 255, as whole numbers.

    Args:
        to: A key of COLOUR_SPACES.

    Raises:
        ValueError: There is no such colour space.
    """

    def __init__(self, to: str, **about: Any) -> None:
        super().__init__(trainable=False, **_plain(about))
        if to not in COLOUR_SPACES:
            raise ValueError(f"colour is {to!r}, expected one of {COLOUR_SPACES}")
        self.to = to

    def call(self, pictures: Any) -> Any:
        """Return float32 (n, h, w, channels) of RGB (n, h, w, 3)."""
        pictures = ops.cast(pictures, "float32")
        red, green, blue = (pictures[..., i : i + 1] for i in range(3))
        if self.to == "rgb":
            return pictures
        if self.to == "bgr":
            return ops.concatenate([blue, green, red], axis=-1)
        if self.to == "yuv":
            return _yuv(red, green, blue)
        if self.to == "yuv-opencv31":
            return _yuv(blue, green, red)
        if self.to == "hsv":
            return _hsv(red, green, blue)
        return _luminance(red, green, blue)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*input_shape[:-1], COLOUR_SPACES[self.to])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "to": self.to}


@keras.saving.register_keras_serializable(package="behavioural_cloning")
class Blur(keras.layers.Layer):
    """Blurs as cv2.GaussianBlur does with a kernel of so many pixels and sigma 0.

    Args:
        size: A key of BLUR_WEIGHTS.

    Raises:
        ValueError: There is no such size.
    """

    def __init__(self, size: int, **about: Any) -> None:
        super().__init__(trainable=False, **_plain(about))
        if size not in BLUR_WEIGHTS:
            raise ValueError(f"blur is {size}, expected one of {(*BLUR_WEIGHTS,)}")
        self.size = size

    def call(self, pictures: Any) -> Any:
        """Return uint8 (n, h, w, c) of uint8 (n, h, w, c)."""
        height, width = pictures.shape[1:3]
        out = self.size // 2
        ends = ((0, 0), (out, out), (out, out), (0, 0))
        x = ops.pad(ops.cast(pictures, "float32"), ends, mode="reflect")
        weights = BLUR_WEIGHTS[self.size]
        x = sum(w * x[:, i : i + height] for i, w in enumerate(weights))
        x = sum(w * x[:, :, i : i + width] for i, w in enumerate(weights))
        return ops.cast(ops.floor(x + 0.5), "uint8")

    def compute_output_spec(self, pictures: Any) -> Any:
        return keras.KerasTensor(pictures.shape, "uint8")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


def _plain(about: dict[str, Any]) -> dict[str, Any]:
    """Return what of a layer's arguments these layers take: its name alone."""
    return {key: value for key, value in about.items() if key in ("name", "dtype")}


def _rounded(scaled: Any) -> Any:
    """Return whole numbers of 0 to 255 from whole numbers of 1 / 2**14."""
    return ops.minimum(ops.maximum(ops.floor(scaled / ONE + 0.5), 0.0), 255.0)


def _luminance(red: Any, green: Any, blue: Any) -> Any:
    return _rounded(RED_TO_Y * red + GREEN_TO_Y * green + BLUE_TO_Y * blue)


def _yuv(red: Any, green: Any, blue: Any) -> Any:
    y = _luminance(red, green, blue)
    u = _rounded((blue - y) * BLUE_TO_U + 128 * ONE)
    v = _rounded((red - y) * RED_TO_V + 128 * ONE)
    return ops.concatenate([y, u, v], axis=-1)


def _hsv(red: Any, green: Any, blue: Any) -> Any:
    """Return hue of 0 to 179, saturation and value of 0 to 255.

    Of whole numbers, 1 - min(1, a - b) says whether a, which is not below b, is b.
    """
    value = ops.maximum(ops.maximum(red, green), blue)
    range_ = value - ops.minimum(ops.minimum(red, green), blue)
    saturation = ops.floor(255.0 * range_ / ops.maximum(value, 1.0) + 0.5)
    is_red = 1.0 - ops.minimum(1.0, value - red)
    is_green = (1.0 - is_red) * (1.0 - ops.minimum(1.0, value - green))
    is_blue = 1.0 - is_red - is_green
    along = (
        is_red * (green - blue)
        + is_green * (blue - red + 2.0 * range_)
        + is_blue * (red - green + 4.0 * range_)
    )
    hue = ops.floor(30.0 * along / ops.maximum(range_, 1.0) + 0.5)
    hue = hue + 180.0 * ops.minimum(1.0, ops.maximum(0.0, -hue))
    return ops.concatenate([hue, saturation, value], axis=-1)
