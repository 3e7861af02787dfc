"""Settings and samples that the tests of training share."""

from dataclasses import replace

import numpy as np

from recordings.recording import read_recording, usable_samples
from training.samples import make_training_set
from training.settings import Settings
from training.view_cache import ViewCache


def road_view(frames):
    """Stand in for the model's crop and resize, in the same shape."""
    return np.ascontiguousarray(frames[:, 50:116, :200])


def training_set_of(folder, cache_dir, steering=None):
    samples = usable_samples([read_recording(folder)])
    paths = [p for camera in ("center", "left", "right") for p in samples[camera] if p]
    cache = ViewCache(paths, road_view, "road", cache_dir)
    taught = samples["steering"].to_numpy(np.float32) if steering is None else steering
    return make_training_set(samples, taught, cache, "off")


def settings(**changes):
    return replace(Settings(("a",), batch_size=16), **changes)
