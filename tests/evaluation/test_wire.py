"""Driving over the socket of a running server, with a film and the usual figures."""

import socket

import cv2
import numpy as np
import pytest
from running_drive import Running

from common.errors import InputError
from evaluation.closed_loop import Job, drive
from evaluation.wire import drive_over_wire


@pytest.fixture
def server():
    running = Running(lambda frame: 0.0, target_mph=25.0)
    yield running
    running.stop()


def test_a_drive_over_the_wire_goes_where_one_in_process_does(server, tmp_path):
    seen = []
    url, film_path = f"http://{server.host}", tmp_path / "film.mp4"
    job = Job("zero", "lake", most_s=4.0)
    result = drive_over_wire(job, url, film_path, seen.append)
    here = drive(job)
    figures = result.figures()
    assert len(seen) == figures["frames"] == here.figures()["frames"] == 60
    assert cv2.VideoCapture(str(film_path)).get(cv2.CAP_PROP_FRAME_COUNT) == 60
    assert np.all(result.rollout.steering == 0)
    # A command comes a frame later there: at 11 m/s that is 0.75 m of the way.
    for name in ("x_m", "y_m"):
        away_m = getattr(result.rollout, name) - getattr(here.rollout, name)
        assert np.abs(away_m).max() < 1.5


def test_without_a_server_it_is_one_line_and_there_is_no_film(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
    # It waits a minute for one that has not begun to listen yet.
    clock = iter(range(0, 10_000, 50))
    monkeypatch.setattr("simulator.client.time.monotonic", lambda: float(next(clock)))
    with pytest.raises(InputError, match="no drive server at http"):
        drive_over_wire(Job("zero", "lake", most_s=1.0), url, tmp_path / "a.mp4", print)
    assert not list(tmp_path.iterdir())
