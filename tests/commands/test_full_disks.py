"""Disks that are full: one line, nothing half-written, and on when there is space."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import without_bars
from small_disk import fill

import augment
import evaluate
import explore
import export
import search
import simulate
import train
from simulator.film import Film
from training import progress

ROOT = Path(__file__).resolve().parents[2]
FULL = "No space left on device; make space there"


def names_in(folder):
    """Return what is in a folder, hidden files as well, but for what fills it."""
    return sorted(p.name for p in folder.iterdir() if p.name != "filler")


def said_once(capsys):
    """Return the one line of stderr, but for those that say how far something is."""
    err = capsys.readouterr().err
    lines = without_bars(err)
    assert len(lines) == 1, err
    return lines[0]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.8 * np.sin(np.arange(300) / 15))


@pytest.mark.parametrize(
    "arguments",
    [
        ["record", "lake", "--frames", "60"],
        ["render", "lake"],
        ["render", "lake", "--seconds", "6", "--camera", "chase"],
    ],
    ids=["recording", "picture", "film"],
)
def test_what_the_simulator_writes_is_whole_or_not_there(disk, capsys, arguments):
    name = {2: "sheet.png", 4: "lake", 6: "film.mp4"}[len(arguments)]
    arguments = [*arguments, "--out", str(disk / name)]
    filler = fill(disk, leave=60_000)
    assert simulate.main(arguments) == 1
    line = said_once(capsys)
    assert f"{disk}/" in line and FULL in line
    assert names_in(disk) == []
    filler.unlink()
    assert simulate.main(arguments) == 0
    assert names_in(disk) == [name]


def test_film_that_fails_at_its_end_says_so(disk):
    """A short film is written when all frames are in."""
    fill(disk)

    def film():
        with Film(disk / "a.mp4", (320, 160)) as film:
            for level in range(3):
                film.add(np.full((160, 320, 3), level, np.uint8))

    with pytest.raises(OSError, match="No space left on device"):
        film()
    assert names_in(disk) == []


def test_report_and_sheet_are_whole_or_not_there(disk, recording, capsys):
    filler = fill(disk, leave=20_000)
    assert explore.main([str(recording), "--out", str(disk / "report")]) == 1
    assert said_once(capsys).startswith(f"{disk / 'report'}: {FULL}")
    assert augment.main([str(recording), "--out", str(disk / "sheet.png")]) == 1
    assert said_once(capsys).startswith(f"{disk / 'sheet.png'}: {FULL}")
    report = ["zero", "--recording", str(recording), "--report", str(disk / "a.html")]
    assert evaluate.main(report) == 1
    assert said_once(capsys).startswith(f"{disk / 'a.html'}: {FULL}")
    assert names_in(disk) == []
    filler.unlink()
    assert augment.main([str(recording), "--out", str(disk / "sheet.png")]) == 0
    assert names_in(disk) == ["sheet.png"]


# --- Training -------------------------------------------------------------------------

SHORT = ["--epochs", "3", "--steps-per-epoch", "4", "--batch-size", "8"]


def test_full_cache_is_said_with_what_it_needs_and_the_name_is_free(
    disk, recording, tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("BC_CACHE_DIR", str(disk))
    argv = [str(recording), "--name", "a", "--models-dir", str(tmp_path / "models")]
    fill(disk, leave=500_000)
    assert train.main([*argv, *SHORT]) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    # 900 frames, of 66 x 200 pixels, in three colours.
    assert line.startswith(
        f"{disk / 'views'}: no space for the views of the frames, 36"
    )
    assert "MB are needed" in line and "let BC_CACHE_DIR name a folder" in line
    assert names_in(disk / "views") == []
    assert not (tmp_path / "models" / "a").exists()


def test_run_whose_disk_is_full_in_the_middle_goes_on_to_the_same_weights(
    disk, recording, tmp_path, monkeypatch, capsys
):
    argv = [str(recording), *SHORT, "--name"]
    assert train.main([*argv, "whole", "--models-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    save_state, filler = progress.save_state, None

    def save_then_fill(folder, network, reached):
        nonlocal filler
        save_state(folder, network, reached)
        if reached.epoch == 2:
            filler = fill(disk)

    monkeypatch.setattr(progress, "save_state", save_then_fill)
    models = ["--models-dir", str(disk)]
    assert train.main([*argv, "cut", *models]) == 1
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(f"{disk / 'cut'}/") and FULL in err
    assert err.endswith("then go on with --resume")
    kept = names_in(disk / "cut")
    assert not [name for name in kept if "partial" in name or name == ".lock"]
    with np.load(disk / "cut" / "state.npz") as state:
        assert json.loads(str(state["progress"]))["epoch"] == 2
    filler.unlink()
    assert train.main(["--name", "cut", *models, "--resume"]) == 0
    weights = [f / "model.weights.h5" for f in (disk / "cut", tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_full_disk_before_the_first_epoch_leaves_the_name_free(disk, recording, capsys):
    filler = fill(disk, leave=100_000)
    argv = [str(recording), *SHORT, "--name", "a", "--models-dir", str(disk)]
    assert train.main(argv) == 1
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(f"{disk / 'a' / 'model.weights.h5'}: {FULL}")
    assert names_in(disk) == []
    filler.unlink()


def test_exported_model_is_whole_or_not_there(disk, saved, capfd):
    model_path = saved[1] / "model.json"
    fill(disk, leave=100_000)
    argv = [str(model_path), "--to", "tflite", "--limit", "2"]
    assert export.main([*argv, "--out", str(disk / "a.tflite")]) == 1
    err = capfd.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(f"{disk / 'a.tflite'}: {FULL}")
    assert names_in(disk) == []


def test_search_whose_disk_is_full_says_so_and_leaves_no_study(disk, recording, capsys):
    pytest.importorskip("optuna")
    filler = fill(disk, leave=50_000)
    argv = [str(recording), "--study", str(disk / "s.sqlite"), "--trials", "1"]
    argv += ["--epochs", "2", "--steps", "2", "--part", "0", "0.7"]
    assert search.main(argv) == 1
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(f"{disk / 's.sqlite'}: No space left on device")
    assert names_in(disk) == []
    filler.unlink()
    assert search.main(argv) == 0


def test_drive_goes_on_when_its_recording_finds_no_space(disk, caplog):
    from driving.pilot import Command
    from driving.recorder import DriveRecorder
    from recordings.recording import read_recording

    picture = (ROOT / "data" / "sample" / "IMG").glob("center*.jpg")
    jpegs = [path.read_bytes() for path in sorted(picture)[:8]]
    fill(disk, leave=100_000)
    recorder = DriveRecorder(disk / "run")
    for number in range(80):
        recorder.add(jpegs[number % 8], 10.0, Command(0.1, 0.2))
    recorder.close()
    assert recorder.has_failed and 0 < recorder.written < 80
    assert "recording stops: " in caplog.text and "No space left" in caplog.text
    # What is there is whole.
    assert len(read_recording(disk / "run").samples) == recorder.written
    assert not list(disk.rglob("*.partial"))
