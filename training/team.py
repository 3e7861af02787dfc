"""Training on several workers at once: what each of them does, in step with the rest.

Each worker makes its share of every batch, and finds the gradients of it; their sum
over all workers is what one process would have found for the whole batch, and each
takes the same step with it. Batch normalization and dropout see the whole batch, too.
So the weights are those of one process, but for the order in which numbers are added.

The loop is that of train.py, with a Team for its engine. The network is an ordinary one
in every worker; only sums cross. They are made by TensorFlow's collective operations,
between processes that workers.py has Ray start.

Source: synchronous data parallelism, Goyal et al. 2017, arXiv 1706.02677.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.errors import InputError
from training.batches import Batches, prefetched
from training.epochs import check_finite, validation_loss
from training.losses import both_errors, steering_error
from training.samples import TrainingSet
from training.selection import Driving, DrivingTest
from training.settings import Settings

# Takes this worker's part of a batch, as Batches gives it, and whether it is to stop;
# returns the steering's loss of the whole batch, and whether any worker is to stop.
Step = Callable[..., tuple[float, bool]]


class Team:
    """The workers of a run as one of them sees them: an engine of train.run.

    Args:
        worker: Which worker this is, from 0, the chief.
        num_workers: How many there are; TF_CONFIG says where.
        is_asked_to_stop: Called before every batch; all stop if one is asked to.
        say: Takes each line that is to be shown.
    """

    def __init__(
        self,
        worker: int,
        num_workers: int,
        is_asked_to_stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self.worker, self.num_workers = worker, num_workers
        self._is_asked_to_stop, self._say = is_asked_to_stop, say
        self._step: Step | None = None
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # Workers that have not found each other would train a model each.
        assert self._strategy.num_replicas_in_sync == num_workers
        self._add_up = self.together(tf.identity)

    def __enter__(self) -> None:
        """Watch for nothing: the process that started the workers hears Ctrl-C."""

    def __exit__(self, *exception: object) -> None:
        pass

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run's files and speaks for it."""
        return self.worker == 0

    def say(self, line: str) -> None:
        """Show a line to the user, once for all workers."""
        if self.is_chief:
            self._say(line)

    def share(self, batch_size: int) -> slice:
        """Return which samples of every batch are this worker's."""
        size = batch_size // self.num_workers
        return slice(self.worker * size, (self.worker + 1) * size)

    def together(self, function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """Return the sum over all workers of what the function returns in each."""

        def summed(*inputs: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, function(*inputs))

        return tf.function(lambda *inputs: self._strategy.run(summed, inputs))

    def add_up(self, *values: float) -> list[float]:
        """Return the sums of some numbers over all workers."""
        return self._add_up(np.array(values)).numpy().tolist()

    def prepare(self, network: keras.Model) -> keras.Model:
        """Return the network as it is trained here, on the same weights.

        Raises:
            InputError: A layer draws at random, and is not a plain dropout.
        """
        return shared_network(network, self)

    def train_epoch(
        self, network: keras.Model, batches: Batches, title: str
    ) -> tuple[float, float, bool]:
        """Train on the batches of one epoch, in step with the other workers.

        As OneProcess does; the samples/s are those of all workers, and the epoch is cut
        short for all when one is asked to stop.
        """
        batch_size = batches.settings.batch_size
        bend_weight = batches.settings.bend_weight
        self._step = self._step or make_step(network, batch_size, bend_weight, self)
        losses: list[float] = []
        stop, started_s = False, time.perf_counter()
        for batch in prefetched(batches):
            loss, stop = self._step(*batch, self._is_asked_to_stop())
            check_finite(loss, batches, len(losses), title)
            losses.append(loss)
            if stop:
                break
        samples_per_s = len(losses) * batch_size / (time.perf_counter() - started_s)
        return float(np.mean(losses)), samples_per_s, stop

    def validate(
        self,
        network: keras.Model,
        validation: TrainingSet,
        settings: Settings,
        driving_test: DrivingTest | None,
    ) -> tuple[float, Driving | None]:
        """Return the validation loss, and how the network drives if that is tested.

        Every worker takes its part of the loss; the chief alone drives, and tells.
        """
        part = validation_loss(
            network, validation, settings, self.worker, self.num_workers
        )
        (val_loss,) = self.add_up(part)
        if driving_test is None:
            return val_loss, None
        driving = Driving(0.0, 0.0)
        if self.is_chief:
            driving = driving_test(network.predict_on_batch)
        return val_loss, Driving(*self.add_up(*astuple(driving)))


# --- Layers that see the whole batch --------------------------------------------------


class SharedDropout(layers.Layer):
    """Drops of a share what a dropout of the whole batch would drop of it.

    Args:
        dropout: The layer that it stands for; both draw from one seed.
        team: The workers that share the batch.
    """

    def __init__(self, dropout: layers.Dropout, team: Team) -> None:
        super().__init__(name=dropout.name)
        self.rate = dropout.rate
        self.seed_generator = dropout.seed_generator
        self._team = team

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        size = keras.ops.shape(inputs)[0]
        whole = keras.ops.ones((self._team.num_workers * size, *inputs.shape[1:]))
        kept = keras.random.dropout(whole, self.rate, seed=self.seed_generator)
        first = self._team.worker * size
        return inputs * kept[first : first + size]


def shared_network(network: keras.Model, team: Team) -> keras.Model:
    """Return a network on the same weights whose layers see the whole batch.

    Raises:
        InputError: A layer draws at random, and is not a plain dropout.
    """

    def shared(layer: layers.Layer) -> layers.Layer:
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = True
        if type(layer) is layers.Dropout:
            return SharedDropout(layer, team)
        if getattr(layer, "seed_generator", None) is not None:
            raise InputError(
                f"layer {layer.name} draws at random, which several workers cannot "
                "do as one would; train this model without --workers"
            )
        return layer

    return keras.models.clone_model(network, clone_function=shared)


# --- Steps ----------------------------------------------------------------------------


def make_step(
    network: keras.Model, batch_size: int, bend_weight: float, team: Team
) -> Step:
    """Return a function that takes one step of training, in all workers together."""
    errors = both_errors(bend_weight)
    variables = network.trainable_variables
    sizes = [int(np.prod(variable.shape)) for variable in variables]

    def findings(inputs, taught, stop):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            answered = network(list(inputs), training=True)
            told = tf.reduce_sum(steering_error(taught, answered)) / batch_size
            loss = tf.reduce_sum(errors(taught, answered)) / batch_size
            # Of weights that are penalized for their size; no preset has such.
            penalty = sum(network.losses) / team.num_workers
            loss += penalty
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        # One message instead of dozens: it is their number that costs time.
        head = [loss, told + penalty, stop]
        return tf.concat([head, *(tf.reshape(g, [-1]) for g in gradients)], 0)

    summed = team.together(findings)

    @tf.function
    def apply(flat: tf.Tensor) -> None:
        parts = zip(tf.split(flat, sizes), variables, strict=True)
        gradients = [tf.reshape(part, variable.shape) for part, variable in parts]
        network.optimizer.apply(gradients, variables)

    def step(
        inputs: tuple[np.ndarray, ...], taught: np.ndarray, stop: bool
    ) -> tuple[float, bool]:
        total = summed(inputs, taught, np.float32(stop))
        apply(total[3:])
        loss, told, stopping = total[:3].numpy()
        # What is told is the steering's; a bend's loss that is not finite is, too.
        return float(told if np.isfinite(loss) else loss), bool(stopping)

    return step
