"""How does the car fare while its server is flooded from beside?

A simulator drives over a real drive.py, frame by frame with two in flight as the stock
one does, while another process floods the same port in every way at once: unfinished
frames, slow bodies, silent sockets, pings, pictures of foreign pages, connections
without end. Then a new simulator connects. Measured are the time from each telemetry to
its answer, and the memory of drive.py before, meanwhile and afterwards.

    python benchmarks/flood.py
    python benchmarks/flood.py models/both/model.json --seconds 60
    python benchmarks/flood.py --ways pings images

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

HOSTILE = ROOT / "tests" / "hostile_client.py"
FRAGMENT_BYTES = 1016
# As the stock simulator draws, nearly.
FRAMES_PER_S = 30.0


@dataclass
class Simulator:
    """Drives in a thread: two frames in flight, each sent when one is answered."""

    port: int
    packet: str
    times_ms: list[float] = field(default_factory=list)
    """From each telemetry to its answer."""
    longest_gap_ms: float = 0.0
    """The longest time between two answers."""
    sent: int = 0
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Read what is still to be answered, and leave."""
        self._is_over.set()
        self._thread.join()
        if self.error:
            raise self.error

    def _run(self) -> None:
        try:
            with connect_simulator(self.port) as client:
                self._drive(client)
        except BaseException as error:
            self.error = error

    def _drive(self, client: ClientConnection) -> None:
        sent_s: deque[float] = deque()
        due_s = answered_s = time.perf_counter()
        while not self._is_over.is_set():
            due_s = max(due_s + 1 / FRAMES_PER_S, time.perf_counter() - 1)
            while len(sent_s) < 2:
                sent_s.append(time.perf_counter())
                send_frame(client, self.packet)
                self.sent += 1
            while sent_s:
                next_answer(client)
                now_s = time.perf_counter()
                self.times_ms.append(1e3 * (now_s - sent_s.popleft()))
                gap_ms = 1e3 * (now_s - answered_s)
                self.longest_gap_ms = max(self.longest_gap_ms, gap_ms)
                answered_s = now_s
            time.sleep(max(0.0, due_s - time.perf_counter()))


def connect_simulator(port: int) -> ClientConnection:
    """Connect as the stock simulator does, which tries again for ever."""
    url, until_s = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket", 30.0
    until_s += time.monotonic()
    while True:
        try:
            client = connect(url, compression=None, legacy=True)
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            return client
        except (OSError, EOFError, WebSocketException) as error:
            if time.monotonic() > until_s:
                raise TimeoutError("no simulator can connect") from error


def send_frame(client: ClientConnection, packet: str) -> None:
    starts = range(0, len(packet), FRAGMENT_BYTES)
    client.send([packet[start : start + FRAGMENT_BYTES] for start in starts])


def next_answer(client: ClientConnection) -> None:
    while not str(message := client.recv(timeout=30)).startswith("42"):
        if message == "2":  # Without a pong the server gives us up.
            client.send("3")


@dataclass
class Server:
    """A drive.py that runs."""

    port: int
    process: psutil.Process
    log_path: Path
    peak_bytes: int = 0

    def resident_bytes(self) -> int:
        return self.process.memory_info().rss

    def connections(self) -> int:
        """Return the number of its open connections."""
        found = self.process.net_connections("tcp")
        return sum(each.status == "ESTABLISHED" for each in found)


@contextmanager
def driving(model: Path, log_path: Path) -> Iterator[Server]:
    """Run drive.py on a free port; watch its memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, ROOT / "drive.py", model, "--port", str(port)]
    with log_path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=log_path.parent, text=True
        )
    deadline_s = time.monotonic() + 60
    while "cockpit:" not in log_path.read_text(encoding="utf-8"):
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.1)
    server = Server(port, psutil.Process(process.pid), log_path)
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.1):
            server.peak_bytes = max(server.peak_bytes, server.resident_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield server
    finally:
        is_over.set()
        watching.join()
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()


@contextmanager
def flooded(port: int, ways: list[str]) -> Iterator[None]:
    """Flood a port from another process."""
    process = subprocess.Popen(
        [sys.executable, HOSTILE, str(port), *ways], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline().startswith("flooding")
    try:
        yield
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=20)


def make_packet() -> str:
    from running_drive import make_jpegs, telemetry

    return telemetry(make_jpegs(1)[0])


def measure(server: Server, seconds: float, ways: list[str], packet: str) -> dict:
    """Drive without and with a flood beside, then connect anew; return the figures."""
    quiet = Simulator(server.port, packet)
    time.sleep(3)
    quiet.stop()
    # The second memory: of a server that has warmed up.
    before_bytes = server.peak_bytes = server.resident_bytes()
    before_connections = server.connections()
    beside = Simulator(server.port, packet)
    time.sleep(0.5)
    with flooded(server.port, ways):
        time.sleep(seconds)
        arriving_s = time.perf_counter()
        try:
            connect_simulator(server.port).close()
        except TimeoutError as e:
            print(repr(e))
        arrived_s = time.perf_counter()
    beside.stop()
    peak_bytes = server.peak_bytes
    with connect_simulator(server.port) as client:
        began_s = time.perf_counter()
        send_frame(client, packet)
        next_answer(client)
        first_ms = 1e3 * (time.perf_counter() - began_s)
    # Whoever has read nothing, or has left a message unfinished, is closed after 10 s.
    deadline_s = time.monotonic() + 40
    while server.connections() > before_connections and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return {
        "seconds": seconds,
        "quiet": figures(quiet),
        "flooded": figures(beside),
        "connected_during_the_flood_s": round(arrived_s - arriving_s, 2),
        "first_answer_afterwards_ms": round(first_ms, 1),
        "memory_before_mb": round(before_bytes / 1e6, 1),
        "memory_peak_mb": round(peak_bytes / 1e6, 1),
        "memory_afterwards_mb": round(server.resident_bytes() / 1e6, 1),
        "connections_left": server.connections() - before_connections,
    }


def figures(simulator: Simulator) -> dict[str, float]:
    p50, p99 = np.percentile(simulator.times_ms, [50, 99])
    return {
        "sent": simulator.sent,
        "answered": len(simulator.times_ms),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "longest_answer_ms": round(max(simulator.times_ms), 1),
        "longest_gap_ms": round(simulator.longest_gap_ms, 1),
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", type=Path, help="model.json (default: untrained)")
    add("--seconds", type=float, default=20.0, help="of flood (default: 20)")
    ways = "ways of tests/hostile_client.py (default: all at once)"
    add("--ways", nargs="*", default=[], metavar="WAY", help=ways)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        model = args.model or untrained(Path(folder, "model"))
        with driving(model.resolve(), Path(folder, "log.txt")) as server:
            found = measure(server, args.seconds, args.ways, make_packet())
    print(f"{'answers':<20}{'sent':>8}{'p50':>11}{'p99':>11}{'longest':>11}{'gap':>11}")
    for name in ("quiet", "flooded"):
        row = found[name]
        print(f"{name:<20}{row['sent']:>8}", end="")
        for key in ("p50_ms", "p99_ms", "longest_answer_ms", "longest_gap_ms"):
            print(f"{row[key]:>8} ms", end="")
        print()
    for when in ("before", "peak", "afterwards"):
        print(f"memory {when:<13}{found[f'memory_{when}_mb']:>8} MB")
    print(json.dumps(found))
    return 0


def untrained(folder: Path) -> Path:
    from model import build_model
    from network.files import save_model

    folder.mkdir()
    return save_model(build_model("default"), folder)


if __name__ == "__main__":
    sys.exit(main())
