"""Drive the Udacity simulator with a trained model.

    python drive.py models/both/model.json

Then start the simulator and choose Autonomous mode. The server waits on 127.0.0.1:4567,
where the simulator looks for it, and a browser finds the cockpit there: a page that
shows the drive, takes the wheel and keeps what a person does for training. Ctrl+C stops
the car and prints how the drive went, with NVIDIA's autonomy.

What a person drives becomes a recording to train on; the second before each takeover,
in which the model went wrong, is kept beside it, in DIR-before. An address given to
--host is open to the network, and the page then needs a token, which is printed; the
simulator can send none, so --allow says from which addresses one may come.

Below is one drive as it happens: its input is checked, the port opened, the model
loaded; simulators and pages are served until somebody ends it; then it says what next.
"""

from __future__ import annotations

from common.ends import ends_in_one_line, line_of

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import Parser, add_max_parameters
from common.errors import InputError
from common.files import MOST_CONFIG_BYTES, check_writable, free_name, read_regular
from common.hosts import THIS_MACHINE, token_for
from common.shell import from_here, option, typed
from common.text import ShownFormatter, shown

if TYPE_CHECKING:  # A command loads packages when it runs, so that --help is light.
    from driving.cockpit.app import Cockpit
    from driving.cockpit.heat_map import HeatMap
    from driving.corrections import Corrections
    from driving.report import DriveReport

logger = logging.getLogger(__name__)

# Where train.py puts its runs, if nothing else is said.
MODELS = Path("models")
# A picture of more is refused before it is decoded: some kB can unpack to gigabytes.
# One of 1920x1080 has as many.
MOST_PIXELS = 2_073_600
# What a system sends to end a program: Ctrl+C, kill, a terminal or console that closes,
# and on Windows Ctrl+Break, the only one that another program can send there.
LEAVE_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
# So long after a second Ctrl+C the process is gone, whatever hangs.
LEAVE_WITHIN_S = 2.0
# Share of the frames drawn for training: enough to learn the corrections, not enough to
# forget the rest.
CORRECTIONS_SHARE = 0.3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    from driving.speed_plan import speed_of_text
    from network.files import model_path
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Serve a model to the Udacity simulator in Autonomous mode.",
        epilog="Example:\n  python drive.py models/both/model.json --speed 20",
    )
    model = "run's folder, model.json, or a .tflite or .onnx of export.py (default: "
    model += "newest run in models, or else models/base)"
    parser.add_argument("model", type=model_path, nargs="?", help=model)
    how = parser.add_argument_group("how to drive")
    folder: dict[str, Any] = {"type": Path, "metavar": "DIR"}
    speed = "speed, 0 to 30 mph, or auto: as bends allow (default: %(default)g)"
    add = how.add_argument
    add("--speed", type=speed_of_text, default=15.0, metavar="MPH", help=speed)
    sideways = "pull in bends that is allowed, up to --speed (with auto: 4 m/s²)"
    add("--sideways-mps2", type=float, metavar="A", help=sideways)
    stands = "leave a car that stands against something where it is"
    add("--no-backing-out", action="store_true", help=stands)
    play = "play a recording in the page instead of driving"
    how.add_argument("--play", **folder, help=play)
    add_unit_flag(how.add_argument)
    # Its name of before.
    how.add_argument("--replay", type=Path, dest="play", help=argparse.SUPPRESS)
    add_max_parameters(how.add_argument)
    kept = parser.add_argument_group("what to keep")
    kept.add_argument("--record", **folder, help="write the drive as a recording")
    taught = "write what a person drives (default: data/corrections_<time>)"
    kept.add_argument("--corrections", **folder, help=taught)
    kept.add_argument("--json", action="store_true", help="print the report as JSON")
    where = parser.add_argument_group("where to listen")
    port = "TCP port (default: %(default)s)"
    where.add_argument("--port", type=int, default=4567, help=port)
    host = "address; another is open to the network (default: %(default)s)"
    where.add_argument("--host", default="127.0.0.1", help=host)
    allow = "address or network a simulator may come from, beside this machine"
    allow += "; may be repeated (default: any)"
    add = where.add_argument
    add("--allow", action="append", default=[], metavar="ADDRESS", help=allow)
    args = parser.parse_args(argv)
    if args.allow and args.host in THIS_MACHINE:
        parser.error("argument --allow: only with --host, another than this machine's")
    if args.play and args.record:
        parser.error("argument --play: not allowed with argument --record")
    return args


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShownFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    try:
        report, next_command = drive(args)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped before the model was loaded") from None
    except ImportError as error:
        raise without_package(error, args.model) from error
    print(json.dumps(report.document()) if args.json else report.summary())
    if next_command and not args.json:
        print(f"next: {next_command}")
    return 0


