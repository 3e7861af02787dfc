"""What models make of a recording: their steering, what they see, how they drive it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.text import told_apart
from evaluation.replay import (
    frames_from_disk,
    in_batches,
    model_driver,
    read_path,
    replay,
)
from network.files import load_model
from recordings.images import read_frame
from recordings.recording import Recording, usable_samples

# NVIDIA's limit, at which a car that drives a recording again is put back.
LIMIT_M = 1.0
# Frames that a model looks at together.
CHUNK_ROWS = 64

Report = Callable[[float], object]
"""Is told which part of the work is done, 0 to 1; what it raises ends the work."""


@dataclass(frozen=True, eq=False)
class Replayed:
    """How a model drives a recording again; one entry a row of the recording."""

    cross_track_error_m: np.ndarray
    """How far to the right of the path the car is, float32 (n,); NaN: not driven."""
    interventions: list[int]
    """The rows after which it was put back."""


class ReviewModel:
    """A model that is compared, used by one thread at a time.

    Raises:
        InputError: It cannot be loaded.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._model = load_model(path)
        self._predict = in_batches(self._model.predict_on_batch)
        self._view: Any = None
        self._saliency: Callable[[np.ndarray], np.ndarray] | None = None
        self._lock = threading.Lock()

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """Return the steering for frames, uint8 (n, 160, 320, 3), float (n,)."""
        with self._lock:
            return self._predict(frames)

    def view(self, frame: np.ndarray) -> np.ndarray:
        """Return what the network sees of a frame, uint8 RGB (h, w, 3).

        Raises:
            InputError: It is no model of this project.
        """
        from model import view_of

        with self._lock:
            if self._view is None:
                self._view = view_of(self._model)
            seen: np.ndarray = self._view.predict_on_batch(frame[None])[0]
        return seen

    def heat(self, frame: np.ndarray) -> np.ndarray:
        """Return what the network looks at, float32 (160, 320) in [0, 1].

        Raises:
            InputError: It is no model of this project.
        """
        from network.saliency import make_saliency

        with self._lock:
            if self._saliency is None:
                self._saliency = make_saliency(self._model)
            return self._saliency(frame)


def load_review_models(paths: Sequence[Path]) -> list[ReviewModel]:
    """Load models, each with a name of its own.

    Raises:
        InputError: One of them cannot be loaded.
    """
    folders = [p.parent if p.name == "model.json" else p for p in paths]
    names = told_apart([folder.name or str(folder) for folder in folders])
    return [ReviewModel(path, name) for path, name in zip(paths, names, strict=True)]


def answer(
    model: ReviewModel, image_paths: Sequence[str], rows: Sequence[int]
) -> np.ndarray:
    """Return a model's steering for rows, float32 (n,); NaN where there is no picture.

    Args:
        image_paths: The centre image of every row of the recording.
        rows: Those to look at.
    """
    found = np.full(len(rows), np.nan, np.float32)
    places, frames = [], []
    for place, row in enumerate(rows):
        try:
            frames.append(read_frame(image_paths[row]))
        except (InputError, OSError):
            continue
        places.append(place)
    if frames:
        found[places] = model.predict(np.stack(frames))
    return found


def answers(
    model: ReviewModel, image_paths: Sequence[str], report: Report = lambda _: None
) -> np.ndarray:
    """Return a model's steering for every row, as `answer` does."""
    count = len(image_paths)
    found = np.full(count, np.nan, np.float32)
    for start in range(0, count, CHUNK_ROWS):
        rows = range(start, min(start + CHUNK_ROWS, count))
        found[rows.start : rows.stop] = answer(model, image_paths, rows)
        report(rows.stop / count)
    return found


def replayed(
    model: ReviewModel, recording: Recording, report: Report = lambda _: None
) -> Replayed:
    """Let a model drive a recording again (evaluation/replay.py).

    Raises:
        InputError: It cannot be replayed: nothing of it is used, or the car stands, or
            there are no times.
    """
    samples = usable_samples([recording])
    path = read_path(samples)
    path.check_driven()
    frames = frames_from_disk(path)
    num_driven, num_done = int((path.dt_s > 0).sum()), 0

    def predict(seen: np.ndarray) -> np.ndarray:
        nonlocal num_done
        num_done += len(seen)
        # The lead before each stretch is driven, too.
        report(min(0.99, num_done / max(1, 1.6 * num_driven)))
        return model.predict(seen)

    drive = model_driver(path, predict, frames)
    rollout = replay(drive, path, (LIMIT_M,))[LIMIT_M]
    used = np.flatnonzero((recording.samples["excluded"] == "").to_numpy())
    driven = used[np.flatnonzero(path.dt_s > 0)]
    error_m = np.full(len(recording.samples), np.nan, np.float32)
    error_m[driven] = rollout.cross_track_error_m
    return Replayed(error_m, [int(driven[i.index]) for i in rollout.interventions])
