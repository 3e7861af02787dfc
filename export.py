"""Turn a trained model into one file for small devices, checked on real frames.

    python export.py models/both/model.json --to tflite
    python export.py models/both/model.json --to onnx --quantize dynamic

The file takes the raw frame, as the model does, and drives without TensorFlow:
`python drive.py models/both/model.tflite`. It is kept only if it steers like the model
on the frames of a recording: a conversion can go wrong without a word.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.start_up import quiet_tensorflow

if TYPE_CHECKING:
    import keras
    import numpy as np

FORMATS = ("tflite", "onnx")
QUANTIZATIONS = ("none", "dynamic", "full")
SAMPLE = Path(__file__).parent / "data" / "sample"
# Half a degree of wheel angle of the simulator's car, whose lock is 25 degrees.
MOST_DIFFERENCE = 0.02
# The operators that ONNX Runtime computes in float32 and export.py writes; later
# versions of the operator set bring nothing that the network needs.
ONNX_OPSET = 18


@dataclass(frozen=True)
class Check:
    """How an exported file does beside the model that it was made from."""

    frames: int
    largest_difference: float
    """Of the steering, over the frames."""
    rms_difference: float
    size_bytes: int
    latency_ms: float
    """Median time for one frame."""
    keras_latency_ms: float
    """The same of the model itself."""


# --- Conversion -----------------------------------------------------------------------


def exportable(model: keras.Model) -> keras.Model:
    """Return the model with its resize in floating point and the rounding written out.

    Neither format can resize in uint8 as the model's own layer does. The result steers
    the same to float32's rounding.

    Returns:
        A model of one frame, uint8 RGB (1, 160, 320, 3), to float32 (1, 1), sharing
        its weights.

    Raises:
        InputError: the model has no layer named `view`, or is not a plain chain.
    """
    import keras

    from model import network_of, view_of

    view = view_of(model)
    resize = view.layers[-1]
    if not isinstance(resize, keras.layers.Resizing):
        raise InputError(f"layer 'view' of {model.name!r} is no Resizing layer")
    frame = keras.Input(FRAME_SHAPE, batch_size=1, dtype="uint8", name="frame")
    x = frame
    for layer in view.layers[1:-1]:
        x = layer(x)
    x = keras.ops.cast(x, "float32")
    config = {**resize.get_config(), "dtype": "float32"}
    x = keras.ops.round(keras.layers.Resizing.from_config(config)(x))
    for layer in network_of(model).layers[1:]:
        x = layer(x)
    return keras.Model(frame, x, name="exported")


def _inference_of(model: keras.Model) -> tuple[Any, Any]:
    """Return the function to convert and the signature of its frame."""
    import tensorflow as tf

    signature = [tf.TensorSpec((1, *FRAME_SHAPE), tf.uint8, name="frame")]
    # Left to itself Keras's export normalizes by the statistics of the frame at hand,
    # as in training, and the steering is off by half the lock.
    return lambda frame: model(frame, training=False), signature


def to_tflite(model: keras.Model, quantize: str, frames: np.ndarray) -> bytes:
    """Convert to the format of LiteRT, formerly TensorFlow Lite.

    Args:
        model: from exportable.
        quantize: "none"; "dynamic", int8 weights; "full", int8 activations too.
        frames: uint8 RGB (n, 160, 320, 3), for the ranges of "full".
    """
    import keras
    import tensorflow as tf

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
        model: from exportable.
        quantize: "none", or "dynamic": int8 weights of the dense layers.

    Raises:
        InputError: the packages of requirements-export.txt are not installed.
    """
    try:
        import tensorflow as tf
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


# --- Check ----------------------------------------------------------------------------


def read_frames(recording: Path, most: int) -> np.ndarray:
    """Read frames of all cameras, evenly over a recording.

    Returns:
        uint8 RGB (n, 160, 320, 3), n at most `most`.
    """
    import numpy as np

    from common.car import CAMERAS
    from recordings.images import read_frame
    from recordings.recording import read_recording, usable_samples

    samples = usable_samples([read_recording(recording)])
    paths = [path for camera in CAMERAS for path in samples[camera] if path]
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)
    return np.stack([read_frame(paths[i]) for i in chosen])


