"""What TensorBoard shows of a run, read by TensorBoard's own reader."""

import pytest
from made_recordings import write_recording

pytest.importorskip("tensorboard", reason="needs pip install --group tensorboard")
from train import main
from training.events import follow_with_tensorboard
from training.progress import Progress, write_history

# TensorBoard's and its protocol buffers' own affairs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def shown(folder):
    """Return what TensorBoard reads: by tag, the steps and their values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        tag: [(event.step, round(event.value, 5)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_every_epoch_is_shown_once(tmp_path):
    progress = Progress()
    follow_with_tensorboard(tmp_path)
    for loss, val_loss in ((0.5, 0.4), (0.25, 0.3)):
        progress.add(loss, val_loss)
        write_history(tmp_path, progress)
    assert shown(tmp_path) == {
        "loss/training": [(1, 0.5), (2, 0.25)],
        "loss/validation": [(1, 0.4), (2, 0.3)],
    }


def test_run_followed_from_its_middle_shows_its_beginning_too(tmp_path):
    progress = Progress()
    progress.add(0.5, 0.4)
    write_history(tmp_path, progress)
    assert not (tmp_path / "tensorboard").exists()
    follow_with_tensorboard(tmp_path)
    progress.add(0.25, 0.3)
    write_history(tmp_path, progress)
    assert shown(tmp_path)["loss/training"] == [(1, 0.5), (2, 0.25)]


def test_without_the_package_the_run_is_refused_and_its_name_is_free(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    argv = ["data/sample", "--name", "x", "--models-dir", str(tmp_path)]
    assert main([*argv, "--tensorboard"]) == 1
    assert "pip install --group tensorboard" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_refused_recording_leaves_no_folder(tmp_path):
    argv = [str(tmp_path / "nowhere"), "--name", "x", "--models-dir"]
    assert main([*argv, str(tmp_path / "models"), "--tensorboard"]) == 1
    assert not (tmp_path / "models").exists()


def test_training_writes_its_losses(tmp_path):
    pytest.importorskip("keras")
    recording = write_recording(tmp_path / "bars", [0.3, -0.3] * 100)
    argv = [str(recording), "--name", "x", "--models-dir", str(tmp_path)]
    short = ["--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "8"]
    assert main([*argv, *short, "--tensorboard"]) == 0
    history = (tmp_path / "x" / "history.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[1]) for row in history]
    expected = [(1, pytest.approx(losses[0], abs=1e-4))]
    expected.append((2, pytest.approx(losses[1], abs=1e-4)))
    assert shown(tmp_path / "x")["loss/training"] == expected
