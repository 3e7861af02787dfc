"""Measure how models drive, beside drivers that are bounds: on recordings, on tracks.

    python evaluate.py models/both/model.json zero oracle --recording data/a
    python evaluate.py models/both/model.json zero expert --track lake --laps 3
    python evaluate.py models/both/model.json --benchmark

A recording is driven again with re-projected pictures, as NVIDIA judged its network
(evaluation/replay.py); a track is driven in the embedded simulator by drive.py's own
pilot (evaluation/closed_loop.py). `zero` never steers, `oracle` knows where it stands
beside the recorded path (oracle:0.5 averages that path's steering over half a second,
which hairpins need), `middle` keeps to the middle of the recorded road, as far as its
pictures tell where that is (middle:2.4 to the lane 2.4 m right of it), `expert` drives
the simulator's tracks. The benchmark is one score on roads that are the same for
everybody (evaluation/benchmark.py), with a card to publish beside the model.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from common.bar import Bar
from common.command_line import Parser, add_max_parameters, print_settings, seed_of
from common.errors import InputError
from common.files import check_writable, write_picture
from common.shell import typed
from common.start_up import quiet_tensorflow
from common.text import shown

if TYPE_CHECKING:
    from evaluation.closed_loop import Job
    from evaluation.report import About


# What goes with --benchmark; all else is fixed there.
OF_BENCHMARK = "drivers benchmark card workers json report".split()
# What is written, and how; the units of recordings are added in words.
NO_SETTINGS = "json report video card saliency recording track".split()


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; `given` holds the names of what is given there."""
    parser = make_parser()
    args = parser.parse_args(argv)
    args.words = sys.argv[1:] if argv is None else argv
    args.changes = parser.changes(args, *NO_SETTINGS)
    nothing = argparse.Namespace(**dict.fromkeys(vars(args)))
    found = vars(parser.parse_args(argv, nothing))
    args.given = [name for name, value in found.items() if value is not None]
    return args


def make_parser() -> Parser:
    """Return what reads the command line."""
    from driving.speed_plan import speed_of_text
    from evaluation.drivers import driver_of
    from recordings.units import add_unit_flag

    parser = Parser(
        description=__doc__,
        epilog="Example:\n  python evaluate.py models/both/model.json zero oracle "
        "--recording data/a \\\n    --track lake --direction both --report report.html",
    )
    drivers = "a run's folder or model.json; zero, oracle[:SECONDS], middle[:METRES], "
    drivers += "expert"
    add = parser.add_argument
    add("drivers", nargs="+", type=driver_of, metavar="MODEL", help=drivers)
    add = parser.add_argument_group("on recordings").add_argument
    folders = "recordings to drive again"
    add("--recording", type=Path, nargs="+", default=[], metavar="DIR", help=folders)
    add_unit_flag(add)
    part = "part of each, as fractions of its rows (default: 0 1)"
    bounds = ("FROM", "TO")
    add("--part", type=float, nargs=2, default=(0.0, 1.0), metavar=bounds, help=part)
    add = parser.add_argument_group("on the embedded simulator's tracks").add_argument
    names = (
        "lake, jungle, mountain, random:SEED, winding:, serpentine:, random:FIRST-LAST"
    )
    add("--track", nargs="+", default=[], metavar="NAME", help=names)
    add("--laps", type=int, default=1, help="laps each way round (default: 1)")
    speed = "speed, 3 to 30 mph, or auto: as bends allow (default: 25)"
    add("--speed", type=speed_of_text, default=25.0, help=speed)
    sideways = "pull in bends that --speed auto allows, and a ceiling (default: 4)"
    add("--sideways-mps2", type=float, metavar="A", help=sideways)
    ways = ("forward", "reverse", "both")
    way = "forward, reverse, or both one after the other (default: forward)"
    add("--direction", choices=ways, default="forward", metavar="WAY", help=way)
    anew = "draw surface, weather, cameras, width anew, 0 to 1 (default: 0)"
    add("--randomise", type=float, default=0.0, metavar="X", help=anew)
    add("--seed", type=seed_of, default=0, help="seed of the scenery (default: 0)")
    add("--workers", type=int, default=2, help="how many drive at once (default: 2)")
    add_max_parameters(parser.add_argument)
    add = parser.add_argument_group("the benchmark").add_argument
    score = "one score on roads that are the same for everybody, 10 minutes"
    add("--benchmark", action="store_true", help=score)
    card = "where its model card goes (default: card.md beside the model)"
    add("--card", type=Path, metavar="MD", help=card)
    add = parser.add_argument_group("what to show").add_argument
    add("--json", action="store_true", help="print one JSON document, not a table")
    add("--report", type=Path, metavar="HTML", help="write a page with pictures")
    add("--video", type=Path, metavar="MP4", help="film the first driver's first drive")
    saliency = "only draw FRAME_saliency.png: what the first model looks at"
    add("--saliency", type=Path, metavar="FRAME", help=saliency)
    return parser


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Evaluate; return the exit status, as common.ends says."""
    args = parse_args(argv)
    if args.benchmark:
        check_benchmark(args)
        run_benchmark(args)
    elif args.saliency:
        written = write_saliency(args.drivers[0], args.saliency)
        print(shown(f"written: {written}"))
    else:
        check(args)
        evaluate(args)
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be evaluated before any work is done.

    Raises:
        InputError: There is nothing to drive, or a driver cannot drive it.
    """
    from driving.speed_plan import limits_of
    from evaluation.drivers import check_drivers, is_model
    from recordings.log import find_log

    if args.card:
        raise InputError("--card is where --benchmark writes a card; give that, too")
    if not args.recording and not args.track:
        raise InputError(
            "nothing to drive: give --recording DIR, --track NAME or --benchmark"
        )
    for option, path in (("--report", args.report), ("--video", args.video)):
        check_new(path, option)
    if args.video and not args.track and not is_model(args.drivers[0]):
        raise InputError("--video of a recording shows what a model makes of it")
    if not 0 <= args.part[0] < args.part[1] <= 1:
        raise InputError(f"--part is {args.part}, expected 0 <= FROM < TO <= 1")
    if args.laps < 1 or args.workers < 1:
        raise InputError("--laps and --workers must be 1 or more")
    args.speed, args.sideways_mps2 = limits_of(args.speed, args.sideways_mps2)
    if not 3 <= args.speed <= 30:
        raise InputError(f"--speed is {args.speed}, expected 3 to 30 mph")
    if args.sideways_mps2 is not None:
        check_plan(args)
    if not 0 <= args.randomise <= 1:
        raise InputError(f"--randomise is {args.randomise}, expected 0 to 1")
    check_drivers(args.drivers, bool(args.recording), bool(args.track))
    for recording in args.recording:
        find_log(recording)


