"""Models exported for small devices, run without TensorFlow and without Keras.

    python drive.py models/both/model.tflite

export.py writes such files; `pip install --group drive` installs all that is needed to
drive with one. A `.tflite` file runs on LiteRT (ai-edge-litert), an `.onnx` file on
ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".tflite", ".onnx")


def is_exported(path: Path) -> bool:
    """Say whether a path is, by its ending, that of an exported model."""
    return path.suffix in SUFFIXES


def load_exported(path: Path) -> Callable[[np.ndarray], float]:
    """Load an exported model, and run it once so that the first frame does not wait.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, not clipped; + is
        right.

    Raises:
        InputError: The file is missing, damaged or takes no such frame, or the package
            that runs it is not installed.
    """
    import numpy as np  # Not above: drive.py asks is_exported before all else.

    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    open_model = _open_tflite if path.suffix == ".tflite" else _open_onnx
    try:
        predict = open_model(content)
        predict(np.zeros(FRAME_SHAPE, np.uint8))
    except ImportError as error:
        raise InputError(
            f"{path}: {error.name} is not installed; pip install --group drive"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"{path}: not a model that export.py wrote, or cut off "
            f"({str(error).partition(chr(10))[0]}); export it again"
        ) from error
    return predict


def _open_tflite(content: bytes) -> Callable[[np.ndarray], float]:
    from ai_edge_litert.interpreter import Interpreter

    # More threads than one are slower: the network is small.
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    _check_input(source["shape"].tolist(), source["dtype"].__name__)

    def predict(frame: np.ndarray) -> float:
        interpreter.set_tensor(source["index"], frame[None])
        interpreter.invoke()
        return float(interpreter.get_tensor(target["index"])[0, 0])

    return predict


def _open_onnx(content: bytes) -> Callable[[np.ndarray], float]:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    except (
        # They share no class but Exception.
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
        errors.RuntimeException,
    ) as error:
        raise ValueError(str(error)) from error
    (source,) = session.get_inputs()
    _check_input(source.shape, source.type.removeprefix("tensor(").removesuffix(")"))

    def predict(frame: np.ndarray) -> float:
        return float(session.run(None, {source.name: frame[None]})[0][0, 0])

    return predict


def _check_input(shape: list[Any], dtype: str) -> None:
    if shape != [1, *FRAME_SHAPE] or dtype != "uint8":
        raise ValueError(
            f"it takes {dtype} {shape}, expected uint8 {[1, *FRAME_SHAPE]}"
        )
