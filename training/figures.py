"""The figures and pictures of a run that has ended, its errors beside baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from matplotlib.figure import Figure

from common.bar import Bar
from common.car import MAX_STEERING_ANGLE_DEG
from common.errors import InputError
from common.files import write_bytes, write_json
from common.page import to_png
from common.table import short_name, text_table
from common.text import wrapped
from model import make_predictor, network_of, view_of
from network.conversion import exportable, leave_copy
from network.files import load_model
from recordings.images import read_evenly
from training.epochs import is_finished, predict
from training.preparation import Split
from training.progress import Progress
from training.samples import cache_positions
from training.settings import Settings
from training.view_cache import ViewCache

# Of the frames that validate, so many are steered by the exported copy, too.
FRAMES_TO_CHECK = 100
# Of more recordings than these the table and the picture show the worst: drawing all of
# 400 takes minutes, and nobody looks through them. All are in metrics.json.
MOST_SHOWN = 12

T = TypeVar("T")
Panel = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of a recording: its predicted, recorded and averaged steering, each float (n,)."""


def write_report(
    folder: Path, split: Split, cache: ViewCache, progress: Progress, settings: Settings
) -> dict[str, Any]:
    """Score the best weights per recording, draw; write and return metrics.json."""
    model = load_model(folder / "model.json")
    network = network_of(model)
    rows, labels = split.validation, split.labels
    positions = cache_positions(split.samples.iloc[rows], cache)[:, 0]
    with Bar("scoring the weights that are kept"):
        answers = predict(network, cache, positions)
    predicted = answers[:, 0]
    mean = float(labels.raw[split.train].mean())
    names = split.samples["recording"].to_numpy()[rows]
    scores, panels = dict[str, Any](), dict[str, Panel]()
    for name in dict.fromkeys(names):
        of = names == name
        here = (predicted[of], labels.raw[rows][of], labels.averaged[rows][of])
        scores[str(name)] = score(*here, mean)
        panels[str(name)] = here
    metrics = {
        "best_val_loss": progress.best_val_loss,
        "epochs": progress.epoch,
        "kept_epoch": progress.kept_epoch,
        "is_finished": is_finished(progress, settings),
        "training_samples": len(split.train),
        "is_held_out": not np.isin(split.validation, split.train).any(),
        "validation": scores,
    }
    if answers.shape[1] == 2:
        taught = labels.bend[split.train]
        usual = float(np.nanmean(taught)) if np.isfinite(taught).any() else 0.0
        for name, of_recording in scores.items():
            of = names == name
            if bend := score_bend(answers[of, 1], labels.bend[rows][of], usual):
                of_recording["bend"] = bend
    write_json(folder / "metrics.json", metrics)
    with Bar("drawing loss and predictions"):
        plot_loss(folder, progress)
        plot_predictions(folder, panels)
    leave_exported(folder / "model.json", model, split)
    return metrics


def leave_exported(json_path: Path, model: keras.Model, split: Split) -> None:
    """Leave an exported copy beside the model, so that who drives it begins at once.

    It is checked on frames of the validation blocks. Where that cannot be, the model
    itself is driven; that is said.
    """
    try:
        network = exportable(view_of(model), network_of(model))
        frames = read_evenly(split.samples.iloc[split.validation], FRAMES_TO_CHECK)
        leave_copy(network, make_predictor(model), frames, json_path)
    except InputError as error:
        print(wrapped(f"no exported copy, so that to drive begins later: {error}"))


def metrics_table(metrics: dict[str, Any]) -> str:
    """Return the errors beside the baselines, of the worst recordings, as lines."""
    where = "validation blocks" if metrics["is_held_out"] else "what it was trained on"
    rows = [["recording", "label", "model", "zero", "mean"]]
    shown = worst_of(metrics["validation"], _averaged_rmse)
    for name, scores in shown.items():
        for label in ("averaged_1_s", "raw"):
            found = (scores[f][label] for f in ("model", "always_zero", "always_mean"))
            cells = (f"{each['steering']:.3f} ({each['deg']:4.1f})" for each in found)
            rows.append([short_name(name), label, *cells])
    table = text_table(rows, "<<>")
    title = f"RMSE of steering on {where} (degrees of wheel angle)"
    if len(shown) < len(metrics["validation"]):
        title += f"\n{_worst(len(shown), len(metrics['validation']))}"
    said = f"{title}\n{table}"
    bends = [
        [short_name(name), f"{bend['model']:.4f}", f"{bend['always_mean']:.4f}"]
        for name, scores in shown.items()
        if (bend := scores.get("bend"))
    ]
    if bends:
        table = text_table([["recording", "model", "mean"], *bends], "<>")
        said += f"\nRMSE of the bend (1/m; 0.1 is a radius of 10 m)\n{table}"
    return said


