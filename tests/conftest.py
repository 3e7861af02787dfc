"""What the tests share: a seeded generator, recordings, and a cache of their own."""

import os
import shutil
import signal

import numpy as np
import pytest
from made_recordings import write_recording
from real_recordings import SHARED
from small_disk import small_disk

from common.car import FRAME_SHAPE

# What the tests of pages need, of those of tests/node.
PACKAGES = ("axe-core", "playwright-core")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what the tests cache out of the user's cache folder."""
    os.environ["BC_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def heard_interrupts():
    """Let Ctrl+C be heard where tests, and what they start, run in the background.

    In each test anew: libraries that an earlier one has started leave handlers behind.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(seed=0)


@pytest.fixture(scope="session")
def shared_dir():
    """The folder of real recordings; tests that need it say so when it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real recordings in ../shared")
    return SHARED


@pytest.fixture
def tiny_recording(tmp_path):
    """A recording of 60 rows, 6 s, with three cameras."""
    return write_recording(tmp_path / "tiny", 0.8 * np.sin(np.arange(60) / 8))


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, told what to do by cockpit_drive.Browser."""
    from cockpit_drive import NODE, Browser

    found = shutil.which("chromium") or shutil.which("google-chrome")
    node = shutil.which("node")
    packages = [NODE / "node_modules" / name for name in PACKAGES]
    if not (found and node and all(folder.is_dir() for folder in packages)):
        pytest.skip("needs chromium, node and tests/node/node_modules (make setup)")
    browser = Browser(node, found)
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """The browser, which must have had nothing to complain of in the test."""
    chromium("complaints")
    yield chromium
    complaints = chromium("complaints")
    chromium("leave")
    assert complaints == []


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with weights that are not the initial ones, and its folder."""
    keras = pytest.importorskip("keras")
    from model import build_model
    from network.files import save_model

    keras.utils.set_random_seed(3)
    model = build_model("default")
    rng = np.random.default_rng(3)
    for variable in model.weights:
        noise = rng.normal(0, 0.02, variable.shape)
        variable.assign(variable + np.abs(noise))
    folder = tmp_path_factory.mktemp("saved")
    save_model(model, folder)
    return model, folder


@pytest.fixture
def frames(rng):
    """Four frames of noise, uint8 RGB (4, 160, 320, 3)."""
    return rng.integers(0, 256, (4, *FRAME_SHAPE), dtype=np.uint8)


@pytest.fixture
def disk(tmp_path):
    """A disk of 16 MB, in a folder of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "16m"):
        yield folder
