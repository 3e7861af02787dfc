"""Files from strangers are first read in a process of their own.

The libraries that read HDF5, LiteRT and ONNX are not made for damaged ones. Of 2,000
HDF5 files with up to seven bytes changed seven ended Python and three held it for ever;
of 800 LiteRT files with one byte changed 14 ended it.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from common.bar import Bar
from common.errors import InputError
from network.limits import HINT, LOOK_EVERY_S, current_limits

ROOT = Path(__file__).resolve().parents[1]


def apart(
    function: Callable[..., None], path: Path, *words: str, content: bytes = b""
) -> None:
    """Call a function in a process of its own, which ends in the time of a model.

    Args:
        function: One of a module of the project. It calls limits.confine when it has
            imported what it needs.
        path: Its first argument, the file that it reads.
        words: Its other arguments.
        content: What it reads from stdin.

    Raises:
        InputError: It raises one, takes too long, or ends the process.
        RuntimeError: It raises something else; the message is its traceback.
    """
    limits = current_limits()
    name = (function.__module__, function.__name__)
    command = [sys.executable, "-m", "network.apart", *name, str(path), *words]
    with (
        Bar(f"checking {path}"),
        _file_of(content) as given,
        subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as process,
    ):
        try:
            printed = _what_it_prints(process, limits.seconds)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{path}: to read it takes longer than {limits.seconds:g} s{HINT}"
            ) from None
        finally:
            process.terminate()  # It has nothing to save; does nothing if it has ended.
    try:
        refusal, fault = json.loads(printed)
    except ValueError:
        status, megabytes = process.returncode, limits.memory_bytes // 1_000_000
        raise InputError(
            f"{path}: the library that reads it ends with status {status} or takes "
            f"more than {megabytes} MB; it is damaged, or not what its name says{HINT}"
        ) from None
    if fault:
        raise RuntimeError(fault)
    if refusal:
        raise InputError(refusal)


@contextmanager
def _file_of(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


def _what_it_prints(process: subprocess.Popen[bytes], most_s: float) -> bytes:
    """Return all that a process prints, if it ends in time.

    Raises:
        subprocess.TimeoutExpired: It does not, the time left out in which a busy
            machine lets it wait for a core.
    """
    began_s = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() - began_s - _held_up_s(process.pid) > most_s:
                raise


def _held_up_s(pid: int) -> float:
    """Return how long a process has waited for a core, where the system counts it."""
    try:
        fields = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()
        return int(fields[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    # Threads would reserve more memory than the file takes.
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def main(module: str, name: str, path: str, *words: str) -> None:
    """Call the function, and print what it refuses and where it fails, as JSON."""
    refusal = fault = ""
    try:
        getattr(importlib.import_module(module), name)(Path(path), *words)
    except InputError as error:
        refusal = str(error)
    except MemoryError:
        megabytes = current_limits().memory_bytes // 1_000_000
        refusal = f"{path}: to read it takes more than {megabytes} MB{HINT}"
    except Exception:
        fault = traceback.format_exc()
    print(json.dumps([refusal, fault]))


if __name__ == "__main__":
    main(*sys.argv[1:])
