"""Searching settings: whole searches, what is said, that nothing is lost."""

import csv
import io
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from made_recordings import write_recording

pytest.importorskip("keras")
optuna = pytest.importorskip("optuna", reason="needs the dependency group search")
from search import main  # noqa: E402
from train import main as train  # noqa: E402
from training.settings import Settings  # noqa: E402
from tuning.search_report import best_trial, trials_table  # noqa: E402
from tuning.search_space import Plan  # noqa: E402
from tuning.search_trials import is_default, load_study  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PRUNED, WAITING = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.WAITING
# The smallest trials that still have two epochs.
SHORT = ["--epochs", "2", "--steps", "2", "--part", "0", "0.7"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.8 * np.sin(np.arange(300) / 15))


def search(recording, study_path, *more):
    return main([str(recording), "--study", str(study_path), *SHORT, *more])


# --- What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--part", "0", "1"], "--part 0 1 leaves nothing to hold"),
        (["--part", "0.7", "0.2"], "expected 0 <= FROM < TO <= 1"),
        (["--part", "0", "0.01"], "too few to split"),
        (["--epochs", "0"], "--epochs is 0, expected at least 1"),
        (["--steps", "-1"], "--steps is -1, expected >= 1"),
        (["--", "--epochs", "3"], "--epochs: give --epochs before the --"),
        (["--", "--name=x"], "--name: the runs are named by the search"),
        (
            ["--", "--validation-fraction", "0"],
            "--validation-fraction is 0, expected above 0",
        ),
        (["--", "--brightness", "7"], "--brightness is 7.0, expected 0 to 1"),
    ],
)
def test_mistake_is_told_in_one_line(recording, tmp_path, capsys, argv, said):
    assert main([str(recording), "--study", str(tmp_path / "s.sqlite"), *argv]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_no_trials_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["data/a", "--trials", "0"])
    assert "--trials is 0, expected more than 0" in capsys.readouterr().err


def test_help_loads_nothing_heavy_and_has_its_example():
    code = "import sys, search\ntry: search.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print({'tensorflow', 'optuna', 'pandas'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "Example:" in done.stdout and done.stdout.endswith("set()\n"), done.stderr


# --- Whole searches -------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(recording, tmp_path_factory):
    """A search of one trial, then gone on with: its file, and what it printed."""
    path, out = tmp_path_factory.mktemp("search") / "s.sqlite", io.StringIO()
    with redirect_stdout(out):
        assert search(recording, path, "--trials", "1") == 0
        (first,) = load_study(path).trials
        assert search(recording, path, "--trials", "2") == 0
    assert load_study(path).trials[0] == first
    said_first, said = out.getvalue().split("2 trials of at most")
    assert "no trial is better than the default" in said_first
    return path, said


def printed_command(out):
    """Return the arguments of train.py that a search has printed."""
    (line,) = re.findall(r"^python train\.py (.*)$", out, re.MULTILINE)
    return shlex.split(line)


def best_loss(run_dir):
    return json.loads((run_dir / "metrics.json").read_text())["best_val_loss"]


def test_search_leaves_runs_and_pictures(searched):
    path, _ = searched
    folder = path.with_suffix("")
    pictures = ["history.png", "importances.png", "parallel.png", "slice.png"]
    assert sorted(p.name for p in folder.iterdir()) == [*pictures, "trials"]
    for name in pictures:
        assert cv2.imread(str(folder / name)).shape[0] > 300
    assert sorted(p.name for p in (folder / "trials").iterdir()) == ["0000", "0001"]


def test_printed_command_reproduces_the_best_trial(searched, tmp_path):
    path, out = searched
    assert train([*printed_command(out), "--models-dir", str(tmp_path)]) == 0
    best = best_trial(load_study(path))
    # The same bits: the flags mean the very settings of the trial.
    assert best_loss(tmp_path / "s-best") == best.value


def test_value_of_a_trial_is_its_best_epoch(searched):
    path, _ = searched
    for trial in load_study(path).trials:
        history = path.with_suffix("") / "trials" / f"{trial.number:04d}/history.csv"
        with history.open() as file:
            losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
        assert trial.value == min(losses)
        assert losses[trial.user_attrs["best_epoch"] - 1] == min(losses)


def test_table_has_the_best_first(searched):
    path, out = searched
    study = load_study(path)
    plan = Plan(Settings(("/data/a",), steps_per_epoch=30))
    lines = trials_table(study, plan).splitlines()
    assert "\n".join(lines) in out
    assert lines[0].split()[:3] == ["trial", "state", "value"]
    assert lines[1].split()[0] == str(best_trial(study).number)
    assert sum("(default)" in line for line in lines) == 1


