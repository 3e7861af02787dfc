"""Train the network on recordings.

    python train.py data/a                          # is called a
    python train.py data/a data/b --name both

A run reads the recordings, sets aside blocks of time for validation, caches what the
network sees of each frame, and trains until validation gets no better. It writes
models/both/ (training/run_folder.py says what is in it). The weights kept are the best
so far, saved as soon as they are found. A run that was killed goes on with --resume and
ends in the very weights of an unbroken one; Ctrl-C stops after the batch and keeps the
best.
"""

from __future__ import annotations

from common.ends import ends_in_one_line, line_of

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import STOPPED
from common.errors import InputError
from common.files import free_name
from common.locks import only_writer
from common.start_up import compute_threads, num_cores, quiet_tensorflow
from common.text import unbroken, wrapped

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from training.epochs import OneProcess
    from training.progress import Progress
    from training.samples import TrainingSet
    from training.selection import DrivingTest
    from training.settings import Settings
    from training.team import Team


# --- A run ----------------------------------------------------------------------------


def run(
    folder: Path,
    settings: Settings,
    engine: OneProcess | Team | None = None,
    *,
    draw: Callable[[pd.DataFrame], np.ndarray] | None = None,
    after_epoch: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train the run of a folder from where it stands; return its metrics.

    Args:
        folder: The run's folder, with its settings in config.json.
        engine: What computes the epochs: this process, or a worker of a team, where
            every one of them calls this function. None is this process.
        draw: Gives the probability of drawing each sample (n,), instead of what
            settings.balance says.
        after_epoch: Is told of every whole epoch. What it raises ends the run.

    Raises:
        InputError: A recording or a model cannot be used, or the data have changed
            since the run began.
        NonFiniteLossError: The loss of a batch is NaN or infinite.
    """
    from network.files import save_model
    from training.epochs import OneProcess
    from training.figures import write_report
    from training.flags import say_changes
    from training.preparation import (
        make_driving_test,
        make_sets,
        open_cache,
        read_split,
        starting_model,
        with_known_camera,
    )
    from training.run_folder import check_fingerprints

    engine = engine or OneProcess()
    # Neighbouring frames are near copies: what validates lies seconds away.
    split = read_split(settings)
    if engine.is_chief:
        found = {str(each.folder): each.fingerprint for each in split.recordings}
        check_fingerprints(folder, found)
    settings = with_known_camera(settings, split, engine.say)
    model = starting_model(settings, split, engine.say)
    # The first layers of the model crop and resize; no frame goes through them twice.
    cache = open_cache(split, model)
    say_changes(settings, engine.say)
    engine.say(
        f"{len(split.train):,} samples to train on, {len(split.validation):,} to "
        f"validate on, {len(cache):,} frames, {model.count_params():,} parameters"
    )
    training_set, validation = make_sets(split, cache, settings, model)
    if draw:
        weights = draw(split.samples.iloc[split.train])
        training_set = replace(training_set, weights=weights)
    driving_test = make_driving_test(split, cache, settings)
    if engine.is_chief and not (folder / "model.json").exists():
        save_model(model, folder)
    with engine:
        sets, watch = (training_set, validation), (driving_test, after_epoch)
        progress = fit(folder, model, *sets, settings, engine, *watch)
    if not engine.is_chief:
        return {}
    return write_report(folder, split, cache, progress, settings)


def fit(
    folder: Path,
    model: keras.Model,
    training_set: TrainingSet,
    validation: TrainingSet,
    settings: Settings,
    engine: OneProcess | Team,
    driving_test: DrivingTest | None,
    after_epoch: Callable[[Progress], None] | None,
) -> Progress:
    """Train until the last epoch, until patience ends, or until interrupted.

    Args:
        folder: The run's folder. Its state is taken up where there is one, and the
            best weights so far are written into it.
        model: The run's model, with the weights that it starts from.
        validation: What the weights are chosen by.
        driving_test: What they are chosen by instead of the validation loss.
        after_epoch: Is told of every whole epoch. What it raises ends the run.
    """
    import cv2

    from model import network_of
    from network.files import save_weights
    from training.batches import Batches
    from training.epochs import (
        batches_per_epoch,
        compile_network,
        epoch_line,
        is_finished,
        partly_of,
        start_of,
        with_habits,
    )
    from training.progress import load_state, save_state, write_history

    num_batches = batches_per_epoch(training_set, settings)
    # The cores are busy with the network; OpenCV's threads would only take turns.
    cv2.setNumThreads(1)
    network = network_of(model)
    trained = engine.prepare(with_habits(network, len(training_set.recordings)))
    compile_network(trained, settings, num_batches)
    start = start_of(network)
    progress = load_state(folder, trained)
    if progress.epoch:
        engine.say(f"going on after epoch {progress.epoch}")
    if settings.must_beat_start and not progress.epoch:
        # Fine-tuning must beat the model it starts from, or that one is kept.
        before = engine.validate(network, validation, settings, driving_test)
        progress.set_bar(*before)
    share = engine.share(settings.batch_size)
    started_s, first_epoch, is_cut_short = time.perf_counter(), progress.epoch, False
    while not (is_finished(progress, settings) or is_cut_short):
        batches = Batches(training_set, settings, progress.epoch, num_batches, share)
        title = f"epoch {progress.epoch + 1:02d}/{settings.epochs:02d}"
        loss, samples_per_s, is_cut_short = engine.train_epoch(trained, batches, title)
        if is_cut_short and (progress.epoch or settings.must_beat_start):
            break  # What is kept is of whole epochs, as --resume takes it to be.
        with partly_of(network, start, settings.keep_start or 0.0):
            validated = engine.validate(network, validation, settings, driving_test)
            is_best = progress.add(loss, *validated)
            if is_best and engine.is_chief:
                save_weights(model, folder)
        if not engine.is_chief:
            continue
        if not is_cut_short:
            # An epoch cut short is no part of the state: --resume does it whole.
            write_history(folder, progress)
            save_state(folder, trained, progress)
        per_epoch_s = (time.perf_counter() - started_s) / (progress.epoch - first_epoch)
        engine.say(epoch_line(progress, settings, samples_per_s, per_epoch_s))
        if after_epoch and not is_cut_short:
            after_epoch(progress)
    return progress


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; of the settings the namespace holds those given only."""
    from training.flags import make_parser

    argv = sys.argv[1:] if argv is None else argv
    parser = make_parser(show_all="--help-all" in argv)
    args = parser.parse_args(argv)
    if args.resume and args.name is None:
        parser.error("--resume needs --name, to say which run")
    if args.address and args.workers is None:
        parser.error("--address needs --workers")
    return args


def open_run(args: argparse.Namespace) -> tuple[Path, Settings]:
    """Return the run's folder and settings; refuse bad input before TensorFlow loads.

    What is not given of recordings and name is what is there, and what they are called.

    Raises:
        InputError: The folder exists already, there is nothing to resume, or a file is
            missing or refused.
    """
    from network.files import check_model
    from recordings.found import only_recording
    from recordings.log import find_log
    from training.flags import given_settings
    from training.run_folder import name_of, settings_of_new, settings_to_resume

    if not (args.resume or vars(args).get("recordings")):
        args.recordings = [str(only_recording("train.py"))]
    given = given_settings(vars(args))
    name = args.name or free_name(args.models_dir, name_of(given["recordings"]))
    folder = args.models_dir / name
    settings = (settings_to_resume if args.resume else settings_of_new)(folder, given)
    for recording in settings.recordings:
        find_log(Path(recording))
    if settings.from_model:
        check_model(settings.from_model)
    return folder, settings


def train(args: argparse.Namespace, folder: Path, settings: Settings) -> dict[str, Any]:
    """Make the folder of a new run, and train it here or on several workers.

    Raises:
        InputError: A recording is refused, another trains the run, or the disk is full.
    """
    from recordings.recording import check_recordings
    from training.run_folder import forget_unstarted, make_run, threads_of

    check_recordings(settings.recordings, settings.steering_units)
    quiet_tensorflow(threads_of(folder) if args.resume else settings.threads)
    from training.events import follow_with_tensorboard
    from training.workers import check_workers, run_on_workers

    if args.workers is not None:
        check_workers(args.workers, settings.batch_size)
    if not args.resume:
        make_run(folder, settings)
    with only_writer(folder):
        try:
            if args.tensorboard:
                follow_with_tensorboard(folder)
            if compute_threads() != num_cores():
                cores = "1 core" if num_cores() == 1 else f"{num_cores()} cores"
                print(f"{compute_threads()} threads compute, on {cores}")
            if args.workers is None:
                return run(folder, settings)
            return run_on_workers(run, folder, settings, args.workers, args.address)
        except BaseException as error:
            # A run that is resumed is somebody's, however little of it there is.
            if not args.resume:
                forget_unstarted(folder)
            line = line_of(error) if isinstance(error, OSError) else None
            if line and (folder / "config.json").exists():
                raise InputError(f"{line}; then go on with --resume") from error
            raise


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Train; return the exit status, as common.ends says."""
    args = parse_args(argv)
    if args.list is not None:
        from training.run_list import read_runs, runs_table

        print(runs_table(read_runs(args.list)))
        return 0
    folder, settings = open_run(args)
    if args.name is None:
        name, where = unbroken(folder.name), unbroken(folder)
        print(wrapped(f"the run is called {name}, and lies in {where}"), flush=True)
    from training.ending import said_of, stopped

    try:
        metrics = train(args, folder, settings)
    except KeyboardInterrupt:
        raise stopped(folder, args.workers) from None
    print(said_of(folder, metrics, settings, args.workers))
    return 0 if metrics["is_finished"] else STOPPED


if __name__ == "__main__":
    sys.exit(main())
