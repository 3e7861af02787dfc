"""Exported models: they steer like the model they were made from, or are not kept."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.car import FRAME_SHAPE
from common.errors import InputError
from export import SAMPLE, main, parse_args, sample_frames
from network.answer import Answer
from network.exported import is_exported, load_exported

keras = pytest.importorskip("keras")
pytest.importorskip("ai_edge_litert", reason="needs pip install --group export")
pytest.importorskip("onnxruntime", reason="needs pip install --group export")
pytest.importorskip("tf2onnx", reason="needs pip install --group export")
from model import (  # noqa: E402
    build_model,
    make_predictor,
    network_of,
    view_of,
    with_bend,
)
from network import conversion  # noqa: E402
from network.conversion import exportable  # noqa: E402
from network.files import save_model  # noqa: E402

# Their own affairs: TensorFlow's converter announces its successor, and tf2onnx asks
# NumPy for a name of old.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
]


@pytest.fixture(scope="module")
def frames():
    return sample_frames(SAMPLE, most=12)


@pytest.fixture(scope="module")
def model(frames):
    """A model whose normalization matters: its statistics are far from a frame's."""
    keras.utils.set_random_seed(3)
    model = build_model("default")
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
            mean.assign(rng.normal(0, 0.3, mean.shape))
            variance.assign(rng.uniform(0.3, 2, variance.shape))
    return model


def export(model, *args, **options):
    network = exportable(view_of(model), network_of(model))
    return conversion.export(network, make_predictor(model), *args, **options)


@pytest.fixture(scope="module")
def json_path(model, tmp_path_factory):
    return save_model(model, tmp_path_factory.mktemp("model"))


def test_frames_are_taken_evenly_from_all_cameras(frames):
    assert frames.shape == (12, *FRAME_SHAPE)
    assert frames.dtype == np.uint8
    assert len(sample_frames(SAMPLE, most=500)) == 48


def test_exportable_model_equals_the_model(model, frames):
    expected = [make_predictor(model)(frame) for frame in frames]
    network = exportable(view_of(model), network_of(model))
    found = [float(network.predict_on_batch(f[None])[0, 0]) for f in frames]
    # The sums of float32 are taken in another order.
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_export_steers_like_the_model(model, frames, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    check = export(model, frames, path)
    predict, expected = load_exported(path), make_predictor(model)
    difference = [predict(frame) - expected(frame) for frame in frames]
    # A pixel whose mean lies at one half may be rounded the other way: 1 of 255.
    assert np.abs(difference).max() < 2e-3
    assert check.largest_difference == pytest.approx(np.abs(difference).max())
    assert check.size_bytes == path.stat().st_size
    assert len({round(predict(frame), 6) for frame in frames}) > 1


@pytest.fixture(scope="module")
def two(model):
    """The model with a bend beside its steering, which differs from frame to frame."""
    both = with_bend(model)
    rng = np.random.default_rng(5)
    for layer in both.layers:
        if layer.name == "bend":
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0.0, 0.01, kernel.shape), bias + 0.03])
    return both


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_an_exported_file_has_both_outputs(two, frames, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    check = export(two, frames, path)
    predict, expected = load_exported(path), make_predictor(two)
    found, right = ([f(frame) for frame in frames] for f in (predict, expected))
    assert all(isinstance(each, Answer) for each in found)
    bends = np.array([each.bend_per_m for each in right])
    difference = np.array(found) - np.array(right)
    assert bends.std() > 1e-3
    # As above, a pixel's rounding.
    assert np.abs(difference[:, 0]).max() < 2e-3
    assert np.abs(difference[:, 1]).max() < 0.02 * bends.std()
    largest = check.largest_bend_difference_per_m
    assert largest == pytest.approx(np.abs(difference[:, 1]).max())


def test_a_file_whose_bend_is_off_is_not_kept(two, frames, tmp_path):
    """A stricter limit than int8 can keep, on a steering that is always the same."""
    weights = two.get_layer("steering").get_weights()
    two.get_layer("steering").set_weights([0 * weights[0], weights[1]])
    try:
        with pytest.raises(InputError, match=r"is not kept: its bend is off by up to"):
            export(two, frames, tmp_path / "a.tflite", "dynamic", most_difference=1e-5)
    finally:
        two.get_layer("steering").set_weights(weights)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_dynamic_quantization_makes_a_smaller_file(model, frames, tmp_path, suffix):
    # The untrained weights are as they come; how exact int8 is, is not the question.
    plain = export(model, frames, tmp_path / f"a.{suffix}", most_difference=1)
    small = export(
        model, frames, tmp_path / f"b.{suffix}", "dynamic", most_difference=1
    )
    assert small.size_bytes < 0.7 * plain.size_bytes
    assert small.largest_difference > plain.largest_difference


def test_export_that_steers_differently_leaves_nothing(model, frames, tmp_path):
    with pytest.raises(InputError, match=r"is not kept: its steering is off by up to"):
        export(model, frames, tmp_path / "a.tflite", "full", most_difference=1e-6)
    assert not list(tmp_path.iterdir())


def test_export_of_a_model_that_answers_nan_leaves_nothing(frames, tmp_path):
    broken = build_model("default")
    broken.get_layer("steering").bias.assign([np.nan])
    with pytest.raises(InputError, match="is not kept"):
        export(broken, frames, tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


def test_command_line_writes_beside_the_model(json_path, capsys):
    args = [str(json_path), "--to", "tflite", "--limit", "4"]
    assert main([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    path = json_path.with_name("model.tflite")
    assert Path(found["written"]) == path
    assert found["frames"] == 4
    content = path.read_bytes()
    assert main(args) == 1
    assert "exists already" in capsys.readouterr().err
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--to", "tflite", "--out", "a.onnx"], "expected a name that ends in .tflite"),
        (["--to", "onnx", "--frames", "nowhere"], "no such file or folder"),
    ],
)
def test_input_refused_is_one_line(json_path, capsys, args, text):
    assert main([str(json_path), *args]) == 1
    message = capsys.readouterr().err
    assert text in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "args", [["--to", "onnx", "--quantize", "full"], ["--to", "onnx", "--limit", "0"]]
)
def test_wrong_usage_exits_with_2(args):
    with pytest.raises(SystemExit, match="2"):
        parse_args(["model.json", *args])


# --- Loading --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"\0" * 5000])
def test_what_is_no_model_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a model that export\.py wrote"):
        load_exported(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tflite: cannot be read: No such file"):
        load_exported(tmp_path / "gone.tflite")


def test_endings_say_what_is_exported():
    assert is_exported(Path("a/model.tflite"))
    assert is_exported(Path("a/model.dynamic.onnx"))
    assert not is_exported(Path("a/model.json"))


def test_exported_models_are_loaded_without_tensorflow(model, frames, tmp_path):
    path = tmp_path / "model.tflite"
    export(model, frames, path)
    code = (
        "import sys; from pathlib import Path;"
        "from network.exported import load_exported;"
        f"load_exported(Path({str(path)!r}));"
        "print([n for n in ('tensorflow', 'keras', 'pandas') if n in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
