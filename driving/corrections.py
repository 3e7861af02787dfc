"""Write what a person shows at the wheel, to train on.

Frames that a person drove become a recording of their own, with the person's steering.
The second before each takeover, in which the model went wrong, is kept apart beside it:
to look at, not to learn from.
"""

from __future__ import annotations

import logging
import shlex
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

from common.errors import InputError
from driving.pilot import Command
from driving.recorder import DriveRecorder, check_new
from driving.wheel import MODEL, PERSON, Choice

logger = logging.getLogger(__name__)

BEFORE = timedelta(seconds=1)
# Of it, whatever the rate: no simulator shows as many frames in a second.
MOST_BEFORE = 200
# Of the frames drawn for training: enough to be learnt, not enough to forget the rest.
CORRECTIONS_SHARE = 0.3


class Corrections:
    """Writes frames that a person drove; the folders are made at the first of them.

    Args:
        folder: of the person's frames; those before them go to `<folder>-before`.

    Raises:
        InputError: one of the folders exists already.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before_folder = folder.with_name(f"{folder.name}-before")
        check_new(self.folder, "--corrections")
        check_new(self.before_folder, "--corrections")
        self.has_failed = False
        self._person: DriveRecorder | None = None
        self._before: DriveRecorder | None = None
        self._recent: deque[tuple[bytes, float, Command, datetime]] = deque(
            maxlen=MOST_BEFORE
        )

    @property
    def is_empty(self) -> bool:
        """Say whether nobody has taken the wheel so far."""
        return self._person is None

    @property
    def frames(self) -> int:
        """Frames of the person that are on disk."""
        return self._person.written if self._person else 0

    def add(self, jpeg: bytes, speed_mph: float, choice: Choice) -> None:
        """Take a frame that was answered; return at once.

        Args:
            jpeg: of the frame, as it arrived.
            speed_mph: of the car.
            choice: what it was answered with.
        """
        now = datetime.now()
        if choice.driver == PERSON and not self.has_failed:
            self._open()
            if self._before and choice.is_takeover:
                for frame in self._recent:
                    self._before.add(*frame)
            if self._person:
                self._person.add(jpeg, speed_mph, choice.command, now)
        if choice.driver != MODEL:
            self._recent.clear()
            return
        self._recent.append((jpeg, speed_mph, choice.command, now))
        while self._recent[0][3] < now - BEFORE:
            self._recent.popleft()

    def _open(self) -> None:
        if self._person:
            return
        try:
            self._person = DriveRecorder(self.folder, "--corrections")
            self._before = DriveRecorder(self.before_folder, "--corrections")
        except InputError as error:
            # The person is at the wheel: the drive goes on.
            self.has_failed = True
            logger.error("corrections are not written: %s", error)

    def close(self) -> None:
        """Write what is waiting, and end."""
        for recorder in (self._person, self._before):
            if recorder:
                recorder.close()


def train_command(model: Path, corrections: Corrections) -> str:
    """Return the command that trains a model on what it was taught, "" for nothing.

    Args:
        model: path of the model that drove.
        corrections: of the drive.
    """
    from network.exported import is_exported
    from training.run_folder import read_config

    if corrections.is_empty or is_exported(model):
        return ""
    try:
        before = read_config(model.parent)["settings"]["recordings"]
    except (InputError, LookupError):
        before = ["DATA"]  # Of a model from elsewhere, nobody knows them.
    name = _free_name(model.parent)
    folders = [shlex.quote(_shortest(Path(path))) for path in before]
    folders.append(shlex.quote(str(corrections.folder)))
    share = f"{corrections.folder.name}={CORRECTIONS_SHARE:g}"
    return (
        f"python train.py {' '.join(folders)} --share {shlex.quote(share)} "
        f"--from {shlex.quote(str(model))} --name {shlex.quote(name)}"
    )


def _free_name(run: Path) -> str:
    """Return a name for a run that is corrected, one that no run beside it has."""
    number, name = 1, f"{run.name}-corrected"
    while (Path("models") / name).exists():
        number += 1
        name = f"{run.name}-corrected-{number}"
    return name


def _shortest(path: Path) -> str:
    """Return a path as it is seen from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
