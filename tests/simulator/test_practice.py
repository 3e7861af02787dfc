"""Recordings of many roads: side by side, gone on with, and what they say of them."""

import json
import shutil
from dataclasses import replace

import pytest

from recordings.recording import read_recording
from simulator.errors import Refusal
from simulator.practice import RecordJob, is_recorded, record_all


def jobs_in(folder, numbers, **changes):
    return [
        RecordJob(
            folder / f"random_{n}",
            f"random:{n}",
            seed=n,
            num_rows=6,
            lane_m=0.0,
            randomise=1.0,
            **changes,
        )
        for n in numbers
    ]


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_several_at_a_time_give_the_bytes_of_one_after_the_other(tmp_path):
    found = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        jobs = jobs_in(folder, (1, 2, 3))
        done = list(record_all(jobs, workers))
        assert [(job.folder.name, rows) for job, rows in done] == [
            ("random_1", 6),
            ("random_2", 6),
            ("random_3", 6),
        ]
        found[workers] = contents(folder)
    assert found[1] == found[2]
    assert len(read_recording(tmp_path / "1" / "random_2").samples) == 6


def test_what_is_there_is_left_and_the_rest_is_made(tmp_path):
    list(record_all(jobs_in(tmp_path, (1, 2)), 1))
    before = contents(tmp_path)
    shutil.rmtree(tmp_path / "random_1")
    made = [job.track for job, _ in record_all(jobs_in(tmp_path, (1, 2, 3)), 1)]
    assert made == ["random:1", "random:3"]
    after = contents(tmp_path)
    assert before.items() <= after.items()


def test_another_recording_of_that_name_is_refused(tmp_path):
    (job,) = jobs_in(tmp_path, (1,))
    list(record_all([job], 1))
    assert is_recorded(job)
    with pytest.raises(Refusal, match="not what would be recorded"):
        is_recorded(replace(job, noise=0.1))


def test_the_folder_says_what_was_drawn(tmp_path):
    (job,) = jobs_in(tmp_path, (4,))
    list(record_all([job], 1))
    facts = json.loads((job.folder / "simulator.json").read_text())
    (variant,) = job.variants()
    assert facts["track"] == "random:4" and facts["randomise"] == 1.0
    (drawn,) = facts["variant"]
    assert drawn["half_width_m"] == variant.track.half_width_m
    assert drawn["settings"]["paint"]["grain"] == variant.settings.paint.grain


def test_a_road_that_cannot_be_driven_leaves_the_others(tmp_path):
    jobs = jobs_in(tmp_path, (1, 2))
    jobs[0] = replace(jobs[0], lane_m=5.9)
    (_, why), (_, rows) = record_all(jobs, 1)
    assert "expected a lane on the road" in why and rows == 6
    assert not jobs[0].folder.exists()
