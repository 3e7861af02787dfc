"""Play a recording into the cockpit, frame by frame as it was driven: no simulator.

The model steers for every frame, and its steering is shown beside the recorded one. A
page goes to any place of it, also while the stop button holds it. The recording begins
anew at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import read_regular
from driving.moment import Moment
from driving.pilot import Command, Pilot
from driving.server import ANSWER_WITHIN_S, DriveServer
from driving.telemetry import Telemetry, UnusableTelemetry
from driving.wheel import MODEL, Choice, Wheel
from driving.worker import Worker
from recordings.decoding import MOST_IMAGE_BYTES

# Between two sessions of a recording nothing was driven.
MOST_STEP_S = 0.5
# What a model takes too long for is not caught up with beyond this, nor a pause.
MOST_LATE_S = 0.1
# So often is looked whether what is held goes on.
HELD_S = 0.05


@dataclass(frozen=True)
class RecordedFrame:
    """One row of a recording."""

    line: int
    """Its row in the log, from 1."""
    path: Path
    """The path of the centre camera's image."""
    step_s: float
    """Time since the row before."""
    speed_mph: float
    command: Command
    """What the person did who drove."""


def read_frames(folder: Path, unit: str | None = None) -> list[RecordedFrame]:
    """Return the rows of a recording that can be used, in the order of time.

    Args:
        unit: Of the recording's steering, as read_recording takes it.

    Raises:
        InputError: It cannot be read, or holds nothing.
    """
    # Not above: it needs pandas, which no other driving does.
    from recordings.recording import read_recording, usable_samples

    samples = usable_samples([read_recording(folder, unit=unit)])
    steps_s = samples["time_s"].diff().fillna(0.0).clip(0.0, MOST_STEP_S)
    frames = []
    for row, step_s in zip(samples.itertuples(), steps_s, strict=True):
        pedals = max(-1.0, min(1.0, row.throttle - row.brake))
        command = Command(row.steering, pedals)
        path = Path(row.center)
        frames.append(RecordedFrame(row.line, path, step_s, row.speed_mph, command))
    return frames


class Player:
    """Shows a recording's frames to the pages of a server, again and again.

    Args:
        frames: At least one.
    """

    def __init__(self, frames: list[RecordedFrame]) -> None:
        self.shown = 0
        """The frame that pages are shown; an index."""
        self._frames = frames
        self._times_s = list(accumulate(frame.step_s for frame in frames))
        self._next = 0
        self._is_sought = asyncio.Event()

    def document(self) -> dict[str, Any]:
        """Return what pages are told of where it is."""
        return {
            "row": self._frames[self.shown].line,
            "at_s": round(self._times_s[self.shown], 3),
            "length_s": round(self._times_s[-1], 3),
        }

    def seek(self, at_s: float) -> None:
        """Go on from a time of the recording; beyond its ends is at them."""
        self._go_to(bisect_left(self._times_s, at_s))

    def seek_by(self, seconds: float) -> None:
        """Go on from so much later, or earlier, than where it is to be."""
        self.seek(self._times_s[self._next] + seconds - 1e-6)

    def step(self, frames: int) -> None:
        """Go on from so many frames later, or earlier, than where it is to be."""
        self._go_to(self._next + frames)

    def _go_to(self, index: int) -> None:
        self._next = min(len(self._frames) - 1, max(0, index))
        self._is_sought.set()

    async def play(self, server: DriveServer) -> None:
        """Play until it is cancelled."""
        pilot, worker = server.make_pilot(), Worker("playback")
        due_s = time.perf_counter()
        while True:
            index = self._next
            self._is_sought.clear()
            frame, started_s = self._frames[index], time.perf_counter()
            look = partial(_moment_of, frame, pilot)
            try:
                moment = await worker.do(look, ANSWER_WITHIN_S)
            except TimeoutError:
                moment = None
            now_s = time.perf_counter()
            self.shown = index
            server.show(moment, frame.step_s, 1e3 * (now_s - started_s))
            following = (index + 1) % len(self._frames)
            due_s = max(due_s, now_s - MOST_LATE_S) + self._frames[following].step_s
            if await self._is_sought_before(due_s, server.wheel):
                due_s = time.perf_counter()
            else:
                self._next = following

    async def _is_sought_before(self, due_s: float, wheel: Wheel) -> bool:
        """Wait until the next frame is due, or another one is sought; say which.

        While the wheel is stopped nothing is due.
        """
        while not self._is_sought.is_set():
            left_s = HELD_S if wheel.is_stopped else due_s - time.perf_counter()
            if left_s <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._is_sought.wait()
        return True


def _moment_of(recorded: RecordedFrame, pilot: Pilot) -> Moment | None:
    """Let the model look at a frame; None where its picture cannot be used."""
    speed_mph, command = recorded.speed_mph, recorded.command
    try:
        jpeg = read_regular(recorded.path, MOST_IMAGE_BYTES)
        frame = Telemetry(0.0, command.throttle, speed_mph, jpeg, ".").frame()
    except (InputError, UnusableTelemetry):
        return None
    by_model = pilot(frame, speed_mph, recorded.step_s)
    choice = Choice(command, MODEL, by_model.steering, command.steering)
    return Moment(jpeg, frame, speed_mph, choice, planned_mph=pilot.planned_mph)
