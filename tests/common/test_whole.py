"""Files and folders that others write, hold, or have left behind."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_disk import fill

from common.errors import InputError
from common.files import (
    check_writable,
    whole_file,
    whole_folder,
    write_bytes,
    write_json,
)
from common.locks import only_writer

ROOT = Path(__file__).resolve().parents[2]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def start(code, *arguments):
    """Start a process that says `ready` and waits for its end."""
    head = (
        "import sys\nfrom pathlib import Path\n"
        "from common.files import *\nfrom common.locks import *\n"
        "path = Path(sys.argv[1])\n"
        "def wait():\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go_on(process):
    _, err = process.communicate("\n", timeout=30)
    assert process.returncode == 0, err


def kill(process):
    process.kill()
    process.communicate()


HOLD = """
with only_writer(path):
    wait()
"""
WRITE_FOLDER = """
with whole_folder(path) as partial:
    (partial / "a").write_text("theirs")
    wait()
"""
WRITE_FILE = """
with whole_file(path) as partial:
    partial.write_text("theirs")
    wait()
"""


# --- Who writes into a folder ---------------------------------------------------------


def test_second_writer_of_a_folder_is_told_who_the_first_is(tmp_path):
    holder = start(HOLD, tmp_path)
    with pytest.raises(InputError, match=rf"process {holder.pid} on .* is writing it"):
        only_writer(tmp_path).__enter__()
    go_on(holder)
    with only_writer(tmp_path):
        assert (tmp_path / ".lock").is_file()
    assert not (tmp_path / ".lock").exists()


def test_lock_dies_with_its_process(tmp_path):
    kill(start(HOLD, tmp_path))
    assert (tmp_path / ".lock").is_file()
    with only_writer(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_lock_is_not_held_by_what_its_holder_has_started(tmp_path):
    holder = start(
        """
        import subprocess
        with only_writer(path):
            left = subprocess.Popen(["sleep", "60"], stdout=2, stdin=-3)
            (path / "pid").write_text(str(left.pid))
            wait()
        """,
        tmp_path,
    )
    holder.kill()
    holder.wait()
    try:
        with only_writer(tmp_path):
            pass
    finally:
        os.kill(int((tmp_path / "pid").read_text()), 9)
        holder.communicate()


def test_folder_made_for_its_lock_alone_goes_with_it(tmp_path):
    folder = tmp_path / "deep" / "run"
    with only_writer(folder):
        assert folder.is_dir()
    assert not folder.exists()
    with only_writer(folder):
        (folder / "a").touch()
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_lock_holds_on_a_full_disk(disk):
    fill(disk)
    with only_writer(disk), pytest.raises(InputError, match="is writing it"):
        only_writer(disk).__enter__()


# --- Who writes a file or a folder of a name ------------------------------------------


def test_second_writer_of_a_name_is_refused_and_the_first_undamaged(tmp_path):
    folder = tmp_path / "run"
    first = start(WRITE_FOLDER, folder)
    with pytest.raises(InputError, match="another process is making it"):
        whole_folder(folder).__enter__()
    go_on(first)
    assert [path.read_text() for path in folder.iterdir()] == ["theirs"]
    with pytest.raises(FileExistsError):
        whole_folder(folder).__enter__()
    assert names_in(tmp_path) == ["run"]


def test_what_a_killed_writer_left_is_replaced_by_the_next(tmp_path):
    folder, path = tmp_path / "run", tmp_path / "a.json"
    kill(start(WRITE_FOLDER, folder))
    kill(start(WRITE_FILE, path))
    left = [".partial.a.json", ".partial.run"]
    assert names_in(tmp_path) == sorted([*left, *(f"{name}.lock" for name in left)])
    with whole_folder(folder) as partial:
        assert names_in(partial) == []
        (partial / "b").touch()
    write_json(path, {})
    assert names_in(tmp_path) == ["a.json", "run"]
    assert names_in(folder) == ["b"] and path.read_text() == "{}\n"


def test_writers_of_one_file_take_turns(tmp_path):
    path = tmp_path / "a"
    first = start(WRITE_FILE, path)
    second = subprocess.Popen(
        [sys.executable, "-c", "import sys\nfrom pathlib import Path\n"
         "from common.files import write_bytes\n"
         "write_bytes(Path(sys.argv[1]), b'ours')", str(path)],
        cwd=ROOT,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.0)
    assert not path.exists()
    go_on(first)
    assert second.wait(30) == 0
    assert path.read_bytes() == b"ours" and names_in(tmp_path) == ["a"]


def test_many_writers_of_one_file_leave_one_of_theirs_whole(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom common.files import write_bytes\n"
        "for i in range(50):\n"
        "    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "a", letter], cwd=ROOT)
        for letter in "xyz"
    ]
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "a").exists():
            content = (tmp_path / "a").read_bytes()
            assert len(content) == 100_000 and len(set(content)) == 1
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert names_in(tmp_path) == ["a"]


def test_new_file_does_not_replace_one_that_appeared_meanwhile(tmp_path):
    path = tmp_path / "report.html"

    def write():
        with whole_file(path, is_new=True) as partial:
            partial.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(FileExistsError) as caught:
        write()
    assert caught.value.filename
    assert path.read_text() == "theirs" and names_in(tmp_path) == ["report.html"]


# --- Disks ----------------------------------------------------------------------------


def test_full_disk_leaves_the_old_file_and_names_it(disk):
    path = disk / "a.json"
    write_bytes(path, b"old")
    filler = fill(disk, leave=8192)
    with pytest.raises(OSError) as caught:
        write_bytes(path, bytes(1_000_000))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert names_in(disk) == ["a.json", "filler"]
    filler.unlink()
    write_bytes(path, bytes(1_000_000))
    assert path.stat().st_size == 1_000_000


def test_full_disk_leaves_no_folder(disk):
    fill(disk, leave=16384)

    def write():
        with whole_folder(disk / "run") as partial:
            (partial / "a").write_bytes(bytes(100_000))

    with pytest.raises(OSError) as caught:
        write()
    assert caught.value.filename == str(disk / "run")
    assert names_in(disk) == ["filler"]


def test_what_cannot_be_written_is_known_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    check_writable(tmp_path / "deep" / "down" / "report.html", "--report")
    assert names_in(tmp_path) == ["file"]
    for path in (tmp_path / "file" / "a", tmp_path / ("n" * 250), Path("/proc/a")):
        with pytest.raises(InputError, match=r"cannot be written: .* another --report"):
            check_writable(path, "--report")


def test_folder_of_somebody_else_is_known_before_the_work(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from common.files import check_writable\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: check_writable(Path(sys.argv[1]), '--out')\n"
        "except Exception as error: print(error)"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055 if folder != closed else 0o500)
    done = subprocess.run(
        [sys.executable, "-c", code, str(closed / "report")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == (
        f"{closed}/report: cannot be written: Permission denied; give another --out\n"
    ), done.stderr
