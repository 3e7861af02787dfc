"""Model files made to harm: each is refused in a line, runs nothing, leaves nothing.

Every one of them would write CANARY, were any code of it run.
"""

import base64
import copy
import json
import marshal
import zipfile

import h5py
import numpy as np
import old_models
import pytest
from printed import without_bars

pytest.importorskip("keras")
from adopt import main

CANARY = "canary.txt"
CODE = (lambda x: (__import__("os").mkdir("canary"), x)[1]).__code__
BYTES = marshal.dumps(CODE)
BASE64 = base64.encodebytes(BYTES).decode("ascii")
SHELL = f"__import__('os').system('touch {CANARY}')"


def config():
    return old_models.keras1_config(functional=True)


def layer(document, name):
    found = [e for e in document["config"]["layers"] if e["config"]["name"] == name]
    return found[0]


def changing(name, **changes):
    """Return what changes the arguments of a layer."""

    def change(document):
        layer(document, name)["config"].update(changes)

    return change


def of_class(kind, **more):
    """Return what makes another class of a layer."""

    def change(document):
        layer(document, "leaky").update({"class_name": kind, **more})

    return change


def lambda_of(function):
    return changing("lambda_1", function=function)


def circle(document):
    layer(document, "conv_a")["inbound_nodes"] = [[["dense_b", 0, 0]]]


def nowhere(document):
    layer(document, "flat")["inbound_nodes"] = [[["no such layer", 0, 0]]]


def two_of_a_name(document):
    layer(document, "dense_a").update({"name": "dense_b"})
    layer(document, "dense_a")["config"]["name"] = "dense_b"


def two_inputs(document):
    document["config"]["input_layers"] += [["dense_a", 0, 0]]


def in_two_places(document):
    layer(document, "flat")["inbound_nodes"] *= 2


def without_layers(document):
    document["config"]["layers"] = []


def without_config(document):
    document["config"] = None


def of_shape(*shape):
    return changing("picture", batch_input_shape=[None, *shape])


def without_shape(document):
    del layer(document, "picture")["config"]["batch_input_shape"]


def models_in_models(document):
    inner = copy.deepcopy(old_models.keras1_config())
    for _ in range(40):
        inner = {"class_name": "Sequential", "config": [inner], "name": "deeper"}
    document.clear()
    document.update(inner)


def many_layers(document):
    chain = document["config"]["layers"]
    for i in range(5000):
        before = chain[-1]["name"]
        node = {"class_name": "ELU", "config": {"name": f"e{i}", "alpha": 1.0}}
        chain.append({**node, "name": f"e{i}", "inbound_nodes": [[[before, 0, 0]]]})
    document["config"]["output_layers"] = [["e4999", 0, 0]]


def named(name):
    def change(document):
        of = layer(document, "conv_b")
        of["config"].update(name=name, nb_filter=-1)
        of["name"] = name

    return change


def answering(document):
    layer(document, "dense_b")["config"]["output_dim"] = 7


