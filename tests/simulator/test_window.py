"""The window, on a virtual display with real key events; the ramps of its controls."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from printed import unwrapped

from recordings.recording import read_recording
from simulator.controls import Controls, Inputs
from simulator.recorder import Recorder
from simulator.vehicle import MPS_PER_MPH

ROOT = Path(__file__).parents[2]


# --- Controls -------------------------------------------------------------------------


def held(*keys, seconds=1.0, controls=None):
    controls = controls or Controls()
    for _ in range(round(seconds * 60)):
        controls.step(Inputs(frozenset(keys)), 1 / 60)
    return controls


def test_a_held_key_turns_the_wheel_to_its_lock_in_four_tenths_of_a_second():
    assert held("arrow_right", seconds=0.2).steering == pytest.approx(0.5)
    assert held("d", seconds=0.4).steering == pytest.approx(1.0)
    assert held("a", seconds=2).steering == -1


def test_wheel_and_pedal_return_when_the_keys_are_let_go():
    controls = held("arrow_left", "arrow_up")
    assert (controls.steering, controls.throttle) == (-1, 1)
    held(seconds=0.5, controls=controls)
    assert (controls.steering, controls.throttle) == (0, 0)


def test_the_other_key_snaps_through_the_middle():
    controls = held("arrow_left")
    held("arrow_right", seconds=1 / 60, controls=controls)
    assert 0 < controls.steering < 0.1


def test_space_cruises_unless_another_key_is_held():
    assert held("space").throttle == pytest.approx(0.4)
    assert held("space", "s").throttle == -1


def test_mouse_and_stick_go_before_keys():
    controls = Controls()
    controls.step(Inputs(frozenset("a"), stick=0.5, pedals=-0.7), 1 / 60)
    assert (controls.steering, controls.throttle) == (0.5, -0.7)
    controls.step(Inputs(frozenset("a"), drag=1 / 12, stick=-1.0), 1 / 60)
    assert controls.steering == pytest.approx(0.5)


def test_a_stick_beyond_its_range_is_refused():
    with pytest.raises(ValueError, match=r"stick is 1\.5"):
        Inputs(stick=1.5)


# --- On a display ---------------------------------------------------------------------


class Display:
    """A virtual display whose picture can be read, and whose keys can be pressed."""

    def __init__(self, folder):
        self.folder = folder
        read_end, write_end = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-fbdir", str(folder)]
            + ["-screen", "0", "1280x720x24", "-nolisten", "tcp"],
            pass_fds=[write_end],
            stderr=subprocess.DEVNULL,
        )
        os.close(write_end)
        with os.fdopen(read_end) as said:
            self.environment = {**os.environ, "DISPLAY": f":{said.readline().strip()}"}

    def xdotool(self, *arguments):
        return subprocess.run(
            ["xdotool", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def screenshot(self):
        """Return what is shown, uint8 RGB (h, w, 3), from the server's XWD file."""
        content = (self.folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(content, ">u4", 25)
        size, width, height, colours = header[[0, 4, 5, 19]].tolist()
        pixels = np.frombuffer(
            content, np.uint8, height * width * 4, size + 12 * colours
        )
        return pixels.reshape(height, width, 4)[:, :, 2::-1].copy()

    def close(self):
        self.server.terminate()
        self.server.wait()


@pytest.fixture
def display(tmp_path):
    for program in ("Xvfb", "xdotool"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}: apt-get install xvfb xdotool")
    folder = tmp_path / "display"
    folder.mkdir()
    display = Display(folder)
    yield display
    display.close()


def wait_for(happened, seconds=60):
    """Return what `happened` returns as soon as it is true."""
    until_s = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.1)
    return found


# A machine on which a recorded frame takes six times its time.
SLOW_PROGRAM = """
import sys, time
import simulate
from simulator.window import LiveWorld

class SlowWorld(LiveWorld):
    def render(self, cameras):
        time.sleep(0.4)
        return super().render(cameras)

import simulator.window
simulator.window.LiveWorld = SlowWorld
sys.exit(simulate.main(sys.argv[1:]))
"""


@contextlib.contextmanager
def driving(display, out, *arguments, program=("simulate.py",)):
    """Open a window and record into `out`; yield the program and what it says."""
    said = out.parent / "said"
    with said.open("w") as stream:
        program = subprocess.Popen(
            [sys.executable, *program, "window", "lake", "--out", str(out), *arguments],
            cwd=ROOT,
            env=display.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "Esc leaves" in said.read_text() or program.poll() is not None)
        if "OpenGL does not work" in said.read_text():
            pytest.skip(said.read_text().strip())
        window = wait_for(
            lambda: display.xdotool("search", "--name", "lake - simulate.py").strip()
        )
        # The scene is in the picture when it has many colours.
        wait_for(lambda: len(np.unique(display.screenshot()[::4, ::4])) > 100)
        display.xdotool("windowfocus", window)
        display.xdotool("keydown", "Up", "key", "r")
        # It is written beside, until it is whole.
        wait_for(lambda: any(out.parent.glob(f".partial.{out.name}/IMG/right_*")))
        yield program, said
    finally:
        if program.poll() is None:
            program.send_signal(signal.SIGKILL)
            program.wait()


