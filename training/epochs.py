"""The training loop: the epochs, the best weights so far, and how a run is stopped."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np
from tqdm import tqdm

from common.errors import NonFiniteLossError
from model import network_of
from network.files import save_weights
from training.batches import Batches, TrainingSet, reprojected
from training.run_folder import Progress, load_state, save_state, write_history
from training.view_cache import FrameCache

if TYPE_CHECKING:
    from training.selection import DrivingTest
    from training.settings import Settings


# What makes the draws of validation other than those of any epoch.
VALIDATION_STREAM = 2**32 - 1
# Always full batches of this: another size would be compiled anew.
PREDICTION_SIZE = 256


def predict(network: keras.Model, cache: FrameCache, rows: np.ndarray) -> np.ndarray:
    """Return the steering that a network gives for cached views, batch by batch.

    Args:
        network: model.network_of a model.
        cache: of that model's views.
        rows: int (n,), places in the cache.

    Returns:
        float32 (n,), not clipped.
    """
    parts = [
        _predict_part(network, cache.gather(rows[start : start + PREDICTION_SIZE]))
        for start in range(0, len(rows), PREDICTION_SIZE)
    ]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _predict_part(network: keras.Model, views: np.ndarray) -> np.ndarray:
    """Return the steering for at most PREDICTION_SIZE views."""
    full = np.zeros((PREDICTION_SIZE, *views.shape[1:]), np.uint8)
    full[: len(views)] = views
    return network.predict_on_batch(full)[: len(views), 0]


def validation_loss(
    network: keras.Model,
    validation: TrainingSet,
    settings: Settings,
    worker: int = 0,
    num_workers: int = 1,
) -> float:
    """Return the weighted mean square error on samples that are not trained on.

    The views are moved beside their path as in training, at places that are the same in
    every epoch, but not augmented. On unmoved ones the error is least for a network
    that has hardly begun to steer back (docs/experiments.md).

    Args:
        network: gives the steering.
        validation: the samples.
        settings: of the run.
        worker: 0 to num_workers - 1; returns this one's part of the sum.
        num_workers: that share the samples, PREDICTION_SIZE at a time.
    """
    total = 0.0
    first, step = worker * PREDICTION_SIZE, num_workers * PREDICTION_SIZE
    for start in range(first, len(validation.steering), step):
        rows = np.arange(start, min(start + PREDICTION_SIZE, len(validation.steering)))
        if settings.recovery == "reproject":
            rng = np.random.default_rng([settings.seed, VALIDATION_STREAM, start])
            views, steering = reprojected(validation, rows, settings, rng)
        else:
            views = validation.cache.gather(validation.positions[rows, 0])
            steering = validation.steering[rows]
        error = np.square(_predict_part(network, views) - steering)
        total += float((validation.loss_weights[rows] * error).sum())
    return total / len(validation.steering)


# --- Epochs ---------------------------------------------------------------------------


class Interruption:
    """Turns Ctrl-C and SIGTERM into a request that is honoured after the batch."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Interruption:
        self._previous = {
            number: signal.signal(number, self._request)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("stopping after this batch; once more to stop at once", file=sys.stderr)


def with_habits(network: keras.Model, num_recordings: int) -> keras.Model:
    """Return what is trained: the network, and how far right each driver keeps.

    Mirrored frames alone would teach a driver who keeps right to keep left as well, and
    the network settles in between. The habits are of use in training only, and no
    measure of the driver: what the network itself finds different about mirrored frames
    goes into them as well.

    Args:
        network: model.network_of a model; shares its weights with what is returned.
        num_recordings: whose habits are learnt.

    Returns:
        Of views and the habits of Batches (n, num_recordings), to steering (n, 1).
    """
    mirrored = keras.Input((num_recordings,), name="mirrored")
    habit = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", name="habit"
    )
    steering = keras.layers.Add()([network.output, habit(mirrored)])
    return keras.Model([network.input, mirrored], steering, name="with_habits")


def compile_network(network: keras.Model, settings: Settings, num_batches: int) -> None:
    """Set optimizer, learning-rate schedule and the mean square error loss."""
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        num_steps = settings.epochs * num_batches
        rate = keras.optimizers.schedules.CosineDecay(rate, num_steps, alpha=0.01)
    network.compile(optimizer=keras.optimizers.Adam(rate), loss="mse")
    # Built now and not in the first step, so that a saved state can be put back.
    network.optimizer.build(network.trainable_variables)


def check_finite(loss: float, batches: Batches, batch: int, title: str) -> None:
    """Refuse to go on with a loss that says nothing any more.

    Args:
        loss: of a batch.
        batches: of the epoch.
        batch: which one, from 0.
        title: of the epoch.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite.
    """
    if not np.isfinite(loss):
        raise NonFiniteLossError(
            f"{title}, batch {batch + 1}: the loss is {loss}, expected a finite "
            f"number; its samples are rows {batches.rows_of(batch)}; the best weights "
            "so far are kept; try a lower --learning-rate"
        )


