"""Rows: those that cannot be used are excluded softly and named."""

import hashlib
import shutil

import numpy as np
from made_recordings import damage_image, write_recording

from recordings.recording import read_recording, usable_samples


def folder_digest(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def test_faulty_rows_are_excluded_softly_and_named(tiny_recording):
    images = tiny_recording / "IMG"
    center = sorted(images.glob("center_*"))
    damage_image(center[3], "empty")
    damage_image(center[4], "cut")
    center[5].write_bytes(b"\xff\xd8 no picture \xff\xd9")
    center[6].unlink()
    shutil.copy(center[8], center[9])
    damage_image(sorted(images.glob("left_*"))[10], "cut")
    log = tiny_recording / "driving_log.csv"
    rows = log.read_text().splitlines()
    rows[20] = rows[20].rsplit(",", 4)[0] + ",3.5,0,0,20"
    rows[21] = rows[21].rsplit(",", 1)[0] + ",0.2"
    rows[30:34] = [
        f"{row.rsplit(',', 3)[0]},0,1,{2 + i}" for i, row in enumerate(rows[30:34])
    ]
    rows.append(rows[40])
    rows.append(rows[41].rsplit(",", 4)[0] + ",nan,0,0,20")
    log.write_text("\n".join(rows) + "\n")
    before = folder_digest(tiny_recording)
    recording = read_recording(tiny_recording)
    assert recording.excluded == {
        "bad-number": 1,
        "duplicate-row": 1,
        "empty-image": 1,
        "missing-image": 1,
        "reversing": 3,
        "stale-frame": 1,
        "standing": 1,
        "steering-out-of-range": 1,
        "truncated-image": 1,
        "unreadable-image": 1,
    }
    said = " ".join(recording.warnings)
    assert "1 rows have no good left image" in said
    assert "up to 3.5, expected [-1, 1]; was it logged in degrees?" in said
    assert folder_digest(tiny_recording) == before
    assert len(usable_samples([recording])) == len(recording.samples) - 10


def test_gap_and_step_back_in_time_start_sessions(tmp_path):
    folder = write_recording(tmp_path / "a", np.zeros(30))
    log = folder / "driving_log.csv"
    rows = log.read_text().splitlines()
    log.write_text("\n".join(rows[20:] + rows[:5] + rows[18:20]) + "\n")
    samples = read_recording(folder).samples
    assert list(samples["session"]) == [0] * 10 + [1] * 5 + [2] * 2


def test_shuffled_log_is_named(tiny_recording, rng):
    log = tiny_recording / "driving_log.csv"
    rows = log.read_text().splitlines()
    log.write_text("\n".join(rng.permutation(rows)) + "\n")
    assert "is the log shuffled?" in " ".join(read_recording(tiny_recording).warnings)
    log.write_text("\n".join([*rows[40:], *rows[20:40], *rows[:20]]) + "\n")
    assert not read_recording(tiny_recording).warnings


def test_log_without_speeds_is_used(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    log.write_text(log.read_text().replace(",20.0\n", ",0\n"))
    recording = read_recording(tiny_recording)
    assert not recording.excluded
    assert "every speed is 0" in recording.warnings[0]
