"""Training on several workers at once: what each of them does, in step with the rest.

Each worker makes its share of every batch, and finds the gradients of it; their sum
over all workers is what one process would have found for the whole batch, and each
takes the same step with it. Batch normalization and dropout see the whole batch, too.
So the weights are those of one process, but for the order in which numbers are added.

The network is an ordinary one in every worker; only sums cross. They are made by
TensorFlow's collective operations, between processes that workers.py has Ray start.

Source: synchronous data parallelism, Goyal et al. 2017, arXiv 1706.02677.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from common.errors import InputError
from model import network_of
from network.files import save_weights
from training.batches import Batches, TrainingSet
from training.epochs import (
    batches_per_epoch,
    check_finite,
    compile_network,
    epoch_line,
    is_finished,
    validation_loss,
    with_habits,
)
from training.run_folder import Progress, load_state, save_state, write_history
from training.selection import Driving

if TYPE_CHECKING:
    from training.selection import DrivingTest
    from training.settings import Settings


class Team:
    """The workers of a run, as one of them sees them.

    Args:
        worker: which one this is, from 0, the chief.
        num_workers: how many there are; TF_CONFIG says where.
    """

    def __init__(self, worker: int, num_workers: int) -> None:
        self.worker = worker
        self.num_workers = num_workers
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # Workers that have not found each other would train a model each.
        assert self._strategy.num_replicas_in_sync == num_workers
        self._add_up = self.together(tf.identity)

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

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


# --- Layers that see the whole batch --------------------------------------------------


class SharedDropout(layers.Layer):
    """Drops of a share what a dropout of the whole batch would drop of it.

    Args:
        dropout: the layer that it stands for; both draw from one seed.
        team: whose batch it is.
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
        InputError: a layer draws at random, and is not a plain dropout.
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


# --- Epochs ---------------------------------------------------------------------------


def make_step(
    network: keras.Model, batch_size: int, team: Team
) -> Callable[..., tuple[float, bool]]:
    """Return a function that takes one step of training, in all workers together.

    It takes this worker's part of a batch, as Batches gives it, and whether it is to
    stop; it returns the loss of the whole batch, and whether any worker is to stop.
    """
    variables = network.trainable_variables
    sizes = [int(np.prod(variable.shape)) for variable in variables]

    def findings(inputs, steering, loss_weights, stop):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            error = network(list(inputs), training=True) - steering
            loss = tf.reduce_sum(loss_weights[:, None] * tf.square(error)) / batch_size
            # Of weights that are penalized for their size; no preset has such.
            loss += sum(network.losses) / team.num_workers
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        # One message instead of dozens: it is their number that costs time.
        return tf.concat([[loss, stop], *(tf.reshape(g, [-1]) for g in gradients)], 0)

    summed = team.together(findings)

    @tf.function
    def apply(flat: tf.Tensor) -> None:
        parts = tf.split(flat, sizes)
        gradients = [
            tf.reshape(part, variable.shape)
            for part, variable in zip(parts, variables, strict=True)
        ]
        network.optimizer.apply(gradients, variables)

    def step(
        inputs: tuple[np.ndarray, ...],
        steering: np.ndarray,
        loss_weights: np.ndarray,
        stop: bool,
    ) -> tuple[float, bool]:
        total = summed(inputs, steering, loss_weights, np.float32(stop))
        apply(total[2:])
        loss, stopping = total[:2].numpy()
        return float(loss), bool(stopping)

    return step


