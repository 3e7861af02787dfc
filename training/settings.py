"""What a training run depends on, and its command line.

Everything that changes a run is a field of Settings, is saved with the run, and has a
flag; train.py does the work.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from augment import AugmentSettings
from common.errors import InputError
from model import PRESETS
from recordings.steering import BALANCE_MODES

SCHEDULES = ("cosine", "constant")
WEIGHTS = ("equal", "spread")
SELECTIONS = ("loss", "driving")
RECOVERIES = ("reproject", "shift")


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on; saved as `settings` in config.json.

    Raises:
        InputError: a value is out of its range; the message gives the flag.
    """

    recordings: tuple[str, ...]
    preset: str = "default"
    dropout: float | None = None
    from_model: str | None = None
    limit: int | None = None
    part: tuple[float, float] = (0.0, 1.0)
    validation_fraction: float = 0.2
    seed: int = 0
    epochs: int = 30
    steps_per_epoch: int | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    schedule: str = "cosine"
    patience: int = 10
    select: str = "loss"
    label_before_s: float = 0.2
    label_after_s: float = 0.5
    balance: str = "off"
    weigh_recordings: str = "equal"
    shares: dict[str, float] = field(default_factory=dict)
    recovery: str = "reproject"
    offset_std_m: float = 0.6
    heading_std_deg: float = 4.5
    look_ahead_s: float = 0.9
    side_camera_share: float = 0.5
    side_camera_correction: float = 0.2
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        checks = {
            "validation-fraction": (0 <= self.validation_fraction < 1, "[0, 1)"),
            "dropout": (self.dropout is None or 0 <= self.dropout < 1, "[0, 1)"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "steps-per-epoch": (
                self.steps_per_epoch is None or self.steps_per_epoch >= 1,
                "at least 1",
            ),
            "seed": (self.seed >= 0, "0 or more"),
            "batch-size": (self.batch_size >= 2, "at least 2"),
            "learning-rate": (
                self.learning_rate is None or self.learning_rate > 0,
                ">0",
            ),
            "patience": (self.patience >= 0, "0 (never stop early) or more"),
            "label-before-s": (self.label_before_s >= 0, "0 or more"),
            "label-after-s": (self.label_after_s >= 0, "0 or more"),
            "offset-std-m": (0 <= self.offset_std_m <= 2, "0 to 2 m"),
            "heading-std-deg": (0 <= self.heading_std_deg <= 20, "0 to 20 degrees"),
            "look-ahead-s": (0 < self.look_ahead_s <= 5, "above 0 to 5 s"),
            "share": (
                all(0 < share < 1 for share in self.shares.values())
                and sum(self.shares.values()) < 1,
                "each above 0, all together below 1",
            ),
            "part": (0 <= self.part[0] < self.part[1] <= 1, "0 <= FROM < TO <= 1"),
            "side-camera-share": (0 <= self.side_camera_share <= 1, "[0, 1]"),
            "side-camera-correction": (0 <= self.side_camera_correction <= 1, "[0, 1]"),
        }
        for flag, (holds, expected) in checks.items():
            if not holds:
                name = "shares" if flag == "share" else flag.replace("-", "_")
                given = getattr(self, name)
                raise InputError(f"--{flag} is {given}, expected {expected}")
        # A new model learns with Adam's usual rate; a trained one is only nudged.
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", 1e-4 if self.from_model else 1e-3)

    @property
    def must_beat_start(self) -> bool:
        """Whether the model that is fine-tuned is kept unless an epoch beats it.

        Not where recordings have a share: what they are to teach is not validated on.
        """
        return bool(self.from_model) and not self.shares

    @staticmethod
    def from_json(document: dict[str, Any]) -> Settings:
        """Rebuild the settings that `asdict` turned into a JSON document."""
        known = {f.name for f in fields(Settings)}
        unknown = sorted(set(document) - known)
        if unknown:
            raise InputError(f"config.json: unknown settings {', '.join(unknown)}")
        return Settings(
            **{
                **document,
                "recordings": tuple(document["recordings"]),
                "part": tuple(document.get("part", (0.0, 1.0))),
                "augment": AugmentSettings(**document["augment"]),
            }
        )


# --- Command line ---------------------------------------------------------------------


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train the network on recordings; writes models/NAME/.",
        epilog="Example:\n"
        "  python train.py data/a data/b --name both\n"
        "  python train.py --name both --resume\n"
        "  python train.py data/hard --name better --from models/both/model.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Settings(())

    def add(group: Any, flag: str, kind: type, text: str, **more: Any) -> None:
        value = getattr(default, flag[2:].replace("-", "_"))
        shown = "" if value is None else f" (default: {value})"
        group.add_argument(flag, type=kind, default=value, help=text + shown, **more)

    run = parser.add_argument_group("run")
    run.add_argument("recordings", nargs="*", help="folders with a driving_log.csv")
    run.add_argument("--name", required=True, help="of the run and of its folder")
    run.add_argument(
        "--models-dir", type=Path, default=Path("models"), help="(default: models)"
    )
    run.add_argument("--resume", action="store_true", help="go on with a stopped run")
    add(run, "--seed", int, "of the split, the first weights and every batch")
    add(run, "--limit", int, "use the first rows only, for a try under a minute")
    run.add_argument(
        "--part",
        type=float,
        nargs=2,
        default=default.part,
        metavar=("FROM", "TO"),
        help="of each recording, as fractions of its rows (default: 0 1)",
    )
    add(
        run,
        "--validation-fraction",
        float,
        "part of the time set aside; 0: none, validate on what is trained on",
    )

    model = parser.add_argument_group("model")
    add(model, "--preset", str, "layers", choices=PRESETS)
    add(model, "--dropout", float, "rate [0, 1) instead of the preset's own")
    model.add_argument(
        "--from", dest="from_model", metavar="MODEL_JSON", help="model to fine-tune"
    )

    fit = parser.add_argument_group("optimization")
    add(fit, "--epochs", int, "at most so many")
    add(
        fit,
        "--steps-per-epoch",
        int,
        "batches (default: as many as the frames of all cameras fill)",
    )
    add(fit, "--batch-size", int, "frames")
    fit.add_argument(
        "--learning-rate", type=float, help="of Adam (default: 1e-3; 1e-4 with --from)"
    )
    add(fit, "--schedule", str, "of the learning rate", choices=SCHEDULES)
    add(fit, "--patience", int, "epochs without a better one before stopping; 0 never")

    add(
        fit,
        "--select",
        str,
        "what the weights are chosen by; driving: the held-out blocks are driven again "
        "after each epoch, fewest interventions first",
        choices=SELECTIONS,
    )

    labels = parser.add_argument_group("labels")
    add(
        labels,
        "--label-before-s",
        float,
        "teach the mean steering from so many seconds",
    )
    add(
        labels,
        "--label-after-s",
        float,
        "before to so many after the frame; 0 0: as is",
    )
    add(labels, "--balance", str, "of the steering drawn", choices=BALANCE_MODES)
    add(
        labels,
        "--weigh-recordings",
        str,
        "equal: all alike; spread: each recording's loss by the inverse spread of its "
        "steering, so that a hilly road does not drown a wide one",
        choices=WEIGHTS,
    )
    labels.add_argument(
        "--share",
        dest="shares",
        type=_share,
        action="append",
        default=[],
        metavar="NAME=FRACTION",
        help="of the frames drawn, the fraction that comes from recording NAME, as for "
        "corrections; all of it trains, none of it validates (default: each frame is "
        "drawn as often as any other)",
    )

    back = parser.add_argument_group("teaching the way back to the middle")
    add(
        back,
        "--recovery",
        str,
        "reproject: move the view beside the path, steer back by pure pursuit; shift: "
        "side cameras and shifted pixels with fixed corrections",
        choices=RECOVERIES,
    )
    add(back, "--offset-std-m", float, "reproject: spread of the offset, metres")
    add(back, "--heading-std-deg", float, "reproject: spread of the heading, degrees")
    add(back, "--look-ahead-s", float, "reproject: aim so far ahead, at least 6 m")
    add(back, "--side-camera-share", float, "shift: part drawn from the side cameras")
    add(back, "--side-camera-correction", float, "shift: steering for the left camera")

    augment = parser.add_argument_group("augmentation (0 turns one off)")
    for setting in fields(AugmentSettings):
        augment.add_argument(
            "--" + setting.name.replace("_", "-"),
            type=float,
            default=setting.default,
            help=f"{setting.metadata['help']} (default: {setting.default})",
        )
    return parser


def _share(text: str) -> tuple[str, float]:
    name, _, fraction = text.rpartition("=")
    return name, float(fraction)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return make_parser().parse_args(argv)


def given_arguments(argv: list[str] | None) -> set[str]:
    """Return the names of the arguments that stand on the command line itself."""
    parser = make_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return set(vars(parser.parse_args(argv)))


def given_settings(argv: list[str] | None) -> set[str]:
    """Return the names of the settings that stand on the command line itself."""
    given = given_arguments(argv)
    augment = {setting.name for setting in fields(AugmentSettings)}
    return {"augment" if name in augment else name for name in given} & {
        setting.name for setting in fields(Settings)
    }


def settings_from(args: argparse.Namespace) -> Settings:
    """Turn parsed arguments into settings.

    Raises:
        InputError: a value is out of its range.
    """
    augment = {f.name: getattr(args, f.name) for f in fields(AugmentSettings)}
    rest = {
        f.name: getattr(args, f.name) for f in fields(Settings) if f.name != "augment"
    }
    # Absolute, so that --resume finds them from anywhere.
    rest["recordings"] = tuple(str(Path(path).resolve()) for path in args.recordings)
    rest["part"] = tuple(args.part)
    rest["shares"] = dict(args.shares)
    if args.from_model:
        rest["from_model"] = str(Path(args.from_model).resolve())
    try:
        return Settings(**rest, augment=AugmentSettings(**augment))
    except ValueError as error:
        raise InputError(str(error)) from error
