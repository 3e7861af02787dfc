"""The Socket.IO server that drives the simulator: one answer to every telemetry.

drive.py is its command line; wire.py holds what is peculiar to the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drive_report import DriveReport
from pilot import FULL_BRAKE, STOP, Command, Pilot

if TYPE_CHECKING:
    from drive_recorder import DriveRecorder

logger = logging.getLogger(__name__)

WAITING = "waiting for the simulator: start it and choose Autonomous mode"
# The simulator's car stops from its 30 mph in 2.2 s. A car that stands and is told to
# brake drives backwards, so on faults that last the pedal is let go after that.
MOST_BRAKING_S = 3.0


@dataclass
class Client:
    """One connected simulator."""

    pilot: Pilot
    decimal_mark: str = "."
    is_manual: bool = False
    last_packet_s: float | None = None
    """When its last telemetry came, on perf_counter's clock."""
    braking_s: float = 0.0
    """Since when it has been told to brake because of a fault."""


class DriveServer:
    """Answers every telemetry event of every simulator exactly once, in order.

    Args:
        make_pilot: makes a pilot for each simulator, so that their speeds do not mix.
        recorder: writes down the drive; None writes nothing.
    """

    def __init__(
        self, make_pilot: Callable[[], Pilot], recorder: DriveRecorder | None = None
    ) -> None:
        import socketio

        self.make_pilot = make_pilot
        self.recorder = recorder
        self.report = DriveReport()
        self.clients: dict[str, Client] = {}
        self.is_stopping = False
        self._said: Counter[str] = Counter()
        # One worker: frames are answered in order while the loop answers pings.
        self._worker = ThreadPoolExecutor(1, "pilot")
        # async_handlers would answer the two frames in flight in any order. By default
        # web pages of other origins are refused; the simulator sends no origin at all.
        # Its own json module refuses long integers, which would leave them unanswered.
        self.socketio = socketio.AsyncServer(
            async_mode="asgi", async_handlers=False, json=json
        )
        self.socketio.on("connect", self._on_connect)
        self.socketio.on("disconnect", self._on_disconnect)
        self.socketio.on("telemetry", self._on_telemetry)

    def app(self) -> Any:
        """Return the ASGI app to serve."""
        import socketio

        from wire import SimulatorDialect

        return SimulatorDialect(socketio.ASGIApp(self.socketio))

    async def _on_connect(self, sid: str, *_: object) -> None:
        self.clients[sid] = Client(self.make_pilot())
        logger.info("a simulator has connected")

    async def _on_disconnect(self, sid: str, *_: object) -> None:
        self.clients.pop(sid, None)
        logger.info("a simulator has disconnected")

    async def _on_telemetry(self, sid: str, data: object = None, *_: object) -> None:
        arrived_s = time.perf_counter()
        client, report = self.clients[sid], self.report
        dt_s = arrived_s - (client.last_packet_s or arrived_s)
        client.last_packet_s = arrived_s
        report.elapsed_s += dt_s
        if data is None or data == {}:
            # Null: a person holds W or S. The simulator waits for this answer.
            report.manual += 1
            report.interventions += not client.is_manual
            client.is_manual = True
            await self.socketio.emit("manual", {}, to=sid)
            return
        client.is_manual = False
        # With several simulators the newest is recorded: their frames never mix.
        is_recorded = client is next(reversed(self.clients.values()))
        loop = asyncio.get_running_loop()
        command = await loop.run_in_executor(
            self._worker, self._answer, client, data, dt_s, is_recorded
        )
        await self._steer(sid, client, STOP if self.is_stopping else command)
        report.latencies_ms.append(1e3 * (time.perf_counter() - arrived_s))

    async def _steer(self, sid: str, client: Client, command: Command) -> None:
        from telemetry import steer_answer

        answer = steer_answer(command.steering, command.throttle, client.decimal_mark)
        await self.socketio.emit("steer", answer, to=sid)

    def _answer(
        self, client: Client, data: object, dt_s: float, is_recorded: bool
    ) -> Command:
        """Return the command for a telemetry event; the brake whatever goes wrong."""
        from telemetry import Telemetry, UnusableTelemetry

        try:
            telemetry = Telemetry.from_event(data, client.decimal_mark)
            client.decimal_mark = telemetry.decimal_mark
            command = client.pilot(telemetry.frame(), telemetry.speed_mph, dt_s)
            command = STOP if self.is_stopping else command
        except UnusableTelemetry as error:
            self.report.unusable += 1
            self._say_once("telemetry that cannot be used, braking", error)
        except Exception as error:  # The car must not drive on whatever fails here.
            self.report.faults += 1
            self._say_once("the pilot failed, braking", error, trace=True)
        else:
            self.report.frames += 1
            client.braking_s = 0.0
            if self.recorder and is_recorded:
                self.recorder.add(telemetry.jpeg, telemetry.speed_mph, command)
            return command
        client.braking_s += dt_s
        return FULL_BRAKE if client.braking_s < MOST_BRAKING_S else STOP

    def _say_once(self, what: str, error: Exception, trace: bool = False) -> None:
        """Log the first of each kind of trouble; later ones are only counted."""
        self._said[f"{what} {type(error).__name__}"] += 1
        if self._said[f"{what} {type(error).__name__}"] == 1:
            logger.warning("%s: %s; more will be counted", what, error, exc_info=trace)

    async def stop_cars(self) -> None:
        """Tell every car to stop; from now on every answer says so.

        A simulator keeps its last command for ever, also when the server is gone.
        """
        self.is_stopping = True
        for sid, client in list(self.clients.items()):
            await self._steer(sid, client, STOP)
        await asyncio.sleep(0.1)


async def serve(
    server: DriveServer,
    listener: socket.socket,
    stop: asyncio.Event,
    on_started: Callable[[], object],
) -> None:
    """Serve until `stop` is set, then stop the cars and close.

    Args:
        server: of the drive.
        listener: a listening socket, from wire.listen.
        stop: set to end.
        on_started: called when simulators are served.
    """
    import uvicorn

    from wire import MOST_WEBSOCKET_BYTES

    class WebServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # Its own handlers would close the connections before the cars have stopped.
            yield

    config = uvicorn.Config(
        server.app(),
        loop="asyncio",
        ws="websockets-sansio",
        ws_max_size=MOST_WEBSOCKET_BYTES,
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    web = WebServer(config)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    while not web.started and not serving.done():
        await asyncio.sleep(0.01)
    on_started()
    tasks = [asyncio.create_task(stop.wait()), serving]
    status = asyncio.create_task(_print_status(server))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    status.cancel()
    await server.stop_cars()
    web.should_exit = True
    await serving


async def _print_status(server: DriveServer) -> None:
    """Say every second how it goes, or every ten what to do."""
    report, said_waiting_s, before = server.report, float("-inf"), (0, time.monotonic())
    while True:
        await asyncio.sleep(1)
        now = (report.answered, time.monotonic())
        if not server.clients:
            if now[1] - said_waiting_s > 10:
                logger.info(WAITING)
                said_waiting_s = now[1]
        elif now[0] > before[0]:
            rate = (now[0] - before[0]) / (now[1] - before[1])
            logger.info(report.status(rate))
        before = now