@pytest.mark.parametrize("renderer", ["opengl", "software"])
def test_a_person_drives_records_and_leaves(display, tmp_path, renderer):
    out = tmp_path / "mine"
    with driving(display, out, "--renderer", renderer) as (program, said):
        time.sleep(2.5)  # A person's drive takes its time.
        standing = display.screenshot()
        display.xdotool("keydown", "Right")
        time.sleep(1)
        display.xdotool("keyup", "Right", "keyup", "Up", "key", "r")
        wait_for((out / "driving_log.csv").exists)
        moved = display.screenshot()
        display.xdotool("key", "Escape")
        assert program.wait(timeout=30) == 0, said.read_text()
    assert f"drawn by {renderer}" in said.read_text()
    assert f"next: python explore.py {out}" in said.read_text()
    samples = read_recording(out).samples
    assert len(samples) >= 20
    assert samples["throttle"].max() == 1 and samples["steering"].max() > 0.5
    assert samples["speed_mph"].iloc[-1] > 10
    assert samples["speed_mph"].max() * MPS_PER_MPH < 15
    # The picture goes with the car.
    assert np.abs(moved.astype(int) - standing).mean() > 5


def test_a_machine_slower_than_real_time_records_in_slow_motion(display, tmp_path):
    out = tmp_path / "mine"
    slow = ("-c", SLOW_PROGRAM)
    arguments = ("--renderer", "software")
    with driving(display, out, *arguments, program=slow) as (program, said):
        time.sleep(3)  # Long enough to be late beyond any catching up.
        display.xdotool("keyup", "Up", "key", "r")
        wait_for((out / "driving_log.csv").exists)
        display.xdotool("key", "Escape")
        assert program.wait(timeout=30) == 0, said.read_text()
    (pace,) = re.findall(r"at (\d+)% of real time", said.read_text())
    # A frame of 1/15 s that takes 0.4 s and more.
    assert 0 < int(pace) <= 17
    assert len(read_recording(out).samples) >= 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_end_keeps_what_was_recorded(display, tmp_path, number):
    out = tmp_path / "mine"
    with driving(display, out, "--renderer", "software") as (program, said):
        time.sleep(1)
        program.send_signal(number)
        assert program.wait(timeout=30) == 0, said.read_text()
    recording = read_recording(out)
    assert len(recording.samples) >= 2
    assert f"{len(recording.samples)} rows of 3 images" in said.read_text()
    assert not list(tmp_path.glob(".partial.*"))


def test_a_take_that_cannot_begin_ends_no_drive(display, tmp_path):
    """The one before is kept and told; another window records under the next name."""
    out = tmp_path / "mine"
    with driving(display, out, "--renderer", "software") as (program, said):
        with Recorder(tmp_path / "mine-2") as other:
            display.xdotool("keyup", "Up", "key", "r")
            wait_for((out / "driving_log.csv").exists)
            display.xdotool("key", "r")
            time.sleep(1)
            assert program.poll() is None, said.read_text()
            display.xdotool("key", "Escape")
            assert program.wait(timeout=30) == 1
        assert other.num_rows == 0
    lines = unwrapped(said.read_text()).splitlines()
    assert any(line.startswith(f"wrote {out}: ") for line in lines)
    assert f"{out}-2 is not recorded: {out}-2 is being written by another" in lines[-1]


def test_a_take_whose_name_is_taken_meanwhile_gets_another(display, tmp_path):
    out = tmp_path / "mine"
    with driving(display, out, "--renderer", "software") as (program, said):
        out.mkdir()
        (out / "theirs").touch()
        display.xdotool("keyup", "Up", "key", "Escape")
        assert program.wait(timeout=30) == 0, said.read_text()
    assert [path.name for path in out.iterdir()] == ["theirs"]
    assert len(read_recording(tmp_path / "mine-2", check_images=False).samples) >= 1
    assert f"wrote {out}-2:" in unwrapped(said.read_text())


def test_without_a_display_one_line_names_the_mend(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("displays of X11 only")
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    ran = subprocess.run(
        [sys.executable, "simulate.py", "window", "lake"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "apt-get install xvfb" in ran.stderr.splitlines()[-1]
