"""Fine-tune a model on more of what it lacks, and keep it if it drives better.

What dagger.py and hard_places.py share: the settings of the model's own run, draws that
favour what is new, and a document in the result's folder that says how far they are.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from training.settings import Settings


def tuning_settings(args: argparse.Namespace, model_path: Path) -> Settings:
    """Return the settings of the model's own run, for fine-tuning it.

    Raises:
        InputError: its recordings are not known, or not there.
    """
    from training.run_folder import read_config
    from training.settings import Settings

    base = Settings(())
    if (args.model.parent / "config.json").is_file():
        base = Settings.from_json(read_config(args.model.parent)["settings"])
    recordings = args.base or [Path(path) for path in base.recordings]
    missing = [str(path) for path in recordings if not path.is_dir()]
    if missing or not recordings:
        raise InputError(
            f"{args.model}: what it was trained on is not there "
            f"({', '.join(missing) or 'no config.json'}); give --base DIR [DIR ...]"
        )
    if base.part != (0.0, 1.0) and not args.base:
        raise InputError(
            f"{args.model}: trained on the part {base.part} of its recordings; give "
            "what to train on with --base"
        )
    return replace(
        base,
        recordings=tuple(str(path.resolve()) for path in recordings),
        part=(0.0, 1.0),
        limit=None,
        from_model=str(model_path.resolve()),
        epochs=args.epochs,
        steps_per_epoch=args.steps_per_epoch,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )


def tune(
    folder: Path, settings: Settings, draw: Callable[[pd.DataFrame], np.ndarray]
) -> Path:
    """Fine-tune as train.py does, in a run folder; return the path of the model.

    Raises:
        InputError: it was interrupted.
    """
    from train import make_run, run

    metrics_path = folder / "metrics.json"
    metrics = json.loads(metrics_path.read_bytes()) if metrics_path.is_file() else {}
    if not metrics.get("is_finished"):
        if not folder.exists():
            make_run(folder, settings)
        metrics = run(folder, settings, draw=draw)
    if not metrics["is_finished"]:
        raise InputError(f"{folder}: stopped; the same command goes on")
    return folder / "model.json"


def draw_share(is_wanted: np.ndarray, share: float) -> np.ndarray:
    """Return how often to draw each sample, so that a share of them are wanted ones.

    Args:
        is_wanted: bool (n,).
        share: of all draws, [0, 1].

    Returns:
        float64 (n,), summing to 1; all alike where none, or every one, is wanted.
    """
    import numpy as np

    count = int(is_wanted.sum())
    if count in (0, len(is_wanted)):
        return np.full(len(is_wanted), 1 / len(is_wanted))
    return np.where(is_wanted, share / count, (1 - share) / (len(is_wanted) - count))


# --- What is kept ---------------------------------------------------------------------


def read_document(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return what is done so far, or begin.

    Raises:
        InputError: the folder is something else, or of another command.
    """
    path = folder / "improve.json"
    given = {
        name: [str(each) for each in value] if isinstance(value, list) else str(value)
        for name, value in vars(args).items()
        if name not in ("workers", "json", "rounds")
    }
    if path.is_file():
        document: dict[str, Any] = json.loads(path.read_bytes())
        changed = [n for n, value in given.items() if document["given"].get(n) != value]
        if changed:
            raise InputError(
                f"{folder}: begun with another {', '.join(changed)}; give another "
                "--name, or the same command to go on"
            )
        return document
    if folder.exists():
        raise InputError(f"{folder} exists already; give another --name")
    return {"given": given, "rounds": []}


def write_document(folder: Path, document: dict[str, Any]) -> None:
    from common.files import write_json

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "improve.json", document)


def keep(folder: Path, model_path: Path) -> None:
    """Copy the two files of a model into the folder, the weights first."""
    for name in ("model.weights.h5", "model.json"):
        partial_path = folder / f"{name}.partial"
        shutil.copyfile(model_path.with_name(name), partial_path)
        partial_path.replace(folder / name)
