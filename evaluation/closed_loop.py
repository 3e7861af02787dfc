"""Drive the embedded simulator in process, with the pilot of drive.py.

    result = drive(Job("models/both/model.json", "lake", laps=3))
    result.rollout.autonomy_percent()

The frame goes through the JPEG of the wire, and time is the simulator's, so that the
same job gives the same drive on an idle machine and on a busy one. An intervention is
what it is to the simulator's client: the car has left the road, has run into something
or is stuck, and is put back into its lane. How often it was more than 1 m or 2 m off
the lane's middle is counted as well, as NVIDIA counted: once until it is back within
half of that distance.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from common.bar import Bar
from common.car import INTERVENTION_S, MPS_PER_MPH, autonomy_percent
from common.errors import InputError
from common.interrupts import deaf_to_interrupts
from driving.pilot import Command, check_sees_bends, pilot_of
from driving.speed import SpeedController
from driving.speed_plan import SpeedPlan
from evaluation.drivers import EXPERT, ZERO, is_model
from evaluation.rollout import MOST_PICTURES, Intervention, Rollout
from model import load_predictor
from network.answer import Predict
from simulator.expert import Expert
from simulator.recorder import encode_jpeg
from simulator.scenery import SceneSettings
from simulator.tracks import check_track, make_track
from simulator.variants import Variant, draw_variant
from simulator.world import FRAME_DT_S, Observation, World

LIMITS_M = (1.0, 2.0)
# A lap of the longest track takes three minutes at 20 mph.
MOST_S_PER_LAP = 600.0
# So often it is asked how far the drives of other processes are.
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Job:
    """A drive in the simulator.

    Raises:
        InputError: There is no such track.
        ValueError: Another value is out of its range.
    """

    driver: str
    """The path of a model.json; or zero, or expert."""
    track: str
    """The track's name, as simulate.py knows it."""
    direction: str = "forward"
    """Which way round: forward or reverse."""
    laps: int = 1
    """How many laps to drive."""
    speed_mph: float = 25.0
    """The speed to keep to, 3 to 30."""
    seed: int = 0
    """The seed of the scenery."""
    most_s: float | None = None
    """Simulated time after which it is given up; None: ten minutes a lap."""
    most_interventions: int | None = None
    """Interventions after which it is given up; None: never."""
    randomise: float = 0.0
    """How far draw_variant takes road and scenery from the usual, in [0, 1]."""
    sideways_mps2: float | None = None
    """What bends may pull to the side: speed_mph is a ceiling, below which the speed
    follows from the road. None: it is held everywhere."""

    def __post_init__(self) -> None:
        if self.direction not in ("forward", "reverse"):
            raise ValueError(
                f"direction is {self.direction}, expected forward, reverse"
            )
        if self.laps < 1:
            raise ValueError(f"laps is {self.laps}, expected 1 or more")
        if self.most_interventions is not None and self.most_interventions < 1:
            given = self.most_interventions
            raise ValueError(f"most_interventions is {given}, expected 1 or more")
        if not 0 <= self.randomise <= 1:
            raise ValueError(f"randomise is {self.randomise}, expected 0 to 1")
        if not 3 <= self.speed_mph <= 30:
            raise ValueError(f"speed_mph is {self.speed_mph}, expected 3 to 30 mph")
        if self.sideways_mps2 is not None:
            SpeedPlan(self.sideways_mps2)
        try:
            check_track(self.track)
        except ValueError as error:
            raise InputError(f"--track {self.track}: {error}") from None


@dataclass(frozen=True, eq=False)
class LoopResult:
    """How a drive went."""

    rollout: Rollout
    """The drive; its errors are counted from the middle of the usual lane."""
    laps: int
    """How many laps were completed."""
    lap_times_s: tuple[float, ...]
    """The simulated time that each of them took."""
    clean_lap_times_s: tuple[float, ...]
    """The time of those that were driven without an intervention."""
    off_road: int
    """Interventions because the car left the road."""
    collisions: int
    """Interventions because it ran into something."""
    stuck: int
    """Interventions because it stood still."""
    excursions: dict[float, int]
    """How often a person would have brought the car back, by its distance in metres
    from the middle of its lane. Nobody does, so each 6 s that it stays out, the time
    that NVIDIA gives a person, count once more: a lap in the wrong lane is no success.
    """

    def figures(self) -> dict[str, Any]:
        """Return every figure by name."""
        autonomy = {
            limit_m: round(autonomy_percent(count, self.rollout.elapsed_s), 2)
            for limit_m, count in self.excursions.items()
        }
        return {
            **self.rollout.measures(),
            "laps": self.laps,
            "lap_times_s": [round(time_s, 2) for time_s in self.lap_times_s],
            "clean_lap_times_s": [round(t, 2) for t in self.clean_lap_times_s],
            "off_road": self.off_road,
            "collisions": self.collisions,
            "stuck": self.stuck,
            **{f"excursions_{m:g}_m": count for m, count in self.excursions.items()},
            **{f"autonomy_{m:g}_m_percent": part for m, part in autonomy.items()},
        }


