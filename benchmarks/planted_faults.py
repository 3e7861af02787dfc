"""Are the faults of a recording among its first suspicious moments?

    python benchmarks/planted_faults.py data/a --other data/b --model models/base

Into a copy of a recording 20 faults are planted, at places that a seed draws: a second
of swapped steering signs, a frozen frame, a step to full lock, a stretch of another
recording's pictures, five times each. Then they are looked for among the first moments
that review.py shows, with a model and without one. Prints a table, and one JSON line.

A swapped sign is planted where the road bends: where the steering is 0, nothing is
swapped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import CAMERAS
from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow
from common.table import text_table
from network.files import model_path
from recordings.log import find_log, read_log

KINDS = ("swapped sign", "frozen frame", "full lock", "other pictures")
OF_EACH = 5
# Rows between two faults, and how many a fault has at most.
APART_ROWS, MOST_ROWS = 30, 10
# Rows of each fault, from and to.
ROWS = {KINDS[0]: (10, 10), KINDS[1]: (1, 3), KINDS[2]: (1, 5), KINDS[3]: (8, 10)}
LEAST_SWAPPED = 0.03
LOOKED_AT = 30


@dataclass(frozen=True)
class Fault:
    """What was planted where."""

    kind: str
    """One of KINDS."""
    first: int
    """The first row that it touches, as a line of the log."""
    last: int
    """The last row."""


def plant(
    source: Path, other: Path, folder: Path, rng: np.random.Generator
) -> list[Fault]:
    """Copy a recording with faults; return them.

    Args:
        source: The recording.
        other: The recording that other pictures are taken from.
        folder: Where the copy goes; must not exist.
        rng: Draws the places.
    """
    rows = read_log(find_log(source)).rows
    others = read_log(find_log(other)).rows
    steering = np.array([row.steering for row in rows])
    images = [list(row.images) for row in rows]
    (folder / "IMG").mkdir(parents=True)
    for name in {name for row in images for name in row if name}:
        _link(_image(source, name), folder / "IMG" / name)
    faults = []
    for kind, first in _places(steering, rng):
        low, high = ROWS[kind]
        last = first + int(rng.integers(low, high + 1)) - 1
        stretch = slice(first, last + 1)
        if kind == "swapped sign":
            steering[stretch] *= -1
        elif kind == "full lock":
            steering[stretch] = rng.choice([-1.0, 1.0])
        elif kind == "frozen frame":
            for row in range(first, last + 1):
                _put(folder, images[row], source, images[first - 1])
        else:
            begin = int(rng.integers(0, len(others) - MOST_ROWS))
            for row in range(first, last + 1):
                _put(folder, images[row], other, others[begin + row - first].images)
        faults.append(Fault(kind, rows[first].line, rows[last].line))
    lines = [""] * (rows[-1].line)
    for row, value, names in zip(rows, steering, images, strict=True):
        paths = [f"IMG/{name}" if name else "" for name in names]
        numbers = (f"{value:.7g}", row.throttle, row.brake, row.speed_mph)
        lines[row.line - 1] = ",".join([*paths, *map(str, numbers)])
    # Rows keep their numbers: where a header was, there is one.
    if not lines[0]:
        lines[0] = ",".join([*CAMERAS, "steering", "throttle", "brake", "speed"])
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return sorted(faults, key=lambda fault: fault.first)


def _places(steering: np.ndarray, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Draw a row for each fault, none near to another or to the ends."""
    free = np.ones(len(steering), bool)
    free[:APART_ROWS] = free[-APART_ROWS - MOST_ROWS :] = False
    second = np.convolve(np.abs(steering), np.ones(MOST_ROWS) / MOST_ROWS)
    bends = second[MOST_ROWS - 1 :] >= LEAST_SWAPPED
    # Where the driver holds full lock, a step to it is none.
    places = []
    for kind in [kind for kind in KINDS for _ in range(OF_EACH)]:
        fits = free & bends if kind == "swapped sign" else free.copy()
        if kind == "full lock":
            fits &= np.abs(steering) < 0.5
        row = int(rng.choice(np.flatnonzero(fits)))
        free[max(0, row - APART_ROWS) : row + APART_ROWS] = False
        places.append((kind, row))
    return places


def _image(recording: Path, name: str) -> Path:
    return find_log(recording).parent / "IMG" / name


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another disk.
        shutil.copyfile(source, target)


def _put(
    folder: Path, names: Sequence[str], source: Path, others: Sequence[str]
) -> None:
    """Put other pictures in the place of a row's, camera by camera."""
    for name, other in zip(names, others, strict=True):
        if name and other:
            target = folder / "IMG" / name
            target.unlink()
            shutil.copyfile(_image(source, other), target)


# --- Looking for them -----------------------------------------------------------------


def found_among(faults: list[Fault], moments: list[dict[str, Any]]) -> list[bool]:
    """Say of each fault whether one of the moments shows a row of it."""
    return [
        any(
            each["from_row"] <= fault.last and fault.first <= each["to_row"]
            for each in moments
        )
        for fault in faults
    ]


def look(
    source: Path, other: Path, seed: int, models: Sequence[Path]
) -> dict[str, Any]:
    """Plant faults by a seed, and look for them without a model, and with models."""
    from evaluation.review.look import look_at
    from evaluation.review.models import load_review_models

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "planted"
        faults = plant(source, other, folder, np.random.default_rng(seed))
        figures: dict[str, Any] = {"seed": seed}
        for name, given in (("without", []), ("with", load_review_models(models))):
            if name == "with" and not given:
                continue
            moments = look_at(folder, given)[:LOOKED_AT]
            # What is nearly the whole recording points at nothing.
            moments = [m for m in moments if m["to_row"] - m["from_row"] < 100]
            found = found_among(faults, moments)
            missed = [
                asdict(fault)
                for fault, is_found in zip(faults, found, strict=True)
                if not is_found
            ]
            figures[name] = {"found": sum(found), "missed": missed}
    return figures


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=HelpFormatter,
        epilog="Example:\n  python benchmarks/planted_faults.py data/a --other data/b",
    )
    add = parser.add_argument
    add("recording", type=Path, help="recording to plant faults into a copy of")
    add("--other", type=Path, required=True, metavar="DIR", help="whose pictures")
    model = "models to look with as well"
    add("--model", type=model_path, nargs="+", default=[], metavar="MODEL", help=model)
    seeds = "seeds of the places, from 0 on (default: 5)"
    add("--seeds", type=int, default=5, metavar="N", help=seeds)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and return 0."""
    args = parse_args(argv)
    if args.model:
        quiet_tensorflow()
    rows: list[tuple[str, ...]] = [("seed", "without", "with a model", "missed")]
    figures = []
    for seed in range(args.seeds):
        each = look(args.recording, args.other, seed, args.model)
        figures.append(each)
        ways = [way for way in ("without", "with") if way in each]
        counts = [f"{each[way]['found']} of 20" for way in ways]
        missed = "; ".join(
            f"{way}: {fault['kind']} {fault['first']}-{fault['last']}"
            for way in ways
            for fault in each[way]["missed"]
        )
        rows.append((str(seed), *counts, *[""] * (2 - len(counts)), missed))
    print(text_table(rows, "<"))
    name, other = args.recording.name, args.other.name
    print(json.dumps({"recording": name, "other": other, "seeds": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
