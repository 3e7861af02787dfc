"""Hard places: where they are, what is better, and that it goes on after a kill."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from made_recordings import write_recording

from model import build_model
from network.files import save_model
from train import run
from tuning.hard_places import hard_images, improve_on_recordings, is_better
from tuning.plans import HardPlacesPlan, Tuning


@pytest.mark.slow
def test_hard_places_go_on_after_a_kill(tmp_path):
    """What is there after a kill is this command's own, not somebody's folder."""
    keras.utils.set_random_seed(3)
    model_path = save_model(build_model(), tmp_path / "model")
    recording = write_recording(tmp_path / "bars", np.sin(np.arange(300) / 20))
    tuning = Tuning(model_path, base=(recording,), epochs=1, steps_per_epoch=1)
    plan, folder = HardPlacesPlan(tuning, (recording,)), tmp_path / "x"

    def killed(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        improve_on_recordings(plan, folder, {"name": "x"}, killed)
    document = improve_on_recordings(plan, folder, {"name": "x"}, run)
    assert "accepted" in document
    assert json.loads((folder / "improve.json").read_text()) == document


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


@pytest.mark.parametrize(
    ("after", "better"),
    [
        ({"hard_places": 0, "elsewhere": 1, "marked_hard_off_m": 0.3}, True),
        ({"hard_places": 0, "elsewhere": 1, "marked_hard_off_m": 0.39}, False),
        ({"hard_places": 0, "elsewhere": 2, "marked_hard_off_m": 0.1}, False),
        ({"hard_places": 1, "elsewhere": 1, "marked_hard_off_m": 0.1}, False),
    ],
)
def test_better_is_nearer_in_marked_places_where_there_is_nothing_to_count(
    after, better
):
    before = {"hard_places": 0, "elsewhere": 1, "marked_hard_off_m": 0.4}
    assert is_better(before, after) is better
