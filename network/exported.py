"""Models exported for small devices, run without TensorFlow and without Keras.

    python drive.py models/both/model.tflite

export.py writes such files, and train.py leaves one beside each model, which is driven
in its place; `pip install --group drive` installs all that is needed to drive with one.
A `.tflite` file runs on LiteRT (ai-edge-litert), an `.onnx` file on ONNX Runtime.
"""

from __future__ import annotations

import glob
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.files import read_regular
from common.stderr import without_lines
from network.answer import Answer, Predict
from network.apart import apart
from network.limits import confine, current_limits

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".tflite", ".onnx")
# How far its steering may be off its model's on any frame: half a degree of wheel angle
# of the simulator's car, whose lock is 25 degrees.
MOST_DIFFERENCE = 0.02
# What LiteRT says of itself when it first computes.
NOTICE = re.compile(rb"INFO: ")
# Bytes for a parameter, in float64, and for what the file holds besides.
BYTES_EACH, MORE_BYTES = 8, 1_000_000
# What convolutional networks compute with, floating and quantized, on LiteRT.
SAFE_TFLITE = frozenset(
    """
    ADD SUB MUL DIV NEG ABS EXP SQRT RSQRT SQUARE POW MINIMUM MAXIMUM ROUND FLOOR
    SQUARED_DIFFERENCE CAST RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE SHAPE PACK SLICE
    STRIDED_SLICE GATHER CONCATENATION SPLIT PAD PADV2 MIRROR_PAD RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED BATCH_MATMUL
    MAX_POOL_2D AVERAGE_POOL_2D MEAN SUM REDUCE_MAX SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
    ELU RELU RELU6 RELU_N1_TO_1 LEAKY_RELU PRELU HARD_SWISH GELU LOGISTIC TANH SOFTMAX
    QUANTIZE DEQUANTIZE
    """.split()
)


def exported_copy(json_path: Path, weights_path: Path) -> Path:
    """Return where the exported copy of a model lies, if train.py has left one.

    Its name holds a digest of the model's two files, so that a copy of other weights is
    never driven in their place.
    """
    digest = hashlib.sha256()
    for path in (json_path, weights_path):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return json_path.with_name(f"{json_path.stem}.{digest.hexdigest()[:12]}.tflite")


def copies_of(json_path: Path) -> list[Path]:
    """Return the exported copies that lie beside a model, of whatever weights."""
    digest = "[0-9a-f]" * 12
    return list(json_path.parent.glob(f"{glob.escape(json_path.stem)}.{digest}.tflite"))


def is_exported(path: Path) -> bool:
    """Say whether a path is, by its ending, that of an exported model."""
    return path.suffix in SUFFIXES


def load_exported(path: Path) -> Predict:
    """Load an exported model, and run it once so that the first frame does not wait.

    Another process has done so before: damaged or made to harm, a file can end the
    one that reads it, or hold it for ever.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, not clipped; + is
        right. Of a model that has a bend, to an Answer.

    Raises:
        InputError: The file is missing, damaged or takes no such frame, computes what
            is not known or more than current_limits, or the package that runs it is
            not installed.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}"
        )
    content = read_regular(path, BYTES_EACH * current_limits().parameters + MORE_BYTES)
    apart(_try, path, content=content)
    with without_lines(NOTICE):
        return _load(path, content)


def _try(path: Path) -> None:
    _load(path, sys.stdin.buffer.read(), is_confined=True)


def _load(path: Path, content: bytes, is_confined: bool = False) -> Predict:
    open_model = _open_tflite if path.suffix == ".tflite" else _open_onnx
    try:
        import numpy as np  # Not above: drive.py asks is_exported before all else.

        predict = open_model(content, is_confined)
        predict(np.zeros(FRAME_SHAPE, np.uint8))
    except ImportError as error:
        raise InputError(
            f"{path}: {error.name} is not installed; pip install --group drive"
        ) from error
    # What the libraries raise is up to a stranger's file, and some of it shares no
    # class but Exception.
    except Exception as error:
        raise InputError(
            f"{path}: not a model that export.py wrote, or cut off "
            f"({str(error).partition(chr(10))[0][:200]}); export it again"
        ) from error
    return predict


def _open_tflite(content: bytes, is_confined: bool) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    if is_confined:
        confine()
    # More threads than one are slower: the network is small.
    interpreter = Interpreter(model_content=content, num_threads=1)
    # It has no public name. What repeats (WHILE) or calls (CALL_ONCE) is in none.
    names = {each["op_name"] for each in interpreter._get_ops_details()}
    if unknown := names - SAFE_TFLITE:
        raise ValueError(f"it computes {min(unknown)!r}, none of the operators known")
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    _check_input(source["shape"].tolist(), source["dtype"].__name__)

    def predict(frame: np.ndarray) -> float | Answer:
        interpreter.set_tensor(source["index"], frame[None])
        interpreter.invoke()
        return _answer(interpreter.get_tensor(target["index"])[0])

    return predict


def _open_onnx(content: bytes, is_confined: bool) -> Predict:
    import onnxruntime

    from network.onnx_file import check_onnx

    if is_confined:
        confine()
    check_onnx(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # It has another format of its own, which is not what was checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()
    _check_input(source.shape, source.type.removeprefix("tensor(").removesuffix(")"))

    def predict(frame: np.ndarray) -> float | Answer:
        return _answer(session.run(None, {source.name: frame[None]})[0][0])

    return predict


def _answer(numbers: np.ndarray) -> float | Answer:
    """Return the numbers of a frame, float32 (1,) or (2,), for what they are."""
    if len(numbers) == 1:
        return float(numbers[0])
    steering, bend_per_m = map(float, numbers)
    return Answer(steering, bend_per_m)


def _check_input(shape: list[Any], dtype: str) -> None:
    if shape != [1, *FRAME_SHAPE] or dtype != "uint8":
        raise ValueError(
            f"it takes {dtype} {shape}, expected uint8 {[1, *FRAME_SHAPE]}"
        )
