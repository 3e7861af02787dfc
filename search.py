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

from common.ends import ends_in_one_line

import argparse
import importlib.util
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.bar import Bar
from common.command_line import Parser
from common.errors import InputError
from common.files import check_writable, free_name
from common.shell import option, typed
from common.start_up import quiet_tensorflow
from common.text import counted, unbroken, wrapped

if TYPE_CHECKING:  # A command imports packages where it needs them: --help is light.
    import optuna

    from training.settings import Settings
    from tuning.search_space import Search

# Where train.py puts its runs, if nothing else is said.
MODELS = Path("models")
# Flags of train.py that the search gives itself, and what to do instead.
NOT_BEHIND = {
    "part": "give --part before the --",
    "epochs": "give --epochs before the --",
    "select": "give --objective before the --",
    "resume": "a search goes on by itself",
    "models_dir": "the runs lie in the folder of the study",
    "name": "the runs are named by the search",
}


def run_search(args: argparse.Namespace) -> None:
    """Do the trials that are not done yet, and print what was found.

    Raises:
        InputError: An input is not there, or no good, or makes no sense.
        KeyboardInterrupt: The search was told to stop.
    """
    stop_at_s = time.time() + 60 * args.time
    settings, fixed = base_settings(args)
    check_writable(args.study, "--study")
    quiet_tensorflow(settings.threads)
    from train import run
    from tuning.search_space import prepare
    from tuning.search_trials import Worker, finished_trials, open_study
    from tuning.search_workers import run_workers

    search = prepare(settings, fixed)
    study = open_study(args.study, search.plan, search.fingerprints)
    print_plan(search, args)
    worker = Worker(args.study, search.plan, args.trials, run, stop_at_s)
    with Bar("searching", args.trials, "trials") as bar:
        run_workers(worker, args.workers, lambda: bar.to(len(finished_trials(study))))
    print_report(study, search, args)


def base_settings(args: argparse.Namespace) -> tuple[Settings, set[str]]:
    """Return the settings of the default trial, and the names of those that are fixed.

    Raises:
        InputError: Optuna, a recording or the model to fine-tune is not there, or a
            value is out of its range, or a flag stands behind the -- that must not.
    """
    from network.files import check_model
    from recordings.found import only_recording
    from recordings.log import find_log

    if importlib.util.find_spec("optuna") is None:
        raise InputError("optuna is not installed; pip install --group search")
    if not args.recordings:
        args.recordings = [str(only_recording("search.py"))]
    for path in args.recordings:
        find_log(Path(path))
    from training.flags import add_settings, given_settings, settings_from

    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps is {args.steps}, expected >= 1")
    parser = Parser(argument_default=argparse.SUPPRESS)
    add_settings(parser)
    for name in ("resume", "models_dir", "name"):
        parser.add_argument(f"--{name.replace('_', '-')}", nargs="?")
    given = vars(parser.parse_args([*args.recordings, *args.train_flags]))
    for name in sorted(set(given) & set(NOT_BEHIND)):
        raise InputError(f"--{name.replace('_', '-')}: {NOT_BEHIND[name]}")
    settings = settings_from(given_settings(given))
    if settings.validation_fraction == 0:
        raise InputError(
            "--validation-fraction is 0, expected above 0: trials are told apart by "
            "what they do on frames that they have not trained on"
        )
    if settings.from_model:
        check_model(settings.from_model)
    settings = replace(
        settings,
        part=tuple(args.part),
        epochs=args.epochs,
        select=args.objective,
        steps_per_epoch=settings.steps_per_epoch or args.steps,
    )
    return settings, set(given) - {"recordings"}