JSON = {
    "code of Keras 1": lambda_of([BYTES.decode("latin-1"), None, None]),
    "code of Keras 2": lambda_of([BASE64, None, None]),
    "code of Keras 3": lambda_of(
        {"class_name": "__lambda__", "config": {"code": BASE64}}
    ),
    "code cut off": lambda_of([BYTES[:40].decode("latin-1"), None, None]),
    "code that claims much": lambda_of(["c" + "\x7f" * 60, None, None]),
    "code that refers to itself": lambda_of(["\xe9\x01r\x00\x00\x00\x00", None, None]),
    "code nested deep": lambda_of([")\x01" * 5000, None, None]),
    "a function by name": lambda_of("os.system"),
    "no function": lambda_of(7),
    "an activation that is code": changing("dense_a", activation={"class_name": "x"}),
    "an activation that is a line": changing("dense_a", activation=SHELL),
    "an initializer that is code": of_class("Custom", module="os"),
    "a class of another module": of_class("system", module="os", registered_name="s"),
    "a registered name": of_class("stranger>Dense", registered_name="stranger>Dense"),
    "a pickle": of_class("TorchModuleWrapper"),
    "a graph": of_class("TFSMLayer"),
    "a class that is a list": of_class(["Dense"]),
    "a class that is a dictionary": of_class({"a": 1}),
    "a class that is a line": of_class(SHELL),
    "no class": of_class(None),
    "filters without end": changing("conv_a", nb_filter=10**12),
    "filters that are text": changing("conv_a", nb_filter=f"4; {SHELL}"),
    "a kernel without end": changing("conv_a", nb_row=10**9),
    "strides of nothing": changing("conv_a", subsample=[0, 0]),
    "strides in three": changing("conv_a", subsample=[1, 1, 1]),
    "a padding that is code": changing("conv_a", border_mode=SHELL),
    "a rate that is no number": changing("drop", p=float("nan")),
    "a rate without end": changing("drop", p=float("inf")),
    "an axis that is not there": changing("norm", axis=99),
    "a mode that is gone": changing("norm", mode=1),
    "a circle": circle,
    "a layer that is not there": nowhere,
    "two layers of a name": two_of_a_name,
    "two inputs": two_inputs,
    "a layer in two places": in_two_places,
    "no layers": without_layers,
    "no configuration": without_config,
    "no size": without_shape,
    "a size without end": of_shape(10**6, 10**6, 3),
    "five channels": of_shape(20, 40, 5),
    "models in models": models_in_models,
    "five thousand layers": many_layers,
    "a name that acts on a terminal": named("\x1b[31mred\x07\u202e"),
    "a name of a megabyte": named("x" * 1_000_000),
    "seven answers": answering,
}


def run(path, folder, capsys, monkeypatch, *flags):
    """Adopt a file from within a folder of its own; return what was said."""
    here = folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main([str(path), *flags, "--out", "out"]) == 1
    (said,) = without_bars(capsys.readouterr().err)
    assert said.isprintable() and len(said) < 1000
    assert "Traceback" not in said
    assert list(here.iterdir()) == []
    return said


@pytest.fixture(scope="module")
def weights():
    return old_models.numbers()


