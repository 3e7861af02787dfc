"""What train.py says when a run has ended: how it went, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.shell import from_here, option, typed
from common.text import counted, unbroken, wrapped
from training.settings import Settings

# Measured by the label that does not hold the jerks of a keyboard.
LABEL = "averaged_1_s"
FILES = "model.json, model.weights.h5, metrics.json, pictures"


def said_of(
    folder: Path, metrics: dict[str, Any], settings: Settings, workers: int | None
) -> str:
    """Return what is said of a run that has ended: its errors, and what to do next.

    Args:
        folder: The run's folder, in which state.npz lies after a whole epoch.
        metrics: What write_report has returned.
        workers: How many processes trained it, None for this one alone.
    """
    from training.figures import metrics_table  # Not above: a refusal need not wait.

    lines = [f"written to {unbroken(folder)}: {FILES}", *_worse_places(metrics)]
    to_go_on = unbroken(resume_command(folder, workers))
    if metrics["is_finished"] and not metrics["kept_epoch"]:
        lines.append(f"no epoch was any better; what is kept is {_kept(metrics)}")
    drive = unbroken(typed("drive.py", folder))
    if not metrics["is_finished"]:
        whole = metrics["epochs"] if (folder / "state.npz").exists() else 0
        stopped = (
            f"stopped early, in epoch {whole + 1} of {settings.epochs}; what is kept "
            f"is {_kept(metrics)}"
        )
        if worse := worse_than_zero(metrics):
            lines += [stopped, f"{worse}; go on: {to_go_on}"]
        else:
            lines += [f"next: {drive}", f"{stopped}; go on: {to_go_on}"]
    elif worse := worse_than_zero(metrics):
        # A driver who weaves can be far from a model that keeps the road.
        first, *_ = settings.recordings
        words = (folder, "zero", "--recording", from_here(first))
        see = unbroken(typed("evaluate.py", *words))
        lines.append(f"{worse}; see whether it drives, then train longer: {see}")
    else:
        lines.append(f"next: {drive}")
    return "\n".join(["", metrics_table(metrics), "", *map(wrapped, lines)])


def stopped(folder: Path, workers: int | None) -> KeyboardInterrupt:
    """Return what to raise when a run is stopped at once; it may not have begun."""
    if not (folder / "config.json").exists():
        return KeyboardInterrupt()
    return KeyboardInterrupt(f"stopped; to go on: {resume_command(folder, workers)}")


def _kept(metrics: dict[str, Any]) -> str:
    epoch = metrics["kept_epoch"]
    return f"of epoch {epoch}" if epoch else "what it began from"


def resume_command(folder: Path, workers: int | None = None) -> str:
    """Return what one types to go on with a run."""
    words = option("--name", folder.name)
    if folder.parent != Path("models"):
        words += ["--models-dir", folder.parent]
    words += ["--workers", workers] if workers else []
    return typed("train.py", *words, "--resume")


def worse_than_zero(metrics: dict[str, Any]) -> str:
    """Return in a sentence that a model is worse than never steering, "" if it is not.

    All validation frames count alike, of whichever recording they are.
    """
    model_deg, zero_deg = (
        _rmse_deg(metrics["validation"], who) for who in ("model", "always_zero")
    )
    if model_deg < zero_deg:
        return ""
    return (
        f"worse than never steering: off by {model_deg:.2f} degrees of wheel angle, "
        f"straight on is off by {zero_deg:.2f}"
    )


def _worse_places(metrics: dict[str, Any]) -> list[str]:
    """Return what is said where a model is worse on some recordings only.

    Who weaves is no measure of who drives straight: a model that replays a recording
    without an intervention may be called so.
    """
    places = [
        name
        for name, scores in metrics["validation"].items()
        if scores["model"][LABEL]["deg"] >= scores["always_zero"][LABEL]["deg"]
    ]
    if not places or worse_than_zero(metrics):
        return []
    count = counted(len(places), "recording")
    names = ", ".join(map(unbroken, places[:3])) + ", ..." * (len(places) > 3)
    return [
        f"on {count} its steering is further off than straight on: {names}; how it "
        "drives there, evaluate.py tells"
    ]


def _rmse_deg(validation: dict[str, Any], who: str) -> float:
    """Return the root mean square error over all recordings, in degrees."""
    count = sum(scores["samples"] for scores in validation.values())
    squares = (
        scores["samples"] * scores[who][LABEL]["deg"] ** 2
        for scores in validation.values()
    )
    return (sum(squares) / max(count, 1)) ** 0.5
