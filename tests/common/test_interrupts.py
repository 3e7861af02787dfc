"""Ctrl+C while packages load: a library may take it for a fault, or crash."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording

from common.interrupts import hearing_within_imports

ROOT = Path(__file__).resolve().parents[2]
# Runs a script of the root, with Ctrl+C when a package is looked for.
AT_AN_IMPORT = """
import runpy, signal, sys
class Typing:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
wanted, *sys.argv = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[0] = sys.argv[0].rpartition("/")[0]
sys.meta_path.insert(0, Typing())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# Of what is loaded with the scripts, and of what they load when they need it.
IMPORTS = {
    "common.errors": "dataset.py bars",
    "sqlite3": "dataset.py bars",
    "pandas": "dataset.py bars",
    "matplotlib": "augment.py bars --out a.png",
    "panda3d": "simulate.py record lake --frames 5 --out out",
    "tensorflow": "train.py bars --name x",
}


@pytest.mark.parametrize(("package", "command"), IMPORTS.items(), ids=IMPORTS)
def test_ctrl_c_at_an_import_is_one_line(tmp_path, package, command):
    write_recording(tmp_path / "bars", 0.8 * np.sin(np.arange(120) / 15))
    script, *words = command.split()
    done = subprocess.run(
        [sys.executable, "-c", AT_AN_IMPORT, package, str(ROOT / script), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if " | " not in line]
    said = [line for line in said if not line.startswith("bars: ")]
    assert (done.returncode, said) == (130, ["stopped"])
    assert [path.name for path in tmp_path.iterdir() if path.name != "bars"] in (
        [],
        ["models"],
    )


def test_an_interrupt_that_a_library_swallows_ends_the_import():
    def library():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), hearing_within_imports():
        library()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