def check_plan(args: argparse.Namespace) -> None:
    """Refuse a planned speed that no driver can have.

    Raises:
        InputError: A number is out of its range, or nothing is driven by it.
    """
    from driving.speed_plan import SpeedPlan

    SpeedPlan(args.sideways_mps2)
    if not args.track:
        raise InputError(
            "--speed auto and --sideways-mps2 are of tracks: a recording is driven as "
            "fast as its log says; give --track NAME"
        )


def check_new(path: Path | None, option: str) -> None:
    """Refuse a file to write that is there, or has no place; None is none.

    Raises:
        InputError: It exists, or cannot be written.
    """
    if path and path.exists():
        raise InputError(f"{path} exists; remove it or give another {option}")
    if path:
        check_writable(path, option)


def check_benchmark(args: argparse.Namespace) -> None:
    """Refuse what the benchmark cannot do before any work is done.

    Raises:
        InputError: An option is given that it fixes, or a driver cannot drive it.
    """
    from evaluation.drivers import check_drivers

    for name in args.given:
        if name not in OF_BENCHMARK:
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"{option} is given; the benchmark is the same for everybody, leave "
                f"{option} or --benchmark out"
            )
    if args.workers < 1:
        raise InputError("--workers must be 1 or more")
    check_new(args.report, "--report")
    args.drivers = list(dict.fromkeys(args.drivers))
    check_drivers(args.drivers, on_recordings=False, on_tracks=True)


def run_benchmark(args: argparse.Namespace) -> None:
    """Let every driver drive the benchmark; print, report and write the cards."""
    from evaluation import benchmark
    from evaluation.benchmark_table import benchmark_text
    from training.model_card import (
        cards_to_write,
        kept_cards,
        read_provenance,
        write_card,
    )
    from training.run_folder import git_commit

    cards = cards_to_write(args.drivers, args.card)
    models = {driver: read_provenance(driver) for driver in cards}
    commit = git_commit()  # Of what drives; it may be another when that ends.
    for path in kept_cards(args.drivers, cards):
        kept = f"{path} is there and is kept; --card gives a new one its place"
        print(shown(kept), file=sys.stderr)
    document, drives = benchmark.judge(args.drivers, args.workers)
    # Before the files, which may not find a place to be written to.
    print(json.dumps(document) if args.json else benchmark_text(document), flush=True)
    for driver, path in cards.items():
        write_card(path, models[driver], document, commit)
        print(shown(f"written: {path}"), file=sys.stderr)
    if args.report:
        quiet_tensorflow()
        from evaluation.judging import load_saliency
        from evaluation.report import write_benchmark_page

        saliency = load_saliency(args.drivers)
        about = about_of(args, commit)
        write_benchmark_page(args.report, document, drives, saliency, about)
        print(shown(f"written: {args.report}"), file=sys.stderr)