def print_plan(search: Search, args: argparse.Namespace) -> None:
    """Print what is searched, on what."""
    plan = search.plan
    lines = (
        f"{counted(args.trials, 'trial')} of at most "
        f"{counted(plan.base.epochs, 'epoch')}, on {search.num_samples:,} samples "
        f"({plan.base.part[0]:g} to {plan.base.part[1]:g} of each recording); "
        f"{len(search.rest):,} held out",
        f"objective: {plan.objective}, the least",
        f"searched: {', '.join(plan.searched)}",
        f"study: {unbroken(args.study)}",
    )
    print(*map(wrapped, lines), sep="\n", flush=True)


def print_report(study: optuna.Study, search: Search, args: argparse.Namespace) -> None:
    """Print the table, the best beside the default, and the best one's command."""
    from training.flags import flags_of
    from tuning import search_report as report
    from tuning.search_space import settings_of
    from tuning.search_trials import finished_trials, study_folder

    folder, plan = study_folder(args.study), search.plan
    best = report.best_trial(study)
    if best is None:
        print("no trial has run to its end yet")
        return
    print(f"{report.trials_table(study, plan)}\n")
    print(report.verdict(study, folder, search))
    flags = flags_of(settings_of(plan, best.params))
    named = option("--name", free_name(MODELS, f"{args.study.stem}-best"))
    print(f"\nthe best trial again ({plan.objective} {best.value:.4f}):")
    print(typed("train.py", *map(Path, args.recordings), *flags, *named))
    num_finished = len(finished_trials(study))
    if num_finished < args.trials:
        print(f"\n{num_finished} of {args.trials} finished; the same command goes on")
    with Bar("drawing the trials"):
        names = ", ".join(path.name for path in report.draw_plots(study, folder))
    pictures = names or "no picture: too few to compare"
    print()
    print(wrapped(f"written to {unbroken(folder)}: trials, {pictures}"))


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments, with those behind the -- as `train_flags`."""
    argv = sys.argv[1:] if argv is None else argv
    end = argv.index("--") if "--" in argv else len(argv)
    parser = Parser(
        description="Search for settings of train.py that do better than its defaults.",
        epilog="What stands behind a -- are flags of train.py for every trial; they "
        "are not searched.\n\n"
        "Example:\n"
        "  python search.py data/a data/b --trials 40 --workers 2\n"
        "  python search.py data/a --objective driving --time 120 -- --flip 0",
    )
    add = parser.add_argument_group("what to search on").add_argument
    folders = "folders with a driving_log.csv (default: the only one in data)"
    add("recordings", nargs="*", help=folders)
    part = "part of each recording; the rest judges the best (default: 0 0.8)"
    bounds = ("FROM", "TO")
    add("--part", type=float, nargs=2, default=(0.0, 0.8), metavar=bounds, help=part)
    objective = "what trials are judged by on set-aside blocks (default: loss)"
    add("--objective", choices=("loss", "driving"), default="loss", help=objective)
    path = Path("models/search.sqlite")
    study = "search to begin or to go on with (default: %(default)s)"
    add("--study", type=Path, default=path, metavar="FILE", help=study)
    add = parser.add_argument_group("how long").add_argument
    for flag, default, text in (
        ("--trials", 20, "trials to finish, or to give up early"),
        ("--epochs", 10, "epochs of a trial at most; its best one counts"),
        ("--workers", 1, "processes that do trials"),
    ):
        text = f"{text} (default: {default})"
        add(flag, type=int, default=default, metavar="N", help=text)
    steps = "batches an epoch, from half to twice it (default: all frames)"
    add("--steps", type=int, metavar="N", help=steps)
    minutes = "minutes after which no trial is begun (default: no limit)"
    add("--time", type=float, default=math.inf, metavar="MIN", help=minutes)
    args = parser.parse_args(argv[:end])
    args.train_flags = argv[end + 1 :]
    for name in ("trials", "workers", "time"):
        if not getattr(args, name) > 0:
            parser.error(f"--{name} is {getattr(args, name)}, expected more than 0")
    return args


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Search; return the exit status, as common.ends says."""
    args = parse_args(argv)
    try:
        run_search(args)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
