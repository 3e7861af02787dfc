"""The network: its size, its one view of a frame, and what its files may hold."""

import json

import h5py
import numpy as np
import pytest

from dataset import FRAME_SHAPE, InputError

keras = pytest.importorskip("keras")
import model as bc_model  # noqa: E402
from model import (  # noqa: E402
    PRESETS,
    build_model,
    load_model,
    main,
    make_predictor,
    network_of,
    save_model,
    view_key,
    view_of,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with weights that are not the initial ones, and its folder."""
    keras.utils.set_random_seed(3)
    model = build_model("default")
    rng = np.random.default_rng(3)
    for variable in model.weights:
        noise = rng.normal(0, 0.02, variable.shape)
        variable.assign(variable + np.abs(noise))
    folder = tmp_path_factory.mktemp("saved")
    save_model(model, folder)
    return model, folder


@pytest.fixture
def frames(rng):
    return rng.integers(0, 256, (4, *FRAME_SHAPE), dtype=np.uint8)


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


def test_original_preset_has_the_parameters_of_the_paper_with_batch_norm():
    model = build_model("original")
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    assert (model.count_params(), trainable) == (1_601_751, 1_598_631)


@pytest.mark.parametrize("preset", PRESETS)
def test_batch_norm_stands_before_every_activation(preset):
    layers = build_model(preset).layers
    kinds = [type(layer).__name__ for layer in layers]
    before = {kinds[i - 1] for i, kind in enumerate(kinds) if kind == "ELU"}
    assert before == {"BatchNormalization"}
    assert kinds.count("ELU") == 5 + len(PRESETS[preset].dense_units)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_layer_holds_code(preset):
    kinds = {type(layer).__name__ for layer in build_model(preset).layers}
    assert kinds <= bc_model.SAFE_CLASSES


def test_network_on_views_equals_model_on_frames(saved, frames):
    model, _ = saved
    views = view_of(model).predict_on_batch(frames)
    assert views.shape == (4, 66, 200, 3) and views.dtype == np.uint8
    from_views = network_of(model).predict_on_batch(views)
    # The same layers on the same bytes: equal to the bit, not only nearly.
    np.testing.assert_array_equal(from_views, model.predict_on_batch(frames))


def test_eager_and_compiled_calls_see_the_same_view(saved, frames):
    view = view_of(saved[0])
    eager = keras.ops.convert_to_numpy(view(frames))
    np.testing.assert_array_equal(eager, view.predict_on_batch(frames))


def test_view_shows_the_road_and_neither_sky_nor_bonnet(saved):
    frame = np.zeros(FRAME_SHAPE, np.uint8)
    frame[: bc_model.CROP_TOP_ROWS] = 255
    frame[-bc_model.CROP_BOTTOM_ROWS :] = 255
    assert view_of(saved[0]).predict_on_batch(frame[None]).max() == 0
    frame[bc_model.CROP_TOP_ROWS] = 255
    assert view_of(saved[0]).predict_on_batch(frame[None]).max() > 0


def test_view_key_changes_with_the_crop_and_not_with_the_name(saved, monkeypatch):
    key = view_key(saved[0])
    assert view_key(build_model("original")) == key
    monkeypatch.setattr(bc_model, "CROP_TOP_ROWS", 60)
    assert view_key(build_model("default")) != key


def test_training_the_network_changes_the_model(rng):
    model = build_model("default")
    network = network_of(model)
    network.compile(optimizer="adam", loss="mse")
    before = model.get_layer("conv1").get_weights()[0].copy()
    views = rng.integers(0, 256, (4, 66, 200, 3), dtype=np.uint8)
    network.train_on_batch(views, np.ones((4, 1), np.float32))
    assert np.abs(model.get_layer("conv1").get_weights()[0] - before).max() > 0


def test_saved_model_predicts_the_same_after_loading(saved, frames):
    model, folder = saved
    loaded = load_model(folder / "model.json")
    np.testing.assert_array_equal(
        loaded.predict_on_batch(frames), model.predict_on_batch(frames)
    )


def test_predictor_equals_predict(saved, frames):
    model, _ = saved
    expected = model.predict(frames, verbose=0)[:, 0]
    predict = make_predictor(model)
    # One frame and a batch of four may sum in another order: float32 rounding.
    np.testing.assert_allclose([predict(f) for f in frames], expected, rtol=1e-4)


def test_weights_of_a_whole_h5_model_load(saved, frames, tmp_path):
    model, folder = saved
    path = edited(folder, tmp_path, lambda document: None)
    (tmp_path / "model.weights.h5").unlink()
    model.save(tmp_path / "model.h5")
    loaded = load_model(path)
    np.testing.assert_array_equal(
        loaded.predict_on_batch(frames), model.predict_on_batch(frames)
    )


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
        (damage_json_is_weights, "model.json: not JSON"),
        (damage_json_of_something_else, "not of a Keras model"),
        (damage_weights_cut, "model.weights.h5: the file is damaged or cut off"),
        (damage_weights_empty, "model.weights.h5: not an HDF5 file"),
        (damage_weights_are_a_pointer, "is it a Git LFS pointer"),
        (damage_weights_of_another_model, "do not belong to"),
        (damage_model_of_old_keras, "model.json: refused"),
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
    with pytest.raises(InputError, match="crop, resize and scaling must be its layers"):
        load_model(path)


def test_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="'big', expected one of original, default"):
        build_model("big")


def test_summary_of_a_preset_and_of_a_file(saved, capsys):
    assert main(["--preset", "original"]) == 0
    assert "1,601,751" in capsys.readouterr().out
    assert main([str(saved[1] / "model.json")]) == 0
    assert f"{saved[0].count_params():,}" in capsys.readouterr().out
    assert main([str(saved[1] / "none.json")]) == 1
    assert "no such file" in capsys.readouterr().err
