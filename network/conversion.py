"""A model in the formats of small devices: LiteRT (.tflite) and ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.car import FRAME_SHAPE
from common.errors import InputError

# The operators that ONNX Runtime computes in float32; later versions of the operator
# set bring nothing that the network needs.
ONNX_OPSET = 18


def exportable(view: keras.Model, network: keras.Model) -> keras.Model:
    """Join the parts of a model, the resize in floating point and its rounding written.

    The parts are what model.view_of and model.network_of return. Neither format can
    resize in uint8 as the model's own layer does. The result steers the same to
    float32's rounding.

    Returns:
        A model of one frame, uint8 RGB (1, 160, 320, 3), to float32 (1, 1), sharing
        the weights.

    Raises:
        InputError: The view does not end in a resize.
    """
    resize = view.layers[-1]
    if not isinstance(resize, keras.layers.Resizing):
        raise InputError(f"layer {resize.name!r} is no Resizing layer")
    frame = keras.Input(FRAME_SHAPE, batch_size=1, dtype="uint8", name="frame")
    x = frame
    for layer in view.layers[1:-1]:
        x = layer(x)
    config = {**resize.get_config(), "dtype": "float32"}
    x = keras.layers.Resizing.from_config(config)(keras.ops.cast(x, "float32"))
    x = keras.ops.round(x)
    if any(isinstance(layer.input, list) for layer in network.layers[1:]):
        # Of branches that join, which an adopted network may have.
        return keras.Model(frame, network(x), name="exported")
    for layer in network.layers[1:]:
        x = layer(x)
    return keras.Model(frame, x, name="exported")


def _inference_of(model: keras.Model) -> tuple[Any, Any]:
    """Return the function to convert and the signature of its frame."""
    signature = [tf.TensorSpec((1, *FRAME_SHAPE), tf.uint8, name="frame")]
    # Left to itself Keras's export normalizes by the statistics of the frame at hand,
    # as in training, and the steering is off by half the lock.
    return lambda frame: model(frame, training=False), signature


def to_tflite(model: keras.Model, quantize: str, frames: np.ndarray) -> bytes:
    """Convert to the format of LiteRT, formerly TensorFlow Lite.

    Args:
        model: What exportable returns.
        quantize: "none"; "dynamic", int8 weights; "full", int8 activations too.
        frames: Frames, uint8 RGB (n, 160, 320, 3), that give "full" its ranges.
    """
    function, signature = _inference_of(model)
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", function, input_signature=signature)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "full":
            converter.representative_dataset = lambda: ([f[None]] for f in frames)
            int8 = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
            converter.target_spec.supported_ops = [int8]
        return bytes(converter.convert())


def to_onnx(model: keras.Model, quantize: str) -> bytes:
    """Convert to ONNX.

    Args:
        model: What exportable returns.
        quantize: "none", or "dynamic": int8 weights of the dense layers.

    Raises:
        InputError: A package of the group `export` is not installed.
    """
    try:
        import tf2onnx
        from onnxruntime.quantization import quantize_dynamic
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; pip install --group export"
        ) from error

    function, signature = _inference_of(model)
    graph, _ = tf2onnx.convert.from_function(
        tf.function(function, input_signature=signature),
        input_signature=signature,
        opset=ONNX_OPSET,
    )
    if quantize == "none":
        return bytes(graph.SerializeToString())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        # Convolutions in int8 run slower than in float32 on ONNX Runtime.
        quantize_dynamic(graph, path, op_types_to_quantize=["MatMul", "Gemm"])
        return path.read_bytes()
