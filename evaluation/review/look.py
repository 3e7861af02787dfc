"""What to look at first in a recording: its suspicious moments, as a document.

moments = look_at(Path("data/a"), [Path("models/base/model.json")])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from evaluation.review.marking import mark_of
from evaluation.review.models import (
    ReviewModel,
    answer,
    answers,
    replayed,
)
from recordings.marks import LEAVE_OUT, Marks, Rows
from recordings.moments.drive import log_of
from recordings.moments.find import find_moments, images_to_look_at
from recordings.moments.looks import read_looks
from recordings.moments.models import moments_of_model, moments_of_replay
from recordings.moments.moment import Moment
from recordings.recording import Recording, read_recording
from recordings.steering import smooth_steering

# What train.py teaches where nothing is said: the mean from so long before to so long
# after. A test holds them together.
LABEL_BEFORE_S, LABEL_AFTER_S = 0.2, 0.5

Tell = Callable[[str, float], object]
"""Is told what is done, and which part of it, 0 to 1; what it raises ends the work."""


def look_at(
    path: Path,
    models: Sequence[ReviewModel] = (),
    unit: str | None = None,
    tell: Tell = lambda *_: None,
) -> list[dict[str, Any]]:
    """Return the suspicious moments of a recording, the plainest first.

    Args:
        path: The recording's folder, or its log.
        models: Models that are held against the driver.
        unit: Of its steering, as read_recording takes it.
        tell: Is told how far the work is.

    Raises:
        InputError: The recording cannot be read.
    """
    recording = read_recording(path, unit=unit, marks=Marks())
    moments = moments_of(recording, models, tell)
    return [document_of(moment, recording) for moment in moments]


def moments_of(
    recording: Recording, models: Sequence[ReviewModel], tell: Tell = lambda *_: None
) -> list[Moment]:
    """Return the suspicious moments of a recording that was read without its marks."""
    paths = images_to_look_at(recording.samples)
    count = max(1, len(paths))
    looks = read_looks(paths, lambda rows: tell("pictures", rows / count))
    more: list[Moment] = []
    for model in models:
        name = model.name
        steering = answers(model, paths, partial(tell, name))
        more += model_moments(recording, name, steering)
        try:
            driven = replayed(model, recording, partial(tell, f"{name} drives"))
        except InputError:  # Nobody can drive it: there is nothing to say of that.
            continue
        log = log_of(recording.samples)
        more += moments_of_replay(log, driven.interventions, name)
    return find_moments(recording.samples, looks, more)


def model_moments(
    recording: Recording, name: str, steering: np.ndarray
) -> list[Moment]:
    """Return where a model's steering, float (n,), differs from what it is taught."""
    taught = taught_of(recording, LABEL_BEFORE_S, LABEL_AFTER_S)
    return moments_of_model(log_of(recording.samples), taught, steering, name)


def taught_of(recording: Recording, before_s: float, after_s: float) -> np.ndarray:
    """Return the label of each row, float32 (n,); NaN where it is not used.

    Args:
        before_s: Start of the average, in seconds before the row.
        after_s: Its end, in seconds after it.
    """
    is_used = (recording.samples["excluded"] == "").to_numpy()
    taught = np.full(len(is_used), np.nan, np.float32)
    used = recording.samples[is_used].reset_index(drop=True)
    if len(used):
        taught[is_used] = smooth_steering(used, before_s, after_s)
    return taught


def document_of(moment: Moment, recording: Recording) -> dict[str, Any]:
    """Return a moment in rows of the log's file."""
    lines = recording.samples["line"]
    return {
        "recording": str(recording.folder),
        "from_row": int(lines.iloc[moment.first]),
        "to_row": int(lines.iloc[moment.last]),
        "row": int(lines.iloc[moment.at]),
        "kind": moment.kind,
        "reason": moment.reason,
        "score": round(moment.score, 2),
    }


def compared(
    plain: Recording,
    marked: Recording,
    models: Sequence[ReviewModel],
    rows: Rows,
) -> list[dict[str, Any]]:
    """Return how far models are from the driver in a stretch of a recording.

    Args:
        plain: The recording as it was read without its marks.
        marked: As it was read with them: its labels are what is taught.
        rows: The stretch.

    Raises:
        InputError: The log has not these rows.
    """
    stretch = mark_of(plain, rows, LEAVE_OUT, "")
    lines = plain.samples["line"]
    places = np.flatnonzero(lines.between(stretch.first, stretch.last))
    taught = taught_of(marked, LABEL_BEFORE_S, LABEL_AFTER_S)[places]
    recorded = plain.samples["steering"].to_numpy()[places]
    paths = images_to_look_at(plain.samples)
    found = []
    for model in models:
        steering = answer(model, paths, places.tolist())
        off = [steering - taught, steering - recorded]
        taught_off, recorded_off = (each[np.isfinite(each)] for each in off)
        found.append(
            {
                "model": model.name,
                "rows": len(recorded_off),
                "rmse_taught": _root_mean_square(taught_off),
                "rmse_recorded": _root_mean_square(recorded_off),
                "bias": _rounded(taught_off.mean()) if len(taught_off) else None,
            }
        )
    return found


def _root_mean_square(values: np.ndarray) -> float | None:
    return _rounded(np.sqrt((values**2).mean())) if len(values) else None


def _rounded(value: float) -> float:
    return round(float(value), 5)
