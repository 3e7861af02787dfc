"""Layers of Keras 1, 2 and 3, each as a piece in the words of today's Keras.

A piece names one of the layers below and its arguments, every one of them checked: it
is built from these alone, and nothing else of a stranger's configuration reaches Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from network.adopting.affine import Affine
from network.adopting.given import MOST_NUMBER, Given, Place, short

# No more of them stand in one network; Inception has 300.
MOST_PIECES = 1_000
# What is the whole picture's, and not of one frame.
OVER_TIME = frozenset(
    """
    LSTM GRU SimpleRNN ConvLSTM2D TimeDistributed Bidirectional Conv3D MaxPooling3D
    Convolution3D RNN Embedding Conv1D Convolution1D MaxPooling1D
    """.split()
)


@dataclass(frozen=True)
class Piece:
    """One layer to build."""

    layer: str
    """The name of a class of keras.layers, or "Lambda" for what is not known yet."""
    name: str
    """What the file calls it, by which its numbers are found."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of that class."""
    inputs: tuple[str, ...] = ()
    """The names of the pieces that it takes; "" is the picture."""
    is_channels_first: bool = False
    """Whether its pictures are stored (channels, rows, columns)."""
    key: str = ""
    """What Keras 3 calls its group of weights."""
    said: str = ""
    """Of a Lambda that is not known, what can be said of it."""


# --- Each kind of layer ---------------------------------------------------------------

Settings = dict[str, Any]
PADDING = ("valid", "same")


def _conv(given: Given) -> Settings:
    if given.value("nb_row") is not None:
        size = (given.whole("nb_row"), given.whole("nb_col"))
    else:
        size = given.pair("kernel_size")
    if given.whole("groups", default=1) != 1:
        raise given.place.refusal("it is in groups, which is not known here")
    return {
        "filters": given.whole("filters", "nb_filter"),
        "kernel_size": size,
        "strides": given.pair("strides", "subsample", default=1),
        "padding": given.choice(
            "padding", "border_mode", default="valid", among=PADDING
        ),
        "dilation_rate": given.pair("dilation_rate", "atrous_rate", default=1),
        "activation": given.activation(),
        "use_bias": given.flag("use_bias", "bias", default=True),
        "kernel_regularizer": given.regularizer("kernel_regularizer", "W_regularizer"),
    }


def _separable(given: Given) -> Settings:
    settings = _conv(given)
    del settings["kernel_regularizer"]
    depth = given.whole("depth_multiplier", default=1)
    return {**settings, "depth_multiplier": depth}


def _depthwise(given: Given) -> Settings:
    return {
        "kernel_size": given.pair("kernel_size"),
        "strides": given.pair("strides", default=1),
        "padding": given.choice("padding", default="valid", among=PADDING),
        "depth_multiplier": given.whole("depth_multiplier", default=1),
        "activation": given.activation(),
        "use_bias": given.flag("use_bias", default=True),
    }


def _dense(given: Given) -> Settings:
    return {
        "units": given.whole("units", "output_dim"),
        "activation": given.activation(),
        "use_bias": given.flag("use_bias", "bias", default=True),
        "kernel_regularizer": given.regularizer("kernel_regularizer", "W_regularizer"),
    }


def _pooling(given: Given) -> Settings:
    size = given.pair("pool_size", default=2)
    return {
        "pool_size": size,
        "strides": given.pair("strides", default=size),
        "padding": given.choice(
            "padding", "border_mode", default="valid", among=PADDING
        ),
    }


def _dropout(given: Given) -> Settings:
    return {"rate": given.number("rate", "p", default=0.0, least=0, most=0.999)}


