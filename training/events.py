"""The losses of a run as TensorBoard reads them."""

from __future__ import annotations

import importlib.util
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from common.errors import InputError
from common.files import whole_file


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
    rows = history[-1:] if any(folder.glob("events.*")) else history
    now_s = time.time()
    events = [v1.Event(wall_time=now_s, file_version="brain.Event:2")]
    for row in rows:
        losses = {"loss/training": row["loss"], "loss/validation": row["val_loss"]}
        values = [v1.Summary.Value(tag=t, simple_value=v) for t, v in losses.items()]
        summary, step = v1.Summary(value=values), int(row["epoch"])
        events.append(v1.Event(wall_time=now_s, step=step, summary=summary))
    # Two epochs may end in one second.
    place = f"{now_s:010.0f}.{socket.gethostname()}.{len(history):05d}"
    # TensorFlow's own writer of events works in a thread, and says of no full disk.
    with (
        whole_file(folder / f"events.out.tfevents.{place}") as partial_path,
        tf.io.TFRecordWriter(str(partial_path)) as writer,
    ):
        for event in events:
            writer.write(event.SerializeToString())
