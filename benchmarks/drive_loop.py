"""How long does the drive server take for a frame, and what does its design give?

A client sends frames as the stock simulator does (pieces of 1016 bytes, Nagle on) to a
real server in this process, one at a time, and waits for each answer: the round trip
holds the transport, JSON, JPEG, inference and the answer. In turns, in one run: this
project's compiled inference beside the usual `model.predict`, and TCP segments
acknowledged at once beside the system's default.

    python benchmarks/drive_loop.py
    python benchmarks/drive_loop.py models/both/model.json --frames 2000

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FRAGMENT_BYTES = 1016


@contextmanager
def running(predict: Callable, quick_ack: bool) -> Iterator[str]:
    """Serve in a thread; yield the address that the simulator would use."""
    from drive_server import DriveServer, serve
    from pilot import Pilot, SpeedController
    from wire import listen

    listener = listen("127.0.0.1", 0, quick_ack)
    server = DriveServer(lambda: Pilot(predict, SpeedController(15.0)))
    started, handles = threading.Event(), {}

    async def run() -> None:
        handles["stop"] = asyncio.Event()
        handles["loop"] = asyncio.get_running_loop()
        with listener:
            await serve(server, listener, handles["stop"], started.set)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    started.wait()
    port = listener.getsockname()[1]
    yield f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    handles["loop"].call_soon_threadsafe(handles["stop"].set)
    thread.join()


def round_trips_ms(url: str, packets: list[str], num_frames: int) -> list[float]:
    """Return the time from sending each frame to having its answer."""
    times = []
    with connect(url) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        for i in range(num_frames + 20):
            packet = packets[i % len(packets)]
            pieces = [
                packet[k : k + FRAGMENT_BYTES]
                for k in range(0, len(packet), FRAGMENT_BYTES)
            ]
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
    return [
        "42"
        + json.dumps(
            ["telemetry", {**numbers, "image": base64.b64encode(frame).decode()}]
        )
        for frame in frames
    ]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure the drive server's round trips, frame by frame.",
        epilog="Example:\n  python benchmarks/drive_loop.py --frames 2000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", type=Path, help="(default: untrained)")
    parser.add_argument(
        "--images",
        type=Path,
        default=ROOT / "data" / "sample" / "IMG",
        help="folder of center_*.jpg to send (default: data/sample/IMG)",
    )
    parser.add_argument("--frames", type=int, default=400, help="of each row, a round")
    parser.add_argument("--rounds", type=int, default=3, help="in turns")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    from model import build_model, load_model, make_predictor

    model = load_model(args.model) if args.model else build_model("default")
    compiled = make_predictor(model)

    def usual(frame: np.ndarray) -> float:
        return float(model.predict(frame[None], verbose=0)[0, 0])

    rows = {
        "this server": (compiled, True),
        "without quick acknowledgement": (compiled, False),
        "with the usual model.predict": (usual, True),
        "no model at all": (lambda _: 0.0, True),
    }
    packets = make_packets(args.images)
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(args.rounds):
        for name, (predict, quick_ack) in rows.items():
            with running(predict, quick_ack) as url:
                times[name] += round_trips_ms(url, packets, args.frames)
    print(f"{'round trip of a frame':<32}{'p50':>9}{'p99':>9}{'frames/s':>11}")
    results = {}
    for name, found in times.items():
        p50, p99 = statistics.median(found), float(np.percentile(found, 99))
        results[name] = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        rate = 1000 / statistics.fmean(found)
        print(f"{name:<32}{p50:>6.2f} ms{p99:>6.2f} ms{rate:>11.0f}")
    print(json.dumps({"frames": args.frames * args.rounds, "round_trip": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
