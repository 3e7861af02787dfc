"""Write a drive as a recording of its own, in the simulator's format.

The frames are kept as they came. Each is written by a thread of its own, away from the
answer to the simulator; its row follows when the image is there, so that a drive that
is killed leaves a log that names whole images only.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from datetime import datetime, timedelta
from pathlib import Path

from common.errors import InputError
from driving.pilot import Command

logger = logging.getLogger(__name__)

# Frames that may wait for the disk, a minute's worth; beyond them the car waits.
MOST_WAITING = 2000


def check_new(folder: Path, flag: str = "--record") -> None:
    """Make sure that a recording would not mix with what is there.

    Raises:
        InputError: The folder exists already; the flag takes another.
    """
    if folder.exists():
        raise InputError(f"{folder} exists already; give another folder to {flag}")


class DriveRecorder:
    """Writes frames and the commands given for them, into a new folder.

    Raises:
        InputError: The folder exists already or cannot be made; the flag takes another.
    """

    def __init__(self, folder: Path, flag: str = "--record") -> None:
        check_new(folder, flag)
        try:
            (folder / "IMG").mkdir(parents=True)
        except OSError as error:
            raise InputError(
                f"{folder} cannot be made ({error.strerror}); give another folder to "
                f"{flag}"
            ) from error
        self.folder = folder
        self.written = 0
        self.has_failed = False
        self._last_jpeg = b""
        self._last_time = datetime.min
        self._log = (folder / "driving_log.csv").open("w", encoding="utf-8")
        self._rows: queue.Queue[tuple[bytes, str, str] | None] = queue.Queue(
            MOST_WAITING
        )
        self._writer = threading.Thread(target=self._write, name="recorder")
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
        self._last_jpeg = jpeg
        # File names carry milliseconds; two frames never share one.
        now = max(taken or datetime.now(), self._last_time + timedelta(milliseconds=1))
        self._last_time = now
        stamp = now.strftime("%Y_%m_%d_%H_%M_%S_") + f"{now.microsecond // 1000:03d}"
        throttle, brake = max(0.0, command.throttle), max(0.0, -command.throttle)
        numbers = f"{command.steering:.7g},{throttle:.7g},{brake:.7g},{speed_mph:.7g}"
        self._rows.put((jpeg, f"center_{stamp}.jpg", numbers))

    def close(self) -> None:
        """Write what is waiting, and end; more than once is no mistake."""
        if self._log.closed:
            return
        self._rows.put(None)
        self._writer.join()
        with contextlib.suppress(OSError):  # A full disk; it has been said.
            self._log.close()

    def _write(self) -> None:
        while (row := self._rows.get()) is not None:
            if self.has_failed:
                continue  # The drive goes on, so what waits is taken all the same.
            try:
                self._write_row(*row)
            except OSError as error:
                self.has_failed = True
                logger.error("recording stops: %s; the drive goes on", error)

    def _write_row(self, jpeg: bytes, name: str, numbers: str) -> None:
        path = self.folder / "IMG" / name
        # Not by common.files, which waits for the disk: frames come faster than that.
        partial_path = path.with_name(name + ".partial")
        partial_path.write_bytes(jpeg)
        partial_path.replace(path)
        # No left and no right camera: the simulator sends the centre one only.
        self._log.write(f"IMG/{name},,,{numbers}\n")
        self._log.flush()
        self.written += 1
