"""Reviewing without the page: marks set and taken back, moments, models compared."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import planted_faults
import pytest
from made_recordings import write_recording
from printed import check_printed, unwrapped

import dataset
import review
from evaluation.review.look import LABEL_AFTER_S, LABEL_BEFORE_S
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HEAD = "from row,to row,mark,note\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two takes of 12 s; it is copied."""
    folder = tmp_path_factory.mktemp("d") / "drive"
    write_recording(folder, 0.5 * np.sin(np.arange(240) / 12), num_cameras=1)
    log = folder / "driving_log.csv"
    lines = log.read_text().splitlines()
    later = [line.replace("_10_00_", "_10_07_") for line in lines[120:]]
    for path in (folder / "IMG").iterdir():
        if any(path.name in line for line in lines[120:]):
            path.rename(path.with_name(path.name.replace("_10_00_", "_10_07_")))
    log.write_text("\n".join([*lines[:120], *later]) + "\n")
    return folder


@pytest.fixture
def drive(made, tmp_path):
    return shutil.copytree(made, tmp_path / "drive")


def marks_in(folder):
    path = folder / "driving_log.marks.csv"
    assert path.read_text().startswith(HEAD)
    return path.read_text().removeprefix(HEAD).splitlines()


def run(capsys, *words):
    assert review.main([str(word) for word in words]) == 0
    out = capsys.readouterr().out
    if "--json" in words:
        return out
    check_printed(out)
    return unwrapped(out)


