"""A model takes a bounded part of the machine, whatever its files say."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import InputError
from network.apart import apart
from network.exported import load_exported
from network.limits import current_limits
from training.run_folder import read_config

keras = pytest.importorskip("keras")
from model import main  # noqa: E402
from network.files import check_model, load_model, save_model  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
layers = keras.layers


def write_model(folder, saved, make):
    """Write a json whose layers have shapes only, beside the weights of another."""

    def build():
        # In a thread of its own, so that nobody gives its variables values later.
        with keras.StatelessScope(initialize_variables=False):
            frame = keras.Input((160, 320, 3), dtype="uint8")
            model = keras.Model(frame, make(layers.Rescaling(1 / 255)(frame)))
            (folder / "model.json").write_text(model.to_json())

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    weights = (saved[1] / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(weights)
    return folder / "model.json"


def pooled(x):
    return layers.Dense(1)(layers.GlobalAveragePooling2D()(x))


def memory_mb(name):
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1e3
    return pytest.skip("needs Linux to tell the peak of memory")


def doubled(x):
    for _ in range(12):
        x = layers.Concatenate()([x, x])
    return pooled(x)


# --- Size -----------------------------------------------------------------------------

HUGE = {
    "units": lambda x: layers.Dense(1)(layers.Dense(2_000_000)(layers.Flatten()(x))),
    "filters": lambda x: pooled(layers.Conv2D(20_000_000, 1)(x)),
    "kernel": lambda x: pooled(layers.Conv2D(2000, (160, 320))(x)),
    "units of 64 bits": lambda x: layers.Dense(1)(layers.Dense(2**62)(pooled(x))),
    "padding": lambda x: pooled(layers.ZeroPadding2D(10_000)(x)),
    "resize": lambda x: pooled(layers.Resizing(20_000, 20_000)(x)),
    "a slope for each number": lambda x: pooled(
        layers.PReLU()(layers.ZeroPadding2D(2000)(x))
    ),
    "doubling": doubled,
    "a model within": lambda x: pooled(
        keras.Sequential([layers.ZeroPadding2D(9000), layers.Cropping2D(9000)])(x)
    ),
}


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE)
def test_what_asks_for_gigabytes_is_refused_before_it_has_them(saved, tmp_path, make):
    path = write_model(tmp_path, saved, make)
    memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="utf-8"
    )  # Forget the peak so far.
    before = memory_mb("VmRSS")
    with pytest.raises(InputError, match=r"(parameters|of a frame), expected at most"):
        load_model(path)
    assert memory_mb("VmHWM") - before < 100


def test_nothing_refused_takes_its_memory_later(saved, tmp_path):
    path = write_model(tmp_path, saved, HUGE["filters"])
    with pytest.raises(InputError):
        load_model(path)
    before = memory_mb("VmRSS")
    with keras.StatelessScope():
        pass
    keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    assert memory_mb("VmRSS") - before < 50


def test_flag_lets_a_larger_model_be_loaded(saved, monkeypatch, capsys):
    path = str(saved[1] / "model.json")
    for limit, said in (
        ("1000", "more than the numbers of a model of 1,000 parameters"),
        ("100000", "has 253,8"),
        ("260000", "numbers of a frame, expected at most 520,000"),
    ):
        monkeypatch.setenv("BC_MAX_PARAMETERS", limit)
        assert main([path]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line and "--max-parameters" in line
    assert main(["--max-parameters", "2e6", path]) == 0
    assert current_limits().parameters == 2_000_000


@pytest.mark.parametrize("text", ["", "-3", "1e6", "many", "0", "9" * 5000])
def test_limit_that_is_no_number_is_said(saved, monkeypatch, text):
    monkeypatch.setenv("BC_MAX_PARAMETERS", text)
    with pytest.raises(InputError, match=r"BC_MAX_PARAMETERS is .* a whole"):
        check_model(saved[1] / "model.json")


def test_flag_that_is_no_number_is_wrong_usage(capsys):
    for text in ("0", "-1", "nan", "inf", "x"):
        with pytest.raises(SystemExit, match="2"):
            main(["--max-parameters", text])
    assert "Traceback" not in capsys.readouterr().err


# --- Time and memory ------------------------------------------------------------------


def slow(x):
    """Four matrices of 3500 x 3500, each to be made orthogonal: 13 s on one core."""
    x = layers.GlobalAveragePooling2D()(x)
    for _ in range(5):
        x = layers.Dense(3500, kernel_initializer="orthogonal")(x)
    return layers.Dense(1)(x)


def large(x):
    """One of 6900 x 6900, to be made orthogonal: some copies of 190 MB."""
    x = layers.Dense(6900)(layers.GlobalAveragePooling2D()(x))
    return layers.Dense(1)(layers.Dense(6900, kernel_initializer="orthogonal")(x))


@pytest.mark.parametrize(
    ("script", "make", "said"),
    [
        ("model.py", slow, "takes longer than 8 s"),
        ("drive.py", large, "takes more than 600 MB"),
        pytest.param("export.py", slow, "takes longer", marks=pytest.mark.slow),
        pytest.param("evaluate.py", slow, "takes longer", marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_model_that_never_gets_ready_ends_in_a_line(
    saved, tmp_path, script, make, said
):
    path = write_model(tmp_path, saved, make)
    more = {
        "drive.py": ["--port", "0"],
        "export.py": ["--to", "onnx"],
        # In processes of its own.
        "evaluate.py": ["zero", "--track", "lake", "random:1"],
    }
    done = subprocess.run(
        [sys.executable, ROOT / script, path, *more.get(script, [])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=150,
    )
    line = done.stderr.splitlines()[-1]
    assert f"model.json: to load it and compute a frame {said}" in line
    assert done.returncode == 1 and "Traceback" not in done.stderr


@pytest.fixture
def importable(monkeypatch):
    """Let a process apart find the functions in harmful.py."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import harmful

    return harmful


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("crash", "x.h5: the library that reads it ends with status -11"),
        ("hang", r"x.h5: to read it takes longer than 8 s"),
        ("eat", "x.h5: to read it takes more than 600 MB"),
    ],
)
def test_what_harms_the_reader_is_a_line(importable, function, said):
    with pytest.raises(InputError, match=said):
        apart(getattr(importable, function), Path("x.h5"))


