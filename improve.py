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

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import HelpFormatter
from common.errors import InputError, NonFiniteLossError
from common.start_up import quiet_tensorflow

if TYPE_CHECKING:  # A command imports packages where it needs them: --help is light.
    from tuning.plans import DaggerPlan, HardPlacesPlan


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from tuning.plans import DaggerPlan, Tuning

    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        epilog="Example:\n  python improve.py models/a/model.json --track "
        "random:100-104 --judge random:200-209 --name better",
    )
    what = parser.add_argument_group("what to improve")
    tracks = parser.add_argument_group("on tracks: DAgger")
    recordings = parser.add_argument_group("on recordings: hard places")
    tuning = parser.add_argument_group("how it is fine-tuned; else as in its own run")

    def add_number(group: Any, flag: str, default: float, text: str) -> None:
        text = f"{text} (default: {default:g})"
        group.add_argument(
            flag, type=type(default), default=default, metavar="N", help=text
        )

    def add_folders(group: Any, flag: str, text: str) -> None:
        group.add_argument(
            flag, type=Path, nargs="+", default=[], metavar="DIR", help=text
        )

    def add_tracks(flag: str, text: str) -> None:
        tracks.add_argument(flag, nargs="+", default=[], metavar="NAME", help=text)

    what.add_argument("model", type=Path, help="model.json to improve")
    what.add_argument("--name", required=True, help="name of the result's folder")
    what.add_argument(
        "--models-dir",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="folder that it lies in (default: models)",
    )
    add_folders(
        what, "--base", "recordings to train on besides (default: the model's own)"
    )
    what.add_argument("--json", action="store_true", help="print one JSON document")
    add_tracks("--track", "tracks to drive, as evaluate.py names them")
    add_tracks("--judge", "tracks to judge on (default: those driven)")
    add_number(
        tracks, "--rounds", DaggerPlan.num_rounds, "rounds of driving and fine-tuning"
    )
    add_number(tracks, "--frames", DaggerPlan.num_frames, "frames to record in a round")
    add_number(tracks, "--speed", DaggerPlan.speed_mph, "target speed, 3 to 30 mph")
    tracks.add_argument(
        "--expert-drives",
        action="store_true",
        help="record the expert's own drive instead, to compare with",
    )
    add_number(tracks, "--workers", DaggerPlan.num_workers, "processes that judge")
    add_folders(
        recordings, "--recording", "recordings to drive again, and to learn from"
    )
    add_folders(
        recordings, "--guard", "recordings on which the model must not get worse"
    )
    add_number(tuning, "--epochs", Tuning.epochs, "epochs a round")
    add_number(tuning, "--steps-per-epoch", Tuning.steps_per_epoch, "batches an epoch")
    add_number(tuning, "--learning-rate", Tuning.learning_rate, "Adam's rate")
    add_number(
        tuning,
        "--new-share",
        Tuning.new_share,
        "part of the frames drawn that is new, 0 to 1",
    )
    add_number(tuning, "--seed", Tuning.seed, "seed of the batches and the scenery")
    return parser.parse_args(argv)


def plan_of(args: argparse.Namespace) -> DaggerPlan | HardPlacesPlan:
    """Return what is to be done, and refuse what cannot be before any work is done.

    Raises:
        InputError: It makes no sense, or a file or track is not there, or no good.
    """
    from network.files import check_model
    from recordings.log import find_log
    from tuning.plans import DaggerPlan, HardPlacesPlan, Tuning

    if bool(args.track) == bool(args.recording):
        raise InputError("give either --track, or --recording")
    if args.guard and args.track:
        raise InputError("--guard is for --recording; on tracks give --judge")
    tuning = Tuning(
        args.model,
        tuple(args.base),
        args.epochs,
        args.steps_per_epoch,
        args.learning_rate,
        args.new_share,
        args.seed,
    )
    tracks = DaggerPlan(
        tuning,
        tuple(args.track),
        tuple(args.judge),
        args.rounds,
        args.frames,
        args.speed,
        args.expert_drives,
        args.workers,
    )
    check_model(args.model)
    for folder in (*args.recording, *args.guard, *args.base):
        find_log(folder)
    if args.track:
        from evaluation.closed_loop import Job, track_names

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


def main(argv: list[str] | None = None) -> int:
    """Improve a model; 0: done, whether better or not, 1: refused, 2: wrong usage."""
    args = parse_args(argv)
    folder = args.models_dir / args.name
    try:
        plan = plan_of(args)
        quiet_tensorflow()
        from tuning.fine_tuning import keep

        document, text, model_path = improve(plan, folder, given_of(args))
        if model_path:
            keep(folder, model_path)
    except (InputError, FileExistsError, NonFiniteLossError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(document) if args.json else text)
    if model_path:
        print(f"better; written: {folder / 'model.json'}", file=sys.stderr)
    else:
        print(f"no better; keep {args.model}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
