"""Batch normalization and Adam in one kernel each, while a network is trained.

Keras on TensorFlow finds mean and variance, normalizes, and goes back, by a dozen
operations that each read and write all values: a quarter of the time of a step. Here
one kernel goes there, and one goes back. The variables are those of the network's own
layers, and so are the moving averages; what is saved knows nothing of it.

Source: Ioffe and Szegedy 2015, arXiv 1502.03167; Kingma and Ba 2015, arXiv 1412.6980.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

# oneDNN's kernel for 24 channels, those of the first convolution, takes five times as
# long when 16 pixels or more follow on each other. The sums do not depend on the shape,
# so that pixels are handed over as images of a few.
MOST_PIXELS = 8


class FusedNormalization(layers.Layer):
    """Computes what a BatchNormalization does in training, on its variables.

    Args:
        plain: The layer that it stands for; it computes wherever nothing is trained.
    """

    def __init__(self, plain: layers.BatchNormalization) -> None:
        super().__init__(name=plain.name)
        self.plain = plain

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,  # noqa: ARG002 - Keras hands it over
    ) -> tf.Tensor:
        """Normalize a batch (n, ..., c), float32, over all but its last axis."""
        plain = self.plain
        if not (training and plain.trainable):
            return plain(inputs, training=training)
        pixels = tf.reshape(inputs, _as_small_images(inputs.shape))
        found = tf.raw_ops.FusedBatchNormV3(
            x=pixels,
            scale=plain.gamma.value,
            offset=plain.beta.value,
            mean=[],
            variance=[],
            epsilon=plain.epsilon,
            is_training=True,
        )
        # The kernel estimates the variance of all pixels there are, Keras takes that
        # of the batch.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        variance = found.batch_variance * (count - 1) / count
        for moving, now in (
            (plain.moving_mean, found.batch_mean),
            (plain.moving_variance, variance),
        ):
            moving.assign(moving * plain.momentum + now * (1 - plain.momentum))
        return tf.reshape(found.y, tf.shape(inputs))


def _as_small_images(shape: tf.TensorShape) -> tuple[int, int, int, int]:
    """Return the shape (-1, pixels, 1, c) for a batch of the shape (n, ..., c)."""
    num_pixels = shape[1:-1].num_elements() or 1
    few = max(k for k in range(1, MOST_PIXELS + 1) if num_pixels % k == 0)
    return -1, few, 1, shape[-1]


def fused_network(network: keras.Model) -> keras.Model:
    """Return a network on the same weights that normalizes batches in one kernel.

    Layers of another kind of batch normalization stay as they are.
    """

    def fused(layer: layers.Layer) -> layers.Layer:
        return FusedNormalization(layer) if _can_be_fused(layer) else layer

    return keras.models.clone_model(network, clone_function=fused)


def _can_be_fused(layer: layers.Layer) -> bool:
    return (
        type(layer) is layers.BatchNormalization
        and layer.axis in (-1, len(layer.input.shape) - 1)
        and all(layer.input.shape[1:])
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
        and layer.compute_dtype == layer.variable_dtype == "float32"
    )


class FusedAdam(keras.optimizers.Adam):
    """Adam by one operation for each variable instead of ten.

    The arithmetic is that of Keras. What is saved here is half of the time that the
    first step takes, in which TensorFlow puts the graph in order.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Take a step with one variable, as Keras asks of an optimizer."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
