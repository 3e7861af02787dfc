"""Batches of cached, re-projected, augmented views, and the steering to teach for them.

Every number of a batch follows from (seed, epoch, batch), so a run that was killed and
resumed sees exactly the batches of an unbroken one, whichever thread makes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from augment import NUM_DRAWS, Parameters, apply, flip, recolour, sample_parameters
from common.car import CAMERAS
from recordings.reproject import (
    SIDE_CAMERA_M,
    nearest_camera,
    recovery_steering,
    reproject,
)
from recordings.steering import side_camera_steering
from training.samples import TrainingSet
from training.settings import Settings

# A person keeps to one side of the road. In a mirrored frame the car stands as far on
# the other side of the middle, and that person would steer back by twice as much: a
# number for each recording, learnt beside the network (epochs.with_habits). Adam moves
# every weight alike; in this unit it finds a metre in 100 steps.
HABIT_UNIT_M = 10.0
# Farther from its path than this, a re-projected frame is not to be trusted.
MOST_OFFSET_M = 2.0

# So many batches are made before they are wanted.
NUM_AHEAD = 4

Batch = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]


class Batches:
    """The batches of one epoch, from 0, drawn at random with replacement.

    Args:
        share: The samples of each batch to make, while other workers make the others;
            None makes all.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        settings: Settings,
        epoch: int,
        num_batches: int,
        share: slice | None = None,
    ) -> None:
        self.training_set = training_set
        self.settings = settings
        self.epoch = epoch
        self._length = num_batches
        self._share = share or slice(0, settings.batch_size)
        self._recording = np.searchsorted(
            training_set.recordings, training_set.recording.astype(str)
        )
        self._num_recordings = len(training_set.recordings)
        # Generator.choice would sum the weights up again for every batch.
        self._cumulative = np.cumsum(training_set.weights)
        self._cumulative /= self._cumulative[-1]
        # Mirroring is drawn here, for what it tells of the driver's habit.
        augment = replace(settings.augment, flip=0.0)
        if settings.recovery == "reproject":
            # Re-projection shifts the view itself, and knows the steering for it.
            augment = replace(augment, shift_right=0.0)
        self._augment = augment

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, batch: int) -> Batch:
        """Return views and what mirroring does to habits, and what to teach.

        uint8 (n, 66, 200, 3) and float32 (n, recordings), and what TrainingSet.taught
        returns: float32 (n, 1), or (n, 2); n is the size of the share.
        """
        rng, rows = self._draw(batch)
        make = self._reprojected
        if self.settings.recovery == "shift":
            make = self._from_side_cameras
        views, mirrored, steering = make(rows, rng)
        habit = self._habit(rows[self._share], mirrored)
        return (views, habit), self.training_set.taught(rows[self._share], steering)

    def _reprojected(
        self, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return views from beside the path, which are mirrored, and the steering."""
        places = draw_places(len(rows), self.settings, rng)[:, self._share]
        mirrored, drawn = self._draw_changes(len(rows), rng)
        height = self.training_set.cache.geometry.height
        down_px = np.array([round(p.shift_down * height) for p in drawn])
        views, steering = reprojected(
            self.training_set,
            rows[self._share],
            places,
            self.settings,
            mirrored=mirrored,
            down_px=down_px,
        )
        for i, parameters in enumerate(drawn):
            views[i] = recolour(views[i], parameters)
        return views, mirrored, np.where(mirrored, -steering, steering)

    def _draw_changes(
        self, num: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Parameters]]:
        """Draw which views of the share are mirrored, and what else they undergo."""
        share = self._share
        mirrored = (rng.random(num) < self.settings.augment.flip)[share]
        # What the frames before the share undergo is drawn, so that ours is the same.
        rng.random((share.start, NUM_DRAWS))
        return mirrored, sample_parameters(self._augment, rng, len(mirrored))

    def _habit(self, rows: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Return what each recording's habit, in HABIT_UNIT_M, adds to the steering."""
        habit = np.zeros((len(rows), self._num_recordings), np.float32)
        per_m = back_per_m(self.training_set.speed_mps[rows], self.settings)
        added = 2 * HABIT_UNIT_M * per_m * mirrored
        habit[np.arange(len(rows)), self._recording[rows]] = added
        return habit

    def rows_of(self, batch: int) -> list[int]:
        """Return the rows of the training set that a batch is made from."""
        return self._draw(batch)[1].tolist()

    def _draw(self, batch: int) -> tuple[np.random.Generator, np.ndarray]:
        rng = np.random.default_rng([self.settings.seed, self.epoch, batch])
        drawn = rng.random(self.settings.batch_size)
        return rng, self._cumulative.searchsorted(drawn, side="right")

    def _from_side_cameras(
        self, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take some frames from the side cameras, with a fixed correction; shift all.

        Returns:
            What _reprojected does.
        """
        training_set, settings = self.training_set, self.settings
        from_side = rng.random(len(rows)) < settings.side_camera_share
        cameras = np.where(from_side, rng.integers(1, 3, len(rows)), 0)
        mirrored, drawn = self._draw_changes(len(rows), rng)
        rows, cameras = rows[self._share], cameras[self._share]
        cameras[training_set.positions[rows, cameras] < 0] = 0
        steering = training_set.steering[rows].copy()
        for side in (1, 2):
            of_side = cameras == side
            steering[of_side] = side_camera_steering(
                steering[of_side], CAMERAS[side], settings.side_camera_correction
            )
        views = training_set.cache.gather(training_set.positions[rows, cameras])
        for i, parameters in enumerate(drawn):
            view, taught = views[i], float(steering[i])
            if mirrored[i]:
                view, taught = flip(view, taught)
            views[i], steering[i] = apply(view, taught, parameters)
        return views, mirrored, steering


def prefetched(batches: Batches) -> Generator[Batch, None, None]:
    """Yield every batch; the next ones are made while it is trained on."""
    # One thread: it takes a tenth of the time of a step, and two would take both cores
    # from that at times.
    with ThreadPoolExecutor(1) as pool:
        coming = deque(
            pool.submit(batches.__getitem__, batch)
            for batch in range(min(NUM_AHEAD, len(batches)))
        )
        try:
            for following in range(NUM_AHEAD, len(batches) + NUM_AHEAD):
                if not coming:
                    break
                batch = coming.popleft().result()
                if following < len(batches):
                    coming.append(pool.submit(batches.__getitem__, following))
                yield batch
        finally:
            for each in coming:
                each.cancel()


def back_per_m(speed_mps: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the steering taught for each metre to the right of the path, (n,)."""
    if settings.recovery == "shift":
        return np.full(len(speed_mps), -settings.side_camera_correction / SIDE_CAMERA_M)
    zero = np.zeros(len(speed_mps))
    # A small step: farther off the steering is no longer in proportion.
    back = recovery_steering(zero, zero + 0.1, zero, speed_mps, settings.look_ahead_s)
    return back / 0.1


def draw_places(num: int, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """Draw where cars stand: metres and radians to the right of the path, (2, num)."""
    heading_std_rad = np.radians(settings.heading_std_deg)
    return np.stack(
        [rng.normal(0, std, num) for std in (settings.offset_std_m, heading_std_rad)]
    )


def reprojected(
    training_set: TrainingSet,
    rows: np.ndarray,
    places: np.ndarray,
    settings: Settings,
    **then: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Move the car beside its path, and steer back as pure pursuit does.

    Args:
        rows: Rows of the training set, int (n,).
        places: Where the car stands, what draw_places returns for n.
        then: What else reproject is to do to the views.

    Returns:
        Views, uint8 (n, 66, 200, 3), and the steering to teach, float64 (n,), as
        before any mirroring.
    """
    cross_track_error_m, heading_error_rad = places
    # Without side cameras the picture bears less: see recordings/reproject.py.
    has_sides = (training_set.positions[rows] >= 0).all(axis=1)
    most_m = np.where(has_sides, MOST_OFFSET_M, MOST_OFFSET_M / 2)
    cross_track_error_m = np.clip(cross_track_error_m, -most_m, most_m)
    cameras, rest_m = nearest_camera(cross_track_error_m)
    cameras = np.where(has_sides, cameras, 0)
    rest_m = np.where(has_sides, rest_m, cross_track_error_m)
    views = training_set.cache.gather(training_set.positions[rows, cameras])
    steering = recovery_steering(
        training_set.steering[rows],
        cross_track_error_m,
        heading_error_rad,
        training_set.speed_mps[rows],
        settings.look_ahead_s,
    )
    geometry = training_set.cache.geometry
    return reproject(views, rest_m, heading_error_rad, geometry, **then), steering
