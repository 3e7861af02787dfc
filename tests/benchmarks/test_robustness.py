"""How a model drives a recording that looks otherwise: the changes themselves."""

import json

import numpy as np
import pytest
import robustness
from made_recordings import write_recording

from model import build_model
from network.files import save_model


@pytest.fixture
def frame(rng):
    return rng.integers(0, 256, (160, 320, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", robustness.CHANGES)
def test_change_leaves_shape_type_and_the_frame_given(name, frame):
    before = frame.copy()
    changed = robustness.CHANGES[name](frame, 3)
    assert changed.shape == frame.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(frame, before)
    assert np.array_equal(changed, frame) is (name == "as recorded")


def test_shadows_pass_below_the_car(frame):
    road = np.full_like(frame, 200)
    first, later = (robustness.tree_shadows(road, row) for row in (0, 1))
    assert (first[:61] == 200).all() and set(np.unique(first)) == {84, 200}
    assert not np.array_equal(first, later)


def test_haze_hides_what_is_far_and_not_what_is_near(frame):
    hazy = robustness.haze(frame, 0).astype(int)
    moved = np.abs(hazy - frame).mean(axis=(1, 2))
    assert moved[159] < 6
    assert np.abs(hazy[:60] - robustness.HAZE_RGB).max() <= 1


def test_pulses_lead_the_same_way_as_the_smooth_steering():
    smooth = 0.15 * np.sin(np.arange(300) / 12) + 0.02
    pulses = robustness.as_pulses(smooth)
    assert set(np.round(np.abs(pulses), 9)) == {0.0, 0.25}
    assert np.abs(np.cumsum(pulses - smooth)).max() <= 0.125 + 1e-9
    sharp = np.array([0.1, 0.9, -0.6])
    np.testing.assert_array_equal(robustness.as_pulses(sharp)[1:], sharp[1:])


@pytest.mark.slow
def test_a_model_is_measured_under_every_change(tmp_path, capsys):
    folder = write_recording(tmp_path / "a", 0.1 * np.sin(np.arange(60) / 8))
    model = str(save_model(build_model(), tmp_path / "m"))
    sheet = tmp_path / "sheet.png"
    arguments = [model, "--recording", str(folder), "--sheet", str(sheet)]
    assert robustness.main(arguments) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(figures) == {*robustness.CHANGES, robustness.KEYBOARD}
    assert all("autonomy_percent" in each[model]["1"] for each in figures.values())
    assert sheet.stat().st_size > 10_000
