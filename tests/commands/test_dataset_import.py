"""Logs of other programs come in as their own readers give them, and go out again."""

import json

import cv2
import foreign_logs as logs
import numpy as np
import pytest
from printed import unwrapped, without_bars

from common.car import MPS_PER_MPH
from dataset import main
from recordings.images import read_frame
from recordings.origin import read_origin
from recordings.recording import read_recording, usable_rows


def bring_in(source, out, *flags):
    assert main(["import", str(source), "--out", str(out), *flags]) == 0
    return usable_rows(read_recording(out))


def frame_of(i, **size):
    """Return what a frame of the i-th picture is, scaled as every other."""
    picture = cv2.cvtColor(logs.picture(i, **size), cv2.COLOR_BGR2RGB)
    return cv2.resize(picture, (320, 160))


def assert_alike(samples, places, num, **size):
    """See that rows are those of the log: steering to 1e-4, and the picture of each."""
    expected = logs.steerings(num)[places]
    np.testing.assert_allclose(samples["steering"], expected, atol=1e-4)
    for row in (0, len(places) - 1):
        frame = read_frame(samples["center"].iloc[row]).astype(int)
        difference = np.abs(frame - frame_of(places[row], **size)).mean()
        # As JPEG, or out of a film, they are near; those of other rows are 70 off.
        assert difference < 15


# --- donkeycar ------------------------------------------------------------------------


def test_a_tub_v1_comes_in(tmp_path, capsys):
    samples = bring_in(logs.tub_v1(tmp_path / "tub", excluded=[3]), tmp_path / "out")
    assert_alike(samples, [i for i in range(12) if i != 3], 12)
    steps_s = samples["time_s"].diff().iloc[1:]
    assert steps_s.iloc[0] == pytest.approx(0.05, abs=1e-3)
    said = unwrapped(capsys.readouterr().out)
    assert "11 rows of a donkeycar tub v1, steering from" in said
    assert "left out: 1 records of exclude.json" in said


def test_a_tub_v2_comes_in_without_its_deleted_records(tmp_path):
    tub = logs.tub_v2(tmp_path / "tub", deleted=[0, 7, 11])
    samples = bring_in(tub, tmp_path / "out")
    assert_alike(samples, [i for i in range(12) if i not in (0, 7, 11)], 12)
    assert (samples["throttle"] == 0.4).all()
    assert samples["time_s"].iloc[0] == pytest.approx(logs.BEGIN_MS / 1000 + 0.05)


def test_a_recording_goes_out_as_a_tub_and_comes_back(tmp_path, tiny_recording):
    tub = tmp_path / "tub"
    assert main([str(tiny_recording), "--to", "donkeycar", "--out", str(tub)]) == 0
    back = bring_in(tub, tmp_path / "back")
    was = usable_rows(read_recording(tiny_recording))
    np.testing.assert_allclose(back["steering"], was["steering"], atol=1e-4)
    np.testing.assert_allclose(back["time_s"], was["time_s"], atol=1e-3)
    for row in (0, len(was) - 1):
        np.testing.assert_array_equal(
            read_frame(back["center"].iloc[row]), read_frame(was["center"].iloc[row])
        )


# --- LeRobot --------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def has_pyarrow():
    pytest.importorskip("pyarrow")


@pytest.mark.parametrize("as_video", [True, False], ids=["video", "pictures"])
@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_a_lerobot_data_set_comes_in(tmp_path, version, as_video):
    source = logs.lerobot(tmp_path / "set", version, as_video=as_video)
    samples = bring_in(source, tmp_path / "out")
    assert_alike(samples, list(range(11)), 11)
    # Each episode is a session.
    assert samples["session"].tolist() == [0] * 6 + [1] * 5
    assert samples["throttle"].iloc[0] == pytest.approx(0.3)


def test_the_action_that_is_steering_is_chosen_by_name(tmp_path, capsys):
    names = ["left_wheel", "right_wheel"]
    source = logs.lerobot(tmp_path / "set", "v2.1", names=names, as_video=False)
    flags = ["import", str(source), "--out", str(tmp_path / "out")]
    assert main(flags) == 1
    said = capsys.readouterr().err
    assert "no number in it is called steering, found left_wheel, right_wheel" in said
    assert len(without_bars(said)) == 1 and not (tmp_path / "out").exists()
    samples = bring_in(source, tmp_path / "out", "--steering", "right_wheel")
    assert_alike(samples, list(range(11)), 11)


def test_a_film_that_ends_early_leaves_nothing(tmp_path, capsys):
    source = logs.lerobot(tmp_path / "set", "v3.0")
    film = next(source.rglob("*.mp4"))
    logs.write_film(film, [logs.picture(i) for i in range(4)], 10)
    assert main(["import", str(source), "--out", str(tmp_path / "out")]) == 1
    assert "it ends 7 frames before its table does" in capsys.readouterr().err
    assert not any(path.name.endswith("out") for path in tmp_path.iterdir())


def test_a_recording_goes_out_as_a_lerobot_data_set_and_comes_back(
    tmp_path, tiny_recording
):
    out = tmp_path / "set"
    assert main([str(tiny_recording), "--to", "lerobot", "--out", str(out)]) == 0
    back = bring_in(out, tmp_path / "back")
    was = usable_rows(read_recording(tiny_recording))
    np.testing.assert_allclose(back["steering"], was["steering"], atol=1e-4)
    np.testing.assert_allclose(back["speed_mph"], was["speed_mph"], rtol=1e-4)
    np.testing.assert_array_equal(
        read_frame(back["center"].iloc[5]), read_frame(was["center"].iloc[5])
    )
    info = json.loads((out / "meta" / "info.json").read_text())
    assert info["fps"] == 10 and info["total_frames"] == len(was)


