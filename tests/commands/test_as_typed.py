"""Commands as one types them first: without a name, a recording, a model."""

import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import check_printed, unwrapped, without_bars

import adopt
import augment
import dataset
import drive
import explore
import search
import train
from network.files import BASE_MODEL, load_model

ROOT = Path(__file__).resolve().parents[2]
MODEL_FILES = ("model.json", "model.weights.h5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to type commands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_log(folder):
    """Make a folder that looks like a recording."""
    folder.mkdir(parents=True)
    (folder / "driving_log.csv").write_text("")
    return folder


def said(capsys):
    return capsys.readouterr().err


# --- No recording ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [augment, dataset, explore, search, train],
    ids=lambda command: command.__name__,
)
def test_without_a_recording_in_data_one_is_told_how_to_record(here, capsys, command):
    name = command.__name__
    for make in (lambda: None, lambda: (here / "data" / "empty").mkdir(parents=True)):
        make()
        assert command.main([]) == 1
        assert said(capsys) == (
            "no recording given, and data holds none of yours; record one (python "
            "simulate.py record lake --out data/lake), then type: python "
            f"{name}.py data/lake\n"
        )


def test_the_sample_of_the_project_is_nobodys_own(here, capsys):
    (here / "data").symlink_to(ROOT / "data")
    own = list((ROOT / "data").glob("*/driving_log.csv"))
    if own != [ROOT / "data" / "sample" / "driving_log.csv"]:
        pytest.skip("there are recordings in data/")
    assert explore.main([]) == 1
    assert "data holds none of yours" in said(capsys)


def test_of_several_recordings_in_data_the_command_to_type_is_told(here, capsys):
    for name in ("b", "a b", "roads/random_1", "roads/random_2", ".partial.c"):
        write_log(here / "data" / name)
    assert train.main([]) == 1
    assert said(capsys) == (
        "no recording given, and data holds 4: data/a b, data/b, data/roads/random_1 "
        "and 1 more; type the command with one or more: python train.py 'data/a b' "
        "data/b data/roads/random_1\n"
    )
    assert not (here / "models").exists()
    assert augment.main([]) == 1
    assert said(capsys).endswith(
        "; type the command with one of them: python augment.py 'data/a b'\n"
    )


def test_the_only_recording_in_data_is_taken_and_said(here, capsys):
    write_recording(here / "data" / "bars", 0.8 * np.sin(np.arange(60) / 8))
    assert explore.main(["--json"]) == 0
    taken = "no recording given: taking data/bars, the only one of yours in data\n"
    assert without_bars(said(capsys)) == taken.splitlines()
    assert (here / "report" / "report.html").is_file()
    _, settings = train.open_run(train.parse_args([]))
    assert settings.recordings == (str(here / "data" / "bars"),)
    assert said(capsys) == taken


def test_udacitys_data_set_lies_in_data_itself_once_it_is_unpacked(here, capsys):
    write_recording(here / "data", 0.8 * np.sin(np.arange(60) / 8))
    (here / "__MACOSX").mkdir()
    assert dataset.main([]) == 0
    assert said(capsys) == (
        "no recording given: taking data, the only one of yours in data\n"
    )
    write_log(here / "data" / "mine")
    assert dataset.main([]) == 1
    assert "data holds 2: data, data/mine; " in said(capsys)


# --- No name --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recordings", "name"),
    [
        (["lake"], "lake"),
        (["lake/"], "lake"),
        (["lake/driving_log.csv"], "lake"),
        (["x/.hidden"], "hidden"),
        (["lake", "x/lake", "b"], "lake-b"),
        (["a", "b", "c"], "a-b-c"),
        (["a", "b", "c", "lake"], "a-and-3-more"),
        (["n" * 200], "n" * 50),
        (["base"], "base-2"),
    ],
)
def test_a_run_without_a_name_is_called_after_its_recordings(here, recordings, name):
    for folder in ("lake", "x/lake", "x/.hidden", "a", "b", "c", "base", "n" * 200):
        write_log(here / folder)
    (here / "models" / "base").mkdir(parents=True)
    folder, _ = train.open_run(train.parse_args(recordings))
    assert folder == Path("models", name)


def test_a_name_that_is_taken_gets_a_number(here, capsys):
    write_recording(here / "bars", 0.8 * np.sin(np.arange(300) / 15))
    for name in ("bars", "bars-2"):
        arguments = ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "8"]
        assert train.main(["bars", *arguments]) == 0
        said = capsys.readouterr().out
        check_printed(said)
        first, settings, *_ = unwrapped(said).splitlines()
        assert first == f"the run is called {name}, and lies in models/{name}"
        given = "--epochs 1, --steps-per-epoch 1, --batch-size 8"
        assert settings == f"settings: {given}; all are in config.json"
        assert (here / "models" / name / "metrics.json").is_file()


def test_resume_needs_the_name_of_the_run(here, capsys):
    with pytest.raises(SystemExit, match="2"):
        train.parse_args(["data/lake", "--resume"])
    assert "--resume needs --name, to say which run" in said(capsys)


# --- No model -------------------------------------------------------------------------


