"""Recordings byte for byte as the stock simulator writes them."""

import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_disk import fill

from simulator import tracks
from simulator.recorder import Recorder, csharp_float, encode_jpeg
from simulator.world import World


@pytest.fixture
def seen(rng):
    """An observation with frames of noise, without drawing any."""
    blind = World(tracks.lake(), cameras=()).reset(speed_mps=8.9408)
    frames = {
        camera: cv2.GaussianBlur(
            rng.integers(0, 256, (160, 320, 3)).astype(np.uint8), (0, 0), 3
        )
        for camera in ("center", "left", "right")
    }
    return dataclasses.replace(blind, frames=frames, time_s=61.2345)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (-0.05, "-0.05"),
        (30.19086, "30.19086"),
        (1 / 3, "0.3333333"),
        (0.8749999999, "0.875"),
        (1.234567e-4, "0.0001234567"),
        (1.5e-5, "1.5E-05"),
        (9.999999e-6, "9.999999E-06"),
        (-7.8e-10, "-7.8E-10"),
        (1234567.0, "1234567"),
        (12345678.0, "1.234568E+07"),
        (99999.998, "100000"),
    ],
)
def test_numbers_are_written_as_csharp_does(value, text):
    assert csharp_float(value) == text


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="not a finite number"):
        csharp_float(float("nan"))


def test_rows_have_the_seven_columns_of_the_stock_simulator(tmp_path, seen):
    with Recorder(tmp_path / "drive", seed=1) as recorder:
        recorder.add(seen, 0.25, 0.5)
        recorder.add(dataclasses.replace(seen, time_s=61.301), -1.0, -0.75)
    log = (tmp_path / "drive" / "driving_log.csv").read_bytes()
    names = [
        f"IMG/{c}_2017_01_02_12_01_01_234.jpg" for c in ("center", "left", "right")
    ]
    assert log.splitlines()[0].decode() == ",".join([*names, "0.25,0.5,0,20"])
    assert log.splitlines()[1].endswith(b",-1,0,0.75,20")
    assert log.endswith(b"\n") and b"\r" not in log


def test_images_are_the_frames_in_jpeg(tmp_path, seen):
    with Recorder(tmp_path / "drive") as recorder:
        recorder.add(seen, 0.0, 0.0)
    paths = sorted((tmp_path / "drive" / "IMG").iterdir())
    assert [path.name.split("_")[0] for path in paths] == ["center", "left", "right"]
    for path in paths:
        frame = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        wanted = seen.frames[path.name.split("_")[0]].astype(int)
        # Quality 75 halves the colours' resolution: some grey levels on blurred noise.
        assert np.abs(frame - wanted).mean() < 5


def test_jpeg_has_quality_75(seen):
    encoded = encode_jpeg(seen.frames["center"])
    # The first entries of the standard luminance table, halved as quality 75 has it.
    table = encoded[encoded.index(b"\xff\xdb") + 5 :][:4]
    assert list(table) == [8, 6, 6, 7]


def test_equal_drives_are_equal_bytes_in_two_folders(tmp_path, seen):
    for name in ("one", "two"):
        with Recorder(tmp_path / name, seed=4) as recorder:
            recorder.add(seen, 0.1, 0.2)
    first, second = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert first == second and len(first) == 4


def test_existing_folder_is_refused_and_untouched(tmp_path, seen):
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="exists; remove it"):
        Recorder(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["drive", "mine.txt"]


def test_recording_that_fails_leaves_nothing(tmp_path, seen):
    def fail():
        with Recorder(tmp_path / "drive") as recorder:
            recorder.add(seen, 0.0, 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_appears_meanwhile_is_not_replaced(tmp_path, seen):
    def record():
        with Recorder(tmp_path / "drive") as recorder:
            recorder.add(seen, 0.0, 0.0)
            (tmp_path / "drive").mkdir()

    with pytest.raises(FileExistsError, match="appeared"):
        record()
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def test_full_disk_is_named_from_the_first_file_on(disk):
    fill(disk)
    with pytest.raises(OSError, match="No space left") as failed:
        Recorder(disk / "drive", facts={"roads": ["lake"] * 1000})
    assert failed.value.filename == str(disk / "drive")
    assert [path.name for path in disk.iterdir()] == ["filler"]


def test_rows_before_a_full_disk_can_be_kept_whole(disk, seen):
    folder = disk / "drive"
    with Recorder(folder) as recorder:
        filler = fill(disk, leave=100_000)
        with pytest.raises(OSError, match="No space left"):
            for row in range(1000):
                recorder.add(replace(seen, time_s=row / 15), 0.0, 0.5)
        assert recorder.num_rows >= 2
    filler.unlink()
    rows = (folder / "driving_log.csv").read_text().splitlines()
    named = {name for row in rows for name in row.split(",")[:3]}
    assert len(rows) == recorder.num_rows and len(named) == 3 * len(rows)
    assert {f"IMG/{path.name}" for path in (folder / "IMG").iterdir()} == named
