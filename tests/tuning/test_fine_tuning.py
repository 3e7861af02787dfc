"""Fine-tuning: what is drawn, and that it goes on after a stop."""

import json
import signal

import numpy as np
import pytest
from made_recordings import write_recording

from model import build_model
from network.files import save_model
from train import run
from training.settings import Settings
from tuning.fine_tuning import draw_share, tune


def test_half_of_the_draws_are_of_what_is_wanted():
    is_wanted = np.array([True, False, False, False, True])
    drawn = draw_share(is_wanted, 0.5)
    assert drawn.sum() == pytest.approx(1)
    assert drawn[is_wanted].sum() == pytest.approx(0.5)
    for alike in (np.zeros(4, bool), np.ones(4, bool)):
        np.testing.assert_array_equal(draw_share(alike, 0.9), np.full(4, 0.25))


def test_tuning_that_is_stopped_is_not_done(tmp_path):
    """Ctrl-C ends the program; the same command goes on where it was."""
    recording = write_recording(tmp_path / "bars", np.sin(np.arange(300) / 20))
    settings = Settings(
        (str(recording),),
        from_model=str(save_model(build_model(), tmp_path / "model")),
        epochs=3,
        steps_per_epoch=1,
        batch_size=8,
    )

    def stopped(folder, settings, *, draw):
        def stop(_progress):
            signal.raise_signal(signal.SIGINT)

        return run(folder, settings, draw=draw, after_epoch=stop)

    def draw(samples):
        return np.full(len(samples), 1 / len(samples))

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path / "tuned", settings, draw, stopped)
    assert tune(tmp_path / "tuned", settings, draw, run).is_file()
    metrics = json.loads((tmp_path / "tuned" / "metrics.json").read_text())
    assert metrics["is_finished"] and metrics["epochs"] == 3
