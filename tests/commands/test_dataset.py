"""The command: every known kind of log is described, or refused in one line."""

import json
import os
from pathlib import Path

import pytest
from made_recordings import stamp
from printed import unwrapped, without_bars
from real_recordings import SHARED

from dataset import describe, main
from recordings.images import read_frame
from recordings.recording import read_recording

INDEX = SHARED / "wild_logs" / "INDEX.json"


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
        (line,) = without_bars(err)
        assert code == 1 and line.startswith(str(path))
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


def test_describe_gives_the_whole_document(tiny_recording):
    said = describe(read_recording(tiny_recording))
    assert said["rows"] == said["usable"] == 60 and said["sessions"] == 1
    assert said["first"] == {
        "center": f"center_{stamp(0)}.jpg",
        "steering": 0.0,
        "speed": 20.0,
    }


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
    assert "\\xff/driving_log.csv: 60 rows" in unwrapped(capfd.readouterr().out)


def test_cache_folder_that_cannot_be_made_names_the_way_out(
    tiny_recording, monkeypatch, tmp_path, capsys
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert main([str(tiny_recording)]) == 1
    assert "let BC_CACHE_DIR name a folder to write to" in capsys.readouterr().err
