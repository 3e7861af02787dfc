"""Labels, and where the frames of samples lie."""

import numpy as np

from recordings.recording import read_recording, usable_samples
from training.samples import cache_positions, make_labels


def test_positions_are_those_of_the_cache(tiny_recording, training_set):
    samples = usable_samples([read_recording(tiny_recording)])
    positions = cache_positions(samples, training_set.cache)
    for column, camera in enumerate(("center", "left", "right")):
        path = samples[camera].iloc[7]
        assert positions[7, column] == training_set.cache.position[path]


def test_labels_come_in_three_forms(tiny_recording):
    samples = usable_samples([read_recording(tiny_recording)])
    labels = make_labels(samples, 0.0, 0.0)
    np.testing.assert_array_equal(labels.trained, labels.raw)
    taught = make_labels(samples, 0.2, 0.5).trained
    assert 0 < np.abs(taught - labels.raw).max() < 0.3
    assert labels.averaged.shape == labels.raw.shape
