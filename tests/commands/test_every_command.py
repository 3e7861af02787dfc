"""Every command in every situation that one meets: a table, and no traceback in it.

The exit status is 0 for done, 1 for what was refused or failed, 2 for wrong usage, 130
for what Ctrl+C has stopped; but for the first, stderr says why in its last line.
"""

import importlib
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording
from printed import without_bars
from small_disk import small_disk

from network.files import BASE_MODEL

ROOT = Path(__file__).resolve().parents[2]
# Run a script, and send it Ctrl+C: when it imports its so-many-th module, or when it
# calls a function.
AT_AN_IMPORT = """
import atexit, os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
left, *sys.argv = sys.argv[1:]
left = int(left)

def count(event, _):
    global left
    # Before, Python itself is starting.
    is_begun = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    if event == "import" and is_begun and left:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(count)
atexit.register(lambda: left and print("it imports less", file=sys.stderr))
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
AT_A_CALL = """
import importlib, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
call, script, *words = sys.argv[1:]
sys.path[0] = os.path.dirname(script)
module_name, _, name = call.rpartition(".")
if module_name.partition(".")[0] in ("network", "training"):
    from common.start_up import quiet_tensorflow
    quiet_tensorflow()
command = importlib.import_module(os.path.basename(script).removesuffix(".py"))

def hearing(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGINT)
    return function(*args, **kwargs)

owner = sys.modules.get(module_name)
if owner is None:
    parent, _, owner_name = module_name.rpartition(".")
    try:
        owner = importlib.import_module(module_name)
    except ModuleNotFoundError:
        owner = getattr(importlib.import_module(parent), owner_name)
