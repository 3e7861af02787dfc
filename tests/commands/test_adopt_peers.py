"""Models that other people trained on the real simulator, adopted from their files."""

import importlib.util

import numpy as np
import pytest

import adopt
from network.files import load_model
from recordings.images import read_frame
from recordings.recording import read_recording, usable_rows

# What the loader beside the files does to a frame, as flags; of weights alone also what
# they do not say of their network.
FLAGS = {
    "lake_and_jungle_66x200": "--crop 60 25 --colour yuv-opencv31",
    "lake_66x200": "--crop 20 20 --colour bgr",
    "lake_128x128": "--crop 63 24 0 1 --size 128 128 --colour bgr --strides 2 2 1 1 "
    "--padding same --activation relu --scale x/127.5-1",
}


@pytest.fixture
def peers(shared_dir):
    return shared_dir / "peer_models"


@pytest.fixture(scope="module")
def frames(shared_dir):
    rows = usable_rows(read_recording(shared_dir / "data" / "lake"))
    every = np.linspace(0, len(rows) - 1, 500).astype(int)
    return np.stack([read_frame(rows["center"].iloc[i]) for i in every])


def steering_by(peers, name, frames):
    """Return what the loader beside the files steers, in batches."""
    spec = importlib.util.spec_from_file_location("loader", peers / "peer_models.py")
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    predict = loader.predictor(name)
    return np.concatenate([predict(frames[i : i + 100]) for i in range(0, 500, 100)])


@pytest.mark.parametrize("name", FLAGS)
def test_it_steers_as_it_does_where_it_comes_from(peers, frames, tmp_path, name):
    words = [str(peers / f"{name}.h5"), *FLAGS[name].split(), "--out"]
    assert adopt.main([*words, str(tmp_path / name)]) == 0
    expected = steering_by(peers, name, frames)
    steered = load_model(tmp_path / name / "model.json").predict(frames, verbose=0)
    assert expected.std() > 0.02
    np.testing.assert_allclose(steered[:, 0], expected, atol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLAGS)
def test_a_recording_tells_how_it_saw(peers, frames, shared_dir, tmp_path, name):
    """Without a flag; a crop that is as good steers much as the one of its makers."""
    words = [
        str(peers / f"{name}.h5"),
        "--recording",
        str(shared_dir / "data" / "lake"),
    ]
    assert adopt.main([*words, "--out", str(tmp_path / name)]) == 0
    steered = load_model(tmp_path / name / "model.json").predict(frames, verbose=0)[
        :, 0
    ]
    expected = steering_by(peers, name, frames)
    assert np.corrcoef(steered, expected)[0, 1] > 0.95
