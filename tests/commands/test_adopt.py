"""Old and foreign models become the project's own, alike whoever wrote them."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import old_models
import pytest
from printed import check_printed, unwrapped, without_bars

keras = pytest.importorskip("keras")
from adopt import main  # noqa: E402
from network.files import load_model  # noqa: E402
from network.weights import copy_weights  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--crop", "60", "25", "--colour", "yuv"]


@pytest.fixture(scope="module")
def weights():
    return old_models.numbers()


@pytest.fixture(scope="module")
def expected(weights):
    """What the network answers to four frames, its pictures made by OpenCV."""
    frames = np.random.default_rng(4).integers(0, 256, (4, 8, 16, 3), np.uint8)
    frames = np.stack([cv2.resize(frame, (320, 160)) for frame in frames])
    pictures = [
        cv2.resize(cv2.cvtColor(frame[60:135], cv2.COLOR_RGB2YUV), (40, 20))
        for frame in frames
    ]
    scaled = np.stack(pictures).astype(np.float32) / 127.5 - 1
    return frames, old_models.reference(weights).predict_on_batch(scaled)[:, 0]


def keras1(folder, weights, **about):
    config = old_models.keras1_config(**about)
    return old_models.write_legacy(folder / "a.h5", config, weights, "1.2.1")


def keras1_of_theano(folder, weights):
    config = old_models.keras1_config(ordering="th")
    turned = old_models.theano_numbers(weights)
    return old_models.write_legacy(folder / "a.h5", config, turned, "1.2.1")


def keras1_in_two_files(folder, weights):
    path = folder / "model.json"
    # Older scripts dump the text once more, as a JSON string.
    path.write_text(json.dumps(json.dumps(old_models.keras1_config())))
    old_models.write_legacy(folder / "model.h5", None, weights, "")
    return path


def keras2(folder, weights):
    config = old_models.keras2_config()
    return old_models.write_legacy(
        folder / "a.h5", config, weights, "2.2.4", in_bytes=True
    )


def keras2_in_two_files(folder, weights):
    document = old_models.keras2_config() | {"keras_version": "2.2.4"}
    (folder / "model.json").write_text(json.dumps(document))
    old_models.write_legacy(folder / "model_weights.h5", None, weights, "2.2.4")
    return folder / "model.json"


def keras3_hdf5(folder, weights):
    return old_models.write_keras3(folder / "a.h5", weights)


def keras3(folder, weights):
    return old_models.write_keras3(folder / "a.keras", weights)


def keras3_functional(folder, weights):
    return old_models.write_keras3(folder / "a.keras", weights, "arithmetic")


KINDS = {
    "Keras 1": keras1,
    "Keras 1, functional": lambda f, w: keras1(f, w, functional=True),
    "Keras 1, Python 2": lambda f, w: keras1(f, w, function=old_models.python27()),
    "Keras 1, Theano": keras1_of_theano,
    "Keras 1, json": keras1_in_two_files,
    "Keras 2": keras2,
    "Keras 2, json": keras2_in_two_files,
    "Keras 3, HDF5": keras3_hdf5,
    "Keras 3": keras3,
    "Keras 3, functional": keras3_functional,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_network_of_any_version_is_adopted_alike(kind, tmp_path, weights, expected):
    path = KINDS[kind](tmp_path, weights)
    assert main([str(path), *FLAGS, "--out", str(tmp_path / "m")]) == 0
    frames, steering = expected
    found = load_model(tmp_path / "m" / "model.json").predict_on_batch(frames)[:, 0]
    # The resize is rounded elsewhere, before the colour and not behind it.
    np.testing.assert_allclose(found, steering, atol=0.01)
    assert np.std(steering) > 0.04


def test_what_it_is_and_what_a_frame_becomes_is_said(tmp_path, weights, capsys):
    path = keras1(tmp_path, weights)
    assert main([str(path), "--colour", "bgr", "--out", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    check_printed(out)
    said = unwrapped(out)
    assert f"{path}: a model of Keras 1.2.1 that takes pictures of 40x20" in said
    assert "not given, and taken to be: --crop 0 0; --recording" in said
    assert '--crop 0 0 --size 40 20 --colour bgr --scale "x / 127.5 - 1"' in said
    assert said.splitlines()[-1] == f"next: python drive.py {tmp_path / 'm'}"
    origin = json.loads((tmp_path / "m" / "adopted.json").read_text())
    assert origin["file"] == "a.h5" and origin["keras_version"] == "1.2.1"


def test_regularizers_of_keras_1_stay(tmp_path, weights):
    path = keras1(tmp_path, weights)
    assert main([str(path), "--out", str(tmp_path / "m")]) == 0
    kept = load_model(tmp_path / "m" / "model.json").get_layer("conv1")
    assert kept.kernel_regularizer.l2 == pytest.approx(0.001)


def test_a_crop_of_the_network_becomes_the_frames(tmp_path, weights):
    """Of a network that scales, then crops: nothing is resized, nothing is lost."""
    layers = [
        keras.layers.Rescaling(1 / 255, offset=-0.5),
        keras.layers.Cropping2D(((70, 25), (0, 0))),
        keras.layers.Conv2D(4, 5, strides=4),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((160, 320, 3)), *layers])
    model.save(tmp_path / "a.keras")
    frames = np.random.default_rng(1).integers(0, 256, (3, 160, 320, 3), np.uint8)
    out = tmp_path / "m"
    assert main([str(tmp_path / "a.keras"), "--out", str(out)]) == 0
    adopted = load_model(out / "model.json")
    assert adopted.get_layer("crop").cropping == ((70, 25), (0, 0))
    np.testing.assert_allclose(
        adopted.predict_on_batch(frames), model.predict_on_batch(frames), atol=1e-4
    )


def test_branches_that_join_are_adopted_and_trained_as_a_whole(tmp_path):
    frame = keras.Input((66, 200, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(frame)
    x = keras.layers.Conv2D(4, 5, strides=4, activation="relu")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", activation="elu")(x)
    x = keras.layers.Flatten()(keras.layers.Add()([x, y]))
    model = keras.Model(frame, keras.layers.Dense(1)(x))
    model.save(tmp_path / "a.keras")
    out = tmp_path / "m"
    flags = ["--crop", "50", "44", "--out", str(out)]
    assert main([str(tmp_path / "a.keras"), *flags]) == 0
    from model import network_of, view_geometry, view_of

    adopted = load_model(out / "model.json")
    frames = np.random.default_rng(1).integers(0, 256, (2, 160, 320, 3), np.uint8)
    views = view_of(adopted).predict_on_batch(frames)
    np.testing.assert_allclose(
        network_of(adopted).predict_on_batch(views),
        adopted.predict_on_batch(frames),
        atol=1e-5,
    )
    assert view_geometry(adopted).crop_bottom_rows == 44


def test_every_colour_and_a_blur_are_layers_that_load(tmp_path, weights):
    path = keras1(tmp_path, weights)
    for colour in ("rgb", "bgr", "yuv", "yuv-opencv31", "hsv"):
        out = tmp_path / colour
        flags = ["--colour", colour, "--blur", "5", "--out", str(out)]
        assert main([str(path), *flags]) == 0
        names = [layer.name for layer in load_model(out / "model.json").layers]
        assert names[:4] == ["frame", "crop", "blur", "view"]


@pytest.mark.parametrize("to", ["tflite", "onnx"])
def test_an_adopted_model_is_exported(tmp_path, weights, to):
    path, out = keras1(tmp_path, weights), tmp_path / "m"
    flags = [*FLAGS, "--blur", "--out", str(out)]
    assert main([str(path), *flags]) == 0
    import export

    arguments = [str(out / "model.json"), "--to", to, "--limit", "12"]
    assert export.main(arguments) == 0


# --- What is not given ----------------------------------------------------------------


def test_an_unknown_lambda_is_said_by_an_expression(
    tmp_path, weights, expected, capsys
):
    code = old_models.python35(names=("tf", "image"), instructions=b"t\x00\x00S")
    path = keras1(tmp_path, weights, function=code)
    out = ["--out", str(tmp_path / "m")]
    assert main([str(path), *FLAGS, *out]) == 1
    said = capsys.readouterr().err
    assert "the Lambda layer 'lambda_1' is code, which is not run" in said
    assert "numbers in it: 127.5, 1); say what it does to x with --scale" in said
    assert len(without_bars(said)) == 1
    assert main([str(path), *FLAGS, "--scale", "(x-127.5)/127.5", *out]) == 0
    frames, steering = expected
    found = load_model(tmp_path / "m" / "model.json").predict_on_batch(frames)[:, 0]
    np.testing.assert_allclose(found, steering, atol=0.01)


@pytest.fixture(scope="module")
def steered(tmp_path_factory, weights):
    """A recording that the network steers itself, of frames that tell its flags."""
    from made_recordings import stamp

    folder = tmp_path_factory.mktemp("steered") / "rec"
    (folder / "IMG").mkdir(parents=True)
    rng = np.random.default_rng(3)
    lines, seen = [], []
    for i in range(120):
        small = rng.integers(0, 256, (10, 20, 3), np.uint8)
        frame = cv2.resize(small, (320, 160), interpolation=cv2.INTER_NEAREST)
        view = cv2.resize(np.ascontiguousarray(frame[60:135, :, ::-1]), (40, 20))
        seen.append(view)
        name = f"IMG/center_{stamp(i * 2.0)}.png"
        cv2.imwrite(str(folder / name), frame[:, :, ::-1])
        lines.append(name)
    scaled = np.stack(seen).astype(np.float32) / 127.5 - 1
    steering = old_models.reference(weights).predict_on_batch(scaled)[:, 0]
    steering = (steering - steering.mean()) / (4 * steering.std())
    rows = [
        f"{name},,,{value:.5f},0.5,0,20"
        for name, value in zip(lines, steering, strict=True)
    ]
    (folder / "driving_log.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_recording_tells_what_is_not_given(tmp_path, weights, steered, capsys):
    path = keras1(tmp_path, weights)
    flags = ["--recording", str(steered), "--out", str(tmp_path / "m")]
    assert main([str(path), *flags]) == 0
    said = capsys.readouterr().out
    table = said[said.index("correlation") :].splitlines()
    assert table[1].split()[2:] == "--crop 60 25 --colour bgr".split()
    assert any("--colour rgb" in line for line in table[2:])
    assert "taken: the first, correlation" in said
    assert load_model(tmp_path / "m" / "model.json").get_layer("colour").to == "bgr"


def test_weights_alone_are_told_by_flags(tmp_path, weights, expected, capsys):
    plain = {name: arrays for name, arrays in weights.items() if name != "norm"}
    path = old_models.write_legacy(tmp_path / "w.h5", None, plain, "")
    out = ["--out", str(tmp_path / "m")]
    assert main([str(path), *FLAGS, "--size", "40", "20", *out]) == 1
    said = capsys.readouterr().err
    assert "weights alone, which" in said and "--recording" in said
    told = ["--size", "40", "20", "--strides", "2", "2", "--padding", "valid"]
    told += ["--activation", "elu", "--scale", "x / 127.5 - 1"]
    assert main([str(path), *FLAGS, *told, *out]) == 0
    kinds = [
        type(layer).__name__ for layer in load_model(tmp_path / "m/model.json").layers
    ]
    assert kinds[-4:] == ["Conv2D", "Flatten", "Dense", "Dense"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--crop", "100", "60"], "--crop is 100 60 0 0, expected 0 or more"),
        (["--size", "64", "64"], "--size is 64 64, and the network takes pictures of"),
        (["--colour", "gray"], "the network takes 3 channels, and --colour gray has 1"),
        (["--scale", "__import__('os')"], "--scale is \"__import__('os')\""),
        (["--recording", "nowhere"], "nowhere: no such file or folder"),
        (["--activation", "eval"], "--activation is eval, expected one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_cannot_be_are_refused(tmp_path, weights, flags, message, capsys):
    path = keras1(tmp_path, weights)
    assert main([str(path), *flags, "--out", str(tmp_path / "m")]) == 1
    said = capsys.readouterr().err
    assert message in said and len(without_bars(said)) == 1
    assert not (tmp_path / "m").exists()


def test_an_output_that_exists_is_kept(tmp_path, weights, capsys):
    path = keras1(tmp_path, weights)
    (tmp_path / "m").mkdir()
    assert main([str(path), "--out", str(tmp_path / "m")]) == 1
    assert "m exists already; give another --out" in capsys.readouterr().err
    assert list((tmp_path / "m").iterdir()) == []


# --- What every command says ----------------------------------------------------------

LOADED = """
import sys
from pathlib import Path
import {command}
status = {command}.main({arguments})
print("status", status, "loaded", *sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("drive", ["{}", "--port", "0"]),
        ("evaluate", ["{}", "--track", "lake"]),
        (
            "train",
            ["data/sample", "--from", "{}", "--name", "x", "--models-dir", "{}.d"],
        ),
        ("export", ["{}", "--to", "onnx"]),
        ("model", ["{}"]),
        ("improve", ["{}", "--track", "random:1", "--name", "x"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_command_says_what_it_is_and_what_to_type(
    tmp_path, weights, command, words
):
    path = keras1(tmp_path, weights)
    arguments = [word.format(path) for word in words]
    script = LOADED.format(command=command, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "status 1 loaded"
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert "a model of Keras 1.2.1 that takes pictures of 40x20" in lines[0]
    assert f"python adopt.py {path} --out models/a-adopted" in lines[0]


def test_a_json_of_old_keras_is_said_to_be_one(tmp_path, weights, capsys):
    import drive

    path = keras1_in_two_files(tmp_path, weights)
    assert drive.main([str(path), "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert "a model of Keras 1 that takes pictures of 40x20" in said
    assert f"python adopt.py {path} --out" in said


def test_the_weights_of_a_run_lead_to_its_layers(saved, capsys):
    import drive

    path = saved[1] / "model.weights.h5"
    assert drive.main([str(path), "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert f"give {saved[1] / 'model.json'}, which lies beside it" in said


def test_what_is_adopted_is_what_the_copy_holds(tmp_path, weights):
    """The numbers come out of the process apart, within the bounds of any weights."""
    path = keras1(tmp_path, weights)
    copy_weights(path, tmp_path / "copy.h5")
    assert (tmp_path / "copy.h5").stat().st_size > 1000
