"""A recording as it is reviewed: its rows, and what marks make of them.

Rows are sent to the page once, in a form that it draws from; what depends on marks is
made anew after each change, in the background.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.car import CAMERAS
from common.errors import InputError
from evaluation.review.look import LABEL_AFTER_S, LABEL_BEFORE_S, taught_of
from evaluation.review.summary import changes_of
from recordings.lines import MOST_LINE_CHARACTERS
from recordings.log import find_log, parse_log
from recordings.marks import Marks, read_marks, text_of_marks
from recordings.recording import (
    Recording,
    read_recording,
    usable_samples,
    without_overlaps,
)
from recordings.split import split_by_time

# What becomes of a row, in the order of the page's colours.
TRAINED, VALIDATED, MARGIN, UNUSED = range(4)
# What train.py sets aside where nothing is said; a test holds them together.
VALIDATION_FRACTION, SPLIT_SEED = 0.2, 0
# Of a log this much is read at once, to show something of it before all of it.
FIRST_BYTES = 8 * MOST_LINE_CHARACTERS


@dataclass(frozen=True, eq=False)
class Details:
    """What marks make of a recording; one entry a row, as it is without them."""

    version: str
    """Of the marks that it was made of."""
    taught: np.ndarray
    """The label of each row, float32 (n,); NaN where it is not used."""
    use: np.ndarray
    """What becomes of it, uint8 (n,): TRAINED, VALIDATED, MARGIN or UNUSED."""
    reason: np.ndarray
    """Why it is not used, uint8 (n,), an index of `reasons`."""
    reasons: list[str]
    """The reasons, the first one "" for none."""
    changes: dict[str, Any]
    """What changes_of returns."""


class Reviewed:
    """One recording, read in the background.

    Args:
        path: Its folder, or its log.
        unit: Of its steering, as read_recording takes it.
        name: What it is called, other than the others.
    """

    def __init__(self, path: Path, unit: str | None, name: str) -> None:
        self.path, self.unit, self.name = path, unit, name
        self.log_path = find_log(path).resolve()
        self.first_image = _first_image(self.log_path)
        """The centre image of the first row; None where none is found at once."""
        self.recording: Recording | None = None
        """The rows without marks; None until they are read."""
        self.is_checked = False
        """Whether the images of `recording` were looked into."""
        self.details: Details | None = None
        self.fault = ""
        """Why it cannot be read, "" if it can."""
        self._state_of_log = _state_of(self.log_path)

    def read(self, check_images: bool) -> None:
        """Read the rows.

        Raises:
            InputError: It cannot be read.
        """
        self.recording = read_recording(
            self.path, check_images, unit=self.unit, marks=Marks()
        )
        self.is_checked = check_images

    def change_of_log(self) -> str:
        """Say that the log is not what was read, "" while it is.

        Its rows are numbered otherwise then: what is marked might be other rows.
        """
        if _state_of(self.log_path) == self._state_of_log:
            return ""
        return f"{self.log_path}: changed since it was read; start review.py again"

    @property
    def samples(self) -> Any:
        """The rows, as Recording has them.

        Raises:
            LookupError: They are not read yet.
        """
        if self.recording is None:
            raise LookupError("the recording is not read yet")
        return self.recording.samples

    def image_path(self, row: int, camera: str) -> Path:
        """Return where the image of a row lies.

        Raises:
            LookupError: There is no such row, camera or image.
        """
        if camera not in CAMERAS:
            raise LookupError(f"camera is {camera!r}, expected one of {CAMERAS}")
        is_first = (row, camera) == (0, "center")
        if is_first and self.recording is None and self.first_image is not None:
            return self.first_image
        column = self.samples[camera]
        if not 0 <= row < len(column):
            raise LookupError(f"row {row}, expected 0 to {len(column) - 1}")
        if not column.iloc[row]:
            raise LookupError(f"no good {camera} image in this row")
        return Path(column.iloc[row])

    def marks(self) -> tuple[Marks, str]:
        """Return the marks as they are on the disk, and their version.

        Raises:
            InputError: The file holds something else.
        """
        marks = read_marks(self.log_path)
        return marks, version_of(marks)

    def rows(self) -> bytes:
        """Return the rows for the page.

        Raises:
            LookupError: They are not read yet.
        """
        samples = self.samples
        time_s = samples["time_s"].to_numpy(float)
        return packed(
            {"name": self.name, "rows": len(samples)},
            {
                "time_s": time_s - time_s[:1],
                "line": samples["line"].to_numpy(np.int32),
                "session": samples["session"].to_numpy(np.int32),
                "steering": samples["steering"].to_numpy(np.float32),
                "throttle": samples["throttle"].to_numpy(np.float32),
                "brake": samples["brake"].to_numpy(np.float32),
                "speed_mph": samples["speed_mph"].to_numpy(np.float32),
            },
        )

    def details_packed(self) -> bytes:
        """Return the details for the page.

        Raises:
            LookupError: They are not made yet.
        """
        details = self.details
        if details is None:
            raise LookupError("the details are not made yet")
        return packed(
            {
                "version": details.version,
                "reasons": details.reasons,
                "changes": details.changes,
            },
            {"taught": details.taught, "use": details.use, "reason": details.reason},
        )


def version_of(marks: Marks) -> str:
    """Return what differs whenever marks do, notes and order and all."""
    return hashlib.blake2b(text_of_marks(marks), digest_size=8).hexdigest()


def packed(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Return a document and arrays as one piece that JavaScript reads without copying.

    Four bytes of length, the document as JSON with `arrays` (name, type, place, count),
    and the arrays, each at a multiple of eight bytes; all little-endian.
    """
    places, place = [], 0
    for name, array in arrays.items():
        kind = array.dtype.newbyteorder("<").str
        places.append([name, kind, place, len(array)])
        place += -(-array.nbytes // 8) * 8
    text = json.dumps(head | {"arrays": places}).encode()
    text += b" " * (-(len(text) + 4) % 8)
    parts = [len(text).to_bytes(4, "little"), text]
    for array in arrays.values():
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        parts.append(content + b"\0" * (-len(content) % 8))
    return b"".join(parts)


def make_details(all_reviewed: list[Reviewed]) -> None:
    """Make the details of recordings anew, as train.py would use them together.

    A recording that cannot be read with its marks, as when all of it is left out, is as
    one that is not given.
    """
    found = []
    for each in all_reviewed:
        if each.recording is None:
            continue
        marks, version = each.marks()
        marked = read_recording(each.path, each.is_checked, unit=each.unit, marks=marks)
        found.append((each, marked, version))
    alone = without_overlaps([marked for _, marked, _ in found])
    used = [m for m in alone if (m.samples["excluded"] == "").any()]
    validated = _validated(used)
    for (each, _, version), marked in zip(found, alone, strict=True):
        plain = each.recording
        assert plain is not None, "it was there a moment ago"
        is_validated = validated.get(id(marked))
        each.details = _details(plain, marked, version, is_validated)


def _validated(recordings: list[Recording]) -> dict[int, np.ndarray]:
    """Return which used rows of each recording are held out, by the recording's id.

    They hold TRAINED, VALIDATED or MARGIN; nothing is held out where there is too
    little to.
    """
    if not recordings:
        return {}
    try:
        samples = usable_samples(recordings)
        rng = np.random.default_rng(SPLIT_SEED)
        train, validation = split_by_time(samples, VALIDATION_FRACTION, rng)
    except InputError:
        return {}
    use = np.full(len(samples), MARGIN, np.uint8)
    use[train], use[validation] = TRAINED, VALIDATED
    ends = np.cumsum([(r.samples["excluded"] == "").sum() for r in recordings])
    parts = np.split(use, ends[:-1])
    return {id(r): part for r, part in zip(recordings, parts, strict=True)}


def _details(
    plain: Recording, marked: Recording, version: str, use: np.ndarray | None
) -> Details:
    """Bring what is known of the rows with marks to the rows without them."""
    lines = plain.samples["line"].to_numpy()
    place = np.searchsorted(marked.samples["line"], lines)
    place = np.minimum(place, len(marked.samples) - 1)
    is_there = marked.samples["line"].to_numpy()[place] == lines
    excluded = marked.samples["excluded"].to_numpy(object)
    # What stands twice in the log is used in another place.
    why = np.where(is_there, excluded[place], "duplicate-row")
    reasons = ["", *sorted(set(why) - {""})]
    use_of = np.full(len(marked.samples), UNUSED, np.uint8)
    use_of[excluded == ""] = TRAINED if use is None else use
    taught = taught_of(marked, LABEL_BEFORE_S, LABEL_AFTER_S)
    return Details(
        version=version,
        taught=np.where(is_there, taught[place], np.nan).astype(np.float32),
        use=np.where(is_there, use_of[place], UNUSED).astype(np.uint8),
        reason=np.array([reasons.index(each) for each in why], np.uint8),
        reasons=reasons,
        changes=changes_of(plain, marked),
    )


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return what differs when a file was written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _first_image(log_path: Path) -> Path | None:
    """Return the centre image of a log's first row, if it is found at a look."""
    with log_path.open("rb") as file:
        start = file.read(FIRST_BYTES)
    try:
        row = parse_log(log_path, start.rpartition(b"\n")[0] + b"\n").rows[0]
    except (InputError, LookupError):
        return None
    path = log_path.parent / "IMG" / row.images[0]
    return path if path.is_file() else None
