"""Recordings of the expert on one road or on many, several at a time.

    jobs = [RecordJob(Path("data/practice/random_7"), "random:7", seed=7, num_rows=700)]
    record_all(jobs, workers=2)

A road whose recording is there already is left out, so that what was killed goes on.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import LostRoadError, Refusal
from simulator.expert import Expert, SteeringNoise
from simulator.recorder import CAMERAS, FACTS_NAME, Recorder, record_expert
from simulator.scenery import SceneSettings
from simulator.tracks import make_track
from simulator.variants import Variant, draw_variant
from simulator.world import Observation, World

DIRECTIONS = ("forward", "reverse", "both")
USUAL_SCENERY = SceneSettings()


@dataclass(frozen=True)
class RecordJob:
    """One recording of the expert."""

    folder: Path
    """Where it shall lie."""
    track: str
    """The road's name, as simulator.tracks.make_track takes it."""
    direction: str = "forward"
    """One of DIRECTIONS."""
    scenery: SceneSettings = USUAL_SCENERY
    """What there is to see."""
    randomise: float = 0.0
    """How far draw_variant takes road and scenery from the usual, in [0, 1]."""
    seed: int = 0
    """The seed of variant, noise and date."""
    num_laps: int = 1
    """How many laps each way round, unless num_rows is given."""
    num_rows: int | None = None
    """How many rows each way round."""
    speed_mph: float = 25.0
    """The speed not to be exceeded, 3 to 30."""
    lane_m: float | None = None
    """Where it drives, + is right of the centre line; None: the track's lane."""
    noise: float = 0.0
    """The disturbance of the steering that is not logged, 0 to 1."""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            known = ", ".join(DIRECTIONS)
            raise Refusal(f"no direction {self.direction!r}; there are: {known}")
        if self.num_laps < 1 or (self.num_rows is not None and self.num_rows < 1):
            raise Refusal("laps and rows must be 1 or more")

    def variants(self) -> list[Variant]:
        """Return the road as it is driven, in each direction that is wanted."""
        track = make_track(self.track)
        ways = {"forward": [track], "reverse": [track.reversed()]}
        ways["both"] = ways["forward"] + ways["reverse"]
        return [
            draw_variant(way, self.scenery, self.seed, self.randomise)
            for way in ways[self.direction]
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """What the recording follows from, for its folder; JSON gives it back equal."""
        facts = {k: v for k, v in asdict(self).items() if k != "folder"}
        facts["variant"] = [_facts_of(variant) for variant in self.variants()]
        return dict(json.loads(json.dumps(facts)))


def _facts_of(variant: Variant) -> dict[str, Any]:
    return {
        "half_width_m": variant.track.half_width_m,
        "lane_offsets_m": variant.track.lane_offsets_m,
        "jpeg_quality": variant.jpeg_quality,
        "settings": asdict(variant.settings),
    }


def record(
    job: RecordJob, on_frame: Callable[[Observation], None] | None = None
) -> int:
    """Make one recording; return the number of its rows.

    Raises:
        FileExistsError: Its folder exists.
        LostRoadError: The expert has lost the road.
        Refusal: A setting cannot be.
    """
    variants = job.variants()
    quality = variants[0].jpeg_quality
    with Recorder(job.folder, job.seed, quality, job.facts) as recorder:
        for number, variant in enumerate(variants):
            world = World(variant.track, cameras=CAMERAS, settings=variant.settings)
            # Each way round has its own disturbance.
            rng = np.random.default_rng([job.seed, number])
            record_expert(
                recorder,
                world,
                Expert(variant.track, job.lane_m, job.speed_mph),
                SteeringNoise(rng, job.noise),
                num_laps=job.num_laps,
                num_rows=job.num_rows,
                on_frame=on_frame,
            )
            world.close()
    return recorder.num_rows


def is_recorded(job: RecordJob) -> bool:
    """Say whether the recording of a job is there.

    Raises:
        Refusal: Something else has its name.
    """
    if not job.folder.exists():
        return False
    path = job.folder / FACTS_NAME
    if path.is_file() and json.loads(path.read_bytes()) == job.facts:
        return True
    raise Refusal(
        f"{job.folder} exists, and is not what would be recorded; remove it, or give "
        "another --out"
    )


def record_all(
    jobs: Sequence[RecordJob], workers: int
) -> Iterator[tuple[RecordJob, int | str]]:
    """Make recordings, several at a time; yield each with its rows, or why it failed.

    Raises:
        Refusal: Something else has the name of one.
    """
    todo = [job for job in jobs if not is_recorded(job)]
    if workers == 1 or len(todo) <= 1:
        yield from map(_attempt, todo)
        return
    # Panda3D does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(todo)), context) as pool:
        yield from pool.map(_attempt, todo)


def _attempt(job: RecordJob) -> tuple[RecordJob, int | str]:
    """Record; an expert that loses one road of many must not end the others."""
    try:
        return job, record(job)
    except (LostRoadError, Refusal) as error:
        return job, str(error)