def steer(
    predict: Callable[[np.ndarray], float], frames: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the steering for each frame, float64 (n,), and the median time in ms."""
    import numpy as np

    steering, times_s = [], []
    for frame in frames:
        started = time.perf_counter()
        steering.append(predict(frame))
        times_s.append(time.perf_counter() - started)
    return np.array(steering), 1e3 * statistics.median(times_s)


def export(
    model: keras.Model,
    frames: np.ndarray,
    path: Path,
    quantize: str = "none",
    most_difference: float = MOST_DIFFERENCE,
) -> Check:
    """Write a model as one file, if that steers like the model.

    Args:
        model: from network.files.load_model.
        frames: uint8 RGB (n, 160, 320, 3) to compare on.
        path: of the file to write; its ending says the format.
        quantize: one of QUANTIZATIONS.
        most_difference: of steering on any frame; the file is not kept if it is larger.

    Raises:
        InputError: the file exists, or steers differently.
    """
    import numpy as np

    from model import make_predictor
    from network.exported import load_exported

    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    network = exportable(model)
    onnx = path.suffix == ".onnx"
    content = (
        to_onnx(network, quantize) if onnx else to_tflite(network, quantize, frames)
    )
    # Under the name of a file in the making: what is checked is what was written.
    partial_path = path.with_name(f"partial.{path.name}")
    try:
        partial_path.write_bytes(content)
        steering, latency_ms = steer(load_exported(partial_path), frames)
        expected, keras_latency_ms = steer(make_predictor(model), frames)
        difference = steering - expected
        check = Check(
            frames=len(frames),
            largest_difference=float(np.abs(difference).max()),
            rms_difference=float(np.sqrt(np.mean(difference**2))),
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
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)
    return check


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Export a model for small devices, checked on real frames.",
        epilog="Example:\n"
        "  python export.py models/both/model.json --to tflite --frames data/lake",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="model.json of a trained model")
    parser.add_argument("--to", required=True, choices=FORMATS, help="format")
    parser.add_argument(
        "--quantize",
        choices=QUANTIZATIONS,
        default="none",
        help="dynamic: int8 weights, smaller and faster; full: int8 activations too, "
        "tflite only (default: %(default)s)",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        default=SAMPLE,
        metavar="DIR",
        help="recording to compare on; take one that the model drives "
        "(default: the 48 frames of data/sample)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=500,
        help="frames to compare on, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--most-difference",
        type=float,
        default=MOST_DIFFERENCE,
        help="of steering on any frame, of 1 (default: %(default)s, 0.5 degrees)",
    )
    parser.add_argument(
        "--out", type=Path, help="file to write (default: beside the model)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args(argv)
    if args.quantize == "full" and args.to == "onnx":
        parser.error("--quantize full goes with --to tflite only")
    if args.limit < 1:
        parser.error(f"--limit is {args.limit}, expected at least 1")
    return args


def output_path(args: argparse.Namespace) -> Path:
    """Return the path to write: `--out`, or beside the model under a name that tells.

    Raises:
        InputError: the ending of `--out` is not that of the format.
    """
    if args.out is None:
        kind = "" if args.quantize == "none" else f".{args.quantize}"
        return Path(args.model.with_name(f"{args.model.stem}{kind}.{args.to}"))
    if args.out.suffix != f".{args.to}":
        raise InputError(
            f"--out is {args.out}, expected a name that ends in .{args.to}"
        )
    return Path(args.out)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    try:
        path = output_path(args)
        if path.exists():
            raise InputError(f"{path} exists already; give another --out")
        frames = read_frames(args.frames, args.limit)
        from network.files import load_model

        model = load_model(args.model)
        check = export(model, frames, path, args.quantize, args.most_difference)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"written": str(path), **asdict(check)}))
        return 0
    print(
        f"{path}: {check.size_bytes / 1024:,.0f} KiB\n"
        f"steering beside the model's on {check.frames} frames: largest difference "
        f"{check.largest_difference:.5f}, RMS {check.rms_difference:.5f}\n"
        f"one frame: {check.latency_ms:.2f} ms, the model itself "
        f"{check.keras_latency_ms:.2f} ms\n"
        f"next: python drive.py {path}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