def drive(args: argparse.Namespace) -> tuple[DriveReport, str]:
    """Serve a model until somebody ends it; return how it went, and what to do next."""
    if args.model is None:
        args.model = model_of_nobodys_choice()
    check_input(args)
    from driving.corrections import Corrections
    from driving.speed_plan import limits_of, speed_words
    from network.files import BASE_MODEL

    limits = limits_of(args.speed, args.sideways_mps2)
    taught = Path("data", time.strftime("corrections_%Y-%m-%d_%H-%M-%S"))
    corrections = Corrections(args.corrections or taught)
    with contextlib.ExitStack() as on_exit:
        from driving.port import listen

        listener = on_exit.enter_context(listen(args.host, args.port))
        if args.model == BASE_MODEL:
            logger.info("the model is the project's own, of embedded roads alone")
        logger.info("loading %s, %s", args.model, speed_words(*limits))
        # OpenCV reads it when it is first imported, by one of the packages below.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
        from driving.cockpit.app import Cockpit
        from driving.cockpit.playback import Player, read_frames
        from driving.pilot import check_sees_bends
        from driving.port import AllowList
        from driving.recorder import DriveRecorder
        from driving.server import DriveServer
        from model import load_predictor
        from recordings.units import unit_of

        player = None
        if args.play:
            unit = unit_of(args.steering_unit, args.play)
            player = Player(read_frames(args.play, unit))
        predict, heat_map = load_predictor(args.model), heat_map_of(args.model)
        recorder = DriveRecorder(args.record) if args.record else None
        if recorder:
            on_exit.callback(recorder.close)
        playing = str(args.play) if args.play else None
        speed_mph, sideways_mps2 = limits
        if sideways_mps2 is not None:
            check_sees_bends(predict, args.model)
        server = DriveServer(
            predict,
            speed_mph,
            recorder,
            corrections,
            playing,
            sideways_mps2,
            not args.no_backing_out,
        )
        cockpit = Cockpit(
            server,
            heat_map,
            token_for(args.host),
            lambda: train_command(args.model, corrections),
            AllowList(args.allow),
            name_of(args.model),
            player,
        )
        # What is loaded stays. To look through it for garbage takes up to 0.25 s of
        # CPU time, and would keep a frame waiting in the middle of a drive.
        gc.collect()
        gc.freeze()
        # Linux has it anyway; that of Windows would accept connections behind the
        # back of the listener, which refuses what is too much.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve_until_signal(cockpit, listener))
    return server.report, cockpit.command or ""


# --- What it begins with --------------------------------------------------------------


def model_of_nobodys_choice() -> Path:
    """Return the newest run's, or the base model where there is none; say which."""
    from network.files import BASE_MODEL, newest_run

    newest = newest_run(MODELS)
    if newest:
        logger.info("no model given: taking %s, the newest run in %s", newest, MODELS)
    else:
        logger.info("no model given, and no run in %s: taking the base model", MODELS)
    return newest or BASE_MODEL


def name_of(path: Path) -> str:
    """Return what a model is called on the page: a run by its folder."""
    place = (path.parent if path.name == "model.json" else path).absolute()
    return shown(str(place if place == Path.cwd() else from_here(place)))


def check_input(args: argparse.Namespace) -> None:
    """Refuse what nobody can drive with, before anything slow is loaded.

    Raises:
        InputError: A number is out of its range, a folder to write exists or cannot be
            made, or a file to read is missing or is not what it should be.
    """
    from driving.port import AllowList
    from driving.recorder import check_new
    from driving.speed_plan import check_limits
    from network.exported import is_exported
    from network.files import check_model
    from recordings.log import find_log

    if not 0 <= args.port <= 65535:
        raise InputError(f"--port is {args.port}, expected 0 to 65535")
    check_limits(args.speed, args.sideways_mps2)
    AllowList(args.allow)
    if args.record:
        check_new(args.record)
        check_writable(args.record, "--record")
    if args.corrections:  # In the middle of the drive what is taught would be lost.
        check_writable(args.corrections, "--corrections")
    if args.play:
        find_log(args.play)
    if not is_exported(args.model):
        check_model(args.model)
    elif not args.model.is_file():
        raise InputError(f"{args.model}: no such file, expected what export.py writes")


def without_package(error: ImportError, path: Path) -> Exception:
    """Return what to raise where a package is missing: a model can do with fewer."""
    from network.exported import is_exported

    line = line_of(error)
    if line is None or is_exported(path):
        return error
    to_export = typed("export.py", path, "--to", "tflite")
    return InputError(
        f"{line}; or, to drive without TensorFlow, where that is: {to_export}, and "
        "here: pip install --group drive"
    )


