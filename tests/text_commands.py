"""Commands of a text, run as they stand; what they print is held against the text.

    python tests/text_commands.py docs/tutorial.md FOLDER  # all but windows; shows it

In a block of ```console, a line that begins with "$ " is a command, and the lines under
it are what it prints, of which "…" leaves some out. A comment above a block says more:

    <!-- long: data/mine -->   it takes minutes, and makes that
    <!-- a person steers -->   at the page, while drive.py runs
    <!-- window -->            opens a window, and waits for keys

A drive.py that is typed runs until the next command that is no `simulate.py drive`, as
in a terminal of its own; then it hears Ctrl+C.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?:<!-- ([^>]*) -->\n)?```console\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"[-−]?\d[\d,]*(\.\d+)?")
# What a fresh clone has none of.
NOT_CLONED = (".*", "data", "models", "demo", "build", "node_modules", "__pycache__")
LISTENS = "waiting for the simulator"


@dataclass(frozen=True)
class Command:
    """What is typed, and what the text shows of what it prints."""

    typed: str
    shown: tuple[str, ...]
    mark: str
    """What the comment above its block says, "" for nothing."""

    @property
    def serves(self):
        """Whether it runs until Ctrl+C."""
        return self.typed.startswith("python drive.py")


def commands_of(text):
    """Return the commands of a text, in order."""
    commands = []
    for mark, block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            typed, *shown = part.strip("\n").split("\n")
            commands.append(Command(typed.strip(), tuple(shown), mark))
    return commands


def clone(folder):
    """Make a folder as a fresh clone is, of what is not committed yet, too."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_CLONED))
    for kept in ("data/sample", "data/README.md", "models/base", "models/README.md"):
        place = folder / kept
        place.parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / kept).is_dir() else shutil.copy
        copy(ROOT / kept, place)
    return folder


class Terminals:
    """Two terminals in a folder: one for drive.py, and one for all the rest."""

    def __init__(self, folder):
        self.folder = folder
        self.served = None
        """The drive.py that runs: its command, its process and what it prints to."""
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # Lines come in the order in which they are printed.
            "PYTHONUNBUFFERED": "1",
        }

    def type(self, command):
        """Run a command; return what was printed of each that has ended by now."""
        said = []
        if self.served and "simulate.py drive" not in command.typed:
            said += self.leave()
        if command.serves:
            self._serve(command)
            return said
        done = subprocess.run(
            command.typed,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command.typed}\n{done.stdout}"
        return [*said, (command, done.stdout)]

    def _serve(self, command):
        out = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.typed}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        self.served = command, process, out
        while LISTENS not in self._printed():
            assert process.poll() is None, self._printed()
            time.sleep(0.1)
        if "a person steers" in command.mark:
            threading.Thread(target=steer_now_and_then, args=(process,)).start()

    def leave(self):
        """Press Ctrl+C where drive.py runs; return what it has printed."""
        if not self.served:
            return []
        command, process, out = self.served
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, self._printed()
        said = self._printed()
        out.close()
        self.served = None
        return [(command, said)]

    def _printed(self):
        _, _, out = self.served
        out.seek(0)
        return out.read()


def steer_now_and_then(process):
    """Hold the wheel at the page for two of every four seconds, as a hand would."""
    address = "ws://127.0.0.1:4567/cockpit"
    with (
        suppress(WebSocketException, OSError),  # It ends while somebody steers.
        connect(address, origin="http://127.0.0.1:4567") as page,
    ):
        threading.Thread(target=read_all, args=(page,), daemon=True).start()
        while process.poll() is None:
            for step in range(40):
                steering = 0.1 * math.sin(step / 6)
                page.send(json.dumps({"type": "steer", "steering": steering}))
                time.sleep(0.05)
            page.send('{"type": "release"}')
            time.sleep(2)


def read_all(page):
    """Take what comes until it ends: a page that does not is one that stalls."""
    with suppress(WebSocketException, OSError):
        for _ in page:
            pass


def unlike(command, printed):
    """Return the first line that the text shows and that was not printed, or None.

    Numbers are left out of it, and how wide they are: another machine and another
    recording have others.
    """
    rest = iter([without_numbers(line) for line in printed.splitlines()])
    for line in command.shown:
        wanted = without_numbers(line)
        if wanted and wanted != "…" and wanted not in rest:
            return line
    return None


def without_numbers(line):
    """Return what of a line is the same for another recording."""
    return " ".join(NUMBER.sub("#", line).split())


def main(text_path, folder):
    """Run all commands of a text in a new clone, and print what they print."""
    terminals = Terminals(clone(Path(folder)))
    printed = []
    for command in commands_of(Path(text_path).read_text("utf-8")):
        if command.mark == "window":  # It waits for somebody at the keys.
            continue
        printed += terminals.type(command)
        while printed:
            done, said = printed.pop(0)
            print(f"$ {done.typed}\n{said}", flush=True)
            if line := unlike(done, said):
                print(f"!!! not printed: {line}\n", flush=True)
    for done, said in terminals.leave():
        print(f"$ {done.typed}\n{said}")


if __name__ == "__main__":
    main(*sys.argv[1:])
