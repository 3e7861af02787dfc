"""Write a drive as a recording of its own, in the simulator's format.

The frames are kept as they came. Each is written by a thread of its own, away from the
answer to the simulator; its row follows when the image is there, so that a drive that
is killed leaves a log that names whole images only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from common.errors import InputError
from driving.pilot import Command
from simulator.disk import rename

logger = logging.getLogger(__name__)

# Frames that may wait for the disk, a minute's worth; more are dropped, and counted.
MOST_WAITING = 2000
# So long the end of a drive waits for what is still to be written.
CLOSE_WITHIN_S = 5.0


def check_new(folder: Path, flag: str = "--record") -> None:
    """Make sure that a recording would not mix with what is there.

    Raises:
        InputError: The folder exists already; the flag takes another.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already; give another folder to {flag}")


class DriveRecorder:
    """Writes frames and their commands into a new folder; no car ever waits for it.

    Where a car drives already (`is_driving`), the folder is made beside the drive, and
    that it cannot be made is only logged.

    Raises:
        InputError: The folder exists already, or cannot be made.
    """

    def __init__(self, folder: Path, is_driving: bool = False) -> None:
        if not is_driving:
            check_new(folder)
            try:
                self._make_folder(folder)
            except OSError as error:
                raise InputError(
                    f"{folder} cannot be made ({error.strerror}); give another folder "
                    "to --record"
                ) from error
        self.folder = folder
        self.written = 0
        """How many frames are on disk."""
        self.dropped = 0
        """How many frames were lost, because the disk was too slow or full."""
        self.has_failed = False
        """Whether nothing more can be written."""
        self._is_driving = is_driving
        self._log_bytes = 0
        self._last_jpeg = b""
        self._last_time = datetime.min
        self._rows: queue.Queue[tuple[bytes, str, str]] = queue.Queue(MOST_WAITING)
        self._is_closing = threading.Event()
        # A daemon: a disk that stalls must not keep the program from ending.
        self._writer = threading.Thread(
            target=self._write, name="recorder", daemon=True
        )
        self._writer.start()

    def add(
        self,
        jpeg: bytes,
        speed_mph: float,
        command: Command,
        taken: datetime | None = None,
    ) -> None:
        """Take a frame's file as it arrived, and its answer; return at once.

        The simulator keeps two frames in flight, which may show the same picture: that
        is written once. `taken` is when the frame came, None for now.
        """
        if jpeg == self._last_jpeg:
            return
        if self.has_failed:
            self.dropped += 1
            return
        self._last_jpeg = jpeg
        # File names carry milliseconds; two frames never share one.
        now = max(taken or datetime.now(), self._last_time + timedelta(milliseconds=1))
        self._last_time = now
        stamp = now.strftime("%Y_%m_%d_%H_%M_%S_") + f"{now.microsecond // 1000:03d}"
        throttle, brake = max(0.0, command.throttle), max(0.0, -command.throttle)
        numbers = f"{command.steering:.7g},{throttle:.7g},{brake:.7g},{speed_mph:.7g}"
        try:
            self._rows.put_nowait((jpeg, f"center_{stamp}.jpg", numbers))
        except queue.Full:
            self.dropped += 1
            if self.dropped == 1:
                logger.error("%s: the disk is too slow; frames are lost", self.folder)

    def close(self) -> None:
        """Write what is waiting, and end; more than once is no mistake."""
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        self._writer.join(CLOSE_WITHIN_S)
        if self._writer.is_alive():
            logger.error(
                "%s: the disk does not answer; %d frames or more are lost",
                self.folder,
                self._rows.qsize(),
            )
            self.has_failed = True
        elif self.dropped:
            logger.error("%s: %d frames were lost", self.folder, self.dropped)

    @staticmethod
    def _make_folder(folder: Path) -> None:
        """Make the folders of a recording; one that is there is an OSError."""
        folder.mkdir(parents=True)
        (folder / "IMG").mkdir()

    def _write(self) -> None:
        log_path = self.folder / "driving_log.csv"
        try:
            if self._is_driving:
                self._make_folder(self.folder)
            with log_path.open("w", encoding="utf-8") as log:
                while not (self._is_closing.is_set() and self._rows.empty()):
                    with contextlib.suppress(queue.Empty):
                        self._write_row(log, *self._rows.get(timeout=0.1))
        except OSError as error:
            # The drive goes on; what waits, and what comes, is dropped.
            self.has_failed = True
            self.dropped += self._rows.qsize() + 1
            with contextlib.suppress(OSError):  # The row that was cut short.
                os.truncate(log_path, self._log_bytes)
            what = (
                "corrections are not written" if self._is_driving else "recording stops"
            )
            reason = error.strerror or error
            logger.error("%s: %s: %s; the drive goes on", what, self.folder, reason)

    def _write_row(self, log: TextIO, jpeg: bytes, name: str, numbers: str) -> None:
        path = self.folder / "IMG" / name
        # Not by common.files, which waits for the disk: frames come faster than that.
        partial_path = path.with_name(name + ".partial")
        try:
            partial_path.write_bytes(jpeg)
            rename(partial_path, path)
        except OSError:
            partial_path.unlink(missing_ok=True)
            raise
        # No left and no right camera: the simulator sends the centre one only.
        log.write(f"IMG/{name},,,{numbers}\n")
        log.flush()
        self._log_bytes = os.fstat(log.fileno()).st_size
        self.written += 1
