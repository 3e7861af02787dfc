"""Tables of one camera: what AirSim writes of a drive, and people with Webots or CARLA.

A table has a header; which column holds what, the header tells (recordings/columns.py),
or the user does. A picture is a file that it names, or that is called by the number of
its frame.

Source: github.com/microsoft/AirSim, docs/modify_recording_data.md and the recordings of
the Autonomous Driving Cookbook (airsim_rec.txt: tabs, speed in m/s, steering + right).
"""

from __future__ import annotations

import csv
import itertools
import math
import os
import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.car import MPS_PER_MPH
from common.errors import InputError
from common.files import read_regular
from recordings.columns import AmbiguousHeaderError, columns_of, words_of
from recordings.foreign.rows import BEGIN_S, ForeignLog, ForeignRow, times_from
from recordings.lines import (
    IMAGE_NAME,
    MOST_COLUMNS,
    MOST_LINE_CHARACTERS,
    MOST_LOG_BYTES,
    numbered_lines,
    text_of,
)

AIRSIM_NAME = "airsim_rec.txt"
# Columns that no other table has.
AIRSIM_COLUMNS = frozenset(["POS_X", "Q_W", "VehicleName"])
ENDINGS = (".csv", ".txt", ".tsv")
TIME = re.compile(r"(sim_?)?(time(_?stamp)?|seconds?|elapsed)\b", re.IGNORECASE)
FRAME = re.compile(r"(frame|image)(_?(id|number|no|index))?|index|id", re.IGNORECASE)
# Pictures beside a table, in folders in its folder.
MOST_PICTURES, MOST_DEPTH = 1_000_000, 3
# Between rows without a time.
STEP_S = 0.1
# In one of these the steps between rows are those of a camera: seconds, or parts.
UNITS_S = (1.0, 1e-3, 1e-6, 1e-9)
LEAST_STEP_S, MOST_STEP_S = 0.004, 3.0
# A time that is so long after 1970 is one since then.
SINCE_1970_S = 1e9
MPH_OF = {"mph": 1.0, "kmh": 1 / 1.609344, "mps": 1 / MPS_PER_MPH}
SPEED_WORDS = {"kmh": {"kmh", "kph", "kmph", "km"}, "mps": {"mps", "ms", "m"}}
USED = ("picture", "steering", "throttle", "brake", "speed")


def table_in(folder: Path) -> Path | None:
    """Return the table of a folder: AirSim's, or the only one; else None."""
    if (folder / AIRSIM_NAME).is_file():
        return folder / AIRSIM_NAME
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in ENDINGS and path.is_file()
    ]
    return found[0] if len(found) == 1 else None


def read_table(
    path: Path,
    steering: str | None = None,
    camera: str | None = None,
    speed_unit: str | None = None,
) -> ForeignLog:
    """Open a table.

    Args:
        steering: What its column of the steering is called; None: the header tells.
        camera: What its column of the pictures is called; None: likewise.
        speed_unit: The unit of its speed, a key of MPH_OF; None: what the header tells,
            m/s of AirSim, and else mph.

    Raises:
        InputError: It has no header that tells what is needed.
    """
    text = text_of(path, read_regular(path, MOST_LOG_BYTES))
    numbered = numbered_lines(path, text)
    if len(numbered) < 2:
        raise InputError(f"{path}: no table, expected a header and rows")
    first = numbered[0][1]
    delimiter = max("\t;,", key=first.count)
    header = _cells(first, delimiter)
    places = _places_of(header, path, steering, camera)
    is_airsim = bool(AIRSIM_COLUMNS & set(header)) or path.name == AIRSIM_NAME
    if speed_unit is None and "speed" in places:
        speed_unit = _speed_unit(header[places["speed"]], is_airsim)
    cells = [(line, _cells(text, delimiter)) for line, text in numbered[1:]]
    log = ForeignLog("AirSim table" if is_airsim else "table", ())
    log.about = {f"{name}_is": header[place] for name, place in places.items()}
    log.rows = _rows(path, places, cells, MPH_OF[speed_unit or "mph"], log)
    return log


def _cells(line: str, delimiter: str) -> list[str]:
    if len(line) > MOST_LINE_CHARACTERS or line.count(delimiter) >= MOST_COLUMNS:
        return []
    row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    return [cell.strip() for cell in row]


# --- Its columns ----------------------------------------------------------------------


