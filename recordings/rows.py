"""What is known of the rows of a log: their times and sessions, and their faults."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from common.car import CAMERAS, FRAME_SHAPE
from common.errors import InputError
from common.files import read_regular
from recordings.decoding import MOST_IMAGE_BYTES, in_words

# A gap longer than this starts a new session. The simulator writes 10 to 15 rows a
# second; a slow disk makes it pause for some tenths of a second.
SESSION_GAP_S = 1.0
# The rate taken for rows whose file names carry no time: the slowest that was seen.
NOMINAL_RATE_HZ = 10.0
# Below this the car stands: its steering says nothing about the road.
STANDING_MPH = 1.0
# Rows in a row for which the brake is on while the speed grows: the car drives back.
REVERSING_ROWS = 3
# Logs that were glued together step back in time once each; in a shuffled one, half of
# the rows do.
SHUFFLED_SHARE = 0.1

TIME_STAMP = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{3})")


def without_duplicates(samples: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Drop rows that repeat an earlier one; return the rest, and how many went."""
    columns = [column for column in samples if column != "line"]
    repeated = samples.duplicated(subset=columns)
    return samples[~repeated].reset_index(drop=True), int(repeated.sum())


def times_of(names: pd.Series) -> tuple[np.ndarray, bool]:
    """Return the time of each row in seconds, and whether every name carries one."""
    times = np.array([_time_of(name) for name in names])
    missing = np.isnan(times)
    for i in np.flatnonzero(missing):
        times[i] = times[i - 1] + 1 / NOMINAL_RATE_HZ if i else 0.0
    return times, not missing.any()


def _time_of(name: str) -> float:
    found = TIME_STAMP.search(name)
    if not found:
        return math.nan
    year, month, day, hour, minute, second, millisecond = map(int, found.groups())
    try:
        stamp = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return math.nan
    return stamp.timestamp() + millisecond / 1000


def sessions_of(times: pd.Series) -> np.ndarray:
    """Number the stretches between gaps and steps back in time, from 0."""
    steps = np.diff(times, prepend=times.iloc[:1])
    return np.cumsum((steps < 0) | (steps > SESSION_GAP_S))


def without_faulty_sides(
    samples: pd.DataFrame, digests: dict[str, list[str]]
) -> list[str]:
    """Take out images of the side cameras that cannot be used; say which.

    A faulty image costs that image, not the row, and so does one that another camera
    took: it does not show the road from where its camera stands. The samples are
    changed, and the columns of the side cameras that locate_images adds taken out.
    """
    said = []
    center = _pictures(samples, digests, "center")
    left, right = (_pictures(samples, digests, side) for side in CAMERAS[1:])
    same = {
        "left": (left != "") & ((left == center) | (left == right)),
        "right": (right != "") & ((right == center) | (right == left)),
    }
    for camera in CAMERAS[1:]:
        fault = samples.pop(f"{camera}_fault").to_numpy(object)
        fault[(fault == "") & same[camera]] = "same-image"
        bad, unnamed = fault != "", (samples[camera] == "").to_numpy()
        if (bad | unnamed).any() and not unnamed.all():
            text = f"{(bad | unnamed).sum()} rows have no good {camera} image"
            if bad.any():
                example = samples.iloc[int(bad.argmax())]
                about = _about(example[camera], fault[int(bad.argmax())])
                text += f", for example row {example['line']}: {about}"
            said.append(text)
        samples.loc[bad, camera] = ""
    return said


def _pictures(
    samples: pd.DataFrame, digests: dict[str, list[str]], camera: str
) -> np.ndarray:
    """Return what tells the pictures of a camera apart: digests, else their paths."""
    paths = samples[camera].to_numpy(object)
    known = np.array(digests[camera], object)
    return np.where(known != "", known, paths)


def reasons_of(samples: pd.DataFrame, digests: list[str]) -> list[str]:
    """Return for each row why it is not used, "" if it is; the first reason counts.

    The column of faults that locate_images adds is taken out of the samples.

    Args:
        digests: Of the centre images.
    """
    fault = samples.pop("center_fault").to_numpy(object)
    steering, speed = samples["steering"].to_numpy(), samples["speed_mph"].to_numpy()
    # Some people's logs keep no speed; a car that never moved would be no recording.
    has_speed = bool(speed.any())
    reasons = np.where(np.abs(steering) > 1, "steering-out-of-range", fault)
    conditions = {
        "reversing": _is_reversing(samples),
        "standing": has_speed & (np.abs(speed) < STANDING_MPH),
        "stale-frame": _is_stale(digests),
    }
    for reason, holds in conditions.items():
        reasons[(reasons == "") & holds] = reason
    # A log that was glued to a copy of itself, with other numbers or other names.
    frames = pd.Series(digests, dtype=object)[
        (reasons == "") & (np.array(digests) != "")
    ]
    reasons[frames.index[frames.duplicated()]] = "repeated-frame"
    return list(reasons)