# --- Tables ---------------------------------------------------------------------------


def test_what_airsim_records_comes_in(tmp_path):
    samples = bring_in(logs.airsim(tmp_path / "rec"), tmp_path / "out")
    assert_alike(samples, list(range(10)), 10, width=256, height=144)
    assert samples["speed_mph"].iloc[0] == pytest.approx(5.0 / MPS_PER_MPH, rel=1e-4)
    assert samples["time_s"].iloc[1] == pytest.approx(logs.BEGIN_MS / 1000 + 0.1)


def test_a_table_of_webots_comes_in_by_its_full_lock(tmp_path):
    table = logs.webots(tmp_path / "rec") / "drive.csv"
    samples = bring_in(table, tmp_path / "out", "--full-lock", "0.5")
    assert_alike(samples, list(range(10)), 10, width=128, height=64)
    assert samples["time_s"].diff().iloc[1] == pytest.approx(0.064, abs=1e-3)


def test_a_table_of_carla_comes_in_by_the_numbers_of_its_frames(tmp_path):
    samples = bring_in(logs.carla(tmp_path / "rec"), tmp_path / "out")
    assert_alike(samples, list(range(10)), 10, width=800, height=600)
    assert samples["speed_mph"].iloc[0] == pytest.approx(32.0 / 1.609344, rel=1e-4)


def test_a_left_that_is_plus_is_turned_round(tmp_path):
    table = logs.carla(tmp_path / "rec")
    samples = bring_in(table, tmp_path / "out", "--full-lock", "-1")
    np.testing.assert_allclose(samples["steering"], -logs.steerings(10), atol=1e-4)


# --- What is refused ------------------------------------------------------------------


def cut_manifest(folder):
    tub = logs.tub_v2(folder / "tub")
    (tub / "manifest.json").write_text("[]\n")
    return tub


def picture_elsewhere(folder):
    tub = logs.tub_v2(folder / "tub", num=1)
    text = (tub / "catalog_0.catalog").read_text()
    name = "0_cam_image_array_.jpg"
    (tub / "catalog_0.catalog").write_text(text.replace(name, f"../../{name}"))
    return tub


def catalog_elsewhere(folder):
    tub = logs.tub_v2(folder / "tub")
    text = (tub / "manifest.json").read_text()
    text = text.replace("catalog_0.catalog", "../secret.catalog")
    (tub / "manifest.json").write_text(text)
    return tub


def degrees(folder):
    rec = logs.carla(folder / "rec")
    text = (rec / "controls.csv").read_text().splitlines()
    rows = [row.split(",") for row in text[1:]]
    rows = [[*row[:3], str(25 * float(row[3])), *row[4:]] for row in rows]
    lines = [text[0], *map(",".join, rows)]
    (rec / "controls.csv").write_text("\n".join(lines))
    return rec


def no_steering(folder):
    folder.joinpath("rec").mkdir()
    (folder / "rec" / "a.csv").write_text("image,speed\na.png,3\n")
    return folder / "rec"


def nothing(folder):
    folder.joinpath("rec").mkdir()
    return folder / "rec"


def not_parquet(folder):
    source = logs.lerobot(folder / "set", "v3.0", as_video=False)
    next(source.rglob("data/**/*.parquet")).write_bytes(b"PAR1 and no more")
    return source


def nested(folder):
    tub = logs.tub_v1(folder / "tub", num=2)
    (tub / "record_0.json").write_text("[" * 100_000)
    return tub


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (cut_manifest, "manifest.json: no manifest of a tub, expected 5 lines"),
        (picture_elsewhere, "none of its rows can be used"),
        (catalog_elsewhere, "the catalog '../secret.catalog' lies elsewhere"),
        (degrees, "expected -1 to 1; say what it is at full lock to the right with"),
        (no_steering, "no column is known to hold the steering, found image, speed"),
        (nothing, "no log that is known, expected a donkeycar tub"),
        (not_parquet, "file-000.parquet: not a parquet table"),
        (nested, "record_0.json: not JSON"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_log_that_cannot_be_is_refused_and_leaves_nothing(
    tmp_path, make, message, capsys
):
    source = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["import", str(source), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said and len(without_bars(said)) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_rows_without_a_picture_are_left_out_and_said(tmp_path, capsys):
    tub = logs.tub_v2(tmp_path / "tub")
    (tub / "images" / "4_cam_image_array_.jpg").unlink()
    (tub / "images" / "5_cam_image_array_.jpg").write_bytes(b"")
    samples = bring_in(tub, tmp_path / "out")
    assert_alike(samples, [i for i in range(12) if i not in (4, 5)], 12)
    said = capsys.readouterr().out
    assert "4_cam_image_array_.jpg is not there" in said and ": empty" in said


def test_an_output_that_exists_is_kept(tmp_path, capsys):
    tub, out = logs.tub_v2(tmp_path / "tub"), tmp_path / "out"
    out.mkdir()
    assert main(["import", str(tub), "--out", str(out)]) == 1
    assert "out exists already; give another --out" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_what_is_imported_is_of_another_camera_and_says_so(tmp_path, capsys):
    bring_in(logs.tub_v2(tmp_path / "tub"), tmp_path / "out")
    assert read_origin(tmp_path / "out")["format"] == "donkeycar tub v2"
    capsys.readouterr()
    assert main([str(tmp_path / "out")]) == 0
    said = unwrapped(capsys.readouterr().out)
    assert "frames of 160x120" in said
    assert "the way back is taught by shifts, and the recording is not replayed" in said
