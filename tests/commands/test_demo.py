"""The demo: refused before it begins, killed and gone on with, and its page."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_recordings import write_recording

import demo
from demo import main, parse_args

ROOT = Path(demo.__file__).parent
# Drives for two seconds each, where a demo drives for minutes.
SHORT = """
import sys
from dataclasses import replace
import demo
whole = demo.drives
def short(plan):
    return {n: (replace(job, most_s=2.0), t) for n, (job, t) in whole(plan).items()}
demo.drives = short
sys.exit(demo.main(sys.argv[1:]))
"""
# What is there when a step is in its midst.
MIDST = {
    "record": ".partial.lake/IMG",
    "look": "look.log",
    "train": "model/config.json",
    "train, after an epoch": "model/state.npz",
    "drive": ".partial.drive.mp4",
    "road": ".partial.road.mp4",
    # It takes a moment, and begins with the end of the last drive.
    "page": "road.json",
}
FIGURES = ("model/metrics.json", "drive.json", "road.json")


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "bars", 0.8 * np.sin(np.arange(240) / 15))


@pytest.fixture
def in_degrees(recording):
    """The same, as another program has written it."""
    path = recording / "driving_log.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows:
        row[3] = f"{25 * float(row[3]):.4f}"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return recording


def demo_of(folder, *args, short=True):
    """Return the command of a demo in a folder."""
    how = ["-c", SHORT] if short else [str(ROOT / "demo.py")]
    return [sys.executable, *how, "--out", str(folder / "out"), *map(str, args)]


def run(folder, *args, short=True):
    done = subprocess.run(
        demo_of(folder, *args, short=short), cwd=ROOT, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done


def kill_in(step, command, out):
    """Run a demo, and kill it alone in the midst of a step; nothing of it is left."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        give_up_s = time.monotonic() + 300
        while not (out / MIDST[step]).exists():
            assert process.poll() is None and time.monotonic() < give_up_s
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert children or step == "page"


def figures_of(out):
    return {name: json.loads((out / name).read_bytes()) for name in FIGURES}


# --- Before it begins -----------------------------------------------------------------


