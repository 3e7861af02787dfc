"""The table of runs: read from their folders alone, whatever is in them."""

import json
import os

import pytest

from common.errors import InputError
from common.text import WIDTH
from train import main
from training.run_list import COLUMNS, read_run, read_runs
from training.run_list import runs_table as table
from training.settings import Settings, changes_of

HISTORY = "epoch,loss,val_loss\n1,0.5,0.25\n2,0.4,0.125\n3,0.3,0.2\n"


def write_run(folder, changed=None, history=HISTORY, deg=(2.0, 4.0)):
    """Write what a run leaves, with settings of its own and one error a recording."""
    folder.mkdir(parents=True)
    settings = {"recordings": ["/data/a", "/data/b"], **(changed or {})}
    (folder / "config.json").write_text(json.dumps({"settings": settings}))
    if history:
        (folder / "history.csv").write_text(history)
    if deg:
        scores = {
            str(i): {"model": {"averaged_1_s": {"deg": error}}}
            for i, error in enumerate(deg)
        }
        (folder / "metrics.json").write_text(json.dumps({"validation": scores}))
    return folder


def test_run_is_read_from_its_folder(tmp_path):
    run = read_run(write_run(tmp_path / "x", {"epochs": 7}))
    assert run.name == "x"
    assert run.recordings == ("a", "b")
    assert run.changes == {"epochs": 7}
    assert run.num_epochs == 3
    assert run.best_val_loss == 0.125
    assert run.rmse_deg == 3.0
    assert run.autonomy_percent is None


def test_errors_on_its_own_training_frames_are_not_listed(tmp_path):
    run = read_run(write_run(tmp_path / "x", {"validation_fraction": 0.0}))
    assert (run.num_epochs, run.best_val_loss, run.rmse_deg) == (3, None, None)


def test_autonomy_is_the_lowest_of_this_model_only(tmp_path):
    folder = write_run(tmp_path / "x")
    limits = {"at_1_m": {"autonomy_percent": 80}, "at_2_m": {"autonomy_percent": 99}}
    evaluation = {
        "recordings": {"a": {"models/x/model.json": limits}},
        "tracks": {
            "lake": {
                "models/x/model.json": {"autonomy_percent": 90.5},
                "models/other/model.json": {"autonomy_percent": 10},
                "zero": {"autonomy_percent": 0},
            }
        },
        "benchmark": {"version": 1, "drivers": {"models/x/model.json": {"score": 1}}},
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    assert read_run(folder).autonomy_percent == 80


def test_run_killed_in_its_first_epoch_is_listed(tmp_path):
    run = read_run(write_run(tmp_path / "x", history=None, deg=None))
    assert (run.num_epochs, run.best_val_loss, run.rmse_deg) == (0, None, None)
    assert "x" in table([run])


def test_runs_are_listed_by_date_without_those_in_the_making(tmp_path):
    for name, when_s in (("late", 3e8), ("early", 1e8), (".new.partial", 2e8)):
        folder = write_run(tmp_path / name)
        os.utime(folder / "history.csv", (when_s, when_s))
    assert [run.name for run in read_runs(tmp_path)] == ["early", "late"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"part": [0.0, 1.0], "learning_rate": 0.001}, {}),
        ({"learning_rate": 0.0001}, {"learning_rate": 0.0001}),
        ({"learning_rate": 0.0001, "from_model": "m"}, {"from_model": "m"}),
        ({"augment": {"flip": 0.0, "noise": 6.0}}, {"flip": 0.0}),
        ({"unheard_of": 1}, {"unheard_of": 1}),
    ],
)
def test_changes_are_the_settings_that_differ(changed, expected):
    assert changes_of({"recordings": ["a"], **changed}) == expected


def test_default_settings_differ_in_nothing():
    from dataclasses import asdict

    document = json.loads(json.dumps(asdict(Settings(("a",)))))
    assert changes_of(document) == {}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("config.json", "{}", "not what train.py writes"),
        ("config.json", "{", "not JSON"),
        ("metrics.json", "[1]", "not a JSON object"),
        ("evaluation.json", "{", "not a JSON object"),
        ("evaluation.json", '{"tracks": 1}', "not what train.py writes"),
        ("history.csv", "epoch,val_loss\n1,many\n", "not what train.py writes"),
    ],
)
def test_damaged_run_is_named(tmp_path, name, content, text):
    folder = write_run(tmp_path / "x")
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=text):
        read_run(folder)


def test_list_prints_a_line_for_each_run(tmp_path, capsys):
    write_run(tmp_path / "one", {"epochs": 7, "batch_size": 32})
    write_run(tmp_path / "two", deg=None)
    assert main(["--list", str(tmp_path)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == list(COLUMNS)
    assert max(map(len, [heading, *lines])) <= WIDTH
    assert len(lines) == 2 + 2 + 2
    one = next(line for line in lines if line.startswith("one"))
    assert "3.00 deg" in one
    assert "  one: --epochs 7, --batch-size 32" in lines


def test_list_of_an_empty_folder_is_refused(tmp_path, capsys):
    assert main(["--list", str(tmp_path)]) == 1
    assert "no run in it" in capsys.readouterr().err
