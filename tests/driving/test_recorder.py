"""A drive that is written as a recording, whatever happens to it."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from running_drive import next_event, serving, telemetry

from driving.pilot import Command
from driving.recorder import DriveRecorder
from recordings.recording import read_recording

ROOT = Path(__file__).resolve().parents[2]


def test_recorder_writes_what_was_driven(tmp_path, jpeg):
    recorder = DriveRecorder(tmp_path / "run")
    for i in range(30):
        recorder.add(jpeg + bytes([i]), 12.5, Command(0.01 * i, -0.5))
        recorder.add(jpeg + bytes([i]), 12.5, Command(0.9, -0.5))
    recorder.close()
    samples = read_recording(tmp_path / "run", check_images=False).samples
    # The simulator's two frames in flight show one picture, which is written once.
    np.testing.assert_allclose(samples["steering"], 0.01 * np.arange(30), atol=1e-6)
    assert set(samples["brake"]) == {0.5} and set(samples["speed_mph"]) == {12.5}
    assert len(list((tmp_path / "run" / "IMG").glob("*.jpg"))) == 30


def test_only_the_simulator_that_drives_is_recorded(tmp_path, jpeg):
    recorder = DriveRecorder(tmp_path / "run")
    with (
        serving(recorder=recorder) as running,
        running.simulator() as first,
        running.simulator() as second,
    ):
        for i in range(20):
            for client, speed in ((first, "3.0000"), (second, "7.0000")):
                frame = jpeg + f"{i} {speed}".encode()
                client.send(telemetry(frame, speed=speed))
                next_event(client)
    recorder.close()
    samples = read_recording(tmp_path / "run", check_images=False).samples
    assert list(samples["speed_mph"]) == [3.0] * 20


def test_drive_goes_on_when_the_disk_fails(tmp_path, jpeg, caplog):
    recorder = DriveRecorder(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "IMG")
    for i in range(5000):  # More than may wait.
        recorder.add(i.to_bytes(4, "big"), 12.5, Command(0.0, 0.0))
    recorder.close()
    assert recorder.written == 0
    said = [r for r in caplog.records if "recording stops" in r.message]
    assert len(said) == 1


RECORD_FOR_EVER = """
import sys
from pathlib import Path
from driving.recorder import DriveRecorder
from driving.pilot import Command
recorder = DriveRecorder(Path(sys.argv[1]))
jpeg = Path(sys.argv[2]).read_bytes()
for i in range(1_000_000):
    recorder.add(jpeg + i.to_bytes(4, "big"), 10.0, Command(0.5, 0.1))
"""


def test_killed_recording_is_whole_up_to_its_last_row(tmp_path, jpeg):
    (tmp_path / "frame.jpg").write_bytes(jpeg)
    log = tmp_path / "run" / "driving_log.csv"
    command = [
        sys.executable,
        "-c",
        RECORD_FOR_EVER,
        log.parent,
        tmp_path / "frame.jpg",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not log.exists() or log.stat().st_size < 5000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    samples = read_recording(log.parent, check_images=False).samples
    assert len(samples) >= 50 and set(samples["steering"]) == {0.5}
    assert {Path(p).stat().st_size for p in samples["center"]} == {len(jpeg) + 4}