def first_lines_of_drive(here, count):
    """Return what drive.py without a model says before it is stopped."""
    command = [sys.executable, str(ROOT / "drive.py"), "--port", "0"]
    with subprocess.Popen(
        command, cwd=here, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stderr.readline().rstrip() for _ in range(count)]
        process.send_signal(signal.SIGINT)
        process.communicate()
    return lines


def put_run(here, name, age_s, *more):
    """Put a run that kept its weights so long ago."""
    folder = here / "models" / name
    folder.mkdir(parents=True)
    for file_name in MODEL_FILES:
        shutil.copy(BASE_MODEL.with_name(file_name), folder)
    for file_name in more:
        (folder / file_name).write_text("")
    now = folder.stat().st_mtime
    os.utime(folder / "model.weights.h5", (now - age_s, now - age_s))


def test_drive_without_a_model_takes_the_base_model_where_there_is_no_run(here):
    put_run(here, "a_strangers_model", 0)
    told, whose, loading = first_lines_of_drive(here, 3)
    assert told == "no model given, and no run in models: taking the base model"
    assert whose.startswith("the model is the project's own")
    assert loading.startswith(f"loading {BASE_MODEL}")


def test_drive_without_a_model_takes_the_newest_run(here):
    put_run(here, "old", 900, "history.csv")
    put_run(here, "new", 300, "history.csv")
    put_run(here, "better", 600, "improve.json")
    put_run(here, "not_an_epoch_yet", 0, "config.json")
    told, loading = first_lines_of_drive(here, 2)
    assert told == (
        "no model given: taking models/new/model.json, the newest run in models"
    )
    assert loading.startswith("loading models/new/model.json")


# --- A folder for its model.json ------------------------------------------------------

WITH_A_MODEL = {
    "drive": ["{}", "--port", "0"],
    "evaluate": ["{}", "zero", "--track", "lake"],
    "export": ["{}", "--to", "tflite"],
    "improve": ["{}", "--track", "random:1", "--name", "x"],
    "model": ["{}"],
    "train": ["bars", "--from", "{}", "--name", "x"],
}


@pytest.mark.parametrize("command", WITH_A_MODEL)
def test_a_runs_folder_stands_for_the_model_in_it(here, capsys, command):
    write_log(here / "bars")
    (here / "run").mkdir()
    (here / "run" / "model.json").write_text("{}")
    argv = [word.format("run") for word in WITH_A_MODEL[command]]
    assert importlib.import_module(command).main(argv) == 1
    # Of the very file: it is read, and refused for what is in it.
    (line,) = said(capsys).splitlines()[-1:]
    assert line.endswith("run/model.json: JSON, but not of a Keras model")


@pytest.mark.parametrize("command", WITH_A_MODEL)
def test_a_folder_without_a_model_is_refused_in_one_line(here, capsys, command):
    write_log(here / "bars")
    (here / "run").mkdir()
    argv = [word.format("run") for word in WITH_A_MODEL[command]]
    assert importlib.import_module(command).main(argv) == 1
    (line,) = said(capsys).splitlines()
    assert "run: no " in line and "model.json" in line


def test_a_model_is_driven_by_the_name_of_its_folder(here, capsys):
    import evaluate

    (here / "run").mkdir()
    for name in MODEL_FILES:
        shutil.copy(BASE_MODEL.with_name(name), here / "run")
    args = evaluate.parse_args(["run", "run/model.json", "zero", "--track", "lake"])
    assert args.drivers == ["run/model.json", "run/model.json", "zero"]


# --- A file of Keras for its model.json -----------------------------------------------


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_whole_keras_model_is_refused_with_the_way_which_leads_there(
    here, capsys, saved, ending
):
    path = here / f"a model{ending}"
    with warnings.catch_warnings(action="ignore"):  # That .h5 is an old format.
        saved[0].save(path)
    assert drive.main([str(path)]) == 1
    (line,) = said(capsys).splitlines()
    assert line.startswith(f"{path}: a model of Keras 3.")
    assert "takes pictures of 320x160, not yet one of this project's; adopt it" in line
    command, script, *words = shlex.split(line.partition("adopt it: ")[2])
    assert (command, script) == ("python", "adopt.py")
    assert adopt.main(words) == 0
    capsys.readouterr()
    out = here / words[-1]
    frame = np.full((1, 160, 320, 3), 90, np.uint8)
    steering = [
        float(m.predict_on_batch(frame)[0, 0])
        for m in (load_model(out / "model.json"), saved[0])
    ]
    assert steering[0] == pytest.approx(steering[1], abs=1e-6)
    shutil.copy(out / "model.json", here)
    # Where that is done already, that is the way.
    assert drive.main([str(path)]) == 1
    assert said(capsys).endswith(f"give {here / 'model.json'}, which lies beside it\n")


def test_weights_alone_are_refused_with_the_file_that_they_belong_to(here, capsys):
    put_run(here, "mine", 0)
    weights_path = here / "models" / "mine" / "model.weights.h5"
    assert drive.main([str(weights_path)]) == 1
    beside = weights_path.with_name("model.json")
    assert f"; give {beside}, which lies beside it" in said(capsys)
    beside.unlink()
    assert drive.main([str(weights_path)]) == 1
    assert "weights alone, saved by Keras, expected its layers as model.json" in said(
        capsys
    )
