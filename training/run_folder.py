"""What a training run leaves in models/<name>/, and what it resumes from.

    model.json          the layers
    model.weights.h5    the weights with the best validation loss so far
    config.json         every setting, data fingerprints, versions, git commit
    history.csv         one row per epoch
    metrics.json        errors of the best weights, per recording, beside baselines
    loss.png            loss over epochs
    predictions.png     prediction against label on the validation samples
    state.npz           everything that --resume needs; removed by nobody
    tensorboard/        the losses as TensorBoard reads them, with --tensorboard
    .ray/               Ray's own notes while several workers train

Every file is written under another name and then renamed: whoever reads one, at any
moment, finds the old one or the new one, whole.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import MAX_STEERING_ANGLE_DEG
from common.errors import InputError
from common.files import write_bytes
from common.page import to_png

if TYPE_CHECKING:
    import keras
    import numpy as np

    from training.selection import Driving

RAY_NOTES = ".ray"


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config.json of a run.

    Raises:
        InputError: there is none, or it is not what train.py writes.
    """
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"{path}: no such run, expected what train.py wrote") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, and the git commit."""
    import cv2
    import keras
    import numpy as np

    backend = keras.backend.backend()
    engine = __import__(backend)
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "keras": keras.__version__,
        backend: engine.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "git_commit": _git_commit(),
    }


def _git_commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


@dataclass
class Progress:
    """How far a run has come, apart from its weights."""

    epoch: int = 0
    """Epochs completed."""
    best_val_loss: float = float("inf")
    best_penalty: float = float("inf")
    """Of what the weights are chosen by, the loss or the driving."""
    epochs_since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    """One dictionary per epoch, in order."""

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are kept; 0: those that the run began with."""
        return self.epoch - self.epochs_since_best

    def add(self, loss: float, val_loss: float, driving: Driving | None = None) -> bool:
        """Record an epoch; return whether it is the best so far.

        Args:
            loss: of training.
            val_loss: of validation; it decides, unless the driving does.
            driving: of the held-out stretches, None if the loss decides.
        """
        self.epoch += 1
        row = {"epoch": self.epoch, "loss": loss, "val_loss": val_loss}
        self.history.append(row | (asdict(driving) if driving else {}))
        penalty = driving.penalty if driving else val_loss
        is_best = penalty < self.best_penalty
        self.best_penalty = min(self.best_penalty, penalty)
        self.best_val_loss = min(self.best_val_loss, val_loss)
        self.epochs_since_best = 0 if is_best else self.epochs_since_best + 1
        return is_best

    def set_bar(self, val_loss: float, driving: Driving | None = None) -> None:
        """Let the model that is fine-tuned be what an epoch must beat to be kept."""
        self.best_val_loss = val_loss
        self.best_penalty = driving.penalty if driving else val_loss


def _state_variables(network: keras.Model) -> list[Any]:
    """Weights, seeds of the dropout and the optimizer's moments, in a fixed order."""
    return [*network.variables, *network.optimizer.variables]


def save_state(folder: Path, network: keras.Model, progress: Progress) -> None:
    """Write state.npz: the whole state of a run between two epochs."""
    import keras
    import numpy as np

    values = [keras.ops.convert_to_numpy(v) for v in _state_variables(network)]
    arrays = {f"variable_{i}": value for i, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, progress=json.dumps(vars(progress)), **arrays)
    write_bytes(folder / "state.npz", buffer.getvalue())


def load_state(folder: Path, network: keras.Model) -> Progress:
    """Put a network back to where save_state left it.

    Returns:
        The progress; a fresh one when the run was killed within its first epoch.
    """
    import numpy as np

    path = folder / "state.npz"
    if not path.is_file():
        return Progress()
    variables = _state_variables(network)
    with np.load(path, allow_pickle=False) as state:
        if len(state.files) != len(variables) + 1:
            raise InputError(
                f"{path}: {len(state.files) - 1} arrays, expected {len(variables)}; "
                "was it written by another version? Train under a new --name"
            )
        for i, variable in enumerate(variables):
            variable.assign(state[f"variable_{i}"])
        return Progress(**json.loads(str(state["progress"])))


