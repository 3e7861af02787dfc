"""Every command's main path without the names that Windows lacks.

They run for real, in processes that lack them: tests/lacking_posix says which, and what
it cannot take away. Their output goes to a console of Western Europe. Those that load
TensorFlow are slow ones, but for a drive over the wire.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import old_models
import pytest
from made_recordings import write_recording
from running_review import mark, reviewing

ROOT = Path(__file__).resolve().parents[2]
LACKING = ROOT / "tests" / "lacking_posix"
BASE = str(ROOT / "models" / "base")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a recording, in which the commands run one after another."""
    folder = tmp_path_factory.mktemp("here")
    bars = write_recording(folder / "bars", 0.8 * np.sin(np.arange(300) / 15))
    shutil.copy(next((bars / "IMG").glob("center*")), folder / "frame.jpg")
    config = old_models.keras1_config()
    old_models.write_legacy(folder / "a.h5", config, old_models.numbers(), "1.2.1")
    return folder


def slow(command, files):
    """Return a case of `make test-slow`: it loads TensorFlow, some of them often."""
    return pytest.param(command, files, marks=pytest.mark.slow)


def environment(encoding="cp1252"):
    paths = [str(LACKING), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONIOENCODING": encoding,
        # So that a text file of ours without an encoding is an error.
        "PYTHONWARNDEFAULTENCODING": "1",
        # The time in which a model must be read grows with it: here others run beside.
        "BC_MAX_PARAMETERS": "1000000000",
    }


def run(folder, command, encoding="cp1252", status=0):
    script, *words = command if isinstance(command, list) else command.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *words],
        cwd=folder,
        env=environment(encoding),
        capture_output=True,
        timeout=900,
    )
    said = done.stderr.decode(encoding, "replace")
    assert done.returncode == status, said
    assert "Traceback" not in said and "Warning" not in said, said
    return done.stdout.decode(encoding)


def test_the_names_are_gone_in_processes_and_in_those_that_these_start():
    code = (
        "import os, signal, subprocess, sys\n"
        "try: import fcntl\nexcept ImportError: pass\nelse: sys.exit('fcntl')\n"
        "assert not hasattr(os, 'fork') and not hasattr(signal, 'SIGKILL')\n"
        "try: os.open('.', 0)\nexcept PermissionError: pass\nelse: sys.exit('open')\n"
        "file = open('a', 'w', encoding='utf-8')\n"
        "try: os.replace('a', 'b')\nexcept PermissionError: pass\n"
        "else: sys.exit('replace')\n"
        "if len(sys.argv) == 1: subprocess.run([sys.executable, '-c', sys.orig_argv[2],"
        " 'child'], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.environ["BC_CACHE_DIR"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("dataset.py bars --json", ""),
        ("explore.py bars --out report", "report/report.html"),
        ("augment.py bars --out sheet.png", "sheet.png"),
        slow("model.py --preset original", ""),
        ("review.py bars --moments", ""),
        slow(f"evaluate.py {BASE} zero --recording bars --report r.html", "r.html"),
        slow(f"evaluate.py {BASE} --saliency frame.jpg", "frame_saliency.png"),
        ("evaluate.py zero expert --track random:1 --workers 2 --json", ""),
        slow(f"export.py {BASE} --to tflite --out model.tflite", "model.tflite"),
        slow("adopt.py a.h5 --crop 0 0 --colour rgb --out a", "a/model.json"),
        (
            "simulate.py record random:1-2 --frames 4 --workers 2 --out roads",
            "roads/random_1/driving_log.csv roads/random_2/driving_log.csv",
        ),
        ("simulate.py render lake --out road.png", "road.png"),
        ("simulate.py render lake --out road.mp4 --seconds 1", "road.mp4"),
        slow(
            "search.py bars --trials 2 --epochs 1 --steps 1 --workers 2",
            "models/search.sqlite",
        ),
        slow(
            f"improve.py {BASE} --track random:1 --base bars --name better --rounds 1 "
            "--frames 100 --epochs 1 --steps-per-epoch 1",
            "models/better/improve.json",
        ),
        ("demo.py --check", ""),
    ],
)
def test_a_command_does_its_work(here, command, files):
    run(here, command)
    for name in files.split():
        assert (here / name).is_file()
    assert not list(here.rglob(".partial.*")) and not list(here.rglob("*.lock"))


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on(here):
    command = "train.py bars --name bars --epochs 2 --steps-per-epoch 40"
    script, *words = f"{command} --batch-size 8".split()
    models, log = here / "models" / "bars", here / "train.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, str(ROOT / script), *words],
            cwd=here,
            env=environment(),
            stdout=out,
            stderr=out,
        ) as process,
    ):
        while not (models / "state.npz").is_file():
            assert process.poll() is None, log.read_text("cp1252")
            time.sleep(0.02)
        process.kill()
    assert not (models / "metrics.json").exists()
    said = run(here, "train.py --name bars --resume")
    assert said.endswith(f"next: python drive.py {Path('models', 'bars')}\n")
    with (models / "history.csv").open(encoding="utf-8") as file:
        assert [line.partition(",")[0] for line in file] == ["epoch", "1", "2"]
    assert (models / "metrics.json").is_file() and (models / "model.json").is_file()
    assert not list(here.rglob(".partial.*")) and not list(here.rglob("*.lock"))
    assert "bars" in run(here, "train.py --list")


