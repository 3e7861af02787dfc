"""How long does the drive server take for a frame, and what does its design give?

A client sends frames as the stock simulator does (pieces of 1016 bytes, Nagle on) to a
real server in this process, one at a time, and waits for each answer: the round trip
holds the transport, JSON, JPEG, inference and the answer. In turns, in one run: this
model, as its exported copy where train.py has left one, beside Keras's compiled and its
usual inference, and TCP segments acknowledged at once beside the system's default.

    python benchmarks/drive_loop.py
    python benchmarks/drive_loop.py models/both/model.json --frames 2000

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.car import FRAME_SHAPE
from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow
from drive import serve
from driving.cockpit.app import Cockpit
from driving.cockpit.drawing import DrawingProcess
from driving.cockpit.heat_map import HeatMap
from driving.port import listen
from driving.server import DriveServer
from network.files import BASE_MODEL

ROOT = Path(__file__).resolve().parents[1]
FRAGMENT_BYTES = 1016


@contextmanager
def running(
    predict: Callable, quick_ack: bool = True, draw: Callable | None = None
) -> Iterator[str]:
    """Serve in a thread; yield host and port."""
    listener = listen("127.0.0.1", 0, quick_ack)
    cockpit = Cockpit(DriveServer(predict, 15.0), HeatMap(draw) if draw else None)
    started, handles = threading.Event(), {}

    async def run() -> None:
        handles["stop"] = asyncio.Event()
        handles["loop"] = asyncio.get_running_loop()
        started.set()
        with listener:
            await serve(cockpit, listener, handles["stop"], asyncio.Event())

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    started.wait()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    handles["loop"].call_soon_threadsafe(handles["stop"].set)
    thread.join()


@contextmanager
def watching(host: str, num_pages: int, wants_heat: bool) -> Iterator[None]:
    """Watch with pages, in a process of their own as browsers are."""
    if not num_pages:
        yield
        return
    command = [sys.executable, __file__, "--watch", host, "--pages", str(num_pages)]
    pages = subprocess.Popen(
        command + ["--heat"] * wants_heat, stdout=subprocess.PIPE, text=True
    )
    assert pages.stdout
    pages.stdout.readline()
    yield
    pages.terminate()
    pages.communicate()


def watch(host: str, num_pages: int, wants_heat: bool) -> None:
    """Read what pages are sent, for ever."""

    def read() -> None:
        with connect(f"ws://{host}/cockpit", origin=f"http://{host}") as page:
            page.send(json.dumps({"type": "heat_map", "on": wants_heat}))
            is_open.release()
            for _ in page:
                pass

    is_open = threading.Semaphore(0)
    for _ in range(num_pages):
        threading.Thread(target=read, daemon=True).start()
    for _ in range(num_pages):
        is_open.acquire()
    print("open", flush=True)
    signal.pause()


def round_trips_ms(
    host: str, packets: list[str], num_frames: int, frames_per_s: float = 0.0
) -> list[float]:
    """Return the time from sending each frame to having its answer.

    With frames_per_s 0 the next one is sent as soon as one is answered.
    """
    url, times = f"ws://{host}/socket.io/?EIO=4&transport=websocket", []
    with connect(url, compression=None) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        due_s = time.perf_counter()
        for i in range(num_frames + 20):
            due_s += 1 / frames_per_s if frames_per_s else 0.0
            time.sleep(max(0.0, due_s - time.perf_counter()))
            packet = packets[i % len(packets)]
            starts = range(0, len(packet), FRAGMENT_BYTES)
            pieces = [packet[k : k + FRAGMENT_BYTES] for k in starts]
            started = time.perf_counter()
            client.send(pieces)
            while not (message := client.recv(timeout=10)).startswith("42"):
                if message == "2":  # Without a pong the server gives us up.
                    client.send("3")
            if i >= 20:  # The first ones warm everything up.
                times.append(1e3 * (time.perf_counter() - started))
    return times


def make_packets(images: Path | None) -> list[str]:
    """Return telemetry packets of real frames, or of noise where there are none."""
    paths = sorted(images.glob("center_*.jpg"))[:200] if images else []
    frames = [path.read_bytes() for path in paths]
    if not frames:
        noise = np.random.default_rng(0).integers(0, 255, (160, 320, 3), dtype=np.uint8)
        blurred = cv2.GaussianBlur(noise, (0, 0), 1.5)
        frames = [cv2.imencode(".jpg", blurred)[1].tobytes()]
    numbers = {"steering_angle": "0.0000", "throttle": "0.1000", "speed": "12.0000"}
    images64 = [base64.b64encode(frame).decode() for frame in frames]
    return [
        "42" + json.dumps(["telemetry", {**numbers, "image": image}])
        for image in images64
    ]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        type=Path,
        default=BASE_MODEL,
        help="(default: the base model)",
    )
    images = "folder of center_*.jpg to send (default: data/sample/IMG)"
    add("--images", type=Path, default=ROOT / "data" / "sample" / "IMG", help=images)
    add("--frames", type=int, default=400, help="frames a row and round (default: 400)")
    add("--rounds", type=int, default=3, help="rounds, all rows in turns (default: 3)")
    pages = "pages of a server that runs, and nothing else"
    add = parser.add_argument_group(pages).add_argument
    add("--watch", metavar="HOST", help="host and port of the server")
    add("--pages", type=int, default=1, help="number of pages (default: 1)")
    add("--heat", action="store_true", help="ask for heat maps")
    return parser.parse_args(argv)


# With pages, frames come as from the stock simulator, not as fast as they can: what is
# measured is a page's cost to a drive.
FRAMES_PER_S = 60.0
PAGES = {
    f"{pages} pages{', heat map' * heat}": (pages, heat)
    for pages in (0, 1, 5)
    for heat in (False, True)
    if pages or not heat
}


def measure_pages(
    predict: Callable, draw: Callable, packets: list[str], args: argparse.Namespace
) -> dict[str, list[float]]:
    """Return round trips with pages open, one server for all."""
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    with running(predict, draw=draw) as host:
        for _ in range(args.rounds):
            for name, (pages, wants_heat) in PAGES.items():
                with watching(host, pages, wants_heat):
                    found = round_trips_ms(host, packets, args.frames, FRAMES_PER_S)
                times[name] += found
    return times


def print_table(title: str, times: dict[str, list[float]]) -> dict[str, dict]:
    """Print a row for each; return the figures."""
    print(f"{title:<32}{'p50':>9}{'p99':>9}{'mean':>9}")
    results = {}
    for name, found in times.items():
        p50, p99 = statistics.median(found), float(np.percentile(found, 99))
        mean = statistics.fmean(found)
        results[name] = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        print(f"{name:<32}{p50:>6.2f} ms{p99:>6.2f} ms{mean:>6.2f} ms")
    return results


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.watch:
        watch(args.watch, args.pages, args.heat)
    quiet_tensorflow()
    from model import load_predictor, make_predictor
    from network.files import load_model

    model, served = load_model(args.model), load_predictor(args.model)
    gc.collect()
    gc.freeze()  # As drive.py does.

    def usual(frame: np.ndarray) -> float:
        return float(model.predict(frame[None], verbose=0)[0, 0])

    rows = {
        "this server": (served, True),
        "without quick acknowledgement": (served, False),
        "with the model in Keras, compiled": (make_predictor(model), True),
        "with the usual model.predict": (usual, True),
        "no model at all": (lambda _: 0.0, True),
    }
    packets = make_packets(args.images)
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(args.rounds):
        for name, (predict, quick_ack) in rows.items():
            with running(predict, quick_ack) as host:
                times[name] += round_trips_ms(host, packets, args.frames)
    results = print_table("round trip of a frame", times)
    draw = DrawingProcess(args.model)
    draw(np.zeros(FRAME_SHAPE, np.uint8))  # Loads TensorFlow.
    times = measure_pages(served, draw, packets, args)
    results |= print_table(f"at {FRAMES_PER_S:g} frames/s, with", times)
    print(json.dumps({"frames": args.frames * args.rounds, "round_trip": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
