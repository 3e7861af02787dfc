"""Parts of recordings: validation stays apart from training, and nothing is lost."""

import numpy as np
import pandas as pd
import pytest
from made_recordings import made_up_samples, write_recording

from common.errors import InputError
from recordings.recording import read_recording, usable_samples
from recordings.split import part_of, rest_of, split_by_time


@pytest.mark.parametrize("sessions", [[30], [100], [20, 20, 300], [5, 60], [1000]])
def test_no_validation_frame_is_within_2_s_of_a_training_frame(sessions, rng):
    samples = made_up_samples(rng, sessions)
    for seed in range(5):
        train, held_out = split_by_time(samples, 0.2, np.random.default_rng(seed))
        times = samples["time_s"].to_numpy()
        gap = np.abs(times[held_out][:, None] - times[train][None]).min()
        assert gap >= 2
        assert 0.1 < len(held_out) / len(samples) < 0.3
        assert len(train) > 0.4 * len(samples)


def test_fraction_of_nothing_trains_on_all(rng):
    samples = made_up_samples(rng, [30])
    train, validation = split_by_time(samples, 0.0, rng)
    assert train.tolist() == validation.tolist() == list(range(len(samples)))
    _, validation = split_by_time(samples, 0.0, rng, whole=["other"])
    assert len(validation) == len(samples)
    with pytest.raises(InputError, match="none to validate on"):
        split_by_time(samples, 0.0, rng, whole=set(samples["recording"]))


def test_every_session_is_validated_on(rng):
    samples = made_up_samples(rng, [60, 60, 60])
    _, held_out = split_by_time(samples, 0.2, rng)
    assert set(samples["session"].iloc[held_out]) == {0, 1, 2}


def test_split_follows_from_the_rng_and_differs_between_seeds(rng):
    samples = made_up_samples(rng, [300])
    first, again, other = (
        split_by_time(samples, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[1], other[1])


def test_the_blocks_of_runs_of_before_are_drawn_again():
    """As scikit-learn 1.9.1 drew them: a run that is resumed holds out the same."""
    times = 1e9 + np.arange(2000) / 10
    samples = pd.DataFrame({"time_s": times, "session": 0, "recording": "a"})
    for seed, blocks in ((0, {6, 12, 13, 19}), (1, {5, 13, 14, 18})):
        _, held_out = split_by_time(samples, 0.2, np.random.default_rng(seed))
        assert set(held_out // 100) == blocks


def test_too_little_to_split_says_so(rng):
    with pytest.raises(InputError, match="too few to split"):
        split_by_time(made_up_samples(rng, [3]), 0.2, rng)


def test_clips_of_recoveries_are_split_whole_and_mostly_trained_on(rng):
    samples = made_up_samples(rng, [60, *[3] * 40])
    train, held_out = split_by_time(samples, 0.2, rng)
    session = samples["session"].to_numpy()
    clips = session > 0
    assert len(np.unique(session[held_out])) == 1 + 8
    assert not set(session[held_out][clips[held_out]]) & set(session[train])
    times = samples["time_s"].to_numpy()
    assert np.abs(times[held_out][:, None] - times[train][None]).min() >= 2
    assert clips[train].sum() > 0.3 * clips.sum()


def test_parts_of_each_recording_meet_without_overlap(tmp_path):
    folders = [
        write_recording(tmp_path / n, np.zeros(k), seed=k)
        for n, k in (("a", 7), ("b", 4))
    ]
    samples = usable_samples([read_recording(folder) for folder in folders])
    first, second = (part_of(samples, part) for part in ((0, 0.5), (0.5, 1)))
    assert first.groupby("recording").size().to_dict() == {"a": 4, "b": 2}
    lines = [*first["center"], *second["center"]]
    assert sorted(lines) == sorted(samples["center"])
    assert first.index.tolist() == list(range(6))


def test_rest_of_each_recording_is_apart_from_the_part(tmp_path):
    folders = [
        write_recording(tmp_path / name, np.full(100, steering))
        for name, steering in (("a", 0.0), ("b", 0.1))
    ]
    samples = usable_samples([read_recording(folder) for folder in folders])
    rest = rest_of(samples, (0.4, 0.6), margin_s=2.0)
    rows = 100 * (rest["recording"] == "b") + rest["line"] - 1
    # A row is 0.1 s: those less than 2 s before row 40, and after row 59, are left out.
    expected = [*range(20), *range(80, 100)]
    assert rows.tolist() == expected + [100 + row for row in expected]
    assert rest.index.tolist() == list(range(80))
    assert rest_of(samples, (0.0, 1.0)).empty
