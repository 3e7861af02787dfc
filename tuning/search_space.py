"""What a search varies, and on which samples.

Validation loss cannot judge the look-ahead, for its labels follow from it: the farther
ahead one aims, the smaller the steering, and the smaller its errors. So that one is
searched only where driving is judged.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import optuna
import pandas as pd

from augment import AugmentSettings
from common.car import CAMERAS
from common.errors import InputError
from model import PRESETS
from recordings.recording import read_recordings, usable_samples, what_to_say
from recordings.split import part_of, rest_of, split_by_time
from training.settings import Settings

CHOICES = {"preset": tuple(PRESETS), "batch_size": (32, 64, 128, 256)}
# Around the defaults: from nothing to twice as strong where 0 turns a setting off.
RANGES = {
    "learning_rate": (3e-5, 1e-2),
    "dropout": (0.0, 0.5),
    "look_ahead_s": (0.4, 1.6),
    "flip": (0.0, 0.5),
    "shift_down": (0.0, 0.12),
    "brightness": (0.0, 0.8),
    "gamma": (0.0, 0.6),
    "colour": (0.0, 0.6),
    "shadow": (0.0, 0.6),
    "noise": (0.0, 12.0),
    "blur": (0.0, 0.02),
}


@dataclass(frozen=True)
class Plan:
    """What the trials of a search have in common.

    Raises:
        InputError: The base has no steps per epoch, or nothing is left to search.
    """

    base: Settings
    """The default trial; the others differ from it in what is searched."""
    fixed: tuple[str, ...] = ()
    """Names of settings that stay as they are in the base."""

    def __post_init__(self) -> None:
        if self.base.steps_per_epoch is None or self.base.steps_per_epoch < 1:
            raise InputError(f"--steps is {self.base.steps_per_epoch}, expected >= 1")
        if not self.searched:
            raise InputError("every setting is fixed; leave some to the search")

    @property
    def objective(self) -> str:
        """What the objective's values are."""
        if self.base.select == "loss":
            return "val_loss"
        return "interventions/min + RMS m / 10"

    @property
    def searched(self) -> tuple[str, ...]:
        """Names of the settings that the trials differ in."""
        fixed = set(self.fixed)
        if self.base.select == "loss" or self.base.recovery == "shift":
            fixed.add("look_ahead_s")
        if self.base.from_model:
            # The layers are those of the model that is fine-tuned.
            fixed |= {"preset", "dropout"}
        names = (*CHOICES, "steps_per_epoch", *RANGES)
        return tuple(name for name in names if name not in fixed)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a document that equals itself when read back."""
        document = {"settings": asdict(self.base), "fixed": sorted(self.fixed)}
        return dict(json.loads(json.dumps(document)))


@dataclass(frozen=True, eq=False)
class Search:
    """What a search works on."""

    plan: Plan
    """What its trials have in common."""
    fingerprints: dict[str, str]
    """The fingerprint of each recording, by its folder."""
    num_samples: int
    """Samples that the trials train and validate on."""
    rest: pd.DataFrame
    """Samples that no trial sees, as rest_of returns them."""


def prepare(settings: Settings, fixed: Collection[str]) -> Search:
    """Read the recordings, and see that there is enough to search and to judge on.

    Args:
        settings: Those of the default trial. Without steps per epoch, it gets as many
            as the frames of all cameras fill.
        fixed: Names of settings that are not searched.

    Raises:
        InputError: There is not enough, or a recording cannot be read.
    """
    recordings = read_recordings(settings.recordings, settings.steering_units)
    for line in what_to_say(recordings):
        print(line, file=sys.stderr)
    samples = usable_samples(recordings)
    seen = part_of(samples, settings.part).head(settings.limit)
    rest = rest_of(samples, settings.part)
    if rest.empty:
        first, last = settings.part
        raise InputError(
            f"--part {first:g} {last:g} leaves nothing to hold the best trial against "
            "the default on; leave a fifth out"
        )
    rng = np.random.default_rng(settings.seed)
    rows, _ = split_by_time(seen, settings.validation_fraction, rng)
    num_frames = int((seen.iloc[rows][list(CAMERAS)] != "").to_numpy().sum())
    steps = settings.steps_per_epoch or math.ceil(num_frames / settings.batch_size)
    plan = Plan(replace(settings, steps_per_epoch=steps), tuple(sorted(fixed)))
    fingerprints = {str(each.folder): each.fingerprint for each in recordings}
    return Search(plan, fingerprints, len(seen), rest)


# --- The values of a trial ------------------------------------------------------------


def default_values(plan: Plan) -> dict[str, Any]:
    """Return the values that the searched settings have in the base."""
    base = asdict(plan.base) | asdict(plan.base.augment)
    if base["dropout"] is None:
        base["dropout"] = PRESETS[plan.base.preset].dropout
    return {name: base[name] for name in plan.searched}


def suggest(trial: optuna.Trial, plan: Plan) -> dict[str, Any]:
    """Let a trial choose what is searched; return the values by name."""
    steps = plan.base.steps_per_epoch or 1
    chosen: dict[str, Any] = {}
    for name in plan.searched:
        if name in CHOICES:
            chosen[name] = trial.suggest_categorical(name, CHOICES[name])
        elif name == "steps_per_epoch":
            least = max(1, steps // 2)
            chosen[name] = trial.suggest_int(name, least, 2 * steps, log=True)
        else:
            log = name == "learning_rate"
            chosen[name] = trial.suggest_float(name, *RANGES[name], log=log)
    return chosen


def settings_of(plan: Plan, chosen: dict[str, Any]) -> Settings:
    """Return the settings of a trial that chose these values.

    They are rounded to three digits, so that the command of a trial is one to read.
    """
    chosen = {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in chosen.items()
    }
    names = {setting.name for setting in fields(AugmentSettings)} & set(chosen)
    strengths = {name: chosen.pop(name) for name in names}
    augment = replace(plan.base.augment, **strengths)
    return replace(plan.base, **chosen, augment=augment)
