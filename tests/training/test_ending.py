"""What is said of a run that has ended: how it went, and what runs next."""

from pathlib import Path

import pytest

from common.text import WIDTH
from training.ending import said_of, stopped, worse_than_zero
from training.settings import Settings


def metrics_of(model_deg, zero_deg=2.0, **more):
    """Return the metrics of a run on recordings, with errors of model and zero."""

    def errors(deg):
        labels = ("raw", "averaged_1_s")
        return {label: {"deg": deg, "steering": deg / 25} for label in labels}

    names = ("a", "b") if isinstance(model_deg, tuple) else ("a",)
    of = model_deg if isinstance(model_deg, tuple) else (model_deg,)
    scores = {
        name: {
            "samples": 100,
            "model": errors(deg),
            "always_zero": errors(zero_deg),
            "always_mean": errors(zero_deg),
        }
        for name, deg in zip(names, of, strict=True)
    }
    usual = {"epochs": 3, "kept_epoch": 3, "is_finished": True, "is_held_out": True}
    return usual | {"validation": scores} | more


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Settings((str(tmp_path / "data" / "a b"),), epochs=30)


def last(metrics, settings, folder=Path("models/a")):
    """Return what is said below the table."""
    text = said_of(folder, metrics, settings, None)
    assert max(map(len, text.splitlines())) <= WIDTH
    return " ".join(text.rpartition("\n\n")[2].split())


def test_a_run_that_has_ended_well_is_to_be_driven(settings):
    said = last(metrics_of(1.0), settings)
    assert said.endswith("pictures next: python drive.py models/a")


def test_a_model_worse_than_never_steering_is_called_that_and_not_driven(settings):
    said = last(metrics_of(2.1), settings)
    assert said.endswith(
        "worse than never steering: off by 2.10 degrees of wheel angle, straight on is "
        "off by 2.00; see whether it drives, then train longer: python evaluate.py "
        "models/a zero --recording 'data/a b'"
    )
    assert "drive.py" not in said


def test_a_model_that_is_worse_on_some_recordings_says_on_which(settings):
    said = last(metrics_of((0.5, 2.5)), settings)
    assert (
        "on 1 recording its steering is further off than straight on: b; how it drives "
        "there, evaluate.py tells next: python"
    ) in said
    # Of both together it is the error that counts, not the mean of the two.
    assert worse_than_zero(metrics_of((0.5, 2.5))) == ""
    assert worse_than_zero(metrics_of((0.5, 2.9))) != ""


def test_a_stopped_run_says_in_which_epoch_and_how_to_go_on(settings, tmp_path):
    folder = Path("models/-a b")
    folder.mkdir(parents=True)
    (folder / "state.npz").touch()
    early = {"epochs": 1, "kept_epoch": 1, "is_finished": False}
    to_go_on = "go on: python train.py '--name=-a b' --resume"
    said = last(metrics_of(1.0, **early), settings, folder)
    assert said.endswith(
        "next: python drive.py 'models/-a b' stopped early, in epoch 2 of 30; what is "
        f"kept is of epoch 1; {to_go_on}"
    )
    # Both: it is worse, and only begun.
    said = last(metrics_of(3.0, **early), settings, folder)
    assert "drive.py" not in said
    assert "stopped early, in epoch 2 of 30; what is kept is of epoch 1 worse" in said
    assert said.endswith(f"straight on is off by 2.00; {to_go_on}")
    # Stopped in its first epoch, which --resume does whole.
    (folder / "state.npz").unlink()
    assert "in epoch 1 of 30; " in last(metrics_of(1.0, **early), settings, folder)


def test_what_no_epoch_was_better_than_is_said_to_be_kept(settings):
    said = last(metrics_of(1.0, kept_epoch=0), settings)
    assert "no epoch was any better; what is kept is what it began from next: " in said


def test_a_run_that_is_stopped_at_once_says_how_to_go_on(tmp_path):
    assert str(stopped(tmp_path / "x", None)) == ""  # It has not begun.
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").touch()
    assert str(stopped(tmp_path / "x", 2)) == (
        f"stopped; to go on: python train.py --name x --models-dir {tmp_path} "
        "--workers 2 --resume"
    )
