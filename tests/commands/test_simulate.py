"""The command line: codes, whole output, and files."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from printed import check_printed, unwrapped
from websockets.sync.server import serve

import simulate
from simulator.film import Film, picture_in_picture

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["record", "drive", "render"])
def test_help_has_an_example_and_is_light(command):
    code = (
        "import sys, simulate\n"
        "try:\n"
        f"    simulate.main(['{command}', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'cv2', 'panda3d', 'keras'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert f"python simulate.py {command}" in ran.stdout


def test_record_writes_a_recording_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("-my lake")
    words = ["record", "lake", "--frames", "4", "--speed", "20.10000000000001"]
    assert simulate.main([*words, f"--out={out}"]) == 0
    said = capsys.readouterr().out
    check_printed(said)
    lines = said.splitlines()
    # What is usual, such as the seed, is not said.
    assert lines[0] == "settings: --frames 4, --speed 20.1"
    assert lines[1].startswith("wrote -my lake: 4 rows of 3 images, ")
    assert lines[2:] == ["next: python explore.py './-my lake'"]
    assert len((out / "driving_log.csv").read_text().splitlines()) == 4
    assert len(list((out / "IMG").iterdir())) == 12


def test_recordings_of_one_seed_are_the_same_bytes(tmp_path):
    def record(name, seed):
        out = tmp_path / name
        arguments = ["--frames", "3", "--noise", "0.2", "--seed", str(seed)]
        assert simulate.main(["record", "random:4", *arguments, "--out", str(out)]) == 0
        files = sorted(path for path in out.rglob("*") if path.is_file())
        return {path.relative_to(out): path.read_bytes() for path in files}

    first, same, other = record("a", 1), record("b", 1), record("c", 2)
    assert first == same
    assert not set(first.values()) & set(other.values())


def test_both_directions_are_recorded_one_after_the_other(tmp_path):
    out = tmp_path / "both"
    arguments = ["--frames", "2", "--direction", "both", "--out", str(out)]
    assert simulate.main(["record", "lake", *arguments]) == 0
    rows = (out / "driving_log.csv").read_text().splitlines()
    stamps = [row.split(",")[0].split("center_")[1] for row in rows]
    assert len(stamps) == 4 and stamps == sorted(set(stamps))
    # The pause makes two sessions of them.
    assert stamps[2].startswith("2017_01_01_12_01_00")


def test_log_holds_what_corrects_the_noise(tmp_path):
    def steering(noise):
        out = tmp_path / str(noise)
        arguments = ["--frames", "30", "--noise", str(noise), "--out", str(out)]
        assert simulate.main(["record", "lake", *arguments]) == 0
        rows = (out / "driving_log.csv").read_text().splitlines()
        return [float(row.split(",")[3]) for row in rows]

    calm, disturbed = steering(0.0), steering(0.3)
    # Nothing has happened before the first frame; then the car is elsewhere.
    assert calm[0] == disturbed[0]
    assert np.abs(np.subtract(calm, disturbed)).max() > 0.01


def test_existing_folder_is_refused(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    arguments = ["record", "lake", "--frames", "1", "--out", str(tmp_path / "mine")]
    assert simulate.main(arguments) == 1
    assert capsys.readouterr().err == (
        f"simulate.py: {tmp_path / 'mine'} exists; remove it or give another --out\n"
    )
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["record", "moon", "--out", "x"], "no track 'moon'; there are: lake, jungle"),
        (["record", "lake", "--laps", "0", "--out", "x"], "must be 1 or more"),
        (["record", "lake", "--speed", "50", "--out", "x"], "expected [3, 30]"),
        (["record", "lake", "--noise", "2", "--out", "x"], "in [0, 1]"),
        (["record", "lake", "--haze", "3", "--out", "x"], "haze is 3.0"),
        (["record", "lake", "--seed", "-1", "--out", "x"], "negative"),
        (["render", "lake", "--out", "x.gif"], "ends in .png or .mp4"),
        (["drive", "lake", "--laps", "0"], "must be 1 or more"),
        (["drive", "lake", "--url", "nowhere"], "expected such as http"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    arguments, text, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert simulate.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("simulate.py: ") and said.count("\n") == 1
    assert text in said
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_refused_before_the_road_is_made(
    monkeypatch, capsys
):
    monkeypatch.setattr(simulate, "_make_world", None)
    assert simulate.main(["drive", "lake", "--url", "nowhere"]) == 1
    assert "url is 'nowhere', expected such as http" in capsys.readouterr().err


def test_usage_errors_exit_with_2(capsys):
    with pytest.raises(SystemExit) as end:
        simulate.main(["record", "lake"])
    assert end.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_render_draws_a_sheet_of_different_places(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert simulate.main(["render", "jungle", "--out", str(out)]) == 0
    assert unwrapped(capsys.readouterr().out).splitlines()[-1] == f"wrote {out}"
    sheet = cv2.imread(str(out))
    assert sheet.shape == (640, 960, 3)
    tiles = sheet.reshape(4, 160, 3, 320, 3).swapaxes(1, 2).reshape(12, -1)
    assert len(np.unique(tiles, axis=0)) == 12


def read_film(path):
    film = cv2.VideoCapture(str(path))
    frames = []
    while True:
        is_read, frame = film.read()
        if not is_read:
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def test_render_films_the_expert(tmp_path):
    out = tmp_path / "film.mp4"
    arguments = ["--camera", "chase", "--seconds", "0.4", "--out", str(out)]
    assert simulate.main(["render", "random:1", *arguments]) == 0
    frames = read_film(out)
    assert [frame.shape for frame in frames] == [(320, 640, 3)] * 6
    assert list(tmp_path.iterdir()) == [out]


def test_film_holds_the_frames_that_were_added(tmp_path):
    path = tmp_path / "grey.mp4"
    with Film(path, (64, 32)) as film:
        for level in (40, 120, 200):
            film.add(np.full((32, 64, 3), level, np.uint8))
    levels = [frame.mean() for frame in read_film(path)]
    # H.264 keeps plain grey within a few levels.
    np.testing.assert_allclose(levels, [40, 120, 200], atol=4)


def test_film_that_fails_leaves_nothing(tmp_path):
    def fail():
        with Film(tmp_path / "film.mp4", (64, 32)) as film:
            film.add(np.zeros((32, 64, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_film_refuses_odd_sizes_and_other_names(tmp_path):
    with pytest.raises(ValueError, match="expected even numbers"):
        Film(tmp_path / "film.mp4", (63, 32))
    with pytest.raises(ValueError, match=r"to end in \.mp4"):
        Film(tmp_path / "film.avi", (64, 32))


def test_picture_in_picture_leaves_its_input_alone():
    large, small = (
        np.zeros((320, 640, 3), np.uint8),
        np.full((160, 320, 3), 90, np.uint8),
    )
    composed = picture_in_picture(large, small, "25 mph")
    assert large.max() == 0
    assert (composed[40, 560] == 90).all()
    assert composed[300:, :100].max() > 200


def test_drive_reports_as_one_json_document(capsys):
    def handle(connection):
        connection.send('0{"sid":"x"}')
        for message in connection:
            if message == "1":
                return
            if message.startswith("42"):
                connection.send('42["steer",{"steering_angle":"0","throttle":"0.3"}]')

    server = serve(handle, "127.0.0.1", 0, compression=None, close_timeout=0.5)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        arguments = ["drive", "lake", "--url", url, "--max-time", "1", "--json"]
        assert simulate.main(arguments) == 1  # the lap is not complete
    finally:
        server.shutdown()
        thread.join(10)
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 30 and report["laps"] == 0 and not report["complete"]
    expected = 100 * (1 - 6 * report["interventions"] / report["simulated_s"])
    assert report["autonomy_percent"] == pytest.approx(max(0, expected))
