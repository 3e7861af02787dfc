"""Tubs of donkeycar: v1, a JSON document for each record; v2, catalogs and a manifest.

Source: github.com/autorope/donkeycar, donkeycar/parts/datastore.py (v1), tub_v2.py and
datastore_v2.py (v2). There, as here, an angle is in [-1, 1] and + is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from common.car import MPS_PER_MPH
from common.errors import InputError
from common.files import read_regular, whole_folder
from recordings.decoding import JPEG_START, MOST_IMAGE_BYTES, decode
from recordings.foreign.films import as_jpeg
from recordings.foreign.rows import (
    BEGIN_S,
    MOST_DOCUMENT_BYTES,
    ForeignLog,
    ForeignRow,
    inside,
    number_of,
    parsed,
    read_document,
)

IMAGE, ANGLE, THROTTLE, MODE = (
    "cam/image_array",
    "user/angle",
    "user/throttle",
    "user/mode",
)
# Its drive loop's usual rate (DRIVE_LOOP_HZ), for records that carry no time.
STEP_S = 1 / 20
RECORD_NAME = re.compile(r"record_(\d+)\.json")
# A tub of v1 is one folder of so many files at most.
MOST_RECORDS = 1_000_000
MOST_RECORD_BYTES = 1_000_000
# As donkeycar starts a new catalog.
RECORDS_IN_CATALOG = 1000


def is_tub_v1(folder: Path) -> bool:
    """Say whether a folder holds records of v1."""
    return any(
        RECORD_NAME.fullmatch(path.name) for path in folder.glob("record_*.json")
    )


def is_tub_v2(folder: Path) -> bool:
    """Say whether a folder holds catalogs of v2."""
    return (folder / "manifest.json").is_file() and any(folder.glob("*.catalog"))


def read_tub_v1(folder: Path) -> ForeignLog:
    """Open a tub of v1.

    Raises:
        InputError: It holds too much, or a document of it is none.
    """
    found = {
        int(match[1]): path
        for path in folder.glob("record_*.json")
        if (match := RECORD_NAME.fullmatch(path.name))
    }
    if len(found) > MOST_RECORDS:
        raise InputError(f"{folder}: more than {MOST_RECORDS:,} records")
    excluded: set[int] = set()
    if (folder / "exclude.json").is_file():
        listed = read_document(folder / "exclude.json")
        excluded = {n for n in listed if type(n) is int} if _is_list(listed) else set()
    start_s = BEGIN_S
    if (folder / "meta.json").is_file():
        meta = read_document(folder / "meta.json")
        if isinstance(meta, dict):
            start_s = number_of(meta, "start") or BEGIN_S
    log = ForeignLog("donkeycar tub v1", ())

    def rows() -> Iterator[ForeignRow]:
        last_s = start_s
        for number in sorted(set(found) - excluded):
            path = found[number]
            record = parsed(read_regular(path, MOST_RECORD_BYTES), str(path))
            since_ms = number_of(record, "milliseconds") if _is_map(record) else None
            last_s = last_s + STEP_S if since_ms is None else start_s + since_ms / 1000
            if (row := _row(record, str(path), folder, last_s, log)) is not None:
                yield row

    log.rows = rows()
    if excluded:
        log.left_out.append(f"{len(excluded & set(found))} records of exclude.json")
    return log


def read_tub_v2(folder: Path) -> ForeignLog:
    """Open a tub of v2; its deleted records stay out.

    Raises:
        InputError: Its manifest is none.
    """
    path = folder / "manifest.json"
    lines = read_regular(path, MOST_DOCUMENT_BYTES).splitlines()
    # Inputs, types, metadata, the manifest's own, then catalogs and deleted records.
    last: Any = parsed(lines[4], str(path)) if len(lines) >= 5 else None
    if not (_is_map(last) and _is_list(last.get("paths"))):
        raise InputError(
            f"{path}: no manifest of a tub, expected 5 lines, the last of them with "
            "the paths of its catalogs; is it cut off?"
        )
    listed = last.get("deleted_indexes")
    deleted = {n for n in listed if type(n) is int} if _is_list(listed) else set()
    log = ForeignLog("donkeycar tub v2", ())

    def rows() -> Iterator[ForeignRow]:
        last_s = BEGIN_S
        for name in last["paths"]:
            catalog = inside(folder, name)
            if catalog is None:
                raise InputError(f"{path}: the catalog {name!r} lies elsewhere")
            content = read_regular(catalog, MOST_DOCUMENT_BYTES)
            for number, line in enumerate(content.splitlines(), start=1):
                where = f"{catalog} row {number}"
                if not line.strip():
                    continue
                record = parsed(line, where)
                if _is_map(record) and record.get("_index") in deleted:
                    continue
                time_ms = (
                    number_of(record, "_timestamp_ms") if _is_map(record) else None
                )
                last_s = last_s + STEP_S if time_ms is None else time_ms / 1000
                row = _row(record, where, folder / "images", last_s, log)
                if row is not None:
                    yield row

    log.rows = rows()
    if deleted:
        log.left_out.append(f"{len(deleted)} records that are deleted there")
    return log


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _row(
    record: Any, where: str, images: Path, time_s: float, log: ForeignLog
) -> ForeignRow | None:
    """Return the row of a record; None, and a word to the log, if it has none."""
    if not _is_map(record):
        log.left_out.append(f"{where}: no record")
        return None
    angle = number_of(record, ANGLE)
    picture = inside(images, record.get(IMAGE))
    if angle is None or picture is None:
        lack = ANGLE if angle is None else f"a picture in {images.name}/"
        log.left_out.append(f"{where}: it lacks {lack}")
        return None
    if not picture.is_file() and not (images.parent / picture.name).is_file():
        log.left_out.append(f"{where}: {picture.name} is not there")
        return None
    if not picture.is_file():
        picture = images.parent / picture.name
    throttle = number_of(record, THROTTLE) or 0.0
    # Of its simulator and of cars with an encoder, in m/s.
    speed_mps = number_of(record, "pos/speed", "enc/speed") or 0.0
    return ForeignRow(
        where,
        picture,
        angle,
        min(1.0, max(0.0, throttle)),
        min(1.0, max(0.0, -throttle)),
        abs(speed_mps) / MPS_PER_MPH,
        time_s,
    )


# --- Out again ------------------------------------------------------------------------


def write_tub(rows: Sequence[ForeignRow], sessions: Sequence[int], out: Path) -> None:
    """Write rows as a tub of v2, whole or not at all.

    Args:
        rows: With steering in [-1, 1], and files of pictures.
        sessions: The session that each row is of.
    """
    with whole_folder(out) as folder:
        (folder / "images").mkdir()
        names: list[str] = []
        for start in range(0, len(rows), RECORDS_IN_CATALOG):
            part = range(start, min(start + RECORDS_IN_CATALOG, len(rows)))
            lines = [_record_line(rows[i], i, sessions[i], folder) for i in part]
            stem = f"catalog_{len(names)}"
            names.append(f"{stem}.catalog")
            (folder / names[-1]).write_text("".join(lines), encoding="utf-8")
            about = {
                "path": f"{stem}.catalog_manifest",
                "created_at": rows[start].time_s,
                "start_index": start,
                "line_lengths": [len(line) for line in lines],
            }
            manifest = json.dumps(about, sort_keys=True) + "\n"
            (folder / f"{stem}.catalog_manifest").write_text(manifest, encoding="utf-8")
        ids = [_session_name(number) for number in sorted(set(sessions))]
        manifest_lines = [
            [IMAGE, ANGLE, THROTTLE, MODE],
            ["image_array", "float", "float", "str"],
            {},
            {
                "created_at": rows[0].time_s,
                "sessions": {
                    "all_full_ids": ids,
                    "last_id": max(sessions),
                    "last_full_id": ids[-1],
                },
            },
            {
                "paths": names,
                "current_index": len(rows),
                "max_len": RECORDS_IN_CATALOG,
                "deleted_indexes": [],
            },
        ]
        text = "".join(json.dumps(line) + "\n" for line in manifest_lines)
        (folder / "manifest.json").write_text(text, encoding="utf-8")


def _session_name(number: int) -> str:
    return f"session_{number}"


def _record_line(row: ForeignRow, index: int, session: int, folder: Path) -> str:
    """Write a row's picture; return its line of the catalog."""
    name = f"{index}_cam_image_array_.jpg"
    (folder / "images" / name).write_bytes(_as_jpeg(row))
    record = {
        "_index": index,
        "_session_id": _session_name(session),
        "_timestamp_ms": round(1000 * row.time_s),
        IMAGE: name,
        ANGLE: row.steering,
        THROTTLE: row.throttle - row.brake,
        MODE: "user",
    }
    return json.dumps(record, allow_nan=False, sort_keys=True) + "\n"


def _as_jpeg(row: ForeignRow) -> bytes:
    """Return a row's picture as JPEG, which is the only kind that a tub holds."""
    assert isinstance(row.picture, Path), "rows of a recording have files"
    content = read_regular(row.picture, MOST_IMAGE_BYTES)
    if content.startswith(JPEG_START):
        return content
    picture = decode(content, cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{row.picture}: not a picture that can be read")
    return as_jpeg(picture)
