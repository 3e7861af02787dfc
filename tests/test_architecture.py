"""The house: floors that import downwards only, and scripts that start lightly."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.car import MPS_PER_MPH, WHEELBASE_M

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = tuple(
    """
    adopt dataset demo drive evaluate explore export improve review search simulate
    train
    """.split()
)
# From the ground up. What stands on one floor does not import its neighbour.
FLOORS = (
    {"simulator"},
    {"common"},
    {"recordings", "network"},
    {"augment", "model", "driving"},
    {"evaluation"},
    {"training"},
    {"tuning"},
    set(COMMANDS),
)
FLOOR_OF = {name: i for i, names in enumerate(FLOORS) for name in names}
# Of what stands directly above the simulator, what may know it: the car's numbers, and
# files that appear whole, which both write.
ON_THE_SIMULATOR = {
    "common.car": {"simulator.vehicle"},
    "common.files": {"simulator.disk", "simulator.drafts"},
    "common.locks": {"simulator.disk"},
}
# They train with train.py's own loop, and hand it down.
MAY_IMPORT_TRAIN = ("improve", "search")
MOST_ROOT_ENTRIES, MOST_SCRIPTS, MOST_TRAIN_LINES = 34, 14, 300


def imports_of(root):
    """Return the modules of the project, each with those it imports, wherever it does.

    Args:
        root: The project's folder.

    Returns:
        Sets of dotted names by dotted name, of modules and root scripts.
    """
    paths = [*root.glob("*.py")]
    for package in FLOOR_OF:
        paths += (root / package).rglob("*.py")
    names = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in paths
    }
    return {name: _imports(path, names) for name, path in names.items()}


def _imports(path, names):
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from package import module` names a module, `import name` what is in one.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & set(names)) or {node.module}
    return found & set(names)


def floor_of(module):
    return FLOOR_OF[module.partition(".")[0]]


def upward_imports(imports):
    """Return the imports that do not lead to a lower floor or within a package."""
    wrong = []
    for module, others in imports.items():
        for other in others:
            room, other_room = module.partition(".")[0], other.partition(".")[0]
            is_train = module in MAY_IMPORT_TRAIN and other == "train"
            if room != other_room and floor_of(module) <= floor_of(other):
                if not is_train:
                    wrong.append(f"{module} imports {other}")
            elif (room, other_room) == ("common", "simulator") and (
                other not in ON_THE_SIMULATOR.get(module, ())
            ):
                wrong.append(f"{module} imports {other}")
    return sorted(wrong)


def circle_in(imports):
    """Return modules that import one another in a circle, [] where there is none."""
    done = set()

    def walk(module, path):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(imports[module]):
            if circle := walk(other, [*path, module]):
                return circle
        done.add(module)
        return []

    for module in sorted(imports):
        if circle := walk(module, []):
            return circle
    return []


HELP = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    loaded = sorted({"tensorflow", "keras"} & set(sys.modules))
    print("status", end.code, "loaded", *loaded)
"""


def help_of(script, *words):
    """Return what a script's --help prints, and a last line of what that has loaded."""
    command = [sys.executable, "-c", HELP, str(script), *words, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout


# --- The project ----------------------------------------------------------------------


def test_every_import_leads_to_a_lower_floor():
    assert upward_imports(imports_of(ROOT)) == []


def test_no_modules_import_one_another_in_a_circle():
    assert circle_in(imports_of(ROOT)) == []


def test_the_simulator_imports_nothing_else_of_the_project():
    imports = imports_of(ROOT)
    others = {o for m in imports if m.startswith("simulator") for o in imports[m]}
    assert {other.partition(".")[0] for other in others} == {"simulator"}


@pytest.mark.parametrize(
    "words",
    [
        *((name,) for name in (*COMMANDS, "augment", "model") if name != "simulate"),
        *(("simulate", name) for name in ("window", "record", "drive", "render")),
    ],
    ids=" ".join,
)
def test_help_has_an_example_and_loads_no_tensorflow(words):
    script, *more = words
    shown = help_of(ROOT / f"{script}.py", *more)
    assert "Example:" in shown
    assert shown.splitlines()[-1] == "status 0 loaded"


def test_the_root_holds_what_a_person_types_or_a_student_reads():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("needs git and a checkout, to tell the project's files from others")
    entries = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    shown = sorted(entry for entry in entries if not entry.startswith("."))
    assert len(shown) <= MOST_ROOT_ENTRIES, shown
    scripts = {entry.removesuffix(".py") for entry in shown if entry.endswith(".py")}
    assert scripts == {*COMMANDS, "augment", "model"} and len(scripts) <= MOST_SCRIPTS


def test_the_training_loop_stands_in_train_py_and_nowhere_else():
    holding = Counter()
    for module in imports_of(ROOT):
        path = ROOT / (module.replace(".", "/") + ".py")
        if path.is_file():
            holding[module] += path.read_text(encoding="utf-8").count(".train_epoch(")
    assert +holding == {"train": 1}
    lines = (ROOT / "train.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_TRAIN_LINES


@pytest.mark.parametrize("number", [str(MPS_PER_MPH), str(WHEELBASE_M)])
def test_each_number_of_the_car_stands_once(number):
    paths = [*ROOT.glob("*.py")]
    for folder in (*FLOOR_OF, "benchmarks", "tests"):
        paths += (ROOT / folder).rglob("*.py")
    holding = [
        path.name
        for path in paths
        if "node_modules" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if number in line
    ]
    assert holding == ["vehicle.py"]


# --- What goes red --------------------------------------------------------------------


def plant(root, **files):
    """Write modules, dots in their names as two underscores; return their imports."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return imports_of(root)


@pytest.mark.parametrize(
    ("importing", "imported"),
    [
        ("recordings__log", "training__settings"),  # upwards
        ("recordings__log", "network__files"),  # a neighbour
        ("tuning__dagger", "train"),  # a command
        ("explore", "train"),  # a command by another
        ("simulator__world", "common__car"),
        ("common__files", "simulator__vehicle"),
    ],
)
def test_a_planted_import_goes_red(tmp_path, importing, imported):
    module, other = (name.replace("__", ".") for name in (importing, imported))
    files = {imported: "", importing: f"def f():\n    from {other} import name\n"}
    assert upward_imports(plant(tmp_path, **files)) == [f"{module} imports {other}"]


def test_a_planted_circle_goes_red(tmp_path):
    imports = plant(
        tmp_path,
        driving__port="from driving import server\n",
        driving__server="import driving.pilot\n",
        driving__pilot="from driving.port import listen\n",
    )
    circle = circle_in(imports)
    assert set(circle) == {"driving.port", "driving.server", "driving.pilot"}


def test_a_planted_help_that_loads_keras_goes_red(tmp_path):
    script = tmp_path / "heavy.py"
    script.write_text(
        "import argparse\nimport keras\nargparse.ArgumentParser().parse_args()\n"
    )
    assert help_of(script).splitlines()[-1] == "status 0 loaded keras tensorflow"