def evaluate(args: argparse.Namespace) -> None:
    """Let every driver drive everything; film, print and report it as asked for."""
    from evaluation.drivers import is_model

    jobs = jobs_of(args)
    # Who drives a track loads what it needs itself.
    is_needed = args.recording or args.report or args.video
    if is_needed and any(is_model(driver) for driver in args.drivers):
        quiet_tensorflow()
    with Bar("starting"):
        from evaluation import judging
        from evaluation.summary import figures_text
        from evaluation.video import film_drive, film_recording
        from network.saliency import make_saliency
        from recordings.units import units_by_path

    models = judging.load_models(args.drivers) if is_needed else {}
    folders = args.recording
    units = units_by_path(dict(args.steering_unit), folders)
    read = judging.read_recordings
    recordings = read(folders, args.part, units) if folders else []
    if not args.json:
        print_settings(args.changes)
    if args.video:
        model = models.get(args.drivers[0])
        saliency = make_saliency(model) if model else None
        if jobs:
            film_drive(jobs[0], args.video, saliency)
        else:
            predict = judging.batch_predictor(models[args.drivers[0]])
            film_recording(recordings[0], predict, args.video, saliency)
    replayed, replays = judging.judge_recordings(args.drivers, models, recordings)
    driven, drives = judging.judge_tracks(jobs, args.workers) if jobs else ({}, [])
    document = {"recordings": replayed, "tracks": driven}
    drives = replays + drives
    # Before the page, which may not find a place to be written to.
    text = json.dumps(document) if args.json else figures_text(document, drives)
    print(text, flush=True)
    if args.report:
        from evaluation.report import write_report
        from training.run_folder import git_commit

        saliency_of = {path: make_saliency(model) for path, model in models.items()}
        about = about_of(args, git_commit())
        write_report(args.report, document, drives, saliency_of, about)
    for path in (args.report, args.video):
        if path:
            print(shown(f"written: {path}"), file=sys.stderr)


def about_of(args: argparse.Namespace, commit: str) -> About:
    """Return what a page says of itself: models, date, command, and where a film is."""
    from evaluation.drivers import folder_name, is_model
    from evaluation.report import About

    def date_of(path: Path) -> str:
        weights = path.with_name(f"{path.stem}.weights.h5")
        changed_s = (weights if weights.exists() else path).stat().st_mtime
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(changed_s))

    models = [path for path in dict.fromkeys(args.drivers) if is_model(path)]
    facts = [
        (folder_name(path), f"{path}, its weights of {date_of(Path(path))}")
        for path in models
    ]
    date = time.strftime("%Y-%m-%d at %H:%M")
    facts.append(("made", f"on {date}, by the project at {commit}"))
    film = ""
    if args.video:
        film = Path(os.path.relpath(args.video, args.report.parent)).as_posix()
    command = typed("evaluate.py", *args.words)
    return About(tuple(facts), command, quote(os.fsencode(film)))


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """Return the drives in the simulator that are asked for.

    Raises:
        InputError: A track is unknown.
    """
    if not args.track:
        return []
    from evaluation.closed_loop import Job
    from simulator.tracks import road_seed, track_names

    def job(driver: str, track: str, direction: str) -> Job:
        # Each road is drawn anew in its own way, as simulate.py record does it.
        number = (args.randomise and road_seed(track)) or 0
        return Job(
            driver,
            track,
            direction,
            args.laps,
            args.speed,
            seed=args.seed + int(number),
            randomise=args.randomise,
            sideways_mps2=args.sideways_mps2,
        )

    both = ("forward", "reverse")
    return [
        job(driver, track, direction)
        for track in track_names(args.track)
        for direction in (both if args.direction == "both" else (args.direction,))
        for driver in args.drivers
    ]


def write_saliency(model_path: str, frame_path: Path) -> Path:
    """Draw a frame, and below it the frame under the model's heat map.

    Returns:
        The path of the picture.

    Raises:
        InputError: A file cannot be read, or the picture exists already.
    """
    from network.files import check_model, load_model

    check_model(model_path)
    out_path = Path(f"{frame_path.stem}_saliency.png")
    if out_path.exists():
        raise InputError(f"{out_path} exists; remove it, or work in another folder")
    check_writable(out_path.absolute(), "folder to work in")
    from recordings.images import read_frame

    frame = read_frame(frame_path)
    quiet_tensorflow()
    import numpy as np

    from network.saliency import make_saliency, overlay

    heat = make_saliency(load_model(model_path))(frame)
    write_picture(out_path, np.vstack([frame, overlay(frame, heat)]))
    return out_path


if __name__ == "__main__":
    sys.exit(main())