def write_history(folder: Path, progress: Progress) -> None:
    """Write history.csv from the progress; tell TensorBoard where it is followed."""
    import pandas as pd

    table = pd.DataFrame(progress.history)
    write_bytes(folder / "history.csv", table.to_csv(index=False).encode())
    if (folder / "tensorboard").is_dir():
        write_events(folder / "tensorboard", progress)


def follow_with_tensorboard(folder: Path) -> None:
    """Let every epoch of a run be written for TensorBoard, from now on.

    Raises:
        InputError: the package tensorboard is missing; TensorFlow does not bring it.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard: tensorboard is not installed; "
            "pip install --group tensorboard"
        )
    (folder / "tensorboard").mkdir(exist_ok=True)


def write_events(folder: Path, progress: Progress) -> None:
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
    rows = progress.history if is_new else progress.history[-1:]
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


# --- Figures --------------------------------------------------------------------------


def rmse(predicted: np.ndarray | float, label: np.ndarray) -> dict[str, float]:
    """Return the root mean square error as steering and as wheel angle in degrees."""
    import numpy as np

    error = float(np.sqrt(np.mean(np.square(predicted - label))))
    return {"steering": error, "deg": error * MAX_STEERING_ANGLE_DEG}


def score(
    predicted: np.ndarray, raw: np.ndarray, averaged: np.ndarray, mean: float
) -> dict[str, Any]:
    """Compare predictions with labels, beside what knowing nothing scores.

    Args:
        predicted: float (n,) steering of the network.
        raw: float (n,) steering as recorded.
        averaged: float (n,) steering averaged over a second.
        mean: mean steering of the training samples.

    Returns:
        RMSE of the model, of always zero and of always the mean, against both labels.
        `label_noise` is the RMSE between the two labels: what no model that steers
        smoothly can score below on the raw ones.
    """
    both = {"raw": raw, "averaged_1_s": averaged}
    return {
        "samples": len(raw),
        "model": {name: rmse(predicted, label) for name, label in both.items()},
        "always_zero": {name: rmse(0.0, label) for name, label in both.items()},
        "always_mean": {name: rmse(mean, label) for name, label in both.items()},
        "label_noise": rmse(averaged, raw),
    }


# --- Pictures -------------------------------------------------------------------------


def plot_loss(folder: Path, progress: Progress) -> None:
    """Draw loss.png: training and validation RMSE over epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, progress.epoch + 1)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        errors = [row[name] ** 0.5 for row in progress.history]
        axes.plot(epochs, errors, marker="o", markersize=3, label=label)
    if progress.kept_epoch:
        axes.axvline(progress.kept_epoch, color="grey", linestyle=":", label="kept")
    axes.set(
        xlabel="epoch",
        ylabel="RMSE of steering",
        yscale="log",
        title="Training frames are augmented, validation frames are not",
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    write_bytes(folder / "loss.png", to_png(figure))


def plot_predictions(
    folder: Path, panels: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]
) -> None:
    """Draw predictions.png: per recording, a scatter and a stretch over time.

    Args:
        folder: of the run.
        panels: for each recording its name, predicted, recorded and averaged steering,
            each float (n,) in the order of time.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(1, 2.4))
    for (scatter, series), (name, predicted, raw, averaged) in zip(
        grid, panels, strict=True
    ):
        scatter.plot([-1, 1], [-1, 1], color="grey", linewidth=0.8)
        scatter.scatter(averaged, predicted, s=5, alpha=0.4)
        scatter.set(
            title=f"{name}: {len(raw):,} validation frames",
            xlabel="steering driven, averaged over 1 s",
            ylabel="steering predicted",
            aspect="equal",
        )
        # More than some 600 frames cannot be told apart across the page.
        shown = slice(0, 600)
        series.plot(raw[shown], color="lightgrey", label="recorded")
        series.plot(averaged[shown], color="black", linewidth=1, label="averaged 1 s")
        series.plot(predicted[shown], color="tab:blue", linewidth=1, label="predicted")
        series.set(xlabel="validation frame", ylabel="steering, + is right")
        series.legend(loc="upper right")
        for axes in (scatter, series):
            axes.grid(alpha=0.3)
    write_bytes(folder / "predictions.png", to_png(figure))