def test_folder_of_something_else_is_refused_and_untouched(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error == f"{tmp_path} exists already; give another --out\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_taken_port_is_said_in_the_first_second_and_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        before = os.times()
        done = run(tmp_path, "--port", port, short=False)
        after = os.times()
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port} (")
    assert done.stderr.endswith("; give another --port, or none\n")
    assert done.stderr.count("\n") == 1
    # Of its own, as other processes may keep it waiting.
    took_s = after.children_user - before.children_user
    assert took_s + after.children_system - before.children_system < 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "none"], "none: no such file or folder, expected a recording\n"),
        (["--out", "file/out"], "file/out/index.html: cannot be written: Not a direc"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(
    tmp_path, monkeypatch, capsys, args, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(args) == 1
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_log_in_degrees_is_said_before_anything_is_made(tmp_path, in_degrees, capsys):
    out = ["--out", str(tmp_path / "out"), "--data", str(in_degrees)]
    assert main(out) == 1
    error = capsys.readouterr().err
    assert "beyond full lock" in error and "with --steering-unit deg" in error
    assert error.count("\n") == 1
    assert main([*out, "--steering-unit", "other=deg"]) == 1
    assert (
        "--steering-unit names other, expected one of bars" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit, match="2"):
        parse_args(["--steering-unit", "deg"])


def test_too_small_a_disk_is_said_before_anything_is_made(disk, capsys):
    assert main(["--out", str(disk / "out")]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(
        rf"{disk}: \d+ MB free on its disk, expected \d+ MB; make space there\n", error
    )
    assert not list(disk.iterdir())


@pytest.mark.parametrize("args", [["--epochs", "0"], ["--port", "70000"]])
def test_number_out_of_its_range_is_wrong_usage(args):
    with pytest.raises(SystemExit, match="2"):
        parse_args(args)


def test_laps_of_a_person_are_learnt_for_longer():
    assert parse_args([]).epochs == 3
    assert parse_args(["--data", "data/mine"]).epochs == 6
    assert parse_args(["--data", "data/mine", "--quick"]).epochs == 1
    assert parse_args(["--data", "data/mine", "--epochs", "3"]).epochs == 3


# --- Stopped, killed, gone on with ----------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_demo_says_so_in_one_line_and_leaves_no_process(tmp_path, number):
    command = demo_of(tmp_path, short=False)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "0 % | record | left: look train" in process.stderr.readline()
        while not (children := psutil.Process(process.pid).children(recursive=True)):
            pass
        process.send_signal(number)
        out, error = process.communicate()
    assert (process.returncode, out) == (130, "")
    kept = (
        f"stopped; what is done is kept in {tmp_path / 'out'}, the same command goes on"
    )
    assert error == f"{kept}\n"
    assert not any(child.is_running() for child in children)


def test_killed_in_its_steps_the_same_command_goes_on_and_loses_nothing(
    tmp_path, in_degrees
):
    unit = ("--steering-unit", "deg")
    out, args = tmp_path / "out", ("--data", in_degrees, "--epochs", 1, *unit)
    command = demo_of(tmp_path, *args)
    for step in ("look", "train", "drive"):
        kill_in(step, command, out)
        assert not (out / "index.html").exists()
    before = (out / "report.json").stat().st_mtime_ns
    done = run(tmp_path, *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3/5 drive")
    assert (out / "report.json").stat().st_mtime_ns == before
    assert json.loads((out / "drive.json").read_bytes())["elapsed_s"] == 2
    config = json.loads((out / "model" / "config.json").read_bytes())
    assert config["settings"]["steering_units"] == {str(in_degrees): "deg"}
    again = run(tmp_path, *args)
    assert again.returncode == 0
    done_already = f"all of it is done: open {out / 'index.html'}; "
    assert again.stdout == f"{done_already}for another, give another --out\n"
    # Every file that the page names lies beside it, and none elsewhere.
    named = re.findall(r'(?:src|href)="([^"]+)"', (out / "index.html").read_text())
    files = {name for name in named if not name.startswith("data:image/png;base64,")}
    assert files == {"drive.mp4", "road.mp4", "report/report.html"}
    assert all((out / name).is_file() for name in files)


def test_other_flags_than_it_was_begun_with_are_refused(tmp_path, recording):
    args = ("--data", recording, "--epochs", 1)
    kill_in("look", demo_of(tmp_path, *args), tmp_path / "out")
    to_go_on = f"python demo.py --data {recording} --out {tmp_path / 'out'} --epochs 1"
    for other, name in (
        (("--data", recording), "--epochs"),
        (("--epochs", 1), "--data"),
        ((*args, "--quick"), "--quick"),
        ((*args, "--steering-unit", "normalised"), "--steering-unit"),
    ):
        done = run(tmp_path, *other)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"{tmp_path / 'out'} was begun with another {name}; to go on: {to_go_on}; "
            "to begin anew, give another --out\n"
        )
    log_path = recording / "driving_log.csv"
    log_path.write_text(log_path.read_text() * 2)
    assert "was begun with another driving_log.csv; " in run(tmp_path, *args).stderr


def test_a_failed_step_says_why_and_how_to_go_on_and_keeps_the_rest(
    tmp_path, recording
):
    for path in (recording / "IMG").iterdir():
        path.write_bytes(b"")
    done = run(tmp_path, "--data", recording)
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()[-1]
    assert said.startswith("look: ") and "none of its 240 rows can be used" in said
    command = f"python demo.py --data {recording} --out {tmp_path / 'out'}"
    assert said.endswith(f"all that is done is kept; to go on: {command}")
    assert str(tmp_path / "out" / "look.log") in said


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "Example:\n  python demo.py --data data/mine" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_in_every_step_it_ends_with_the_figures_of_an_unbroken_one(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    args = ("--quick", "--epochs", 2)
    done = run(whole, *args, short=False)
    assert done.returncode == 0, done.stderr
    for step in MIDST:
        kill_in(step, demo_of(broken, *args, short=False), broken / "out")
        assert not (broken / "out" / "index.html").exists()
    done = run(broken, *args, short=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("--quick leaves out ")
    weights = "out/model/model.weights.h5"
    assert (broken / weights).read_bytes() == (whole / weights).read_bytes()
    found, expected = figures_of(broken / "out"), figures_of(whole / "out")
    assert found["model/metrics.json"] == expected["model/metrics.json"]
    for name in ("drive.json", "road.json"):
        for figure in ("laps", "interventions", "off_road", "autonomy_percent"):
            assert found[name][figure] == expected[name][figure]
        # The server holds the speed by the clock on the wall, so the rest of it is the
        # same up to a few frames of it.
        mean = "mean_abs_cross_track_error_m"
        assert found[name][mean] == pytest.approx(expected[name][mean], abs=0.03)
    assert found["drive.json"]["laps"] == 1
