"""How far a run has come: its history, and the state that it resumes from."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from common.errors import InputError
from common.files import write_bytes
from training.events import write_events
from training.selection import Driving


@dataclass
class Progress:
    """How far a run has come, apart from its weights."""

    epoch: int = 0
    """How many epochs are completed."""
    best_val_loss: float = float("inf")
    """The lowest validation loss so far."""
    best_penalty: float = float("inf")
    """The lowest so far of what the weights are chosen by."""
    epochs_since_best: int = 0
    """How many epochs in a row have not been the best."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One dictionary per epoch, in order."""

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are kept; 0: those that the run began with."""
        return self.epoch - self.epochs_since_best

    def add(self, loss: float, val_loss: float, driving: Driving | None = None) -> bool:
        """Record an epoch; return whether it is the best so far.

        The driving of the held-out stretches decides, or the validation loss if that is
        None.
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
    table = pd.DataFrame(progress.history)
    write_bytes(folder / "history.csv", table.to_csv(index=False).encode())
    if (folder / "tensorboard").is_dir():
        write_events(folder / "tensorboard", progress.history)
