"""Improving a model: whole commands, and what is refused."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from made_recordings import write_recording

import improve
from model import build_model
from network.files import save_model
from recordings.marks import Mark, Marks, change_marks
from training.settings import Settings


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    """An untrained model, which soon leaves the road."""
    import keras

    keras.utils.set_random_seed(3)
    return save_model(build_model(), tmp_path_factory.mktemp("model"))


def refusal(capsys, *arguments):
    assert improve.main([str(argument) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.slow
def test_hard_places_of_a_recording_are_trained_on_and_judged(
    model_path, tmp_path, capsys
):
    steering = 0.4 * np.sin(np.arange(120) / 8)
    folder = write_recording(tmp_path / "a", steering)
    marks = Marks((Mark(20, 60, "hard"),))
    change_marks(folder / "driving_log.csv", lambda _: marks)
    other = write_recording(tmp_path / "other", -steering, num_cameras=1)
    command = ["--recording", folder, "--guard", other, "--base", folder]
    command += ["--epochs", "1", "--steps-per-epoch", "2", "--name", "b", "--json"]
    command = [str(c) for c in (model_path, *command, "--models-dir", tmp_path)]
    assert improve.main(command) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["before"]["hard_places"] > 0
    assert document["before"]["elsewhere"] == 0 < document["before"]["guard"]
    assert document["before"]["marked_hard_off_m"] > 0
    assert (tmp_path / "b" / "model.json").exists() is document["accepted"]
    # Once more, the same command has nothing left to do.
    config = (tmp_path / "b" / "tuned" / "config.json").stat()
    assert improve.main(command) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == document
    assert (tmp_path / "b" / "tuned" / "config.json").stat() == config


def test_commands_of_before_go_on():
    """What improve.json records of a command is what it always was."""
    argv = ["models/a/model.json", "--name", "b", "--base", "data/a", "data/b"]
    args = improve.parse_args([*argv, "--track", "lake", "--json"])
    assert improve.given_of(args) == {
        "model": "models/a/model.json",
        "name": "b",
        "models_dir": "models",
        "base": ["data/a", "data/b"],
        "track": ["lake"],
        "judge": [],
        "frames": "3000",
        "speed": "20.0",
        "expert_drives": "False",
        "recording": [],
        "guard": [],
        "epochs": "4",
        "steps_per_epoch": "200",
        "learning_rate": "0.0003",
        "new_share": "0.5",
        "seed": "0",
    }


def test_refusals_say_what_to_give(model_path, tiny_recording, tmp_path, capsys):
    name = ("--name", "x", "--models-dir", tmp_path)
    assert "either --track, or" in refusal(capsys, model_path, *name)
    none = tmp_path / "none.json"
    assert "no such file" in refusal(capsys, none, "--track", "lake", *name)
    assert "give --base" in refusal(
        capsys, model_path, "--recording", tiny_recording, *name
    )
    guard = ("--track", "lake", "--guard", tmp_path)
    assert "--guard is for --recording" in refusal(capsys, model_path, *guard, *name)
    assert "no driving_log.csv" in refusal(
        capsys, model_path, "--recording", tmp_path, *name
    )
    nowhere = ("--track", "lake", "--judge", "nowhere")
    assert "--track nowhere" in refusal(capsys, model_path, *nowhere, *name)
    few = ("--track", "lake", "--frames", "5")
    assert "--frames is 5" in refusal(capsys, model_path, *few, *name)
    (tmp_path / "x").mkdir()
    assert "exists already" in refusal(
        capsys, model_path, "--track", "lake", "--base", tiny_recording, *name
    )


@pytest.mark.slow
def test_dagger_teaches_a_road_and_goes_on_after_a_stop(model_path, tmp_path, capsys):
    base = write_recording(tmp_path / "a", 0.1 * np.sin(np.arange(200) / 8))
    run = tmp_path / "model"
    run.mkdir()
    for name in ("model.json", "model.weights.h5"):
        (run / name).write_bytes(model_path.with_name(name).read_bytes())
    settings = Settings((str(base),))
    (run / "config.json").write_text(json.dumps({"settings": asdict(settings)}))
    command = [str(run / "model.json"), "--track", "random:1", "--frames", "1500"]
    command += ["--learning-rate", "1e-3", "--epochs", "3", "--steps-per-epoch", "100"]
    command += ["--name", "d", "--models-dir", str(tmp_path), "--json"]
    assert improve.main([*command, "--rounds", "1"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])["rounds"]
    assert improve.main([*command, "--rounds", "2"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rounds"]
    assert rows[:2] == first and len(rows) == 3
    assert rows[-1]["interventions"] < rows[0]["interventions"] / 2
    assert (tmp_path / "d" / "model.json").is_file()
