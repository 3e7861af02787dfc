"""Units: degrees are refused or turned, and what no drive makes is said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import without_bars

import dataset
from common.errors import InputError
from recordings.recording import read_recording
from recordings.units import FULL_LOCK, unit_of_text, units_by_path

STEERING = 0.8 * np.sin(np.arange(60) / 8)


def rewritten(folder, change, header=None):
    """Let a function change the cells of every row of a log."""
    log = folder / "driving_log.csv"
    rows = [change(row.split(","), i) for i, row in enumerate(log.read_text().split())]
    names = [header] if header else []
    log.write_text("\n".join([*names, *(",".join(map(str, row)) for row in rows), ""]))
    return folder


def in_unit(folder, lock, header=None):
    """Write the steering of a recording with another full lock."""
    return rewritten(
        folder,
        lambda row, _: [*row[:3], f"{float(row[3]) * lock:.5f}", *row[4:]],
        header,
    )


DEGREES = {
    "wide": STEERING,
    "narrow": 0.06 * np.sin(np.arange(400) / 30),
    "one bend in a long straight": np.r_[np.zeros(1400), np.full(12, 0.4)],
    "noise": np.random.default_rng(0).normal(0, 0.02, 400),
    "to the left only": -np.abs(STEERING),
    "of the steering wheel": STEERING * 18,
}


@pytest.mark.parametrize("kind", DEGREES)
def test_degrees_are_refused_with_the_way_to_read_them(kind, tmp_path, capsys):
    folder = in_unit(write_recording(tmp_path / "a", DEGREES[kind], num_cameras=1), 25)
    assert dataset.main([str(folder)]) == 1
    said = capsys.readouterr().err
    assert "--steering-unit deg" in said and len(without_bars(said)) == 1
    assert "is beyond full lock, up to" in said


@pytest.mark.parametrize("unit", ["deg", "rad"])
def test_unit_that_is_given_is_read_right(unit, tiny_recording, capsys):
    expected = read_recording(tiny_recording).samples["steering"]
    in_unit(tiny_recording, FULL_LOCK[unit])
    assert dataset.main([str(tiny_recording), "--json", "--steering-unit", unit]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["usable"] == 60 and not said["warnings"]
    found = read_recording(tiny_recording, unit=unit).samples["steering"]
    np.testing.assert_allclose(found, expected, atol=2e-5)


STRAYS = {
    "one of sixty": [3.5],
    "nine": [25.0] * 9,
    "rounding": [1.0000001] * 40,
}


@pytest.mark.parametrize("kind", STRAYS)
def test_strays_cost_their_rows_only(kind, tiny_recording):
    strays = STRAYS[kind]

    def change(row, i):
        return [*row[:3], strays[i] if i < len(strays) else row[3], *row[4:]]

    recording = read_recording(rewritten(tiny_recording, change))
    assert recording.excluded == {"steering-out-of-range": len(strays)}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("steering_deg", "deg"),
        ("Steering Angle (degrees)", "deg"),
        ("steering °", "deg"),
        ("steeringAngleRad", "rad"),
        ("steering [radians]", "rad"),
    ],
)
def test_header_that_names_another_unit_asks_for_it(name, unit, tiny_recording):
    header = f"center,left,right,{name},throttle,brake,speed"
    in_unit(tiny_recording, 1, header)
    with pytest.raises(InputError, match=f"--steering-unit {unit}, or"):
        read_recording(tiny_recording)
    assert not read_recording(tiny_recording, unit="normalised").excluded


def test_normalised_steering_is_not_taken_for_degrees(tiny_recording):
    with pytest.raises(InputError, match="leave --steering-unit out"):
        read_recording(tiny_recording, unit="deg")


def test_degrees_beyond_full_lock_are_refused(tiny_recording):
    in_unit(tiny_recording, 450)
    with pytest.raises(InputError, match=r"up to 359.7\d+, expected \[-25, 25\]"):
        read_recording(tiny_recording, unit="deg")


def test_units_are_given_to_all_or_to_single_recordings(tmp_path):
    a, b = tmp_path / "a", tmp_path / "x" / "b"
    given = [unit_of_text(text) for text in ("deg", "b=rad")]
    assert units_by_path(dict(given), [a, b]) == {str(a): "deg", str(b): "rad"}
    assert units_by_path({"b": "deg"}, [a, b]) == {str(b): "deg"}
    assert units_by_path({str(a): "deg"}, [a, b]) == {str(a): "deg"}
    assert units_by_path({}, [a, b]) == {}
    with pytest.raises(InputError, match="names c, expected one of a, b"):
        units_by_path({"c": "deg"}, [a, b])


def doubts(folder):
    return " ".join(read_recording(folder).warnings)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_constant_steering_is_said(value, tmp_path):
    folder = write_recording(tmp_path / "a", np.full(30, value), num_cameras=1)
    assert f"the steering is {value:g} in every row" in doubts(folder)


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        ("speed_kmh", 1.609, "says km/h"),
        ("Speed (km/h)", 1.609, "says km/h"),
        ("speed_kph", 0.1, "says km/h"),
        ("speed_mps", 0.447, "says m/s"),
        ("speed [m/s]", 0.447, "says m/s"),
        ("speed", 1.9, "goes up to 38"),
    ],
)
def test_speed_in_another_unit_is_said(name, factor, message, tiny_recording):
    header = f"center,left,right,steering,throttle,brake,{name}"
    rewritten(
        tiny_recording, lambda row, _: [*row[:6], float(row[6]) * factor + 2], header
    )
    said = doubts(tiny_recording)
    assert message.replace("38", "40") in said and "taken for mph" in said


@pytest.mark.parametrize("name", ["speed", "speed_mph", "Speed (mph)", "velocity"])
def test_speed_of_the_simulator_is_not_doubted(name, tiny_recording):
    header = f"center,left,right,steering,throttle,brake,{name}"
    rewritten(tiny_recording, lambda row, _: [*row[:6], 30.65], header)
    assert not read_recording(tiny_recording).warnings


def test_one_camera_three_times_is_said_and_not_taken_for_three(tiny_recording):
    for path in (tiny_recording / "IMG").glob("center_*"):
        for side in ("left", "right"):
            shutil.copy(path, path.with_name(path.name.replace("center", side)))
    recording = read_recording(tiny_recording)
    assert (recording.samples[["left", "right"]] == "").all().all()
    assert not recording.excluded
    said = " ".join(recording.warnings)
    assert "60 rows have no good left image, for example row 1: left_" in said
    assert "is the picture of another camera" in said


def test_one_file_named_for_three_cameras_is_not_taken_for_three(tiny_recording):
    rewritten(tiny_recording, lambda row, _: [row[0]] * 3 + row[3:])
    for check_images in (True, False):
        samples = read_recording(tiny_recording, check_images).samples
        assert (samples[["left", "right"]] == "").all().all()


@pytest.mark.parametrize("name", ["lake\x1b[2J", "ekal\u202e", "a\nb", "c\x9b31m"])
def test_names_and_cells_act_on_no_terminal(name, tmp_path, capsys):
    folder = write_recording(tmp_path / "a", STEERING, num_cameras=1)
    min((folder / "IMG").iterdir()).write_bytes(b"")
    log = folder / "driving_log.csv"
    log.write_text(
        log.read_text() + f"IMG/center_{name.strip()}.jpg,,,x\x1b[31m,0,0,\u202e9\n"
    )
    folder = folder.rename(tmp_path / name)
    assert dataset.main([str(folder)]) == 0
    for text in capsys.readouterr():
        assert all(line.isprintable() for line in text.split("\n"))
    Path(folder / "driving_log.csv").write_text("a,b\n", encoding="utf-8")
    assert dataset.main([str(folder)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.rstrip("\n").isprintable()
