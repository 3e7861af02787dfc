"""Search for settings of train.py that do better than its defaults, on Optuna.

    python search.py data/a --trials 40 --workers 2

trains many short runs on a part of the recordings, gives up early on those that are
worse than most, and ends with a table, pictures, the train.py command of the best
trial, and its figure beside the default's on the rest of the recordings, which no trial
has seen. The first trial has the default settings.

The study is one file. A search that was killed goes on with the same command, and the
same command in another terminal works on the same study: trials of processes that are
gone are done again, none is lost and none done twice. So on other machines that share
the folder, if its locks work (as NFS 4's do) and the clocks agree.

Source: Akiba et al. 2019, "Optuna", arXiv 1907.10902; Bergstra et al. 2011, "Algorithms
for hyper-parameter optimization", the estimator that draws the trials.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import multiprocessing
import os
import shlex
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common.errors import InputError
from common.start_up import quiet_tensorflow
from training.settings import (
    SELECTIONS,
    Settings,
    given_arguments,
    make_parser,
    settings_from,
)
from tuning.search_space import Plan, flags_of, settings_of

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from tuning.search_trials import Worker

# Flags of train.py that the search gives itself, and what to do instead.
NOT_BEHIND = {
    "part": "give --part before the --",
    "epochs": "give --epochs before the --",
    "select": "give --objective before the --",
    "resume": "a search goes on by itself",
    "models_dir": "the runs lie in the folder of the study",
    "name": "the runs are named by the search",
}


# --- What is searched, on what --------------------------------------------------------


class Search(NamedTuple):
    """What a search works on."""

    plan: Plan
    fingerprints: dict[str, str]
    """Of the recordings, by their folders."""
    num_samples: int
    """That the trials train and validate on."""
    rest: pd.DataFrame
    """Samples that no trial sees."""


def base_settings(args: argparse.Namespace) -> tuple[Settings, set[str]]:
    """Return the settings of the default trial, and the names of those that are fixed.

    Raises:
        InputError: a value is out of its range, or a flag stands behind the --.
    """
    argv = [*args.recordings, "--name", "", *args.train_flags]
    parsed = make_parser().parse_args(argv)
    fixed = given_arguments(argv) - {"recordings", "" if parsed.name else "name"}
    for name in sorted(fixed & set(NOT_BEHIND)):
        raise InputError(f"--{name.replace('_', '-')}: {NOT_BEHIND[name]}")
    settings = settings_from(parsed)
    if settings.validation_fraction == 0:
        raise InputError(
            "--validation-fraction is 0, expected above 0: trials are told apart by "
            "what they do on frames that they have not trained on"
        )
    own = {
        "part": tuple(args.part),
        "epochs": args.epochs,
        "select": args.objective,
    }
    return replace(settings, **own), fixed


def prepare(args: argparse.Namespace) -> Search:
    """Read the recordings, and see that there is enough to search and to judge on.

    Raises:
        InputError: there is not, or what is asked for makes no sense.
    """
    import numpy as np

    from common.car import CAMERAS
    from recordings.recording import read_recording, usable_samples
    from recordings.split import part_of, rest_of, split_by_time

    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps is {args.steps}, expected >= 1")
    settings, fixed = base_settings(args)
    recordings = [read_recording(Path(path)) for path in settings.recordings]
    samples = usable_samples(recordings)
    seen = part_of(samples, settings.part).head(settings.limit)
    rest = rest_of(samples, settings.part)
    if rest.empty:
        raise InputError(
            f"--part {args.part[0]:g} {args.part[1]:g} leaves nothing to hold the best "
            "trial against the default on; leave a fifth out"
        )
    rng = np.random.default_rng(settings.seed)
    rows, _ = split_by_time(seen, settings.validation_fraction, rng)
    num_frames = int((seen.iloc[rows][list(CAMERAS)] != "").to_numpy().sum())
    steps = args.steps or math.ceil(num_frames / settings.batch_size)
    settings = replace(settings, steps_per_epoch=settings.steps_per_epoch or steps)
    fingerprints = {str(r.folder): r.fingerprint for r in recordings}
    plan = Plan(settings, tuple(sorted(fixed)))
    return Search(plan, fingerprints, len(seen), rest)


# --- The processes --------------------------------------------------------------------


def run_workers(worker: Worker, num_workers: int) -> None:
    """Do trials in this process, or in several that end with it.

    Raises:
        InputError: every one of them has failed.
    """
    if num_workers == 1:
        worker()
        return
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(worker,)) for _ in range(num_workers)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        # They were interrupted as well, and put their trials back.
        for process in processes:
            process.join()
        raise
    if all(process.exitcode for process in processes):
        raise InputError(f"all {num_workers} workers have failed, as they say above")


def _work(worker: Worker) -> None:
    """Do trials in a process of its own, which ends with its parent, killed or not."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        worker()
    except InputError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(1)


