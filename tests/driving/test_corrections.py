"""What a person shows at the wheel is written, and nothing else is."""

import logging
import time
from pathlib import Path

import pytest
from running_drive import STEERING, Drive, held, say, serving, state_of

from common.errors import InputError
from drive import train_command
from driving.corrections import Corrections
from recordings.recording import read_recording


def test_corrections_hold_the_persons_frames_and_those_before_apart(tmp_path, jpegs):
    corrections = Corrections(tmp_path / "taught")
    by_person, before = {}, []
    with (
        serving(corrections=corrections) as running,
        running.simulator() as client,
        running.page() as page,
    ):
        car = Drive(client, jpegs)
        for steering in (-0.5, 0.75):
            model = [car.steering() for _ in range(10)]
            assert model == [STEERING] * 10
            before += car.sent[-10:]
            with held(page, steering):
                while len(by_person) < 20 * (1 + (steering > 0)):
                    told = car.steering()
                    if told == steering:
                        by_person[car.sent[-1]] = steering
                    else:
                        before.append(car.sent[-1])
            say(page, "release")
            car.until(STEERING)
            time.sleep(1.1)  # What is older than a second is not kept.
        state = state_of(page, lambda s: s["interventions"] == 2)
        taught = {"folder": str(tmp_path / "taught"), "frames": len(by_person)}
        assert state["corrections"] == taught
    corrections.close()
    assert images_of(tmp_path / "taught") == by_person
    assert images_of(tmp_path / "taught-before") == dict.fromkeys(before, STEERING)


def images_of(folder):
    """Return the steering of each image of a recording, as dataset.py reads it."""
    samples = read_recording(folder, check_images=False).samples
    found = {}
    for path, steering in zip(samples["center"], samples["steering"], strict=True):
        found[Path(path).read_bytes()] = steering
    return found


def test_corrections_leave_no_folder_when_nobody_takes_the_wheel(tmp_path, jpegs):
    corrections = Corrections(tmp_path / "taught")
    with serving(corrections=corrections) as running, running.simulator() as client:
        Drive(client, jpegs).frame()
    corrections.close()
    assert corrections.is_empty and not list(tmp_path.iterdir())
    assert train_command(tmp_path / "m" / "model.json", corrections) == ""


@pytest.mark.parametrize("name", ["taught", "taught-before"])
def test_corrections_are_never_written_over(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="give another folder to --corrections"):
        Corrections(tmp_path / "taught")


def test_the_car_is_driven_by_the_person_when_the_disk_fails(tmp_path, jpegs, caplog):
    (tmp_path / "file").touch()
    corrections = Corrections(tmp_path / "file" / "taught")
    with (
        serving(corrections=corrections) as running,
        running.simulator() as client,
        running.page() as page,
        held(page, -0.5),
    ):
        car = Drive(client, jpegs)
        car.until(-0.5)
        assert running.server.report.faults == 0
    said = [r for r in caplog.records if "corrections are not written" in r.message]
    assert len(said) == 2 and said[0].levelno == logging.ERROR  # each folder once
