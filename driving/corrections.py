"""Write what a person shows at the wheel, to train on.

Frames that a person drove become a recording of their own, with the person's steering.
The second before each takeover, in which the model went wrong, is kept apart beside it:
to look at, not to learn from.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

from driving.pilot import Command
from driving.recorder import DriveRecorder, check_new
from driving.wheel import MODEL, PERSON, Choice

BEFORE = timedelta(seconds=1)
# Frames kept of it, whatever the rate: no simulator shows as many in a second.
MOST_BEFORE = 200


class Corrections:
    """Writes frames that a person drove; the folders are made at the first of them.

    The frames before each takeover go to `<folder>-before`.

    Raises:
        InputError: One of the folders exists already.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before_folder = folder.with_name(f"{folder.name}-before")
        for each in (self.folder, self.before_folder):
            check_new(each, "--corrections")
        self._person: DriveRecorder | None = None
        self._before: DriveRecorder | None = None
        self._recent: deque[tuple[bytes, float, Command, datetime]] = deque(
            maxlen=MOST_BEFORE
        )

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was taught, or nothing of it could be written."""
        person = self._person
        return person is None or (person.has_failed and not person.written)

    @property
    def frames(self) -> int:
        """Number of the person's frames that are on disk."""
        return self._person.written if self._person else 0

    def add(self, jpeg: bytes, speed_mph: float, choice: Choice) -> None:
        """Take a frame's file as it arrived, and its answer; return at once."""
        now = datetime.now()
        if choice.driver == PERSON:
            if self._person is None or self._before is None:
                self._person = DriveRecorder(self.folder, is_driving=True)
                self._before = DriveRecorder(self.before_folder, is_driving=True)
            if choice.is_takeover:
                for frame in self._recent:
                    self._before.add(*frame)
            self._person.add(jpeg, speed_mph, choice.command, now)
        if choice.driver != MODEL:
            self._recent.clear()
            return
        self._recent.append((jpeg, speed_mph, choice.command, now))
        while self._recent[0][3] < now - BEFORE:
            self._recent.popleft()

    def close(self) -> None:
        """Write what is waiting, and end."""
        for recorder in (self._person, self._before):
            if recorder:
                recorder.close()
