"""The film of a drive: its frames, its bars, and that it appears whole."""

import cv2
import numpy as np
import pytest
from made_recordings import write_recording

from common.errors import InputError
from evaluation.closed_loop import Job, drive
from evaluation.video import (
    DRIVER,
    draw_frame,
    film_drive,
    film_recording,
    open_film,
)
from recordings.recording import read_recording, usable_samples


def test_a_drive_is_filmed_frame_by_frame_and_is_the_same_drive(tmp_path):
    job = Job("expert", "jungle", most_s=3)
    result = film_drive(job, tmp_path / "drive.mp4", lambda frame: frame[:, :, 0] / 255)
    film = cv2.VideoCapture(str(tmp_path / "drive.mp4"))
    codec = int(film.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert (codec, film.get(cv2.CAP_PROP_FPS)) == (b"h264", 15.0)
    frames = []
    while (read := film.read())[0]:
        frames.append(read[1])
    film.release()
    assert frames[0].shape == (400, 640, 3)
    assert len(frames) == len(result.rollout.time_s)
    assert not np.array_equal(frames[0], frames[-1])
    assert result.figures() == drive(job).figures()


@pytest.mark.parametrize(("steering", "side"), [(0.5, 1), (-0.5, -1)])
def test_the_bar_points_to_where_is_steered(steering, side):
    bars = (("driver", steering), ("expert", 0.0))
    picture = draw_frame(np.zeros((160, 320, 3), np.uint8), bars, "")
    bar = np.all(picture[334:338] == DRIVER, axis=2).any(axis=0)
    columns = np.flatnonzero(bar[160:480]) + 160
    assert (np.sign(columns - 320) == side).mean() > 0.95
    assert np.ptp(columns) == pytest.approx(80, abs=2)


def test_a_recording_is_filmed_with_what_a_model_makes_of_it(tmp_path):
    folder = write_recording(tmp_path / "a", np.linspace(-0.3, 0.3, 40), 1 / 12)
    samples = usable_samples([read_recording(folder)])
    asked = []

    def predict(frames):
        asked.append(len(frames))
        return np.full((len(frames), 1), 0.5)

    film_recording(samples, predict, tmp_path / "run.mp4")
    assert sum(asked) == 40
    film = cv2.VideoCapture(str(tmp_path / "run.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(12, abs=0.2)
    frames = []
    while (read := film.read())[0]:
        frames.append(read[1])
    film.release()
    assert len(frames) == 40
    # The driver's bar stands still at the right; the recorded one goes along.
    for frame in frames:
        _, green, red = np.moveaxis(frame[336, 200:440].astype(int), 1, 0)
        assert np.ptp(np.flatnonzero(green - red > 60)) == pytest.approx(80, abs=4)
    ends = []
    for frame in (frames[0], frames[-1]):
        blue, _, red = np.moveaxis(frame[358, 200:440].astype(int), 1, 0)
        ends.append(np.flatnonzero(red - blue > 90).mean())
    assert ends[0] < 120 < ends[1]


@pytest.mark.parametrize("name", ["a.avi", "there.mp4"])
def test_a_film_that_cannot_be_written_is_refused(tmp_path, name):
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"expected a name|exists"):
        film_drive(Job("expert", "lake", most_s=1), tmp_path / name)
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_a_minute_of_whatever_is_filmed_is_small_enough_to_send(tmp_path, rng):
    """Noise is the worst that a film can be made of; roads take two thirds of it."""
    with open_film(tmp_path / "noise.mp4", 15.0) as film:
        for _ in range(300):
            film.add(rng.integers(0, 256, (400, 640, 3), dtype=np.uint8))
    minutes = 300 / 15.0 / 60
    assert (tmp_path / "noise.mp4").stat().st_size / minutes < 8e6
