"""Logs of other programs into a recording, whichever they are, and a recording out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from recordings.foreign import donkeycar, lerobot, tables
from recordings.foreign.rows import ForeignLog, ForeignRow, Imported, write_recording
from recordings.recording import Recording, usable_rows
from recordings.units import FULL_LOCK, NORMALISED

FORMATS = ("donkeycar", "lerobot")
KNOWN = (
    "a donkeycar tub (manifest.json with catalogs, or record_*.json), a LeRobot data "
    "set (meta/info.json), AirSim's airsim_rec.txt, or one table (.csv, .txt, .tsv) "
    "with a header"
)


@dataclass(frozen=True)
class Told:
    """What the user says of a log; None leaves it to what stands in it.

    Raises:
        InputError: The full lock is 0.
    """

    steering: str | None = None
    """What its steering is called."""
    camera: str | None = None
    """What its pictures are called."""
    unit: str | None = None
    """The unit of its steering, a key of units.FULL_LOCK."""
    full_lock: float | None = None
    """Its steering at full lock to the right."""
    speed_unit: str | None = None
    """The unit of its speed, a key of tables.MPH_OF."""

    def __post_init__(self) -> None:
        if self.full_lock is not None and not abs(self.full_lock) > 0:
            raise InputError(
                f"--full-lock is {self.full_lock:g}, expected the steering at full "
                "lock to the right"
            )


def open_log(source: Path, told: Told) -> ForeignLog:
    """Open a log of another program.

    Raises:
        InputError: It is none that is known, or what is needed is not in it.
    """
    log = _open(source, told)
    if told.full_lock is not None:
        log.full_lock = told.full_lock
    elif told.unit is not None:
        log.full_lock = FULL_LOCK[told.unit]
    log.about["full_lock"] = log.full_lock
    return log


def _open(source: Path, told: Told) -> ForeignLog:
    if source.is_file():
        return tables.read_table(source, told.steering, told.camera, told.speed_unit)
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder, expected {KNOWN}")
    if lerobot.is_lerobot(source):
        return lerobot.read_lerobot(source, told.steering, told.camera)
    if donkeycar.is_tub_v2(source):
        return donkeycar.read_tub_v2(source)
    if donkeycar.is_tub_v1(source):
        return donkeycar.read_tub_v1(source)
    if (source / "driving_log.csv").is_file() and told.steering is None:
        raise InputError(
            f"{source}: a recording already, which every command reads as it is; where "
            "its driving_log.csv is another program's table, say what its steering is "
            "called with --steering NAME"
        )
    table = tables.table_in(source)
    if table is None:
        inside = [p for p in sorted(source.iterdir()) if p.is_dir() and _is_log(p)]
        hint = f"; it holds {', '.join(map(str, inside[:3]))}: give that" * bool(inside)
        raise InputError(f"{source}: no log that is known, expected {KNOWN}{hint}")
    return tables.read_table(table, told.steering, told.camera, told.speed_unit)


def _is_log(folder: Path) -> bool:
    known = (lerobot.is_lerobot, donkeycar.is_tub_v2, donkeycar.is_tub_v1)
    return any(is_one(folder) for is_one in known)


def bring_in(source: Path, out: Path, told: Told) -> tuple[ForeignLog, Imported]:
    """Write a log of another program as a recording, whole or not at all.

    Raises:
        InputError: See open_log; or none of its rows can be used.
    """
    log = open_log(source, told)
    return log, write_recording(log, source, out)


def send_out(recording: Recording, to: str, out: Path) -> int:
    """Write the usable rows of a recording as a log of another program.

    Args:
        to: One of FORMATS.

    Returns:
        How many rows were written.
    """
    samples = usable_rows(recording)
    rows = [
        ForeignRow(
            f"{recording.log_path} row {each.line}",
            Path(each.center),
            each.steering,
            each.throttle,
            each.brake,
            each.speed_mph,
            each.time_s,
        )
        for each in samples.itertuples()
    ]
    sessions: Sequence[int] = [int(number) for number in samples["session"]]
    if to == "donkeycar":
        donkeycar.write_tub(rows, sessions, out)
    else:
        # Not above: a tub needs none of what it needs.
        from recordings.foreign.lerobot_out import write_lerobot

        write_lerobot(rows, sessions, out)
    return len(rows)


def unit_in_words(log: ForeignLog) -> str:
    """Return what the steering of a log was taken for."""
    names = [name for name, lock in FULL_LOCK.items() if lock == log.full_lock]
    if names == [NORMALISED]:
        return "[-1, 1], + is right"
    return f"{log.full_lock:g} at full lock to the right"
