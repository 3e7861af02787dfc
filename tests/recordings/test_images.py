"""Images: found by their names, wherever a recording was moved."""

import os
from pathlib import Path

from recordings.recording import read_recording


def test_images_are_found_by_name_wherever_the_log_says_they_were(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    windows = log.read_text().replace("IMG/", "C:\\Users\\Roe, Anna\\IMG\\")
    log.write_text(windows.replace(".jpg", ".JPG"))
    recording = read_recording(tiny_recording)
    assert not recording.excluded
    assert Path(recording.samples["left"].iloc[0]).parent == tiny_recording / "IMG"


def test_folder_beside_the_log_that_may_not_be_read_is_passed_over(
    tiny_recording, monkeypatch
):
    (tiny_recording / "private").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "private":
            raise PermissionError
        return scandir(path)

    # The mode bits of a folder do not bind root, who may run the tests.
    monkeypatch.setattr("recordings.images.os.scandir", refuse)
    assert not read_recording(tiny_recording).excluded


def test_link_to_nowhere_and_folder_named_as_an_image_are_missing(tiny_recording):
    center = sorted((tiny_recording / "IMG").glob("center_*"))
    for path in center[:2]:
        path.unlink()
    center[0].symlink_to(tiny_recording / "none.jpg")
    center[1].mkdir()
    assert read_recording(tiny_recording).excluded == {"missing-image": 2}


def test_links_in_a_circle_cost_their_images_only(tiny_recording):
    circle = min((tiny_recording / "IMG").glob("center_*"))
    circle.unlink()
    for link in (circle, tiny_recording / "circle"):
        link.symlink_to(link.name)
    (tiny_recording / "again").symlink_to(".")
    assert read_recording(tiny_recording).excluded == {"missing-image": 1}
