"""Ctrl+C: every command ends in one line, with 1, and leaves nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_recordings import write_recording

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="needs the signals of POSIX"
)
# Runs a command, and sends Ctrl+C when it calls a function.
AT_A_CALL = """
import importlib, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
module_name, _, name = sys.argv[1].rpartition(".")
if module_name.partition(".")[0] in ("network", "training"):
    from common.start_up import quiet_tensorflow
    quiet_tensorflow()
command = importlib.import_module(sys.argv[2])

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
sys.exit(command.main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.8 * np.sin(np.arange(120) / 15))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("simulator.recorder.Recorder.add", "simulate record lake --out out"),
        ("simulator.film.Film.add", "simulate render lake --out out.mp4"),
        ("simulate.write_picture", "simulate render lake --out out.png"),
        ("recordings.pictures.draw_time", "explore {data} --out out"),
        ("common.files.os.fsync", "augment {data} --out out.png"),
        ("recordings.images.image_facts", "dataset {data}"),
        ("evaluation.judging.judge_recordings", "evaluate zero --recording {data}"),
        ("evaluation.video.film_drive", "evaluate zero --track lake --video out.mp4"),
        (
            "evaluation.closed_loop.drive",
            "evaluate zero --track lake --report a.html",
        ),
        (
            "evaluation.benchmark.drive_all",
            "evaluate {model} --benchmark --card a.md --report a.html",
        ),
        ("model.load_model", "model {model}"),
        ("network.conversion.to_tflite", "export {model} --to tflite --out out.tflite"),
        ("simulator.world.World.reset", "improve {model} --track lake --name out"),
        ("training.preparation.read_split", "train {data} --name out --models-dir ."),
    ],
)
def test_ctrl_c_is_one_line_and_leaves_nothing(
    call, command, recording, saved, tmp_path
):
    words = command.format(data=recording, model=saved[1] / "model.json").split()
    if words[0] == "improve":
        words += ["--base", str(recording), "--models-dir", "."]
    done = subprocess.run(
        [sys.executable, "-c", AT_A_CALL, call, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("bars: ")]
    goes_on = "; the same command goes on" if words[0] == "improve" else ""
    assert said == [f"stopped{goes_on}"]
    assert names_in(tmp_path) == []


def test_ctrl_c_in_a_terminal_ends_the_workers_without_a_word():
    """A terminal sends it to every process, and a drive takes minutes."""
    command = "evaluate.py zero expert --track lake jungle --laps 50".split()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = workers_of(process, 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (1, "", "stopped\n")
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def workers_of(process, count):
    """Wait for the processes that a process drives with; return them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        spawned = [c for c in children if "spawn_main" in " ".join(c.cmdline())]
        if len(spawned) >= count and all(c.cpu_times().user > 1 for c in spawned):
            return spawned
        time.sleep(0.05)
    raise AssertionError(process.communicate())


def test_killed_recording_is_replaced_by_the_next_of_its_name(tmp_path):
    command = [sys.executable, "simulate.py", "record", "lake", "--out"]
    command += [str(tmp_path / "lake"), "--frames"]
    first = subprocess.Popen([*command, "9999"], cwd=ROOT, stdout=subprocess.DEVNULL)
    log = tmp_path / ".partial.lake" / "driving_log.csv"
    while first.poll() is None and not log.exists():
        time.sleep(0.01)
    second = subprocess.run([*command, "2"], cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 1
    assert second.stderr == (
        f"{tmp_path / 'lake'} is being written by another process; give another name\n"
    )
    first.kill()
    first.wait()
    assert names_in(tmp_path) == [".partial.lake", ".partial.lake.lock"]
    third = subprocess.run([*command, "2"], cwd=ROOT, capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert names_in(tmp_path) == ["lake"]
    assert len(names_in(tmp_path / "lake" / "IMG")) == 6
