"""What marks change of recordings, in numbers, and the command to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recordings.log import MARKED_OUT
from recordings.marks import Mark
from recordings.recording import Recording
from recordings.rows import SESSION_GAP_S
from recordings.steering import BALANCE_BINS

EDGES = np.linspace(-1, 1, BALANCE_BINS + 1)


def changes_of(plain: Recording, marked: Recording) -> dict[str, Any]:
    """Return what marks change of a recording.

    Args:
        plain: As it was read without its marks.
        marked: As it was read with them.
    """
    before, after = _used(plain), _used(marked)
    return {
        "rows": len(plain.samples),
        "usable_before": len(before),
        "usable_after": len(after),
        "marked_out": marked.excluded.get(MARKED_OUT, 0),
        "hard": int(after["is_hard"].sum()),
        "minutes_before": round(minutes_of(before), 2),
        "minutes_after": round(minutes_of(after), 2),
        "steering": {
            "edges": [round(float(edge), 4) for edge in EDGES],
            "before": _histogram(before),
            "after": _histogram(after),
        },
    }


def minutes_of(samples: pd.DataFrame) -> float:
    """Return how long the car is driven in rows, without the gaps between them."""
    step_s = samples["time_s"].diff().fillna(0.0)
    goes_on = (samples["session"].diff() == 0) & step_s.between(0, SESSION_GAP_S)
    return float(step_s[goes_on].sum()) / 60


def _used(recording: Recording) -> pd.DataFrame:
    return recording.samples[recording.samples["excluded"] == ""]


def _histogram(samples: pd.DataFrame) -> list[int]:
    counts, _ = np.histogram(np.clip(samples["steering"], -1, 1), EDGES)
    return [int(count) for count in counts]


def document_of_mark(mark: Mark) -> dict[str, Any]:
    """Return a mark as a document, in the words of its file."""
    return {
        "from_row": mark.first,
        "to_row": mark.last,
        "mark": mark.kind,
        "note": mark.note,
    }


def train_command(
    folders: Sequence[Path],
    units: Mapping[str, str],
    models: Sequence[Path] = (),
) -> str:
    """Return the command that trains on recordings, marks and all.

    Args:
        folders: The recordings, as they were given.
        units: Units of their steering, as units_by_path returns them.
        models: Models that were looked at; of one alone training goes on.
    """
    words = ["python", "train.py", *map(str, folders)]
    for folder in folders:
        if unit := units.get(str(Path(folder).resolve())):
            words += ["--steering-unit", f"{folder}={unit}"]
    if len(models) == 1:
        words += ["--from", str(models[0])]
    return shlex.join(words)
