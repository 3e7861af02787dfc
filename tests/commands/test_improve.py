"""Improving a model: the states of DAgger, hard places, and what is kept."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from made_recordings import write_recording

import improve
from common.errors import InputError
from evaluation.closed_loop import Job
from model import build_model
from network.files import save_model
from recordings.recording import read_recording, usable_samples
from training import epochs as fitting
from training.settings import Settings
from tuning.dagger import best_round, record_round, record_states
from tuning.fine_tuning import draw_share, tune
from tuning.hard_places import hard_images, is_better


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


def test_half_of_the_draws_are_of_what_is_wanted():
    is_wanted = np.array([True, False, False, False, True])
    drawn = draw_share(is_wanted, 0.5)
    assert drawn.sum() == pytest.approx(1)
    assert drawn[is_wanted].sum() == pytest.approx(0.5)
    for alike in (np.zeros(4, bool), np.ones(4, bool)):
        np.testing.assert_array_equal(draw_share(alike, 0.9), np.full(4, 0.25))


def test_states_are_recorded_with_what_the_expert_would_do(tmp_path):
    """Who never steers is put back again and again; the log says how to steer."""
    put_back = record_states(tmp_path / "states", Job("zero", "lake"), 200)
    recording = read_recording(tmp_path / "states")
    samples = usable_samples([recording])
    assert len(recording.samples) == 200 and put_back >= 2
    assert samples["session"].nunique() == put_back + 1
    assert samples["steering"].abs().max() > 0.3


def test_recording_of_states_that_was_killed_leaves_nothing_behind(
    tmp_path, model_path
):
    cut_short = tmp_path / ".states1.partial" / ".lake_round1.abc"
    (cut_short / "IMG").mkdir(parents=True)
    args = improve.parse_args([str(model_path), "--name", "x", "--expert-drives"])
    args.frames = 20
    states = record_round(args, tmp_path, model_path, ["lake"], 1)
    assert [path.name for path in states.iterdir()] == ["lake_round1"]


def test_hard_places_go_on_after_a_kill(tmp_path, model_path, monkeypatch, capsys):
    """What is there after a kill is this command's own, not somebody's folder."""
    recording = write_recording(tmp_path / "bars", np.sin(np.arange(300) / 20))
    argv = [model_path, "--recording", recording, "--base", recording, "--name", "x"]
    argv += ["--models-dir", tmp_path, "--epochs", "1", "--steps-per-epoch", "1"]

    def killed(folder, settings, draw):
        folder.mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tuning.hard_places.tune", killed)
        with pytest.raises(KeyboardInterrupt):
            improve.main([str(each) for each in argv])
    (tmp_path / "x" / "tuned").rmdir()
    assert improve.main([str(each) for each in argv]) == 0
    assert "elsewhere" in capsys.readouterr().out
    assert "accepted" in json.loads((tmp_path / "x" / "improve.json").read_text())


def test_tuning_that_is_stopped_is_not_done(tmp_path, model_path, monkeypatch):
    """Ctrl-C ends the program; the same command goes on where it was."""
    recording = write_recording(tmp_path / "bars", np.sin(np.arange(300) / 20))
    settings = Settings((str(recording),), epochs=2, steps_per_epoch=1, batch_size=8)
    settings = replace(settings, from_model=str(model_path))
    fit_epoch = fitting.fit_epoch

    def stopped(network, batches, title, interruption):
        interruption.requested = True
        return fit_epoch(network, batches, title, interruption)

    def draw(samples):
        return np.full(len(samples), 1 / len(samples))

    monkeypatch.setattr(fitting, "fit_epoch", stopped)
    for _ in range(2):
        with pytest.raises(InputError, match="stopped; the same command goes on"):
            tune(tmp_path / "tuned", settings, draw)
    monkeypatch.setattr(fitting, "fit_epoch", fit_epoch)
    assert tune(tmp_path / "tuned", settings, draw).is_file()
    assert json.loads((tmp_path / "tuned" / "metrics.json").read_text())["is_finished"]


def test_an_expert_who_drives_is_recorded_as_simulate_records_him(tmp_path):
    assert record_states(tmp_path / "states", Job("expert", "lake"), 60) == 0
    recording = read_recording(tmp_path / "states")
    assert recording.samples["steering"].abs().max() < 0.3


def test_hard_places_begin_before_the_intervention_and_end_with_the_session():
    time_s = np.concatenate([np.arange(0, 10, 0.5), np.arange(100, 110, 0.5)])
    session = np.repeat([0, 1], 20)
    samples = pd.DataFrame({"time_s": time_s, "session": session})
    samples["center"] = range(40)
    # At 6 s: from 2 s to 7 s; and a second after the second session's first row.
    assert hard_images(samples, [12]) == set(range(4, 15))
    assert hard_images(samples, [20]) == {20, 21, 22}


@pytest.mark.parametrize(
    ("after", "better"),
    [
        ({"hard_places": 3, "elsewhere": 2, "guard": 1}, True),
        ({"hard_places": 5, "elsewhere": 0, "guard": 0}, False),
        ({"hard_places": 0, "elsewhere": 3, "guard": 1}, False),
        ({"hard_places": 0, "elsewhere": 2, "guard": 2}, False),
    ],
)
def test_better_is_fewer_in_hard_places_and_no_more_elsewhere(after, better):
    before = {"hard_places": 5, "elsewhere": 2, "guard": 1}
    assert is_better(before, after) is better


def test_the_best_round_has_fewest_interventions_then_the_smallest_error():
    def row(number, interventions, error_m):
        return {
            "round": number,
            "interventions": interventions,
            "mean_abs_cross_track_error_m": error_m,
        }

    rows = [row(0, 2, 0.1), row(1, 0, 0.4), row(2, 0, 0.3), row(3, 1, 0.1)]
    assert best_round(rows)["round"] == 2


def test_hard_places_of_a_recording_are_trained_on_and_judged(
    model_path, tmp_path, capsys
):
    steering = 0.4 * np.sin(np.arange(120) / 8)
    folder = write_recording(tmp_path / "a", steering)
    other = write_recording(tmp_path / "other", -steering, num_cameras=1)
    command = ["--recording", folder, "--guard", other, "--base", folder]
    command += ["--epochs", "1", "--steps-per-epoch", "2", "--name", "b", "--json"]
    command = [str(c) for c in (model_path, *command, "--models-dir", tmp_path)]
    assert improve.main(command) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["before"]["hard_places"] > 0
    assert document["before"]["elsewhere"] == 0 < document["before"]["guard"]
    assert (tmp_path / "b" / "model.json").exists() is document["accepted"]
    # Once more, the same command has nothing left to do.
    config = (tmp_path / "b" / "tuned" / "config.json").stat()
    assert improve.main(command) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == document
    assert (tmp_path / "b" / "tuned" / "config.json").stat() == config


def test_refusals_say_what_to_give(model_path, tmp_path, capsys):
    name = ("--name", "x", "--models-dir", tmp_path)
    assert "either --track, or" in refusal(capsys, model_path, *name)
    none = tmp_path / "none.json"
    assert "no such file" in refusal(capsys, none, "--track", "lake", *name)
    assert "give --base" in refusal(capsys, model_path, "--recording", tmp_path, *name)
    guard = ("--track", "lake", "--guard", tmp_path)
    assert "--guard is for --recording" in refusal(capsys, model_path, *guard, *name)
    few = ("--track", "lake", "--frames", "5")
    assert "--frames is 5" in refusal(capsys, model_path, *few, *name)
    (tmp_path / "x").mkdir()
    assert "exists already" in refusal(
        capsys, model_path, "--track", "lake", "--base", tmp_path, *name
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