def in_runs(flags: np.ndarray, length: int) -> np.ndarray:
    """Return bool (n,): which flags stand in a row of so many, or of more."""
    if not len(flags):
        return np.zeros(0, bool)
    runs = np.convolve(flags, np.ones(length), "full")
    ends = runs[: len(flags)] >= length
    return np.convolve(ends[::-1], np.ones(length), "full")[: len(ends)][::-1] > 0


def _is_reversing(samples: pd.DataFrame) -> np.ndarray:
    """Find where the car drives backwards: the log holds the speed without its sign.

    In the simulator the brake pedal of a standing car is its reverse gear.
    """
    speed, brake = samples["speed_mph"].to_numpy(), samples["brake"].to_numpy()
    growing = np.diff(speed, prepend=speed[:1]) > 0
    backing = (brake > 0) & growing & (speed < 10)
    # Only several rows in a row: single ones are noise of the physics.
    return in_runs(backing, REVERSING_ROWS) | (speed < -STANDING_MPH)


def _is_stale(digests: list[str]) -> np.ndarray:
    """Find rows whose picture is, to the bit, that of the row before."""
    digest = np.array(digests, object)
    same = np.zeros(len(digest), bool)
    same[1:] = (digest[1:] == digest[:-1]) & (digest[1:] != "")
    return same


def warnings_of(samples: pd.DataFrame, timed: bool, num_duplicates: int) -> list[str]:
    """Return in words what the user should know, with examples."""
    warnings = []
    if num_duplicates:
        warnings.append(f"{num_duplicates} rows stand in the log twice; used once")
    for reason, group in samples[samples["excluded"] != ""].groupby("excluded"):
        lines = ", ".join(str(line) for line in group["line"].head(3))
        text = f"{len(group)} rows excluded as {reason}, for example row {lines}"
        if reason == "steering-out-of-range":
            worst = float(group["steering"].abs().max())
            text += f": up to {worst:g}, expected [-1, 1]; was it logged in degrees?"
        if reason.endswith("-image"):
            text += f": {_about(group['center'].iloc[0], reason)}"
        warnings.append(text)
    warnings += _sizes_of(samples)
    steps_back = int((samples["time_s"].diff() < 0).sum())
    if steps_back > SHUFFLED_SHARE * len(samples):
        warnings.append(
            f"{steps_back} rows are older than the row before; is the log shuffled? "
            "Its sessions are lost: sort the rows by the name of the centre image"
        )
    if len(samples) and not samples["speed_mph"].any():
        warnings.append("every speed is 0; took the car to be moving all the time")
    if not timed:
        warnings.append(
            "some file names carry no time; took such rows as "
            f"{1 / NOMINAL_RATE_HZ:g} s apart"
        )
    return warnings


def _about(image_path: str, reason: str) -> str:
    """Say of an image, by name, why it is not used."""
    name = Path(image_path).name
    if reason == "missing-image":
        return f"{name} is not in IMG/"
    if reason == "same-image":
        return f"{name} is the picture of another camera"
    try:
        content = read_regular(Path(image_path), MOST_IMAGE_BYTES)
    except InputError:
        content = b""
    return f"{name}: {in_words(reason, content)}"


def _sizes_of(samples: pd.DataFrame) -> list[str]:
    """Say of which size the frames are, and what follows, where it is not the usual."""
    used = samples[(samples["excluded"] == "") & (samples["frame_size"] != "")]
    usual = f"{FRAME_SHAPE[1]}x{FRAME_SHAPE[0]}"
    counts = used["frame_size"].value_counts()
    said = []
    if set(counts.index) - {usual}:
        shown = [f"{size} ({num:,} rows)" for size, num in counts.head(3).items()]
        one = counts.index[0] if len(counts) == 1 else " and ".join(shown)
        said.append(f"frames of {one} pixels, each scaled to {usual}")
    if not used["is_stock_camera"].all():
        said.append(
            "their camera is not the simulator's: where it stands is not known, so the "
            "way back is taught by shifts, and the recording is not replayed"
        )
    return said