function = getattr(owner, name)
setattr(owner, name, hearing)
sys.exit(command.main(words))
"""
posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="needs the signals of POSIX"
)
SHORT = "--epochs 1 --steps-per-epoch 1 --batch-size 8"
TRIAL = "--trials 1 --epochs 1 --steps 1 --study s.sqlite"
NO_TRACK = "no track '{}'; there are: lake"
NO_LOG = "none: no such file or folder, expected a recording"
NO_MODEL = "none: no such file, expected a model.json"
IS_RUN = "run: a run of train.py, expected a recording"
IS_RECORDING = "it is a recording, and python train.py bars makes one of it"
HOLDS = "it holds recordings, give those: "
NONE_YET = "no recording given, and data holds none of yours; record one"
MISSED = "the following arguments are required: "

# What is typed, the exit status, and what the last line says: of stderr, or, if it is
# done, of stdout. Where it is typed lie `bars`, a recording; `roads`, a folder of two
# of them; `run`, a run; `frame.jpg`, a frame of `bars`; `file`, a file.
Cells = dict[str, tuple[int, str]]
# demo.py and drive.py begin their work: see test_demo.py and test_as_typed.py.
NO_ARGUMENT: Cells = {
    "adopt.py": (2, MISSED + "model, --out"),
    "augment.py": (1, NONE_YET),
    "dataset.py": (1, NONE_YET),
    "evaluate.py": (2, MISSED + "MODEL"),
    "explore.py": (1, NONE_YET),
    "export.py": (2, MISSED + "model, --to"),
    "improve.py": (2, MISSED + "model, --name"),
    "model.py": (0, "Non-trainable params"),
    "review.py": (1, NONE_YET),
    "search.py": (1, NONE_YET),
    "simulate.py": (2, MISSED + "COMMAND"),
    "simulate.py drive": (2, MISSED + "track"),
    "simulate.py record": (2, MISSED + "track, --out"),
    "simulate.py render": (2, MISSED + "track, --out"),
    "simulate.py window": (2, MISSED + "track"),
    "train.py": (1, NONE_YET),
}
A_RECORDING: Cells = {
    "adopt.py bars --out x": (1, IS_RECORDING),
    "augment.py bars": (0, "written: augment.png"),
    "dataset.py bars": (0, "3 cameras, 1 session"),
    "dataset.py bars --to donkeycar --out x": (0, "120 rows for donkeycar"),
    "dataset.py import bars --out x": (1, "bars: a recording already, which every"),
    "demo.py --data bars --port {taken}": (1, "cannot listen on 127.0.0.1:"),
    "drive.py bars": (1, IS_RECORDING),
    "drive.py run --play bars --port {taken}": (1, "cannot listen on 127.0.0.1:"),
    "evaluate.py bars": (1, "nothing to drive: give --recording DIR, --track NAME"),
    "evaluate.py zero --recording bars --part 0 0.5": (0, "recording replayed)."),
    "explore.py bars": (0, "next: python train.py bars"),
    "export.py bars --to onnx": (1, IS_RECORDING),
    "improve.py bars --name x --track lake": (1, IS_RECORDING),
    "model.py bars": (1, IS_RECORDING),
    "review.py bars --list": (0, "next: python train.py bars"),
    f"search.py bars {TRIAL}": (0, "written to s: trials"),
    "simulate.py drive bars": (1, NO_TRACK.format("bars")),
    "simulate.py record bars --out x": (1, NO_TRACK.format("bars")),
    "simulate.py render bars --out x.png": (1, NO_TRACK.format("bars")),
    "simulate.py window bars": (1, NO_TRACK.format("bars")),
    f"train.py bars {SHORT}": (0, "next: python drive.py models/bars"),
    "train.py bars --from bars": (1, "it is a recording, and python train.py "),
}
RECORDINGS: Cells = {
    "adopt.py roads --out x": (1, "roads: a folder, expected a model.h5, .json or"),
    "adopt.py run --recording roads --out x": (1, HOLDS + "roads/a roads/b"),
    "augment.py roads": (1, HOLDS + "roads/a roads/b"),
    "dataset.py roads": (1, HOLDS + "roads/a roads/b"),
    "dataset.py import roads --out x": (1, "roads: no log that is known, expected"),
    "demo.py --data roads": (1, HOLDS + "roads/a roads/b"),
    "drive.py roads": (1, "no model.json in this folder; expected a run of train.py"),
    "drive.py run --play roads": (1, HOLDS + "roads/a roads/b"),
    "evaluate.py zero --recording roads": (1, HOLDS + "roads/a roads/b"),
    "explore.py roads": (1, HOLDS + "roads/a roads/b"),
    "export.py run --to onnx --frames roads": (1, HOLDS + "roads/a roads/b"),
    "improve.py run --name x --recording roads": (1, HOLDS + "roads/a roads/b"),
    "model.py roads": (1, "no model.json in this folder"),
    "review.py roads --list": (1, HOLDS + "roads/a roads/b"),
    "search.py roads": (1, HOLDS + "roads/a roads/b"),
    "simulate.py drive roads": (1, NO_TRACK.format("roads")),
    "simulate.py record roads --out x": (1, NO_TRACK.format("roads")),
    "simulate.py render roads --out x.png": (1, NO_TRACK.format("roads")),
    "simulate.py window roads": (1, NO_TRACK.format("roads")),
    "train.py roads": (1, HOLDS),
}
A_RUN: Cells = {
    "adopt.py run --out x": (0, "next: python drive.py x"),
    "adopt.py run --recording run --out x": (1, IS_RUN),
    "augment.py run": (1, IS_RUN),
    "dataset.py run": (1, IS_RUN),
    "dataset.py import run --out x": (1, "no column is known to hold the steering"),
    "demo.py --data run": (1, IS_RUN),
    "drive.py run --play run": (1, IS_RUN),
    "drive.py run --port {taken}": (1, "cannot listen on 127.0.0.1:"),
    "evaluate.py run --recording bars --part 0 0.5": (0, "recording replayed)."),
    "evaluate.py zero --recording run": (1, IS_RUN),
    "explore.py run": (1, IS_RUN),
    "export.py run --to tflite --limit 5 --out x.tflite": (0, "drive.py x.tflite"),
    "export.py run --to tflite --frames run --out x.tflite": (1, IS_RUN),
    "improve.py run --name x --recording run": (1, IS_RUN),
    "model.py run": (0, "Non-trainable params"),
    "review.py run --list": (1, IS_RUN),
    "search.py run": (1, IS_RUN),
    "simulate.py drive run": (1, NO_TRACK.format("run")),
    "simulate.py record run --out x": (1, NO_TRACK.format("run")),
    "simulate.py render run --out x.png": (1, NO_TRACK.format("run")),
    "simulate.py window run": (1, NO_TRACK.format("run")),
    "train.py run": (1, IS_RUN),
    f"train.py bars --from run {SHORT}": (0, "drive.py models/bars"),
}
MISSING: Cells = {
    "adopt.py none --out x": (1, "no such file, expected a model.h5, .json or .keras"),
    "adopt.py run --weights none.h5 --out x": (1, "none.h5: no such file"),
    "adopt.py run --recording none --out x": (1, NO_LOG),
    "augment.py none": (1, NO_LOG),
    "dataset.py none": (1, NO_LOG),
    "dataset.py import none --out x": (1, "no such file or folder, expected a donkey"),
    "demo.py --data none": (1, NO_LOG),
    "drive.py none": (1, NO_MODEL),
    "drive.py none.tflite": (1, "no such file, expected what export.py writes"),
    "drive.py run --play none": (1, NO_LOG),
    "evaluate.py --track lake none": (2, MISSED + "MODEL"),
    "evaluate.py none --recording bars": (1, "none: no such file; expected a run's"),
    "evaluate.py none --benchmark": (1, "none: no such file; expected a run's"),
    "evaluate.py zero --recording none": (1, NO_LOG),
    "evaluate.py run --saliency none.jpg": (1, "none.jpg: "),
    "explore.py none": (1, NO_LOG),
    "export.py none --to tflite": (1, NO_MODEL),
    "export.py run --to tflite --frames none --out x.tflite": (1, NO_LOG),
    "improve.py none --name x --recording bars": (1, NO_MODEL),
    "improve.py run --name x --recording none": (1, NO_LOG),
    "model.py none": (1, NO_MODEL),
    "review.py none --list": (1, NO_LOG),
    "search.py none": (1, NO_LOG),
    "search.py bars -- --from none": (1, NO_MODEL),
    "simulate.py drive none": (1, NO_TRACK.format("none")),
    "simulate.py record none --out x": (1, NO_TRACK.format("none")),
    "simulate.py render none --out x.png": (1, NO_TRACK.format("none")),
    "simulate.py window none": (1, NO_TRACK.format("none")),
    "train.py none": (1, NO_LOG),
    "train.py bars --from none": (1, NO_MODEL),
    "train.py --resume --name none": (1, "no such run, expected what train.py wrote"),
}
# {} is where nothing can be written: a folder of a disk that is read only, or a file.
UNWRITABLE = (
    "adopt.py run --out {}/x",
    "augment.py bars --out {}/x.png",
    "dataset.py bars --to donkeycar --out {}/x",
    "demo.py --data bars --out {}/x",
    "drive.py run --record {}/x",
    "drive.py run --corrections {}/x",
    "evaluate.py zero --track lake --report {}/x.html",
    "evaluate.py zero --track lake --video {}/x.mp4",
    "evaluate.py run --benchmark --card {}/x.md",
    "explore.py bars --out {}/x",
    "export.py run --to tflite --out {}/x.tflite",
    "improve.py run --name x --recording bars --models-dir {}",
    "search.py bars --study {}/x.sqlite",
    "simulate.py drive lake --video {}/x.mp4",
    "simulate.py record lake --out {}/x",
    "simulate.py record random:1-2 --frames 2 --out {}/x",
    "simulate.py render lake --out {}/x.png",
    "simulate.py window lake --out {}/x",
    "train.py bars --models-dir {}",
)
# The same where nothing is said of the output, typed in a folder of that disk.
UNWRITABLE_HERE = (
    "augment.py {}/bars",
    "demo.py --data {}/bars",
    "evaluate.py {}/run --saliency {}/frame.jpg",
    "explore.py {}/bars",
    "improve.py {}/run --name x --recording {}/bars",
    "search.py {}/bars",
    "train.py {}/bars",
)
# Done until so far; what is left is only what goes on with the same command.
WORK = {
    "adopt.py run --out x": "network.files.save_model",
    "augment.py bars --out x.png": "common.files.os.fsync",
    "dataset.py bars": "recordings.images.image_facts",
    "dataset.py bars --to donkeycar --out x": "recordings.foreign.donkeycar.write_tub",
    "demo.py --data bars --out x": "common.leash.Scripts.run",
    "evaluate.py zero --recording bars": "evaluation.judging.judge_recordings",
    "evaluate.py zero --track lake --video x.mp4": "evaluation.video.film_drive",
    "evaluate.py zero --track lake --report x.html": "evaluation.closed_loop.drive",
    "evaluate.py run --benchmark --card x.md": "evaluation.benchmark.drive_all",
    "explore.py bars --out x": "recordings.pictures.draw_time",
    "export.py run --to tflite --out x.tflite": "network.conversion.to_tflite",
    "improve.py run --track lake --base bars --name x": "simulator.world.World.reset",
    "model.py run": "model.load_model",
    "review.py bars --moments": "recordings.moments.looks.read_looks",
    "search.py bars --study s.sqlite": "training.preparation.read_split",
    "simulate.py drive lake --url http://127.0.0.1:{free}": "simulator.client._connect",
    "simulate.py record lake --out x": "simulator.recorder.Recorder.add",
    "simulate.py render lake --out x.mp4": "simulator.film.Film.add",
    "simulate.py render lake --out x.png": "simulate.write_picture",
    # On a display: see test_window.py.
    "simulate.py window lake --out x": "simulator.variants.draw_variant",
    "train.py bars --name x --models-dir .": "training.preparation.read_split",
}
# Ends with 1 here, where there is none.
NO_DISPLAY = {"simulate.py window lake --out x"}
GOES_ON = {
    "demo.py": "; what is done is kept in x, the same command goes on",
    "improve.py": "; the same command goes on",
    "search.py": "; the same command goes on",
}
MAY_NOT = (
    "cannot be written: (Read-only file system|Not a directory|Permission denied)"
    "|file is no folder"
)


def all_commands():
    """Return how each begins."""
    scripts = {path.name for path in ROOT.glob("*.py")} - {"simulate.py"}
    return scripts | {
        f"simulate.py {n}" for n in ("drive record render window").split()
    }


def commands_in(table):
    """Return the commands of a table's cells."""
    return {name for name in all_commands() for typed in table if begins(typed, name)}


