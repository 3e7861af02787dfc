"""Drive the Udacity simulator with a trained model.

    python drive.py models/both/model.json

Then start the simulator and choose Autonomous mode. The server waits on 127.0.0.1:4567,
where the simulator looks for it; wire.py holds what is peculiar to that simulator.
Ctrl+C stops the car and prints how the drive went, with NVIDIA's autonomy.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dataset import InputError
from pilot import Pilot, SpeedController

if TYPE_CHECKING:
    import numpy as np

    from drive_report import DriveReport
    from drive_server import DriveServer

logger = logging.getLogger(__name__)

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
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="write the drive as a recording"
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
        "another one opens the port to the network (default: %(default)s)",
    )
    return parser.parse_args(argv)


def open_port(host: str, port: int) -> socket.socket:
    """Listen, or say why that is not possible.

    Raises:
        InputError: the port is taken, or the address is none of this machine.
    """
    from wire import listen

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
        report = _drive(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped before the model was loaded", file=sys.stderr)
        return 1
    print(json.dumps(report.document()) if args.json else report.summary())
    return 0


def _drive(args: argparse.Namespace) -> DriveReport:
    """Load the model, serve it until Ctrl+C, and return how it went."""
    from drive_recorder import DriveRecorder, check_new
    from drive_server import DriveServer

    SpeedController(args.speed)
    if args.record:
        check_new(args.record)
    with open_port(args.host, args.port) as listener:
        if args.host not in ("127.0.0.1", "localhost", "::1"):
            logger.warning("anybody who reaches %s can see and steer", args.host)
        logger.info("loading %s, to hold %g mph", args.model, args.speed)
        # OpenCV reads it when it is first imported, with the first frame.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
        predict = load_predictor(args.model)
        recorder = DriveRecorder(args.record) if args.record else None
        server = DriveServer(
            lambda: Pilot(predict, SpeedController(args.speed)), recorder
        )
        asyncio.run(_serve_until_signal(server, listener))
    return server.report


def load_predictor(path: Path) -> Callable[[np.ndarray], float]:
    """Return what steers by a frame, of a model.json or of an exported model.

    Raises:
        InputError: the model cannot be loaded.
    """
    from exported_model import is_exported, load_exported

    if is_exported(path):
        return load_exported(path)
    from model import load_model, make_predictor, quiet_tensorflow

    quiet_tensorflow()
    return make_predictor(load_model(path))


async def _serve_until_signal(server: DriveServer, listener: socket.socket) -> None:
    from drive_server import serve

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    host, port = listener.getsockname()[:2]
    try:
        await serve(
            server,
            listener,
            stop,
            lambda: logger.info("listening on %s:%d; Ctrl+C stops it", host, port),
        )
    finally:
        if recorder := server.recorder:
            recorder.close()
            logger.info("recorded %d frames in %s", recorder.written, recorder.folder)
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