@pytest.fixture(scope="module")
def good_weights(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("good") / "w.h5"
    return old_models.write_legacy(path, None, weights, "1.2.1")


@pytest.mark.parametrize("kind", JSON)
def test_a_hostile_configuration_is_refused(
    kind, tmp_path, good_weights, capsys, monkeypatch
):
    document = config()
    JSON[kind](document)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    run(path, tmp_path, capsys, monkeypatch, "--weights", str(good_weights))


# --- Text that is no configuration ----------------------------------------------------

TEXTS = {
    "nested without end": b"[" * 200_000,
    "no text": b"\xff\xfe\x00\x01" * 20,
    "of something else": b'{"rows": 3}',
    "a pickle": b"\x80\x04\x95cos\nsystem\n(S'touch canary.txt'\ntR.",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_no_configuration_is_refused(kind, tmp_path, capsys, monkeypatch):
    path = tmp_path / "model.json"
    path.write_bytes(TEXTS[kind])
    run(path, tmp_path, capsys, monkeypatch)


# --- HDF5 -----------------------------------------------------------------------------


def link_elsewhere(file):
    file["model_weights"]["stolen"] = h5py.ExternalLink("/etc/passwd", "/")


def link_in_a_circle(file):
    file["model_weights"]["up"] = file


def claim_much(file):
    file["model_weights"].create_dataset("much", (10**6, 10**4), "f4")


def pack(file):
    zeros = np.zeros(10_000_000, "u1")
    file["model_weights"].create_dataset("packed", data=zeros, compression="gzip")


def read_another_file(file):
    file["model_weights"].create_dataset(
        "raw", (4,), "f4", external=[("/etc/hostname", 0, 16)]
    )


def hold_references(file):
    file["model_weights"].create_dataset("refs", (1,), h5py.ref_dtype)


def lack_a_layer(file):
    del file["model_weights"]["conv_b"]


def other_shapes(file):
    group = file["model_weights"]["dense_a"]
    del group["dense_a_W:0"]
    group["dense_a_W:0"] = np.zeros((7, 10), np.float32)


def cut_configuration(file):
    text = file.attrs["model_config"]
    file.attrs["model_config"] = text[: len(text) // 2]


def code_within(file):
    function = [BYTES.decode("latin-1"), None, None]
    document = config()
    lambda_of(function)(document)
    file.attrs["model_config"] = json.dumps(document)


HDF5 = (
    *(link_elsewhere, link_in_a_circle, claim_much, pack, read_another_file),
    *(hold_references, lack_a_layer, other_shapes, cut_configuration, code_within),
)


@pytest.mark.parametrize("harm", HDF5, ids=lambda harm: harm.__name__)
def test_a_hostile_hdf5_file_is_refused(harm, tmp_path, weights, capsys, monkeypatch):
    path = tmp_path / "a.h5"
    old_models.write_legacy(path, config(), weights, "1.2.1")
    with h5py.File(path, "a") as file:
        harm(file)
    run(path, tmp_path, capsys, monkeypatch)


def test_a_hdf5_file_that_is_cut_off_is_refused(tmp_path, weights, capsys, monkeypatch):
    path = tmp_path / "a.h5"
    old_models.write_legacy(path, config(), weights, "1.2.1")
    path.write_bytes(path.read_bytes()[:9000])
    run(path, tmp_path, capsys, monkeypatch)


# --- Zips -----------------------------------------------------------------------------


def plain():
    return json.dumps(old_models.keras2_config())


def encrypted(content):
    """Set the mark of encryption in every header of a zip."""
    changed = bytearray(content)
    for start, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(start)
        while at >= 0:
            changed[at + place] |= 1
            at = changed.find(start, at + 4)
    return bytes(changed)


ZIPS = {
    "no configuration": lambda: old_models.zipped({"a.txt": "x"}),
    "a bomb": lambda: old_models.zipped(
        {"config.json": b" " * 30_000_000}, zipfile.ZIP_DEFLATED
    ),
    "names that lead elsewhere": lambda: old_models.zipped(
        {"../../canary.txt": "x", "config.json": "{}"}
    ),
    "encrypted": lambda: encrypted(old_models.zipped({"config.json": plain()})),
    "cut off": lambda: old_models.zipped({"config.json": plain()})[:-30],
    "weights that are none": lambda: old_models.zipped(
        {"config.json": plain(), "model.weights.h5": b"\x80\x04cos\nsystem\n"}
    ),
    "many files": lambda: old_models.zipped(
        {"config.json": plain(), **{f"f{i}": "" for i in range(1500)}}
    ),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_a_hostile_zip_is_refused(kind, tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.keras"
    path.write_bytes(ZIPS[kind]())
    run(path, tmp_path, capsys, monkeypatch)


def test_there_are_more_than_fifty():
    assert len(JSON) + len(TEXTS) + len(HDF5) + len(ZIPS) + 1 > 50


# --- Expressions ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "scale",
    [
        *(SHELL, f"x if {SHELL} else x", "x ** 9 ** 9 ** 9", "lambda x: x", "[x] * 9"),
        *("x.__class__", "x[0]", "(" * 150, "x / 0", "1e999 * x", "x * x", "x\0", "5"),
        *("y", "x - [1, 2]" + " + 1" * 60, "f'{x}'", "x := 1", "await x", ""),
    ],
)
def test_an_expression_is_read_as_arithmetic_or_refused(
    scale, tmp_path, weights, capsys, monkeypatch
):
    path = old_models.write_legacy(tmp_path / "a.h5", config(), weights, "1.2.1")
    said = run(path, tmp_path, capsys, monkeypatch, "--scale", scale)
    assert said.startswith("--scale ")