def test_mistake_of_ours_in_a_process_apart_is_a_traceback(importable):
    with pytest.raises(RuntimeError, match=r"Traceback(.|\n)*ZeroDivisionError: ours"):
        apart(importable.fail, Path("x.h5"))


# --- What is no file ------------------------------------------------------------------


@pytest.fixture
def pipes(tmp_path):
    """Make a pipe that nobody writes to, and a link to what never ends."""

    def make(name, kind):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("/dev/zero")
        return path

    return make


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize(
    "name",
    ["model.json", "model.weights.h5", "config.json", "model.tflite", "model.onnx"],
)
def test_only_files_that_end_are_read(saved, tmp_path, pipes, name, kind):
    path = save_model(saved[0], tmp_path)
    pipes(name, kind)
    readers = {
        "config.json": lambda: read_config(tmp_path),
        "model.tflite": lambda: load_exported(tmp_path / name),
        "model.onnx": lambda: load_exported(tmp_path / name),
    }
    read = readers.get(name, lambda: check_model(path))
    # A reader that waits is ended by the alarm.
    signal.setitimer(signal.ITIMER_REAL, 5)
    with pytest.raises(InputError, match=r"model|config") as caught:
        read()
    signal.setitimer(signal.ITIMER_REAL, 0)
    known = ("regular file", "no such", "no model.json in", "weights are missing")
    assert any(words in str(caught.value) for words in known)


def test_json_of_a_hundred_megabytes_is_not_read(saved, tmp_path):
    path = save_model(saved[0], tmp_path)
    with path.open("ab") as file:
        file.truncate(100_000_000)
    with pytest.raises(InputError, match="expected at most 10,000,000"):
        check_model(path)


# --- What is said ---------------------------------------------------------------------


def test_model_that_answers_nan_is_refused(saved, tmp_path):
    path = save_model(saved[0], tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        file["layers/dense/vars/1"][...] = np.nan
    with pytest.raises(InputError, match="answers a black frame with nan"):
        load_model(path)


def test_reason_of_keras_is_said_with_the_layer(saved, tmp_path):
    path = save_model(saved[0], tmp_path)
    path.write_text(path.read_text().replace('"alpha": 1.0', '"alpha": "x"'))
    with pytest.raises(InputError, match=r"ELU.call\(\)\. .{20}") as caught:
        load_model(path)
    assert "[1m" not in str(caught.value)


def test_names_are_shown_escaped(saved, tmp_path, capsys):
    folder = tmp_path / "\x1b[31mred\nline"
    path = save_model(saved[0], folder)
    text = path.read_text()
    for name in ("\x1b]0;title\x07", "\u202e", "new\nline"):
        path.write_text(text.replace('"conv1"', json.dumps(name)))
        assert main([str(path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isprintable() and "does not print" in line
        assert r"\x1b[31mred\nline" in line


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d | {"class_name": ["Functional"]}, "holds \\['Functional'\\]"),
        (lambda d: d | {"module": {}}, "it imports {}"),
        (lambda d: d["config"]["layers"][4], "a layer, expected a whole model"),
        (lambda d: {"class_name": "Sequential", "config": {}}, "cannot build"),
        (lambda d: d | {"config": 10**400}, "cannot build"),
        (lambda d: nested(d, 40), "cannot build"),
        (lambda d: nested(d, 300), "more than 100 levels deep"),
        (lambda d: d | {"x": [{"class_name": "ELU"}] * 20_001}, "made of 20,"),
    ],
)
def test_json_of_wrong_kinds_is_refused_in_a_line(saved, tmp_path, edit, said):
    path = save_model(saved[0], tmp_path)
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=said) as caught:
        load_model(path)
    assert len(str(caught.value)) < 600


def nested(document, depth):
    for _ in range(depth):
        document = {"class_name": "Sequential", "config": [document]}
    return document