def test_search_says_whether_the_best_beats_the_default(searched):
    _, out = searched
    figures = {
        line.split("  ")[0]: [float(cell) for cell in line.split()[-2:]]
        for line in out.splitlines()
        if re.match(r"(default|trial \d+) +[\d.]+ +[\d.]+$", line)
    }
    default = figures.pop("default")
    if not figures:
        assert "no trial is better than the default" in out
    else:
        ((name, best),) = figures.items()
        assert best[0] <= default[0]
        beats = "beats" if best[1] < default[1] else "does not beat"
        assert f"{name} {beats} the default on held-out data" in out


def test_loss_that_is_not_finite_is_given_up_and_the_search_goes_on(
    recording, tmp_path, capsys
):
    path = tmp_path / "s.sqlite"
    more = ["--trials", "1", "--", "--learning-rate", "1e30"]
    assert search(recording, path, *more) == 0
    assert "no trial has run to its end yet" in capsys.readouterr().out
    assert [trial.state for trial in load_study(path).trials] == [PRUNED]


# --- Killed and interrupted -----------------------------------------------------------


def start(recording, path, *more):
    command = [sys.executable, str(ROOT / "search.py"), str(recording)]
    command += ["--study", str(path), *SHORT, *more]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(path):
    """Return the values of the finished trials by their number."""
    if not path.exists():
        return {}
    query = "SELECT number, value FROM trials LEFT JOIN trial_values USING (trial_id)"
    with sqlite3.connect(path, timeout=60) as study:
        rows = study.execute(query + " WHERE state IN ('COMPLETE', 'PRUNED')")
        return dict(rows.fetchall())


def wait_for(condition):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + 600
        time.sleep(0.2)


@pytest.mark.slow
def test_killed_search_loses_no_finished_trial_and_does_none_twice(
    shared_dir, tmp_path
):
    path, lake = tmp_path / "lake.sqlite", shared_dir / "data" / "lake"
    more = ["--trials", "20"]
    processes = [start(lake, path, *more) for _ in range(2)]
    seen = {}
    # Once one of the two is killed, then both.
    for num_finished, killed in ((3, [0]), (9, [0, 1])):
        wait_for(lambda n=num_finished: len(finished(path)) >= n)
        for i in killed:
            processes[i].kill()
        for i in killed:
            processes[i].communicate()
        seen |= finished(path)
        for i in killed:
            processes[i] = start(lake, path, *more)
    said = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    trials = load_study(path).trials
    done = finished(path)
    assert len(done) == 20
    assert {number: done[number] for number in seen} == seen
    values = [json.dumps(trials[number].params, sort_keys=True) for number in done]
    assert len(set(values)) == 20
    for out, _ in said:
        assert "on held-out data" in out or "no trial is better" in out
    assert train([*printed_command(said[0][0]), "--models-dir", str(tmp_path)]) == 0
    assert best_loss(tmp_path / "lake-best") == best_trial(load_study(path)).value


@pytest.mark.slow
def test_interrupted_search_puts_its_trial_back_at_once(recording, tmp_path):
    path = tmp_path / "s.sqlite"
    long = ["--workers", "2", "--steps", "2000"]
    process = start(recording, path, *long)
    logs = [tmp_path / f"s/trials/000{i}/train.log" for i in range(2)]
    wait_for(
        lambda: all(p.is_file() and "samples to train" in p.read_text() for p in logs)
    )
    # To the children as well, as a terminal sends it.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and "the same command goes on" in err
    states = [trial.state for trial in load_study(path).trials]
    assert states.count(WAITING) == 2 and len(states) == 4, err


@pytest.mark.slow
def test_killed_parent_takes_its_workers_along(recording, tmp_path):
    path = tmp_path / "s.sqlite"
    process = start(recording, path, "--workers", "2", "--steps", "2000")
    wait_for(lambda: (tmp_path / "s/trials/0001/train.log").is_file())
    children = psutil.Process(process.pid).children()
    assert len(children) >= 2
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=300)
    assert not alive


@pytest.mark.slow
def test_process_that_slept_leaves_its_trial_to_who_took_it(recording, tmp_path):
    path = tmp_path / "s.sqlite"
    more = ["--trials", "3", "--steps", "30"]
    sleeper = start(recording, path, *more)
    log = tmp_path / "s/trials/0000/train.log"
    wait_for(lambda: log.is_file() and "samples to train" in log.read_text())
    sleeper.send_signal(signal.SIGSTOP)
    other = start(recording, path, *more)
    wait_for(lambda: "FAIL" in [trial.state.name for trial in load_study(path).trials])
    sleeper.send_signal(signal.SIGCONT)
    (_, slept), (_, took) = (p.communicate(timeout=600) for p in (sleeper, other))
    assert (sleeper.returncode, other.returncode) == (0, 0), slept + took
    assert "trial 0: another process does it" in slept
    assert len(finished(path)) == 3
    assert sum(map(is_default, load_study(path).trials)) == 2
