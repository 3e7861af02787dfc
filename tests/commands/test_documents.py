"""README, tutorial and recipes: commands run as they stand, what is named is there."""

import importlib
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from text_commands import Terminals, clone, commands_of, unlike

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *("README.md", "docs/tutorial.md", "docs/recipes.md", "docs/scaling.md"),
    *("data/README.md", "models/README.md"),
]
TUTORIAL = ROOT / "docs" / "tutorial.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```$|`([^`]+)`", re.M | re.S)
# What stands in place of what a long command makes: recordings of some seconds.
SMALL = {
    "data/lake": "lake --direction both",
    "data/mine": "lake --direction both",
    "data/taught": "jungle",
    "data/jungle": "jungle --speed 20",
}
MOST_PICTURE_BYTES, MOST_BYTES = 150_000, 1_000_000


def in_place_of(command, folder):
    """Make in small what a command makes that takes minutes."""
    path = command.mark.removeprefix("long").lstrip(": ").partition(";")[0]
    if path in SMALL:
        words = ["record", *SMALL[path].split(), "--frames", "120", "--out", path]
        done = subprocess.run(
            [sys.executable, "simulate.py", *words],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def run_small(text_path, folder):
    """Run the commands of a text that do not take minutes."""
    terminals, said = Terminals(clone(folder)), []
    try:
        for command in commands_of(text_path.read_text("utf-8")):
            if command.mark.startswith("long"):
                in_place_of(command, folder)
            elif command.mark != "window":  # See test_window.py.
                said += terminals.type(command)
    finally:
        said += terminals.leave()
    return said


@pytest.fixture
def port():
    """The port of the simulator, if nobody has it."""
    try:
        socket.create_server(("127.0.0.1", 4567)).close()
    except OSError:
        pytest.skip("port 4567, on which the simulator looks for drive.py, is taken")


@pytest.mark.skipif(sys.platform == "win32", reason="runs them by a shell of POSIX")
@pytest.mark.parametrize(
    "name",
    # The tutorial trains three times, and drives for three minutes.
    ["README.md", pytest.param("docs/tutorial.md", marks=pytest.mark.slow)],
)
def test_commands_run_as_they_stand_on_small_recordings(port, tmp_path, name):
    said = run_small(ROOT / name, tmp_path / "clone")
    assert len(said) >= 3
    for command, printed in said:
        # What of it has no number is the same for every recording.
        shown = [line for line in command.shown if not re.search(r"\d", line)]
        plain = type(command)(command.typed, tuple(shown), command.mark)
        assert unlike(plain, printed) is None, printed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="runs them by a shell of POSIX")
@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_commands_print_what_is_shown_under_them(port, tmp_path, name):
    terminals, said = Terminals(clone(tmp_path / "clone")), []
    for command in commands_of((ROOT / name).read_text("utf-8")):
        if command.mark != "window":
            said += terminals.type(command)
    for command, printed in [*said, *terminals.leave()]:
        assert unlike(command, printed) is None, printed


# --- What is named --------------------------------------------------------------------


def typed_in(name):
    """Return the commands of the project that a document names, and those in blocks."""
    text, found = (ROOT / name).read_text("utf-8"), []
    for block, span in CODE.findall(text):
        for line in block.splitlines() or [" ".join(span.split())]:
            line = line.removeprefix("$ ").split("  #")[0].strip()
            is_ours = re.match(r"python \w+\.py", line)
            if is_ours and "…" not in line and (ROOT / line.split()[1]).is_file():
                found.append(line)
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_a_document_names_is_understood(name, capsys):
    for line in typed_in(name):
        script, *words = shlex.split(line)[1:]
        command = importlib.import_module(script.removesuffix(".py"))
        try:
            command.parse_args(words)
        except SystemExit:
            pytest.fail(f"{line}: {capsys.readouterr().err.splitlines()[-1]}")


def test_the_documents_name_commands():
    assert len(typed_in("README.md")) > 15 and len(typed_in("docs/recipes.md")) > 15


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_within_the_project_leads_somewhere(name):
    text = (ROOT / name).read_text("utf-8")
    for link in LINK.findall(text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors_of(target), f"{name}: {link}"


def anchors_of(path):
    """Return the anchors that a page gives its headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_pictures_of_the_tutorial_are_there_and_small():
    names = PICTURE.findall(TUTORIAL.read_text("utf-8"))
    sizes = [(TUTORIAL.parent / name).stat().st_size for name in names]
    made = [
        size
        for name, size in zip(names, sizes, strict=True)
        if name.startswith("tutorial/")
    ]
    assert len(made) >= 6
    assert max(made) < MOST_PICTURE_BYTES and sum(made) < MOST_BYTES
    there = {f"tutorial/{p.name}" for p in (TUTORIAL.parent / "tutorial").iterdir()}
    assert there <= set(names)
