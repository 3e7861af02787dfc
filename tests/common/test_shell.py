"""Commands as one types them: a shell reads back what was meant."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.shell import from_here, option, quoted, typed

NAMES = [
    "plain",
    "a name",
    "-x",
    "--json",
    "$HOME",
    "`id`",
    "it's",
    'a "b"',
    "a\\b",
    "*",
    "~",
    "a;b",
    "#c",
    "!x",
    "größe",
    "a\nb",
    "\x1b[1m",
    "\u202ex",
    os.fsdecode(b"\xff"),
    "tab\t'\\n'\n",
]
# Prints the words that a shell makes of a command, each ended by a zero.
PRINT = "python() { printf '%s\\0' \"$@\"; }; "


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_reads_back_the_words_that_were_meant(shell):
    if sys.platform == "win32" or not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    for name in NAMES:
        command = typed("train.py", Path(name), *option("--name", name))
        assert command.isprintable()
        done = subprocess.run(
            [shell, "-c", PRINT + command],
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=True,
        )
        script, path, *flag = map(os.fsdecode, done.stdout.split(b"\0")[:-1])
        assert (script, Path(path)) == ("train.py", Path(name))
        assert flag == ([f"--name={name}"] if name[0] == "-" else ["--name", name])
        assert not path.startswith("-")


def test_commands_of_windows_are_quoted_as_windows_reads_them(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert quoted(Path("a name")) == '"a name"'
    assert quoted(Path("-x")) == ".\\-x"
    assert typed("drive.py", "plain") == "python drive.py plain"


def test_paths_are_typed_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here(tmp_path / "a") == Path("a")
    assert from_here("/elsewhere/a") == Path("/elsewhere/a")
