"""Scripts of the project as processes that never outlive the one that started them.

    scripts = Scripts(Path("demo"), stop)
    said = scripts.run("train", "train.py", "data/a")

Killed in whatever way, the starter closes the pipe that the script holds, and the
script ends at once: nothing goes on writing behind the back of who starts anew.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
# What Python is told to do: the folder of the packages comes first of the arguments.
START = (
    "import sys; sys.path[0] = sys.argv.pop(1); "
    "from common.leash import run_on_leash; run_on_leash()"
)
IS_WINDOWS = sys.platform == "win32"


@dataclass(frozen=True)
class Scripts:
    """Runs scripts of the root, and keeps what they print."""

    folder: Path
    """Where NAME.out and NAME.log lie: what each printed on stdout and on stderr."""
    stop: threading.Event
    """Set, it ends what runs. No exception does: a process might be left."""

    def run(
        self,
        name: str,
        script: str,
        *arguments: object,
        watch: Callable[[], None] = lambda: None,
    ) -> str:
        """Run a script to its end; return what it printed on stdout.

        Args:
            name: What its .out and .log are called.
            watch: Is called now and then.

        Raises:
            InputError: It failed; the message is the last line that it said.
            KeyboardInterrupt: It was stopped.
        """
        with self._started(name, script, *arguments) as process:
            self._wait(process, name, watch)
        return self._text(f"{name}.out")

    @contextmanager
    def serving(
        self, name: str, mark: str, script: str, *arguments: object
    ) -> Iterator[str]:
        """Run a server while the block runs; stop it as Ctrl+C does.

        Args:
            mark: What it says on stderr when it is ready.

        Yields:
            What stands behind the mark, up to a semicolon.

        Raises:
            InputError: It failed; the message is the last line that it said.
            KeyboardInterrupt: It was stopped.
        """
        with self._started(name, script, *arguments) as process:
            while mark not in (said := self._text(f"{name}.log")):
                if process.poll() is not None:
                    raise InputError(self._why(name))
                self._pause()
            yield said.partition(mark)[2].partition(";")[0]
            if sys.platform == "win32":
                process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                process.send_signal(signal.SIGINT)
            self._wait(process, name)

    @contextmanager
    def _started(
        self, name: str, script: str, *arguments: object
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a script; what still runs at the end of the block is ended."""
        command = [sys.executable, "-c", START, str(ROOT), str(ROOT / script)]
        command += map(str, arguments)
        with (
            (self.folder / f"{name}.out").open("wb") as out,
            (self.folder / f"{name}.log").open("wb") as log,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                # It is read as that, whatever the letters of the console are.
                env=os.environ | {"PYTHONIOENCODING": "utf-8"},
                # So Ctrl+C reaches this process only, which then ends the script.
                process_group=None if IS_WINDOWS else 0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            ) as process,
        ):
            try:
                yield process
            finally:
                # Does nothing to one that has ended.
                process.terminate()

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        name: str,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        while process.poll() is None:
            self._pause()
            watch()
        if process.returncode:
            raise InputError(self._why(name))

    def _pause(self) -> None:
        if self.stop.wait(0.1):
            raise KeyboardInterrupt

    def _text(self, file_name: str) -> str:
        return (self.folder / file_name).read_text("utf-8", "replace")

    def _why(self, name: str) -> str:
        lines = self._text(f"{name}.log").strip().splitlines() or ["it was ended"]
        is_ours = any(line.startswith("Traceback") for line in lines)
        said = "a mistake in the program" if is_ours else lines[-1]
        return f"{said} (all that it said: {self.folder / name}.log)"


def run_on_leash() -> None:
    """Run the script that the arguments name, as long as the pipe is held."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)
    os._exit(1)
