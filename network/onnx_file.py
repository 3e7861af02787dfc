"""What an ONNX file may hold, seen without the package onnx, which driving lacks.

ONNX is a protobuf: messages of numbered fields, some of them messages again. A field
that is not listed here is refused: functions, graphs within a node (what loops do),
data in another file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Source of the numbers: onnx/onnx.proto3 of ONNX 1.23. By message, the fields that it
# may have, and of what message each is; "" is a number or a text.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {**dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14), ""), 7: "graph"},
    "graph": {
        **dict.fromkeys((2, 10, 11, 12, 13, 14, 16), ""),
        1: "node",
        5: "tensor",
    },
    "node": {**dict.fromkeys((1, 2, 3, 6, 9), ""), 4: "type", 5: "attribute", 7: "set"},
    "attribute": {**dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20), ""), 5: "tensor"},
    # 13 and 14 say in which other file the data are.
    "tensor": {**dict.fromkeys((1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 16), ""), 14: "place"},
}
_REFUSED = {
    ("model", 25): "functions",
    ("graph", 15): "sparse tensors",
    ("attribute", 6): "a graph within a node, such as a loop",
    ("attribute", 11): "graphs within a node",
    ("tensor", 13): "data in another file",
}
# What convolutional networks compute with, floating and quantized. Not among them is
# what repeats (Loop, Scan) and what makes much of nothing (ConstantOfShape, Expand).
SAFE_TYPES = frozenset(
    """
    Add Sub Mul Div Neg Abs Exp Sqrt Reciprocal Pow Min Max Clip Round Floor Erf
    Cast Identity Dropout Constant Shape Reshape Flatten Squeeze Unsqueeze Transpose
    Slice Gather Concat Split Pad Resize
    Conv MatMul Gemm MaxPool AveragePool GlobalMaxPool GlobalAveragePool
    BatchNormalization InstanceNormalization LayerNormalization GroupNormalization
    Relu Elu Selu LeakyRelu PRelu Sigmoid HardSigmoid HardSwish Tanh Softmax Softplus
    Gelu Mish ReduceMean ReduceSum ReduceMax
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear MatMulInteger ConvInteger
    QLinearConv QLinearMatMul
    """.split()
)


def check_onnx(content: bytes) -> None:
    """Refuse a file that does more than compute numbers from its own.

    Raises:
        ValueError: It does, or is no ONNX file.
    """
    todo = [("model", memoryview(content))]
    while todo:
        kind, message = todo.pop()
        for number, value in _fields(message):
            inner = _FIELDS[kind].get(number)
            if inner is None:
                what = _REFUSED.get((kind, number), f"field {number}")
                raise ValueError(f"a {kind} in it holds {what}")
            if (inner == "place") != isinstance(value, int) and inner:
                raise ValueError(f"field {number} of a {kind} is of another kind")
            if inner in _FIELDS:
                todo.append((inner, value))
            elif inner:
                _check_value(inner, value)


def _check_value(kind: str, value: Any) -> None:
    if kind == "place":
        if value != 0:
            raise ValueError("a tensor in it holds data in another file")
        return
    text = bytes(value[:60]).decode("utf-8", "replace")
    if kind == "type" and text not in SAFE_TYPES:
        raise ValueError(f"it computes {text!r}, which is none of the operators known")
    if kind == "set" and text not in ("", "ai.onnx"):
        raise ValueError(f"it computes with {text!r}, an extension")


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the number of each field and its value, a whole number or a memoryview."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == 2:
            size, at = _varint(message, at)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"no ONNX file: wire type {wire_type}")
        if at + size > len(message):
            raise ValueError("no ONNX file, or cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and where the next thing does."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("no ONNX file, or cut off")
