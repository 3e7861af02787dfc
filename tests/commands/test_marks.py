"""Marks in every command: what is left out is gone, what is hard is drawn more."""

import json
import shutil

import numpy as np
import pytest
from made_recordings import write_recording

import dataset
import evaluate
import explore
import improve
import train
from evaluation.judging import read_recordings
from recordings.marks import Mark, Marks, change_marks
from recordings.recording import read_recording
from training.batches import Batches
from training.preparation import make_sets, open_cache, read_split, starting_model
from training.settings import Settings

OUT = range(101, 143)
FAST = "--from scratch --epochs 1 --steps-per-epoch 2 --batch-size 8".split()


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A recording of a minute; it is copied."""
    folder = tmp_path_factory.mktemp("d") / "drive"
    return write_recording(folder, 0.6 * np.sin(np.arange(400) / 30), 0.15, 1)


def mark(folder, *entries):
    change_marks(folder / "driving_log.csv", lambda _: Marks(entries))
    return folder


@pytest.fixture
def marked(drive, tmp_path):
    """A copy with two stretches marked out."""
    folder = shutil.copytree(drive, tmp_path / "marked" / "drive")
    # A stretch of 3 s makes a gap between sessions, one of three rows none.
    first, last = OUT[0], OUT[-1]
    entries = (Mark(first, last, "leave-out", "crash"), Mark(300, 302, "leave-out"))
    return mark(folder, *entries)


@pytest.fixture
def removed(drive, tmp_path):
    """A copy whose log has not these rows."""
    folder = shutil.copytree(drive, tmp_path / "removed" / "drive")
    log = folder / "driving_log.csv"
    lines = log.read_text().splitlines()
    out = {*OUT, 300, 301, 302}
    kept = [line for i, line in enumerate(lines, start=1) if i not in out]
    log.write_text("\n".join(kept) + "\n")
    return folder


def weights_of(folder):
    from network.files import load_model

    return load_model(folder / "model.json").get_weights()


def test_training_without_marked_out_rows_is_training_on_a_log_without_them(
    marked, removed, tmp_path, capsys
):
    found = []
    for name, folder in (("a", marked), ("b", removed)):
        argv = [str(folder), "--name", name, "--models-dir", str(tmp_path), *FAST]
        assert train.main(argv) == 0
        found.append(weights_of(tmp_path / name))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    # The run began with these marks, and goes on with no others.
    mark(marked, Mark(5, 9, "leave-out"))
    argv = ["--name", "a", "--models-dir", str(tmp_path), "--resume"]
    assert train.main(argv) == 1
    assert "its recordings have changed since the run began" in capsys.readouterr().err


def test_dataset_counts_what_is_marked_out(marked, capsys):
    assert dataset.main([str(marked), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["excluded"] == {"marked-out": 45}
    assert (said["rows"], said["usable"]) == (400, 355)
    assert "45 rows marked out: 101-142 (crash), 300-302" in said["warnings"]


def test_explore_shows_what_is_marked(marked, tmp_path, capsys):
    log = marked / "driving_log.csv"
    hard = Mark(10, 19, "hard", "bend")
    change_marks(log, lambda marks: Marks((*marks.entries, hard)))
    assert explore.main([str(marked), "--out", str(tmp_path / "out"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["recordings"]
    assert found["excluded"] == {"marked-out": 45} and found["marked_hard"] == 10
    page = (tmp_path / "out" / "report.html").read_text()
    assert "all 45 rows of marked-out</summary><p>101-142, 300-302<" in page
    row = '<tr><th scope="row">marked out</th><td>45</td></tr>'
    assert row in page and "10-19 (bend)" in page


def test_evaluate_drives_what_is_left(marked, removed, capsys):
    argv = ["oracle", "zero", "--json", "--recording"]
    figures = []
    for folder in (marked, removed):
        assert evaluate.main([*argv, str(folder)]) == 0
        figures.append(json.loads(capsys.readouterr().out)["recordings"])
    assert figures[0] == figures[1]


def test_search_sees_what_is_left_and_keeps_to_its_marks(marked, removed):
    pytest.importorskip("optuna")
    from tuning.search_space import prepare

    searches = [
        prepare(Settings((str(folder),), steps_per_epoch=1, part=(0, 0.7)), ())
        for folder in (marked, removed)
    ]
    assert searches[0].num_samples == searches[1].num_samples
    assert len(searches[0].rest) == len(searches[1].rest) > 0
    mark(marked, Mark(5, 9, "leave-out"))
    again = prepare(Settings((str(marked),), steps_per_epoch=1, part=(0, 0.7)), ())
    assert again.fingerprints != searches[0].fingerprints


def test_hard_rows_are_drawn_so_many_times_as_often(drive, tmp_path):
    folder = shutil.copytree(drive, tmp_path / "drive")
    sets = {}
    for name, marks, factor in (
        ("plain", [], 3.0),
        ("hard", [Mark(1, 200, "hard")], 3.0),
        ("one", [Mark(1, 200, "hard")], 1.0),
    ):
        mark(folder, *marks)
        settings = Settings((str(folder),), batch_size=64, hard_factor=factor)
        split = read_split(settings)
        model = starting_model(settings, split, print)
        cache = open_cache(split, model)
        sets[name], validation = make_sets(split, cache, settings, model)
        assert len(set(validation.weights)) == 1
    is_hard = split.samples["is_hard"].to_numpy()[split.train]
    assert 0.2 < is_hard.mean() < 0.8
    weights = sets["hard"].weights
    ratio = weights[is_hard].mean() / weights[~is_hard].mean()
    assert ratio == pytest.approx(3) and weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(sets["plain"].weights, sets["one"].weights)
    batches = Batches(sets["hard"], settings, 0, 40)
    drawn = np.concatenate([batches.rows_of(i) for i in range(40)])
    share = 3 * is_hard.sum() / (3 * is_hard.sum() + (~is_hard).sum())
    # 2,560 draws: three standard deviations.
    assert is_hard[drawn].mean() == pytest.approx(share, abs=0.03)


@pytest.fixture
def straight(tmp_path):
    """A straight road, and a model that drives it without an intervention."""
    keras = pytest.importorskip("keras")
    from model import build_model
    from network.files import save_model

    keras.utils.set_random_seed(3)
    model = build_model()
    for variable in model.get_layer("steering").weights:
        variable.assign(0 * variable)
    folder = write_recording(tmp_path / "straight", np.zeros(120))
    return folder, save_model(model, tmp_path / "model")


def test_improve_takes_the_places_that_are_marked_hard(straight, tmp_path, capsys):
    from tuning.hard_places import replay_all
    from tuning.plans import HardPlacesPlan, Tuning

    folder, model_path = straight
    argv = [str(model_path), "--recording", str(folder), "--base", str(folder)]
    argv += ["--name", "b", "--models-dir", str(tmp_path)]
    assert improve.main(argv) == 1
    assert "none of their rows is marked hard; review.py" in capsys.readouterr().err
    mark(folder, Mark(11, 40, "hard"))
    plan = HardPlacesPlan(Tuning(model_path), (folder,))
    hard, counts = replay_all(plan, Settings(()), model_path, None)
    (samples,) = read_recordings([folder])
    assert hard == set(samples["center"][10:40])
    # It keeps to the path all along.
    assert counts["hard_places"] == counts["marked_hard_off_m"] == 0


def test_the_marks_of_each_recording_are_its_own(marked, drive):
    both = [read_recording(folder) for folder in (marked, drive)]
    assert [each.excluded for each in both] == [{"marked-out": 45}, {}]


def test_bad_marks_end_a_command_in_one_line_before_it_writes(
    marked, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = marked / "driving_log.marks.csv"
    path.write_text("from row,to row,mark,note\n5,400000,leave-out,\n")
    before = sorted(tmp_path.iterdir())
    for command, more in (
        (dataset, []),
        (explore, ["--out", "out"]),
        (train, ["--name", "x", "--models-dir", "."]),
        (evaluate, ["--recording"]),
    ):
        words = (
            ["zero", *more, str(marked)]
            if command is evaluate
            else [
                str(marked),
                *more,
            ]
        )
        assert command.main(words) == 1
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.startswith(f"{path} line 2: rows 5 to 400000, expected rows of the")
    assert sorted(tmp_path.iterdir()) == before
