"""Pictures: bombs are never decoded, other sizes and damage excluded and named."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_recordings import write_recording
from printed import unwrapped, without_bars

from common.errors import InputError
from driving.telemetry import Telemetry, UnusableTelemetry
from recordings import decoding
from recordings.decoding import ImageError, decode_frame, size_of
from recordings.images import read_frame
from recordings.recording import read_recording

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (".jpg", ".png", ".bmp")


def encoded(ending, width=320, height=160, **options):
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    flags = [part for pair in options.items() for part in pair]
    return cv2.imencode(ending, pixels, flags)[1].tobytes()


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_bomb(side=30_000):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2**24), 9)
    parts = (b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")
    return decoding.PNG_START + b"".join(chunk(*part) for part in parts)


def resized_jpeg(width, height):
    """Return a small JPEG whose header says that it is as large as one can be."""
    content = bytearray(encoded(".jpg"))
    place = content.index(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def bmp_bomb(side=30_000):
    content = bytearray(encoded(".bmp"))
    content[18:26] = struct.pack("<ii", side, -side)
    return bytes(content)


def scans_bomb():
    content = encoded(".jpg", **{})
    place = content.index(decoding.JPEG_SCAN)
    return content[:-2] + content[place:-2] * 200 + content[-2:]


BOMBS = {
    "png": (png_bomb, "30000x30000 pixels, expected 16x16 to 8,388,608"),
    "jpeg": (lambda: resized_jpeg(65_500, 65_500), "65500x65500 pixels, expected"),
    "bmp": (bmp_bomb, "30000x30000 pixels, expected 16x16 to 8,388,608"),
    "scans": (scans_bomb, "not a picture that can be read"),
    "gif": (lambda: b"GIF89a" + struct.pack("<HH", 60_000, 60_000), "not a picture"),
    "tiff": (lambda: b"II*\0" + bytes(100), "not a picture that can be read"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bomb_is_refused_before_anything_is_decoded(kind, monkeypatch, tmp_path):
    make, message = BOMBS[kind]
    content = make()
    assert len(content) < 10**8 // 3
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match=message):
        decode_frame(content)
    with pytest.raises(UnusableTelemetry, match=f"image: .*{message}"):
        Telemetry(0.0, 0.0, 0.0, content, ".").frame()
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.png: .*{message}"):
        read_frame(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "size", [(320, 160), (319, 160), (321, 160), (320, 161), (160, 320), (1, 1)]
)
def test_size_is_told_from_the_header(ending, size):
    assert size_of(encoded(ending, *size)) == size


def test_size_of_a_jpeg_is_found_behind_notes_and_in_every_process():
    for flags in (
        [],
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
    ):
        pixels = np.zeros((160, 320, 3), np.uint8)
        content = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
        note = b"\xff\xe1" + struct.pack(">H", 11) + b"\xff\xc0\xff\xd9 \xff\xda.."
        noted = content[:2] + b"\xff\xff" + note[1:] + note + content[2:]
        assert size_of(noted) == (320, 160)
        assert decode_frame(noted).shape == (160, 320, 3)


def test_random_beginnings_of_pictures_are_refused_and_never_raise(rng):
    for start in (decoding.JPEG_START, decoding.PNG_START, b"BM"):
        for _ in range(300):
            content = start + rng.bytes(int(rng.integers(0, 200)))
            with pytest.raises(ImageError):
                decode_frame(content)


@pytest.mark.parametrize("ending", ENDINGS)
def test_frame_is_decoded_to_the_bit_as_opencv_does(ending):
    content = encoded(ending)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode_frame(content), expected[..., ::-1])


def recording_with(tmp_path, ending, damage):
    """Return a recording of 30 rows, in five of which the centre image is damaged."""
    folder = write_recording(tmp_path / "a", np.sin(np.arange(30)))
    for path in sorted((folder / "IMG").iterdir()):
        content = cv2.imencode(ending, cv2.imread(str(path)))[1].tobytes()
        path.unlink()
        path.with_suffix(ending).write_bytes(content)
    for path in sorted((folder / "IMG").glob("center_*"))[10:15]:
        path.write_bytes(damage(path.read_bytes(), cv2.imread(str(path))))
    log = folder / "driving_log.csv"
    log.write_text(log.read_text().replace(".jpg", ending))
    return folder


def run(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", [(327, 167), (320, 240), (160, 160), (8, 4)])
def test_a_few_of_another_camera_are_excluded_softly(tmp_path, ending, size):
    folder = recording_with(
        tmp_path,
        ending,
        lambda _, frame: cv2.imencode(ending, cv2.resize(frame, size))[1],
    )
    recording = read_recording(folder)
    reason = "wrong-size-image" if size == (8, 4) else "other-camera-image"
    assert recording.excluded == {reason: 5}
    (said,) = recording.warnings
    assert f"{size[0]}x{size[1]} pixels, " in said
    assert recording.samples["is_stock_camera"].all()
    for path in recording.samples["center"][recording.samples["excluded"] == ""]:
        assert read_frame(path).shape == (160, 320, 3)


@pytest.mark.parametrize("size", [(319, 160), (640, 320), (960, 480)])
def test_a_few_of_the_same_ratio_are_used(tmp_path, size):
    folder = recording_with(
        tmp_path,
        ".png",
        lambda _, frame: cv2.imencode(".png", cv2.resize(frame, size))[1],
    )
    recording = read_recording(folder)
    assert recording.excluded == {} and recording.samples["is_stock_camera"].all()
    (said,) = recording.warnings
    assert f"320x160 (25 rows) and {size[0]}x{size[1]} (5 rows)" in said


def overwritten(content, frame):
    """Damage the middle of a picture as a bad disk does."""
    middle = len(content) // 2
    return content[:middle] + b"\x5a" * 600 + content[middle + 600 :]


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_damaged_middle_is_counted_and_named_and_nothing_else_complains(
    tmp_path, ending, capfd
):
    folder = recording_with(tmp_path, ending, overwritten)
    recording = read_recording(folder)
    assert recording.excluded == {"damaged-image": 5}
    center = recording.samples["center"]
    assert list(recording.samples.index[recording.samples["excluded"] != ""]) == [
        *range(10, 15)
    ]
    assert Path(center[10]).name in recording.warnings[0]
    assert "the picture is damaged" in recording.warnings[0]
    assert capfd.readouterr().err == ""


def test_train_and_play_say_nothing_bare_of_damaged_pictures(tmp_path):
    folder = recording_with(tmp_path, ".jpg", overwritten)
    done = run("dataset.py", folder)
    assert "5 rows excluded as damaged-image" in unwrapped(done.stdout)
    assert without_bars(done.stderr) == []
    done = run("explore.py", folder, "--out", tmp_path / "report")
    assert done.returncode == 0 and without_bars(done.stderr) == []


def test_what_others_write_while_pictures_are_looked_at_is_shown(
    tmp_path, capfd, monkeypatch
):
    folder = recording_with(tmp_path, ".jpg", overwritten)
    looked = decoding.decode

    def loud(content, flags):
        os.write(2, b"what another library says\n")
        return looked(content, flags)

    monkeypatch.setattr("recordings.images.decode", loud)
    read_recording(folder)
    err = capfd.readouterr().err
    assert set(err.splitlines()) == {"what another library says"}


def test_process_without_a_stderr_reads_recordings(tmp_path):
    folder = recording_with(tmp_path, ".jpg", lambda content, _: content)
    command = f"{sys.executable} dataset.py {folder} --json 2>&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and '"usable": 30' in done.stdout


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "pipe"])
def test_image_that_is_no_regular_file_is_missing_and_never_waited_for(
    tmp_path, target
):
    folder = recording_with(tmp_path, ".jpg", lambda content, _: content)
    center = sorted((folder / "IMG").glob("center_*"))
    for path in center[:2]:
        path.unlink()
        if target == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(target)
    for check_images in (True, False):
        excluded = read_recording(folder, check_images).excluded
        assert excluded == {"missing-image": 2}
    with pytest.raises(InputError, match="no regular file"):
        read_frame(center[0])


def test_image_larger_than_any_frame_is_not_read(tmp_path):
    folder = recording_with(tmp_path, ".jpg", lambda content, _: content)
    path = min((folder / "IMG").glob("center_*"))
    os.truncate(path, 2**40)
    assert read_recording(folder).excluded == {"unreadable-image": 1}
    with pytest.raises(InputError, match="bytes, expected at most 16,777,216"):
        read_frame(path)
