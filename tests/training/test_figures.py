"""Of more recordings than can be looked at, table and picture show the worst."""

import cv2
import numpy as np

from training.figures import (
    MOST_SHOWN,
    metrics_table,
    plot_predictions,
    score,
    worst_of,
)

NUM = MOST_SHOWN + 3


def panels(num_recordings):
    """Return the panels of recordings of which each is worse than the one before."""
    driven = np.sin(np.arange(40) / 6)
    return {
        f"road_{i:02d}": (driven + 0.01 * i, driven, driven)
        for i in range(num_recordings)
    }


def table_of(num_recordings):
    scores = {name: score(*each, 0.0) for name, each in panels(num_recordings).items()}
    return metrics_table({"is_held_out": True, "validation": scores})


def test_the_worst_of_many_are_shown_in_their_order():
    errors = {"a": 3.0, "b": 1.0} | {f"c{i}": 2.0 for i in range(MOST_SHOWN - 1)}
    shown = worst_of(errors, float)
    assert len(shown) == MOST_SHOWN
    assert list(shown) == [name for name in errors if name != "b"]


def test_table_of_many_recordings_shows_the_worst_and_says_of_how_many():
    lines = table_of(NUM).splitlines()
    assert lines[1] == f"the {MOST_SHOWN} of {NUM} recordings with the largest error"
    names = {line.split()[0] for line in lines[3:]}
    assert names == {f"road_{i:02d}" for i in range(NUM - MOST_SHOWN, NUM)}


def test_table_of_a_few_recordings_shows_all():
    lines = table_of(MOST_SHOWN).splitlines()
    assert lines[1].split() == ["recording", "label", "model", "zero", "mean"]
    assert len({line.split()[0] for line in lines[2:]}) == MOST_SHOWN


def test_picture_of_many_recordings_is_no_longer_than_that_of_a_dozen(tmp_path):
    heights = []
    for num in (MOST_SHOWN, NUM):
        plot_predictions(tmp_path, panels(num))
        picture = cv2.imread(str(tmp_path / "predictions.png"))
        assert picture is not None
        heights.append(len(picture))
    assert heights[0] == heights[1]
