"""The losses of a run as TensorBoard reads them."""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Sequence
from pathlib import Path

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
    """Append the losses of the epochs that are not yet in the events of a folder.

    Keras's own callback is no help: it begins anew with each call of `fit`, and that is
    called once an epoch, so that a run can be stopped and resumed in between.

    Source: TensorBoard's event files are records of Event messages, each framed by its
    length and checksums, and the first of them the version of the format.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = folder / "events.out.tfevents.0.run"
    is_new = not path.exists()
    # The first time all that there is: a run may be followed from its middle on.
    rows = history if is_new else history[-1:]
    events = [Event(wall_time=time.time(), file_version="brain.Event:2")] * is_new
    for row in rows:
        values = [
            Summary.Value(tag="loss/training", simple_value=row["loss"]),
            Summary.Value(tag="loss/validation", simple_value=row["val_loss"]),
        ]
        summary, epoch = Summary(value=values), int(row["epoch"])
        events.append(Event(wall_time=time.time(), step=epoch, summary=summary))
    records = io.BytesIO()
    writer = RecordWriter(records)
    for event in events:
        writer.write(event.SerializeToString())
    with path.open("ab", buffering=0) as file:
        # One write: a run killed meanwhile leaves no part of a record behind.
        file.write(records.getvalue())
