"""Do the main job from end to end: record, explore, train, drive.

    python demo.py                     # laps of the embedded simulator's lake
    python demo.py --data data/mine    # a recording of your own

It takes three to six minutes on two cores. Everything lands in a new folder, demo/.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.command_line import Parser
from common.ends import ends_in_one_line
from common.errors import InputError
from common.text import shown

ROOT = Path(__file__).resolve().parent
HOST = "127.0.0.1"
# A person's laps take longer to learn than the expert's.
EPOCHS_OF_EXPERT, EPOCHS_OF_PERSON = 8, 20
# Set by Ctrl+C, which raises nothing itself: a process would be left that was just
# being started.
STOP = threading.Event()


def demonstrate(data: Path | None, out: Path, epochs: int, port: int) -> None:
    """Show the four steps one after another, and write everything to a folder, `out`.

    Without data, the expert makes a recording; port 0 lets the system choose one.

    Raises:
        subprocess.CalledProcessError: A step failed, and has said why.
    """
    if data is None:
        data = out / "lake"
        say("1/4 record: the expert drives a lap of the embedded lake each way")
        laps = ("--laps", 1, "--direction", "both", "--seed", 1)
        run("simulate.py", "record", "lake", *laps, "--out", data)
    say("2/4 explore: what is in the recording")
    run("explore.py", data, "--out", out / "report")
    say(f"3/4 train: {epochs} epochs")
    run("train.py", data, "--name", "model", "--models-dir", out, "--epochs", epochs)
    say("4/4 drive: one lap of the embedded lake at 25 mph, over the socket")
    drive(out, port)
    say("done")
    for line in (
        f"report:       {out / 'report' / 'report.html'}",
        f"model:        {out / 'model' / 'model.json'}, loss.png, predictions.png",
        f"the drive:    {out / 'drive.mp4'}",
        f"the server:   {(out / 'drive.json').read_text().strip()}",
        "next:         start the Udacity simulator in Autonomous mode, and",
        f"              python drive.py {out / 'model' / 'model.json'}",
    ):
        print(shown(line))


def drive(out: Path, port: int) -> None:
    """Serve the model of a demo to the embedded simulator for a lap.

    Raises:
        subprocess.CalledProcessError: The server or the simulator failed.
    """
    log_path, model_path = out / "drive.log", out / "model" / "model.json"
    flags = ("--speed", 25, "--port", port, "--json")
    with (
        (out / "drive.json").open("w") as report,
        log_path.open("w") as log,
        started("drive.py", model_path, *flags, stdout=report, stderr=log) as server,
    ):
        # The log names the port that the system chose.
        while f"listening on {HOST}:" not in (said := log_path.read_text()):
            if server.poll() is not None:
                print(said, end="", file=sys.stderr)
                raise subprocess.CalledProcessError(server.returncode, "drive.py")
            pause()
        url = "http://" + said.partition("listening on ")[2].partition(";")[0]
        film = out / "drive.mp4"
        run("simulate.py", "drive", "lake", "--laps", 1, "--url", url, "--video", film)
        if sys.platform == "win32":
            server.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            server.send_signal(signal.SIGINT)
        wait_for(server)


def run(script: str, *arguments: object) -> None:
    """Run a script of the project to its end.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with started(script, *arguments) as process:
        wait_for(process)


@contextlib.contextmanager
def started(
    script: str, *arguments: object, **streams: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a script of the project; what still runs at the end of the block is ended.

    The streams say where its output goes, as for subprocess.Popen.
    """
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    # In groups of their own, Ctrl+C reaches this process only, which then ends them.
    if sys.platform == "win32":
        streams["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        streams["process_group"] = 0
    with subprocess.Popen(command, **streams) as process:
        try:
            yield process
        finally:
            # Does nothing to one that has ended.
            process.terminate()


def wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to end.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    while process.poll() is None:
        pause()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def pause() -> None:
    """Wait for a moment.

    Raises:
        KeyboardInterrupt: The demo is to stop.
    """
    if STOP.wait(0.1):
        raise KeyboardInterrupt


def say(step: str) -> None:
    """Print the head of a step, before what the step itself prints."""
    print(f"\n== {step}", flush=True)


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description="Record, explore, train and drive: the main job from end to end.",
        epilog="Example:\n  python demo.py --data data/mine --out demo-mine",
    )
    add = parser.add_argument
    recording = "recording to learn (default: the expert makes one)"
    add("--data", type=Path, metavar="DIR", help=recording)
    folder = "folder to make (default: demo)"
    add("--out", type=Path, default=Path("demo"), metavar="DIR", help=folder)
    longer = f"{EPOCHS_OF_EXPERT}; {EPOCHS_OF_PERSON} with --data"
    add("--epochs", type=int, help=f"epochs of training, 1 or more (default: {longer})")
    port_help = "port that drive.py listens on (default: 0, any free one)"
    add("--port", type=int, default=0, help=port_help)
    args = parser.parse_args(argv)
    if args.epochs is None:
        args.epochs = EPOCHS_OF_PERSON if args.data else EPOCHS_OF_EXPERT
    if args.epochs < 1:
        parser.error(f"--epochs is {args.epochs}, expected 1 or more")
    if not 0 <= args.port <= 65535:
        parser.error(f"--port is {args.port}, expected 0 to 65535")
    return args


def check(data: Path | None, out: Path, port: int) -> None:
    """See now what would end the demo at one of its later steps.

    Raises:
        InputError: The recording has no log, the folder exists or cannot be made, or
            the port is taken.
    """
    if data:
        from recordings.log import find_log

        find_log(data)
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise InputError(
            f"cannot listen on {HOST}:{port} ({error.strerror}); give another --port, "
            "or none"
        ) from error
    try:
        out.mkdir(parents=True)
    except FileExistsError as error:
        raise InputError(
            f"{out} exists already; remove it, or give another --out"
        ) from error
    except OSError as error:
        raise InputError(
            f"{out}: cannot be made: {error.strerror}; give another --out"
        ) from error


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    args = parse_args(argv)
    check(args.data, args.out, args.port)
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), lambda *_: STOP.set())
    so_far = f"what was made so far is in {args.out}"
    try:
        demonstrate(args.data, args.out, args.epochs, args.port)
    except subprocess.CalledProcessError as error:
        # The step itself has said why.
        raise InputError(f"failed; {so_far}") from error
    except KeyboardInterrupt:
        print(file=sys.stderr)  # Behind the ^C of the terminal.
        raise KeyboardInterrupt(f"stopped; {so_far}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
