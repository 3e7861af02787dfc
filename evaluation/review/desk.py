"""What a review works on: recordings and models, and what is found meanwhile.

Two threads work beside the server. One reads the rows, and makes anew what follows from
marks; the other looks into the images, finds moments, and lets models look and drive.
Whoever asks is told what is known by then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.start_up import quiet_tensorflow
from evaluation.review.look import document_of, model_moments
from evaluation.review.models import (
    CHUNK_ROWS,
    Replayed,
    ReviewModel,
    answer,
    load_review_models,
    replayed,
)
from evaluation.review.reviewed import Reviewed, make_details
from recordings.moments.drive import log_of
from recordings.moments.find import find_moments, images_to_look_at
from recordings.moments.looks import Looks, read_looks
from recordings.moments.models import moments_of_replay
from recordings.moments.moment import Moment

logger = logging.getLogger(__name__)

# What is waited for at the end: a chunk of frames takes less.
END_WITHIN_S = 5.0


class _Stopped(Exception):
    """The review has ended: the work is of no use any more."""


class Desk:
    """Recordings and models, and two threads that work on them.

    Args:
        paths: The recordings.
        units: Units of their steering, by their absolute paths.
        names: What they are called.
        model_paths: The models.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        units: Mapping[str, str],
        names: Sequence[str],
        model_paths: Sequence[Path],
    ) -> None:
        self.reviewed = [
            Reviewed(path, units.get(str(path.resolve())), name)
            for path, name in zip(paths, names, strict=True)
        ]
        self.model_paths = list(model_paths)
        self.models: list[ReviewModel] = []
        self.fault = ""
        """Why models cannot be used, "" if they can."""
        self.doing: tuple[str, float] = ("", 0.0)
        """What is worked on, and which part of it is done; "" for nothing."""
        self.moments: dict[int, list[dict[str, Any]]] = {}
        """The moments of each recording, by its number, as far as they are found."""
        self.steering: dict[tuple[int, int], np.ndarray] = {}
        """By recording and model: its steering, float32 (n,); NaN: not looked yet."""
        self.replays: dict[tuple[int, int], Replayed] = {}
        """By recording and model: how it drives the recording again."""
        self.focus = (0, 0)
        """The recording and the row that somebody looks at."""
        self._more: dict[int, dict[str, list[Moment]]] = {}
        self._looks: dict[int, Looks] = {}
        self._is_over = threading.Event()
        self._are_read = threading.Event()
        self._is_asked = threading.Event()
        self._threads = [
            threading.Thread(target=self._safely, args=(work,), daemon=True)
            for work in (self._keep_reading, self._look)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the work, and wait for that."""
        self._is_over.set()
        self._are_read.set()
        self._is_asked.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(END_WITHIN_S)

    def ask_for_details(self) -> None:
        """Let what follows from marks be made anew."""
        self._is_asked.set()

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _Stopped:
            pass
        except Exception:
            self.doing = ("", 0.0)
            self.fault = "a part of the review has failed; the terminal says why"
            logger.exception("a part of the review has failed")

    def _tell(self, what: str, part: float) -> None:
        if self._is_over.is_set():
            raise _Stopped
        self.doing = (what, part)

    def _tell_rows(self, what: str, paths: Sequence[str], num_done: int) -> None:
        self._tell(what, num_done / max(1, len(paths)))

    # --- Rows, and what marks make of them --------------------------------------------

    def _keep_reading(self) -> None:
        for each in self.reviewed:
            try:
                each.read(check_images=False)
            except InputError as error:
                each.fault = str(error)
        self._is_asked.set()
        self._are_read.set()
        while not self._is_over.is_set():
            self._is_asked.wait()
            self._is_asked.clear()
            if self._is_over.is_set():
                return
            try:
                make_details(self.reviewed)
            except InputError as error:  # Of a file of marks: the page says it, too.
                logger.warning("%s", error)

    # --- What is found ----------------------------------------------------------------

    def _look(self) -> None:
        self._are_read.wait()
        whole = [(i, r) for i, r in enumerate(self.reviewed) if r.recording]
        for number, each in whole:
            self._tell(f"looking into the images of {each.name}", 0.0)
            each.read(check_images=True)
            self.ask_for_details()
            paths = images_to_look_at(each.samples)
            what = f"looking for moments in {each.name}"
            self._looks[number] = read_looks(
                paths, partial(self._tell_rows, what, paths)
            )
            self._find(number)
        if self.model_paths:
            self._let_models_look(whole)
        self.doing = ("", 0.0)

    def _find(self, number: int) -> None:
        """Find the moments of a recording anew, with what models say by now."""
        recording = self.reviewed[number].recording
        assert recording is not None, "what is not read is not looked at"
        more = [m for each in self._more.get(number, {}).values() for m in each]
        found = find_moments(recording.samples, self._looks[number], more)
        self.moments[number] = [document_of(each, recording) for each in found]

    def _let_models_look(self, whole: list[tuple[int, Reviewed]]) -> None:
        self._tell("loading the models", 0.0)
        quiet_tensorflow()
        try:
            self.models = load_review_models(self.model_paths)
        except InputError as error:
            self.fault = str(error)
            return
        for j, model in enumerate(self.models):
            for number, each in whole:
                self._answer(number, each, j, model)
                steering = self.steering[number, j]
                assert each.recording is not None
                self._more.setdefault(number, {})[f"{j} looks"] = model_moments(
                    each.recording, model.name, steering
                )
                self._find(number)
        for j, model in enumerate(self.models):
            for number, each in whole:
                self._drive(number, each, j, model)

    def _answer(self, number: int, each: Reviewed, j: int, model: ReviewModel) -> None:
        """Let a model look at a recording, where somebody looks first."""
        paths = images_to_look_at(each.samples)
        steering = np.full(len(paths), np.nan, np.float32)
        self.steering[number, j] = steering
        todo = list(range(0, len(paths), CHUNK_ROWS))
        total = max(1, len(todo))
        while todo:
            row = self.focus[1] if self.focus[0] == number else 0
            # The chunk that somebody looks at, and those behind it.
            place = next((i for i, s in enumerate(todo) if s + CHUNK_ROWS > row), 0)
            start = todo.pop(place)
            rows = range(start, min(start + CHUNK_ROWS, len(paths)))
            steering[rows.start : rows.stop] = answer(model, paths, rows)
            self._tell(f"{model.name} looks at {each.name}", 1 - len(todo) / total)

    def _drive(self, number: int, each: Reviewed, j: int, model: ReviewModel) -> None:
        """Let a model drive a recording again."""
        recording = each.recording
        assert recording is not None
        tell = partial(self._tell, f"{model.name} drives {each.name} again")
        try:
            driven = replayed(model, recording, tell)
        except InputError:  # Nobody can drive it: there is nothing to say of that.
            return
        self.replays[number, j] = driven
        log = log_of(recording.samples)
        moments = moments_of_replay(log, driven.interventions, model.name)
        self._more.setdefault(number, {})[f"{j} drives"] = moments
        self._find(number)
