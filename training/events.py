"""The losses of a run as TensorBoard reads them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from common.errors import InputError


def follow_with_tensorboard(folder: Path) -> None:
    """Let every epoch of a run be written for TensorBoard, from now on.

    Raises:
        InputError: The package tensorboard is missing; TensorFlow does not bring it.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard: tensorboard is not installed; "
            "pip install --group tensorboard"
        )
    (folder / "tensorboard").mkdir(exist_ok=True)


def write_events(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Write a file with the losses of the epochs that are not yet in a folder.

    Keras's own callback is no help: it begins anew with each call of `fit`, and that is
    called once an epoch, so that a run can be stopped and resumed in between. A file
    for each epoch: one that is cut off, as its run is killed, spoils no other.
    """
    v1 = tf.compat.v1  # The writer of today makes tensors, which are no scalars.
    # The first time all that there is: a run may be followed from its middle on.
    rows = history[-1:] if any(folder.iterdir()) else history
    with tf.Graph().as_default():  # In eager mode it would refuse to be made.
        name = f".{len(history):05d}"  # Two epochs may end in one second.
        writer = v1.summary.FileWriter(folder, filename_suffix=name)
    for row in rows:
        losses = {"loss/training": row["loss"], "loss/validation": row["val_loss"]}
        values = [v1.Summary.Value(tag=t, simple_value=v) for t, v in losses.items()]
        writer.add_summary(v1.Summary(value=values), row["epoch"])
    writer.close()
