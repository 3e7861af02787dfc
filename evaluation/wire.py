"""A drive in the embedded simulator over the socket of a running drive.py, and a film.

    drive_over_wire(Job("models/both/model.json", "lake"), url, Path("lake.mp4"), print)

What drives is the server as the stock simulator would meet it; the figures are those
that closed_loop.py takes of the same pilot without a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from common.errors import InputError
from evaluation.closed_loop import MOST_S_PER_LAP, DriveLog, Job, LoopResult, variant_of
from simulator.client import Client, drive
from simulator.errors import REFUSALS
from simulator.expert import Expert
from simulator.film import FILM_SIZE, Film, film_frame
from simulator.world import FRAME_DT_S, Observation, World


def drive_over_wire(
    job: Job, url: str, film_path: Path, on_frame: Callable[[Observation], None]
) -> LoopResult:
    """Let the server drive a job, and film the car from behind.

    Its errors are counted from its lane's middle, as those of closed_loop.py.

    Args:
        job: The drive; its driver and speed are said to be the server's.
        url: The server's address, such as http://127.0.0.1:4567.
        film_path: The .mp4 file to write; a file of that name is replaced.
        on_frame: Is called with each observation.

    Raises:
        InputError: There is no server, or it has gone.
    """
    variant = variant_of(job)
    road = variant.track
    log = DriveLog(lane_m=road.lane_offsets_m[0])
    expert = Expert(road, speed_mph=job.speed_mph)
    world = World(road, cameras=("center",), settings=variant.settings)
    most_s = job.most_s or job.laps * MOST_S_PER_LAP

    def note(seen: Observation) -> None:
        before = client.seen
        reference, _throttle = expert(before)
        log.add(before, seen, client.steering, reference)
        if seen.off_road or seen.collision or seen.stuck:
            log.intervene(seen, before.frames["center"])
        film.add(film_frame(world, seen))
        on_frame(seen)

    try:
        with (
            closing(world),
            closing(Client(url, world)) as client,
            Film(film_path, FILM_SIZE) as film,
        ):
            drive(client, job.laps, max_simulated_s=most_s, on_frame=note)
    except REFUSALS as error:
        raise InputError(str(error)) from error
    return log.result(job, f"{job.track} {job.direction}", FRAME_DT_S)
