"""What a search has found: the table, the pictures, and the best beside the default."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from common.files import write_bytes
from common.page import to_png
from common.table import text_table
from model import network_of
from network.files import load_model
from training.epochs import validation_loss
from training.preparation import Split, make_driving_test, open_cache
from training.samples import make_labels, make_training_set
from tuning.search_space import Plan, Search
from tuning.search_trials import epoch_of, finished_trials, is_default, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the best of the trials that ran to their end, None while none has."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(complete, key=lambda trial: trial.value, default=None)  # type: ignore[arg-type, return-value]


# --- The table ------------------------------------------------------------------------


def trials_table(study: optuna.Study, plan: Plan) -> str:
    """Return the finished trials as lines of text, the best first.

    A pruned trial shows the value of the epoch at which it was given up.
    """
    trials = finished_trials(study)
    trials.sort(key=lambda t: (t.state, np.inf if t.value is None else t.value))
    rows = [("trial", "state", "value", "epoch", "minutes", *plan.searched)]
    for trial in trials:
        lasted = trial.duration
        values = [trial.params.get(name) for name in plan.searched]
        rows.append(
            (
                f"{trial.number}",
                trial.state.name.lower() + " (default)" * is_default(trial),
                shown(trial.value),
                epoch_of(trial),
                f"{lasted.total_seconds() / 60:.1f}" if lasted else "-",
                *(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values),
            )
        )
    return text_table(rows, ">")


# --- The pictures ---------------------------------------------------------------------


def draw_plots(study: optuna.Study, folder: Path) -> list[Path]:
    """Draw Optuna's pictures of a study; return their paths.

    None is drawn before two trials with different values have run to their end: there
    is nothing to compare.
    """
    import matplotlib

    # No window: the machine may have no screen.
    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as draw

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.value for trial in complete if trial.value is not None}
    if len(values) < 2:
        return []
    log = min(values) > 0
    parallel = partial(
        draw.plot_parallel_coordinate,
        target=_log_value if log else None,
        target_name="log10 of the value" if log else "value",
    )
    return [
        _save(folder / "history.png", study, draw.plot_optimization_history, log),
        _save(folder / "importances.png", study, draw.plot_param_importances, False),
        _save(folder / "parallel.png", study, parallel, False),
        _save(folder / "slice.png", study, draw.plot_slice, log),
    ]


def _log_value(trial: FrozenTrial) -> float:
    return math.log10(trial.value or math.nan)


def _save(path: Path, study: optuna.Study, plot: Callable[..., Any], log: bool) -> Path:
    """Draw one picture, with the values on a logarithmic axis if log."""
    from matplotlib import pyplot

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Where all trials have the same value, an axis has no length.
        warnings.filterwarnings("ignore", "Attempting to set identical")
        axes = np.atleast_1d(plot(study))
    figure = pyplot.gcf()
    figure.set_size_inches(8, 5)
    if len(axes) > 1:
        _wrap(figure, axes)
    elif path.stem == "parallel":
        figure.set_size_inches(1.6 * len(figure.axes), 6)
        for each in figure.axes:
            each.grid(visible=False)
    for each in axes if log else ():
        each.set_yscale("log")
    picture = to_png(figure, dpi=100, tight=True)
    pyplot.close(figure)
    write_bytes(path, picture)
    return path


def _wrap(figure: Figure, axes: np.ndarray) -> None:
    """Break a row of plots that is too long for a page into several."""
    num_columns = 5
    num_rows = math.ceil(len(axes) / num_columns)
    figure.set_size_inches(3 * num_columns, 3 * num_rows)
    grid = figure.add_gridspec(num_rows, num_columns, hspace=0.45)
    for i, each in enumerate(axes):
        row, column = divmod(i, num_columns)
        each.set_subplotspec(grid[row, column])
        each.tick_params(labelleft=column == 0)
        each.set_ylabel("" if column else "Objective Value")
    colour_bar = figure.axes[-1]
    colour_bar.set_position((0.92, 0.11, 0.01, 0.77))
    figure.suptitle("")


# --- The best beside the default ------------------------------------------------------


def judge(search: Search, run_dir: Path) -> float:
    """Return the objective's value for a run's model on samples that no trial has seen.

    Every model is judged by the default's labels.
    """
    model, settings = load_model(run_dir / "model.json"), search.plan.base
    labels = make_labels(search.rest, settings.label_before_s, settings.label_after_s)
    rows = np.arange(len(search.rest))
    held_out = Split([], search.rest, labels, train=rows[:0], validation=rows)
    cache, network = open_cache(held_out, model), network_of(model)
    if test := make_driving_test(held_out, cache, settings):
        return test(network.predict_on_batch).penalty
    judged = make_training_set(search.rest, labels.trained, cache, "off")
    return validation_loss(network, judged, settings)


def verdict(study: optuna.Study, folder: Path, search: Search) -> str:
    """Return the best trial and the default side by side, and which is better.

    Args:
        study: The study, with at least one trial that ran to its end.
        folder: The study's folder.
        search: Has the samples to judge both on.
    """
    best = best_trial(study)
    assert best is not None
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    default = next((trial for trial in complete if is_default(trial)), None)
    if default is None:
        return "the default's trial has not ended yet: nothing to hold the best against"
    said, rows, values = "no trial is better than the default", [], []
    for trial in (default,) if best.number == default.number else (default, best):
        name = "default" if trial.number == default.number else f"trial {trial.number}"
        values.append(judge(search, folder / "trials" / f"{trial.number:04d}"))
        rows.append((name, shown(trial.value), shown(values[-1])))
    if len(values) == 2:
        beats = "beats" if values[1] < values[0] else "does not beat"
        said = f"trial {best.number} {beats} the default on held-out data"
    return text_table([("", "search", "held out"), *rows], "<>") + f"\n{said}"