def prefetched(batches: Batches) -> Iterator[tuple[Any, ...]]:
    """Yield every batch; the next one is made while the last is trained on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(batches.__getitem__, 0)
        for following in range(1, len(batches) + 1):
            batch = coming.result()
            if following < len(batches):
                coming = pool.submit(batches.__getitem__, following)
            yield batch


def fit_epoch(
    step: Callable[..., tuple[float, bool]],
    batches: Batches,
    title: str,
    asked_to_stop: Callable[[], bool],
) -> tuple[float, float, bool]:
    """Train on the batches of one epoch, or fewer if a worker is asked to stop.

    Returns:
        The mean loss, the rate of all workers in samples/s, and whether to stop.

    Raises:
        NonFiniteLossError: the loss of a batch is NaN or infinite.
    """
    losses: list[float] = []
    stop, started = False, time.perf_counter()
    for batch in prefetched(batches):
        loss, stop = step(*batch, asked_to_stop())
        check_finite(loss, batches, len(losses), title)
        losses.append(loss)
        if stop:
            break
    num_samples = len(losses) * batches.settings.batch_size
    rate = num_samples / (time.perf_counter() - started)
    return float(np.mean(losses)), rate, stop


def validate(
    network: keras.Model,
    validation: TrainingSet,
    settings: Settings,
    driving_test: DrivingTest | None,
    team: Team,
) -> tuple[float, Driving | None]:
    """Return the validation loss, and how the network drives where that is asked for.

    Every worker takes its part of the loss; the chief alone drives, and tells.
    """
    part = validation_loss(network, validation, settings, team.worker, team.num_workers)
    (val_loss,) = team.add_up(part)
    if driving_test is None:
        return val_loss, None
    driving = Driving(0.0, 0.0)
    if team.is_chief:
        driving = driving_test(network.predict_on_batch)
    return val_loss, Driving(*team.add_up(*astuple(driving)))


def fit_in_step(
    folder: Path,
    model: keras.Model,
    training_set: TrainingSet,
    validation: TrainingSet,
    settings: Settings,
    driving_test: DrivingTest | None,
    team: Team,
    asked_to_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Progress:
    """Do what fitting.fit does, as one of several workers; the chief writes and speaks.

    Args:
        folder: of the run; its state is taken up where there is one.
        model: of the run, with the weights that it starts from.
        training_set: what to draw batches from.
        validation: what the weights are chosen by.
        settings: of the run.
        driving_test: what the weights are chosen by instead of the validation loss.
        team: of the workers.
        asked_to_stop: called before every batch; all stop if one is asked to.
        say: takes each line that is to be shown.

    Returns:
        The progress; the best weights are in the folder.
    """
    num_batches = batches_per_epoch(training_set, settings)
    cv2.setNumThreads(1)
    network = network_of(model)
    habitual = with_habits(network, len(training_set.recordings))
    trained = shared_network(habitual, team)
    compile_network(trained, settings, num_batches)
    progress = load_state(folder, trained)
    if team.is_chief and progress.epoch:
        say(f"going on after epoch {progress.epoch}")
    if settings.must_beat_start and not progress.epoch:
        progress.set_bar(*validate(network, validation, settings, driving_test, team))
    step = make_step(trained, settings.batch_size, team)
    share = team.share(settings.batch_size)
    stop, started, first_epoch = False, time.perf_counter(), progress.epoch
    while not (is_finished(progress, settings) or stop):
        batches = Batches(training_set, settings, progress.epoch, num_batches, share)
        title = f"epoch {progress.epoch + 1:02d}/{settings.epochs:02d}"
        loss, rate, stop = fit_epoch(step, batches, title, asked_to_stop)
        if stop and (progress.epoch or settings.must_beat_start):
            break  # What is kept is of whole epochs, as --resume takes it to be.
        is_best = progress.add(
            loss, *validate(network, validation, settings, driving_test, team)
        )
        if not team.is_chief:
            continue
        if is_best:
            save_weights(model, folder)
        if not stop:
            # An epoch cut short is no part of the state: --resume does it whole.
            write_history(folder, progress)
            save_state(folder, trained, progress)
        per_epoch_s = (time.perf_counter() - started) / (progress.epoch - first_epoch)
        say(epoch_line(progress, settings, rate, per_epoch_s))
    return progress