def test_the_page_of_the_review_shows_and_marks(here, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    shutil.copytree(here / "bars", here / "marked")
    with reviewing(here / "marked") as review:
        review.until_idle()
        version = json.loads(review.get("/marks?recording=0")[1])["version"]
        status, content = review.put_marks(version, [mark(20, 40)])
        assert status == 200, content
        review.stop()
    marks = here / "marked" / "driving_log.marks.csv"
    assert "20,40,leave-out," in marks.read_text("utf-8")


def test_a_model_is_driven_by_the_simulator_over_the_wire(here):
    log = (here / "drive.log").open("wb")
    server = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "drive.py"),
            BASE,
            "--port",
            "0",
            "--record",
            "run",
        ],
        cwd=here,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        while not (found := re.search(r"listening on (\S+);", said_of(here))):
            assert server.poll() is None, said_of(here)
            time.sleep(0.05)
        url = f"http://{found[1]}"
        drive = f"simulate.py drive random:1 --url {url} --max-time 4 --video c.mp4"
        run(here, drive, status=1)  # The lap is not complete.
        server.send_signal(signal.SIGINT)
        out, _ = server.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
        log.close()
    assert server.returncode == 0 and "Traceback" not in said_of(here), said_of(here)
    assert "interventions" in out.decode("cp1252")
    assert len(list((here / "run" / "IMG").iterdir())) > 20
    assert (here / "c.mp4").is_file()


def said_of(folder):
    return (folder / "drive.log").read_text("cp1252")


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_a_console_gets_what_its_letters_can_say(here, encoding):
    if not (here / "Straße 東京").is_dir():
        write_recording(here / "Straße 東京", 0.8 * np.sin(np.arange(60) / 8))
    said = run(here, ["dataset.py", "Straße 東京"], encoding)
    assert "\\u6771\\u4eac" in said and ("ß" in said) == (encoding == "cp437")


@pytest.mark.slow
def test_the_demo_does_all_of_it(here):
    run(here, "demo.py --quick --out demo")
    assert (here / "demo" / "index.html").is_file()


# --- What is in use -------------------------------------------------------------------


def run_code(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment() | {"PYTHONPATH": os.pathsep.join([str(LACKING), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_in_use_for_a_moment_is_replaced_after_it(tmp_path):
    code = """
import threading
from pathlib import Path
from simulator.disk import rename
new, old = Path("new"), Path("old")
new.write_bytes(b"new"), old.write_bytes(b"old")
held = old.open("rb")
threading.Timer(0.3, held.close).start()
rename(new, old)
assert old.read_bytes() == b"new" and not new.exists()
new.write_bytes(b"newer")
with old.open("rb"):
    try:
        rename(new, old)
    except PermissionError as error:
        assert error.filename == "new"
    else:
        raise AssertionError
assert old.read_bytes() == b"new" and new.read_bytes() == b"newer"
"""
    run_code(tmp_path, code)


def test_a_shard_that_another_run_has_mapped_is_left_to_it(tmp_path):
    write_recording(tmp_path / "bars", 0.8 * np.sin(np.arange(20) / 8))
    code = """
import shutil
from pathlib import Path
from training import view_cache
paths = sorted(map(str, Path("bars", "IMG").iterdir()))
cache = view_cache.ViewCache(paths, lambda frames: frames[:, ::8, ::8], "x", Path("c"))
(shard,) = Path("c", "views").glob("*.npy")
made = shard.with_suffix(".partial")
shutil.copy(shard, made)
before = shard.stat()
view_cache._place(made, shard, len(paths))
assert shard.stat() == before and not made.exists()
made.write_bytes(b"of another build")
try:
    view_cache._place(made, shard, len(paths) + 1)
except PermissionError:
    pass
else:
    raise AssertionError
"""
    run_code(tmp_path, code)
