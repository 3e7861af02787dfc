"""Exported models from strangers: what they may compute, and what ends in a line."""

import os
import time

import numpy as np
import pytest

from common.errors import InputError
from network.exported import SAFE_TFLITE, load_exported
from network.onnx_file import SAFE_TYPES, check_onnx

onnx = pytest.importorskip("onnx", reason="needs pip install --group export")
pytest.importorskip("onnxruntime", reason="needs pip install --group export")
pytest.importorskip("ai_edge_litert", reason="needs pip install --group export")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FRAME = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 160, 320, 3])
STEERING = helper.make_tensor_value_info("steering", TensorProto.FLOAT, [1, 1])


def numbers(name, values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def write(path, *nodes, initializers=(), domain="", **more):
    """Write an ONNX file whose nodes make a `picture` of float32, any shape, 4 axes."""
    last = [
        helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
        helper.make_node("Reshape", ["mean", "one"], ["row"]),
        helper.make_node("Slice", ["row", "from", "to", "axis"], ["steering"]),
    ]
    shapes = [("one", [1, -1]), ("from", [0]), ("to", [1]), ("axis", [1])]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["frame"], ["floats"], to=1), *nodes, *last],
        "graph",
        [FRAME],
        [STEERING],
        [*initializers, *(numbers(*shape) for shape in shapes)],
    )
    opsets = [helper.make_opsetid(name, 18) for name in {"", domain}]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)
    path.write_bytes(model.SerializeToString())
    return path


def same(*outputs):
    return helper.make_node("Identity", ["floats"], outputs or ["picture"])


def loop():
    """For ever, add one: the condition stays true, and there is no count."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    after = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    nodes = [
        helper.make_node("Identity", ["go"], ["on"]),
        helper.make_node("Add", ["x", "x"], ["y"]),
    ]
    body = helper.make_graph(nodes, "body", [count, go, value], [on, after])
    return [helper.make_node("Loop", ["", "yes", "floats"], ["picture"], body=body)]


def outside(name, path):
    tensor = numbers(name, np.zeros((1, 160, 1, 1)), np.float32)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)
    return tensor


def wide(kind, *inputs, **attributes):
    return helper.make_node(kind, ["floats", *inputs], ["picture"], **attributes)


def function():
    opset = [helper.make_opsetid("", 18)]
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    return helper.make_function("mine", "Add", ["a"], ["b"], nodes, opset)


YES = numbers("yes", True, bool)
GRAPH = helper.make_graph([], "empty", [], [])
REFUSED = {
    "loop": ((loop(),), {"initializers": [YES]}, "'Loop', which is none of the"),
    "graph within": (
        ([helper.make_node("Identity", ["floats"], ["picture"], body=GRAPH)],),
        {},
        "holds a graph within a node",
    ),
    "extension": (
        ([helper.make_node("Gelu", ["floats"], ["picture"], domain="com.microsoft")],),
        {"domain": "com.microsoft"},
        "'com.microsoft', an extension",
    ),
    "function": (([same()],), {"functions": [function()]}, "holds functions"),
    "much of nothing": (
        ([helper.make_node("ConstantOfShape", ["much"], ["picture"])],),
        {"initializers": [numbers("much", [1, 10**5, 10**5, 1])]},
        "'ConstantOfShape', which is none of the operators known",
    ),
    "expand": (
        ([wide("Expand", "much")],),
        {"initializers": [numbers("much", [10**5, 160, 320, 3])]},
        "'Expand', which is none",
    ),
    "pad": (
        ([wide("Pad", "much")],),
        {"initializers": [numbers("much", [0, 0, 0, 0, 0, 10**5, 10**4, 0])]},
        "export it again|the library that reads it|takes more than",
    ),
    "resize": (
        ([wide("Resize", "", "", "much", mode="nearest")],),
        {"initializers": [numbers("much", [1, 50_000, 50_000, 3])]},
        "export it again|the library that reads it|takes more than",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_onnx_file_that_does_more_than_a_network_is_refused(tmp_path, name):
    (nodes,), more, said = REFUSED[name]
    path = write(tmp_path / "model.onnx", *nodes, **more)
    began_s = time.monotonic()
    with pytest.raises(InputError, match=said) as caught:
        load_exported(path)
    assert time.monotonic() - began_s < 20 and str(caught.value).isprintable()


def test_plain_onnx_file_drives(tmp_path):
    path = write(tmp_path / "model.onnx", same())
    frame = np.full((160, 320, 3), 7, np.uint8)
    assert load_exported(path)(frame) == pytest.approx(7)


@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_data_in_another_file_are_not_read(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.full(160, 0.5, np.float32).tobytes())
    add = helper.make_node("Add", ["floats", "stolen"], ["picture"])
    tensor = outside("stolen", "secret")
    if place == "initializer":
        path = write(tmp_path / "model.onnx", add, initializers=[tensor])
    else:
        constant = helper.make_node("Constant", [], ["stolen"], value=tensor)
        path = write(tmp_path / "model.onnx", constant, add)
    with pytest.raises(InputError, match="holds data in another file"):
        load_exported(path)


def test_every_field_of_onnx_is_known_or_refused(rng, tmp_path):
    """What the walk lets pass, onnx reads: no field is taken for another."""
    content = write(tmp_path / "model.onnx", same()).read_bytes()
    check_onnx(content)
    for _ in range(500):
        changed = bytearray(content)
        changed[rng.integers(len(changed))] = rng.integers(256)
        try:
            check_onnx(bytes(changed))
        except ValueError:
            continue
        try:
            model = onnx.load_from_string(bytes(changed))
        except Exception:  # onnx demands more, such as UTF-8.
            continue
        assert not model.functions and not model.graph.sparse_initializer
        assert {node.op_type for node in model.graph.node} <= SAFE_TYPES


def test_lite_model_that_repeats_is_refused(tmp_path):
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec((1, 160, 320, 3), tf.uint8)])
    def forever(frame):
        number = tf.reduce_mean(tf.cast(frame, tf.float32))
        (number,) = tf.while_loop(lambda x: x > -1.0, lambda x: (x + 1.0,), [number])
        return tf.reshape(number, (1, 1))

    concrete = forever.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(InputError, match="'WHILE', none of the operators known"):
        load_exported(path)
    assert "WHILE" not in SAFE_TFLITE


def test_changed_lite_model_drives_or_is_refused(tmp_path, rng):
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec((1, 160, 320, 3), tf.uint8)])
    def small(frame):
        x = tf.nn.conv2d(tf.cast(frame, tf.float32), tf.ones((5, 5, 3, 2)), 8, "SAME")
        return tf.reshape(tf.reduce_mean(x), (1, 1))

    concrete = small.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    content = np.frombuffer(converter.convert(), np.uint8)
    path, used = tmp_path / "model.tflite", np.flatnonzero(content)
    refused = 0
    for _ in range(25):
        changed = content.copy()
        changed[rng.choice(used)] = rng.integers(256)
        path.write_bytes(changed.tobytes())
        try:
            load_exported(path)(np.zeros((160, 320, 3), np.uint8))
        except InputError as error:
            assert str(error).isprintable()
            refused += 1
    assert refused > 0


def test_exported_file_larger_than_a_model_is_not_read(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match="expected at most 401,000,000"):
        load_exported(path)
    os.truncate(path, 0)
