"""Marks: read or refused in one line, and what they leave out as if never recorded."""

import csv
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_recordings import damage_image, stamp, write_recording

from common.errors import InputError
from recordings.log import find_log
from recordings.marks import (
    HEADER,
    Mark,
    Marks,
    Stretches,
    change_marks,
    marks_path,
    read_marks,
)
from recordings.recording import (
    read_recording,
    read_recordings,
    usable_rows,
    usable_samples,
)

HEAD = "from row,to row,mark,note\n"


def mark(folder, text):
    """Write the marks of a recording as a person does."""
    path = marks_path(folder / "driving_log.csv")
    path.write_text(HEAD + text)
    return path


def without_lines(folder, to, lines):
    """Copy a recording, but for lines of its log, counted from 1."""
    shutil.copytree(folder, to)
    marks_path(to / "driving_log.csv").unlink(missing_ok=True)
    log = to / "driving_log.csv"
    kept = [
        text
        for number, text in enumerate(log.read_text().splitlines(), start=1)
        if number not in lines
    ]
    log.write_text("\n".join(kept) + "\n")
    return to


def bytes_of(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".marks." not in path.name
    }


# --- The file -------------------------------------------------------------------------


def test_rows_are_the_lines_of_the_file_with_a_header_as_line_one(tiny_recording):
    mark(tiny_recording, "11,20,leave-out,crash\n")
    lines = list(usable_rows(read_recording(tiny_recording))["line"])
    assert lines == [*range(1, 11), *range(21, 61)]
    log = tiny_recording / "driving_log.csv"
    log.write_text(
        "center,left,right,steering,throttle,brake,speed\n" + log.read_text()
    )
    recording = read_recording(tiny_recording)
    assert recording.excluded == {"marked-out": 10}
    # One row down: what a row is, the line of the file says, and nothing else.
    lines = list(usable_rows(recording)["line"])
    assert lines == [*range(2, 11), *range(21, 62)]
    assert list(recording.samples["line"]) == list(range(2, 62))
    names = recording.samples["center"][recording.samples["excluded"] != ""]
    assert names.iloc[0].endswith(f"center_{stamp(0.9)}.jpg")


