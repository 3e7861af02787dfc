"""Teach a model the stretches of recordings that it drives badly.

The recordings are driven again (evaluation/replay.py); the stretches before a person
would have taken the wheel, and those that a person has marked hard, are drawn more
often in fine-tuning, and the model is kept only if it got better there and worse
nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import InputError
from common.table import text_table
from evaluation.judging import Predict, load_batch_predictor, read_recordings
from evaluation.replay import frames_from_disk, model_driver, read_path, replay
from training.settings import Settings
from tuning import fine_tuning
from tuning.fine_tuning import Given, TrainRun
from tuning.plans import HardPlacesPlan

Counts = dict[str, float]
# The mean distance from the path in the marked places, in metres, among the counts.
OFF = "marked_hard_off_m"
# NVIDIA's limit, at which a place is hard, and the one that a car between the lines
# keeps within.
NEAR_M, FAR_M = 1.0, 2.0
# Where interventions in hard places become no fewer, the car must come so much nearer
# to the path in the marked ones.
NEARER = 0.95
# A hard place: so long before a person would have taken the wheel, and so long after.
HARD_BEFORE_S, HARD_AFTER_S = 4.0, 1.0


def improve_on_recordings(
    plan: HardPlacesPlan, folder: Path, given: Given, run: TrainRun
) -> dict[str, Any]:
    """Fine-tune on hard places; return counts before and after, and whether to keep.

    The arguments given must be those that the folder was begun with.

    Raises:
        InputError: There is no hard place, or an input cannot be used, or the folder is
            not this command's, or fine-tuning was interrupted.
    """
    document = fine_tuning.read_document(folder, given)
    if "accepted" in document:
        return document
    settings = fine_tuning.tuning_settings(plan.tuning)
    hard, before = replay_all(plan, settings, plan.tuning.model_path, None)
    if not hard:
        needs = f"{plan.tuning.model_path} needs no intervention at {NEAR_M:g} m"
        raise InputError(
            f"{needs} on these recordings, and none of their rows is marked hard; "
            "review.py marks some"
        )

    def draw(samples: pd.DataFrame) -> np.ndarray:
        is_hard = samples["center"].isin(hard).to_numpy()
        if not is_hard.any():
            raise InputError(
                "no frame of the hard places is trained on: they are set aside for "
                "validation (another --seed draws other blocks), or in recordings that "
                "the model was trained on as well (give those with --recording)"
            )
        return fine_tuning.draw_share(is_hard, plan.tuning.new_share)

    # The folder is known for this command's own.
    fine_tuning.write_document(folder, document)
    added = (str(path.resolve()) for path in plan.recordings)
    recordings = tuple(dict.fromkeys((*settings.recordings, *added)))
    settings = replace(settings, recordings=recordings)
    model_path = fine_tuning.tune(folder / "tuned", settings, draw, run)
    _, after = replay_all(plan, settings, model_path, hard)
    document |= {"model": str(model_path), "before": before, "after": after}
    document["accepted"] = is_better(before, after)
    fine_tuning.write_document(folder, document)
    return document


def is_better(before: Counts, after: Counts) -> bool:
    """Say whether hard places got better and nothing else worse."""
    counts = before.keys() - {OFF}
    if any(after[name] > before[name] for name in counts):
        return False
    fewer = after["hard_places"] < before["hard_places"]
    return fewer or (OFF in before and after[OFF] < NEARER * before[OFF])


def replay_all(
    plan: HardPlacesPlan, settings: Settings, model_path: Path, hard: set[str] | None
) -> tuple[set[str], Counts]:
    """Let a model drive the recordings again, and those of the guard.

    Args:
        settings: Those of the fine-tuning.
        hard: Centre images of the hard places; None finds them.

    Returns:
        Those, and interventions: `hard_places`, `elsewhere`, `elsewhere_2_m` and, with
        a guard, `guard` and `guard_2_m`; and, with marks, OFF.
    """
    found: set[str] = set() if hard is None else hard
    off_m: list[np.ndarray] = []
    counts: Counts = {"hard_places": 0, "elsewhere": 0, "elsewhere_2_m": 0}
    counts |= {"guard": 0, "guard_2_m": 0} if plan.guard else {}
    predict = load_batch_predictor(model_path)
    folders = [*plan.recordings, *plan.guard]
    recordings = read_recordings(folders, units=settings.steering_units)
    for i, samples in enumerate(recordings):
        near, far, error_m = intervention_rows(predict, samples)
        if i >= len(plan.recordings):
            counts["guard"] += len(near)
            counts["guard_2_m"] += len(far)
            continue
        marked = samples["is_hard"].to_numpy(bool)
        off_m.append(np.abs(error_m[marked]))
        if hard is None:
            found |= hard_images(samples, near) | set(samples["center"][marked])
        is_hard = samples["center"].isin(found).to_numpy()
        counts["hard_places"] += int(is_hard[near].sum())
        counts["elsewhere"] += int((~is_hard[near]).sum())
        counts["elsewhere_2_m"] += int((~is_hard[far]).sum())
    driven_m = np.concatenate([each[np.isfinite(each)] for each in off_m])
    if len(driven_m):
        counts[OFF] = round(float(driven_m.mean()), 3)
    return found, counts


def intervention_rows(
    predict: Predict, samples: pd.DataFrame
) -> tuple[list[int], list[int], np.ndarray]:
    """Drive a recording again.

    Returns:
        The rows of its interventions at the near and at the far limit, and how far off
        the path the car is at the far one, float64 (n,), NaN where it is not driven.
    """
    path = read_path(samples)
    path.check_driven()
    drive = model_driver(path, predict, frames_from_disk(path))
    rollouts = replay(drive, path, (NEAR_M, FAR_M))
    driven = (path.dt_s > 0).nonzero()[0]
    near, far = (
        [int(driven[each.index]) for each in rollouts[limit_m].interventions]
        for limit_m in (NEAR_M, FAR_M)
    )
    error_m = np.full(len(samples), np.nan)
    error_m[driven] = rollouts[FAR_M].cross_track_error_m
    return near, far, error_m


def hard_images(samples: pd.DataFrame, rows: list[int]) -> set[str]:
    """Return the centre images around the rows after which a person intervenes."""
    images: set[str] = set()
    for row in rows:
        since_s = samples["time_s"] - samples["time_s"].iloc[row]
        near = since_s.between(-HARD_BEFORE_S, HARD_AFTER_S)
        near &= samples["session"] == samples["session"].iloc[row]
        images.update(samples["center"][near])
    return images


def places_table(document: dict[str, Any]) -> str:
    """Return the counts before and after as a table for a person."""
    rows = [
        (name.replace("_", " "), f"{count:g}", f"{document['after'][name]:g}")
        for name, count in document["before"].items()
    ]
    return text_table([("interventions", "before", "after"), *rows], "<>")
