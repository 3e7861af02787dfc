"""Steps that fill a folder: what is missing is done, and how far it is, is said."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from printed import check_printed

from common.errors import InputError
from common.steps import Begun, Overall, Step
from common.text import unbroken

ROOT = Path(__file__).resolve().parents[2]
USUAL_S = {"record": 10.0, "train": 30.0, "drive": 60.0}


def writing(folder, name, done):
    """A step that writes a file of its name, and notes that it was done."""

    def do(show):
        show(0.5, "half")
        (folder / name).write_text("")
        done.append(name)
        return f"wrote {name}"

    return Step(name, name, USUAL_S[name], do)


def failing(show):
    raise InputError("the log is empty")


# --- The line -------------------------------------------------------------------------


def test_the_line_says_what_is_done_what_is_left_and_for_how_long():
    with Overall(USUAL_S, ["record"]) as overall:
        overall.begin("train")
        overall.show(0.5, "epoch 2/3")
        # Of 100 s, 10 and a half of 30 are done; the pace is the fastest there is.
        assert overall.line() == (
            " 25 % | done: record | train epoch 2/3 | left: drive | 0.4 min to go"
        )


def test_a_step_that_is_done_leaves_a_line_of_what_came_of_it(capsys):
    with Overall(USUAL_S, ["record"]) as overall:
        overall.begin("train")
        overall.end("off by 1.2 degrees\n")
        said = capsys.readouterr().out
        assert said == "2/3 train, 0 s: off by 1.2 degrees\\n\n"
        assert overall.line().startswith(" 40 % | done: record train | left: drive | ")


def test_what_came_of_a_step_fits_a_terminal_and_a_path_in_it_stays_whole(capsys):
    path = "/home/somebody/" + "a/long way/" * 8
    with Overall(USUAL_S, ["record"]) as overall:
        overall.begin("train")
        overall.end(
            f"one word beside another, {'and one more ' * 5}in {unbroken(path)}"
        )
    said = capsys.readouterr().out
    check_printed(said.replace(path, "path"))
    assert said.count("\n") == 3 and f"  {path}\n" in said


# --- The folder -----------------------------------------------------------------------


def test_only_what_is_missing_is_done(tmp_path, capsys):
    begun, done = Begun(tmp_path / "out", {"--quick": True}, "python demo.py"), []
    steps = [writing(begun.folder, name, done) for name in USUAL_S]
    assert not begun.check()
    with begun.writing():
        begun.do(steps)
    (begun.folder / "train").unlink()
    assert begun.check()
    with begun.writing():
        begun.do(steps)
    assert done == ["record", "train", "drive", "train"]
    assert capsys.readouterr().out.endswith("3/3 train, 0 s: wrote train\n")


def test_a_step_that_fails_says_how_to_go_on_and_what_was_done_stays(tmp_path):
    begun, done = Begun(tmp_path / "out", {}, "python demo.py --out out"), []
    steps = [
        writing(begun.folder, "record", done),
        Step("train", "train", 1.0, failing),
    ]
    with (
        pytest.raises(
            InputError,
            match="^train: the log is empty; all that is done is kept; to go on: "
            r"python demo\.py --out out$",
        ),
        begun.writing(),
    ):
        begun.do(steps)
    assert (begun.folder / "record").exists()


def test_a_folder_begun_otherwise_or_of_something_else_is_refused(tmp_path):
    folder = tmp_path / "out"
    with Begun(folder, {"--quick": True}, "python demo.py --quick").writing():
        pass
    other = Begun(folder, {"--quick": False}, "python demo.py")
    with pytest.raises(InputError, match="another --quick; to go on: python demo"):
        other.check()
    (folder / "begun.json").write_text("{")
    with pytest.raises(InputError, match=r"begun.json: damaged, expected how it was"):
        other.check()
    (folder / "begun.json").rename(folder / "mine")
    with pytest.raises(InputError, match="out exists already; give another --out"):
        other.check()


def test_two_do_not_fill_one_folder_at_once(tmp_path):
    begun = Begun(tmp_path / "out", {}, "python demo.py")
    with (
        begun.writing(),
        pytest.raises(InputError, match=f"process {os.getpid()} on .* is writing it"),
        begun.writing(),
    ):
        pass
    assert json.loads((tmp_path / "out" / "begun.json").read_bytes())["given"] == {}


# --- Scripts --------------------------------------------------------------------------

STARTER = """
import sys, threading
from pathlib import Path
from common.leash import Scripts
Scripts(Path(sys.argv[1]), threading.Event()).run("it", sys.argv[2])
"""


def test_a_script_ends_with_the_process_that_started_it_however_that_ends(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(os.getpid()))\n"
        "while True: time.sleep(1)\n"
    )
    command = [sys.executable, "-c", STARTER, str(tmp_path), str(script)]
    with subprocess.Popen(command, cwd=ROOT) as starter:
        give_up_s = time.monotonic() + 60
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert starter.poll() is None and time.monotonic() < give_up_s
            time.sleep(0.02)
        process = psutil.Process(int((tmp_path / "pid").read_text()))
        starter.kill()
    _, alive = psutil.wait_procs([process], timeout=20)
    assert not alive


def test_a_script_is_run_with_its_arguments_and_what_it_says_is_kept(tmp_path):
    import threading

    from common.leash import Scripts

    script = tmp_path / "echo.py"
    script.write_text(
        "import sys\nfrom common.text import shown\n"
        "print(*map(shown, sys.argv[1:]), sys.stdin.read() == '')\n"
        "print('beside', file=sys.stderr)\nsys.exit(len(sys.argv) > 2)\n"
    )
    scripts = Scripts(tmp_path, threading.Event())
    assert scripts.run("a", str(script), "größer") == "größer True\n"
    assert (tmp_path / "a.log").read_text() == "beside\n"
    with pytest.raises(InputError, match=r"^beside \(all that it said: .*/b.log\)$"):
        scripts.run("b", str(script), 1, 2)
