"""Measure how models drive, beside drivers that are bounds: on recordings, on tracks.

    python evaluate.py models/both/model.json zero oracle --recording data/a
    python evaluate.py models/both/model.json zero expert --track lake --laps 3

A recording is driven again with re-projected pictures, as NVIDIA judged its network
(replay.py); a track is driven in the embedded simulator by drive.py's own pilot
(closed_loop.py). `zero` never steers, `oracle` knows where it stands beside the
recorded path (oracle:0.5 averages that path's steering over half a second, which hair
pins need), `expert` drives the simulator's tracks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from evaluation.report import table, write_report

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from evaluation.replay import Driver
    from evaluation.rollout import Rollout
    from network.saliency import Saliency

Predict = Callable[["np.ndarray"], "np.ndarray"]

ORACLE = "oracle"
# Of its second, how much lies before the row.
ORACLE_BEFORE = 0.3
BASELINES = ("zero", ORACLE, "expert")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example:\n  python evaluate.py models/both/model.json zero oracle "
        "--recording data/a --track lake --direction both --report report.html",
    )
    parser.add_argument(
        "drivers",
        nargs="+",
        metavar="MODEL",
        help="model.json, or zero, oracle, oracle:SECONDS, expert",
    )
    parser.add_argument(
        "--recording",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders with a driving_log.csv to replay",
    )
    parser.add_argument(
        "--part",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("FROM", "TO"),
        help="of each recording, as fractions of its rows (0 1)",
    )
    track = parser.add_argument_group("embedded simulator")
    track.add_argument(
        "--track",
        nargs="+",
        default=[],
        help="lake, jungle, mountain, random:SEED or random:FIRST-LAST",
    )
    track.add_argument("--laps", type=int, default=1, help="each way round (1)")
    track.add_argument("--speed", type=float, default=25.0, help="mph, 3 to 30 (25)")
    track.add_argument(
        "--direction",
        choices=("forward", "reverse", "both"),
        default="forward",
        help="which way round (forward)",
    )
    track.add_argument("--seed", type=int, default=0, help="of the scenery (0)")
    track.add_argument(
        "--workers", type=int, default=2, help="processes that drive (2)"
    )
    parser.add_argument(
        "--saliency",
        type=Path,
        metavar="FRAME",
        help="draw what the first model looks at in this picture, beside it, as "
        "FRAME_saliency.png",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--report", type=Path, metavar="HTML", help="page to write, with pictures"
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="MP4",
        help="film the first driver on the first track, or what it makes of the first "
        "recording, with what it looks at",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Evaluate; 0: done, 1: refused, 2: wrong usage."""
    args = parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if args.saliency:
            print(f"written: {write_saliency(args.drivers[0], args.saliency)}")
            return 0
        check(args)
        if args.video:
            film(args)
        rollouts: list[Rollout] = []
        document = evaluate(args, rollouts)
        # Before the page, which may not find a place to be written to.
        print(json.dumps(document) if args.json else table(document), flush=True)
        if args.report:
            write_report(args.report, document, rollouts, load_saliency(args.drivers))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for path in (args.report, args.video):
        if path:
            print(f"written: {path}", file=sys.stderr)
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be evaluated before any work is done.

    Raises:
        InputError: there is nothing to drive, or a driver cannot drive it.
    """
    if not args.recording and not args.track:
        raise InputError("nothing to drive: give --recording DIR or --track NAME")
    if args.report and args.report.exists():
        raise InputError(f"{args.report} exists; remove it or give another --report")
    if not 0 <= args.part[0] < args.part[1] <= 1:
        raise InputError(f"--part is {args.part}, expected 0 <= FROM < TO <= 1")
    if args.video and not args.track and args.drivers[0] in BASELINES:
        raise InputError("--video of a recording shows what a model makes of it")
    if args.laps < 1 or args.workers < 1:
        raise InputError("--laps and --workers must be 1 or more")
    if not 3 <= args.speed <= 30:
        raise InputError(f"--speed is {args.speed}, expected 3 to 30 mph")
    for driver in args.drivers:
        if driver == "expert" and args.recording:
            raise InputError("expert drives tracks only; on recordings give oracle")
        if driver.startswith(ORACLE) and args.track:
            raise InputError("oracle drives recordings only; on tracks give expert")
        is_model = driver not in BASELINES and not driver.startswith(f"{ORACLE}:")
        if is_model and not Path(driver).is_file():
            raise InputError(
                f"{driver}: no such file; expected a model.json, or one of: "
                f"{', '.join(BASELINES)}, {ORACLE}:SECONDS"
            )


def evaluate(args: argparse.Namespace, rollouts: list[Rollout]) -> dict[str, Any]:
    """Let every driver drive everything.

    Args:
        args: from parse_args.
        rollouts: every drive is appended.

    Returns:
        {"recordings": {name: {driver: figures}}, "tracks": {name: {driver: figures}}}
    """
    document: dict[str, Any] = {"recordings": {}, "tracks": {}}
    if args.recording:
        predictors = {name: load_predictor(name) for name in args.drivers}
        for samples in read_recordings(args.recording, tuple(args.part)):
            name = str(samples["recording"].iloc[0])
            document["recordings"][name] = {
                driver: judge_recording(driver, predictors[driver], samples, rollouts)
                for driver in args.drivers
            }
    if args.track:
        document["tracks"] = judge_tracks(args, rollouts)
    return document


# --- Recordings -----------------------------------------------------------------------


def load_predictor(driver: str) -> Predict | None:
    """Return a model's batch prediction, None for a baseline."""
    if driver in BASELINES or driver.startswith(f"{ORACLE}:"):
        return None
    from evaluation.replay import in_batches
    from network.files import load_model

    return in_batches(load_model(Path(driver)).predict_on_batch)


