"""Train the network on recordings.

    python train.py data/a data/b --name both

reads the recordings, sets aside blocks of time for validation, caches what the network
sees of each frame, and writes models/both/ (run_folder.py says what is in it). The
weights kept are those with the lowest validation loss so far, saved as soon as they are
found. A run that was killed goes on with --resume and ends in the very weights of an
unbroken one; Ctrl-C stops after the batch and keeps the best.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment import BALANCE_MODES, AugmentSettings
from dataset import InputError
from model import PRESETS, quiet_tensorflow
from run_folder import NonFiniteLossError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from dataset import Recording
    from fitting import Labels
    from frame_cache import FrameCache
    from run_folder import Progress

SCHEDULES = ("cosine", "constant")
WEIGHTS = ("equal", "spread")
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
    validation_fraction: float = 0.2
    seed: int = 0
    epochs: int = 30
    steps_per_epoch: int | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    schedule: str = "cosine"
    patience: int = 10
    label_before_s: float = 0.2
    label_after_s: float = 0.5
    balance: str = "off"
    weigh_recordings: str = "equal"
    recovery: str = "reproject"
    offset_std_m: float = 0.6
    heading_std_deg: float = 4.5
    side_camera_share: float = 0.5
    side_camera_correction: float = 0.2
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        checks = {
            "validation-fraction": (0 < self.validation_fraction < 1, "(0, 1)"),
            "dropout": (self.dropout is None or 0 <= self.dropout < 1, "[0, 1)"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "steps-per-epoch": (self.steps_per_epoch != 0, "at least 1"),
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
            "side-camera-share": (0 <= self.side_camera_share <= 1, "[0, 1]"),
            "side-camera-correction": (0 <= self.side_camera_correction <= 1, "[0, 1]"),
        }
        for flag, (holds, expected) in checks.items():
            if not holds:
                given = getattr(self, flag.replace("-", "_"))
                raise InputError(f"--{flag} is {given}, expected {expected}")
        # A new model learns with Adam's usual rate; a trained one is only nudged.
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", 1e-4 if self.from_model else 1e-3)

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
                "augment": AugmentSettings(**document["augment"]),
            }
        )


# --- Data -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """The samples of a run, and which of them train and which validate."""

    recordings: list[Recording]
    samples: pd.DataFrame
    labels: Labels
    train: np.ndarray
    """int (n,), rows of samples."""
    validation: np.ndarray
    """int (m,), rows of samples, in the order of time."""


def read_split(settings: Settings) -> Split:
    """Read the recordings and set aside blocks of time for validation.

    Raises:
        InputError: a recording cannot be read, or too little of it is usable.
    """
    import numpy as np

    from dataset import read_recording, split_by_time, usable_samples
    from fitting import make_labels

    recordings = [read_recording(Path(path)) for path in settings.recordings]
    for recording in recordings:
        for warning in recording.warnings:
            print(f"{recording.name}: {warning}", file=sys.stderr)
    samples = usable_samples(recordings).head(settings.limit)
    rng = np.random.default_rng(settings.seed)
    train, validation = split_by_time(samples, settings.validation_fraction, rng)
    labels = make_labels(samples, settings.label_before_s, settings.label_after_s)
    return Split(recordings, samples, labels, train, np.sort(validation))


def open_cache(split: Split, model: keras.Model) -> FrameCache:
    """Open, or make, the cache of what this model sees of every frame."""
    from dataset import CAMERAS
    from frame_cache import FrameCache
    from model import view_key, view_of

    paths = [path for camera in CAMERAS for path in split.samples[camera] if path]
    return FrameCache(paths, view_of(model).predict_on_batch, view_key(model))


# --- The run --------------------------------------------------------------------------


def open_run(args: argparse.Namespace, given: set[str]) -> tuple[Path, Settings]:
    """Make the folder of a new run, or find the one to resume.

    Args:
        args: from parse_args.
        given: names of the settings that stood on the command line.

    Raises:
        InputError: the folder exists already, or there is nothing to resume, or a
            setting given differs from that of the run to resume.
    """
    from run_folder import read_config, versions, write_json

    folder = args.models_dir / args.name
    if args.resume:
        settings = Settings.from_json(read_config(folder)["settings"])
        wanted = settings_from(args)
        for name in sorted(given):
            was, now = getattr(settings, name), getattr(wanted, name)
            if was != now:
                raise InputError(
                    f"{folder}: the run to resume has {name} {was}, now it is {now}; "
                    "leave the option out, or train under a new --name"
                )
        for partial_path in folder.glob("*partial*"):
            partial_path.unlink()
        return folder, settings
    if not args.recordings:
        raise InputError("no recording given, expected at least one folder")
    settings = settings_from(args)
    if folder.exists():
        raise InputError(
            f"{folder} exists already; give another --name, or --resume to go on "
            "with a run that was stopped"
        )
    # Renamed when it has its settings: a run killed any earlier leaves no such folder.
    new_folder = folder.with_name(f".{folder.name}.partial")
    new_folder.mkdir(parents=True, exist_ok=True)
    config = {"settings": asdict(settings), "versions": versions()}
    write_json(new_folder / "config.json", config)
    new_folder.rename(folder)
    return folder, settings


def check_fingerprints(folder: Path, recordings: list[Recording]) -> None:
    """Write the fingerprints of the data, or hold them against those of the run.

    Raises:
        InputError: the data are not those that the run began with.
    """
    from run_folder import read_config, write_json

    config = read_config(folder)
    found = {str(recording.folder): recording.fingerprint for recording in recordings}
    if config.setdefault("data_fingerprints", found) != found:
        raise InputError(
            f"{folder}: its recordings have changed since the run began; train under "
            "a new --name"
        )
    write_json(folder / "config.json", config)


def starting_model(settings: Settings) -> keras.Model:
    """Build the model of a new run, or load the one to fine-tune."""
    import keras

    from model import build_model, load_model

    keras.utils.set_random_seed(settings.seed)
    if settings.from_model:
        return load_model(Path(settings.from_model))
    return build_model(settings.preset, settings.dropout)


def write_report(
    folder: Path, split: Split, cache: FrameCache, progress: Progress
) -> dict[str, Any]:
    """Score the best weights per recording; write metrics.json and the pictures.

    Returns:
        The content of metrics.json.
    """
    from fitting import cache_positions, predict
    from model import load_model, network_of
    from run_folder import plot_loss, plot_predictions, score, write_json

    network = network_of(load_model(folder / "model.json"))
    rows, labels = split.validation, split.labels
    positions = cache_positions(split.samples.iloc[rows], cache)[:, 0]
    predicted = predict(network, cache, positions)
    mean = float(labels.raw[split.train].mean())
    names = split.samples["recording"].to_numpy()[rows]
    scores, panels = {}, []
    for name in dict.fromkeys(names):
        of = names == name
        here = (predicted[of], labels.raw[rows][of], labels.averaged[rows][of])
        scores[str(name)] = score(*here, mean)
        panels.append((str(name), *here))
    metrics = {
        "best_val_loss": progress.best_val_loss,
        "epochs": progress.epoch,
        "training_samples": len(split.train),
        "validation": scores,
    }
    write_json(folder / "metrics.json", metrics)
    plot_loss(folder, progress)
    plot_predictions(folder, panels)
    return metrics


def run(folder: Path, settings: Settings) -> dict[str, Any]:
    """Train the run of a folder from where it stands; return its metrics."""
    import numpy as np

    from fitting import (
        Interruption,
        Validation,
        cache_positions,
        fit,
        loss_weights_of,
        make_training_set,
    )
    from model import save_model

    split = read_split(settings)
    check_fingerprints(folder, split.recordings)
    model = starting_model(settings)
    cache = open_cache(split, model)
    print(
        f"{len(split.train):,} samples to train on, {len(split.validation):,} to "
        f"validate on, {len(cache):,} frames, {model.count_params():,} parameters"
    )
    taught = split.labels.trained
    weights = np.ones(len(taught), np.float32)
    if settings.weigh_recordings == "spread":
        weights = loss_weights_of(split.samples, taught)
    training_set = make_training_set(
        split.samples.iloc[split.train],
        taught[split.train],
        weights[split.train],
        cache,
        settings.balance,
    )
    held_out = cache_positions(split.samples.iloc[split.validation], cache)[:, 0]
    if not (folder / "model.json").exists():
        save_model(model, folder)
    with Interruption() as interruption:
        rows = split.validation
        validation = Validation(held_out, taught[rows], weights[rows])
        progress = fit(folder, model, training_set, validation, settings, interruption)
    return write_report(folder, split, cache, progress)


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the errors per recording beside the baselines."""
    print("\nRMSE of steering on validation blocks (degrees of wheel angle)")
    print(f"{'recording':<16}{'label':<14}{'model':>15}{'zero':>15}{'mean':>15}")
    for name, scores in metrics["validation"].items():
        for label in ("averaged_1_s", "raw"):
            cells = (
                scores[who][label] for who in ("model", "always_zero", "always_mean")
            )
            row = "".join(f"{c['steering']:>8.3f} ({c['deg']:>4.1f})" for c in cells)
            print(f"{name:<16.16}{label:<14}{row}")


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
    add(run, "--validation-fraction", float, "part of the time set aside")

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


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return make_parser().parse_args(argv)


def given_settings(argv: list[str] | None) -> set[str]:
    """Return the names of the settings that stand on the command line itself."""
    parser = make_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    given = set(vars(parser.parse_args(argv)))
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
    if args.from_model:
        rest["from_model"] = str(Path(args.from_model).resolve())
    try:
        return Settings(**rest, augment=AugmentSettings(**augment))
    except ValueError as error:
        raise InputError(str(error)) from error


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    try:
        folder, settings = open_run(args, given_settings(argv))
        print(json.dumps(asdict(settings), indent=1))
        metrics = run(folder, settings)
    except (InputError, NonFiniteLossError) as error:
        print(error, file=sys.stderr)
        return 1
    print_metrics(metrics)
    print(
        f"\nwritten to {folder}: model.json, model.weights.h5, metrics.json, pictures"
    )
    print(f"next: python drive.py {folder / 'model.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