def _normalization(given: Given) -> Settings:
    if given.value("mode", default=0) not in (0, 2):
        raise given.place.refusal("mode 1 of Keras 1, which has no layer today")
    axis = given.value("axis", default=-1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if type(axis) is not int or not -3 <= axis <= 3:
        raise given.place.refusal(f"axis is {short(axis)}, expected -1")
    return {
        "axis": axis,
        "momentum": given.number("momentum", default=0.99, least=0, most=1),
        "epsilon": given.number("epsilon", default=1e-3, least=0, most=1),
        "center": given.flag("center", default=True),
        "scale": given.flag("scale", default=True),
    }


def _reshape(given: Given) -> Settings:
    shape = given.value("target_shape")
    is_shape = isinstance(shape, list) and 1 <= len(shape) <= 4
    if not is_shape or not all(
        type(n) is int and -1 <= n <= MOST_NUMBER for n in shape
    ):
        raise given.place.refusal(f"target_shape is {short(shape)}")
    return {"target_shape": tuple(shape)}


def _permute(given: Given) -> Settings:
    dims = given.value("dims")
    if not isinstance(dims, list) or sorted(map(str, dims)) != ["1", "2", "3"]:
        raise given.place.refusal(f"dims is {short(dims)}, expected 1, 2, 3 in order")
    return {"dims": tuple(dims)}


def _relu(given: Given) -> Settings:
    settings: Settings = {
        "negative_slope": given.number("negative_slope", default=0.0, least=0),
        "threshold": given.number("threshold", default=0.0, least=0),
    }
    if given.value("max_value") is not None:
        settings["max_value"] = given.number("max_value", default=0.0, least=0)
    return settings


def _prelu(given: Given) -> Settings:
    axes = given.value("shared_axes", default=[])
    axes = axes if isinstance(axes, list) else [axes]
    if not all(type(axis) is int and 1 <= axis <= 3 for axis in axes):
        raise given.place.refusal(f"shared_axes is {short(axes)}")
    return {"shared_axes": tuple(axes)}


def _rescaling(given: Given) -> Settings:
    parts = []
    for name, usual in (("scale", 1.0), ("offset", 0.0)):
        value = given.value(name, default=usual)
        numbers = value if isinstance(value, list) else [value]
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise given.place.refusal(f"{name} is {short(value)}, expected numbers")
        parts.append(tuple(map(float, numbers)))
    num = max(map(len, parts))
    wide = [part * num if len(part) == 1 else part for part in parts]
    if num > 4 or len(wide[0]) != len(wide[1]):
        raise given.place.refusal("it has other numbers than one for each channel")
    return {"affine": Affine(*wide)}


def _resizing(given: Given) -> Settings:
    usual = "bilinear"
    if given.choice("interpolation", default=usual, among=(usual, "nearest")) != usual:
        raise given.place.refusal("its interpolation is nearest, expected bilinear")
    return {"height": given.whole("height"), "width": given.whole("width")}


def _alpha(name: str, *names: str, default: float) -> Callable[[Given], Settings]:
    return lambda given: {name: given.number(*names, default=default)}


def _nothing(_: Given) -> Settings:
    return {}


def _activation(given: Given) -> Settings:
    return {"activation": given.activation()}


def _merge(given: Given) -> Settings:
    if given.value("mode") is not None:
        mode = given.choice("mode", default="sum", among=tuple(MERGES))
        return {"layer": MERGES[mode]}
    return {}


MERGES = {
    **{"sum": "Add", "concat": "Concatenate", "mul": "Multiply", "ave": "Average"},
    "max": "Maximum",
}
# By what any version calls it: the class of today, and what reads its arguments.
LAYERS: dict[str, tuple[str, Callable[[Given], Settings]]] = {
    "Convolution2D": ("Conv2D", _conv),
    "AtrousConvolution2D": ("Conv2D", _conv),
    "Conv2D": ("Conv2D", _conv),
    "SeparableConvolution2D": ("SeparableConv2D", _separable),
    "SeparableConv2D": ("SeparableConv2D", _separable),
    "DepthwiseConv2D": ("DepthwiseConv2D", _depthwise),
    "Dense": ("Dense", _dense),
    "MaxPooling2D": ("MaxPooling2D", _pooling),
    "AveragePooling2D": ("AveragePooling2D", _pooling),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", _nothing),
    "GlobalMaxPooling2D": ("GlobalMaxPooling2D", _nothing),
    "ZeroPadding2D": (
        "ZeroPadding2D",
        lambda given: {"padding": given.sides("padding")},
    ),
    "Cropping2D": (
        "Cropping2D",
        lambda given: {"cropping": given.sides("cropping")},
    ),
    "Resizing": ("Resizing", _resizing),
    "Rescaling": ("Rescaling", _rescaling),
    "Dropout": ("Dropout", _dropout),
    "SpatialDropout2D": ("SpatialDropout2D", _dropout),
    "GaussianDropout": ("GaussianDropout", _dropout),
    "GaussianNoise": (
        "GaussianNoise",
        lambda given: {"stddev": given.number("stddev", "sigma", default=0.0, least=0)},
    ),
    "BatchNormalization": ("BatchNormalization", _normalization),
    "BatchNormalizationV1": ("BatchNormalization", _normalization),
    "Flatten": ("Flatten", _nothing),
    "Reshape": ("Reshape", _reshape),
    "Permute": ("Permute", _permute),
    "Activation": ("Activation", _activation),
    "ELU": ("ELU", _alpha("alpha", "alpha", default=1.0)),
    "LeakyReLU": (
        "LeakyReLU",
        _alpha("negative_slope", "negative_slope", "alpha", default=0.3),
    ),
    "ThresholdedReLU": ("ReLU", _alpha("threshold", "theta", default=1.0)),
    "ReLU": ("ReLU", _relu),
    "PReLU": ("PReLU", _prelu),
    "Softmax": ("Activation", lambda _: {"activation": "softmax"}),
    "Merge": ("Merge", _merge),
    **{
        name: (name, _merge)
        for name in ("Add", "Subtract", "Multiply", "Average", "Concatenate", "Maximum")
    },
}
# They do something in training alone, and hold nothing.
LEFT_OUT = frozenset(["ActivityRegularization", "InputLayer"])


def piece_of(
    kind: str,
    name: str,
    config: Mapping[str, Any],
    major: int,
    path: str,
    inputs: tuple[str, ...],
    is_channels_first: bool,
    key: str,
) -> Piece:
    """Return the piece that a layer of any version is.

    Args:
        kind: The class that the file names.
        major: The version of Keras, 1 to 3.
        path: The file, for a message.
        inputs: See Piece, as the rest.

    Raises:
        InputError: It is none of the known layers, or an argument cannot be.
    """
    place = Place(path, kind, name)
    if kind not in LAYERS:
        why = "none of the layers that are known here"
        if kind in OVER_TIME:
            why = "it takes several frames, or other things than one picture"
        raise place.refusal(f"{why}; such a model cannot be adopted")
    layer, read = LAYERS[kind]
    settings = read(Given(config, place, major))
    layer = settings.pop("layer", layer)
    if layer == "Merge":
        layer = "Add"
    return Piece(layer, name, settings, inputs, is_channels_first, key)
