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
from evaluation.review.models import (
    ReviewModel,
    answers,
    load_review_models,
    replayed,
)
from recordings.marks import Marks
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
    model_paths: Sequence[Path] = (),
    unit: str | None = None,
    tell: Tell = lambda *_: None,
) -> list[dict[str, Any]]:
    """Return the suspicious moments of a recording, the plainest first.

    Args:
        path: The recording's folder, or its log.
        model_paths: Models that are held against the driver.
        unit: Of its steering, as read_recording takes it.
        tell: Is told how far the work is.

    Raises:
        InputError: The recording cannot be read, or a model not loaded.
    """
    recording = read_recording(path, unit=unit, marks=Marks())
    models = load_review_models(model_paths)
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
