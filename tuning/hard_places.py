"""Teach a model the stretches of recordings that it drives badly.

The recordings are driven again (replay.py); the stretches before a person would have
taken the wheel are drawn more often in fine-tuning, and the model is kept only if it
got better there and worse nowhere else.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from tuning.fine_tuning import (
    draw_share,
    read_document,
    tune,
    tuning_settings,
    write_document,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

LIMIT_M = 1.0
# A hard place: so long before a person would have taken the wheel, and so long after.
HARD_BEFORE_S, HARD_AFTER_S = 4.0, 1.0


def improve_on_recordings(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fine-tune on hard places; return counts before and after, and whether to keep.

    Raises:
        InputError: there is no hard place.
    """
    document = read_document(folder, args)
    if "accepted" in document:
        return document
    settings = tuning_settings(args, args.model)
    hard, before = replay_all(args, args.model, None)
    if not hard:
        raise InputError(
            f"{args.model} needs no intervention at {LIMIT_M:g} m on these recordings"
        )

    def draw(samples: pd.DataFrame) -> np.ndarray:
        return draw_share(samples["center"].isin(hard).to_numpy(), args.new_share)

    write_document(folder, document)  # The folder is known for this command's own.
    given = tuple(str(path.resolve()) for path in args.recording)
    recordings = dict.fromkeys((*settings.recordings, *given))
    settings = replace(settings, recordings=tuple(recordings))
    model_path = tune(folder / "tuned", settings, draw)
    _, after = replay_all(args, model_path, hard)
    document |= {"model": str(model_path), "before": before, "after": after}
    document["accepted"] = is_better(before, after)
    write_document(folder, document)
    return document


def is_better(before: dict[str, int], after: dict[str, int]) -> bool:
    """Say whether hard places got better and nothing else worse."""
    fewer = after["hard_places"] < before["hard_places"]
    return fewer and all(after[name] <= count for name, count in before.items())


def replay_all(
    args: argparse.Namespace, model: Path, hard: set[str] | None
) -> tuple[set[str], dict[str, int]]:
    """Drive the recordings again, and those of the guard.

    Args:
        args: names them.
        model: who drives.
        hard: centre images of the hard places; None finds them.

    Returns:
        Those, and interventions: `hard_places`, `elsewhere`, `elsewhere_2_m` and, with
        a guard, `guard` and `guard_2_m`.
    """
    from evaluation.judging import load_batch_predictor, read_recordings
    from evaluation.replay import (
        frames_from_disk,
        in_batches,
        model_driver,
        read_path,
        replay,
    )

    found: set[str] = set() if hard is None else hard
    counts = {"hard_places": 0, "elsewhere": 0, "elsewhere_2_m": 0}
    counts |= {"guard": 0, "guard_2_m": 0} if args.guard else {}
    predict = load_batch_predictor(model)
    parts = read_recordings([*args.recording, *args.guard])
    for i, samples in enumerate(parts):
        path = read_path(samples)
        path.check_driven()
        drive = model_driver(path, in_batches(predict), frames_from_disk(path))
        rollouts = replay(drive, path)
        driven = (path.dt_s > 0).nonzero()[0]
        rows = {
            limit_m: [int(driven[each.index]) for each in rollout.interventions]
            for limit_m, rollout in rollouts.items()
        }
        if i >= len(args.recording):
            counts["guard"] += len(rows[1.0])
            counts["guard_2_m"] += len(rows[2.0])
            continue
        if hard is None:
            found |= hard_images(samples, rows[1.0])
        is_hard = samples["center"].isin(found).to_numpy()
        counts["hard_places"] += int(is_hard[rows[1.0]].sum())
        counts["elsewhere"] += int((~is_hard[rows[1.0]]).sum())
        counts["elsewhere_2_m"] += int((~is_hard[rows[2.0]]).sum())
    return found, counts


def hard_images(samples: pd.DataFrame, rows: list[int]) -> set[str]:
    """Return the centre images of the stretches around interventions.

    Args:
        samples: of one recording.
        rows: of the samples, after which a person would have taken the wheel.
    """
    images: set[str] = set()
    for row in rows:
        since_s = samples["time_s"] - samples["time_s"].iloc[row]
        near = since_s.between(-HARD_BEFORE_S, HARD_AFTER_S)
        near &= samples["session"] == samples["session"].iloc[row]
        images.update(samples["center"][near])
    return images


def table(document: dict[str, Any]) -> str:
    """Return the counts as lines for a person."""
    return "\n".join(
        f"{name.replace('_', ' '):<16}{count:>4} interventions before,"
        f"{document['after'][name]:>4} after"
        for name, count in document["before"].items()
    )