def _places_of(
    header: Sequence[str], path: Path, steering: str | None, camera: str | None
) -> dict[str, int]:
    """Return the place of each column that is needed or of use.

    Raises:
        InputError: The pictures, or the steering, are in none.
    """
    listed = ", ".join(header)[:200]
    places: dict[str, int] = {}
    for name, flag, given in (
        ("steering", "--steering", steering),
        ("picture", "--camera", camera),
    ):
        if given is not None and given not in header:
            raise InputError(f"{path}: {flag} is {given}, expected one of {listed}")
        if given is not None:
            places[name] = header.index(given)
    for place, cell in enumerate(header):
        if TIME.match(cell):
            places.setdefault("time", place)
        elif FRAME.fullmatch(cell):
            places.setdefault("frame", place)
    for name, place in _known(header, path, set(places)).items():
        places.setdefault(name, place)
    for name, flag in (("steering", "--steering"), ("picture", "--camera")):
        if name not in places and not (name == "picture" and "frame" in places):
            raise InputError(
                f"{path}: no column is known to hold the {name}, found {listed}; say "
                f"which does with {flag} NAME"
            )
    return places


def _known(header: Sequence[str], path: Path, given: set[str]) -> dict[str, int]:
    """Return the places of the columns whose names tell what they hold."""
    try:
        columns = columns_of(list(header))
    except AmbiguousHeaderError as error:
        if "steering" in given:
            return {}
        raise InputError(
            f"{path}: {error}? Say which with --steering NAME or --camera NAME"
        ) from None
    known: dict[str, int] = {}
    for place, name in enumerate(columns):
        mine = "picture" if name == "center" else name
        if mine in USED:
            known.setdefault(mine, place)
    return known


def _speed_unit(cell: str, is_airsim: bool) -> str:
    words = set(words_of(cell))
    for unit, names in SPEED_WORDS.items():
        if words & names:
            return unit
    return "mps" if is_airsim else "mph"


# --- Its rows -------------------------------------------------------------------------


def _rows(
    path: Path,
    places: dict[str, int],
    cells: Sequence[tuple[int, list[str]]],
    mph_of: float,
    log: ForeignLog,
) -> Iterator[ForeignRow]:
    pictures = _pictures_in(path.parent)
    times_s = list(times_from(_times_of(places, cells), STEP_S))

    def number(row: Sequence[str], name: str) -> float:
        place = places.get(name)
        return 0.0 if place is None else _number(row, place) or 0.0

    for (line, row), time_s in zip(cells, times_s, strict=True):
        where = f"{path} row {line}"
        steering = _number(row, places["steering"])
        picture = _picture_of(row, places, pictures)
        if steering is None or picture is None:
            lacks = "number for the steering" if steering is None else "picture"
            log.left_out.append(f"{where}: no {lacks}")
            continue
        yield ForeignRow(
            where,
            picture,
            steering,
            min(1.0, max(0.0, number(row, "throttle"))),
            min(1.0, max(0.0, number(row, "brake"))),
            abs(number(row, "speed")) * mph_of,
            time_s,
        )


def _number(row: Sequence[str], place: int) -> float | None:
    try:
        value = float(row[place])
    except (IndexError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _times_of(
    places: dict[str, int], cells: Sequence[tuple[int, list[str]]]
) -> list[float | None]:
    """Return the time of each row in seconds, as far as the table has one."""
    nothing: list[float | None] = [None] * len(cells)
    if "time" not in places:
        return nothing
    times = [_number(row, places["time"]) for _, row in cells]
    known = [time for time in times if time is not None]
    steps = [b - a for a, b in itertools.pairwise(known) if b > a]
    step = statistics.median(steps) if steps else 0.0
    for unit in UNITS_S:
        if LEAST_STEP_S <= step * unit <= MOST_STEP_S:
            begin_s = 0.0 if known[0] * unit >= SINCE_1970_S else BEGIN_S
            return [None if time is None else begin_s + time * unit for time in times]
    return nothing


def _pictures_in(folder: Path) -> dict[str, Path]:
    """Return the pictures in a folder and below: by name, and by number as "#12"."""
    found: dict[str, Path] = {}
    depth = len(folder.parts)
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if len(here.parts) - depth >= MOST_DEPTH:
            folders.clear()
        for name in sorted(names):
            if not IMAGE_NAME.search(name) or name.startswith("._"):
                continue
            found.setdefault(name.lower(), here / name)
            if (stem := Path(name).stem).isdecimal():
                found.setdefault(f"#{int(stem)}", here / name)
        if len(found) > 2 * MOST_PICTURES:
            raise InputError(f"{folder}: more than {MOST_PICTURES:,} pictures in it")
    return found


def _picture_of(
    row: Sequence[str], places: dict[str, int], pictures: dict[str, Path]
) -> Path | None:
    """Return a row's picture: the first that it names, or that of its frame."""
    if "picture" in places and places["picture"] < len(row):
        # AirSim names those of several cameras in one cell.
        first = row[places["picture"]].split(";")[0]
        name = re.split(r"[\\/]", first)[-1].strip().lower()
        if name in pictures:
            return pictures[name]
        if name.isdecimal() and (found := pictures.get(f"#{int(name)}")):
            return found
    number = _number(row, places["frame"]) if "frame" in places else None
    if number is not None and number.is_integer():
        return pictures.get(f"#{int(number)}")
    return None
