"""Units that logs are written in: what the numbers say, and how they become ours."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import MAX_STEERING_ANGLE_DEG
from common.errors import InputError
from recordings.columns import words_of

if TYPE_CHECKING:
    # Not above: the flags of train.py need this module, and a refusal need not wait.
    import numpy as np
    import pandas as pd

NORMALISED = "normalised"
# What full lock is in each unit that a log's steering may have.
FULL_LOCK = {
    NORMALISED: 1.0,
    "deg": MAX_STEERING_ANGLE_DEG,
    "rad": math.radians(MAX_STEERING_ANGLE_DEG),
}
UNIT_HELP = "unit of the logs' steering, or of one's: normalised, deg, rad"
UNIT_METAVAR = "[NAME=]UNIT"
# Words of a header that tell the unit of its column.
STEERING_WORDS = {"deg": "deg degree degrees grad °", "rad": "rad radian radians"}
SPEED_WORDS = {"km/h": "kmh kph kmph km", "m/s": "mps ms m"}
# Beyond full lock by more than what rounding does, in so many rows, of which so many
# stand together or so large a share of all: no accident, but another unit.
BEYOND_LOCK, BEYOND_ROWS, TOGETHER, BEYOND_SHARE = 1.05, 10, 3, 0.01
# Who steers less than a degree in so many rows has no degrees.
ENOUGH_ROWS = 20
# The simulator's car stops accelerating at 30 mph; downhill it was seen at 30.7.
MOST_SPEED_MPH = 33.0
FAST_SHARE = 0.01


# --- Which unit -----------------------------------------------------------------------


def add_unit_flag(add: Callable[..., object]) -> None:
    """Add the flag of a command that reads recordings, by a parser's add_argument."""
    flag: dict[str, Any] = {"default": [], "metavar": UNIT_METAVAR, "help": UNIT_HELP}
    add("--steering-unit", type=unit_of_text, action="append", **flag)


def unit_of_text(text: str) -> tuple[str, str]:
    """Read UNIT or NAME=UNIT of a command line; the name is "" for all recordings.

    Raises:
        ArgumentTypeError: There is no such unit.
    """
    name, _, unit = text.rpartition("=")
    if unit not in FULL_LOCK:
        known = ", ".join(FULL_LOCK)
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {known}")
    return name, unit


def unit_words(given: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words of a command line that give these units."""
    return [
        word
        for name, unit in given
        for word in ("--steering-unit", f"{name}={unit}" if name else unit)
    ]


def units_by_path(
    given: Mapping[str, str], folders: Sequence[Path | str]
) -> dict[str, str]:
    """Return the unit of each recording that one is given for, by its absolute path.

    Args:
        given: Units by the names or paths of recordings, "" for all others.
        folders: The recordings.

    Raises:
        InputError: There is no recording of a name.
    """
    paths = [Path(folder).resolve() for folder in folders]
    units = {str(path): given[""] for path in paths if "" in given}
    for name, unit in given.items():
        meant = [path for path in paths if name in (path.name, str(path))]
        meant = meant or [path for path in paths if Path(name).resolve() == path]
        if name and not meant:
            known = ", ".join(path.name for path in paths)
            raise InputError(f"--steering-unit names {name}, expected one of {known}")
        units |= {str(path): unit for path in meant if name}
    return units


def unit_of(given: Sequence[tuple[str, str]], folder: Path) -> str | None:
    """Return the unit that a command line gives for its one recording, None if none.

    Raises:
        InputError: One is given for another recording.
    """
    return units_by_path(dict(given), [folder]).get(str(folder.resolve()))


# --- Steering -------------------------------------------------------------------------


def normalised(
    steering: np.ndarray, unit: str | None, column: str, log_path: Path
) -> np.ndarray:
    """Return steering in [-1, 1]; single rows may lie beyond it, as strays.

    Args:
        steering: As it stands in the log, float (n,).
        unit: What the user says it is, of FULL_LOCK; None: normalised, unless the
            header or the values say otherwise.
        column: What the header calls the column, "" without a header.
        log_path: The log, for the message.

    Raises:
        InputError: The header or the values say that it is in another unit.
    """
    named = _unit_in(column, STEERING_WORDS)
    if named and unit is None:
        raise InputError(
            f"{log_path}: the column {column!r} says {named}, expected steering in "
            f"[-1, 1]; read it with --steering-unit {named}, or, if it is "
            f"{NORMALISED} all the same, with --steering-unit {NORMALISED}"
        )
    turned = steering / FULL_LOCK[unit or NORMALISED]
    _refuse_other_unit(steering, turned, unit or NORMALISED, log_path)
    return turned


def _refuse_other_unit(
    steering: np.ndarray, turned: np.ndarray, unit: str, log_path: Path
) -> None:
    import numpy as np

    from recordings.rows import in_runs

    lock, worst = FULL_LOCK[unit], float(np.abs(steering).max(initial=0))
    beyond = np.abs(turned) > BEYOND_LOCK
    count, together = int(beyond.sum()), int(in_runs(beyond, TOGETHER).sum())
    is_another = together >= BEYOND_ROWS or count >= BEYOND_SHARE * len(turned)
    if count >= BEYOND_ROWS and is_another:
        way = (
            "is it in degrees? Read it with --steering-unit deg, or divide the column "
            "by 25"
        )
        if unit != NORMALISED:
            way = "Divide the column by its value at full lock, and leave the unit out"
        raise InputError(
            f"{log_path}: the steering of {count:,} of {len(turned):,} rows is beyond "
            f"full lock, up to {worst:g}, expected [-{lock:.4g}, {lock:.4g}]; {way}"
        )
    if unit == "deg" and len(turned) >= ENOUGH_ROWS and 0 < worst <= 1:
        raise InputError(
            f"{log_path}: the steering stays within {worst:g}, expected degrees up to "
            f"{lock:.4g}; it seems {NORMALISED} already: leave --steering-unit out"
        )


def _unit_in(column: str, words: Mapping[str, str]) -> str:
    """Return the unit that the name of a column tells, "" if it tells none."""
    found = {*words_of(column), *(letter for letter in column if letter == "°")}
    return next((u for u, names in words.items() if found & set(names.split())), "")


# --- What is said and used as it is ---------------------------------------------------


def doubts_of(samples: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Say in words what of the numbers is not as a drive makes them.

    Args:
        samples: The rows of a recording, with `excluded`.
        columns: What the header calls each column.
    """
    doubts = []
    used = samples[samples["excluded"] == ""]
    if len(used) > 1 and used["steering"].nunique() == 1:
        doubts.append(
            f"the steering is {used['steering'].iloc[0]:g} in every row that can be "
            "used: nothing to learn from; was it recorded?"
        )
    speed, column = samples["speed_mph"], columns.get("speed", "")
    named = _unit_in(column, SPEED_WORDS)
    is_fast = speed > MOST_SPEED_MPH
    if named or is_fast.sum() >= max(2, FAST_SHARE * len(speed)):
        found = f"the column {column!r} says {named}." if named else "is it in km/h?"
        doubts.append(
            f"the speed goes up to {speed.max():g} and is taken for mph, of which the "
            f"simulator's car does 30: {found} Convert it (1 mph is 1.609 km/h, 0.447 "
            "m/s), or the path is taken to be another"
        )
    return doubts