def load_saliency(drivers: list[str]) -> dict[str, Saliency]:
    """Return what makes heat maps of each driver that is a model."""
    from network.files import load_model
    from network.saliency import make_saliency

    return {
        driver: make_saliency(load_model(Path(driver)))
        for driver in drivers
        if driver.endswith(".json")
    }


def read_recordings(
    folders: list[Path], part: tuple[float, float] = (0.0, 1.0)
) -> list[pd.DataFrame]:
    """Return the usable samples of that part of each recording."""
    from recordings.recording import read_recording, usable_samples
    from recordings.split import part_of

    recordings = [read_recording(folder) for folder in folders]
    samples = part_of(usable_samples(recordings), part)
    return [
        part.reset_index(drop=True)
        for _, part in samples.groupby("recording", sort=False)
    ]


def judge_recording(
    driver: str,
    predict: Predict | None,
    samples: pd.DataFrame,
    rollouts: list[Rollout],
) -> dict[str, Any]:
    """Return the figures of one driver on one recording.

    Returns:
        The measures of rollout.Rollout at each limit, and the RMSE of the steering.
    """
    from evaluation.replay import (
        LIMITS_M,
        frames_from_disk,
        model_driver,
        read_path,
        replay,
        with_pictures,
    )

    path = read_path(samples)
    path.check_driven()
    frames = frames_from_disk(path)
    drive = (
        baseline(driver, path)
        if predict is None
        else model_driver(path, predict, frames)
    )
    by_limit = replay(drive, path, LIMITS_M, driver=driver)
    rollouts.extend(with_pictures(each, path, frames) for each in by_limit.values())
    figures: dict[str, Any] = {
        f"at_{limit_m:g}_m": rollout.measures() for limit_m, rollout in by_limit.items()
    }
    figures["steering_rmse"] = steering_rmse(drive, samples)
    return figures


