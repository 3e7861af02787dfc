"""What the loop of train.py is made of: what is trained, one epoch of it, its loss."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from common.bar import Bar, say_beside
from common.errors import NonFiniteLossError
from common.text import wrapped
from training.batches import Batches, draw_places, prefetched, reprojected
from training.fused import FusedAdam, fused_network
from training.losses import bend_error, both_errors, steering_error
from training.progress import Progress
from training.samples import TrainingSet
from training.selection import Driving, DrivingTest
from training.settings import Settings
from training.view_cache import ViewCache

# What makes the draws of validation other than those of any epoch.
VALIDATION_STREAM = 2**32 - 1
# So many views are gathered, or moved, at a time.
PREDICTION_SIZE = 256
# And so many computed, always: another size would be compiled anew. Larger ones are no
# quicker, and of the last one more is empty.
COMPUTED_SIZE = 64


@contextlib.contextmanager
def partly_of(
    network: keras.Model, start: Sequence[np.ndarray | None], share: float
) -> Iterator[None]:
    """Give a network, within the block, weights between its start and what it learnt.

    Args:
        start: The weights that it began with, as get_weights returns them; None in the
            place of those that were new, of which nothing is worth keeping.
        share: How much of them it has, [0, 1); the rest is of its own.
    """
    if not share:
        yield
        return
    learnt = network.get_weights()
    mixed = [
        new if old is None else share * old + (1 - share) * new
        for old, new in zip(start, learnt, strict=True)
    ]
    network.set_weights(mixed)
    try:
        yield
    finally:
        network.set_weights(learnt)


def start_of(network: keras.Model) -> list[np.ndarray | None]:
    """Return the weights that a network begins with, for partly_of.

    Those of a bend that it has never been taught are None.
    """
    start: list[np.ndarray | None] = list(network.get_weights())
    names = [layer.name for layer in network.layers]
    if "bend" not in names or network.get_layer("bend").get_weights()[0].any():
        return start
    new = {
        id(weight)
        for layer in network.layers
        if layer.name.startswith("bend")
        for weight in layer.weights
    }
    return [
        None if id(weight) in new else value
        for weight, value in zip(network.weights, start, strict=True)
    ]


def predict(network: keras.Model, cache: ViewCache, rows: np.ndarray) -> np.ndarray:
    """Return what a network answers for cached views, batch by batch.

    Args:
        network: What model.network_of returns for a model.
        rows: int (n,), places in the cache.

    Returns:
        float32 (n, 1), steering, not clipped; or (n, 2), the bend beside it.
    """
    parts = [
        _predict_part(network, cache.gather(rows[start : start + PREDICTION_SIZE]))
        for start in range(0, len(rows), PREDICTION_SIZE)
    ]
    nothing = np.empty((0, network.output_shape[1]), np.float32)
    return np.concatenate([nothing, *parts])


def _predict_part(network: keras.Model, views: np.ndarray) -> np.ndarray:
    """Return what is answered for at most PREDICTION_SIZE views, as predict does."""
    num = len(views)
    if rest := -num % COMPUTED_SIZE:
        views = np.pad(views, [(0, rest), (0, 0), (0, 0), (0, 0)])
    parts = [
        network.predict_on_batch(views[start : start + COMPUTED_SIZE])
        for start in range(0, len(views), COMPUTED_SIZE)
    ]
    return np.concatenate(parts)[:num]


def validation_loss(
    network: keras.Model,
    validation: TrainingSet,
    settings: Settings,
    worker: int = 0,
    num_workers: int = 1,
) -> float:
    """Return the mean square error on samples that are not trained on.

    That of the steering; of the bend, where that is all that is taught.

    The views are moved beside their path as in training, at places that are the same in
    every epoch, but not augmented. On unmoved ones the error is least for a network
    that has hardly begun to steer back (docs/experiments.md).

    Args:
        worker: Which worker this is, from 0; its part of the sum is returned.
        num_workers: How many share the samples, PREDICTION_SIZE at a time.
    """
    total = 0.0
    first, step = worker * PREDICTION_SIZE, num_workers * PREDICTION_SIZE
    for start in range(first, len(validation.steering), step):
        rows = np.arange(start, min(start + PREDICTION_SIZE, len(validation.steering)))
        if settings.recovery == "reproject":
            rng = np.random.default_rng([settings.seed, VALIDATION_STREAM, start])
            places = draw_places(len(rows), settings, rng)
            views, steering = reprojected(validation, rows, places, settings)
        else:
            views = validation.cache.gather(validation.positions[rows, 0])
            steering = validation.steering[rows]
        answers = _predict_part(network, views)
        if settings.keep_steering:
            error = ops.convert_to_numpy(
                bend_error(validation.taught(rows, steering), answers)
            )
        else:
            error = np.square(answers[:, 0] - steering)
        total += float(error.sum())
    return total / len(validation.steering)


# --- What is trained ------------------------------------------------------------------


def with_habits(network: keras.Model, num_recordings: int) -> keras.Model:
    """Return what is trained: the network, and how far right each driver keeps.

    Mirrored frames alone would teach a driver who keeps right to keep left as well, and
    the network settles in between. The habits are of use in training only, and no
    measure of the driver: what the network itself finds different about mirrored frames
    goes into them as well.

    Args:
        network: What model.network_of returns for a model. Its weights are shared.

    Returns:
        A model of views and of the habits that Batches gives (n, num_recordings), to
        what the network gives, the habit added to the steering.
    """
    mirrored = keras.Input((num_recordings,), name="mirrored")
    habit = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", name="habit"
    )
    added = habit(mirrored)
    if network.output_shape[1] == 2:
        # A bend is the same in a mirror.
        added = keras.layers.Concatenate()([added, keras.layers.Rescaling(0.0)(added)])
    answer = keras.layers.Add()([network.output, added])
    return keras.Model([network.input, mirrored], answer, name="with_habits")


def compile_network(network: keras.Model, settings: Settings, num_batches: int) -> None:
    """Set optimizer, learning-rate schedule and loss: the mean square error.

    Where a bend is taught too, its error is weighed, and that of the steering is named
    beside the loss.
    """
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        num_steps = settings.epochs * num_batches
        rate = keras.optimizers.schedules.CosineDecay(rate, num_steps, alpha=0.01)
    optimizer = FusedAdam(rate)
    if network.output_shape[1] == 1:
        network.compile(optimizer=optimizer, loss="mse")
    elif settings.keep_steering:
        network.compile(optimizer=optimizer, loss=bend_error)
    else:
        loss = both_errors(settings.bend_weight)
        network.compile(optimizer=optimizer, loss=loss, metrics=[steering_error])
        # Keras would make the metric in the first step, and then trace that step again.
        nothing = keras.ops.zeros((1, *network.output_shape[1:]))
        network.compute_metrics(None, nothing, nothing)
        network.reset_metrics()
    # Built now and not in the first step, so that a saved state can be put back.
    network.optimizer.build(network.trainable_variables)


def check_finite(loss: float, batches: Batches, batch: int, title: str) -> None:
    """Refuse to go on with a batch's loss that says nothing any more.

    Raises:
        NonFiniteLossError: The loss is NaN or infinite.
    """
    if not np.isfinite(loss):
        raise NonFiniteLossError(
            f"{title}, batch {batch + 1}: the loss is {loss}, expected a finite "
            f"number; its samples are rows {batches.rows_of(batch)}; the best weights "
            "so far are kept; try a lower --learning-rate"
        )


def batches_per_epoch(training_set: TrainingSet, settings: Settings) -> int:
    """Return the batches that are set, or as many as the frames of all cameras fill."""
    num_frames = int((training_set.positions >= 0).sum())
    return settings.steps_per_epoch or math.ceil(num_frames / settings.batch_size)


def epoch_line(
    progress: Progress, settings: Settings, samples_per_s: float, per_epoch_s: float
) -> str:
    """Return the line that tells of the last epoch.

    Args:
        samples_per_s: How fast that epoch was trained.
        per_epoch_s: Mean time of an epoch, validation and all, in seconds.
    """
    row, left = progress.history[-1], settings.epochs - progress.epoch
    cells = [
        f"epoch {progress.epoch:02d}/{settings.epochs:02d}",
        f"loss {row['loss']:.4f}",
        f"val_loss {row['val_loss']:.4f}",
    ]
    if "rms_m" in row:
        interventions = f"{row['interventions_per_min']:.1f} interventions/min"
        cells.append(f"{interventions}, RMS {row['rms_m']:.2f} m")
    eta = f"eta {left * per_epoch_s / 60:.1f} min"
    return wrapped(" | ".join([*cells, f"{samples_per_s:,.0f} samples/s", eta]))


def is_finished(progress: Progress, settings: Settings) -> bool:
    """Say whether a run has seen its last epoch, or its patience has ended."""
    patience_ended = 0 < settings.patience <= progress.epochs_since_best
    return patience_ended or progress.epoch >= settings.epochs


# --- One epoch ------------------------------------------------------------------------


class Interruption:
    """Turns Ctrl-C and SIGTERM into a request that is honoured after the batch."""

    def __init__(self) -> None:
        self.requested = False
        """Whether the run is to end."""

    def __enter__(self) -> None:
        self._previous = {
            number: signal.signal(number, self._request)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        say_beside("stopping after this batch; once more to stop at once")


class OneProcess(Interruption):
    """Computes a run in this process: the usual engine of train.run.

    As a context it watches for Ctrl-C, which ends an epoch after the batch.
    """

    is_chief = True
    """Whether this process writes the run's files and speaks for it."""

    def say(self, line: str) -> None:
        """Show a line to the user."""
        print(line, flush=True)

    def share(self, batch_size: int) -> slice:
        """Return which samples of every batch are made here."""
        return slice(0, batch_size)

    def prepare(self, network: keras.Model) -> keras.Model:
        """Return the network as it is trained here, on the same weights."""
        return fused_network(network)

    def train_epoch(
        self, network: keras.Model, batches: Batches, title: str
    ) -> tuple[float, float, bool]:
        """Train on the batches of one epoch.

        Args:
            network: What `prepare` has returned, compiled.
            title: What the bar and an error call the epoch.

        Returns:
            The mean loss of what is validated, samples/s, and whether it was
            interrupted and cut short.

        Raises:
            NonFiniteLossError: The loss of a batch is NaN or infinite.
        """
        batch_size = batches.settings.batch_size
        losses: list[float] = []
        started_s = time.perf_counter()
        bar = Bar(title, len(batches) * batch_size, "samples")
        with bar, contextlib.closing(prefetched(batches)) as coming:
            for inputs, taught in coming:
                found = network.train_on_batch(inputs, taught, return_dict=True)
                check_finite(found["loss"], batches, len(losses), title)
                # Beside a loss of both that of the steering is named.
                losses.append(found.get(steering_error.__name__, found["loss"]))
                bar.to(len(losses) * batch_size, f"loss {np.mean(losses):.4f}")
                if self.requested:
                    break
        samples_per_s = len(losses) * batch_size / (time.perf_counter() - started_s)
        return float(np.mean(losses)), samples_per_s, self.requested

    def validate(
        self,
        network: keras.Model,
        validation: TrainingSet,
        settings: Settings,
        driving_test: DrivingTest | None,
    ) -> tuple[float, Driving | None]:
        """Return the validation loss, and how the network drives if that is tested."""
        with Bar(f"validating on {len(validation.steering):,} samples"):
            val_loss = validation_loss(network, validation, settings)
            driving = driving_test(network.predict_on_batch) if driving_test else None
        return val_loss, driving
