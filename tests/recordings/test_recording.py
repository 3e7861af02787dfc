"""Recordings: every known kind of log is read or refused, and nothing leaks."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_recordings import damage_image, stamp, write_recording
from real_recordings import SHARED

from common.errors import InputError
from dataset import describe, main
from recordings.images import read_frame
from recordings.log import read_log
from recordings.recording import read_recording, usable_samples
from recordings.split import part_of, rest_of, split_by_time
from recordings.steering import smooth_steering

ROOT = Path(__file__).resolve().parents[2]
INDEX = SHARED / "wild_logs" / "INDEX.json"


# --- Logs of other people -------------------------------------------------------------


def wild_logs():
    if not INDEX.is_file():
        return [pytest.param(None, id="absent")]
    index = json.loads(INDEX.read_text())
    entries = index["real"] + index["synthetic"]
    return [pytest.param(entry, id=entry["file"]) for entry in entries]


@pytest.mark.parametrize("entry", wild_logs())
def test_wild_log_is_read_or_refused_as_expected(entry, capsys):
    if entry is None:
        pytest.skip(f"needs {INDEX}")
    expect = entry["expect"]
    path = (INDEX.parent / entry["file"]).resolve()
    code = main([str(path), "--json"])
    out, err = capsys.readouterr()
    if expect.get("error") or (code and expect.get("or_error")):
        assert code == 1 and err.startswith(str(path)) and err.count("\n") == 1
        return
    assert code == 0, err
    said = json.loads(out)
    for name in ("rows", "has_header", "cameras"):
        assert said[name] == expect.get(name, said[name]), name
    for row in ("first", "last"):
        for name in ("center", "steering", "speed"):
            wanted = expect.get(f"{row}_{name}", said[row][name])
            assert said[row][name] == wanted, (row, name)
    if "duplicates" in expect:
        assert said["excluded"]["duplicate-row"] == expect["duplicates"]
    if expect.get("warn") == "abs(steering)>1":
        assert "degrees?" in " ".join(said["warnings"])
        assert "steering-out-of-range" in said["excluded"]
    elif expect.get("warn"):
        assert said["warnings"]


PATHS = "IMG/center_{0}.jpg,IMG/left_{0}.jpg,IMG/right_{0}.jpg"


def log_of(tmp_path, *lines, end="\n"):
    path = tmp_path / "driving_log.csv"
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_line_ends_and_byte_order_mark_change_nothing(tmp_path, end, mark):
    rows = [f"{PATHS.format(stamp(i / 10))},0.{i},1,0,9" for i in range(3)]
    log = read_log(log_of(tmp_path, mark + rows[0], *rows[1:], end=end))
    assert [row.steering for row in log.rows] == [0.0, 0.1, 0.2]
    assert log.rows[0].images[0] == f"center_{stamp(0)}.jpg" and not log.warnings


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [f"{PATHS.format('a')},-0,0858,0,1286,0,9,5"],
            r"row 1: found 7 numbers \(-0,0858,0,1286,0,9,5\), expected 4; .*LC_ALL=C",
        ),
        (
            [f"{PATHS.format('a')},0,0,0,5", f"{PATHS.format('b')},0,5,0,0,5"],
            "row 2: found 5 numbers",
        ),
        (["a,b,c"], "row 1: found no centre image"),
        (["left,right,speed"], "row 1: the header has no column for center"),
        ([f"{PATHS.format('a')},nan,1,0,9"], "row 1: steering is 'nan', expected a"),
    ],
)
def test_refusal_names_file_row_and_what_to_do(tmp_path, rows, message):
    path = log_of(tmp_path, *rows)
    with pytest.raises(InputError, match=message) as caught:
        read_log(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_one_more_column_beside_decimal_points_is_left_out(tmp_path):
    rows = [f"{PATHS.format('a')},0.5,1,0,9.5,7", f"{PATHS.format('b')},0.25,1,0,9.5"]
    log = read_log(log_of(tmp_path, *rows))
    assert [(row.steering, row.speed_mph) for row in log.rows] == [
        (0.5, 9.5),
        (0.25, 9.5),
    ]


def test_columns_follow_the_header_whatever_their_order(tmp_path):
    rows = ["speed,steering_angle,center_image", "12.5,-0.5,IMG/center_a.jpg"]
    row = read_log(log_of(tmp_path, *rows)).rows[0]
    assert (row.speed_mph, row.steering, row.images) == (
        12.5,
        -0.5,
        ("center_a.jpg", "", ""),
    )


def test_folder_without_a_log_says_where_logs_are(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "driving_log.csv").write_text("x")
    with pytest.raises(InputError, match="it holds the recordings a: give those"):
        read_recording(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        read_recording(tmp_path / "none")


# --- Checks ---------------------------------------------------------------------------


def folder_digest(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def test_faulty_rows_are_excluded_softly_and_named(tiny_recording):
    images = tiny_recording / "IMG"
    center = sorted(images.glob("center_*"))
    damage_image(center[3], "empty")
    damage_image(center[4], "cut")
    center[5].write_bytes(b"\xff\xd8 no picture \xff\xd9")
    center[6].unlink()
    shutil.copy(center[8], center[9])
    damage_image(sorted(images.glob("left_*"))[10], "cut")
    log = tiny_recording / "driving_log.csv"
    rows = log.read_text().splitlines()
    rows[20] = rows[20].rsplit(",", 4)[0] + ",3.5,0,0,20"
    rows[21] = rows[21].rsplit(",", 1)[0] + ",0.2"
    rows[30:34] = [
        f"{row.rsplit(',', 3)[0]},0,1,{2 + i}" for i, row in enumerate(rows[30:34])
    ]
    rows.append(rows[40])
    rows.append(rows[41].rsplit(",", 4)[0] + ",nan,0,0,20")
    log.write_text("\n".join(rows) + "\n")
    before = folder_digest(tiny_recording)
    recording = read_recording(tiny_recording)
    assert recording.excluded == {
        "bad-number": 1,
        "duplicate-row": 1,
        "empty-image": 1,
        "missing-image": 1,
        "reversing": 3,
        "stale-frame": 1,
        "standing": 1,
        "steering-out-of-range": 1,
        "truncated-image": 1,
        "unreadable-image": 1,
    }
    said = " ".join(recording.warnings)
    assert "1 rows have no good left image" in said
    assert "up to 3.5, expected [-1, 1]; was it logged in degrees?" in said
    assert folder_digest(tiny_recording) == before
    assert len(usable_samples([recording])) == len(recording.samples) - 10


def test_fingerprint_follows_log_and_images(tiny_recording):
    first = read_recording(tiny_recording).fingerprint
    assert read_recording(tiny_recording).fingerprint == first
    center = sorted((tiny_recording / "IMG").glob("center_*"))
    shutil.copy(center[0], center[1])
    second = read_recording(tiny_recording).fingerprint
    log = tiny_recording / "driving_log.csv"
    log.write_text(log.read_text().replace("0.5,0,20", "0.4,0,20"))
    assert len({first, second, read_recording(tiny_recording).fingerprint}) == 3


def test_images_are_found_by_name_wherever_the_log_says_they_were(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    windows = log.read_text().replace("IMG/", "C:\\Users\\Roe, Anna\\IMG\\")
    log.write_text(windows.replace(".jpg", ".JPG"))
    recording = read_recording(tiny_recording)
    assert not recording.excluded
    assert Path(recording.samples["left"].iloc[0]).parent == tiny_recording / "IMG"


def test_gap_and_step_back_in_time_start_sessions(tmp_path):
    folder = write_recording(tmp_path / "a", np.zeros(30))
    log = folder / "driving_log.csv"
    rows = log.read_text().splitlines()
    log.write_text("\n".join(rows[20:] + rows[:5] + rows[18:20]) + "\n")
    samples = read_recording(folder).samples
    assert list(samples["session"]) == [0] * 10 + [1] * 5 + [2] * 2


def test_shuffled_log_is_named(tiny_recording, rng):
    log = tiny_recording / "driving_log.csv"
    rows = log.read_text().splitlines()
    log.write_text("\n".join(rng.permutation(rows)) + "\n")
    assert "is the log shuffled?" in " ".join(read_recording(tiny_recording).warnings)
    log.write_text("\n".join([*rows[40:], *rows[20:40], *rows[:20]]) + "\n")
    assert not read_recording(tiny_recording).warnings


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


def test_describe_gives_the_whole_document(tiny_recording):
    said = describe(read_recording(tiny_recording))
    assert said["rows"] == said["usable"] == 60 and said["sessions"] == 1
    assert said["first"] == {
        "center": f"center_{stamp(0)}.jpg",
        "steering": 0.0,
        "speed": 20.0,
    }


def test_same_recording_twice_is_refused(tiny_recording, tmp_path):
    shutil.copytree(tiny_recording, tmp_path / "copy")
    both = [read_recording(tiny_recording), read_recording(tmp_path / "copy")]
    with pytest.raises(InputError, match="the same recording as"):
        usable_samples(both)


# --- Split and labels -----------------------------------------------------------------


def made_up_samples(rng, sessions, recording="a"):
    """Rows at 10 to 15 Hz in sessions of the given lengths [s], with gaps between."""
    parts, begin = [], 1e9
    for number, seconds in enumerate(sessions):
        times = begin + np.cumsum(rng.uniform(0.065, 0.1, int(seconds * 12)))
        parts.append(
            pd.DataFrame(
                {
                    "time_s": times,
                    "session": number,
                    "recording": recording,
                    "steering": rng.uniform(-1, 1, len(times)),
                }
            )
        )
        begin = times[-1] + 1.5
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("sessions", [[30], [100], [20, 20, 300], [5, 60], [1000]])
def test_no_validation_frame_is_within_2_s_of_a_training_frame(sessions, rng):
    samples = made_up_samples(rng, sessions)
    for seed in range(5):
        train, held_out = split_by_time(samples, 0.2, np.random.default_rng(seed))
        times = samples["time_s"].to_numpy()
        gap = np.abs(times[held_out][:, None] - times[train][None]).min()
        assert gap >= 2
        assert 0.1 < len(held_out) / len(samples) < 0.3
        assert len(train) > 0.4 * len(samples)


def test_recordings_of_one_name_keep_names_of_their_own(tmp_path):
    folders = [tmp_path / "lake-2", tmp_path / "a" / "lake", tmp_path / "b" / "lake"]
    for i, folder in enumerate(folders):
        folder.parent.mkdir(exist_ok=True)
        write_recording(folder, np.full(20, i / 10))
    samples = usable_samples([read_recording(folder) for folder in folders])
    assert samples["recording"].nunique() == 3


def test_fraction_of_nothing_trains_on_all(rng):
    samples = made_up_samples(rng, [30])
    train, validation = split_by_time(samples, 0.0, rng)
    assert train.tolist() == validation.tolist() == list(range(len(samples)))
    _, validation = split_by_time(samples, 0.0, rng, whole=["other"])
    assert len(validation) == len(samples)
    with pytest.raises(InputError, match="none to validate on"):
        split_by_time(samples, 0.0, rng, whole=set(samples["recording"]))


def test_every_session_is_validated_on(rng):
    samples = made_up_samples(rng, [60, 60, 60])
    _, held_out = split_by_time(samples, 0.2, rng)
    assert set(samples["session"].iloc[held_out]) == {0, 1, 2}


def test_split_follows_from_the_rng_and_differs_between_seeds(rng):
    samples = made_up_samples(rng, [300])
    first, again, other = (
        split_by_time(samples, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[1], other[1])


def test_too_little_to_split_says_so(rng):
    with pytest.raises(InputError, match="too few to split"):
        split_by_time(made_up_samples(rng, [3]), 0.2, rng)


def test_smooth_steering_is_the_mean_over_the_window_of_its_session(rng):
    samples = made_up_samples(rng, [10, 10])
    smooth = smooth_steering(samples, 0.3, 0.7)
    for i in rng.integers(0, len(samples), 40):
        row = samples.iloc[i]
        after = samples["time_s"] - row["time_s"]
        near = (after >= -0.3) & (after <= 0.7) & (samples["session"] == row["session"])
        expected = samples["steering"][near].mean()
        assert smooth[i] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(
        smooth_steering(samples, 0, 0), samples["steering"], atol=1e-6
    )


def test_refused_log_is_one_line_and_exit_code_1(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1


def test_names_that_are_no_text_are_read(tiny_recording, capfd):
    folder = Path(os.fsdecode(os.fsencode(tiny_recording) + b"\xff"))
    tiny_recording.rename(folder)
    recording = read_recording(folder)
    assert not recording.excluded
    assert read_frame(recording.samples["center"].iloc[0]).shape == (160, 320, 3)
    assert main([str(folder)]) == 0
    assert "\\xff/driving_log.csv: 60 rows" in capfd.readouterr().out


def test_link_to_nowhere_and_folder_named_as_an_image_are_missing(tiny_recording):
    center = sorted((tiny_recording / "IMG").glob("center_*"))
    for path in center[:2]:
        path.unlink()
    center[0].symlink_to(tiny_recording / "none.jpg")
    center[1].mkdir()
    assert read_recording(tiny_recording).excluded == {"missing-image": 2}


def test_cache_folder_that_cannot_be_made_names_the_way_out(
    tiny_recording, monkeypatch, tmp_path, capsys
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert main([str(tiny_recording)]) == 1
    assert "let BC_CACHE_DIR name a folder to write to" in capsys.readouterr().err


def test_clips_of_recoveries_are_split_whole_and_mostly_trained_on(rng):
    samples = made_up_samples(rng, [60, *[3] * 40])
    train, held_out = split_by_time(samples, 0.2, rng)
    session = samples["session"].to_numpy()
    clips = session > 0
    assert len(np.unique(session[held_out])) == 1 + 8
    assert not set(session[held_out][clips[held_out]]) & set(session[train])
    times = samples["time_s"].to_numpy()
    assert np.abs(times[held_out][:, None] - times[train][None]).min() >= 2
    assert clips[train].sum() > 0.3 * clips.sum()


def test_log_without_speeds_is_used(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    log.write_text(log.read_text().replace(",20.0\n", ",0\n"))
    recording = read_recording(tiny_recording)
    assert not recording.excluded
    assert "every speed is 0" in recording.warnings[0]


def test_sample_that_comes_with_the_project_is_a_whole_recording():
    recording = read_recording(ROOT / "data" / "sample")
    assert len(usable_samples([recording])) == 16 and not recording.warnings
    assert recording.cameras == ("center", "left", "right")
    assert (np.diff(recording.samples["time_s"]) < 0.07).all()


def test_parts_of_each_recording_meet_without_overlap(tmp_path):
    folders = [
        write_recording(tmp_path / n, np.zeros(k)) for n, k in (("a", 7), ("b", 4))
    ]
    samples = usable_samples([read_recording(folder) for folder in folders])
    first, second = (part_of(samples, part) for part in ((0, 0.5), (0.5, 1)))
    assert first.groupby("recording").size().to_dict() == {"a": 4, "b": 2}
    lines = [*first["center"], *second["center"]]
    assert sorted(lines) == sorted(samples["center"])
    assert first.index.tolist() == list(range(6))


def test_rest_of_each_recording_is_apart_from_the_part(tmp_path):
    folders = [
        write_recording(tmp_path / name, np.full(100, steering))
        for name, steering in (("a", 0.0), ("b", 0.1))
    ]
    samples = usable_samples([read_recording(folder) for folder in folders])
    rest = rest_of(samples, (0.4, 0.6), margin_s=2.0)
    rows = 100 * (rest["recording"] == "b") + rest["line"] - 1
    # A row is 0.1 s: those less than 2 s before row 40, and after row 59, are left out.
    expected = [*range(20), *range(80, 100)]
    assert rows.tolist() == expected + [100 + row for row in expected]
    assert rest.index.tolist() == list(range(80))
    assert rest_of(samples, (0.0, 1.0)).empty
