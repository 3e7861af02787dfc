"""What the tests of training share."""

import pytest
from training_sets import training_set_of


@pytest.fixture
def training_set(tiny_recording, tmp_path):
    return training_set_of(tiny_recording, tmp_path / "cache")
