"""Changed models, each by a seed: it drives, or is refused in a line, in bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras")
if not Path("/proc/self/clear_refs").exists():
    pytest.skip("needs Linux to tell the peak of memory", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
# What one model may take: with loading, and in memory beyond what was there before.
MOST_S, MOST_MB = 10, 1000


def load_mutants(source, folder, kind, number):
    """Return a row for each of so many models, from as few processes as can be."""
    rows = []
    script = ROOT / "tests" / "network" / "loads_mutants.py"
    while len(rows) < number:
        words = [str(len(rows)), str(number), str(source), str(folder), kind]
        done = subprocess.run(
            [sys.executable, str(script), *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        more = [json.loads(line) for line in done.stdout.splitlines()]
        # One that ends the process has no row, and fails here with its number.
        assert more, f"{kind} {len(rows)}: {done.returncode} {done.stderr[-3000:]}"
        rows += more
    return rows


def check_rows(rows):
    slow = [row for row in rows if row["s"] > MOST_S]
    large = [row for row in rows if row["mb"] > MOST_MB]
    long = [row for row in rows if "\n" in row["said"] or len(row["said"]) > 1000]
    unprintable = [row for row in rows if not row["said"].isprintable()]
    assert not (slow or large or long or unprintable)
    drives = sum(row["outcome"] == "drives" for row in rows)
    # The mutants are near enough to the model, and far enough from it.
    assert 0.02 < drives / len(rows) < 0.8


@pytest.mark.parametrize(("kind", "number"), [("json", 25), ("weights", 20)])
def test_mutant_drives_or_is_refused_in_bounds(saved, tmp_path, kind, number):
    check_rows(load_mutants(saved[1], tmp_path, kind, number))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [("json", 500), ("weights", 200)])
def test_every_mutant_drives_or_is_refused_in_bounds(saved, tmp_path, kind, number):
    rows = load_mutants(saved[1], tmp_path, kind, number)
    check_rows(rows)
    for figure in ("s", "mb"):
        worst = max(rows, key=lambda row: row[figure])
        print(kind, "most", figure, worst)
