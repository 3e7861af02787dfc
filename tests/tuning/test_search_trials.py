"""The trials of a search: who does which, and that none is lost or done twice."""

import csv
import sqlite3

import numpy as np
import pytest
from made_recordings import write_recording

pytest.importorskip("keras")
optuna = pytest.importorskip("optuna", reason="needs the dependency group search")
from common.errors import InputError  # noqa: E402
from train import run  # noqa: E402
from training.selection import Driving  # noqa: E402
from training.settings import Settings  # noqa: E402
from tuning import search_trials  # noqa: E402
from tuning.search_space import Plan, default_values, suggest  # noqa: E402
from tuning.search_trials import (  # noqa: E402
    Worker,
    is_surplus,
    load_study,
    next_step,
    open_study,
    put_back,
)

COMPLETE, PRUNED, WAITING = (
    optuna.trial.TrialState.COMPLETE,
    optuna.trial.TrialState.PRUNED,
    optuna.trial.TrialState.WAITING,
)


def make_plan(**changed):
    fixed = changed.pop("fixed", ())
    given = {"recordings": ("/data/a",), "steps_per_epoch": 30} | changed
    return Plan(Settings(**given), fixed)


# Asking for a trial without running it here leaves it without a heartbeat.
asks = pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning")


@pytest.fixture
def study(tmp_path):
    return open_study(tmp_path / "s.sqlite", make_plan(), {"/data/a": "1"})


@asks
def test_trial_that_is_put_back_comes_again_with_its_values_once(study):
    plan = make_plan()
    assert suggest(study.ask(), plan) == default_values(plan)
    drawn = study.ask()
    values = suggest(drawn, plan)
    assert put_back(study, drawn.number)
    assert not put_back(study, drawn.number)
    again = study.ask()
    assert again.number == 2
    assert suggest(again, plan) == values
    assert suggest(study.ask(), plan) != values


@asks
def test_default_that_is_put_back_is_still_the_default(study):
    put_back(study, study.ask().number)
    again = study.ask()
    assert search_trials.is_default(again)
    assert suggest(again, make_plan()) == default_values(make_plan())


@asks
def test_worker_waits_for_the_last_trials_of_others_then_ends(study):
    assert next_step(study, 2) == "run"
    first, second = study.ask(), study.ask()
    assert next_step(study, 2) == "wait"
    assert next_step(study, 3) == "run"
    study.tell(first, 0.5)
    put_back(study, second.number)
    assert next_step(study, 2) == "run"
    study.tell(study.ask(), 0.4)
    assert next_step(study, 2) == "end"


@asks
def test_trial_killed_before_its_first_sign_of_life_is_put_back(study, monkeypatch):
    study.ask()
    assert next_step(study, 1) == "wait"
    monkeypatch.setattr(search_trials, "GRACE_S", 0)
    assert next_step(study, 1) == "run"
    assert [trial.state for trial in study.trials][1:] == [WAITING]


@asks
def test_one_trial_too_many_is_told_by_its_number(study):
    trials = [study.ask() for _ in range(4)]
    assert [is_surplus(trial, 3) for trial in trials] == [False, False, False, True]
    put_back(study, 1)
    again = study.ask()
    assert not is_surplus(again, 4)
    assert is_surplus(again, 3)


@asks
def test_study_goes_on_with_what_it_has(study, tmp_path):
    study.tell(study.ask(), 0.25)
    again = open_study(tmp_path / "s.sqlite", make_plan(), {"/data/a": "1"})
    assert [trial.value for trial in again.trials] == [0.25]


@asks
def test_study_of_before_a_setting_was_retired_goes_on(tmp_path):
    plan = make_plan()
    began_with = plan.to_json() | {"data_fingerprints": {}}
    began_with["settings"] |= {"weigh_recordings": "equal"}
    path = tmp_path / "s.sqlite"
    search_trials._create(path, began_with, default_values(plan))
    assert len(open_study(path, plan, {}).trials) == 1


# --- What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "fingerprint", "said"),
    [
        (make_plan(epochs=3), "1", "began with epochs 30, now it is 3"),
        (make_plan(fixed=("flip",)), "1", r"began with fixed \[\], now it is \['flip'"),
        (make_plan(), "2", "began with data_fingerprints"),
    ],
)
def test_two_searches_do_not_mix(study, tmp_path, plan, fingerprint, said):
    with pytest.raises(InputError, match=said):
        open_study(tmp_path / "s.sqlite", plan, {"/data/a": fingerprint})


@pytest.mark.parametrize("content", [b"", b"text", "table"])
def test_file_that_is_no_study_is_refused_and_left(tmp_path, content):
    path = tmp_path / "s.sqlite"
    if content == "table":
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE mine (a)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"not a study of search.py"):
        open_study(path, make_plan(), {})
    assert path.read_bytes() == before


def test_folder_of_another_study_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(InputError, match="s exists already, without"):
        open_study(tmp_path / "s.sqlite", make_plan(), {})


def test_place_that_cannot_hold_a_study_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        open_study(tmp_path / "file" / "s.sqlite", make_plan(), {})
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(InputError, match=r"not a study of search.py"):
        open_study(tmp_path / "folder.sqlite", make_plan(), {})


@pytest.mark.parametrize("name", ["study", "a?b.sqlite", "a{b}.sqlite"])
def test_name_that_cannot_be_a_study_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="expected one like"):
        open_study(tmp_path / name, make_plan(), {})


# --- What is given up -----------------------------------------------------------------


@asks
def test_trial_that_drives_worse_than_most_is_given_up(tmp_path):
    recording = write_recording(tmp_path / "bars", 0.8 * np.sin(np.arange(300) / 15))
    path = tmp_path / "s.sqlite"
    driving = {"epochs": 3, "steps_per_epoch": 2, "select": "driving"}
    plan = make_plan(recordings=(str(recording),), fixed=("preset",), **driving)
    study = open_study(path, plan, {})
    study.tell(study.ask(), 0.0)
    for _ in range(5):
        study.add_trial(
            optuna.create_trial(
                state=COMPLETE, value=0.0, intermediate_values={1: 0.0, 2: 0.0, 3: 0.0}
            )
        )
    Worker(path, plan, num_trials=7, run=run)()
    worse = load_study(path).trials[-1]
    assert (worse.number, worse.state, worse.last_step) == (6, PRUNED, 2)
    with (tmp_path / "s/trials/0006/history.csv").open() as file:
        epochs = [
            Driving(*map(float, list(row.values())[3:])) for row in csv.DictReader(file)
        ]
    assert [e.penalty for e in epochs] == list(worse.intermediate_values.values())