def test_a_header_cannot_be_left_out(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    head = "center,left,right,throttle,steering,brake,speed\n"
    log.write_text(head + log.read_text())
    mark(tiny_recording, "1,5,leave-out,\n")
    recording = read_recording(tiny_recording)
    assert recording.excluded == {"marked-out": 4} and recording.has_header
    assert (recording.samples["steering"] == 0.5).all()


def test_only_leaves_out_all_beside_it_and_leave_out_comes_first(tiny_recording):
    mark(tiny_recording, "11,30,only,\n41,45,only,\n20,42,leave-out,x\n")
    recording = read_recording(tiny_recording)
    lines = list(usable_rows(recording)["line"])
    assert lines == [*range(11, 20), 43, 44, 45]
    assert recording.excluded == {"marked-out": 48}
    assert "48 rows marked out: only 11-30, 41-45 to be used; 20-42 (x)" in (
        recording.warnings
    )


def test_hard_rows_stay_and_are_told(tiny_recording):
    mark(tiny_recording, "5,9,hard,bend\n8,8,leave-out,\n")
    recording = read_recording(tiny_recording)
    rows = usable_rows(recording)
    assert list(rows["line"][rows["is_hard"]]) == [5, 6, 7, 9]
    assert "4 rows marked hard: 5-9 (bend)" in recording.warnings


def test_what_is_written_is_read_again(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    entries = (
        Mark(1, 1, "hard", 'he said "brake", twice'),
        Mark(7, 60, "leave-out", "ünicode, 道"),
        Mark(3, 5, "only"),
    )
    change_marks(log, lambda marks: Marks((*marks.entries, *entries[:2])))
    change_marks(log, lambda marks: Marks((*marks.entries, entries[2])))
    assert read_marks(log).entries == entries
    with marks_path(log).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER and rows[1] == ["1", "1", "hard", entries[0].note]
    change_marks(log, lambda _: Marks())
    assert marks_path(log).read_text() == HEAD and read_marks(log) == Marks()


def test_what_a_spreadsheet_saves_is_read(tiny_recording):
    path = mark(tiny_recording, "")
    text = "From row;To row;Mark;Note\r\n5;9;hard;\r\n;;;\r\n\r\n"
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_marks(tiny_recording / "driving_log.csv").entries == (
        Mark(5, 9, "hard"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5,9,bad,\n", "line 2: mark is 'bad', expected leave-out, only or hard"),
        ("9,5,hard,\n", "line 2: rows 9 to 5, expected a first row of 1 or more"),
        ("0,5,hard,\n", "line 2: rows 0 to 5, expected a first row of 1 or more"),
        ("1,2,hard,\n1.5,9,hard,\n", "line 3: row is '1.5', expected a number"),
        ("-1,9,hard,\n", "line 2: row is '-1', expected a number"),
        ("²,9,hard,\n", "line 2: row is '²', expected a number"),
        ("9" * 5000 + ",9,hard,\n", "line 2: row is '999"),
        ("5,9\n", "line 2: found 2 cells, expected from row, to row, mark, note"),
        ("5,9,hard,a,b\n", "line 2: found 5 cells, expected"),
        ("5,9,hard," + "x" * 300 + "\n", "note of 300 characters, expected one line"),
        ('5,9,hard,"a\nb"\n', "note of 3 characters, expected one line"),
        ("5,9,hard,\x1b[2J\n", "note of 4 characters, expected one line"),
        ("5,61,hard,\n", "line 2: rows 5 to 61, expected rows of the log, which ends"),
        ('1,2,hard,\n5,9,hard,"\n', "line 3: unexpected end of data"),
    ],
)
def test_bad_marks_are_refused_in_one_line(tiny_recording, text, said):
    path = mark(tiny_recording, text)
    with pytest.raises(InputError) as refused:
        read_recording(tiny_recording)
    message = str(refused.value)
    assert message.startswith(str(path)) and said in message and "\n" not in message


def test_another_header_another_encoding_and_a_pipe_are_refused(tiny_recording):
    path = mark(tiny_recording, "")
    for content, said in (
        (b"first,last,mark,note\n1,2,hard,\n", "expected the header from row,to row"),
        ("5,9,hard,\n".encode("utf-16"), "no UTF-8 text"),
        (b"\0" * 2_000_000, "2,000,000 bytes, expected at most 1,000,000"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_recording(tiny_recording)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="no regular file"):
        read_recording(tiny_recording)


def test_marks_beside_a_log_of_another_name_are_no_second_log(tiny_recording):
    log = tiny_recording / "driving_log.csv"
    log = log.rename(log.with_name("lap 1.csv"))
    change_marks(log, lambda _: Marks((Mark(1, 9, "leave-out"),)))
    assert (tiny_recording / "lap 1.marks.csv").is_file()
    assert find_log(tiny_recording) == log
    assert read_recording(tiny_recording).excluded == {"marked-out": 9}


# --- What it changes ------------------------------------------------------------------


def test_marking_touches_neither_log_nor_images(tiny_recording):
    before = bytes_of(tiny_recording)
    log = tiny_recording / "driving_log.csv"
    change_marks(log, lambda _: Marks((Mark(1, 9, "leave-out"),)))
    read_recording(tiny_recording)
    assert bytes_of(tiny_recording) == before
    names = {path.name for path in tiny_recording.iterdir()}
    assert names == {"IMG", log.name, marks_path(log).name}


def without_times(lines):
    return [line.replace("_2024_03_01_", "_") for line in lines]


def with_a_duplicate(lines):
    return [*lines[:60], *lines[80:90], *lines[62:]]


def reversing_at_the_ends(lines):
    def back(line, i):
        return line.rsplit(",", 3)[0] + f",0,1,{i % 7}"

    return [
        back(line, i) if 48 <= i < 95 and i % 9 else line
        for i, line in enumerate(lines)
    ]


def bad_rows_and_degrees(lines):
    degrees = [line.rsplit(",", 4)[0] + ",17.5,0,0,20" for line in lines[61:80]]
    return [*lines[:60], "no row at all", *degrees, *lines[80:]]


def with_headers(lines):
    head = "center,left,right,steering,throttle,brake,speed"
    return [head, *lines[:70], head, *lines[70:]]


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A recording of 16 s and one camera, with a damaged image; it is copied."""
    folder = tmp_path_factory.mktemp("d") / "r"
    write_recording(folder, np.sin(np.arange(160) / 30), num_cameras=1)
    damage_image(sorted((folder / "IMG").glob("center_*"))[65], "cut")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines,
        without_times,
        with_a_duplicate,
        reversing_at_the_ends,
        bad_rows_and_degrees,
        with_headers,
    ],
)
def test_rows_that_are_marked_out_are_as_if_never_recorded(drive, tmp_path, change):
    folder = shutil.copytree(drive, tmp_path / "a" / "r")
    log = folder / "driving_log.csv"
    lines = change(log.read_text().splitlines())
    log.write_text("\n".join(lines) + "\n")
    if change is without_times:
        for path in (folder / "IMG").iterdir():
            path.rename(path.with_name(path.name.replace("_2024_03_01_", "_")))
    headers = {i for i, line in enumerate(lines, start=1) if line.startswith("center,")}
    out = set(range(50, 91)) - headers
    other = without_lines(folder, tmp_path / "b" / "r", out)
    mark(folder, "50,70,leave-out,\n65,90,leave-out,\n")
    marked, removed = read_recording(folder), read_recording(other)
    columns = ["steering", "throttle", "brake", "speed_mph", "time_s", "session"]
    left = [usable_samples([each]) for each in (marked, removed)]
    for column in columns:
        np.testing.assert_array_equal(left[0][column], left[1][column], column)
    names = [[Path(path).name for path in rows["center"]] for rows in left]
    assert names[0] == names[1] and len(names[0]) > 90
    counted = dict(marked.excluded)
    assert counted.pop("marked-out") == len(out)
    assert counted == removed.excluded
    assert (np.diff(marked.samples["line"]) > 0).all()
    assert marked.fingerprint != removed.fingerprint


def test_fingerprint_follows_what_marks_say_and_nothing_else(tiny_recording):
    def found(text):
        mark(tiny_recording, text)
        return read_recording(tiny_recording).fingerprint

    path = mark(tiny_recording, "")
    plain = found("")
    path.unlink()
    assert read_recording(tiny_recording).fingerprint == plain
    out = found("5,9,leave-out,crash\n")
    assert found("7,9,leave-out,\n5,8,leave-out,again\n") == out
    assert len({plain, out, found("5,9,hard,\n"), found("5,9,only,\n")}) == 4


def test_a_frame_that_is_marked_out_can_be_taken_from_another_recording(
    tiny_recording, tmp_path
):
    copy = shutil.copytree(tiny_recording, tmp_path / "copy")
    mark(tiny_recording, "5,60,leave-out,\n")
    recordings = read_recordings([tiny_recording, copy])
    assert recordings[1].excluded == {"shared-frame": 4}
    assert len(usable_samples(recordings)) == 60


def test_a_recording_that_is_marked_out_as_a_whole_is_not_used(tiny_recording):
    mark(tiny_recording, "1,60,leave-out,nothing good\n")
    recording = read_recording(tiny_recording)
    assert len(recording.samples) == 60
    with pytest.raises(InputError, match="none of its 60 rows can be used; 60 rows ma"):
        usable_rows(recording)


def test_stretches_join_and_turn_round():
    stretches = Stretches([(5, 9), (1, 2), (3, 3), (8, 12)])
    assert list(stretches) == [(1, 3), (5, 12)]
    rows = [row for row in range(15) if row in stretches]
    assert rows == [1, 2, 3, *range(5, 13)]
    assert [row for row in range(1, 15) if row in stretches.others()] == [4, 13, 14]
    assert not Stretches() and next(iter(Stretches().others()))[0] == 1
