"""Improve a model where it drives badly: DAgger on tracks, hard places of recordings.

    python improve.py models/a/model.json --track random:100-104 --name better
    python improve.py models/a/model.json --recording data/a --guard data/b --name b

On tracks the model drives, the expert says what should be done where it gets to, and
the model is fine-tuned on its own recordings and all of these, round by round
(dagger.py). On recordings, the stretches before its interventions (replay.py) are
drawn more often. Either way it is judged before and after, and models/NAME/model.json
is written only if it drives better. Killed, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from common.errors import InputError, NonFiniteLossError
from tuning.fine_tuning import keep


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  python improve.py models/a/model.json --track "
        "random:100-104 --judge random:200-209 --name better",
    )
    parser.add_argument("model", type=Path, help="model.json to improve")
    parser.add_argument("--name", required=True, help="of the folder of the result")
    parser.add_argument(
        "--models-dir", type=Path, default=Path("models"), help="(models)"
    )
    parser.add_argument(
        "--base",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings to train on besides (those of the model's own run)",
    )
    tracks = parser.add_argument_group("on tracks: DAgger")
    tracks.add_argument(
        "--track", nargs="+", default=[], help="to drive, as evaluate.py names them"
    )
    tracks.add_argument(
        "--judge", nargs="+", default=[], help="tracks to be judged on (those driven)"
    )
    tracks.add_argument("--rounds", type=int, default=3, help="(3)")
    tracks.add_argument("--frames", type=int, default=3000, help="a round (3000)")
    tracks.add_argument("--speed", type=float, default=20.0, help="mph, 3 to 30 (20)")
    tracks.add_argument(
        "--expert-drives",
        action="store_true",
        help="record as many frames of the expert's own drive: what DAgger is "
        "compared with",
    )
    tracks.add_argument("--workers", type=int, default=2, help="that judge (2)")
    recordings = parser.add_argument_group("on recordings: hard places")
    recordings.add_argument(
        "--recording", type=Path, nargs="+", default=[], metavar="DIR", help="to replay"
    )
    recordings.add_argument(
        "--guard",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="recordings on which it must not get worse",
    )
    tuning = parser.add_argument_group("fine-tuning; the rest is as in the model's run")
    tuning.add_argument("--epochs", type=int, default=4, help="a round (4)")
    tuning.add_argument("--steps-per-epoch", type=int, default=200, help="(200)")
    tuning.add_argument("--learning-rate", type=float, default=3e-4, help="(3e-4)")
    tuning.add_argument(
        "--new-share", type=float, default=0.5, help="of draws from what is new (0.5)"
    )
    tuning.add_argument("--seed", type=int, default=0, help="(0)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    """Refuse what makes no sense before any work is done.

    Raises:
        InputError: it says what was given and what was expected.
    """
    if bool(args.track) == bool(args.recording):
        raise InputError("give either --track, or --recording")
    if args.guard and args.track:
        raise InputError("--guard is for --recording; on tracks give --judge")
    if not args.model.is_file():
        raise InputError(f"{args.model}: no such file, expected a model.json")
    for flag, value, least in (
        ("rounds", args.rounds, 1),
        ("frames", args.frames, 100),
        ("epochs", args.epochs, 1),
        ("steps-per-epoch", args.steps_per_epoch, 1),
        ("workers", args.workers, 1),
    ):
        if value < least:
            raise InputError(f"--{flag} is {value}, expected {least} or more")
    if not 0 < args.new_share < 1:
        raise InputError(f"--new-share is {args.new_share}, expected between 0 and 1")
    if not 3 <= args.speed <= 30:
        raise InputError(f"--speed is {args.speed}, expected 3 to 30 mph")


def main(argv: list[str] | None = None) -> int:
    """Improve; 0: done, whether better or not, 1: refused, 2: wrong usage."""
    args = parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = args.models_dir / args.name
    try:
        check(args)
        document, text, model_path = (_on_tracks if args.track else _on_recordings)(
            args, folder
        )
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


def _on_tracks(
    args: argparse.Namespace, folder: Path
) -> tuple[dict[str, Any], str, Path | None]:
    """Return the document, what to print, and the better model if there is one."""
    from tuning.dagger import best_round, improve_on_tracks, table

    rows = improve_on_tracks(args, folder)
    best = best_round(rows)
    return {"rounds": rows}, table(rows), Path(best["model"]) if best["round"] else None


def _on_recordings(
    args: argparse.Namespace, folder: Path
) -> tuple[dict[str, Any], str, Path | None]:
    """Return the document, what to print, and the better model if there is one."""
    from tuning.hard_places import improve_on_recordings, table

    document = improve_on_recordings(args, folder)
    better = Path(document["model"]) if document["accepted"] else None
    return document, table(document), better


if __name__ == "__main__":
    sys.exit(main())
