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
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from common.bar import Bar
from common.errors import InputError
from network.limits import (
    HINT,
    LOOK_EVERY_S,
    WAITING_TIMES,
    Limits,
    current_limits,
)

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
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as process,
    ):
        try:
            printed = _what_it_prints(process, content, limits)
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


def _what_it_prints(
    process: subprocess.Popen[bytes], content: bytes, limits: Limits
) -> bytes:
    """Return all that a process prints, if it does not work for longer than it may.

    Raises:
        subprocess.TimeoutExpired: It does; or it waits, on a machine that others use,
            for that much longer.
    """
    began_s, given = time.monotonic(), content or None
    while True:
        try:
            return process.communicate(given, LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            given = None
            waited_s = (time.monotonic() - began_s) / WAITING_TIMES
            if max(waited_s, _worked_s(process.pid)) > limits.seconds:
                raise


def _worked_s(pid: int) -> float:
    """Return the CPU time of a process, 0 if it has ended."""
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


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
