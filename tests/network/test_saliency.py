"""VisualBackProp: heat lies on what the network reacts to, and only where it sees."""

import keras
import numpy as np
import pytest

from common.errors import InputError
from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, build_model
from network.saliency import make_saliency, overlay, visual_back_prop


def edge_model():
    """A chain whose convolutions react to what is brighter than its left neighbour."""
    frame = keras.Input((160, 320, 3), dtype="uint8")
    crop = ((CROP_TOP_ROWS, CROP_BOTTOM_ROWS), (0, 0))
    x = keras.layers.Cropping2D(crop, dtype="uint8", name="crop")(frame)
    x = keras.layers.Resizing(66, 200, dtype="uint8", name="view")(x)
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(x)
    edges = np.zeros((3, 3, 3, 1), np.float32)
    edges[:, 0], edges[:, 2] = -1, 1
    x = keras.layers.Conv2D(1, 3, 2, use_bias=False, name="edges")(x)
    x = keras.layers.ELU()(x)
    x = keras.layers.Conv2D(1, 3, 2, use_bias=False, name="sums")(x)
    x = keras.layers.ELU()(x)
    steering = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    model = keras.Model(frame, steering)
    model.get_layer("edges").set_weights([edges])
    model.get_layer("sums").set_weights([np.ones((3, 3, 1, 1), np.float32)])
    return model


@pytest.mark.parametrize("column", [60, 160, 290])
def test_the_heat_lies_on_the_line_that_the_network_reacts_to(column):
    frame = np.full((160, 320, 3), 40, np.uint8)
    frame[:, column : column + 6] = 250
    heat = make_saliency(edge_model())(frame)
    assert heat.shape == (160, 320) and heat.dtype == np.float32
    near = heat[:, column - 16 : column + 22].sum()
    assert near > 0.95 * heat.sum() > 0


def test_nothing_is_hot_where_the_network_does_not_see(rng):
    frame = rng.integers(0, 256, (160, 320, 3), dtype=np.uint8)
    heat = make_saliency(build_model())(frame)
    assert not heat[:CROP_TOP_ROWS].any() and not heat[160 - CROP_BOTTOM_ROWS :].any()
    assert heat.min() >= 0 and 0.5 < heat.max() <= 1


def test_one_map_is_spread_over_what_its_kernel_saw():
    average = np.zeros((3, 4), np.float32)
    average[1, 2] = 2
    heat = visual_back_prop([average], [((5, 5), (2, 2))], (10, 12))
    expected = np.zeros((10, 12))
    expected[2:7, 4:9] = 1
    np.testing.assert_array_equal(heat, expected)


def test_a_frame_without_features_is_cold():
    maps = [np.zeros((3, 4), np.float32), np.zeros((1, 2), np.float32)]
    shapes = [((3, 3), (1, 1)), ((3, 3), (1, 1))]
    assert not visual_back_prop(maps, shapes, (5, 6)).any()


def test_overlay_leaves_the_frame_where_it_is_cold(rng):
    frame = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    heat = np.zeros((4, 6), np.float32)
    np.testing.assert_array_equal(overlay(frame, heat), frame)
    heat[1, 2] = 1
    changed = (overlay(frame, heat) != frame).any(axis=2)
    assert changed[1, 2] and changed.sum() == 1


def test_a_model_that_does_not_crop_is_refused():
    frame = keras.Input((160, 320, 3), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Conv2D(1, 9, 9)(frame))
    with pytest.raises(InputError, match="'crop' and 'view'"):
        make_saliency(keras.Model(frame, keras.layers.Dense(1)(x)))


def odd_crop(x):
    x = keras.layers.Conv2D(1, 3, name="crop")(x)
    return keras.layers.Conv2D(1, 3, name="view")(x)


def shared_layer(x):
    x = keras.layers.Resizing(66, 200, name="view")(
        keras.layers.Cropping2D(name="crop")(x)
    )
    layer = keras.layers.Conv2D(3, 3, padding="same")
    return layer(layer(x))


def wide_kernel(x):
    x = keras.layers.Resizing(66, 200, name="view")(
        keras.layers.Cropping2D(name="crop")(x)
    )
    return keras.layers.Conv2D(1, (66, 200))(x)


@pytest.mark.parametrize("make", [odd_crop, shared_layer, wide_kernel])
def test_model_of_another_kind_is_not_looked_into(make):
    frame = keras.Input((160, 320, 3), dtype="uint8")
    x = make(keras.layers.Rescaling(1.0)(frame))
    steering = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(InputError, match=r"expected (a model of|at most)"):
        make_saliency(keras.Model(frame, steering))
