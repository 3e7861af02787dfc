"""How commands end: in one line, in silence, or with a report of our own mistake."""

from common.ends import ends_in_one_line, line_of

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError, NonFiniteLossError

ROOT = Path(__file__).resolve().parents[2]


def end_with(error):
    """Return the status of a command that raises an error."""

    @ends_in_one_line
    def main(argv=None):
        raise error

    return main()


def of_system(number, name="/models/a"):
    return OSError(number, os.strerror(number), name)


FROM_HDF5 = (
    "Can't synchronously write data (file write failed: time = Thu Nov 26 00:48:31\n, "
    "filename = '/m/y.h5', errno = 28, error message = 'No space left on device')"
)
EXPECTED = {
    "input": (InputError("a.csv row 3: no number"), "a.csv row 3: no number"),
    "loss": (
        NonFiniteLossError("epoch 3: the loss is nan"),
        "epoch 3: the loss is nan",
    ),
    "interrupt": (KeyboardInterrupt(), "stopped"),
    "interrupt that says more": (KeyboardInterrupt("stopped; go on"), "stopped; go on"),
    "memory": (MemoryError(), "not enough memory; close other programs, or take less"),
    "HDF5": (RuntimeError(FROM_HDF5), "No space left on device; make space there"),
    "TensorFlow": (Exception("/m/ev; No space left on device"), "No space left on"),
    "SQLite": (
        sqlite3.OperationalError("database or disk is full"),
        "No space left on",
    ),
    "no text": (
        UnicodeEncodeError("utf-8", "lake\udcff", 4, 5, "surrogates not allowed"),
        "lake\\xff: a name that is no UTF-8 text; rename it",
    ),
    "found": (FileExistsError("a exists; give another"), "a exists; give another"),
    "name": (of_system(errno.ENOENT, os.fsencode("/a/b")), "/a/b: No such file or dir"),
    **{
        name: (of_system(getattr(errno, name)), "/models/a: ")
        for name in (
            "ENOSPC EDQUOT EFBIG EROFS EACCES EPERM EEXIST ENOTEMPTY ENOTDIR EISDIR "
            "ENAMETOOLONG ELOOP EMFILE ENFILE EIO ESTALE ENODEV ENXIO EBUSY ETXTBSY"
        ).split()
    },
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_expected_ends_in_one_line(kind, capsys):
    error, said = EXPECTED[kind]
    assert end_with(error) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and err.startswith(said)
    if isinstance(error, OSError) and error.errno:
        assert os.strerror(error.errno) in err and "; " in err


def test_cause_that_a_library_has_wrapped_is_said(capsys):
    error = Exception("(Background on this error at: https://...)")
    error.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert end_with(error) == 1
    assert capsys.readouterr().err.startswith("No space left on device; make space")


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a\x1b[2Jb"),
        ValueError("x"),
        KeyError("y"),
        OSError("in words"),
        OSError(errno.EBADF, "Bad file descriptor"),
        UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
    ],
    ids=repr,
)
def test_mistake_of_ours_keeps_its_traceback_and_says_what_to_report(error, capsys):
    assert line_of(error) is None
    assert end_with(error) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert "in main" in err and type(error).__name__ in err and "\x1b" not in err
    assert "mistake in the program. Please report it" in err
    assert f"Python {sys.version.split()[0]}" in err


def test_text_of_others_does_nothing_to_the_terminal(capsys):
    assert end_with(of_system(errno.ENOENT, "a\nb\x1b[31m\x07\u202e\udcff")) == 1
    err = capsys.readouterr().err
    assert err.startswith("a\\nb\\x1b[31m\\x07\\u202e\\xff: No such file")
    assert err.isprintable() is False and err[:-1].isprintable()


def environment(unbuffered):
    return {**os.environ, "PYTHONUNBUFFERED": unbuffered}


def run_main(body, **streams):
    """Run a command with this body in a process of its own."""
    code = (
        "import sys, os, signal\n"
        "from common.ends import ends_in_one_line\n"
        "@ends_in_one_line\n"
        "def main(argv=None):\n"
        f"    {body}\n"
        "    return 0\n"
        "sys.exit(main())"
    )
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, **kept)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "body",
    [
        "print('line')",  # which fails at the end
        "[print('line' * 99) for _ in range(9999)]",  # and in the middle
        "[print('line', flush=True) for _ in range(9)]",
    ],
)
def test_pipe_that_nobody_reads_ends_in_silence(body, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        done = run_main(body, stdout=stdout, env=environment(unbuffered))
    assert (done.returncode, done.stderr) == (1, "")


def test_help_to_a_pipe_that_nobody_reads_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        body = "import argparse; argparse.ArgumentParser().parse_args(['--help'])"
        assert run_main(body, stdout=stdout, env=environment("")).stderr == ""


def test_other_pipe_that_breaks_is_told():
    error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE), "ffmpeg")
    done = run_main(f"raise BrokenPipeError{error.args + ('ffmpeg',)}")
    assert done.returncode == 1 and done.stderr == "ffmpeg: Broken pipe\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_one_line():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = run_main("print('line')", stdout=full, env=environment(""))
    assert done.returncode == 1
    assert done.stderr.startswith("standard output: No space left on device")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell of POSIX")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_stream_that_is_closed_changes_neither_end_nor_files(closed, tmp_path):
    """A file that is opened then would get its number, and what is printed."""
    code = (
        "import os, sys\n"
        "from common.ends import ends_in_one_line\n"
        "@ends_in_one_line\n"
        "def main(argv=None):\n"
        "    with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "        os.write(1, b'of a library\\n')\n"
        "        print('said', flush=True)\n"
        "        print('told', file=sys.stderr, flush=True)\n"
        "    return 0\n"
        "sys.exit(main())"
    )
    path = tmp_path / "written"
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code]
    done = subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0
    words = closed.split()
    assert done.stdout == (b"" if ">&-" in words else b"of a library\nsaid\n")
    assert done.stderr == (b"" if "2>&-" in words else b"told\n")
    assert path.read_bytes() == b""


def test_name_that_is_no_text_can_be_printed():
    done = run_main("print('lake\\udcff é')", env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stdout) == (0, "lake\\xff é\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
def test_ctrl_c_is_one_line():
    done = run_main("os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "command",
    "augment dataset demo drive evaluate explore export improve model search simulate "
    "train".split(),
)
def test_every_command_ends_so(command):
    text = (ROOT / f"{command}.py").read_text(encoding="utf-8")
    assert "@ends_in_one_line\ndef main(" in text
    assert "file=sys.stderr)\n        return 1" not in text


def test_wrong_usage_shows_nothing_that_acts_on_the_terminal():
    command = [sys.executable, "dataset.py", "a", "b\x1b[2J", "--c\x07"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unrecognized arguments: b\\x1b[2J --c\\x07" in done.stderr
