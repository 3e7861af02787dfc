"""Driving the embedded simulator in process: who drives, what counts, in a pool."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError
from evaluation import closed_loop
from evaluation.closed_loop import Job, drive, drive_all, through_jpeg, variant_of
from evaluation.rollout import MOST_PICTURES
from model import build_model
from network.answer import Answer
from network.files import save_model
from recordings.bends import HORIZON_M, counted
from simulator.expert import Expert
from simulator.practice import RecordJob
from simulator.scenery import SceneSettings
from simulator.tracks import make_track


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    """An untrained model: it drives badly, but always the same."""
    import keras

    keras.utils.set_random_seed(3)
    return str(save_model(build_model(), tmp_path_factory.mktemp("model")))


def same(a, b):
    arrays = [
        field.name
        for field in dataclasses.fields(a.rollout)
        if isinstance(getattr(a.rollout, field.name), np.ndarray)
    ]
    for name in arrays:
        np.testing.assert_array_equal(
            getattr(a.rollout, name), getattr(b.rollout, name)
        )
    assert a.figures() == b.figures()


def test_the_expert_needs_nobody_on_the_lake():
    result = drive(Job("expert", "lake"))
    figures = result.figures()
    assert (result.laps, figures["interventions"]) == (1, 0)
    assert figures["autonomy_percent"] == figures["autonomy_1_m_percent"] == 100
    assert figures["rms_cross_track_error_m"] < 0.2
    assert result.lap_times_s[0] == pytest.approx(result.rollout.elapsed_s)
    assert result.rollout.distance_m[-1] == pytest.approx(1130, abs=15)


def test_who_never_steers_is_put_back_again_and_again():
    result = drive(Job("zero", "lake", most_s=60))
    assert result.off_road + result.collisions >= 5
    assert result.figures()["autonomy_percent"] < 60
    reasons = {each.reason for each in result.rollout.interventions}
    assert reasons <= {"off the road"} | {r for r in reasons if r.startswith("hit: ")}


def test_a_job_gives_the_same_drive_here_and_in_a_pool(model_path):
    jobs = [
        Job(model_path, "lake", most_s=4),
        Job(model_path, "jungle", "reverse", most_s=4, seed=5),
    ]
    here = list(drive_all(jobs, workers=1))
    pooled = list(drive_all(jobs, workers=2))
    for a, b in zip(here, pooled, strict=True):
        same(a, b)
    assert [each.rollout.road for each in pooled] == ["lake forward", "jungle reverse"]


def test_a_drive_is_given_up_after_so_many_interventions():
    result = drive(Job("zero", "lake", most_interventions=3))
    assert len(result.rollout.interventions) == 3 and result.laps == 0


def test_the_first_interventions_keep_what_the_network_last_saw(model_path):
    result = drive(Job(model_path, "jungle", most_interventions=MOST_PICTURES + 1))
    *first, last = result.rollout.interventions
    assert len(first) == MOST_PICTURES and last.picture is None
    for each in first:
        assert each.picture.shape == (160, 320, 3) and each.picture.std() > 5


def excursions_of(errors_m):
    """Log one frame a second at these errors; return the excursions by limit."""
    log = closed_loop.DriveLog(lane_m=0.0)
    for time_s, error_m in enumerate(errors_m):
        seen = SimpleNamespace(
            time_s=float(time_s),
            progress_m=0.0,
            x_m=0.0,
            y_m=0.0,
            cross_track_error_m=error_m,
            heading_error_rad=0.0,
            speed_mps=10.0,
            lap=0,
        )
        log.add(seen, seen, 0.0, 0.0)
    return log.result(Job("zero", "lake"), "lake", 1.0).excursions


def test_excursions_count_once_until_the_car_is_back():
    assert excursions_of([0.0, 1.2, 0.9, 1.2, 0.8, 0.0]) == {1.0: 1, 2.0: 0}
    assert excursions_of([0.0, 1.2, 0.4, -2.5, 0.4, 1.2]) == {1.0: 3, 2.0: 1}


def test_a_car_that_stays_out_is_never_called_autonomous():
    """A person takes 6 s to bring it back, so every 6 s count once more."""
    assert excursions_of([3.0] * 60) == {1.0: 10, 2.0: 10}
    figures = drive(Job("zero", "lake", most_s=30)).figures()
    assert figures["excursions_1_m"] >= figures["excursions_2_m"] >= 1


def test_the_frame_goes_through_the_wires_jpeg(rng):
    frame = np.full((160, 320, 3), (200, 120, 40), np.uint8)
    frame[80:] = (60, 60, 60)
    seen = through_jpeg(frame)
    assert seen.shape == frame.shape and not np.array_equal(seen, frame)
    assert np.abs(seen.astype(int) - frame).mean() < 2


def laps_of(frames):
    """Log frames of (time, lap, helped after it); return the result."""
    log = closed_loop.DriveLog(lane_m=0.0)
    at = {"progress_m": 0.0, "x_m": 0.0, "y_m": 0.0, "cross_track_error_m": 0.0}
    at |= {"heading_error_rad": 0.0, "speed_mps": 10.0, "collision": "", "stuck": True}
    for time_s, lap, is_helped in frames:
        seen = SimpleNamespace(time_s=time_s, lap=lap, off_road=False, **at)
        log.add(seen, seen, 0.0, 0.0)
        if is_helped:
            log.intervene(seen, None)
    return log.result(Job("zero", "lake"), "lake", 1.0)


def test_only_laps_without_help_are_clean():
    result = laps_of(
        [(5.0, 0, False), (10.0, 1, False), (14.0, 1, True), (25.0, 2, False)]
        + [(30.0, 2, False), (38.0, 3, False), (40.0, 3, True)]
    )
    assert result.lap_times_s == (10.0, 15.0, 13.0)
    assert result.clean_lap_times_s == (10.0, 13.0)
    assert result.figures()["clean_lap_times_s"] == [10.0, 13.0]


class Sight:
    """A model that sees perfectly what is told it of each observation."""

    def __init__(self, track):
        self.expert, self.seen = Expert(track), None
        steps = range(int(HORIZON_M / track.spacing_m) + 1)
        curvature = np.abs(track.curvature_per_m)
        ahead = (counted(np.roll(curvature, -i), i * track.spacing_m) for i in steps)
        self.bends, self.spacing_m = np.max(list(ahead), axis=0), track.spacing_m

    def __call__(self, frame):
        if self.seen is None:  # It is asked once, before it drives, what it tells.
            return Answer(0.0, 0.0)
        place = int(self.seen.station_m / self.spacing_m) % len(self.bends)
        return Answer(self.expert(self.seen).steering, float(self.bends[place]))


def test_a_planned_speed_is_that_of_the_expert_with_the_same_limits():
    track = make_track("lake")
    sight = Sight(track)
    job = Job("sight", "lake", speed_mph=30.0, sideways_mps2=2.0, most_s=40)

    def change(steer):
        def steer_by_sight(seen):
            sight.seen = seen
            return steer(seen)

        return steer_by_sight

    model = drive(job, predict=sight, change=change).rollout
    expert = drive(replace(job, driver="expert")).rollout
    assert not model.interventions and not expert.interventions
    assert model.distance_m[-1] == pytest.approx(expert.distance_m[-1], rel=0.06)
    assert np.percentile(model.sideways_mps2(), 95) < 2.6
    fast = drive(replace(job, driver="expert", sideways_mps2=None)).rollout
    assert fast.distance_m[-1] > 1.02 * expert.distance_m[-1]


def test_a_model_of_steering_alone_has_no_planned_speed(model_path):
    with pytest.raises(InputError, match="it has no output for bends"):
        drive(Job(model_path, "lake", speed_mph=30.0, sideways_mps2=4.0))


def test_an_unknown_track_is_named():
    with pytest.raises(InputError, match=r"--track monza: .*lake"):
        drive(Job("zero", "monza"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"direction": "up"}, "direction is up"),
        ({"laps": 0}, "laps is 0"),
        ({"most_interventions": 0}, "most_interventions is 0, expected 1 or more"),
        ({"speed_mph": 80.0}, r"speed_mph is 80\.0, expected 3 to 30"),
        ({"sideways_mps2": 9.0}, r"--sideways-mps2 is 9, expected 0\.5 to 8"),
    ],
)
def test_jobs_that_cannot_be_driven_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        Job("zero", "lake", **change)


def test_a_road_drawn_anew_is_driven_as_it_is_recorded():
    """simulate.py record --randomise and evaluate.py --randomise name the same road."""
    usual = SceneSettings(scenery_seed=7, texture_seed=7)
    job = Job("expert", "random:7", seed=7, randomise=1.0)
    recording = RecordJob(Path("nowhere"), "random:7", "forward", usual, 1.0, seed=7)
    (recorded,) = recording.variants()
    assert variant_of(job).settings == recorded.settings
    assert variant_of(job).track.half_width_m == recorded.track.half_width_m
    assert variant_of(replace(job, randomise=0.0)).settings == usual
