"""Exploring: the numbers are right, advice follows from them, the report is whole."""

import json
import os
import re

import numpy as np
import pytest
from made_recordings import write_recording
from printed import check_printed

from common.car import MPS_PER_MPH, WHEELBASE_M
from explore import find_out, main, what_to_record
from recordings.recording import read_recording, usable_rows
from recordings.report import row_ranges
from recordings.steering import savitzky_golay


def findings_of(folder):
    return find_out(read_recording(folder))


def test_circle_is_counted_as_its_turns(tmp_path):
    """A constant steering s drives v t tan(25 deg s) / wheelbase / 2 pi turns."""
    folder = write_recording(tmp_path / "circle", np.full(201, 0.5))
    found = findings_of(folder)
    path_m = 20 * MPS_PER_MPH * 20
    turns = path_m * np.tan(np.radians(12.5)) / WHEELBASE_M / (2 * np.pi)
    assert found.clockwise == pytest.approx(turns, rel=1e-3)
    assert found.counter_clockwise == 0
    assert found.distance_m == pytest.approx(path_m, rel=1e-3)
    assert (found.right, found.left, found.straight) == (1, 0, 0)


def test_keyboard_pulses_are_told_from_a_smooth_hand(tmp_path):
    keys = np.where(np.arange(200) % 10 < 3, 0.6, 0.0)
    hand = 0.6 * np.sin(np.arange(200) / 15)
    keyboard = findings_of(write_recording(tmp_path / "keys", keys))
    smooth = findings_of(write_recording(tmp_path / "hand", hand))
    assert keyboard.jumps > 0.15 and smooth.jumps == 0
    assert any("as with a keyboard" in text for text in what_to_record([keyboard]))
    assert not any("keyboard" in text for text in what_to_record([smooth]))


def test_advice_names_what_is_missing_and_stops_when_it_is_there(tmp_path):
    right = findings_of(write_recording(tmp_path / "right", np.full(150, 0.5)))
    advice = " ".join(what_to_record([right]))
    for words in ("minutes in all", "sharp bends to the left", "counter-clockwise"):
        assert words in advice
    left = findings_of(write_recording(tmp_path / "left", np.full(150, -0.5)))
    advice = " ".join(what_to_record([right, left]))
    assert "one direction" not in advice and "sharp bends" not in advice


def test_road_without_bends_is_named(tmp_path):
    folder = write_recording(tmp_path / "straight", np.zeros(50))
    advice = what_to_record([findings_of(folder)])
    assert any("100% of the rows drive straight on" in text for text in advice)


def test_one_camera_is_named(tmp_path):
    folder = write_recording(tmp_path / "one", np.zeros(50), num_cameras=1)
    assert "one: one camera only" in " ".join(what_to_record([findings_of(folder)]))


def test_savitzky_golay_keeps_a_cubic_and_damps_noise(tiny_recording, rng):
    samples = usable_rows(read_recording(tiny_recording))
    x = np.linspace(-1, 1, len(samples))
    samples["steering"] = x**3
    np.testing.assert_allclose(savitzky_golay(samples, 1.5), x**3, atol=1e-9)
    samples["steering"] = rng.normal(0, 0.1, len(samples))
    assert savitzky_golay(samples, 1.5).std() < 0.06


def test_report_is_one_file_that_needs_no_network(tiny_recording, tmp_path, capsys):
    out = tmp_path / "report"
    argv = [str(tiny_recording), "--out", str(out), "--smooth-s", "1", "--json"]
    assert main(argv) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recordings"][0]["name"] == "tiny" and said["advice"]
    page = (out / "report.html").read_text()
    assert len(re.findall('src="data:image/png;base64,', page)) == 4
    # Each finding has its first, middle and last frame, and all have one sheet.
    assert len(re.findall('src="data:image/jpeg;base64,', page)) > 3
    assert "http" not in page and "What to record next" in page
    assert len(list(out.glob("*.png"))) == 5


