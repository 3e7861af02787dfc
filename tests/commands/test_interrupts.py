"""Ctrl+C and kills that reach several processes: none is left, nothing half-written.

What every command does at Ctrl+C is in test_every_command.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from printed import without_bars

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="needs the signals of POSIX"
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


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
    assert (process.returncode, out) == (130, "settings: --laps 50\n")
    assert without_bars(err) == ["stopped"]
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
