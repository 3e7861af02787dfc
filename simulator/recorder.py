"""Writes recordings as the stock simulator does: a folder, a log, three JPEGs a row.

    with Recorder(Path("data/lake1"), seed=3) as recorder:
        recorder.add(seen, steering=0.1, throttle=0.5)

The folder appears under its name when the recording is complete, never in part.
"""

import datetime
import errno
import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from simulator.drafts import Draft
from simulator.errors import LostRoadError
from simulator.expert import Expert, SteeringNoise
from simulator.vehicle import MPS_PER_MPH
from simulator.world import FRAME_DT_S, Observation, World

CAMERAS = ("center", "left", "right")
JPEG_QUALITY = 75
LOG_NAME, IMAGE_DIR = "driving_log.csv", "IMG"
FACTS_NAME = "simulator.json"  # what a recording follows from
FIRST_DAY = datetime.datetime(2017, 1, 1, 12, 0, 0)
MOST_DAYS = 3000  # seeds share their days after that
PAUSE_S = 60.0  # between two drives in one recording


class Recorder:
    """Writes one recording.

    Image paths in the log are relative to the recording's folder, so that the same
    drive gives the same bytes wherever it is written.

    Args:
        folder: Where the recording shall be; it must not exist.
        seed: The drive's seed; it sets the date that the file names carry, as simulated
            time has none.
        jpeg_quality: Of the images, 1 to 100.
        facts: What the recording follows from; written beside the log.

    Raises:
        FileExistsError: If `folder` exists, also when it appears meanwhile, or if
            another process is writing it.
    """

    def __init__(
        self,
        folder: Path,
        seed: int = 0,
        jpeg_quality: int = JPEG_QUALITY,
        facts: dict[str, Any] | None = None,
    ) -> None:
        if folder.exists():
            raise FileExistsError(f"{folder} exists; remove it or give another name")
        self.folder, self.num_rows = folder, 0
        self._jpeg_quality = jpeg_quality
        self._last_s: float | None = None
        self._start = FIRST_DAY + datetime.timedelta(days=seed % MOST_DAYS)
        # In the same folder as the result, so that the last step is a mere renaming.
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._draft = Draft(folder, is_folder=True)
        try:
            with self._draft.named():
                (self._draft.path / IMAGE_DIR).mkdir()
                if facts is not None:
                    text = json.dumps(facts, indent=1) + "\n"
                    (self._draft.path / FACTS_NAME).write_text(text, "utf-8")
                # Without a buffer: what is written is there, or is said to be not.
                self._log = (self._draft.path / LOG_NAME).open("wb", buffering=0)
        except OSError:
            self._draft.discard()
            raise

    def add(self, seen: Observation, steering: float, throttle: float) -> None:
        """Write a row and its three images.

        Args:
            seen: What the driver sees: frames of all three CAMERAS, time and speed.
            steering: What the driver does then, [-1, 1], + is right.
            throttle: The throttle in [-1, 1]; negative is logged as brake.

        Raises:
            OSError: If it cannot be written, as on a full disk. The rows before it are
                whole, and can be kept.
        """
        now = self._start + datetime.timedelta(milliseconds=round(1000 * seen.time_s))
        stamp = now.strftime("%Y_%m_%d_%H_%M_%S_") + f"{now.microsecond // 1000:03d}"
        names = [f"{IMAGE_DIR}/{camera}_{stamp}.jpg" for camera in CAMERAS]
        speed_mph = seen.speed_mps / MPS_PER_MPH
        numbers = (steering, max(0.0, throttle), max(0.0, -throttle), speed_mph)
        row = ",".join([*names, *map(csharp_float, numbers)]) + "\n"
        with self._draft.named(), self._whole_row(names):
            for camera, name in zip(CAMERAS, names, strict=True):
                content = encode_jpeg(seen.frames[camera], self._jpeg_quality)
                (self._draft.path / name).write_bytes(content)
            if self._log.write(row.encode()) < len(row):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.num_rows += 1
        self._last_s = seen.time_s

    @contextmanager
    def _whole_row(self, names: list[str]) -> Iterator[None]:
        """Write a row and its images, or leave nothing of them."""
        end = self._log.tell()
        try:
            yield
        except OSError:
            for name in names:
                (self._draft.path / name).unlink(missing_ok=True)
            self._log.seek(end)
            self._log.truncate()
            raise

    def move(self, folder: Path) -> None:
        """Let it have another name in the same place when it is complete."""
        self.folder = self._draft.place = folder

    @property
    def next_start_s(self) -> float:
        """When another drive may begin, so that it is a session of its own [s]."""
        return 0.0 if self._last_s is None else self._last_s + PAUSE_S

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._log.close()
        if kind is None:
            self._draft.finish()
        else:
            self._draft.discard()


def record_expert(
    recorder: Recorder,
    world: World,
    expert: Expert,
    noise: SteeringNoise,
    *,
    num_laps: int = 1,
    num_rows: int | None = None,
    on_frame: Callable[[Observation], None] | None = None,
) -> None:
    """Let the expert drive and record it; the steering logged is without the noise.

    Args:
        recorder: Takes the rows, after those it has.
        world: The world to drive in, which has all three CAMERAS; it is reset.
        noise: Disturbs the steering that is executed.
        num_laps: How many laps to drive, unless `num_rows` is given.
        num_rows: How many rows to write.
        on_frame: Is called with each observation that was recorded.

    Raises:
        LostRoadError: If the noise throws the expert off the road for good.
    """
    start_s = recorder.next_start_s
    seen, written = world.reset(lateral_m=expert.lane_offset_m), 0
    while written < num_rows if num_rows is not None else seen.lap < num_laps:
        control = expert(seen)
        shifted = replace(seen, time_s=start_s + seen.time_s)
        recorder.add(shifted, control.steering, control.throttle)
        written += 1
        if on_frame is not None:
            on_frame(seen)
        seen = world.step(control.steering + noise(FRAME_DT_S), control.throttle)
        if seen.collision or seen.stuck:
            raise LostRoadError(
                f"the expert has lost the road at {seen.station_m:.0f} m "
                f"({seen.collision or 'stuck'}); is the noise too large?"
            )


def encode_jpeg(frame: np.ndarray, jpeg_quality: int = JPEG_QUALITY) -> bytes:
    """Return a frame, uint8 RGB (height, width, 3), as JPEG; usually the stock's."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, quality)
    assert done, "OpenCV encodes every uint8 frame"
    return encoded.tobytes()


def csharp_float(value: float) -> str:
    """Return a number as C#'s float.ToString() writes it.

    A single-precision value to 7 significant digits; from 1e7 and below 1e-4 with an
    exponent of at least two digits ("1.5E-05").

    Source: the "G7" format that .NET Framework and Mono use for System.Single.
    """
    single = struct.unpack("f", struct.pack("f", value))[0]
    if not math.isfinite(single):
        raise ValueError(f"{value} is not a finite number")
    if single == 0:
        return "0"
    mantissa, exponent_text = f"{single:.6e}".split("e")
    exponent = int(exponent_text)
    if -5 < exponent < 7:
        plain = f"{single:.{6 - exponent}f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}E{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
