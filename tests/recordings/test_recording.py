"""Recordings: read whole, told apart, each given once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording

from common.errors import InputError
from recordings.recording import read_recording, usable_samples

ROOT = Path(__file__).resolve().parents[2]


def test_fingerprint_follows_log_and_images(tiny_recording):
    first = read_recording(tiny_recording).fingerprint
    assert read_recording(tiny_recording).fingerprint == first
    center = sorted((tiny_recording / "IMG").glob("center_*"))
    shutil.copy(center[0], center[1])
    second = read_recording(tiny_recording).fingerprint
    log = tiny_recording / "driving_log.csv"
    log.write_text(log.read_text().replace("0.5,0,20", "0.4,0,20"))
    assert len({first, second, read_recording(tiny_recording).fingerprint}) == 3


def test_same_recording_twice_is_refused(tiny_recording, tmp_path):
    shutil.copytree(tiny_recording, tmp_path / "copy")
    both = [read_recording(tiny_recording), read_recording(tmp_path / "copy")]
    with pytest.raises(InputError, match="the same recording as"):
        usable_samples(both)


def test_recordings_of_one_name_keep_names_of_their_own(tmp_path):
    folders = [tmp_path / "lake-2", tmp_path / "a" / "lake", tmp_path / "b" / "lake"]
    for i, folder in enumerate(folders):
        folder.parent.mkdir(exist_ok=True)
        write_recording(folder, np.full(20, i / 10))
    samples = usable_samples([read_recording(folder) for folder in folders])
    assert samples["recording"].nunique() == 3


def test_sample_that_comes_with_the_project_is_a_whole_recording():
    recording = read_recording(ROOT / "data" / "sample")
    assert len(usable_samples([recording])) == 16 and not recording.warnings
    assert recording.cameras == ("center", "left", "right")
    assert (np.diff(recording.samples["time_s"]) < 0.07).all()
