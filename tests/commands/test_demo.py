"""The demo: refused before it begins, or run from recording to driving."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest

import demo
from demo import main, parse_args


def test_existing_folder_is_refused_and_untouched(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error == f"{tmp_path} exists already; remove it, or give another --out\n"
    assert not list(tmp_path.iterdir())


def test_taken_port_is_found_before_anything_is_made(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--out", str(tmp_path / "out"), "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cannot listen on 127.0.0.1:{port} (")
    assert error.endswith("; give another --port, or none\n")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "none"], "none: no such file or folder, expected a recording\n"),
        (["--out", "file/out"], "file/out: cannot be made: Not a directory; give "),
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


@pytest.mark.parametrize("args", [["--epochs", "0"], ["--port", "70000"]])
def test_number_out_of_its_range_is_wrong_usage(args):
    with pytest.raises(SystemExit, match="2"):
        parse_args(args)


def test_laps_of_a_person_are_learnt_for_longer():
    assert parse_args([]).epochs == 8
    assert parse_args(["--data", "data/mine"]).epochs == 20
    assert parse_args(["--data", "data/mine", "--epochs", "3"]).epochs == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_demo_says_so_in_one_line_and_leaves_no_process(tmp_path, number):
    command = [sys.executable, demo.__file__, "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "\n"
        assert "1/4 record" in process.stdout.readline()
        while not (children := psutil.Process(process.pid).children(recursive=True)):
            pass
        process.send_signal(number)
        out, error = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert error == f"\nstopped; what was made so far is in {tmp_path / 'out'}\n"
    assert not any(child.is_running() for child in children)


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "Example:\n  python demo.py --data data/mine" in capsys.readouterr().out


@pytest.mark.slow
def test_demo_ends_with_a_model_that_has_driven_a_lap(tmp_path):
    command = [sys.executable, demo.__file__, "--out", "out", "--epochs", "8"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for step in ("1/4 record", "2/4 explore", "3/4 train", "4/4 drive", "done"):
        assert f"== {step}" in done.stdout
    assert "next:         start the Udacity simulator" in done.stdout
    for name in ("report/report.html", "model/model.json", "drive.mp4", "drive.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
