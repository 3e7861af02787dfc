"""The benchmark of the training step: that it counts right, and measures at all."""

import importlib.util
import json

import pytest
import training_step

from model import build_model, network_of


def test_operations_are_those_of_the_paper():
    """27 million connections (Bojarski et al. 2016, section 4), twice, three times."""
    assert training_step.step_gflop(network_of(build_model("original"))) == (
        pytest.approx(27e6 * 2 * 3 / 1e9, rel=0.12)
    )


@pytest.mark.slow
def test_an_engine_is_measured(capsys):
    arguments = "--backends tensorflow --presets default --batch-sizes 64".split()
    assert training_step.main([*arguments, "--rounds", "1", "--seconds", "0.1"]) == 0
    cell = json.loads(capsys.readouterr().out.splitlines()[-1])["tensorflow"]
    figures = cell["default 64"]
    assert figures["images_per_s"] > 0 and figures["of_matrix_rate"] > 0
    assert 0 < figures["loss"] < 10


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is not None, reason="needs a Python without JAX"
)
def test_an_engine_that_is_not_installed_is_named_and_left_out(capsys):
    assert training_step.main(["--backends", "jax", "--rounds", "1"]) == 0
    assert "jax: not installed, left out" in capsys.readouterr().out