@pytest.mark.parametrize(
    "recording",
    [
        {"steering": [0.3]},
        {"steering": np.zeros(12)},
        {"steering": np.sin(np.arange(12)), "interval_s": 2.0},
        {"steering": np.sin(np.arange(12)), "num_cameras": 1},
    ],
    ids=["one row", "constant steering", "sessions of one row", "one camera"],
)
def test_odd_recordings_can_be_looked_at(recording, tmp_path):
    folder = write_recording(tmp_path / "odd", **recording)
    assert main([str(folder), "--out", str(tmp_path / "out"), "--smooth-s", "1"]) == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_names_of_any_kind_are_shown_and_equal_ones_told_apart(tmp_path, capsys):
    name = os.fsdecode(b"<b>$x$ \xff")
    for i in (1, 2):
        # OpenCV, which writes the images, takes only names that are text.
        folder = write_recording(tmp_path / str(i) / "a", np.sin(np.arange(12) + i))
        folder.rename(folder.with_name(name))
    folders = [str(tmp_path / str(i) / name) for i in (1, 2)]
    assert main([*folders, "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    heads = re.findall('<th scope="col">(.*?)</th>', page)
    assert heads == ["", "&lt;b&gt;$x$ \\xff", "&lt;b&gt;$x$ \\xff-2"]
    said = capsys.readouterr().out
    assert "<b>$x$ \\xff-2: 12 of 12 rows usable" in said
    check_printed(said)


def test_rows_left_out_are_listed(tiny_recording, tmp_path):
    for path in sorted((tiny_recording / "IMG").glob("center_*"))[4:7]:
        path.unlink()
    assert main([str(tiny_recording), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "tiny: all 3 rows of missing-image</summary><p>5-7<" in page


def test_rows_are_written_as_ranges():
    assert row_ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert row_ranges([]) == ""


def test_same_recording_twice_is_refused(tiny_recording, tmp_path, capsys):
    argv = [str(tiny_recording)] * 2 + ["--out", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "the same recording as" in capsys.readouterr().err


def test_folder_that_cannot_be_made_is_refused_in_one_line(
    tiny_recording, tmp_path, capsys
):
    (tmp_path / "file").write_text("")
    assert main([str(tiny_recording), "--out", str(tmp_path / "file" / "report")]) == 1
    err = capsys.readouterr().err
    assert "cannot be written: Not a directory; give another --out" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "x"])
def test_window_that_is_no_time_is_wrong_usage(seconds, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["a", f"--smooth-s={seconds}"])
    assert f"'{seconds}', expected seconds, 0 or more" in capsys.readouterr().err


def test_eight_has_no_direction(tmp_path):
    eight = np.repeat([0.4, -0.4], 100)
    advice = " ".join(
        what_to_record([findings_of(write_recording(tmp_path / "eight", eight))])
    )
    assert "one direction" not in advice


def test_existing_report_is_refused_and_untouched(tiny_recording, tmp_path, capsys):
    (tmp_path / "report").mkdir()
    assert main([str(tiny_recording), "--out", str(tmp_path / "report")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert not list((tmp_path / "report").iterdir())


def test_recording_without_a_usable_row_is_refused(tmp_path, capsys):
    folder = write_recording(tmp_path / "standing", np.zeros(20), speed_mph=0.1)
    assert main([str(folder), "--out", str(tmp_path / "report")]) == 1
    assert "none of its 20 rows can be used" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_real_recordings_lack_nothing_plain(shared_dir):
    data = shared_dir / "data"
    both = [findings_of(data / name) for name in ("lake", "jungle")]
    lake = both[0]
    # The lake was driven 1.3 laps one way and 1.2 the other, the labels 0.985 true.
    assert lake.clockwise == pytest.approx(1.3, abs=0.1)
    assert lake.counter_clockwise == pytest.approx(1.2, abs=0.1)
    assert not any("one direction" in text for text in what_to_record(both))