def begins(typed, name):
    return f"{typed} ".startswith(f"{name} ")


def test_no_command_is_left_out_of_the_table():
    # Written by none: what they print goes to stdout, as in test_ends.py.
    # Marks lie beside the log and nowhere else: see test_marks.py.
    print_only = {"model.py", "review.py"}
    for table, but in (
        (NO_ARGUMENT, {"demo.py", "drive.py"}),
        (A_RECORDING, set()),
        (RECORDINGS, set()),
        (A_RUN, set()),
        (MISSING, set()),
        (UNWRITABLE, print_only),
        (WORK, {"drive.py"}),  # Ctrl+C is its usual end: see test_drive.py.
    ):
        assert commands_in(table) == all_commands() - but


# --- Refused, or done -----------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with what the cells name."""
    folder = tmp_path_factory.mktemp("made")
    write_recording(folder / "bars", 0.8 * np.sin(np.arange(120) / 15))
    for seed, name in enumerate("ab"):
        steering = 0.8 * np.sin(np.arange(20) / 15)
        write_recording(folder / "roads" / name, steering, seed=seed)
    (folder / "run").mkdir()
    for name in ("model.json", "model.weights.h5"):
        shutil.copy(BASE_MODEL.with_name(name), folder / "run")
    (folder / "run" / "history.csv").write_text("epoch,loss,val_loss\n1,0.1,0.1\n")
    first = next((folder / "bars" / "IMG").glob("center*"))
    shutil.copy(first, folder / "frame.jpg")
    (folder / "file").write_text("")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A folder of one's own, with the same things in it."""
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    """A folder on a disk that nothing can be written to, by root neither."""
    folder = tmp_path_factory.mktemp("read_only")
    with small_disk(folder, "1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


def type_in(typed, capfd):
    """Run a command in this process; return its status, stdout and stderr."""
    script, *words = typed.split()
    try:
        status = importlib.import_module(script.removesuffix(".py")).main(words)
    except SystemExit as end:
        status = end.code
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return status, out, err


def check(table, typed, capfd, here):
    """See that a command ends as its cell of a table says."""
    expected, said = table[typed]
    before = names_in(here)
    with socket.create_server(("127.0.0.1", 0)) as one:
        taken = one.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as other:
            free = other.getsockname()[1]
        status, out, err = type_in(typed.format(taken=taken, free=free), capfd)
    *above, last = without_bars(err) if status else out.strip().splitlines()
    assert (status, said in (last if status else out)) == (expected, True), err
    if status == 1:
        assert not above
        assert names_in(here) == before
    assert not [name for name in names_in(here) if name.startswith(".partial")]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("typed", NO_ARGUMENT)
def test_without_an_argument(here, capfd, typed):
    check(NO_ARGUMENT, typed, capfd, here)


@pytest.mark.parametrize("typed", A_RECORDING)
def test_with_the_folder_of_a_recording(here, capfd, typed):
    check(A_RECORDING, typed, capfd, here)


@pytest.mark.parametrize("typed", RECORDINGS)
def test_with_a_folder_that_holds_recordings(here, capfd, typed):
    check(RECORDINGS, typed, capfd, here)


@pytest.mark.parametrize("typed", A_RUN)
def test_with_the_folder_of_a_run(here, capfd, typed):
    check(A_RUN, typed, capfd, here)


@pytest.mark.parametrize("typed", MISSING)
def test_with_what_is_not_there(here, capfd, typed):
    check(MISSING, typed, capfd, here)


def check_unwritable(typed, capfd, here):
    before = names_in(here)
    status, _, err = type_in(typed, capfd)
    assert (status, len(without_bars(err))) == (1, 1), err
    assert re.search(MAY_NOT, err), err
    assert names_in(here) == before


@pytest.mark.parametrize("typed", UNWRITABLE)
def test_with_an_output_below_a_file(here, capfd, typed):
    check_unwritable(typed.replace("{}", "file"), capfd, here)


@pytest.mark.parametrize("typed", UNWRITABLE)
def test_with_an_output_on_a_disk_that_is_read_only(here, read_only, capfd, typed):
    check_unwritable(typed.replace("{}", str(read_only)), capfd, here)


@pytest.mark.parametrize("typed", UNWRITABLE_HERE)
def test_in_a_folder_that_is_read_only(made, read_only, capfd, monkeypatch, typed):
    monkeypatch.chdir(read_only)
    check_unwritable(typed.replace("{}", str(made)), capfd, made)


# --- Ctrl+C ---------------------------------------------------------------------------


def stop(how, typed, here):
    """Run a command that is sent Ctrl+C; return its process and what it printed."""
    script, *words = typed.split()
    process = subprocess.Popen(
        [sys.executable, "-c", *how, str(ROOT / script), *words],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:  # It imports less, and is at its work.
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def check_stopped(typed, here, before, status, out, err):
    script = typed.split()[0]
    assert status == 130, err
    assert "Traceback" not in out + err and "Exception ignored" not in err
    last = err.splitlines()[-1]
    assert last.startswith("stopped"), err
    left = set(names_in(here)) - set(before)
    if script in GOES_ON:
        assert left <= {"x", "models", "s", "s.sqlite"}
        return last
    assert not left
    return last


@posix_only
@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("typed", [*WORK, "drive.py run --port 0"])
def test_with_ctrl_c_in_its_first_second(here, typed, count):
    before = names_in(here)
    ended = stop([AT_AN_IMPORT, str(count)], typed.format(free=9), here)
    check_stopped(typed, here, before, *ended)


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 10, 25, 100, 200, 400, 800, 1600, 3200])
@pytest.mark.parametrize("typed", [*WORK, "drive.py run --port 0"])
def test_with_ctrl_c_while_it_loads(here, typed, count):
    before = names_in(here)
    status, out, err = stop([AT_AN_IMPORT, str(count)], typed.format(free=9), here)
    if err.endswith("it imports less\n"):
        err = err.removesuffix("it imports less\n")
        if status != 130:  # Else it was stopped at its work, which took a minute.
            assert "Traceback" not in err and (status == 0 or typed in NO_DISPLAY), err
            pytest.skip("it has done its work before it imports as much")
    if typed.startswith("drive.py") and "listening on" in err:
        assert (status, "autonomy" in out) == (0, True)
    else:
        check_stopped(typed, here, before, status, out, err)


@posix_only
@pytest.mark.parametrize("typed", WORK)
def test_with_ctrl_c_in_its_work(here, typed):
    before = names_in(here)
    ended = stop([AT_A_CALL, WORK[typed]], typed.format(free=9), here)
    last = check_stopped(typed, here, before, *ended)
    assert last == "stopped" + GOES_ON.get(typed.split()[0], "")
