"""A Python that lacks a package: every command says so in one line."""

from common.ends import line_of

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording

ROOT = Path(__file__).resolve().parents[2]
BASE = str(ROOT / "models" / "base")
# Each does what the command is for, with "bars" as the recording.
COMMANDS = {
    "augment": "augment.py bars",
    "dataset": "dataset.py bars",
    "demo": "demo.py --data bars",
    # The base model without its exported copy, which needs fewer packages.
    "drive": "drive.py bare --port 0",
    "evaluate": f"evaluate.py {BASE} --track lake",
    "explore": "explore.py bars",
    "export": f"export.py {BASE} --to tflite --out model.tflite",
    "improve": f"improve.py {BASE} --track random:1 --base bars --name x",
    "model": "model.py",
    "review": "review.py bars --list",
    "search": "search.py bars",
    "simulate drive": "simulate.py drive lake",
    "simulate record": "simulate.py record lake --frames 5 --out out",
    "simulate render": "simulate.py render lake --out out.png",
    "simulate window": "simulate.py window lake",
    "train": "train.py bars --name x",
    "train scratch": "train.py bars --name x --from scratch --steps-per-epoch 1",
}
# Runs a script as Python does, but without one of the packages.
WITHOUT = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == hidden or name.startswith(hidden + "."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
hidden, *sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Blocker())
sys.path[0] = sys.argv[0].rpartition("/")[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    write_recording(folder / "bars", 0.8 * np.sin(np.arange(60) / 8))
    (folder / "bare").mkdir()
    for name in ("model.json", "model.weights.h5"):
        shutil.copy(Path(BASE, name), folder / "bare")
    return folder


def run(folder, how, command):
    script, *words = COMMANDS[command].split()
    done = subprocess.run(
        [sys.executable, *how, str(ROOT / script), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_python_without_any_package_is_told_how_to_get_them(folder, command):
    before = sorted(folder.iterdir())
    *more, line = run(folder, ["-S"], command)
    # What drive.py says before it loads is all that may stand above.
    assert not more or command == "drive"
    if command == "search":
        assert line == "optuna is not installed; pip install --group search"
    else:
        assert line.startswith(f"{sys.executable} lacks "), line
        assert "pip install -r" in line or "activate" in line
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("keras", "train"),
        ("tensorflow", "model"),
        ("keras", "demo"),
        ("socketio", "demo"),
        ("panda3d", "simulate record"),
        ("cv2", "augment"),
        ("pandas", "dataset"),
        ("matplotlib", "explore"),
        ("scipy", "evaluate"),
        ("jinja2", "demo"),
        ("h5py", "improve"),
        ("h5py", "train scratch"),
        ("websockets", "demo"),
    ],
)
def test_a_missing_package_is_named(folder, package, command):
    *_, line = run(folder, ["-c", WITHOUT, package], command)
    assert line.startswith(f"{sys.executable} lacks {package}; "), line


@pytest.mark.parametrize("package", ["keras", "h5py", "socketio"])
def test_drive_names_the_way_without_tensorflow(folder, package):
    *_, line = run(folder, ["-c", WITHOUT, package], "drive")
    assert line.startswith(f"{sys.executable} lacks {package}; ")
    assert line.endswith(
        "where that is: python export.py bare/model.json --to tflite, and here: pip "
        "install --group drive"
    )


def test_the_way_is_to_activate_an_environment_that_is_there(tmp_path, monkeypatch):
    import common.ends

    lacking = ModuleNotFoundError("No module named 'keras'", name="keras")
    monkeypatch.setattr(common.ends, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert "make an environment: python -m venv .venv; " in line_of(lacking)
    (tmp_path / ".venv").mkdir()
    here = Path(".venv", "bin", "activate")
    assert (
        line_of(lacking).endswith(
            f"lacks keras; activate the project's environment: source {here}"
        )
        or sys.platform == "win32"
    )
    monkeypatch.setattr(sys, "prefix", "/somewhere/venv")
    assert line_of(lacking).endswith("install it: pip install -r requirements.txt")


def test_a_package_that_cannot_be_loaded_is_said_with_the_reason():
    broken = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
    assert "cannot load cv2 (libGL.so.1: cannot open shared" in line_of(broken)


def test_a_missing_module_of_the_project_is_a_mistake_of_ours():
    for name in ("common.nothing", "train", "recordings"):
        assert line_of(ModuleNotFoundError("no", name=name)) is None
