"""What a training run depends on: each setting declared once.

From the declarations below come the flags of train.py and their help (flags.py), the
checks of what is given, and the `settings` of a run's config.json.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from augment import AugmentSettings
from common.command_line import MOST_SEED
from common.errors import InputError
from model import PRESETS
from network.files import BASE_MODEL
from recordings.steering import BALANCE_MODES
from recordings.units import FULL_LOCK, UNIT_HELP, UNIT_METAVAR, unit_of_text

# With --deterministic: what most laptops have. On two cores 4 to 8 % slower than two.
DETERMINISTIC_THREADS = 4
SCHEDULES = ("cosine", "constant")
SELECTIONS = ("loss", "driving")
RECOVERIES = ("reproject", "shift")
# Of the weights of a run that begins with the base model.
KEPT_OF_BASE = 0.5
# What --from is called that begins with a new network.
SCRATCH = "scratch"
# Settings of former versions, and the one value that changes nothing of a run.
RETIRED = {"weigh_recordings": "equal"}
# The questions that the flags answer, in the order of the help.
DATA = "what to train on"
NETWORK = "which network"
DURATION = "how long, and how fast it learns"
LABELS = "what is taught"
RECOVERY = "how the way back to the middle is taught"
AUGMENTATION = "what the frames undergo (0 turns one off)"

# What says whether a value is good, and which are, in words.
Rule = tuple[Callable[[Any], bool], str]
FRACTION: Rule = (lambda value: 0 <= value <= 1, "[0, 1]")
BELOW_ONE: Rule = (lambda value: 0 <= value < 1, "[0, 1)")
ZERO_OR_MORE: Rule = (lambda value: value >= 0, "0 or more")
A_SEED: Rule = (lambda value: 0 <= value <= MOST_SEED, f"0 to {MOST_SEED}")
ABOVE_ZERO: Rule = (lambda value: value > 0, ">0")


def _at_least(least: int) -> Rule:
    return lambda value: value >= least, f"at least {least}"


def _within(most: float, unit: str) -> Rule:
    return lambda value: 0 <= value <= most, f"0 to {most} {unit}"


def _setting(
    default: Any,
    question: str,
    text: str,
    rule: Rule | None = None,
    *,
    kind: Callable[[str], Any] | None = None,
    is_basic: bool = False,
    **flag: Any,
) -> Any:
    """Declare a setting.

    Args:
        default: Its value where none is given.
        question: The group of flags that it belongs to.
        text: The flag's help. The default is added, unless the text tells it.
        rule: Which values are good; None takes all.
        kind: What turns the flag's text into a value; None is the default's type.
        is_basic: Whether the short help shows it.
        flag: Further arguments of argparse's add_argument; `name` is what the flag is
            called, where that is not the setting's own name.
    """
    if default not in (None, False, {}) and "(default" not in text:
        text += f" (default: {default})"
    told: dict[str, Any] = {"question": question, "kind": kind or type(default)}
    told |= {"help": text, "rule": rule, "is_basic": is_basic, "flag": flag}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=told)
    return field(default=default, metadata=told)


def _share(text: str) -> tuple[str, float]:
    name, _, fraction = text.rpartition("=")
    return name, float(fraction)


def _are_shares(shares: dict[str, float]) -> bool:
    return all(0 < share < 1 for share in shares.values()) and sum(shares.values()) < 1


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on; saved as `settings` in config.json.

    Raises:
        InputError: A value is out of its range; the message gives the flag.
    """

    recordings: tuple[str, ...]
    """Absolute paths of the folders."""
    preset: str = _setting(
        "default", NETWORK, "layers of the network", choices=tuple(PRESETS)
    )
    dropout: float | None = _setting(
        None, NETWORK, "dropout rate (default: the preset's)", BELOW_ONE, kind=float
    )
    from_model: str | None = _setting(
        None,
        NETWORK,
        "model or run to begin with, base (default), or scratch: a new one",
        kind=str,
        is_basic=True,
        name="from",
        metavar="MODEL",
    )
    keep_start: float | None = _setting(
        None,
        NETWORK,
        "share kept of the start's weights (default: 0.5 of base, else 0)",
        BELOW_ONE,
        kind=float,
    )
    """What is validated and saved lies so far back towards the model it began from.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """
    keep_steering: bool = _setting(
        False,
        NETWORK,
        "teach the bend alone: the start's steering stays to the bit",
        action="store_true",
    )
    limit: int | None = _setting(
        None,
        DATA,
        "use the first N rows only, to try things out",
        kind=int,
        is_basic=True,
    )
    part: tuple[float, float] = _setting(
        (0.0, 1.0),
        DATA,
        "part of each recording's rows (default: 0 1)",
        (lambda part: 0 <= part[0] < part[1] <= 1, "0 <= FROM < TO <= 1"),
        kind=float,
        nargs=2,
        metavar=("FROM", "TO"),
    )
    steering_units: dict[str, str] = _setting(  # noqa: RUF009 - as shares below
        {},
        DATA,
        UNIT_HELP,
        (lambda units: set(units.values()) <= set(FULL_LOCK), ", ".join(FULL_LOCK)),
        kind=unit_of_text,
        is_basic=True,
        name="steering-unit",
        action="append",
        metavar=UNIT_METAVAR,
    )
    """By the recordings' absolute paths; those that are not here are normalised."""
    validation_fraction: float = _setting(
        0.2, DATA, "part set aside to validate on; 0: none", BELOW_ONE
    )
    seed: int = _setting(
        0, DATA, "seed of split, weights and batches", A_SEED, is_basic=True
    )
    deterministic: bool = _setting(
        False,
        DATA,
        "the same weights for a seed on any number of cores",
        action="store_true",
    )
    epochs: int = _setting(
        None,
        DURATION,
        "epochs at most (default: 10, from scratch 30)",
        _at_least(1),
        kind=int,
        is_basic=True,
    )
    steps_per_epoch: int | None = _setting(
        None,
        DURATION,
        "batches an epoch (default: every frame once)",
        _at_least(1),
        kind=int,
    )
    batch_size: int = _setting(64, DURATION, "frames a batch", _at_least(2))
    learning_rate: float | None = _setting(
        None,
        DURATION,
        "Adam's rate (default: 1e-4, from scratch 1e-3)",
        ABOVE_ZERO,
        kind=float,
    )
    schedule: str = _setting(
        "cosine", DURATION, "course of the learning rate", choices=SCHEDULES
    )
    patience: int = _setting(
        10,
        DURATION,
        "epochs without a better one, then stop; 0: never",
        (lambda epochs: epochs >= 0, "0 (never stop early) or more"),
    )
    select: str = _setting(
        "loss",
        DURATION,
        "what the weights are chosen by, on held-out blocks",
        choices=SELECTIONS,
    )
    label_before_s: float = _setting(
        0.2, LABELS, "average labels from so many seconds before", ZERO_OR_MORE
    )
    label_after_s: float = _setting(
        0.5, LABELS, "average labels to so many seconds after", ZERO_OR_MORE
    )
    bend_weight: float = _setting(
        0.3,
        LABELS,
        "weight of the bend's error; 0: steering alone",
        (lambda weight: 0 <= weight <= 10, "0 (no bend) to 10"),
    )
    balance: str = _setting(
        "off",
        LABELS,
        "balance the steering that is drawn",
        is_basic=True,
        choices=BALANCE_MODES,
    )
    hard_factor: float = _setting(
        3.0,
        LABELS,
        "times as often that rows marked hard are drawn",
        (lambda factor: 1 <= factor <= 100, "1 (as often as others) to 100"),
    )
    shares: dict[str, float] = _setting(  # noqa: RUF009 - of it a factory is made
        {},
        LABELS,
        "part of the frames drawn from recording NAME; all of it trains",
        (_are_shares, "each above 0, all together below 1"),
        kind=_share,
        name="share",
        action="append",
        metavar="NAME=FRACTION",
    )
    recovery: str = _setting(
        "reproject",
        RECOVERY,
        "move the view off the path, or shift pixels",
        is_basic=True,
        choices=RECOVERIES,
    )
    offset_std_m: float = _setting(
        0.6, RECOVERY, "spread of the view beside the path, metres", _within(2, "m")
    )
    heading_std_deg: float = _setting(
        4.5,
        RECOVERY,
        "spread of the heading off the path, degrees",
        _within(20, "degrees"),
    )
    look_ahead_s: float = _setting(
        0.6,
        RECOVERY,
        "aim back at the path so many seconds ahead",
        (lambda ahead_s: 0 < ahead_s <= 5, "above 0 to 5 s"),
    )
    side_camera_share: float = _setting(
        0.5, RECOVERY, "with shift: part drawn from side cameras", FRACTION
    )
    side_camera_correction: float = _setting(
        0.2, RECOVERY, "with shift: steering added for the left camera", FRACTION
    )
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Each of its fields has a flag as well, checked there."""

    def __post_init__(self) -> None:
        for setting in declared_settings():
            value, rule = getattr(self, setting.name), setting.metadata["rule"]
            if value is not None and rule and not rule[0](value):
                raise InputError(
                    f"{flag_of(setting.name)} is {value}, expected {rule[1]}"
                )
        if self.keep_steering:
            self._check_keeping()
        for name, usual in usual_for(self.from_model, self.keep_steering).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, usual)

    def _check_keeping(self) -> None:
        wanted = {
            "--from": bool(self.from_model),
            "--bend-weight": self.bend_weight > 0,
            "--select": self.select == "loss",
        }
        expected = {
            "--from": "a model, whose steering is kept",
            "--bend-weight": "above 0: the bend is all that is taught",
            "--select": "loss: how it drives does not change",
        }
        for flag, is_good in wanted.items():
            if not is_good:
                raise InputError(f"--keep-steering: expected {flag} {expected[flag]}")

    @property
    def must_beat_start(self) -> bool:
        """Whether the model that is fine-tuned is kept unless an epoch beats it.

        Not where recordings have a share: what they are to teach is not validated on.
        """
        return bool(self.from_model) and not self.shares

    @property
    def threads(self) -> int | None:
        """The number of threads that must compute; None for one on each core."""
        return DETERMINISTIC_THREADS if self.deterministic else None

    @staticmethod
    def from_json(document: dict[str, Any]) -> Settings:
        """Rebuild the settings that `asdict` turned into a JSON document.

        Raises:
            InputError: A setting is unknown, or of a former version and no more to be
                had; or a value is out of its range.
        """
        document = dict(document)
        for name, neutral in RETIRED.items():
            if (value := document.pop(name, neutral)) != neutral:
                raise InputError(
                    f"config.json: {name} is {value}, which this version has no more; "
                    "train under a new --name"
                )
        unknown = sorted(set(document) - {each.name for each in fields(Settings)})
        if unknown:
            raise InputError(f"config.json: unknown settings {', '.join(unknown)}")
        document["augment"] = AugmentSettings(**document["augment"])
        # A run that was begun before there was this goes on as it began.
        document.setdefault("keep_start", 0.0)
        document.setdefault("bend_weight", 0.0)
        document.setdefault("keep_steering", False)
        for name in {"recordings", "part"} & set(document):
            document[name] = tuple(document[name])
        return Settings(**document)


def usual_for(from_model: str | None, keep_steering: bool = False) -> dict[str, float]:
    """Return learning rate, epochs and what is kept of the start where none are given.

    A new model learns with Adam's usual rate, and for long; a trained one is nudged.
    The base model knows more roads and lanes than one person's recording shows. Where
    the steering is kept, what learns is new.
    """
    if keep_steering:
        return {"learning_rate": 1e-3, "epochs": 10, "keep_start": 0.0}
    if not from_model:
        return {"learning_rate": 1e-3, "epochs": 30, "keep_start": 0.0}
    is_base = os.path.realpath(from_model) == os.path.realpath(BASE_MODEL)
    kept = KEPT_OF_BASE if is_base else 0.0
    return {"learning_rate": 1e-4, "epochs": 10, "keep_start": kept}


def declared_settings() -> list[Field[Any]]:
    """Return the settings that have a flag of their own."""
    return [setting for setting in fields(Settings) if "question" in setting.metadata]


def flag_of(name: str) -> str:
    """Return the flag of a setting, of the augmentation too."""
    for setting in declared_settings():
        if setting.name == name:
            name = setting.metadata["flag"].get("name", name)
    return "--" + name.replace("_", "-")


def changes_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the default, those of the augmentation too.

    Args:
        document: The settings of a config.json, which may be older than a setting, or
            younger.
    """

    def flat(settings: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in settings.items() if name != "augment"}
        return rest | settings.get("augment", {})

    default = flat(asdict(Settings(()))) | RETIRED
    default["part"] = list(default["part"])
    # None stands for what follows from the other settings.
    given = document.get("from_model"), document.get("keep_steering", False)
    default |= usual_for(*given)
    return {
        name: value
        for name, value in flat(document).items()
        if name != "recordings"
        and value != default.get(name)
        and not (value is None and name in usual_for(None))
    }
