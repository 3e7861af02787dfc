"""What a model's two files may hold, and what is said of files that are no model."""

import json

import h5py
import numpy as np
import pytest

from common.errors import InputError

keras = pytest.importorskip("keras")
from model import PRESETS, build_model  # noqa: E402
from network import files as model_files  # noqa: E402
from network.files import check_model, load_model, save_model  # noqa: E402


def edited(folder, tmp_path, edit):
    """Copy a saved model with its parsed json edited; return the json's path."""
    document = json.loads((folder / "model.json").read_text())
    document = edit(document) or document
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    weights = (folder / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(weights)
    return path


def add_layer(document, **layer):
    document["config"]["layers"].insert(1, {"inbound_nodes": [], **layer})


@pytest.mark.parametrize("preset", PRESETS)
def test_no_layer_holds_code(preset):
    kinds = {type(layer).__name__ for layer in build_model(preset).layers}
    assert kinds <= model_files.SAFE_CLASSES


def test_saved_model_predicts_the_same_after_loading(saved, frames):
    model, folder = saved
    loaded = load_model(folder / "model.json")
    np.testing.assert_array_equal(
        loaded.predict_on_batch(frames), model.predict_on_batch(frames)
    )


def test_weights_of_a_whole_h5_model_load(saved, frames, tmp_path):
    model, folder = saved
    path = edited(folder, tmp_path, lambda document: None)
    (tmp_path / "model.weights.h5").unlink()
    model.save(tmp_path / "model.h5")
    loaded = load_model(path)
    np.testing.assert_array_equal(
        loaded.predict_on_batch(frames), model.predict_on_batch(frames)
    )


def test_compiled_model_loads_without_its_optimizer(saved, frames, tmp_path):
    model, folder = saved
    compiled = keras.models.clone_model(model)
    compiled.compile(optimizer="adam", loss="mse", metrics=["mae"])
    document = json.loads(compiled.to_json())
    assert "Adam" in json.dumps(document)
    loaded = load_model(edited(folder, tmp_path, lambda _: document))
    assert not loaded.compiled
    np.testing.assert_array_equal(
        loaded.predict_on_batch(frames), model.predict_on_batch(frames)
    )


def test_layer_that_is_only_not_needed_is_not_called_dangerous(saved, tmp_path):
    def add_lstm(document):
        add_layer(document, class_name="LSTM", config={}, module="keras.layers")

    with pytest.raises(InputError, match="'LSTM', which is none of the layers") as why:
        load_model(edited(saved[1], tmp_path, add_lstm))
    assert "code" not in str(why.value)


def test_doubly_encoded_json_loads(saved, tmp_path):
    path = edited(saved[1], tmp_path, json.dumps)
    assert load_model(path).count_params() == saved[0].count_params()


# --- Files from strangers -------------------------------------------------------------

LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {
        "function": {
            "class_name": "__lambda__",
            "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None},
        }
    },
    "registered_name": None,
    "name": "lambda",
}


@pytest.mark.parametrize(
    "layer",
    [
        LAMBDA,
        {"module": "os", "class_name": "system", "config": {"command": "true"}},
        {"module": "os", "class_name": "Dense", "config": {}},
        {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "exec"},
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {},
            "registered_name": "stranger>Dense",
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"units": 1, "activation": {"class_name": "__lambda__"}},
        },
    ],
    ids=lambda layer: f"{layer['module']}.{layer['class_name']}",
)
@pytest.mark.parametrize("encode", [lambda d: d, json.dumps], ids=["once", "twice"])
def test_model_that_could_run_code_is_refused(saved, tmp_path, layer, encode):
    def edit(document):
        add_layer(document, **layer)
        return encode(document)

    path = edited(saved[1], tmp_path, edit)
    with pytest.raises(InputError, match="refused"):
        load_model(path)


def test_key_given_twice_cannot_hide_a_layer(saved, tmp_path):
    """json keeps the last of equal keys; the one that is checked is the one used."""
    path = edited(saved[1], tmp_path, lambda document: None)
    text = path.read_text()
    harmless = '"class_name": "ELU"'
    assert harmless in text
    stranger = '"class_name": "Lambda"'
    for pair in (f"{stranger}, {harmless}", f"{harmless}, {stranger}"):
        path.write_text(text.replace(harmless, pair, 1))
        try:
            kinds = {type(layer).__name__ for layer in load_model(path).layers}
        except InputError as error:
            assert "refused" in str(error)
        else:
            assert "Lambda" not in kinds


def test_weights_that_link_to_another_file_are_refused(saved, tmp_path):
    path = edited(saved[1], tmp_path, lambda document: None)
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:
        file["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InputError, match="'stolen' links elsewhere"):
        load_model(path)


# --- Damaged files --------------------------------------------------------------------


def damage_nothing_there(path):
    path.unlink()


def damage_weights_missing(path):
    (path.parent / "model.weights.h5").unlink()


def damage_json_cut(path):
    path.write_text(path.read_text()[:500])


def damage_json_is_weights(path):
    path.write_bytes((path.parent / "model.weights.h5").read_bytes())


def damage_json_of_something_else(path):
    path.write_text('{"rows": 3}')


def damage_weights_cut(path):
    weights = path.parent / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:20_000])


def damage_weights_empty(path):
    (path.parent / "model.weights.h5").write_bytes(b"")


def damage_weights_are_a_pointer(path):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (path.parent / "model.weights.h5").write_text(text)


def damage_weights_of_another_model(path):
    build_model("original").save_weights(path.parent / "model.weights.h5")


def damage_model_of_old_keras(path):
    layer = {"class_name": "Convolution2D", "config": {"nb_filter": 3, "W": 1}}
    path.write_text(json.dumps({"class_name": "Sequential", "config": [layer]}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing_there, "model.json: no such file"),
        (damage_weights_missing, "its weights are missing, expected model.weights.h5"),
        (damage_json_cut, "model.json: not JSON"),
        (damage_json_is_weights, "model.json: weights alone, saved by Keras, expected"),
        (damage_json_of_something_else, "not of a Keras model"),
        (damage_weights_cut, "model.weights.h5: the file is damaged or cut off"),
        (damage_weights_empty, "model.weights.h5: not an HDF5 file"),
        (damage_weights_are_a_pointer, "is it a Git LFS pointer"),
        (damage_weights_of_another_model, "do not belong to"),
        (damage_model_of_old_keras, "model.json: a model of Keras 1 .* adopt it: "),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_damaged_pair_is_named(saved, tmp_path, damage, message):
    path = edited(saved[1], tmp_path, lambda document: None)
    damage(path)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_model_without_its_own_preprocessing_is_refused(tmp_path):
    inputs = keras.Input((66, 200, 3))
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(inputs))
    path = save_model(keras.Model(inputs, outputs), tmp_path)
    with pytest.raises(InputError, match="takes pictures of 200x66, not yet"):
        load_model(path)


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5", "model.weights.h5"])
def test_what_is_no_json_names_the_way_to_it(saved, tmp_path, name):
    path = tmp_path / name
    (saved[0].save_weights if "weights" in name else saved[0].save)(path)
    if path.suffix == ".h5":  # Of any length: a network can be larger than JSON.
        with path.open("ab") as file:
            file.truncate(20_000_000)
    with pytest.raises(InputError, match=r"adopt it: python adopt\.py ") as one:
        check_model(path)
    assert "\n" not in str(one.value)