Steer = Callable[[Observation], Command]
"""What a driver does when it sees this."""


def variant_of(job: Job) -> Variant:
    """Return the road of a job in the direction in which it is driven, and its look."""
    road = make_track(job.track)
    road = road.reversed() if job.direction == "reverse" else road
    usual = SceneSettings(scenery_seed=job.seed, texture_seed=job.seed)
    return draw_variant(road, usual, job.seed, job.randomise)


def drive(
    job: Job,
    on_frame: Callable[[Observation, Command], None] | None = None,
    predict: Predict | None = None,
    on_part: Callable[[float], None] | None = None,
    change: Callable[[Steer], Steer] | None = None,
) -> LoopResult:
    """Drive until all laps are done, or it is given up.

    Args:
        job: The drive to do.
        on_frame: Is called with each observation and what the driver makes of it.
        predict: Steers in place of a model.json; job.driver is no more than its name.
        on_part: Is told after each frame which part of the drive is done, 0 to 1.
        change: Makes of the driver the one that drives, as other rules of speed do.

    Raises:
        InputError: The model cannot be loaded.
    """
    variant = variant_of(job)
    road = variant.track
    log, expert = (
        DriveLog(road.lane_offsets_m[0]),
        Expert(road, speed_mph=job.speed_mph),
    )
    most_s = job.most_s or job.laps * MOST_S_PER_LAP
    sees = bool(predict or on_frame) or is_model(job.driver)
    cameras = ("center",) if sees else ()
    way_m, name = road.length_m * job.laps, f"{job.track} {job.direction}"
    with (
        Bar(f"driving {name}", way_m, "m") as bar,
        closing(World(road, cameras=cameras, settings=variant.settings)) as world,
    ):
        steer, seen = make_driver(job, world, predict), world.reset()
        steer = change(steer) if change else steer
        while seen.lap < job.laps and seen.time_s < most_s and not log.is_enough(job):
            command = steer(seen)
            reference, _ = expert(seen)
            if on_frame is not None:
                on_frame(seen, command)
            before, seen = seen, world.step(command.steering, command.throttle)
            log.add(before, seen, command.steering, reference)
            if seen.off_road or seen.collision or seen.stuck:
                log.intervene(seen, before.frames.get("center"))
                seen = world.move_to_road()
            bar.to(seen.progress_m, f"{seen.time_s:.0f} s driven")
            if on_part is not None:
                on_part(max(seen.progress_m / way_m, seen.time_s / most_s))
    return log.result(job, name, FRAME_DT_S)


def make_driver(job: Job, world: World, predict: Predict | None = None) -> Steer:
    """Return what turns an observation into a command; `predict` as for `drive`."""
    speed_controller = SpeedController(job.speed_mph)
    if predict is None and job.driver == EXPERT:
        expert = Expert(
            world.track, speed_mph=job.speed_mph, sideways_mps2=job.sideways_mps2
        )
        return lambda seen: Command(*(float(np.clip(v, -1, 1)) for v in expert(seen)))
    if predict is None and job.driver == ZERO:
        return lambda seen: Command(
            0.0, speed_controller(seen.speed_mps / MPS_PER_MPH, FRAME_DT_S)
        )
    predict = predict or load_predictor(job.driver)
    if job.sideways_mps2 is not None:
        check_sees_bends(predict, job.driver)
    pilot = pilot_of(predict, job.speed_mph, job.sideways_mps2)
    return lambda seen: pilot(
        through_jpeg(seen.frames["center"]), seen.speed_mps / MPS_PER_MPH, FRAME_DT_S
    )


def through_jpeg(frame: np.ndarray) -> np.ndarray:
    """Return a frame as it arrives at the drive server, uint8 RGB of the same shape."""
    jpeg = np.frombuffer(encode_jpeg(frame), np.uint8)
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert decoded is not None, "our own JPEG can be decoded"
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