# --- What was found -------------------------------------------------------------------


def print_report(study: optuna.Study, search: Search, args: argparse.Namespace) -> None:
    """Print the table, the best beside the default, and the best one's command."""
    from tuning.search_report import Judge, best_trial, draw_plots, table, verdict
    from tuning.search_trials import finished_trials, study_folder

    folder, plan = study_folder(args.study), search.plan
    best = best_trial(study)
    if best is None:
        print("no trial has run to its end yet")
        return
    print(f"{table(study, plan)}\n")
    print(verdict(study, folder, Judge(search.rest, plan)))
    flags = flags_of(settings_of(plan, best.params))
    named = ["--name", f"{args.study.stem}-best"]
    print(f"\nthe best trial again ({shown_objective(plan)} {best.value:.4f}):")
    print(shlex.join(["python", "train.py", *args.recordings, *flags, *named]))
    if (num_finished := len(finished_trials(study))) < args.trials:
        print(f"\n{num_finished} of {args.trials} finished; the same command goes on")
    pictures = draw_plots(study, folder)
    names = (
        ", ".join(path.name for path in pictures) or "no picture: too few to compare"
    )
    print(f"\nwritten to {folder}: trials, {names}")


def shown_objective(plan: Plan) -> str:
    """Return what the objective's values are."""
    if plan.base.select == "loss":
        return "val_loss"
    return "interventions/min + RMS m / 10"


def print_plan(search: Search, args: argparse.Namespace) -> None:
    """Print what is searched, on what."""
    plan = search.plan
    print(
        f"{args.trials} trials of at most {plan.base.epochs} epochs, on "
        f"{search.num_samples:,} samples ({plan.base.part[0]:g} to "
        f"{plan.base.part[1]:g} of each recording); {len(search.rest):,} held out\n"
        f"objective: {shown_objective(plan)}, the least\n"
        f"searched: {', '.join(plan.searched)}\n"
        f"study: {args.study}",
        flush=True,
    )


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments, with those behind the -- as `train_flags`."""
    argv = sys.argv[1:] if argv is None else argv
    end = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        description="Search for settings of train.py that do better than its defaults.",
        epilog="What stands behind a -- are flags of train.py for every trial; they "
        "are not searched.\n\n"
        "Example:\n"
        "  python search.py data/a data/b --trials 40 --workers 2\n"
        "  python search.py data/a --objective driving --time 120 -- --flip 0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recordings", nargs="+", help="folders with a driving_log.csv")
    _add_search(parser.add_argument_group("search"))
    _add_trial(parser.add_argument_group("trials"))
    args = parser.parse_args(argv[:end])
    args.train_flags = argv[end + 1 :]
    for name in ("trials", "workers", "time"):
        if not getattr(args, name) > 0:
            parser.error(f"--{name} is {getattr(args, name)}, expected more than 0")
    return args


def _add_search(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--trials",
        type=int,
        default=20,
        help="to finish, those given up early among them (default: %(default)s)",
    )
    group.add_argument(
        "--time",
        type=float,
        default=math.inf,
        metavar="MIN",
        help="minutes after which no trial is begun (default: no limit)",
    )
    group.add_argument(
        "--objective",
        choices=SELECTIONS,
        default="loss",
        help="what is to be small on the validation blocks: their loss, or the "
        "interventions when they are driven again (default: %(default)s)",
    )
    group.add_argument(
        "--study",
        type=Path,
        default=Path("models/search.sqlite"),
        metavar="FILE",
        help="to begin or to go on with; its runs and pictures lie in the folder of "
        "the same name (default: %(default)s)",
    )
    group.add_argument(
        "--workers", type=int, default=1, help="processes (default: %(default)s)"
    )


def _add_trial(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--part",
        type=float,
        nargs=2,
        default=(0.0, 0.8),
        metavar=("FROM", "TO"),
        help="of each recording, as fractions of its rows; the rest judges the best "
        "trial (default: 0 0.8)",
    )
    group.add_argument(
        "--epochs",
        type=int,
        default=10,
        help="at most, of a trial; its best one counts (default: %(default)s)",
    )
    group.add_argument(
        "--steps",
        type=int,
        help="batches per epoch of the default trial; searched from half to twice of "
        "it (default: as many as the frames of all cameras fill)",
    )


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    stop_at_s = time.time() + 60 * args.time
    try:
        if importlib.util.find_spec("optuna") is None:
            raise InputError(
                "optuna is not installed; pip install --group search"
            )
        from tuning.search_trials import Worker, open_study

        search = prepare(args)
        study = open_study(args.study, search.plan, search.fingerprints)
        print_plan(search, args)
        worker = Worker(args.study, search.plan, args.trials, stop_at_s)
        run_workers(worker, args.workers)
        print_report(study, search, args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
