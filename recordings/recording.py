"""Recordings as samples: read and checked.

A recording is a folder with a driving_log.csv and its images in IMG/. Rows that cannot
be used are excluded softly: they are counted and named, and nothing on disk is changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from common.car import CAMERAS
from common.errors import InputError
from common.files import read_regular
from common.text import shown, told_apart, wrapped
from recordings.images import locate_images
from recordings.lines import MOST_LOG_BYTES
from recordings.log import MARKED_OUT, DrivingLog, LogRow, find_log, parse_log
from recordings.marks import Marks, marks_path, read_marks, what_marks_say
from recordings.rows import (
    reasons_of,
    sessions_of,
    times_of,
    warnings_of,
    without_duplicates,
    without_faulty_sides,
)
from recordings.units import FULL_LOCK, NORMALISED, doubts_of, normalised

# Half of what the simulator writes tells apart, and no label is taught more exactly.
SAME_STEERING = 1e-4
# Lets tables hold names of files that are no text: the strings of pyarrow, which pandas
# takes wherever that happens to be installed, refuse them.
_any_names = pd.option_context("mode.string_storage", "python")


@dataclass(frozen=True)
class Recording:
    """One log and what is known of its rows."""

    name: str
    """The folder's name."""
    log_path: Path
    has_header: bool
    columns: dict[str, str]
    """What the header calls each column that is read; empty without a header."""
    cameras: tuple[str, ...]
    """The cameras, of CAMERAS, that the log names images for."""
    samples: pd.DataFrame
    """All rows that could be read, in the order of the log, with the columns
    line (of the file, from 1), center, left, right (absolute path, "" where there is no
    such image), steering [-1, 1], throttle, brake, speed_mph, time_s (since 1970),
    session (from 0), excluded ("" for a row to use, else the reason) and is_hard
    (whether marks want it drawn more often)."""
    excluded: dict[str, int]
    """The number of rows left out for each reason; some are not in samples either."""
    warnings: tuple[str, ...]
    fingerprint: str
    """Differs whenever the log or, if they were checked, an image differs, or what
    marks say of its rows."""
    digests: tuple[str, ...]
    """Of the centre image of each of the samples; "" where it was not looked at."""

    @property
    def folder(self) -> Path:
        """The folder of the log."""
        return self.log_path.parent


@_any_names
def read_recording(
    path: Path | str,
    check_images: bool = True,
    unit: str | None = None,
    marks: Marks | None = None,
) -> Recording:
    """Read a recording and decide which of its rows can be used.

    Rows that are marked out are as if they were not in the log: what is said of the
    others, their sessions too, is what would be said without them.

    Args:
        path: A recording's folder, or a log.
        check_images: Whether to look into every image, or only whether it is there.
        unit: What the steering of the log is in, of units.FULL_LOCK; None: normalised,
            unless the log says otherwise.
        marks: What is said of its rows; None: what stands beside the log.

    Raises:
        InputError: There is no log, or it or its marks cannot be read safely.
    """
    path = Path(path)
    log_path = find_log(path).resolve()
    marks = read_marks(log_path) if marks is None else marks
    log_content = read_regular(log_path, MOST_LOG_BYTES)
    log = parse_log(log_path, log_content, marks.left_out)
    marks.check(log.last_line, marks_path(log_path))
    folder, steering_column = log_path.parent, log.columns.get("steering", "")
    samples, num_duplicates = without_duplicates(_table_of(log.rows))
    samples["steering"] = normalised(
        samples["steering"].to_numpy(), unit, steering_column, log_path
    )
    samples["time_s"], timed = times_of(samples["center"])
    samples["session"] = sessions_of(samples["time_s"])
    digests = locate_images(samples, folder, check_images)
    sides = without_faulty_sides(samples, digests)
    samples["excluded"] = reasons_of(samples, digests["center"])
    warnings = [*log.warnings, *sides]
    warnings += warnings_of(samples, timed, num_duplicates)
    warnings += doubts_of(samples, log.columns)
    centers = np.array(digests["center"], object)
    content = [log_content, *(digest.encode() for digest in centers)]
    if said := marks.fingerprint():
        content.append(said)
    fingerprint = hashlib.blake2b(b"\n".join(content), digest_size=16).hexdigest()
    if log.marked_out:
        samples, centers = _with_marked_out(samples, centers, log, folder, unit)
    samples["is_hard"] = [line in marks.hard for line in samples["line"]]
    excluded = log.excluded + Counter({"duplicate-row": num_duplicates})
    excluded += Counter(reason for reason in samples["excluded"] if reason)
    num_hard = int((samples["is_hard"] & (samples["excluded"] == "")).sum())
    warnings += what_marks_say(marks, excluded[MARKED_OUT], num_hard)
    return Recording(
        name=folder.name,
        log_path=log_path,
        has_header=log.has_header,
        columns=log.columns,
        cameras=log.cameras,
        samples=samples,
        excluded={reason: n for reason, n in sorted(excluded.items()) if n},
        warnings=tuple(map(shown, warnings)),
        fingerprint=fingerprint,
        digests=tuple(centers),
    )