class DriveLog:
    """Writes a drive down, frame by frame."""

    def __init__(self, lane_m: float) -> None:
        self._lane_m = lane_m
        self._rows: list[tuple[float, ...]] = []
        self._interventions: list[Intervention] = []
        self._lap_ends_s = [0.0]
        self._causes = {"off_road": 0, "collisions": 0, "stuck": 0}
        self._excursions = dict.fromkeys(LIMITS_M, 0)
        # When the present excursion was last counted; None is inside.
        self._counted_s: dict[float, float | None] = dict.fromkeys(LIMITS_M)

    def add(
        self, before: Observation, seen: Observation, steering: float, reference: float
    ) -> None:
        """Add a frame: where the car stood, what was done, and what came of it."""
        error_m = before.cross_track_error_m - self._lane_m
        self._rows.append(
            (
                before.time_s,
                before.progress_m,
                before.x_m,
                before.y_m,
                error_m,
                -before.heading_error_rad,  # there, + is left
                steering,
                reference,
                before.speed_mps,
            )
        )
        for limit_m, counted_s in self._counted_s.items():
            if abs(error_m) > limit_m and (
                counted_s is None or before.time_s - counted_s >= INTERVENTION_S
            ):
                self._excursions[limit_m] += 1
                self._counted_s[limit_m] = before.time_s
            elif abs(error_m) < limit_m / 2:
                self._counted_s[limit_m] = None
        if seen.lap >= len(self._lap_ends_s):
            self._lap_ends_s.append(seen.time_s)

    def is_enough(self, job: Job) -> bool:
        """Return whether there were as many interventions as a job takes."""
        most = job.most_interventions
        return most is not None and len(self._interventions) >= most

    def intervene(self, seen: Observation, picture: np.ndarray | None) -> None:
        """Count an intervention after the last frame; it has one cause, the gravest."""
        if seen.collision:
            cause, reason = "collisions", f"hit: {seen.collision}"
        elif seen.off_road:
            cause, reason = "off_road", "off the road"
        else:
            cause, reason = "stuck", "stuck"
        self._causes[cause] += 1
        if len(self._interventions) >= MOST_PICTURES:
            picture = None
        self._interventions.append(Intervention(len(self._rows) - 1, reason, picture))

    def result(self, job: Job, road: str, dt_s: float) -> LoopResult:
        """Return the drive so far; each frame stands for dt_s."""
        columns = np.array(self._rows, float).reshape(-1, 9).T
        names = (
            "time_s distance_m x_m y_m cross_track_error_m heading_error_rad steering "
            "reference_steering speed_mps"
        ).split()
        rollout = Rollout(
            driver=job.driver,
            road=road,
            interventions=tuple(self._interventions),
            dt_s=np.full(len(self._rows), dt_s),
            **dict(zip(names, columns, strict=True)),
        )
        times_s = tuple(np.diff(self._lap_ends_s).tolist())
        helped_s = [rollout.time_s[each.index] for each in self._interventions]
        # Of the laps that came to their end; an intervention belongs to one of them.
        helped = set(np.searchsorted(self._lap_ends_s[1:], helped_s, "right").tolist())
        return LoopResult(
            rollout,
            laps=len(times_s),
            lap_times_s=times_s,
            clean_lap_times_s=tuple(
                t for i, t in enumerate(times_s) if i not in helped
            ),
            excursions=self._excursions,
            **self._causes,
        )


# --- Many drives ----------------------------------------------------------------------


def drive_all(
    jobs: Sequence[Job], workers: int, is_exact: bool = False
) -> Iterator[LoopResult]:
    """Drive many jobs in a pool of processes.

    One worker is this process. The results come in the order of the jobs.

    Args:
        workers: How many drive at once.
        is_exact: Whether one worker is a process of its own, too. Each of them computes
            in one thread, so that the last digits are those of any other number.

    Raises:
        InputError: A model cannot be loaded.
    """
    if not is_exact and (workers == 1 or len(jobs) == 1):
        yield from map(drive, jobs)
        return
    # A forked TensorFlow hangs; each process begins afresh.
    context = multiprocessing.get_context("spawn")
    parts = context.Array("d", len(jobs))
    with (
        Bar("driving", len(jobs), "drives") as bar,
        ProcessPoolExecutor(
            min(workers, len(jobs)), context, _prepare_worker, (parts,)
        ) as pool,
    ):
        others = set(multiprocessing.active_children())
        try:
            with deaf_to_interrupts():
                drives = [
                    pool.submit(_drive_part, job, i) for i, job in enumerate(jobs)
                ]
            for each in drives:
                while not wait([each], LOOK_EVERY_S).done:
                    bar.to(sum(parts[:]))
                yield each.result()
                bar.to(sum(parts[:]))
        except BaseException:
            # The pool would wait for the drives that are under way.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


# In a worker: which part of each job is done, by whomever.
_parts: Any = None


def _prepare_worker(parts: Any) -> None:
    """Keep a worker's TensorFlow and OpenCV to one core of the many."""
    global _parts
    _parts = parts
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)


def _drive_part(job: Job, number: int) -> LoopResult:
    """Drive in a worker, and say all the time how far it is."""

    def tell(part: float) -> None:
        _parts[number] = min(1.0, part)

    result = drive(job, on_part=tell)
    tell(1.0)
    return result