def refused(capsys, *words):
    assert review.main([str(word) for word in words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def contents(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".marks." not in path.name
    }


# --- Marks ----------------------------------------------------------------------------


def test_rows_are_left_out_and_counted_and_nothing_else_is_touched(drive, capsys):
    before = contents(drive)
    said = run(capsys, drive, "--leave-out", "20:40", "--note", "crash")
    assert f"{drive}: marked: rows 20 to 40, leave-out (crash)" in said
    assert "219 rows used, 240 without marks; 0.4 of 0.4 min; 0 rows hard" in said
    assert said.endswith(f"next: python train.py {drive}\n")
    assert marks_in(drive) == ["20,40,leave-out,crash"]
    assert contents(drive) == before
    assert dataset.main([str(drive), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["excluded"] == {"marked-out": 21}


def test_several_marks_at_once_open_ends_and_taking_the_newest_back(drive, capsys):
    run(capsys, drive, "--leave-out", ":9", "--leave-out", "200:", "--hard", "50")
    assert marks_in(drive) == ["1,9,leave-out,", "200,240,leave-out,", "50,50,hard,"]
    said = run(capsys, drive, "--undo")
    assert "undone: rows 50 to 50, hard" in said
    run(capsys, drive, "--undo")
    run(capsys, drive, "--undo")
    assert marks_in(drive) == []
    assert "no mark, so there is nothing to undo" in refused(capsys, drive, "--undo")


def test_the_newest_take_is_discarded_then_the_one_before(drive, capsys):
    run(capsys, drive, "--discard-last", "2.5")
    assert marks_in(drive) == ["216,240,leave-out,take discarded"]
    run(capsys, drive, "--discard-last", "--note", "wall")
    assert marks_in(drive)[1] == "121,215,leave-out,wall"
    run(capsys, drive, "--discard-last")
    assert marks_in(drive)[2] == "1,120,leave-out,take discarded"
    line = refused(capsys, drive, "--discard-last")
    assert "every row of it is left out already" in line


def test_the_list_says_what_the_marks_change(drive, capsys):
    run(capsys, drive, "--only", "1:120", "--hard", "30:39", "--note", "bridge")
    document = json.loads(run(capsys, drive, "--list", "--json"))
    (found,) = document["recordings"]
    assert found["marks"][1] == {
        "from_row": 30,
        "to_row": 39,
        "mark": "hard",
        "note": "bridge",
    }
    changes = found["changes"]
    assert (changes["usable_before"], changes["usable_after"]) == (240, 120)
    assert (changes["marked_out"], changes["hard"]) == (120, 10)
    assert changes["minutes_before"] == pytest.approx(0.4, abs=0.01)
    assert changes["minutes_after"] == pytest.approx(0.2, abs=0.01)
    steering = changes["steering"]
    assert sum(steering["before"]) == 240 and sum(steering["after"]) == 120
    assert len(steering["edges"]) == len(steering["after"]) + 1
    assert document["next"] == f"python train.py {drive}"
    table = run(capsys, drive, "--list")
    assert "rows 1 to 120, only (bridge)" in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--leave-out", "9:999"], "rows 9 to 999, expected rows of the log, 1 to 240"),
        (["--leave-out", "40:20"], "rows 40 to 20, expected rows of the log"),
        (["--hard", "0:0"], "rows 0 to 0, expected rows of the log"),
        (["--only", "5:9", "--note", "x" * 300], "note of 300 characters, expected"),
        (
            ["--only", "5:9", "--note", "a\nb"],
            "note of 3 characters, expected one line",
        ),
    ],
)
def test_what_cannot_be_marked_is_refused_and_changes_nothing(
    drive, capsys, words, said
):
    assert said in refused(capsys, drive, *words)
    assert not (drive / "driving_log.marks.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--leave-out", "x"], "'x', expected rows of the log: FROM:TO, FROM:, :TO or"),
        (["--leave-out", ":"], "':', expected rows of the log"),
        (["--leave-out=-5:9"], "'-5:9', expected rows of the log"),
        (["--undo", "--leave-out", "1:2"], "give one of them at a time"),
        (["--note", "why"], "it says why rows are marked; mark some, too"),
        (["--undo", "--note", "why"], "it says why rows are marked"),
        (["b", "--leave-out", "1:2"], "rows are those of one recording; give one"),
        (["--compare", "1:2"], "needs --model, to say whose steering"),
        (["--discard-last", "-1"], "'-1', expected seconds above 0"),
        (["--discard-last", "nan"], "'nan', expected seconds above 0"),
        (["--moments", "0"], "'0', expected a number above 0"),
    ],
)
def test_wrong_usage_is_said(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        review.main(["a", *words])
    assert said in capsys.readouterr().err


def test_marks_of_two_commands_at_once_are_all_kept(drive):
    commands = [
        [sys.executable, "review.py", str(drive), "--leave-out", f"{10 * i}:{10 * i}"]
        for i in range(1, 5)
    ]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert sorted(marks_in(drive)) == [
        f"{10 * i},{10 * i},leave-out," for i in range(1, 5)
    ]


def test_labels_of_the_review_are_those_of_training():
    defaults = {field.name: field.default for field in fields(Settings)}
    assert (
        defaults["label_before_s"],
        defaults["label_after_s"],
    ) == (LABEL_BEFORE_S, LABEL_AFTER_S)


# --- What to look at ------------------------------------------------------------------


def test_moments_are_told_until_they_are_left_out(drive, capsys):
    log = drive / "driving_log.csv"
    lines = log.read_text().splitlines()
    cells = lines[60].split(",")
    lines[60] = ",".join([*cells[:3], "1.0", *cells[4:]])
    log.write_text("\n".join(lines) + "\n")
    (first, *_) = json.loads(run(capsys, drive, "--moments", "--json"))["moments"]
    assert first["from_row"] <= 61 <= first["to_row"] and first["recording"] == str(
        drive
    )
    assert "full lock to the right in one row" in first["reason"]
    said = run(capsys, drive, "--moments", "1")
    assert said.endswith(f"{first['reason']}\n")
    run(capsys, drive, "--leave-out", "50:70")
    document = json.loads(run(capsys, drive, "--moments", "--json"))
    assert all(each["row"] != first["row"] for each in document["moments"])


def test_models_are_compared_on_the_same_rows(drive, saved, capsys):
    model = saved[1]
    shutil.copytree(model, drive.parent / "other")
    words = [drive, "--model", model, drive.parent / "other", "--compare", "11:60"]
    found = json.loads(run(capsys, *words, "--json"))["compared"]
    assert [each["rows"] for each in found] == [50, 50]
    assert found[0]["model"] != found[1]["model"]
    assert found[0]["rmse_taught"] == found[1]["rmse_taught"] > 0
    assert found[0]["rmse_recorded"] != found[0]["rmse_taught"]
    table = run(capsys, *words).splitlines()
    assert table[1].split()[1:3] == ["50", f"{found[0]['rmse_taught']:.4f}"]


@pytest.mark.parametrize("seed", [0])
def test_planted_faults_are_among_the_first_moments(shared_dir, seed):
    """Of 20, at least 10 without a model; docs/results.md has all seeds and pairs."""
    data = shared_dir / "data"
    found = planted_faults.look(data / "lake", data / "jungle", seed, [])
    assert found["without"]["found"] >= 18, found


@pytest.mark.slow
def test_planted_faults_are_among_the_first_moments_of_a_model(shared_dir):
    data, base = shared_dir / "data", ROOT / "models" / "base" / "model.json"
    found = planted_faults.look(data / "lake", data / "jungle", 1, [base])
    assert found["with"]["found"] >= 18, found