def baseline(driver: str, path: Any) -> Driver:
    """Return a driver by name.

    Raises:
        InputError: the seconds of an oracle are no number in (0, 5].
    """
    from evaluation.replay import oracle_driver, zero_driver

    if driver == "zero":
        return zero_driver
    _, _, text = driver.partition(":")
    try:
        seconds = float(text) if text else 1.0
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 5:
        raise InputError(f"{driver}: expected {ORACLE}:SECONDS, above 0 and up to 5")
    before_s = ORACLE_BEFORE * seconds
    return oracle_driver(path, before_s, seconds - before_s)


def steering_rmse(drive: Driver, samples: pd.DataFrame) -> dict[str, float]:
    """Return how far a driver's steering is from the recorded, on the path itself."""
    import numpy as np

    from recordings.steering import smooth_steering

    rows, nowhere = np.arange(len(samples)), np.zeros(len(samples))
    size = 256
    steering = np.concatenate(
        [
            drive(rows[i : i + size], nowhere[i : i + size], nowhere[i : i + size])
            for i in range(0, len(rows), size)
        ]
    )
    raw = samples["steering"].to_numpy(float)
    averaged = smooth_steering(samples, ORACLE_BEFORE, 1 - ORACLE_BEFORE)

    def rmse(labels: np.ndarray) -> float:
        return round(float(np.sqrt(np.mean((steering - labels) ** 2))), 4)

    return {"raw": rmse(raw), "averaged_1_s": rmse(averaged)}


# --- Tracks ---------------------------------------------------------------------------


def judge_tracks(
    args: argparse.Namespace, rollouts: list[Rollout]
) -> dict[str, dict[str, Any]]:
    """Return the figures of every driver on every track, each way that is asked for."""
    from evaluation.closed_loop import Job, drive_all, track_names

    directions = (
        ("forward", "reverse") if args.direction == "both" else (args.direction,)
    )
    jobs = [
        Job(driver, track, direction, args.laps, args.speed, args.seed)
        for track in track_names(args.track)
        for direction in directions
        for driver in args.drivers
    ]
    figures: dict[str, dict[str, Any]] = {}
    for job, result in zip(jobs, drive_all(jobs, args.workers), strict=True):
        rollouts.append(result.rollout)
        figures.setdefault(result.rollout.road, {})[job.driver] = result.figures()
    return figures


def film(args: argparse.Namespace) -> None:
    """Film the first driver on the first track, or on the first recording."""
    from evaluation.closed_loop import Job, track_names
    from evaluation.video import film_drive, film_recording

    driver = args.drivers[0]
    if not args.track:
        samples, *_ = read_recordings(args.recording[:1], args.part)
        predict = load_predictor(driver)
        assert predict is not None  # check has made sure
        film_recording(samples, predict, args.video, load_saliency([driver])[driver])
        return
    direction = "reverse" if args.direction == "reverse" else "forward"
    track = track_names(args.track)[0]
    job = Job(driver, track, direction, args.laps, args.speed, args.seed)
    film_drive(job, args.video, load_saliency([driver]).get(driver))


# --- What the network looks at --------------------------------------------------------


def write_saliency(model_path: str, frame_path: Path) -> Path:
    """Draw a frame with the heat map of a model over it; return the picture's path.

    Raises:
        InputError: the frame cannot be read, or the picture exists already.
    """
    import cv2
    import numpy as np

    from network.files import load_model
    from network.saliency import make_saliency, overlay
    from recordings.images import read_frame

    out = Path(f"{frame_path.stem}_saliency.png")
    if out.exists():
        raise InputError(f"{out} exists; remove it, or work in another folder")
    frame = read_frame(frame_path)
    heat = make_saliency(load_model(Path(model_path)))(frame)
    picture = np.vstack([frame, overlay(frame, heat)])
    partial = out.with_name(f".{out.name}.partial.png")
    cv2.imwrite(str(partial), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    partial.replace(out)
    return out


if __name__ == "__main__":
    sys.exit(main())
