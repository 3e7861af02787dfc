"""Rows of other people's logs, and the recording that is written of them.

A reader of a format yields one ForeignRow after the other; what they become is the same
for all: a driving_log.csv as the simulator writes it, with times in the names of its
images, and an origin.json that says of which camera they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import read_regular, whole_folder
from common.text import shown
from recordings.decoding import (
    JPEG_START,
    MOST_IMAGE_BYTES,
    PNG_START,
    fault_before_decoding,
    in_words,
)
from recordings.origin import ORIGIN_NAME

# What has no time of its own begins here; each new session so much later.
BEGIN_S = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
BETWEEN_SESSIONS_S = 10.0
# A document of a log that is longer was made to harm.
MOST_DOCUMENT_BYTES = 128 * 2**20
# So many rows that are left out are named.
MOST_NAMED = 3
# Beyond full lock by more than rounding does.
MOST_STEERING = 1.0001


@dataclass(frozen=True)
class ForeignRow:
    """One row of a log of another program.

    Raises:
        ValueError: A number is not finite.
    """

    where: str
    """What it is called there, for a message."""
    picture: Path | bytes
    """A file of a picture, or its content."""
    steering: float
    """As it stands there, before the unit is taken off."""
    throttle: float
    brake: float
    speed_mph: float
    time_s: float
    """Since 1970."""

    def __post_init__(self) -> None:
        numbers = (self.steering, self.throttle, self.brake, self.speed_mph)
        if not all(map(math.isfinite, (*numbers, self.time_s))):
            raise ValueError(f"{self.where}: a number in it is not finite")


@dataclass
class ForeignLog:
    """A log of another program, open to be read."""

    kind: str
    """The format, such as "donkeycar tub v2"."""
    rows: Iterable[ForeignRow]
    about: dict[str, Any] = field(default_factory=dict)
    """What else is kept of it in origin.json."""
    left_out: list[str] = field(default_factory=list)
    """What was left out, in words; it grows while the rows are read."""
    full_lock: float = 1.0
    """The steering at full lock to the right, in the log's own unit."""


@dataclass(frozen=True)
class Imported:
    """What has become of a log."""

    rows: int
    left_out: tuple[str, ...]
    lowest: float
    highest: float
    """The lowest and the highest steering."""


def write_recording(log: ForeignLog, source: Path, out: Path) -> Imported:
    """Write a log as a recording, whole or not at all.

    Raises:
        InputError: No row of it can be used, or its steering is in another unit.
        OSError: The folder cannot be written.
    """
    lines: list[str] = []
    steerings: list[float] = []
    last_ms = -1
    with whole_folder(out) as folder:
        (folder / "IMG").mkdir()
        for row in log.rows:
            content = _content_of(row)
            if fault := fault_before_decoding(content):
                log.left_out.append(f"{row.where}: {in_words(fault, content)}")
                continue
            steering = row.steering / log.full_lock
            if abs(steering) > MOST_STEERING:
                raise InputError(
                    f"{row.where}: steering is {row.steering:g}, expected "
                    f"{-abs(log.full_lock):g} to {abs(log.full_lock):g}; say what it "
                    "is at full lock to the right with --full-lock (of degrees or "
                    "radians, the car's), negative where + is left"
                )
            # Two rows within a millisecond would have one name.
            last_ms = max(round(1000 * row.time_s), last_ms + 1)
            name = f"IMG/center_{stamp_of(last_ms)}{_ending_of(content)}"
            (folder / name).write_bytes(content)
            steering = min(1.0, max(-1.0, steering))
            steerings.append(steering)
            numbers = (steering, row.throttle, row.brake, row.speed_mph)
            cells = [name, "", "", *(_number(each) for each in numbers)]
            lines.append(",".join(cells))
        if not lines:
            why = "; ".join(log.left_out[:MOST_NAMED]) or "it has no rows"
            raise InputError(f"{source}: none of its rows can be used: {why}")
        log_text = "\n".join(lines) + "\n"
        (folder / "driving_log.csv").write_text(log_text, encoding="utf-8")
        origin = {"format": log.kind, "camera": "unknown", "source": source.name}
        document = json.dumps({**origin, **log.about}, indent=1) + "\n"
        (folder / ORIGIN_NAME).write_text(document, encoding="utf-8")
    return Imported(len(lines), tuple(log.left_out), min(steerings), max(steerings))


def stamp_of(time_ms: int) -> str:
    """Return a time since 1970 as the simulator writes it into names of files."""
    try:
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    except (OverflowError, OSError, ValueError):
        raise InputError(
            f"a time of {time_ms / 1000:g} s since 1970 is none that a clock shows"
        ) from None
    return f"{moment:%Y_%m_%d_%H_%M_%S}_{time_ms % 1000:03d}"


def _content_of(row: ForeignRow) -> bytes:
    if isinstance(row.picture, bytes):
        return row.picture
    try:
        return read_regular(row.picture, MOST_IMAGE_BYTES)
    except InputError:
        return b""


def _ending_of(content: bytes) -> str:
    if content.startswith(PNG_START):
        return ".png"
    return ".jpg" if content.startswith(JPEG_START) else ".bmp"


def _number(value: float) -> str:
    # Nine digits tell apart what float32 does.
    return f"{value + 0.0:.9g}"


# --- What readers share ---------------------------------------------------------------


def read_document(path: Path) -> Any:
    """Return a JSON document of a log.

    Raises:
        InputError: It is missing, too long, or none.
    """
    return parsed(read_regular(path, MOST_DOCUMENT_BYTES), str(path))


def parsed(content: bytes | str, where: str) -> Any:
    """Return what a JSON text says.

    Raises:
        InputError: It is none.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0][:100]
        raise InputError(f"{where}: not JSON ({first}); is it cut off?") from None


def inside(folder: Path, name: Any) -> Path | None:
    """Return a file that a log names, if it lies in its folder; None if it does not."""
    if not isinstance(name, str) or not name or "\0" in name:
        return None
    path = folder / re.sub(r"\\", "/", name)
    try:
        is_within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # Links in a circle.
        return None
    return path if is_within else None


def number_of(record: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of some numbers of a record that is there; None if none is."""
    for name in names:
        value = record.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) if math.isfinite(value) else None
    return None


def named(left_out: Iterable[str]) -> str:
    """Return what was left out in one line, the first of it by name."""
    texts = list(left_out)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return shown("; ".join(texts[:MOST_NAMED]) + more)


def times_from(times_s: list[float | None], step_s: float) -> Iterator[float]:
    """Yield times that grow; what has none comes a step after what is before it."""
    last = BEGIN_S
    for time_s in times_s:
        last = last + step_s if time_s is None else time_s
        yield last