def _table_of(rows: Sequence[LogRow]) -> pd.DataFrame:
    """Return rows of a log as a table; the camera columns hold names of files."""
    numbers = ["steering", "throttle", "brake", "speed_mph"]
    cells = [
        (r.line, *r.images, r.steering, r.throttle, r.brake, r.speed_mph) for r in rows
    ]
    table = pd.DataFrame(cells, columns=["line", *CAMERAS, *numbers])
    # Of no rows pandas would not know it.
    return table.astype({"line": np.int64} | dict.fromkeys(numbers, np.float64))


def _with_marked_out(
    samples: pd.DataFrame,
    digests: np.ndarray,
    log: DrivingLog,
    folder: Path,
    unit: str | None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return samples and digests with the rows that are marked out in their places.

    Nobody has looked into their images, and of their sessions they make none.
    """
    marked = _table_of(log.marked_out)
    marked["steering"] /= FULL_LOCK[unit or NORMALISED]
    marked["time_s"], _ = times_of(marked["center"])
    locate_images(marked, folder, check_images=False)
    marked = marked.drop(columns=[f"{camera}_fault" for camera in CAMERAS])
    marked["excluded"] = MARKED_OUT
    both = pd.concat([samples, marked], ignore_index=True)
    order = np.argsort(both["line"].to_numpy(), kind="stable")
    both = both.iloc[order].reset_index(drop=True)
    both["session"] = both["session"].ffill().fillna(0).astype(np.int64)
    of_marked = np.full(len(marked), "", object)
    return both, np.concatenate([digests, of_marked])[order]


def read_recordings(
    folders: Sequence[Path | str], units: Mapping[str, str] | None = None
) -> list[Recording]:
    """Read several recordings, of whose frames each is used once.

    Args:
        folders: The recordings' folders, or logs.
        units: What units_by_path returns; None: no recording is given a unit.

    Raises:
        InputError: One of them cannot be read safely.
    """
    unit_of = units or {}
    return without_overlaps(
        [
            read_recording(path, unit=unit_of.get(str(Path(path).resolve())))
            for path in folders
        ]
    )


def check_recordings(folders: Sequence[str], units: Mapping[str, str]) -> None:
    """See that recordings can be read, without a look into their images.

    A command does so before it loads what is slow.

    Raises:
        InputError: One cannot be, or has no row that can be used.
    """
    for folder in folders:
        unit = units.get(str(Path(folder).resolve()))
        usable_rows(read_recording(folder, check_images=False, unit=unit))


def what_to_say(recordings: Sequence[Recording]) -> list[str]:
    """Return the lines that a command begins with: the columns read, and warnings."""
    lines = []
    for recording in recordings:
        named = [f"{column} {cell!r}" for column, cell in recording.columns.items()]
        columns = [f"columns {', '.join(named)}"] if named else []
        said = [*columns, *recording.warnings]
        lines += [wrapped(f"{recording.name}: {text}") for text in said]
    return lines


def without_overlaps(recordings: Sequence[Recording]) -> list[Recording]:
    """Exclude from each recording the frames that an earlier one has, and say so.

    A copy that was saved anew is one, and so is a part that was moved: a frame would be
    trained on and validated on. What an earlier recording says of it counts.
    """
    steering_of: dict[str, float] = {}
    owner_of: dict[str, str] = {}
    found = []
    for recording in recordings:
        digests = pd.Series(recording.digests, dtype=object)
        used = ((recording.samples["excluded"] == "") & (digests != "")).to_numpy(bool)
        shared = used & digests.isin(owner_of.keys()).to_numpy(bool)
        if shared.any():
            owners = Counter(owner_of[digest] for digest in digests[shared])
            was = np.array([steering_of[digest] for digest in digests[shared]])
            recording = _without_shared(recording, shared, owners, was)
        for row in np.flatnonzero(used & ~shared):
            owner_of[digests[row]] = str(recording.folder)
            steering_of[digests[row]] = recording.samples["steering"].iloc[row]
        found.append(recording)
    return found


def _without_shared(
    recording: Recording, shared: np.ndarray, owners: Counter[str], was: np.ndarray
) -> Recording:
    """Exclude rows whose frames have the owners, with the steering that they were."""
    samples = recording.samples.copy()
    samples.loc[shared, "excluded"] = "shared-frame"
    apart = np.abs(samples.loc[shared, "steering"].to_numpy() - was)
    lines = ", ".join(str(line) for line in samples.loc[shared, "line"].head(3))
    text = (
        f"{shared.sum()} rows excluded as shared-frame, for example row {lines}: their "
        f"frames are in {' and '.join(owners)} as well; each is used once"
    )
    if (num_other := int((apart > SAME_STEERING).sum())) > 0:
        text += (
            f", with the steering it has there, which differs in {num_other} rows, by "
            f"up to {apart.max():.3g}"
        )
    return replace(
        recording,
        samples=samples,
        excluded=dict(
            sorted({**recording.excluded, "shared-frame": int(shared.sum())}.items())
        ),
        warnings=(*recording.warnings, shown(text)),
    )


def usable_rows(recording: Recording) -> pd.DataFrame:
    """Return the rows of a recording that are not excluded, with a fresh index.

    Raises:
        InputError: There is none.
    """
    samples = recording.samples[recording.samples["excluded"] == ""]
    if samples.empty:
        raise InputError(
            f"{recording.log_path}: none of its {len(recording.samples)} rows can be "
            f"used; {'; '.join(recording.warnings)}"
        )
    return samples.reset_index(drop=True)


@_any_names
def usable_samples(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Return the usable rows of several recordings as one table with a fresh index.

    Its `session` is unique over all, and a column `recording` holds the recording's
    name, made unique. Each frame is in it once; a recording whose every frame is in
    those before it gives no rows.

    Raises:
        InputError: A recording has no usable row, or is given twice.
    """
    parts, sessions = [], 0
    names = unique_names(recordings)
    for i, (name, recording) in enumerate(
        zip(names, without_overlaps(recordings), strict=True)
    ):
        for other in recordings[:i]:
            if other.fingerprint == recording.fingerprint:
                raise InputError(
                    f"{recording.log_path.parent}: the same recording as "
                    f"{other.log_path.parent}; its frames would be trained on and "
                    "validated on; give it once"
                )
        excluded = recording.samples["excluded"]
        if excluded.all() and (excluded == "shared-frame").any():
            continue
        part = usable_rows(recording)
        session = part["session"] + sessions
        sessions = int(session.max()) + 1
        parts.append(part.assign(recording=name, session=session))
    return pd.concat(parts, ignore_index=True)


def unique_names(recordings: Sequence[Recording]) -> list[str]:
    """Return the name of each recording, with a number where another has it."""
    return told_apart([recording.name for recording in recordings])
