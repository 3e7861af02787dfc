"""The network: its size and its one view of a frame."""

import numpy as np
import pytest
from printed import check_printed

from common.car import FRAME_SHAPE
from common.errors import InputError

keras = pytest.importorskip("keras")
import model as bc_model  # noqa: E402
from model import (  # noqa: E402
    PRESETS,
    build_model,
    main,
    make_predictor,
    network_of,
    view_key,
    view_of,
)


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


def test_predictor_equals_predict(saved, frames):
    model, _ = saved
    expected = model.predict(frames, verbose=0)[:, 0]
    predict = make_predictor(model)
    # One frame and a batch of four may sum in another order: float32 rounding.
    np.testing.assert_allclose([predict(f) for f in frames], expected, rtol=1e-4)


def test_unknown_preset_lists_the_known():
    with pytest.raises(InputError, match="'big', expected one of original, default"):
        build_model("big")


def test_summary_of_a_preset_and_of_a_file(saved, capsys):
    assert main(["--preset", "original"]) == 0
    said = capsys.readouterr().out
    assert "1,601,751" in said
    check_printed(said)
    assert main([str(saved[1] / "model.json")]) == 0
    assert f"{saved[0].count_params():,}" in capsys.readouterr().out
    assert main([str(saved[1] / "none.json")]) == 1
    assert "no such file" in capsys.readouterr().err
