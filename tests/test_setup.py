"""The way in: one list of packages, another Python, make's layers."""

import ast
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common import FIRST_PYTHON, LAST_PYTHON

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
# Where everybody's packages come from.
HOSTS = {"https://pypi.org", "https://files.pythonhosted.org"}
NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Runs a script as Python does, but as another Python.
AS_ANOTHER = """
import runpy, sys
*version, script = sys.argv[1:]
sys.version_info, sys.argv = tuple(map(int, version)), [script]
sys.path[0] = script.rpartition("/")[0]
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def groups():
    """Lists of packages by name, as pyproject.toml has them."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
        "dependency-groups"
    ]


@pytest.fixture(scope="module")
def lock():
    return tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))


# --- One list -------------------------------------------------------------------------


def pins_of(groups, name):
    """Return (package, version) of all that is in a group and in those it includes."""
    pins = set()
    for each in groups[name]:
        if isinstance(each, dict):
            pins |= pins_of(groups, each["include-group"])
        else:
            requirement = each.partition(";")[0].strip()
            package, _, version = requirement.partition("==")
            pins.add((NAME.match(package)[0].lower(), version))
    return pins


def test_every_package_is_named_once_with_its_version(groups):
    named = [each for group in groups.values() for each in group if type(each) is str]
    assert all(re.search("==[0-9]", each) for each in named)
    # By the marker behind it, TensorFlow has another package on another system.
    names = [NAME.match(each)[0] for each in named if not each.startswith("tensorflow")]
    assert len(names) == len(set(names))
    versions = {v for n in ("cpu", "gpu") for _, v in pins_of(groups, n)}
    assert len(versions) == 1


def test_the_lock_pins_what_the_list_says_and_comes_from_everybodys_hosts(groups, lock):
    (own,) = (p for p in lock["package"] if p["name"] == "behavioural-cloning")
    locked = {
        name: {(each["name"], each["specifier"].removeprefix("==")) for each in group}
        for name, group in own["metadata"]["requires-dev"].items()
    }
    assert locked == {name: pins_of(groups, name) for name in groups}, "run: make lock"
    text = (ROOT / "uv.lock").read_text("utf-8")
    assert set(re.findall(r"https?://[^/\"]+", text)) == HOSTS


def test_pip_installs_what_uv_does():
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("needs uv in this environment (pip install --group dev)")
    flags = "--frozen --offline --no-hashes --no-annotate --no-header".split()
    done = subprocess.run(
        [uv, "export", *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    written = [line for line in lines if not line.startswith("#")]
    assert written == done.stdout.splitlines(), "run: make lock"


def test_the_demo_needs_nothing_for_tests_and_options(groups):
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    names = {line.partition("==")[0] for line in lines if "==" in line}
    assert {package for package, _ in pins_of(groups, "run")} <= names
    rest = (pins_of(groups, "dev") | pins_of(groups, "drive")) - pins_of(groups, "run")
    # Keras asks for one of the tests' packages, python-socketio's client.
    assert {package for package, _ in rest} & names <= {"requests"}


# --- Another Python -------------------------------------------------------------------


def test_the_versions_are_those_of_the_list():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (low, high), (last, beyond) = FIRST_PYTHON, LAST_PYTHON
    assert project["requires-python"] == f">={low}.{high},<{last}.{beyond + 1}"


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 14, 0)], ids=str)
@pytest.mark.parametrize("script", SCRIPTS)
def test_another_python_is_refused_in_one_line(script, version):
    words = [*map(str, version), str(ROOT / script)]
    done = subprocess.run(
        [sys.executable, "-S", "-c", AS_ANOTHER, *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    number = ".".join(map(str, version))
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"{sys.executable} is Python {number}, expected 3.11 to 3.13"
    )
    assert "activate" in line or "make an environment with one of them: py" in line


@pytest.mark.parametrize("script", [*SCRIPTS, "common/__init__.py"])
def test_an_old_python_can_read_what_refuses_it(script):
    """Up to the import of `common` it runs, and a word that it cannot read ends it."""
    source = (ROOT / script).read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    if script in SCRIPTS:
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        assert [each.module for each in imports[:2]] == ["__future__", "common.ends"]


# --- make -----------------------------------------------------------------------------


def make(*words, folder=ROOT):
    if shutil.which("make") is None:
        pytest.skip("needs make")
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True)


def test_make_demo_installs_what_the_demo_needs_and_make_test_the_rest(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests" / "node").mkdir(parents=True)
    shutil.copy(ROOT / "tests/node/package-lock.json", tmp_path / "tests/node")
    installing = {
        target: make("-n", target, folder=tmp_path).stdout
        for target in ("setup", "test", "lint")
    }
    assert "--requirement requirements.txt" in installing["setup"]
    assert "GB to download" in installing["setup"]
    assert "--group" not in installing["setup"] and "npm" not in installing["setup"]
    for target in ("test", "lint"):
        assert "--group dev" in installing[target] and "npm" in installing[target]
    assert "demo: setup" not in (ROOT / "Makefile").read_text("utf-8")


def test_make_demo_says_what_is_in_the_way_before_it_installs(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = make("demo", f"VENV={tmp_path}/none", f"PORT={port}")
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr.splitlines()[0] == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use); give another "
        "--port, or none"
    )


def test_make_refuses_another_python_before_it_makes_anything(tmp_path):
    another = tmp_path / "python3"
    another.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        '"import sys; sys.version_info = (3, 10, 4); $2"\n',
        "utf-8",
    )
    another.chmod(0o755)
    done = make("setup", f"VENV={tmp_path}/none", f"PYTHON={another}")
    assert done.returncode == 2 and not (tmp_path / "none").exists()
    assert "is Python 3.10.4, expected 3.11 to 3.13; " in done.stderr.splitlines()[0]
