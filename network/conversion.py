"""A model in the formats of small devices, LiteRT (.tflite) and ONNX, and checked."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.bar import Bar
from common.car import FRAME_SHAPE, MOST_CURVATURE_PER_M
from common.errors import InputError
from common.files import whole_file
from network.answer import Predict
from network.exported import (
    MOST_DIFFERENCE,
    copies_of,
    exported_copy,
    load_exported,
)
from network.files import WEIGHTS_NAME

# The operators that ONNX Runtime computes in float32; later versions of the operator
# set bring nothing that the network needs.
ONNX_OPSET = 18


@dataclass(frozen=True)
class Check:
    """How an exported file does beside the model that it was made from."""

    frames: int
    """The number of frames that were compared."""
    largest_difference: float
    """The largest difference of the steering on any frame."""
    rms_difference: float
    largest_bend_difference_per_m: float | None
    """The largest difference of the bend, in 1/m; None of a model that gives none."""
    size_bytes: int
    latency_ms: float
    """The median time that the file takes for one frame."""
    keras_latency_ms: float
    """The median time that the model itself takes."""


def export(
    network: keras.Model,
    predict: Predict,
    frames: np.ndarray,
    path: Path,
    quantize: str = "none",
    most_difference: float = MOST_DIFFERENCE,
) -> Check:
    """Write a model as one file, if that steers like the model.

    Args:
        network: What exportable returns.
        predict: What model.make_predictor returns for the model.
        frames: The frames to compare on, uint8 RGB (n, 160, 320, 3).
        path: The file to write; its ending says the format.
        quantize: As for to_tflite and to_onnx.
        most_difference: How far the steering may be off on any frame, and the bend, of
            the one of full lock.

    Raises:
        InputError: The file exists, or answers differently.
    """
    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    with Bar(f"converting to {path.suffix}"):
        if path.suffix == ".onnx":
            content = to_onnx(network, quantize)
        else:
            content = to_tflite(network, quantize, frames)
    with whole_file(path, is_new=True) as partial_path:
        # What is checked is what was written.
        partial_path.write_bytes(content)
        of_file = load_exported(partial_path)
        with Bar("steering by file and model", 2 * len(frames), "frames") as bar:
            answers, latency_ms = _answers_of(of_file, bar.over(frames))
            expected, keras_latency_ms = _answers_of(predict, bar.over(frames))
        difference = answers - expected
        largest = np.abs(difference).max(axis=0).tolist()
        check = Check(
            frames=len(frames),
            largest_difference=largest[0],
            rms_difference=float(np.sqrt(np.mean(difference[:, 0] ** 2))),
            largest_bend_difference_per_m=largest[1] if largest[1:] else None,
            size_bytes=len(content),
            latency_ms=latency_ms,
            keras_latency_ms=keras_latency_ms,
        )
        # Written so that a NaN is refused too.
        if not check.largest_difference <= most_difference:
            raise InputError(
                f"{path} is not kept: its steering is off by up to "
                f"{check.largest_difference:.4f} (RMS {check.rms_difference:.4f}) on "
                f"{check.frames} frames, expected at most {most_difference:g}; "
                "quantize less, or give another --most-difference"
            )
        # As much of full lock.
        most_bend = most_difference * MOST_CURVATURE_PER_M
        bend = check.largest_bend_difference_per_m
        if bend is not None and not bend <= most_bend:
            raise InputError(
                f"{path} is not kept: its bend is off by up to {bend:.4f}/m on "
                f"{check.frames} frames, expected at most {most_bend:.4f}/m; quantize "
                "less, or give another --most-difference"
            )
    return check


def _answers_of(
    predict: Predict, frames: Iterable[np.ndarray]
) -> tuple[np.ndarray, float]:
    """Return what is answered for each frame, and the median time in ms.

    Returns:
        float64 (n, 1), the steering, or (n, 2), the bend beside it; and the time.
    """
    answers, times_s = [], []
    for frame in frames:
        started = time.perf_counter()
        answers.append(np.atleast_1d(predict(frame)))
        times_s.append(time.perf_counter() - started)
    return np.array(answers, float), 1e3 * statistics.median(times_s)


def leave_copy(
    network: keras.Model,
    predict: Predict,
    frames: np.ndarray,
    json_path: Path,
) -> Path:
    """Leave an exported copy beside a saved model; return its path.

    What drives takes it in the model's place, and need not wait for TensorFlow. A copy
    of the weights of before goes.

    Args:
        network, predict, frames: As for export.
        json_path: The model.json that save_model has written.

    Raises:
        InputError: It steers differently, or cannot be made or run here.
    """
    path = exported_copy(json_path, json_path.with_name(WEIGHTS_NAME))
    if not path.exists():
        export(network, predict, frames, path)
    for other in copies_of(json_path):
        if other != path:
            with contextlib.suppress(OSError):
                other.unlink()
    return path


def exportable(view: keras.Model, network: keras.Model) -> keras.Model:
    """Join the parts of a model, the resize in floating point and its rounding written.

    The parts are what model.view_of and model.network_of return. Neither format can
    resize in uint8 as the model's own layer does. The result steers the same to
    float32's rounding.

    Returns:
        A model of one frame, uint8 RGB (1, 160, 320, 3), to float32 (1, 1) or, with a
        bend, (1, 2), sharing the weights.

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
    """Return the function to convert, with constant weights, and its signature."""
    signature = [tf.TensorSpec((1, *FRAME_SHAPE), tf.uint8, name="frame")]
    trained = [each.numpy() for each in model.trainable_variables]
    others = [each.numpy() for each in model.non_trainable_variables]

    def infer(frame: Any) -> Any:
        # Left to itself Keras normalizes by the statistics of the frame at hand, as in
        # training, and the steering is off by half the lock.
        return model.stateless_call(trained, others, frame, training=False)[0]

    return infer, signature


def _graph_of(function: Any, signature: Any) -> Any:
    # There is no Python in it that a graph would have to follow.
    return tf.function(function, input_signature=signature, autograph=False)


def to_tflite(model: keras.Model, quantize: str, frames: np.ndarray) -> bytes:
    """Convert to the format of LiteRT, formerly TensorFlow Lite.

    Args:
        model: What exportable returns.
        quantize: "none"; "dynamic", int8 weights; "full", int8 activations too.
        frames: Frames, uint8 RGB (n, 160, 320, 3), that give "full" its ranges.
    """
    function, signature = _inference_of(model)
    graph = _graph_of(function, signature).get_concrete_function()
    # No variables are left in it to be tracked; a saved model takes four times as long.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], tf.Module())
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
        _graph_of(function, signature),
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
