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
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError, NonFiniteLossError
from common.start_up import quiet_tensorflow
from training.run_folder import RAY_NOTES, follow_with_tensorboard
from training.settings import Settings, given_settings, make_parser, settings_from
from training.workers import check_workers, train_on_workers

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from recordings.recording import Recording
    from training.preparation import Split
    from training.run_folder import Progress
    from training.view_cache import FrameCache

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
    from training.run_folder import read_config

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
    make_run(folder, settings)
    return folder, settings


def make_run(folder: Path, settings: Settings) -> None:
    """Make the folder of a new run, with its settings."""
    from common.files import write_json
    from training.run_folder import versions

    # Renamed when it has its settings: a run killed any earlier leaves no such folder.
    new_folder = folder.with_name(f".{folder.name}.partial")
    new_folder.mkdir(parents=True, exist_ok=True)
    config = {"settings": asdict(settings), "versions": versions()}
    write_json(new_folder / "config.json", config)
    new_folder.rename(folder)


def forget_unstarted(folder: Path) -> None:
    """Remove a run's folder that holds its settings only, so that its name is free."""
    if {path.name for path in folder.iterdir()} <= {"config.json", "tensorboard"}:
        with suppress(FileNotFoundError):
            (folder / "tensorboard").rmdir()
        (folder / "config.json").unlink()
        folder.rmdir()


def check_fingerprints(folder: Path, recordings: list[Recording]) -> None:
    """Write the fingerprints of the data, or hold them against those of the run.

    Raises:
        InputError: the data are not those that the run began with.
    """
    from common.files import write_json
    from training.run_folder import read_config

    config = read_config(folder)
    found = {str(recording.folder): recording.fingerprint for recording in recordings}
    if config.setdefault("data_fingerprints", found) != found:
        raise InputError(
            f"{folder}: its recordings have changed since the run began; train under "
            "a new --name"
        )
    write_json(folder / "config.json", config)


def write_report(
    folder: Path,
    split: Split,
    cache: FrameCache,
    progress: Progress,
    settings: Settings,
) -> dict[str, Any]:
    """Score the best weights per recording; write metrics.json and the pictures.

    Returns:
        The content of metrics.json.
    """
    import numpy as np

    from common.files import write_json
    from model import network_of
    from network.files import load_model
    from training.batches import cache_positions
    from training.epochs import is_finished, predict
    from training.run_folder import plot_loss, plot_predictions, score

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
        "is_finished": is_finished(progress, settings),
        "training_samples": len(split.train),
        "is_held_out": not np.isin(split.validation, split.train).any(),
        "validation": scores,
    }
    write_json(folder / "metrics.json", metrics)
    plot_loss(folder, progress)
    plot_predictions(folder, panels)
    return metrics


