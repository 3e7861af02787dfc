"""The table of all runs, from their folders alone: `python train.py --list`.

A run's autonomy is shown when its evaluation lies beside it:

    python evaluate.py models/both/model.json --track lake --json \\
        > models/both/evaluation.json
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from common.errors import InputError
from common.table import text_table
from training.run_folder import read_config
from training.settings import changes_of

COLUMNS = tuple("run date recordings epochs val_loss RMSE autonomy settings".split())


@dataclass(frozen=True)
class Run:
    """What a run's folder says of it."""

    name: str
    date: datetime
    """When its last epoch ended, or it began."""
    recordings: tuple[str, ...]
    """Names of its recordings."""
    changes: dict[str, Any]
    """Its settings that differ from the default."""
    num_epochs: int
    best_val_loss: float | None
    """None before the first epoch."""
    rmse_deg: float | None
    """RMSE of the wheel angle on validation samples, labels averaged over 1 s; the mean
    over recordings. None for a run that has not ended."""
    autonomy_percent: float | None
    """The lowest in its evaluation.json, over tracks, recordings and limits."""


def read_runs(models_dir: Path) -> list[Run]:
    """Read every run in a folder of runs, the newest last.

    Raises:
        InputError: The folder holds none, or a file of a run cannot be read.
    """
    folders = [path.parent for path in models_dir.glob("[!.]*/config.json")]
    if not folders:
        raise InputError(f"{models_dir}: no run in it; train one with --name")
    return sorted((read_run(folder) for folder in folders), key=lambda run: run.date)


def read_run(folder: Path) -> Run:
    """Read one run.

    Raises:
        InputError: One of its files is not what train.py or evaluate.py writes.
    """
    config = read_config(folder)
    metrics = _read_json(folder / "metrics.json")
    evaluation = _read_json(folder / "evaluation.json")
    try:
        settings = config["settings"]
        history = _read_history(folder / "history.csv")
        scores = metrics.get("validation", {}).values()
        errors = [score["model"]["averaged_1_s"]["deg"] for score in scores]
        # How it does on its own training frames compares with no other run.
        is_held_out = settings.get("validation_fraction") != 0
        autonomies = list(_autonomies(folder.name, evaluation))
        dated_path = folder / ("history.csv" if history else "config.json")
        return Run(
            name=folder.name,
            date=datetime.fromtimestamp(dated_path.stat().st_mtime),
            recordings=tuple(Path(path).name for path in settings["recordings"]),
            changes=changes_of(settings),
            num_epochs=len(history),
            best_val_loss=min(history, default=None) if is_held_out else None,
            rmse_deg=fmean(errors) if errors and is_held_out else None,
            autonomy_percent=min(autonomies, default=None),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder}: not what train.py writes ({error!r}); move it elsewhere"
        ) from error


def _read_history(path: Path) -> list[float]:
    """Return the validation loss of every epoch; none for a run that has no history."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [float(row["val_loss"]) for row in csv.DictReader(file)]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a JSON object ({error})") from error


def _autonomies(name: str, evaluation: dict[str, Any]) -> Iterator[float]:
    """Yield the autonomy of a run's model wherever its evaluation has measured it."""
    for places in ("recordings", "tracks"):
        for drivers in evaluation.get(places, {}).values():
            for driver, figures in drivers.items():
                # Beside it stand other models, and bounds like "zero".
                if Path(driver).parent.name == name:
                    yield from _numbers_named("autonomy_percent", figures)


def _numbers_named(wanted: str, figures: dict[str, Any]) -> Iterator[float]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _numbers_named(wanted, value)
        elif name == wanted:
            yield float(value)


def runs_table(runs: Sequence[Run]) -> str:
    """Return the runs as lines of text, one each, under a line of headings."""
    return text_table([COLUMNS, *(_cells(run) for run in runs)])


def _cells(run: Run) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else form.format(value)

    changes = (f"{name}={value}" for name, value in run.changes.items())
    return (
        run.name,
        f"{run.date:%Y-%m-%d %H:%M}",
        " ".join(run.recordings),
        str(run.num_epochs),
        shown(run.best_val_loss, "{:.4f}"),
        shown(run.rmse_deg, "{:.2f} deg"),
        shown(run.autonomy_percent, "{:.1f} %"),
        " ".join(changes) or "-",
    )
