"""Drive the Udacity simulator with a trained model.

    python drive.py models/both/model.json

Then start the simulator and choose Autonomous mode. The server waits on 127.0.0.1:4567,
where the simulator looks for it, and a browser finds the cockpit there: a page that
shows the drive, takes the wheel and keeps what a person does for training. Ctrl+C stops
the car and prints how the drive went, with NVIDIA's autonomy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from driving.pilot import Pilot, SpeedController

if TYPE_CHECKING:
    import numpy as np

    from driving.cockpit.app import Cockpit
    from driving.cockpit.heat_map import HeatMap
    from driving.cockpit.playback import RecordedFrame
    from driving.report import DriveReport

logger = logging.getLogger(__name__)

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
# A picture of more is refused before it is decoded: some kB can unpack to gigabytes.
MOST_PIXELS = 1_000_000


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Serve a model to the Udacity simulator in Autonomous mode.",
        epilog="Example:\n  python drive.py models/both/model.json --speed 20",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        type=Path,
        help="model.json of a trained model, or a .tflite or .onnx of export.py",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=15.0,
        help="to hold, 0 to 30 mph (default: %(default)s)",
    )
    runs = parser.add_mutually_exclusive_group()
    runs.add_argument(
        "--record", type=Path, metavar="DIR", help="write the drive as a recording"
    )
    runs.add_argument(
        "--replay",
        type=Path,
        metavar="DIR",
        help="show a recording in the page, over and over, instead of a simulator",
    )
    parser.add_argument(
        "--corrections",
        type=Path,
        metavar="DIR",
        help="write what a person drives from the page as a recording to train on, and "
        "the second before each takeover to DIR-before (default: "
        "data/corrections_<time>, made at the first takeover)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--port",
        type=int,
        default=4567,
        help="the simulator looks for %(default)s (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; the simulator looks for this machine itself, so "
        "another one opens the port to the network, and the page needs the token then "
        "that is printed (default: %(default)s)",
    )
    return parser.parse_args(argv)


def open_port(host: str, port: int) -> socket.socket:
    """Listen, or say why that is not possible.

    Raises:
        InputError: the port is taken, or the address is none of this machine.
    """
    from driving.dialect import listen

    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}, expected 0 to 65535")
    try:
        return listen(host, port)
    except OSError as error:
        mend = "give an address of this machine to --host, or another --port"
        if error.errno == errno.EADDRINUSE:
            mend = "does another drive.py run? Stop it, or give another --port"
        raise InputError(
            f"cannot listen on {host}:{port} ({error.strerror}); {mend}"
        ) from error


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.INFO)
    try:
        report, next_command = _drive(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped before the model was loaded", file=sys.stderr)
        return 1
    print(json.dumps(report.document()) if args.json else report.summary())
    if next_command and not args.json:
        print(f"next: {next_command}")
    return 0


def _drive(args: argparse.Namespace) -> tuple[DriveReport, str]:
    """Serve a model until Ctrl+C; return how it went, and what to do next."""
    from driving.cockpit.app import Cockpit
    from driving.cockpit.playback import read_frames
    from driving.corrections import Corrections, train_command
    from driving.recorder import DriveRecorder, check_new
    from driving.server import DriveServer

    SpeedController(args.speed)
    if args.record:
        check_new(args.record)
    corrections = Corrections(args.corrections or new_corrections_folder())
    frames = read_frames(args.replay) if args.replay else None
    with contextlib.ExitStack() as on_exit:
        listener = on_exit.enter_context(open_port(args.host, args.port))
        logger.info("loading %s, to hold %g mph", args.model, args.speed)
        # OpenCV reads it when it is first imported, with the first frame.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
        predict, heat_map = load_predictor(args.model)
        recorder = DriveRecorder(args.record) if args.record else None
        if recorder:
            on_exit.callback(recorder.close)
        server = DriveServer(
            lambda: Pilot(predict, SpeedController(args.speed)), recorder, corrections
        )
        server.wheel.target_mph = args.speed
        server.replay = str(args.replay) if args.replay else None
        token = None if args.host in THIS_MACHINE else secrets.token_urlsafe(16)
        cockpit = Cockpit(
            server, heat_map, token, lambda: train_command(args.model, corrections)
        )
        # TensorFlow's 400,000 objects stay. To look through them for garbage takes
        # 0.25 s of CPU time, and would keep a frame waiting in the middle of a drive.
        gc.collect()
        gc.freeze()
        asyncio.run(_serve_until_signal(cockpit, listener, frames))
    return server.report, cockpit.state.command or ""


def new_corrections_folder() -> Path:
    """Return a folder of this moment, in data/."""
    return Path("data", time.strftime("corrections_%Y-%m-%d_%H-%M-%S"))


def load_predictor(
    path: Path,
) -> tuple[Callable[[np.ndarray], float], HeatMap | None]:
    """Return what steers by a frame, of a model.json or of an exported model.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, and what makes heat
        maps; None for an exported model and any that has no convolution.

    Raises:
        InputError: the model cannot be loaded.
    """
    from driving.cockpit.heat_map import HeatMap
    from network.exported import is_exported, load_exported

    if is_exported(path):
        return load_exported(path), None
    from common.start_up import quiet_tensorflow
    from model import make_predictor
    from network.files import load_model
    from network.saliency import make_saliency

    quiet_tensorflow()
    model = load_model(path)
    heat_map = None
    with contextlib.suppress(
        InputError
    ):  # A model of another kind drives all the same.
        heat_map = HeatMap(make_saliency(model))
    return make_predictor(model), heat_map


async def _serve_until_signal(
    cockpit: Cockpit, listener: socket.socket, frames: list[RecordedFrame] | None
) -> None:
    from driving.cockpit.playback import play
    from driving.server import serve

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    server = cockpit.server
    playing = asyncio.create_task(play(server, frames)) if frames else None
    try:
        await serve(
            server, listener, stop, lambda: say_where(cockpit, listener), cockpit
        )
    finally:
        if playing:
            playing.cancel()
        if recorder := server.recorder:
            recorder.close()
            logger.info("recorded %d frames in %s", recorder.written, recorder.folder)
        if corrections := server.corrections:
            corrections.close()
            if not corrections.is_empty:
                number, folder = corrections.frames, corrections.folder
                logger.info("taught %d frames, in %s", number, folder)
        for number, handler in before.items():
            signal.signal(number, handler)


def say_where(cockpit: Cockpit, listener: socket.socket) -> None:
    """Say where the simulator and the page find this server, and who else might."""
    host, port = listener.getsockname()[:2]
    logger.info("listening on %s:%d; Ctrl+C stops it", host, port)
    query = ""
    if cockpit.token:
        logger.warning(
            "warning: whoever reaches %s can play the simulator; pages need the token",
            host,
        )
        host, query = reachable_address(host), f"?token={cockpit.token}"
    shown = f"[{host}]" if ":" in host else host
    logger.info("cockpit: http://%s:%d/%s", shown, port, query)


def reachable_address(host: str) -> str:
    """Return the address that others reach this machine by, for "all of them"."""
    if host not in ("0.0.0.0", "::"):
        return host
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    # Addresses for documentation; nothing is sent, the system only looks up the way.
    elsewhere = "2001:db8::1" if host == "::" else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
        except OSError:
            return "::1" if host == "::" else "127.0.0.1"
        return str(probe.getsockname()[0])


if __name__ == "__main__":
    sys.exit(main())