def run(
    folder: Path,
    settings: Settings,
    num_workers: int | None = None,
    address: str | None = None,
    draw: Callable[[pd.DataFrame], np.ndarray] | None = None,
    after_epoch: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train the run of a folder from where it stands; return its metrics.

    Args:
        folder: of the run.
        settings: of the run.
        num_workers: processes that share the batches; None trains in this one.
        address: of the Ray cluster that has them; None starts one here.
        draw: gives the probability of drawing each sample (n,), instead of what
            settings.balance says; in this process only.
        after_epoch: told of every whole epoch, in this process only; what it raises
            ends the run.
    """
    from network.files import save_model
    from training.epochs import Interruption, fit
    from training.preparation import (
        make_driving_test,
        make_sets,
        open_cache,
        read_split,
        starting_model,
    )

    split = read_split(settings)
    check_fingerprints(folder, split.recordings)
    model = starting_model(settings)
    cache = open_cache(split, model)
    print(
        f"{len(split.train):,} samples to train on, {len(split.validation):,} to "
        f"validate on, {len(cache):,} frames, {model.count_params():,} parameters"
    )
    training_set, validation = make_sets(split, cache, settings)
    if not (folder / "model.json").exists():
        save_model(model, folder)
    # Those of workers that were killed would mislead the next, and are no use to one.
    shutil.rmtree(folder / RAY_NOTES, ignore_errors=True)
    if num_workers is None:
        if draw:
            drawn = draw(split.samples.iloc[split.train])
            training_set = replace(training_set, weights=drawn)
        with Interruption() as interruption:
            progress = fit(
                folder,
                model,
                training_set,
                validation,
                settings,
                interruption,
                make_driving_test(split, cache, settings),
                after_epoch,
            )
    else:
        progress = train_on_workers(folder, settings, num_workers, address)
    return write_report(folder, split, cache, progress, settings)


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the errors per recording beside the baselines."""
    where = "validation blocks" if metrics["is_held_out"] else "what it was trained on"
    print(f"\nRMSE of steering on {where} (degrees of wheel angle)")
    print(f"{'recording':<16}{'label':<14}{'model':>15}{'zero':>15}{'mean':>15}")
    for name, scores in metrics["validation"].items():
        for label in ("averaged_1_s", "raw"):
            cells = (
                scores[who][label] for who in ("model", "always_zero", "always_mean")
            )
            row = "".join(f"{c['steering']:>8.3f} ({c['deg']:>4.1f})" for c in cells)
            print(f"{name:<16.16}{label:<14}{row}")


# --- Command line ---------------------------------------------------------------------


class ListRuns(argparse.Action):
    """Prints the table of runs and exits, as --help does: no --name is needed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        models_dir: Any,
        _option: str | None = None,
    ) -> None:
        from training.run_list import read_runs, table

        try:
            print(table(read_runs(models_dir)))
        except InputError as error:
            parser.exit(1, f"{error}\n")
        parser.exit(0)


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add the flags that look at runs and are no part of them."""
    tracking = parser.add_argument_group("tracking")
    tracking.add_argument(
        "--list",
        action=ListRuns,
        nargs="?",
        type=Path,
        const=Path("models"),
        metavar="MODELS_DIR",
        help="print a table of all runs, and exit (default: of models)",
    )
    tracking.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the losses for `tensorboard --logdir models`, too",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where a run is computed, which changes nothing of it."""
    workers = parser.add_argument_group("several workers (docs/scaling.md)")
    workers.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share every batch, on Ray (default: this one alone)",
    )
    workers.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of a Ray cluster; auto for the one of this machine (default: start one)",
    )


def parse_args(
    argv: list[str] | None = None,
) -> tuple[argparse.Namespace, set[str]]:
    """Return the arguments, and the names of the settings that are given with them."""
    parser, others = make_parser(), argparse.ArgumentParser(add_help=False)
    for group in (add_workers, add_tracking):
        group(parser)
        group(others)
    args = parser.parse_args(argv)
    if args.address and args.workers is None:
        parser.error("--address needs --workers")
    _, rest = others.parse_known_args(argv)
    return args, given_settings(rest)


def main(argv: list[str] | None = None) -> int:
    args, given = parse_args(argv)
    quiet_tensorflow()
    folder = None
    try:
        folder, settings = open_run(args, given)
        if args.workers is not None:
            check_workers(args.workers, settings.batch_size)
        if args.tensorboard:
            follow_with_tensorboard(folder)
        print(json.dumps(asdict(settings), indent=1))
        metrics = run(folder, settings, args.workers, args.address)
    except (InputError, NonFiniteLossError, KeyboardInterrupt) as error:
        # A run that is resumed is somebody's, however little of it there is.
        if folder is not None and not args.resume:
            forget_unstarted(folder)
        print(str(error) or "stopped", file=sys.stderr)
        return 1
    print_metrics(metrics)
    print(
        f"\nwritten to {folder}: model.json, model.weights.h5, metrics.json, pictures"
    )
    print(f"next: python drive.py {folder / 'model.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
