"""What the network looks at: a heat map over the frame.

    look = make_saliency(load_model("models/both/model.json"))
    overlay(frame, look(frame))

VisualBackProp: the feature maps of the last convolution are averaged over channels,
scaled up to those of the layer below by a transposed convolution of ones, multiplied
with their average, and so on down to the view. It costs one forward pass and some
small sums, and shows what in the picture can have reached the steering.

Source: Bojarski et al. 2016, arXiv 1611.05418, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from common.car import FRAME_SHAPE
from common.errors import InputError

if TYPE_CHECKING:
    import keras

Saliency = Callable[[np.ndarray], np.ndarray]
# Share of the frame in the overlay where the heat map is at its hottest.
LEAST_FRAME_SHARE = 0.35
# Cover of a clear picture over what lies below, where the heat map is at its hottest.
MOST_COVER = 0.65
# Of all kernels; the project's own have 93, those of ResNet-50 some 500.
MOST_STEPS = 5_000


def can_look(config: dict[str, Any]) -> bool:
    """Say, without Keras, whether a model may have heat maps.

    Args:
        config: The content of its json file, which network.files.check_json returns.
    """
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    listed = layers if isinstance(layers, list) else []
    found = [each for each in listed if isinstance(each, dict)]
    names = [each.get("name") for each in found]
    has_convolution = any(each.get("class_name") == "Conv2D" for each in found)
    return has_convolution and "crop" in names and "view" in names


def make_saliency(model: keras.Model) -> Saliency:
    """Compile what makes heat maps of a model, and warm it up.

    Args:
        model: A model of this project: a chain of layers, `crop` and `view` among them.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to a float32 heat map (160, 320)
        in [0, 1]; 0 where the network does not see the frame.

    Raises:
        InputError: The model has no convolution, or no layer named `crop`, or its
            layers are not those of this project.
    """
    import keras  # Not above: a heat map is laid over a frame without it.

    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    names = {layer.name for layer in model.layers}
    if not convolutions or not {"crop", "view"} <= names:
        raise InputError(
            f"model {model.name!r} has no convolution, or no layers 'crop' and 'view'; "
            "expected a model of this project"
        )
    # Each number of a kernel is a step in Python.
    steps = sum(math.prod(layer.kernel_size) for layer in convolutions)
    if steps > MOST_STEPS:
        raise InputError(
            f"model {model.name!r} has kernels of {steps:,} numbers, expected at most "
            f"{MOST_STEPS:,} to draw heat maps by"
        )
    try:
        return _compile(model, convolutions)
    except Exception as error:  # What it raises is up to a stranger's layers.
        raise InputError(
            f"model {model.name!r} is not a chain of layers ({type(error).__name__}), "
            "expected a model of this project"
        ) from error


def _compile(model: keras.Model, convolutions: list[Any]) -> Saliency:
    import keras

    activations = keras.Model(model.input, _activations(model, convolutions))
    shapes = [(layer.kernel_size, layer.strides) for layer in convolutions]
    view_shape = model.get_layer("view").output.shape[1:3]
    (top, bottom), (left, right) = model.get_layer("crop").cropping
    height, width = FRAME_SHAPE[0] - top - bottom, FRAME_SHAPE[1] - left - right

    def look(frame: np.ndarray) -> np.ndarray:
        maps = activations.predict_on_batch(frame[None])
        # What an ELU lets through below 0 is no feature that was found.
        averages = [np.maximum(each[0], 0).mean(axis=-1) for each in maps]
        view_heat = visual_back_prop(averages, shapes, view_shape)
        heat = np.zeros(FRAME_SHAPE[:2], np.float32)
        heat[top : top + height, left : left + width] = cv2.resize(
            view_heat, (width, height), interpolation=cv2.INTER_LINEAR
        )
        return heat

    look(np.zeros(FRAME_SHAPE, np.uint8))
    return look


def _activations(model: keras.Model, convolutions: list[Any]) -> list[Any]:
    """Return what leaves each convolution's block, after its activation."""
    outputs = []
    for layer in convolutions:
        last = layer.output
        for after in model.layers[model.layers.index(layer) + 1 :]:
            if after.output.shape != layer.output.shape:
                break
            last = after.output
        outputs.append(last)
    return outputs


def visual_back_prop(
    averages: list[np.ndarray],
    shapes: list[tuple[tuple[int, int], tuple[int, int]]],
    view_shape: tuple[int, int],
) -> np.ndarray:
    """Bring the averaged feature maps down to the view.

    Args:
        averages: For each convolution, from the first on, float32 (h, w), 0 or more.
        shapes: The kernel size and strides of each convolution.
        view_shape: The rows and columns of the view.

    Returns:
        float32 of view_shape, in [0, 1].
    """
    *below, heat = [np.ones(view_shape, np.float32), *averages]
    for average, (kernel, strides) in zip(below[::-1], shapes[::-1], strict=True):
        heat = _scaled_up(heat, kernel, strides, average.shape) * average
        # Products of several layers would run out of float32 otherwise.
        heat /= max(float(heat.max()), 1e-12)
    return heat


def _scaled_up(
    heat: np.ndarray,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    shape: tuple[int, ...],
) -> np.ndarray:
    """Return the transposed convolution of ones, float32 of the given shape."""
    (rows, columns), (down, right) = heat.shape, strides
    least = ((rows - 1) * down + kernel[0], (columns - 1) * right + kernel[1])
    high = np.zeros(np.maximum(shape, least), np.float32)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            high[i : i + rows * down : down, j : j + columns * right : right] += heat
    return high[: shape[0], : shape[1]]


def overlay(frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a heat map, float32 (h, w) in [0, 1], over a frame, uint8 RGB (h, w, 3).

    Returns:
        uint8 RGB (h, w, 3): green to yellow where it is hot, the frame elsewhere.
    """
    heat = np.clip(heat, 0, 1)[:, :, None]
    colour = np.dstack([255 * heat, np.full_like(heat, 255), np.zeros_like(heat)])
    share = (1 - LEAST_FRAME_SHARE) * heat
    return np.rint((1 - share) * frame + share * colour).astype(np.uint8)


def clear_picture(heat: np.ndarray) -> bytes:
    """Return a heat map, float32 (h, w) in [0, 1], as a PNG to lay over its frame.

    It is green to yellow; the colder, the clearer.
    """
    hot = np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    full = np.full_like(hot, 255)
    alpha = np.rint(MOST_COVER * hot).astype(np.uint8)
    # OpenCV's order of channels: blue, green, red.
    picture = cv2.merge([np.zeros_like(hot), full, hot, alpha])
    done, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done, "OpenCV encodes every uint8 picture"
    return png.tobytes()
