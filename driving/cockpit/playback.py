"""Play a recording into the cockpit, frame by frame as it was driven: no simulator.

The model steers for every frame, and its steering is shown beside the recorded one. The
recording begins anew at its end; the stop button holds it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from common.errors import InputError
from common.files import read_regular
from driving.pilot import Command, Pilot
from driving.server import ANSWER_WITHIN_S, DriveServer, Moment
from driving.telemetry import Telemetry, UnusableTelemetry
from driving.wheel import MODEL, Choice
from driving.worker import Worker
from recordings.decoding import MOST_IMAGE_BYTES

# Between two sessions of a recording nothing was driven.
MOST_STEP_S = 0.5


@dataclass(frozen=True)
class RecordedFrame:
    """One row of a recording."""

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
        frames.append(RecordedFrame(Path(row.center), step_s, row.speed_mph, command))
    return frames


async def play(server: DriveServer, frames: list[RecordedFrame]) -> None:
    """Show a recording's frames to the pages of a server, again and again."""
    pilot, worker, due_s = server.make_pilot(), Worker("playback"), time.perf_counter()
    for frame in cycle(frames):
        due_s = max(due_s, time.perf_counter() - MOST_STEP_S) + frame.step_s
        await asyncio.sleep(max(0.001, due_s - time.perf_counter()))
        while server.wheel.is_stopped:
            await asyncio.sleep(0.05)
        started_s = time.perf_counter()
        try:
            moment = await worker.do(partial(_moment_of, frame, pilot), ANSWER_WITHIN_S)
        except TimeoutError:
            moment = None
        latency_ms = 1e3 * (time.perf_counter() - started_s)
        server.show(moment, frame.step_s, latency_ms)


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
    return Moment(jpeg, frame, speed_mph, choice)
