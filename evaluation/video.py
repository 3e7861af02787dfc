"""A film of a drive: what the car sees, what the network looks at, how it steers.

    python evaluate.py models/both/model.json --track lake --video drive.mp4
    python evaluate.py models/both/model.json --recording data/run --video run.mp4

H.264 that browsers and phones play. The frame is the network's own, twice as large; the
two bars below it are the steering of the driver, and of the expert in its place or of
whoever made the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from common.bar import Bar
from common.car import FRAME_SHAPE, MPS_PER_MPH, mph_and_mps
from common.errors import InputError
from driving.pilot import Command
from evaluation.closed_loop import Job, LoopResult, drive, variant_of
from evaluation.replay import BATCH_SIZE
from network.saliency import Saliency, overlay
from recordings.images import read_frame
from simulator.expert import Expert
from simulator.film import Film
from simulator.world import Observation

FRAMES_PER_S = 15.0
SCALE = 2
# Below the frame: two bars of steering and a line of text.
PANEL_ROWS = 80
WHITE, GREY = (255, 255, 255), (70, 70, 70)
DRIVER, REFERENCE = (120, 220, 120), (255, 170, 60)


def film_drive(job: Job, path: Path, saliency: Saliency | None = None) -> LoopResult:
    """Drive a job and film it.

    Args:
        job: The drive to film.
        path: The .mp4 file to write; it appears when it is complete.
        saliency: Makes the heat map over the frame; None leaves the frame as it is.

    Raises:
        InputError: The file exists or is no .mp4, or the job cannot be driven.
    """
    road = variant_of(job).track
    lane_m, expert = road.lane_offsets_m[0], Expert(road, speed_mph=job.speed_mph)
    with open_film(path, FRAMES_PER_S) as film:

        def add(seen: Observation, command: Command) -> None:
            frame = seen.frames["center"]
            if saliency is not None:
                frame = overlay(frame, saliency(frame))
            reference, _throttle = expert(seen)
            text = (
                f"{mph_and_mps(seen.speed_mps / MPS_PER_MPH):>19}   "
                f"{seen.cross_track_error_m - lane_m:+.2f} m   lap {seen.lap + 1}   "
                f"{seen.time_s:5.1f} s"
            )
            bars = (("driver", command.steering), ("expert", reference))
            film.add(draw_frame(frame, bars, text))

        return drive(job, add)


def film_recording(
    samples: pd.DataFrame,
    predict: Callable[[np.ndarray], np.ndarray],
    path: Path,
    saliency: Saliency | None = None,
) -> None:
    """Film a recording, with what a model makes of its frames.

    Args:
        samples: The rows of one recording, as usable_samples returns them.
        predict: Turns frames, uint8 (n, 160, 320, 3), into steering, (n,) or (n, 1).
        path: The .mp4 file to write; it appears when it is complete.
        saliency: Makes the heat map over the frame; None leaves the frame as it is.

    Raises:
        InputError: The file exists or is no .mp4.
    """
    interval_s = samples["time_s"].diff().median()
    rate_hz = 1 / interval_s if interval_s > 0 else FRAMES_PER_S
    started_s = samples["time_s"].iloc[0]
    with (
        Bar("filming", len(samples), "frames") as bar,
        open_film(path, float(rate_hz)) as film,
    ):
        for start in range(0, len(samples), BATCH_SIZE):
            part = samples.iloc[start : start + BATCH_SIZE]
            frames = np.stack([read_frame(image) for image in part["center"]])
            answers = np.clip(predict(frames).reshape(len(part)), -1, 1).tolist()
            for row, frame, steering in zip(
                part.itertuples(), frames, answers, strict=True
            ):
                seen = overlay(frame, saliency(frame)) if saliency else frame
                speed = mph_and_mps(row.speed_mph)
                text = f"{speed:>19}   {row.time_s - started_s:5.1f} s"
                bars = (("model", steering), ("recorded", row.steering))
                film.add(draw_frame(seen, bars, text))
                bar.add()


def open_film(path: Path, rate_hz: float) -> Film:
    """Begin a film of draw_frame's pictures.

    Raises:
        InputError: The file exists or is no .mp4.
    """
    if path.exists():
        raise InputError(f"{path} exists; remove it or give another --video")
    if path.suffix != ".mp4":
        raise InputError(f"{path}: expected a name that ends in .mp4")
    size = (FRAME_SHAPE[1] * SCALE, FRAME_SHAPE[0] * SCALE + PANEL_ROWS)
    return Film(path, size, rate_hz)


def draw_frame(
    frame: np.ndarray, steering: tuple[tuple[str, float], ...], text: str
) -> np.ndarray:
    """Return a frame of the film.

    Args:
        frame: What the car sees, uint8 RGB (160, 320, 3).
        steering: Name and steering in [-1, 1] of the driver, and of a reference.
        text: A line of ASCII below the bars.

    Returns:
        uint8 RGB (400, 640, 3).
    """
    height, width = FRAME_SHAPE[0] * SCALE, FRAME_SHAPE[1] * SCALE
    picture = np.zeros((height + PANEL_ROWS, width, 3), np.uint8)
    picture[:height] = cv2.resize(frame, (width, height))  # Bilinear by default.
    tops, colours = (height + 8, height + 30), (DRIVER, REFERENCE)
    for (name, value), top, colour in zip(steering, tops, colours, strict=True):
        _bar(picture, top, value, colour)
        _write(picture, (8, top + 13), f"{name} {value:+.2f}", colour)
    _write(picture, (8, height + PANEL_ROWS - 10), text, WHITE)
    return picture


def _bar(
    picture: np.ndarray, top: int, value: float, colour: tuple[int, int, int]
) -> None:
    """Draw a bar from the middle towards the side that is steered to."""
    width = picture.shape[1]
    middle, reach = width // 2, width // 4
    cv2.rectangle(picture, (middle - reach, top), (middle + reach, top + 16), GREY, 1)
    end = middle + round(float(np.clip(value, -1, 1)) * reach)
    left, right = min(middle, end), max(middle, end)
    cv2.rectangle(picture, (left, top + 2), (right, top + 14), colour, cv2.FILLED)
    cv2.line(picture, (middle, top), (middle, top + 16), WHITE, 1)


def _write(
    picture: np.ndarray, at: tuple[int, int], text: str, colour: tuple[int, int, int]
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, at, font, 0.45, colour, 1, cv2.LINE_AA)
