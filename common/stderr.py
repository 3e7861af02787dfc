"""What libraries in C write to the screen behind Python's back."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def without_lines(pattern: re.Pattern[bytes]) -> Iterator[IO[bytes]]:
    """Keep what is written to stderr in the block; show at its end what does not match.

    A process whose stderr is closed, as that of a program without a console, shows
    nothing.

    Args:
        pattern: Matches the beginning of each line that is not shown.

    Yields:
        The file that grows by what is written.
    """
    try:
        stderr_fd = os.dup(2)
    except OSError:
        yield io.BytesIO()
        return
    with tempfile.TemporaryFile() as written, os.fdopen(stderr_fd, "wb", 0) as stderr:
        # None: descriptor 2 is closed, or some file of ours that nothing belongs into.
        shows = sys.stderr is not None
        if shows:
            sys.stderr.flush()
        leaves_crashes = faulthandler.is_enabled() or not shows
        if not leaves_crashes:
            # A crash within the library ends the process before anything can be shown.
            faulthandler.enable(stderr)
        os.dup2(written.fileno(), 2)
        try:
            yield written
        except KeyboardInterrupt:
            # What a library says of being cut short is no error of anybody's.
            written.truncate(0)
            raise
        finally:
            if shows:
                sys.stderr.flush()
            os.dup2(stderr_fd, 2)
            if not leaves_crashes:
                faulthandler.disable()
            written.seek(0)
            lines = (line for line in written if not pattern.match(line))
            stderr.writelines(lines if shows else ())
