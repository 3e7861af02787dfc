"""What all packages share: whole files, pages, tables, the car, a quiet start."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import augment
import evaluate
import improve
from common import start_up
from common.car import autonomy_percent, curvature_of, steering_of
from common.errors import InputError
from common.files import whole_file, whole_folder, write_bytes
from common.page import Picture, render, to_svg
from common.stderr import without_lines
from common.table import Table, text_table
from common.text import WIDTH, counted, number, unbroken, wrapped
from recordings.findings import Advice
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


class Broken(Exception):
    pass


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.weights.h5"
    write_bytes(path, b"old")
    with pytest.raises(Broken), whole_file(path) as partial_path:
        assert partial_path.name.endswith(".weights.h5")
        partial_path.write_bytes(b"half")
        raise Broken
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "deep" / "run"
    with pytest.raises(Broken), whole_folder(folder) as partial_folder:
        (partial_folder / "a").touch()
        raise Broken
    assert not list(folder.parent.iterdir())
    with whole_folder(folder) as partial_folder:
        (partial_folder / "a").touch()
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_pages_show_names_as_they_are():
    from matplotlib.figure import Figure

    name = '<img src="x" onerror="alert(1)">&amp;$x$'
    figure = Figure()
    figure.subplots().set_title(name)
    page = render(
        "recordings/report.html",
        title=name,
        verdict=name,
        facts=[(name, name)],
        advice=[(Advice(name, command=name), [Picture(caption=name, source=name)])],
        table=Table(("", name), ((name, name),)),
        pictures=[Picture(name, caption=name, svg=to_svg(figure))],
        warnings=[name],
        excluded=[(name, name)],
        review=name,
        options=Picture(name, source=name),
    )
    # Wherever something is shown: as title and heading, in the table, in the drawing.
    assert page.count("&amp;amp;$x$") == 24
    assert '<img src="x"' not in page


def test_columns_of_a_table_stand_under_one_another():
    table = text_table([("name", "value", "more"), ("a", "10", "100")], "<>")
    assert table.splitlines() == ["name  value  more", "a        10   100"]


def test_a_table_that_is_too_wide_goes_on_below():
    rows = [("name", *(f"heading number {i}" for i in range(9))), ("a", *"123456789")]
    lines = text_table(rows, "<>").splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[0] for line in lines] == ["name", "a"] * 3
    assert " ".join(lines[1::2]).split() == list("a1234a5678a9")


def test_the_best_cells_of_a_table_are_marked_and_the_mark_is_explained():
    table = Table(("", "a", "b"), (("x", "1", "22"),), frozenset({(0, 2)}), note="best")
    assert table.text().splitlines() == ["    a    b", "x  1   22*", "* best"]
    with pytest.raises(ValueError, match="expected 3 cells"):
        Table(("", "a", "b"), (("x", "1"),))


def test_what_is_said_fits_a_terminal_and_paths_stay_whole():
    path = "a name/" * 20
    text = wrapped(f"{'word ' * 30}{unbroken(path)} \x1b[1m end")
    lines = text.splitlines()
    assert sum(path.strip() in line for line in lines) == 1
    assert all(len(line) <= WIDTH or path.strip() in line for line in lines)
    assert "\x1b" not in text and "\\x1b[1m" in text
    assert counted(1, "lap") == "1 lap" and counted(1200, "lap") == "1,200 laps"


def test_numbers_are_shown_without_what_their_bits_add():
    shown = [number(value) for value in (0.1 + 0.2, 1e-05, 20.0, 7, -0.0, 1e6)]
    assert shown == ["0.3", "0.00001", "20", "7", "0", "1000000"]


def test_curvature_and_steering_undo_one_another():
    steering = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(
        steering_of(curvature_of(steering)), steering, atol=1e-12
    )
    assert steering_of(1.0) == 1 and curvature_of(0.5) > 0


def test_autonomy_counts_six_seconds_an_intervention():
    assert autonomy_percent(1, 60.0) == pytest.approx(90)
    assert autonomy_percent(100, 60.0) == 0
    assert (autonomy_percent(0, 0.0), autonomy_percent(1, 0.0)) == (100, 0)


def test_notices_are_kept_and_errors_are_shown(capfd):
    with without_lines(start_up.NOTICE):
        os.write(2, b"I0000 00:00:17.5   13 cudart_stub.cc:31] Could not find cuda\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is\n")
        os.write(2, b"2026-11-25 20:09:10.123456: I tensorflow/core/x.cc:12] oneDNN\n")
        os.write(2, b"E0000 00:00:17.5   13 cuda_platform.cc:52] out of memory\n")
        os.write(2, b"what a library prints\n")
    err = capfd.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in err] == ["E0000", "what"]


# The other thread looks for a package again and again while TensorFlow loads.
EXTRAS_AND_KERAS = """
import gc, importlib.util, sys, threading
from common import start_up
loaded, found = threading.Event(), set()
def look():
    while not loaded.wait(0.01):
        found.add(importlib.util.find_spec("scipy") is not None)
thread = threading.Thread(target=look)
thread.start()
start_up.quiet_tensorflow()
loaded.set()
thread.join()
print(found, sorted(start_up.EXTRAS & set(sys.modules)), gc.isenabled())
import keras, matplotlib.pyplot, pandas, scipy.signal
print(keras.backend.backend())
"""


def test_keras_loads_without_what_no_command_gives_it_and_others_still_have_it():
    done = subprocess.run(
        [sys.executable, "-c", EXTRAS_AND_KERAS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "{True} [] True\ntensorflow\n", done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "drive.py nothere.json",
        "model.py nothere.json",
        "export.py nothere.json --to tflite",
        "evaluate.py nothere.json --track lake",
        "improve.py nothere.json --track lake --name x",
        "train.py nothere --name x",
        "search.py nothere",
        "explore.py nothere",
        "augment.py nothere",
        "dataset.py nothere",
    ],
)
def test_a_missing_file_is_said_in_one_line_before_anything_slow_is_loaded(command):
    script, *words = command.split()
    code = (
        f"import sys, {script.removesuffix('.py')} as command\n"
        f"code = command.main({words})\n"
        "print(code, sorted({'keras', 'pandas', 'numpy', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "1 []\n"
    assert "nothere" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("seed", ["-1", "4294967296", "9" * 5000, "1e3", "\u0663"])
def test_seed_that_no_generator_takes_is_refused(seed, capsys):
    for parse, *words in (
        [augment.parse_args, "a"],
        [evaluate.parse_args, "zero", "--track", "lake"],
        [improve.parse_args, "model.json", "--name", "a"],
    ):
        with pytest.raises(SystemExit, match="2"):
            parse([*words, f"--seed={seed}"])
        assert "expected 0 to 4294967295" in capsys.readouterr().err
        assert parse([*words, "--seed=4294967295"]).seed == 2**32 - 1
    with pytest.raises(InputError, match="--seed is 4294967296, expected 0 to"):
        Settings(("a",), seed=2**32)


@pytest.mark.parametrize("number", ["x", "nan", "inf", "0"])
def test_number_of_parameters_that_is_none_is_told_in_words(number, capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate.parse_args(["zero", "--max-parameters", number])
    assert f"is {number}, expected 1 or more" in capsys.readouterr().err
