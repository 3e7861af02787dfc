"""The same frames in two recordings: each is used once, and it is said."""

import shutil

import numpy as np
import pytest
from made_recordings import write_recording
from printed import unwrapped

from common.errors import InputError
from evaluation.judging import read_recordings as read_to_judge
from recordings.images import image_facts
from recordings.recording import (
    read_recording,
    read_recordings,
    usable_samples,
    what_to_say,
)
from training.preparation import read_split
from training.settings import Settings

STEERING = 0.8 * np.sin(np.arange(900) / 40)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A recording of 90 s; it is not changed."""
    return write_recording(tmp_path_factory.mktemp("d") / "drive", STEERING, 0.1, 1)


def copied(drive, folder, rows=slice(None), change=lambda row: row):
    """Copy rows of a recording, and the images they name, to another place."""
    (folder / "IMG").mkdir(parents=True)
    lines = (drive / "driving_log.csv").read_text().splitlines()[rows]
    for line in lines:
        name = line.split(",")[0]
        shutil.copy(drive / name, folder / name)
    text = "\n".join(change(line) for line in lines) + "\n"
    (folder / "driving_log.csv").write_text(text)
    return folder


def saved_anew(line):
    """Write a row as a spreadsheet does."""
    return line.replace(",0.5,0,20.0", ",0.500,0.0,20")


def renamed(folder):
    """Give the images of a recording other names, later in time."""
    for path in (folder / "IMG").iterdir():
        path.rename(path.with_name(path.name.replace("_2024_", "_2025_")))
    log = folder / "driving_log.csv"
    log.write_text(log.read_text().replace("_2024_", "_2025_"))
    return folder


def digests_of(split, rows):
    paths = list(split.samples["center"].iloc[rows])
    facts = image_facts(paths)
    return [facts[path].digest for path in paths]


OTHERS = {
    "copy that was saved anew": lambda d, to: copied(d, to, change=saved_anew),
    "part in a new folder": lambda d, to: copied(d, to, slice(300, 800)),
    "part with other names": lambda d, to: renamed(copied(d, to, slice(100, 700))),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("is_first", [False, True])
def test_no_frame_is_trained_on_and_validated_on(
    kind, is_first, drive, tmp_path, capsys
):
    other = OTHERS[kind](drive, tmp_path / "other")
    folders = (other, drive) if is_first else (drive, other)
    split = read_split(Settings(tuple(map(str, folders))))
    trained, validated = (
        digests_of(split, split.train),
        digests_of(split, split.validation),
    )
    assert len(set(trained)) == len(trained) and len(set(validated)) == len(validated)
    assert validated and not set(trained) & set(validated)
    assert len(split.samples) == 900
    said = unwrapped(capsys.readouterr().err)
    assert f"{folders[1].name}: " in said
    assert f"their frames are in {folders[0]} as well; each is used once" in said


def test_labels_of_the_first_recording_count_and_others_are_counted(drive, tmp_path):
    def turned(line):
        cells = line.split(",")
        return ",".join([*cells[:3], f"{-float(cells[3]):.6f}", *cells[4:]])

    other = copied(drive, tmp_path / "other", slice(0, 100), turned)
    recordings = read_recordings([drive, other])
    assert recordings[0].excluded == {} and recordings[1].excluded == {
        "shared-frame": 100
    }
    (said,) = recordings[1].warnings
    assert "differs in 99 rows, by up to 1.6" in said
    np.testing.assert_allclose(
        usable_samples(recordings)["steering"], STEERING, atol=1e-6
    )


def test_separate_recordings_stay_as_they_are(drive, tmp_path):
    other = write_recording(tmp_path / "other", STEERING[100:150], seed=6)
    alone = [read_recording(drive), read_recording(other)]
    together = read_recordings([drive, other])
    assert what_to_say(together) == []
    for one, same in zip(alone, together, strict=True):
        assert one.samples.equals(same.samples) and one.excluded == same.excluded


def test_recording_that_is_all_in_another_is_not_judged_beside_it(drive, tmp_path):
    other = copied(drive, tmp_path / "other", change=saved_anew)
    with pytest.raises(InputError, match="none of its 900 rows can be used; 900 rows"):
        read_to_judge([drive, other])


GLUED = {
    "the same rows": (lambda line: line, "duplicate-row"),
    "rows saved anew": (lambda line: line.replace(",0.5,", ",0.51,"), "repeated-frame"),
}


@pytest.mark.parametrize("kind", GLUED)
def test_log_that_is_glued_to_itself_gives_each_frame_once(kind, tiny_recording):
    change, reason = GLUED[kind]
    log = tiny_recording / "driving_log.csv"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines, *map(change, lines), ""]))
    recording = read_recording(tiny_recording)
    assert recording.excluded == {reason: 60}
    assert len(usable_samples([recording])) == 60
    assert (
        reason.split("-")[0] in recording.warnings[0]
        or "twice" in recording.warnings[0]
    )


def test_copies_of_images_under_other_names_are_used_once(tiny_recording):
    lines = (tiny_recording / "driving_log.csv").read_text().splitlines()
    for path in list((tiny_recording / "IMG").iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("_2024_", "_2025_")))
    later = [line.replace("_2024_", "_2025_") for line in lines]
    (tiny_recording / "driving_log.csv").write_text("\n".join([*lines, *later, ""]))
    assert read_recording(tiny_recording).excluded == {"repeated-frame": 60}
