"""Two commands at once on one thing, and names that are unusual."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import without_bars

import augment
import evaluate
import explore
import improve
import train
from common.errors import InputError
from common.page import to_png
from network.files import load_model
from training.run_folder import make_run
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--epochs", "1", "--steps-per-epoch", "2", "--batch-size", "8"]
HOLD = (
    "import sys\nfrom pathlib import Path\nfrom common.locks import only_writer\n"
    "with only_writer(Path(sys.argv[1])):\n"
    "    print('ready', flush=True)\n    sys.stdin.readline()\n"
)
# A formula that is none, a format, a line's end, a terminal's command, no text.
STRANGE = "a$\\frac{b$ %s %(x)d {0}\n\x1b[31m\udcff"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.8 * np.sin(np.arange(200) / 15))


def hold(folder):
    """Start a process that writes into a folder, as far as others can see."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- Crowds ---------------------------------------------------------------------------


def test_run_that_is_trained_is_resumed_by_nobody_else(recording, tmp_path, capsys):
    argv = ["--name", "a", "--models-dir", str(tmp_path)]
    assert train.main([str(recording), *argv, *SHORT]) == 0
    folder = tmp_path / "a"
    holder = hold(folder)
    before = contents(folder)
    capsys.readouterr()
    assert train.main([*argv, "--resume"]) == 1
    err = capsys.readouterr().err
    assert f"{folder}: process {holder.pid} on " in err and len(without_bars(err)) == 1
    assert contents(folder) == before
    # Who only reads the run is not kept out.
    load_model(folder / "model.json")
    assert train.main(["--list", str(tmp_path)]) == 0
    holder.kill()
    holder.communicate()
    assert train.main([*argv, "--resume"]) == 0
    assert not (folder / ".lock").exists()


def test_loser_of_two_runs_of_one_name_says_so_and_the_winner_is_whole(tmp_path):
    settings = Settings(("data/sample",))
    make_run(tmp_path / "a", settings)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="another run of that name has just begun"):
        make_run(tmp_path / "a", settings)
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_of_two_trainings_with_one_name_one_is_told(recording, tmp_path):
    command = [sys.executable, "train.py", str(recording), "--name", "a", *SHORT]
    command += ["--models-dir", str(tmp_path)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [
        (process.communicate(timeout=300)[1], process.returncode) for process in both
    ]
    (lost, status), (_, done) = sorted(ends, key=lambda end: -end[1])
    assert (status, done) == (1, 0)
    assert "a: another " in lost and len(without_bars(lost)) == 1
    assert not list(tmp_path.rglob(".*"))
    load_model(tmp_path / "a" / "model.json")


def test_result_that_is_improved_is_improved_by_nobody_else(saved, tmp_path, capsys):
    folder = tmp_path / "better"
    holder = hold(folder)
    argv = [str(saved[1] / "model.json"), "--track", "lake", "--name", "better"]
    assert improve.main([*argv, "--models-dir", str(tmp_path)]) == 1
    assert f"{folder}: process {holder.pid} on " in capsys.readouterr().err
    holder.communicate("\n")
    assert not folder.exists()


# --- Names ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no text")
@pytest.mark.slow
def test_run_with_strange_names_ends_with_its_pictures(recording, tmp_path, capsys):
    strange = tmp_path / STRANGE
    strange.symlink_to(recording)
    argv = [str(strange), "--name", STRANGE, "--models-dir", str(tmp_path / "models")]
    assert train.main([*argv, *SHORT]) == 0
    folder = tmp_path / "models" / STRANGE
    for name in ("loss.png", "predictions.png", "metrics.json", "model.json"):
        assert (folder / name).stat().st_size > 0
    report = ["--report", str(tmp_path / "report.html"), "--recording", str(strange)]
    assert evaluate.main([str(folder / "model.json"), "zero", *report]) == 0
    assert explore.main([str(strange), "--out", str(tmp_path / STRANGE[1:])]) == 0
    assert augment.main([str(strange), "--out", str(tmp_path / f"{STRANGE}.png")]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    "command",
    [
        "augment data/sample --out {}.png",
        "dataset {}",
        "demo --data {}",
        "drive {}/model.json",
        "evaluate zero --recording {}",
        "explore {}",
        "export {}/model.json --to onnx",
        "improve {}/model.json --track lake --name b",
        "model {}/model.json",
        "search {}",
        "simulate render lake --seconds 0.1 --out {}.mp4",
        "train {} --name b",
    ],
)
@pytest.mark.parametrize(
    "name", ["n\udcff\x1b[2J\n", "n" * 300, "file/deeper", "loop/a"], ids=ascii
)
def test_unusual_names_are_taken_or_refused_in_one_line(
    name, command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("loop").symlink_to("loop")
    Path("data").symlink_to(ROOT / "data")
    script, *words = command.split()
    # A file of nearly every name can be made.
    is_made = "\udcff" in name and script in ("augment", "simulate")
    main = __import__(script).main
    assert main([word.replace("{}", name) for word in words]) == 1 - is_made
    out, err = capsys.readouterr()
    assert "\x1b" not in out
    said = without_bars(err)
    assert len(said) == 1 - is_made and "Traceback" not in err
    assert "".join(said).isprintable() and "\x1b" not in err
    others = {path.name for path in tmp_path.iterdir()} - {"file", "loop", "data"}
    assert len(others) == is_made


def test_text_in_pictures_is_no_formula():
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 10], [1, 100], label=STRANGE)
    axes.set(title=STRANGE, xlabel=STRANGE, ylabel=STRANGE, yscale="log")
    axes.set_xticks([1, 10], [STRANGE, "$b$"])
    axes.legend(title=STRANGE)
    figure.suptitle(STRANGE)
    axes.text(1, 1, STRANGE)
    assert to_png(figure).startswith(b"\x89PNG")
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert any("mathdefault" in text for text in shown)
    assert all(label.get_parse_math() for label in axes.get_yticklabels())
