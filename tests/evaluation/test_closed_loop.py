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
from network.files import save_model
from simulator.practice import RecordJob
from simulator.scenery import SceneSettings


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
    result = drive(Job(model_path, "lake", most_interventions=MOST_PICTURES + 1))
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