def fit_epoch(
    network: keras.Model, batches: Batches, title: str, interruption: Interruption
) -> tuple[float, float]:
    """Train on the batches of one epoch, with a progress bar on a terminal.

    Returns:
        The mean loss, and the rate in samples/s.

    Raises:
        NonFiniteLossError: the loss of a batch is NaN or infinite.
    """
    num_samples = 0
    # disable=None shows the bar on a terminal only.
    bar = tqdm(
        total=len(batches) * batches.settings.batch_size,
        desc=title,
        unit=" samples",
        leave=False,
        disable=None,
    )

    def after_batch(batch: int, logs: dict[str, float]) -> None:
        nonlocal num_samples
        check_finite(logs["loss"], batches, batch, title)
        num_samples += batches.settings.batch_size
        bar.update(batches.settings.batch_size)
        bar.set_postfix(loss=f"{logs['loss']:.4f}", refresh=False)
        network.stop_training = interruption.requested

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=after_batch)
    started = time.perf_counter()
    with bar:
        fitted = network.fit(batches, verbose=0, callbacks=[watch], shuffle=False)
    return fitted.history["loss"][0], num_samples / (time.perf_counter() - started)


def fit(
    folder: Path,
    model: keras.Model,
    training_set: TrainingSet,
    validation: TrainingSet,
    settings: Settings,
    interruption: Interruption,
    driving_test: DrivingTest | None = None,
    after_epoch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train until the last epoch, until patience ends, or until interrupted.

    Args:
        folder: of the run; its state is taken up where there is one.
        model: of the run, with the weights that it starts from.
        training_set: what to draw batches from.
        validation: what the weights are chosen by.
        settings: of the run.
        interruption: asked after every batch.
        driving_test: what the weights are chosen by instead of the validation loss.
        after_epoch: told of every whole epoch; what it raises ends the run.

    Returns:
        The progress; the best weights are in the folder.
    """
    num_batches = batches_per_epoch(training_set, settings)
    # The cores are busy with the network; OpenCV's threads would only take turns.
    cv2.setNumThreads(1)
    network = network_of(model)
    trained = with_habits(network, len(training_set.recordings))
    compile_network(trained, settings, num_batches)
    progress = load_state(folder, trained)
    if settings.must_beat_start and not progress.epoch:
        # Fine-tuning must beat the model it starts from, or that one is kept.
        before = driving_test(network.predict_on_batch) if driving_test else None
        progress.set_bar(validation_loss(network, validation, settings), before)
    started, first_epoch = time.perf_counter(), progress.epoch
    while not (is_finished(progress, settings) or interruption.requested):
        batches = Batches(training_set, settings, progress.epoch, num_batches)
        title = f"epoch {progress.epoch + 1:02d}/{settings.epochs:02d}"
        loss, rate = fit_epoch(trained, batches, title, interruption)
        if interruption.requested and (progress.epoch or settings.must_beat_start):
            break  # What is kept is of whole epochs, as --resume takes it to be.
        val_loss = validation_loss(network, validation, settings)
        driving = driving_test(network.predict_on_batch) if driving_test else None
        if progress.add(loss, val_loss, driving):
            save_weights(model, folder)
        if not interruption.requested:
            # An epoch cut short is no part of the state: --resume does it whole.
            write_history(folder, progress)
            save_state(folder, trained, progress)
        per_epoch_s = (time.perf_counter() - started) / (progress.epoch - first_epoch)
        print(epoch_line(progress, settings, rate, per_epoch_s), flush=True)
        if after_epoch and not interruption.requested:
            after_epoch(progress)
    return progress


def batches_per_epoch(training_set: TrainingSet, settings: Settings) -> int:
    """Return what is set, or as many as the frames of all cameras fill."""
    num_frames = int((training_set.positions >= 0).sum())
    return settings.steps_per_epoch or math.ceil(num_frames / settings.batch_size)


def epoch_line(
    progress: Progress, settings: Settings, rate: float, per_epoch_s: float
) -> str:
    """Return the line that tells of the last epoch.

    Args:
        progress: with at least one epoch.
        settings: of the run.
        rate: of training in that epoch, samples/s.
        per_epoch_s: mean time of an epoch, validation and all.
    """
    row, left = progress.history[-1], settings.epochs - progress.epoch
    cells = [
        f"epoch {progress.epoch:02d}/{settings.epochs:02d}",
        f"loss {row['loss']:.4f}",
        f"val_loss {row['val_loss']:.4f}",
    ]
    if "rms_m" in row:
        cells.append(
            f"{row['interventions_per_min']:.1f} interventions/min, "
            f"RMS {row['rms_m']:.2f} m"
        )
    cells += [f"{rate:,.0f} samples/s", f"eta {left * per_epoch_s / 60:.1f} min"]
    return " | ".join(cells)


def is_finished(progress: Progress, settings: Settings) -> bool:
    """Say whether a run has seen its last epoch, or its patience has ended."""
    patience_ended = 0 < settings.patience <= progress.epochs_since_best
    return patience_ended or progress.epoch >= settings.epochs