def worst_of(recordings: Mapping[str, T], error: Callable[[T], float]) -> dict[str, T]:
    """Return, of more recordings than can be looked at, those with the largest error.

    They stay in their order; of MOST_SHOWN or fewer it is all.

    Args:
        recordings: What there is to show of each, by its name.
        error: What it is ranked by, of one; larger is worse.
    """
    ranked = sorted(recordings, key=lambda name: error(recordings[name]), reverse=True)
    worst = set(ranked[:MOST_SHOWN])
    return {name: of for name, of in recordings.items() if name in worst}


def _averaged_rmse(scores: dict[str, Any]) -> float:
    return float(scores["model"]["averaged_1_s"]["steering"])


def _worst(num_shown: int, num_recordings: int) -> str:
    return f"the {num_shown} of {num_recordings} recordings with the largest error"


def rmse(predicted: np.ndarray | float, label: np.ndarray) -> dict[str, float]:
    """Return the root mean square error as steering and as wheel angle in degrees."""
    error = float(np.sqrt(np.mean(np.square(predicted - label))))
    return {"steering": error, "deg": error * MAX_STEERING_ANGLE_DEG}


def score(
    predicted: np.ndarray, raw: np.ndarray, averaged: np.ndarray, mean: float
) -> dict[str, Any]:
    """Compare predictions with labels, beside what knowing nothing scores.

    Args:
        predicted: Steering of the network, float (n,).
        raw: Steering as recorded, float (n,).
        averaged: Steering averaged over a second, float (n,).
        mean: Mean steering of the training samples.

    Returns:
        The RMSE of the model, of always zero and of always the mean, against both
        labels. `label_noise` is the RMSE between the two labels: what no model that
        steers smoothly can score below on the raw ones.
    """
    both = {"raw": raw, "averaged_1_s": averaged}
    return {
        "samples": len(raw),
        "model": {name: rmse(predicted, label) for name, label in both.items()},
        "always_zero": {name: rmse(0.0, label) for name, label in both.items()},
        "always_mean": {name: rmse(mean, label) for name, label in both.items()},
        "label_noise": rmse(averaged, raw),
    }


def score_bend(
    predicted: np.ndarray, taught: np.ndarray, mean: float
) -> dict[str, float] | None:
    """Compare bends with what was driven, where that is known; None if nowhere.

    Args:
        predicted: The network's bends, float (n,) in 1/m.
        taught: The bends of the recording, float (n,); NaN where none is known.
        mean: The mean bend of the training samples.

    Returns:
        The RMSE in 1/m of the model, and of always the mean.
    """
    known = ~np.isnan(taught)
    if not known.any():
        return None

    def off(bends: np.ndarray | float) -> float:
        return float(np.sqrt(np.mean(np.square(bends - taught[known]))))

    return {
        "samples": int(known.sum()),
        "model": off(predicted[known]),
        "always_mean": off(mean),
    }


def plot_loss(folder: Path, progress: Progress) -> None:
    """Draw loss.png: training and validation RMSE over epochs."""
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


def plot_predictions(folder: Path, panels: Mapping[str, Panel]) -> None:
    """Draw predictions.png: of the worst recordings, a scatter and a stretch over time.

    Args:
        panels: Of every recording, by its name; steering in [-1, 1], in the order of
            time.
    """
    shown = worst_of(panels, lambda panel: rmse(panel[0], panel[2])["steering"])
    figure = Figure(figsize=(12, 3.6 * len(shown)), layout="constrained")
    if len(shown) < len(panels):
        figure.suptitle(_worst(len(shown), len(panels)))
    grid = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(1, 2.4))
    for (scatter, series), (name, panel) in zip(grid, shown.items(), strict=True):
        predicted, raw, averaged = panel
        scatter.plot([-1, 1], [-1, 1], color="grey", linewidth=0.8)
        scatter.scatter(averaged, predicted, s=5, alpha=0.4)
        scatter.set(
            title=f"{name}: {len(raw):,} validation frames",
            xlabel="steering driven, averaged over 1 s",
            ylabel="steering predicted",
            aspect="equal",
        )
        # More than some 600 frames cannot be told apart across the page.
        first = slice(0, 600)
        series.plot(raw[first], color="lightgrey", label="recorded")
        series.plot(averaged[first], color="black", linewidth=1, label="averaged 1 s")
        series.plot(predicted[first], color="tab:blue", linewidth=1, label="predicted")
        series.set(xlabel="validation frame", ylabel="steering, + is right")
        series.legend(loc="upper right")
        for axes in (scatter, series):
            axes.grid(alpha=0.3)
    write_bytes(folder / "predictions.png", to_png(figure))
