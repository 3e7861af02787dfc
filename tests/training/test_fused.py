"""Batch normalization in one kernel: the same numbers as Keras's own layers give."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_sets import settings

from model import build_model, network_of, with_bend
from training.epochs import compile_network, with_habits
from training.fused import FusedAdam, FusedNormalization, fused_network

NUM_STEPS = 3


def a_network():
    keras.utils.set_random_seed(3)
    return with_habits(network_of(build_model("default")), 1)


def a_batch(rng, size=16):
    views = rng.integers(0, 256, (size, 66, 200, 3)).astype(np.uint8)
    return (views, np.zeros((size, 1), np.float32)), rng.normal(0, 0.2, (size, 1))


def num_fused(network):
    return sum(isinstance(layer, FusedNormalization) for layer in network.layers)


def gradients_of(network, inputs, steering):
    with tf.GradientTape() as tape:
        error = network(list(inputs), training=True) - steering.astype(np.float32)
        loss = tf.reduce_mean(tf.square(error))
    variables = [variable.value for variable in network.trainable_variables]
    return float(loss), [found.numpy() for found in tape.gradient(loss, variables)]


def test_loss_gradients_and_moving_averages_are_those_of_the_plain_layers(rng):
    inputs, steering = a_batch(rng)
    plain, other = a_network(), a_network()
    fused = fused_network(other)
    assert num_fused(fused) == 8
    loss, gradients = gradients_of(plain, inputs, steering)
    fused_loss, fused_gradients = gradients_of(fused, inputs, steering)
    assert fused_loss == pytest.approx(loss, abs=1e-5)
    # Sums of 50,000 numbers in single precision, in another order. Normalizing takes
    # the biases before it away, so that their gradients are nothing but rounding.
    largest = max(np.abs(found).max() for found in gradients)
    for one, two in zip(gradients, fused_gradients, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5 * largest)
    for one, two in zip(plain.variables, other.variables, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5, err_msg=one.path)


@pytest.mark.parametrize("shape", [(7, 5, 12, 24), (7, 6, 3), (7, 100), (64, 1, 1, 8)])
def test_a_layer_is_the_plain_one_whatever_its_shape(rng, shape):
    """With few rows the variance of the batch is far from the one estimated."""
    x = rng.normal(3, 2, shape).astype(np.float32)
    plain = keras.layers.BatchNormalization(momentum=0.5)
    plain.build(shape)
    plain.gamma.assign(rng.normal(1, 0.2, shape[-1]))
    before = plain.get_weights()
    expected = plain(x, training=True).numpy()
    averages = plain.get_weights()
    plain.set_weights(before)
    found = FusedNormalization(plain)(x, training=True)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(
        np.concatenate(plain.get_weights()), np.concatenate(averages), rtol=1e-5
    )


def test_training_comes_to_the_same_loss_and_the_network_itself_learns(rng):
    """In a compiled step, too; and it is the own weights that are trained."""
    losses, batch = [], a_batch(rng, size=64)
    for prepare in (lambda network: network, fused_network):
        own = a_network()
        before = own.get_weights()
        trained = prepare(own)
        compile_network(trained, settings(learning_rate=1e-3), 10)
        losses.append([trained.train_on_batch(*batch) for _ in range(NUM_STEPS)])
        changed = [
            not np.array_equal(*p) for p in zip(before, own.get_weights(), strict=True)
        ]
        # All but the habit, which nothing mirrored has asked for.
        assert sum(changed) == len(before) - 1
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-4)


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_the_step_is_traced_once(rng, num_outputs):
    """Whatever Keras makes on the way is there before; else it traces once more."""
    model = build_model("default")
    network = network_of(model if num_outputs == 1 else with_bend(model))
    trained = fused_network(with_habits(network, 1))
    compile_network(trained, settings(), 10)
    traced, step = [], trained.train_step

    def train_step(data):
        traced.append(data)
        return step(data)

    trained.train_step = train_step
    inputs, steering = a_batch(rng, size=8)
    taught = np.repeat(steering, num_outputs, axis=1).astype(np.float32)
    for _ in range(3):
        trained.train_on_batch(inputs, taught)
    assert len(traced) == 1


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_adam_takes_the_steps_of_keras(rng, schedule):
    """And keeps the same state, under the same names."""
    start, gradients = rng.normal(0, 1, 50), rng.normal(0, 1, (4, 50))
    gradients = np.float32(gradients * np.logspace(-6, 2, 50))
    found = []
    for kind in (keras.optimizers.Adam, FusedAdam):
        rate = 1e-2
        if schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, 6)
        variable = keras.Variable(start, dtype="float32", name="weight")
        optimizer = kind(rate)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
        state = [np.array(each) for each in optimizer.variables]
        found.append((np.array(variable), state))
    (plain, plain_state), (fused, fused_state) = found
    np.testing.assert_allclose(fused, plain, rtol=1e-5, atol=1e-7)
    for one, two in zip(plain_state, fused_state, strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-5)


def test_variables_have_the_order_in_which_a_state_is_saved():
    network = a_network()
    fused = fused_network(network)
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        paths = [variable.path for variable in getattr(network, kind)]
        assert [variable.path for variable in getattr(fused, kind)] == paths
        assert paths


def test_outside_training_and_where_frozen_the_plain_layer_computes(rng):
    network = a_network()
    inputs, _ = a_batch(rng)
    fused = fused_network(network)
    np.testing.assert_array_equal(fused(list(inputs)), network(list(inputs)))
    plain = network.get_layer("conv1_norm")
    plain.trainable = False
    before = plain.get_weights()
    fused(list(inputs), training=True)
    np.testing.assert_array_equal(np.stack(plain.get_weights()), np.stack(before))


@pytest.mark.parametrize(
    "other",
    [
        keras.layers.BatchNormalization(axis=1),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.BatchNormalization(synchronized=True),
        keras.layers.BatchNormalization(dtype="float64"),
        keras.layers.LayerNormalization(),
    ],
)
def test_other_normalizations_stay_as_they_are(other):
    x = keras.Input((4, 5, 6))
    assert num_fused(fused_network(keras.Model(x, other(x)))) == 0
