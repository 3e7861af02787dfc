"""Training: it learns, it can be killed at any moment, and it loses nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import unwrapped

from common.errors import InputError

pytest.importorskip("keras")
from common.errors import NonFiniteLossError
from network.exported import copies_of, exported_copy
from network.files import BASE_MODEL, load_model
from train import main, run
from training.preparation import read_split
from training.run_folder import make_run
from training.samples import TrainingSet, with_shares
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# The smallest run that still has several epochs with several batches each.
SHORT = ["--epochs", "3", "--steps-per-epoch", "4", "--batch-size", "8"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, wave(300))


def said(capsys):
    """Return what was said on stderr."""
    return capsys.readouterr().err


def wave(num_rows):
    return 0.8 * np.sin(np.arange(num_rows) / 15)


def train(recording, models_dir, name, *more, expect=0):
    """Run train.py's main; return the run's folder."""
    argv = [str(recording), "--name", name, "--models-dir", str(models_dir), *more]
    assert main(argv) == expect
    return models_dir / name


def weights_of(folder):
    return load_model(folder / "model.json").get_weights()


@pytest.fixture(scope="module")
def unbroken(recording, tmp_path_factory):
    """A run that nothing has stopped; what it said lies beside it."""
    models_dir = tmp_path_factory.mktemp("models")
    with (models_dir / "said.txt").open("w") as out, redirect_stdout(out):
        return train(recording, models_dir, "unbroken", *SHORT)


def copy_of(run_folder, models_dir):
    """Return a copy of a run that other tests use, too."""
    return Path(shutil.copytree(run_folder, models_dir / run_folder.name))


def test_run_leaves_every_file_and_nothing_half_written(unbroken):
    (copy,) = copies_of(unbroken / "model.json")
    assert copy == exported_copy(unbroken / "model.json", unbroken / "model.weights.h5")
    assert sorted(path.name for path in unbroken.iterdir()) == [
        "config.json",
        "history.csv",
        "loss.png",
        "metrics.json",
        copy.name,
        "model.json",
        "model.weights.h5",
        "predictions.png",
        "state.npz",
    ]
    assert len((unbroken / "history.csv").read_text().splitlines()) == 1 + 3


def test_config_rebuilds_the_settings(unbroken, recording):
    config = json.loads((unbroken / "config.json").read_text())
    settings = Settings.from_json(config["settings"])
    assert settings.recordings == (str(recording),) and settings.epochs == 3
    assert list(config["data_fingerprints"]) == [str(recording)]
    assert {"keras", "numpy", "git_commit"} <= set(config["versions"])


def test_run_ends_with_figures_and_the_next_command(unbroken):
    out = (unbroken.parent / "said.txt").read_text()
    assert "epoch 03/03 | loss" in out
    assert unwrapped(out).endswith(f"next: python drive.py {unbroken}\n")


def test_training_beats_the_constant(recording, tmp_path):
    """Enough steps to read the bar: far below what any constant can reach."""
    more = ["--epochs", "6", "--steps-per-epoch", "25", "--batch-size", "32"]
    folder = train(recording, tmp_path, "bars", *more, "--side-camera-share", "0")
    scores = json.loads((folder / "metrics.json").read_text())["validation"]["bars"]
    error, zero = (
        scores[who]["averaged_1_s"]["steering"] for who in ("model", "always_zero")
    )
    assert error < 0.5 * zero
    assert scores["model"]["raw"]["deg"] == pytest.approx(
        25 * scores["model"]["raw"]["steering"]
    )


def test_with_nothing_set_aside_all_of_it_trains(recording, tmp_path, capsys):
    folder = train(recording, tmp_path, "all", *SHORT, "--validation-fraction", "0")
    metrics = json.loads((folder / "metrics.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    split = read_split(Settings.from_json(config["settings"]))
    assert metrics["training_samples"] == len(split.samples) == len(split.validation)
    assert metrics["is_held_out"] is False
    assert "RMSE of steering on what it was trained on" in capsys.readouterr().out


def test_same_seed_gives_the_same_weights(recording, unbroken, tmp_path):
    again = train(recording, tmp_path, "again", *SHORT)
    other = train(recording, tmp_path, "other", *SHORT, "--seed", "1")
    for a, b in zip(weights_of(unbroken), weights_of(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(weights_of(unbroken)[0], weights_of(other)[0])


def start(recording, models_dir, name, *more, cores=None):
    """Start train.py, on some of the cores only."""
    command = [sys.executable, str(ROOT / "train.py"), str(recording), "--name", name]
    command += ["--models-dir", str(models_dir), *SHORT, *more]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=cores and (lambda: os.sched_setaffinity(0, cores)),
    )


def until_line(process, begin):
    """Wait until a run prints a line that begins so."""
    assert any(line.startswith(begin) for line in process.stdout)


def finish(process):
    """Wait for a run to end well; return what it says."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def one_core():
    """One of several cores."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores, and a system that lets a program use one")
    return {min(os.sched_getaffinity(0))}


@pytest.mark.slow
def test_a_run_goes_on_with_fewer_cores_to_the_same_weights(
    recording, unbroken, tmp_path, one_core
):
    folder = tmp_path / "moved"
    config = json.loads((unbroken / "config.json").read_text())
    settings = Settings.from_json(config["settings"])
    make_run(folder, settings)

    def stop(progress):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(folder, settings, after_epoch=stop)
    out = finish(start(recording, tmp_path, "moved", "--resume", cores=one_core))
    assert f"{config['threads']} threads compute, on 1 core" in out
    for a, b in zip(weights_of(unbroken), weights_of(folder), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_deterministic_weights_are_the_same_on_any_number_of_cores(
    recording, tmp_path, one_core
):
    for name, cores in (("all", None), ("one", one_core)):
        finish(start(recording, tmp_path, name, "--deterministic", cores=cores))
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["threads"] == 4
    for a, b in zip(
        weights_of(tmp_path / "all"), weights_of(tmp_path / "one"), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def check_files(folder):
    """Load what a run has left so far."""
    if (folder / "model.weights.h5").exists():
        load_model(folder / "model.json")
    for path in folder.glob("*.json"):
        json.loads(path.read_text())


def check_same(unbroken, resumed):
    """Hold a run that was killed, and has ended at last, against the unbroken one."""
    for a, b in zip(weights_of(unbroken), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    histories = [(folder / "history.csv").read_text() for folder in (unbroken, resumed)]
    assert histories[0] == histories[1]
    assert not list(resumed.glob("*partial*"))


def test_killed_run_resumes_to_the_same_weights(recording, unbroken, tmp_path):
    process = start(recording, tmp_path, "killed")
    until_line(process, "epoch 01")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    check_files(tmp_path / "killed")
    finish(start(recording, tmp_path, "killed", "--resume"))
    check_same(unbroken, tmp_path / "killed")


@pytest.mark.slow
def test_run_killed_20_times_resumes_to_the_same_weights(
    recording, unbroken, tmp_path, rng
):
    """At any moment, also before there is a folder."""
    started_s = time.monotonic()
    finish(start(recording, tmp_path, "whole"))
    whole_s = time.monotonic() - started_s
    folder = tmp_path / "killed"
    for _ in range(20):
        resume = ["--resume"] if folder.exists() else []
        process = start(recording, tmp_path, "killed", *resume)
        try:
            process.communicate(timeout=rng.uniform(0.1, 1.0) * whole_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        check_files(folder)
    resume = ["--resume"] if folder.exists() else []
    finish(start(recording, tmp_path, "killed", *resume))
    check_same(unbroken, folder)


def test_ctrl_c_stops_after_the_batch_and_keeps_the_best(recording, tmp_path):
    process = start(recording, tmp_path, "stopped", "--epochs", "1000")
    until_line(process, "epoch 02")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopping after this batch" in err
    assert "next: python drive.py" in unwrapped(out)
    best = json.loads((tmp_path / "stopped" / "metrics.json").read_text())
    assert best["epochs"] < 1000
    load_model(tmp_path / "stopped" / "model.json")


def test_epoch_that_is_cut_short_leaves_the_weights_of_the_best(
    recording, unbroken, tmp_path, monkeypatch
):
    """What --resume takes for the best is what lies on the disk."""
    folder = copy_of(unbroken, tmp_path)
    argv = ["--name", folder.name, "--models-dir", str(tmp_path), "--resume"]
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["epochs"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    before = (folder / "model.weights.h5").read_bytes()

    def cut_short(engine, network, batches, title):
        return 0.0, 1.0, True

    monkeypatch.setattr("training.epochs.OneProcess.train_epoch", cut_short)
    monkeypatch.setattr("training.epochs.validation_loss", lambda *_: 0.0)
    assert main(argv) == 130
    assert (folder / "model.weights.h5").read_bytes() == before
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["epochs"], metrics["is_finished"]) == (3, False)


def test_ctrl_c_before_the_first_epoch_leaves_the_name_free(
    recording, tmp_path, capsys, monkeypatch
):
    def stopped(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.preparation.read_split", stopped)
    folder = train(recording, tmp_path, "early", *SHORT, expect=130)
    assert capsys.readouterr().err.endswith("stopped\n")
    assert not folder.exists()


def test_refused_resume_leaves_a_run_that_has_hardly_begun(unbroken, tmp_path, capsys):
    folder = copy_of(unbroken, tmp_path)
    for path in folder.iterdir():
        if path.name != "config.json":
            path.unlink()
    argv = ["--name", folder.name, "--models-dir", str(tmp_path), "--resume"]
    assert main([*argv, "--workers", "3"]) == 1
    assert "--workers is 3, expected a divisor" in capsys.readouterr().err
    assert (folder / "config.json").is_file()


def test_existing_run_is_refused_and_untouched(recording, unbroken, capsys):
    before = {path: path.read_bytes() for path in unbroken.iterdir()}
    train(recording, unbroken.parent, unbroken.name, *SHORT, expect=1)
    assert "exists already; give another --name, or --resume" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in unbroken.iterdir()} == before


def test_resume_with_another_setting_is_refused(recording, unbroken, capsys):
    more = ("--resume", "--learning-rate", "0.5")
    train(recording, unbroken.parent, unbroken.name, *more, expect=1)
    message = "the run to resume has learning_rate 0.0001, now it is 0.5"
    assert message in capsys.readouterr().err


def test_resume_without_a_run_is_refused(recording, tmp_path, capsys):
    train(recording, tmp_path, "none", "--resume", expect=1)
    assert "no such run" in capsys.readouterr().err


def test_recording_with_one_camera_trains_and_must_not_change(tmp_path, capsys):
    recording = write_recording(tmp_path / "one", wave(120), num_cameras=1)
    folder = train(recording, tmp_path, "run", "--epochs", "1", *SHORT[2:])
    log = recording / "driving_log.csv"
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    train(recording, tmp_path, folder.name, "--resume", expect=1)
    assert "its recordings have changed" in capsys.readouterr().err


def test_fine_tuning_never_ends_worse_than_it_began(recording, unbroken, tmp_path):
    """With a rate that ruins the weights, the model it starts from is kept."""
    start_model = str(unbroken / "model.json")
    more = ("--from", start_model, "--learning-rate", "10", *SHORT)
    folder = train(recording, tmp_path, "ruined", *more)
    for a, b in zip(weights_of(unbroken), weights_of(folder), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fine_tuning_starts_from_the_given_weights(recording, unbroken, tmp_path):
    start_model = str(unbroken / "model.json")
    tuned = train(recording, tmp_path, "tuned", "--from", start_model, *SHORT)
    config = json.loads((tuned / "config.json").read_text())
    assert config["settings"]["learning_rate"] == 1e-4
    losses = [
        json.loads((folder / "metrics.json").read_text())["best_val_loss"]
        for folder in (unbroken, tuned)
    ]
    assert losses[1] <= losses[0]


def test_what_is_kept_of_the_start_is_half_of_the_base_model(
    recording, unbroken, tmp_path
):
    once = ["--epochs", "1", *SHORT[2:], "--learning-rate", "1e-3"]
    kept = train(recording, tmp_path, "kept", "--from", "base", *once)
    alone = train(
        recording, tmp_path, "alone", "--from", "base", "--keep-start", "0", *once
    )
    start = load_model(BASE_MODEL).get_weights()
    moved = zip(start, weights_of(alone), weights_of(kept), strict=True)
    assert any(np.abs(new - old).max() > 1e-3 for old, new, _ in moved)
    moved = zip(start, weights_of(alone), weights_of(kept), strict=True)
    for old, new, half in moved:
        np.testing.assert_allclose(half, (old + new) / 2, atol=1e-6)
    assert Settings((), from_model=str(unbroken / "model.json")).keep_start == 0


def test_loss_that_is_not_finite_stops_and_names_the_batch(recording, tmp_path, capsys):
    rate = ["--learning-rate", "1e30"]
    train(recording, tmp_path, "nan", *rate, *SHORT, expect=1)
    found = re.search(r"epoch 01/03, batch \d: the loss is (nan|inf)", said(capsys))
    assert found
    assert issubclass(NonFiniteLossError, RuntimeError)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "--epochs is 0, expected at least 1"),
        (["--batch-size", "1"], "--batch-size is 1, expected at least 2"),
        (["--learning-rate", "-1"], "--learning-rate is -1.0, expected"),
        (
            ["--validation-fraction", "1"],
            "--validation-fraction is 1.0, expected [0, 1)",
        ),
        (["--from", "nowhere.json"], "nowhere.json: no such file"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_setting_is_refused_in_one_line(
    recording, tmp_path, capsys, flags, message
):
    train(recording, tmp_path, "bad", *flags, expect=1)
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]


def test_settings_reject_what_they_do_not_know(unbroken):
    config = json.loads((unbroken / "config.json").read_text())["settings"]
    with pytest.raises(InputError, match="unknown settings colour"):
        Settings.from_json({**config, "colour": 1})


def test_help_loads_no_tensorflow_and_has_its_example():
    code = "import sys, train\ntry: train.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "Example:" in done.stdout and done.stdout.endswith("False\n")


def test_a_refused_run_leaves_its_name_free(tmp_path, capsys):
    short = write_recording(tmp_path / "short", np.zeros(10))
    arguments = [str(short), "--name", "a", "--models-dir", str(tmp_path / "models")]
    for _ in range(2):
        assert main(arguments) == 1
        assert "too few to split" in capsys.readouterr().err
    assert not (tmp_path / "models" / "a").exists()


@pytest.mark.slow
def test_weights_are_chosen_by_driving_where_that_is_asked_for(recording, tmp_path):
    folder = train(recording, tmp_path, "driven", *SHORT, "--select", "driving")
    history = (folder / "history.csv").read_text().splitlines()
    assert history[0] == "epoch,loss,val_loss,interventions_per_min,rms_m"
    rows = [[float(cell) for cell in line.split(",")] for line in history[1:]]
    best = min(rows, key=lambda row: row[3] + row[4] / 10)
    weights_s = (folder / "model.weights.h5").stat().st_mtime
    later_s = (folder / "state.npz").stat().st_mtime
    # The weights were last written after the best epoch, not after a later one.
    assert best[0] == 3 or weights_s < later_s


# --- Corrections ----------------------------------------------------------------------


def test_a_share_of_the_frames_drawn_comes_from_the_recording_named(
    recording, tmp_path, capsys
):
    """Two seconds, too short to be split by time: all of them train."""
    taught = write_recording(tmp_path / "taught", np.full(20, 0.5), num_cameras=1)
    argv = [recording, taught, "--name", "corrected", "--models-dir", tmp_path]
    assert main([*map(str, argv), "--share", "taught=0.3", *SHORT]) == 0
    folder = tmp_path / "corrected"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["validation"]) == ["bars"]
    config = json.loads((folder / "config.json").read_text())
    settings = Settings.from_json(config["settings"])
    assert settings.shares == {"taught": 0.3}
    split = read_split(settings)
    names = split.samples["recording"].to_numpy()
    assert (names[split.train] == "taught").sum() == 20
    assert "taught" not in names[split.validation]
    train_set = with_shares(training_set_of(split), settings.shares)
    of_taught = train_set.weights[train_set.recording == "taught"]
    assert of_taught.sum() == pytest.approx(0.3) and np.ptp(of_taught) < 1e-12
    assert train_set.weights.sum() == pytest.approx(1)


def training_set_of(split):
    rows, count = split.train, len(split.train)
    ones = np.ones(count, np.float32)
    names = split.samples["recording"].to_numpy()[rows]
    positions = np.zeros((count, 3), np.int64)
    return TrainingSet(None, positions, ones, ones, names, ones / count)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ("other=0.3", "--share names other, expected some of bars"),
        ("bars=0.3", "too few to split"),
        ("bars=1.5", "expected each above 0, all together below 1"),
    ],
)
def test_a_share_that_cannot_be_drawn_is_refused(
    recording, tmp_path, capsys, share, message
):
    train(recording, tmp_path, "refused", "--share", share, expect=1)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()
