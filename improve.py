"""Improve a model where it drives badly: DAgger on tracks, hard places of recordings.

    python improve.py models/a/model.json --track random:100-104 --name better
    python improve.py models/a/model.json --recording data/a --guard data/b --name b

On tracks the model drives, the expert says what should be done where it gets to, and
the model is fine-tuned on its own recordings and all of these, round by round
(tuning/dagger.py). On recordings, the stretches before its interventions are drawn
more often (tuning/hard_places.py). Either way it is judged before and after, and
models/NAME/model.json is written only if it drives better. Killed, the same command
goes on.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import Parser, add_max_parameters, seed_of
from common.errors import InputError
from common.files import check_writable
from common.locks import LOCK_NAME, only_writer
from common.start_up import quiet_tensorflow
from common.text import shown

if TYPE_CHECKING:  # A command imports packages where it needs them: --help is light.
    from tuning.plans import DaggerPlan, HardPlacesPlan


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from network.files import model_path
    from recordings.units import add_unit_flag
    from tuning.plans import DaggerPlan, Tuning

    parser = Parser(
        description=__doc__,
        epilog="Example:\n  python improve.py models/a/model.json --track "
        "random:100-104 --judge random:200-209 --name better",
    )

    def number(default: float, text: str) -> dict[str, Any]:
        text = f"{text} (default: {default:g})"
        return {"type": type(default), "default": default, "help": text, "metavar": "N"}

    def several(metavar: str, kind: type, text: str) -> dict[str, Any]:
        given = {"type": kind, "metavar": metavar, "help": text}
        return {"nargs": "+", "default": [], **given}

    add = parser.add_argument_group("what to improve").add_argument
    add("model", type=model_path, help="run's folder, or its model.json, to improve")
    add("--name", required=True, help="name of the result's folder")
    lies_in = "folder that it lies in (default: models)"
    add("--models-dir", type=Path, default=Path("models"), metavar="DIR", help=lies_in)
    besides = "recordings to train on besides (default: the model's own)"
    add("--base", **several("DIR", Path, besides))
    add_unit_flag(add)
    add("--json", action="store_true", help="print one JSON document")
    add_max_parameters(add)
    add = parser.add_argument_group("on tracks: DAgger").add_argument
    add("--track", **several("NAME", str, "tracks to drive, as evaluate.py names them"))
    add("--judge", **several("NAME", str, "tracks to judge on (default: those driven)"))
    rounds = "rounds of driving and fine-tuning"
    add("--rounds", **number(DaggerPlan.num_rounds, rounds))
    add("--frames", **number(DaggerPlan.num_frames, "frames to record in a round"))
    add("--speed", **number(DaggerPlan.speed_mph, "target speed, 3 to 30 mph"))
    expert = "record the expert's own drive instead, to compare with"
    add("--expert-drives", action="store_true", help=expert)
    add("--workers", **number(DaggerPlan.num_workers, "processes that judge"))
    add = parser.add_argument_group("on recordings: hard places").add_argument
    again = "recordings to drive again, and to learn from"
    add("--recording", **several("DIR", Path, again))
    guard = "recordings on which the model must not get worse"
    add("--guard", **several("DIR", Path, guard))
    how = "how it is fine-tuned; else as in its own run"
    add = parser.add_argument_group(how).add_argument
    add("--epochs", **number(Tuning.epochs, "epochs a round"))
    add("--steps-per-epoch", **number(Tuning.steps_per_epoch, "batches an epoch"))
    add("--learning-rate", **number(Tuning.learning_rate, "Adam's rate"))
    share = "part of the frames drawn that is new, 0 to 1"
    add("--new-share", **number(Tuning.new_share, share))
    seed = number(Tuning.seed, "seed of the batches and the scenery")
    add("--seed", **(seed | {"type": seed_of}))
    return parser.parse_args(argv)


def plan_of(args: argparse.Namespace) -> DaggerPlan | HardPlacesPlan:
    """Return what is to be done, and refuse what cannot be before any work is done.

    Raises:
        InputError: It makes no sense, or a file or track is not there, or no good.
    """
    from network.files import check_model
    from recordings.log import find_log
    from recordings.units import units_by_path
    from tuning.plans import DaggerPlan, HardPlacesPlan, Tuning

    if bool(args.track) == bool(args.recording):
        raise InputError("give either --track, or --recording")
    if args.guard and args.track:
        raise InputError("--guard is for --recording; on tracks give --judge")
    how = (args.epochs, args.steps_per_epoch, args.learning_rate, args.new_share)
    folders = (*args.recording, *args.guard, *args.base)
    units = units_by_path(dict(args.steering_unit), folders)
    tuning = Tuning(args.model, tuple(args.base), *how, args.seed, units)
    rounds = (args.rounds, args.frames, args.speed, args.expert_drives, args.workers)
    tracks = DaggerPlan(tuning, tuple(args.track), tuple(args.judge), *rounds)
    check_model(args.model)
    for folder in folders:
        find_log(folder)
    if args.track:
        from evaluation.closed_loop import Job
        from simulator.tracks import track_names

        for track in track_names([*args.track, *args.judge]):
            Job(str(args.model), track)  # It checks the name.
        return tracks
    return HardPlacesPlan(tuning, tuple(args.recording), tuple(args.guard))


def given_of(args: argparse.Namespace) -> dict[str, str | list[str]]:
    """Return the arguments that must be the same again for a command to go on."""
    return {
        name: [str(each) for each in value] if isinstance(value, list) else str(value)
        for name, value in vars(args).items()
        if name not in ("workers", "json", "rounds")
        # A folder of before this flag was begun without it.
        and (name != "steering_unit" or value)
    }


def improve(
    plan: DaggerPlan | HardPlacesPlan, folder: Path, given: dict[str, str | list[str]]
) -> tuple[dict[str, Any], str, Path | None]:
    """Do it; return the document, what to print, and the better model if there is one.

    Raises:
        InputError: An input cannot be used, or the folder is not this command's.
        NonFiniteLossError: The loss became NaN or infinite.
    """
    from train import run
    from tuning.dagger import best_round, improve_on_tracks, rounds_table
    from tuning.hard_places import improve_on_recordings, places_table
    from tuning.plans import DaggerPlan

    if isinstance(plan, DaggerPlan):
        rows = improve_on_tracks(plan, folder, given, run)
        best = best_round(rows)
        better = Path(best["model"]) if best["round"] else None
        return {"rounds": rows}, rounds_table(rows), better
    document = improve_on_recordings(plan, folder, given, run)
    better = Path(document["model"]) if document["accepted"] else None
    return document, places_table(document), better


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Improve a model; return the exit status, 0 whether it got better or not."""
    args = parse_args(argv)
    folder = args.models_dir / args.name
    plan = plan_of(args)
    # What another process has just begun is told by its lock.
    if folder.exists() and not any(
        (folder / name).exists() for name in ("improve.json", LOCK_NAME)
    ):
        raise InputError(f"{folder} exists already; give another --name")
    check_writable(folder, "--models-dir")
    try:
        from training.run_folder import threads_of

        with only_writer(folder):
            # As many as the model was trained with: see compute_threads.
            quiet_tensorflow(threads_of(args.model.parent))
            from tuning.fine_tuning import keep

            document, text, model_path = improve(plan, folder, given_of(args))
            if model_path:
                keep(folder, model_path)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command goes on") from None
    print(json.dumps(document) if args.json else text)
    if model_path:
        print(shown(f"better; written: {folder / 'model.json'}"), file=sys.stderr)
    else:
        print(shown(f"no better; keep {args.model}"), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
