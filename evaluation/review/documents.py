"""What review.py answers without its page: documents, to print or to script by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.review.look import Tell, compared, look_at
from evaluation.review.marking import (
    DISCARDED,
    discarding_last,
    mark_of,
    with_marks,
    without_newest,
)
from evaluation.review.models import load_review_models
from evaluation.review.summary import changes_of, document_of_mark
from recordings.log import find_log
from recordings.marks import Mark, Marks, Rows, change_marks, marks_path, read_marks
from recordings.recording import Recording, read_recording


def read_both(path: Path, unit: str | None) -> tuple[Recording, Recording]:
    """Return a recording as it is without its marks, and with them.

    Raises:
        InputError: It or its marks cannot be read.
    """
    plain = read_recording(path, unit=unit, marks=Marks())
    return plain, read_recording(path, unit=unit)


# --- Marks ----------------------------------------------------------------------------


def mark_rows(
    path: Path, unit: str | None, rows: Sequence[tuple[str, Rows]], note: str
) -> dict[str, Any]:
    """Mark rows of a recording, each with what they are; return what was marked.

    Raises:
        InputError: The log has not these rows, or it or its marks cannot be read.
        OSError: The marks cannot be written.
    """
    # What stands in the log counts here, not what is in the pictures.
    plain = read_recording(path, False, unit, Marks())
    new = [mark_of(plain, each, kind, note) for kind, each in rows]
    change_marks(plain.log_path, lambda marks: with_marks(marks, *new))
    return {"marked": [document_of_mark(mark) for mark in new]}


def discard_last(
    path: Path, unit: str | None, seconds: float | None, note: str
) -> dict[str, Any]:
    """Leave out the newest take of a recording, or its end; return what was marked.

    Raises:
        InputError: Nothing is left, or the log or its marks cannot be read.
        OSError: The marks cannot be written.
    """
    plain = read_recording(path, False, unit, Marks())
    made: list[Mark] = []

    def change(marks: Marks) -> Marks:
        made.append(discarding_last(plain, marks, seconds, note or DISCARDED))
        return with_marks(marks, *made)

    change_marks(plain.log_path, change)
    return {"marked": [document_of_mark(mark) for mark in made]}


def undo(path: Path) -> dict[str, Any]:
    """Take the newest mark of a recording back; return it.

    Raises:
        InputError: There is none, or the marks cannot be read.
        OSError: The marks cannot be written.
    """
    log_path = find_log(path)
    gone: list[Mark] = []

    def change(marks: Marks) -> Marks:
        gone.extend(marks.entries[-1:])
        return without_newest(marks, marks_path(log_path))

    change_marks(log_path, change)
    return {"undone": [document_of_mark(mark) for mark in gone]}


def marks_of(path: Path, unit: str | None) -> dict[str, Any]:
    """Return the marks of a recording, and what they change.

    Raises:
        InputError: It or its marks cannot be read.
    """
    plain, marked = read_both(path, unit)
    marks = read_marks(plain.log_path)
    return {
        "recording": str(path),
        "marks": [document_of_mark(mark) for mark in marks.entries],
        "changes": changes_of(plain, marked),
    }


# --- What to look at ------------------------------------------------------------------


def moments_to_look_at(
    paths: Sequence[Path],
    model_paths: Sequence[Path],
    units: Mapping[str, str],
    most: int,
    tell_of: Callable[[Path], Tell],
) -> list[dict[str, Any]]:
    """Return the first suspicious moments of recordings that are not left out already.

    Args:
        most: How many.
        tell_of: Returns what is told how far the work on a recording is.

    Raises:
        InputError: A recording or a model cannot be read.
    """
    moments, models = [], load_review_models(model_paths)
    for path in paths:
        left_out = read_marks(find_log(path)).left_out
        unit = units.get(str(path.resolve()))
        for each in look_at(path, models, unit, tell_of(path)):
            rows = range(each["from_row"], each["to_row"] + 1)
            if not all(row in left_out for row in rows):
                moments.append(each | {"recording": str(path)})
    moments.sort(key=lambda each: -each["score"])
    return moments[:most]


def models_beside_driver(
    path: Path, unit: str | None, model_paths: Sequence[Path], rows: Rows
) -> list[dict[str, Any]]:
    """Return how far models are from the driver in rows of a recording.

    Raises:
        InputError: The log has not these rows, or a file cannot be read.
    """
    plain, marked = read_both(path, unit)
    return compared(plain, marked, load_review_models(model_paths), rows)
