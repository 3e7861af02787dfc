"""Fine-tune a model on more of what it lacks, and keep it if it drives better.

What dagger.py and hard_places.py share: the settings of the model's own run, draws that
favour what is new, and a document in the result's folder that says how far they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from common.errors import InputError
from common.files import write_bytes, write_json
from common.locks import LOCK_NAME
from network.exported import copies_of
from training.progress import Progress
from training.run_folder import make_run, read_config
from training.settings import Settings
from tuning.plans import Tuning

Draw = Callable[[pd.DataFrame], np.ndarray]
"""Samples (n,) to the probability of drawing each, float64 (n,)."""
Given = dict[str, str | list[str]]
"""The arguments of a command by name, as its improve.json records them."""


class TrainRun(Protocol):
    """Trains the run of a folder from where it stands: train.run, handed down."""

    def __call__(
        self,
        folder: Path,
        settings: Settings,
        *,
        draw: Draw | None = None,
        after_epoch: Callable[[Progress], None] | None = None,
    ) -> dict[str, Any]:
        """Return the metrics; `is_finished` says whether the run came to its end."""


def tuning_settings(tuning: Tuning) -> Settings:
    """Return the settings of the model's own run, for fine-tuning it.

    Raises:
        InputError: Its recordings are not known, or not there.
    """
    base, run_dir = Settings(()), tuning.model_path.parent
    if (run_dir / "config.json").is_file():
        base = Settings.from_json(read_config(run_dir)["settings"])
    recordings = tuning.base or [Path(path) for path in base.recordings]
    missing = [str(path) for path in recordings if not path.is_dir()]
    if missing or not recordings:
        raise InputError(
            f"{tuning.model_path}: what it was trained on is not there "
            f"({', '.join(missing) or 'no config.json'}); give --base DIR [DIR ...]"
        )
    if base.part != (0.0, 1.0) and not tuning.base:
        raise InputError(
            f"{tuning.model_path}: trained on the part {base.part} of its recordings; "
            "give what to train on with --base"
        )
    return replace(
        base,
        recordings=tuple(str(path.resolve()) for path in recordings),
        steering_units=base.steering_units | tuning.units,
        part=(0.0, 1.0),
        limit=None,
        from_model=str(tuning.model_path.resolve()),
        keep_start=0.0,
        epochs=tuning.epochs,
        steps_per_epoch=tuning.steps_per_epoch,
        learning_rate=tuning.learning_rate,
        seed=tuning.seed,
    )


def tune(folder: Path, settings: Settings, draw: Draw, run: TrainRun) -> Path:
    """Fine-tune as train.py does, in a run folder; return the path of the model.

    Raises:
        KeyboardInterrupt: It was stopped before its end, after which it goes on.
    """
    metrics_path = folder / "metrics.json"
    metrics = json.loads(metrics_path.read_bytes()) if metrics_path.is_file() else {}
    if not metrics.get("is_finished"):
        if not folder.exists():
            make_run(folder, settings)
        metrics = run(folder, settings, draw=draw)
    if not metrics["is_finished"]:
        raise KeyboardInterrupt
    return folder / "model.json"


def draw_share(is_wanted: np.ndarray, share: float) -> np.ndarray:
    """Return how often to draw each sample, so that a share of them are wanted ones.

    Args:
        is_wanted: bool (n,).
        share: The part of all draws that goes to them, [0, 1].

    Returns:
        float64 (n,), summing to 1; all alike where none, or every one, is wanted.
    """
    count = int(is_wanted.sum())
    if count in (0, len(is_wanted)):
        return np.full(len(is_wanted), 1 / len(is_wanted))
    return np.where(is_wanted, share / count, (1 - share) / (len(is_wanted) - count))


# --- What is kept ---------------------------------------------------------------------


def read_document(folder: Path, given: Given) -> dict[str, Any]:
    """Return what is done so far, or begin.

    Raises:
        InputError: The folder is something else, or of another command.
    """
    path = folder / "improve.json"
    if path.is_file():
        document: dict[str, Any] = json.loads(path.read_bytes())
        changed = [n for n, value in given.items() if document["given"].get(n) != value]
        if changed:
            raise InputError(
                f"{folder}: begun with another {', '.join(changed)}; give another "
                "--name, or the same command to go on"
            )
        return document
    # It may be there for its lock alone.
    if folder.exists() and any(path.name != LOCK_NAME for path in folder.iterdir()):
        raise InputError(f"{folder} exists already; give another --name")
    return {"given": given, "rounds": []}


def write_document(folder: Path, document: dict[str, Any]) -> None:
    """Write what is done so far into the result's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "improve.json", document)


def keep(folder: Path, model_path: Path) -> None:
    """Copy a model into the folder: its exported copy, the weights, the layers."""
    copies = [path.name for path in copies_of(model_path)]
    for name in (*copies, "model.weights.h5", "model.json"):
        write_bytes(folder / name, model_path.with_name(name).read_bytes())
    for path in copies_of(folder / "model.json"):
        if path.name not in copies:  # Of the weights of before.
            path.unlink()