def heat_map_of(path: Path) -> HeatMap | None:
    """Return what makes heat maps of a model, once a page asks for the first.

    None for an exported model, and any that has no convolution.
    """
    from network.exported import is_exported

    if is_exported(path):
        return None
    from driving.cockpit.drawing import DrawingProcess
    from driving.cockpit.heat_map import HeatMap
    from network.files import check_json
    from network.saliency import can_look

    return HeatMap(DrawingProcess(path)) if can_look(check_json(path)) else None


# --- The drive ------------------------------------------------------------------------


async def serve_until_signal(cockpit: Cockpit, listener: socket.socket) -> None:
    """Drive, or play what there is to play, until a signal or a page ends it."""
    stop, at_once, server = asyncio.Event(), asyncio.Event(), cockpit.server
    loop = asyncio.get_running_loop()

    hang_up = getattr(signal, "SIGHUP", None)

    def hear(number: int, _: object) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(stop.set)
            return
        if number == hang_up:  # A shell repeats it; nobody asks for more by that.
            return
        loop.call_soon_threadsafe(at_once.set)
        # Whatever hangs: the car has been told to stop by then, if that is possible.
        watchdog = threading.Timer(LEAVE_WITHIN_S, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()

    numbers = {getattr(signal, n) for n in LEAVE_SIGNALS if hasattr(signal, n)}
    if hang_up and signal.getsignal(hang_up) is signal.SIG_IGN:
        numbers.remove(hang_up)  # Under nohup the drive goes on.
    before = {number: signal.signal(number, hear) for number in numbers}
    player = cockpit.player
    playing = asyncio.create_task(player.play(server)) if player else None
    try:
        await serve(cockpit, listener, stop, at_once)
    finally:
        if playing:
            playing.cancel()
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)


async def serve(
    cockpit: Cockpit,
    listener: socket.socket,
    stop: asyncio.Event,
    at_once: asyncio.Event,
) -> None:
    """Serve simulators and pages until `stop`, or a page; then stop the cars, close.

    The cars are braked first; `at_once` ends that, too.
    """
    from driving.port import WebServer

    server, web = cockpit.server, WebServer(cockpit)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    while not web.started and not serving.done():
        await asyncio.sleep(0.01)
    say_where(cockpit, listener)
    beside = [server.log_status(), server.sessions.keep()]
    status = [asyncio.create_task(work) for work in beside]
    ends = [asyncio.create_task(event.wait()) for event in (stop, cockpit.ended)]
    try:
        await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Before all else: whatever fails below, no car drives on.
        await server.stop_cars(at_once)
    for task in (*status, *ends):
        task.cancel()
    cockpit.end()
    # Its pages are told, and what is under way is answered.
    await asyncio.sleep(0.1)
    web.should_exit = True
    await serving


def say_where(cockpit: Cockpit, listener: socket.socket) -> None:
    """Say where the simulator and the page find this server, and who else might."""
    from driving.port import url_of

    host, port = listener.getsockname()[:2]
    logger.info("listening on %s:%d; Ctrl+C stops it", host, port)
    query = f"?token={cockpit.token}" if cockpit.token else ""
    if query and cockpit.allowed.is_open:
        logger.warning(
            "warning: whoever reaches %s can play the simulator, which sends no token; "
            "--allow ADDRESS lets in that of one address only; pages need the token",
            host,
        )
    elif query:
        logger.info(
            "simulators may come from %s; pages need the token", cockpit.allowed
        )
    logger.info("cockpit: %s%s", url_of(host, port), query)


# --- What to do next ------------------------------------------------------------------


def train_command(model_path: Path, corrections: Corrections) -> str:
    """Return the command that trains a model on what it was taught, "" for nothing.

    What the model was trained on is trained on as well, as far as it is there.
    """
    from network.exported import is_exported
    from recordings.units import unit_words

    if corrections.is_empty or is_exported(model_path):
        return ""
    run = model_path.parent
    try:
        config = json.loads(read_regular(run / "config.json", MOST_CONFIG_BYTES))
        paths = [Path(path) for path in config["settings"]["recordings"]]
        units = dict(config["settings"].get("steering_units", {}))
    except (InputError, ValueError, LookupError, TypeError, RecursionError):
        paths, units = [], {}  # Nobody knows them of others' models.
    paths = [path for path in paths if (path / "driving_log.csv").is_file()]
    in_units = unit_words([(p, u) for p, u in units.items() if Path(p) in paths])
    words: list[object] = [*map(from_here, paths), corrections.folder, *in_units]
    if paths:
        share = f"{corrections.folder.name}={CORRECTIONS_SHARE:g}"
        words += option("--share", share)
    else:  # There may be too little of it to set some aside.
        words += ["--validation-fraction", 0]
    name = option("--name", free_name(MODELS, f"{run.name}-corrected"))
    return typed("train.py", *words, "--from", model_path, *name)


if __name__ == "__main__":
    sys.exit(main())
