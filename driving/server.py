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
from typing import TYPE_CHECKING

from driving.dialect import MOST_WEBSOCKET_BYTES, HostGuard, SimulatorDialect
from driving.pilot import FULL_BRAKE, STOP, Command, Pilot
from driving.report import DriveReport
from driving.telemetry import Telemetry, UnusableTelemetry, steer_answer
from driving.wheel import Choice, Wheel, holding_throttle

if TYPE_CHECKING:
    import numpy as np

    from driving.cockpit.app import Cockpit
    from driving.corrections import Corrections
    from driving.recorder import DriveRecorder

logger = logging.getLogger(__name__)

# More at once than anybody drives: each that connects has a pilot of its own.
MOST_SIMULATORS = 16
# A simulator that says nothing for this time gives its turn to another that waits.
SILENT_S = 3.0
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
    is_told_to_wait: bool = False
    """Another simulator drives."""


@dataclass(frozen=True, eq=False)
class Moment:
    """What the car saw last, and what it was told."""

    jpeg: bytes
    """As it arrived."""
    frame: np.ndarray
    """uint8 RGB (160, 320, 3)."""
    speed_mph: float
    target_mph: float
    choice: Choice


class DriveServer:
    """Answers every telemetry event of every simulator exactly once, in order.

    One simulator drives at a time; others are told to stand, and wait for their turn.

    Args:
        make_pilot: makes a pilot for each simulator, so that their speeds do not mix.
        recorder: writes down the drive; None writes nothing.
        corrections: writes down what a person drives; None writes nothing.
    """

    def __init__(
        self,
        make_pilot: Callable[[], Pilot],
        recorder: DriveRecorder | None = None,
        corrections: Corrections | None = None,
    ) -> None:
        import socketio

        self.make_pilot = make_pilot
        self.recorder = recorder
        self.corrections = corrections
        self.report = DriveReport()
        self.wheel = Wheel()
        self.clients: dict[str, Client] = {}
        self.driving: str | None = None
        """Session of the simulator whose turn it is."""
        self.newest: Moment | None = None
        self.on_answer: Callable[[], object] = lambda: None
        """Called after each answer."""
        self.replay: str | None = None
        """Recording that is shown instead of a drive; simulators wait meanwhile."""
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
        self.dialect = SimulatorDialect(socketio.ASGIApp(self.socketio))
        """The ASGI app that simulators speak to."""

    async def _on_connect(self, sid: str, *_: object) -> bool:
        if len(self.clients) >= MOST_SIMULATORS:
            self._say_once("a simulator was refused", "there are too many")
            return False
        self.clients[sid] = Client(self.make_pilot())
        logger.info("a simulator has connected")
        return True

    async def _on_disconnect(self, sid: str, *_: object) -> None:
        if self.clients.pop(sid, None):
            logger.info("a simulator has disconnected")
        if sid == self.driving:
            self.driving = None

    async def _on_telemetry(self, sid: str, data: object = None, *_: object) -> None:
        arrived_s = time.perf_counter()
        client, report = self.clients[sid], self.report
        dt_s = arrived_s - (client.last_packet_s or arrived_s)
        client.last_packet_s = arrived_s
        loop = asyncio.get_running_loop()
        if not self._has_turn(sid, client, arrived_s):
            command = await loop.run_in_executor(self._worker, _stand, client, data)
            await self._steer(sid, client, command)
            return
        report.elapsed_s += dt_s
        if data is None or data == {}:
            # Null: a person holds W or S. The simulator waits for this answer.
            report.manual += 1
            report.interventions += not client.is_manual
            client.is_manual = True
            await self.socketio.emit("manual", {}, to=sid)
            self.on_answer()
            return
        client.is_manual = False
        command = await loop.run_in_executor(
            self._worker, self._answer, client, data, dt_s
        )
        await self._steer(sid, client, STOP if self.is_stopping else command)
        report.latencies_ms.append(1e3 * (time.perf_counter() - arrived_s))
        self.on_answer()

    def simulator_state(self) -> str:
        """Return "waiting", "driving", "manual" (W or S is held), or "replay"."""
        if self.replay:
            return "replay"
        client = self.clients.get(self.driving or "")
        if client:
            return "manual" if client.is_manual else "driving"
        return "waiting"

    def message(self) -> str:
        """Return what a person should know besides, "" for nothing."""
        if self.replay:
            return f"{self.replay}, the person's steering as it was recorded"
        waiting = any(client.is_told_to_wait for client in self.clients.values())
        return "another simulator waits: one drives at a time" if waiting else ""

    def _has_turn(self, sid: str, client: Client, now_s: float) -> bool:
        """Say whether a simulator drives; it is promoted where no other does."""
        other = self.clients.get(self.driving or "")
        is_taken = other and now_s - (other.last_packet_s or 0.0) < SILENT_S
        if self.replay or (is_taken and other is not client):
            if not client.is_told_to_wait:
                logger.warning("a simulator has to wait: one drives at a time")
            client.is_told_to_wait = True
            return False
        if client.is_told_to_wait:
            logger.info("the simulator that waited drives now")
            client.is_told_to_wait = False
        self.driving = sid
        return True

    async def _steer(self, sid: str, client: Client, command: Command) -> None:
        answer = steer_answer(command.steering, command.throttle, client.decimal_mark)
        await self.socketio.emit("steer", answer, to=sid)

    def _answer(self, client: Client, data: object, dt_s: float) -> Command:
        """Return the command for a telemetry event; the brake whatever goes wrong."""
        try:
            telemetry = Telemetry.from_event(data, client.decimal_mark)
            client.decimal_mark = telemetry.decimal_mark
            command = self._drive(client.pilot, telemetry, dt_s)
        except UnusableTelemetry as error:
            self.report.unusable += 1
            self._say_once("telemetry that cannot be used, braking", error)
        except Exception as error:  # The car must not drive on whatever fails here.
            self.report.faults += 1
            self._say_once("the pilot failed, braking", error, trace=True)
        else:
            self.report.add_driven(telemetry.speed_mph, dt_s)
            client.braking_s = 0.0
            return command
        client.braking_s += dt_s
        return FULL_BRAKE if client.braking_s < MOST_BRAKING_S else STOP

    def _drive(self, pilot: Pilot, telemetry: Telemetry, dt_s: float) -> Command:
        """Return what the model, or the person who has taken the wheel, does."""
        frame, speed_mph = telemetry.frame(), telemetry.speed_mph
        controller, target_mph = pilot.speed_controller, self.wheel.target_mph
        if target_mph is not None:
            controller.target_mph = target_mph
        by_model = pilot(frame, speed_mph, dt_s)
        # The person is looked for last, to be obeyed in this very answer.
        choice = self.wheel.choose(by_model, speed_mph, time.perf_counter())
        if choice.is_give_back:
            controller.reset()
        self.report.interventions += choice.is_intervention
        command = STOP if self.is_stopping else choice.command
        if self.recorder:
            self.recorder.add(telemetry.jpeg, speed_mph, command)
        if self.corrections and not self.is_stopping:
            self.corrections.add(telemetry.jpeg, speed_mph, choice)
        target_mph = controller.target_mph
        self.newest = Moment(telemetry.jpeg, frame, speed_mph, target_mph, choice)
        return command

    def _say_once(self, what: str, why: Exception | str, trace: bool = False) -> None:
        """Log the first of each kind of trouble; later ones are only counted."""
        kind = f"{what} {type(why).__name__}"
        self._said[kind] += 1
        if self._said[kind] == 1:
            logger.warning("%s: %s; more will be counted", what, why, exc_info=trace)

    async def stop_cars(self) -> None:
        """Tell every car to stop; from now on every answer says so.

        A simulator keeps its last command for ever, also when the server is gone.
        """
        self.is_stopping = True
        for sid, client in list(self.clients.items()):
            await self._steer(sid, client, STOP)
        await asyncio.sleep(0.1)


def _stand(client: Client, data: object) -> Command:
    """Return what keeps a simulator standing whose turn it is not."""
    try:
        telemetry = Telemetry.from_event(data, client.decimal_mark)
    except UnusableTelemetry:
        return STOP
    client.decimal_mark = telemetry.decimal_mark
    return Command(0.0, holding_throttle(telemetry.speed_mph))


async def serve(
    server: DriveServer,
    listener: socket.socket,
    stop: asyncio.Event,
    on_started: Callable[[], object],
    cockpit: Cockpit | None = None,
) -> None:
    """Serve until `stop` is set, then stop the cars and close.

    Args:
        server: of the drive.
        listener: a listening socket, from wire.listen.
        stop: set to end.
        on_started: called when simulators are served.
        cockpit: the page; None serves simulators only.
    """
    import uvicorn

    from driving.port import BoundedHttp, BoundedWebSocket

    class WebServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # Its own handlers would close the connections before the cars have stopped.
            yield

    config = uvicorn.Config(
        HostGuard(cockpit or server.dialect),
        loop="asyncio",
        http=BoundedHttp,
        ws=BoundedWebSocket,
        ws_max_size=MOST_WEBSOCKET_BYTES,
        # Pictures are compressed; doing it again costs more than it sends.
        ws_per_message_deflate=False,
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    web = WebServer(config)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    while not web.started and not serving.done():
        await asyncio.sleep(0.01)
    if cockpit:
        cockpit.on_end = stop.set
    on_started()
    tasks = [asyncio.create_task(stop.wait()), serving]
    status = asyncio.create_task(_print_status(server))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    status.cancel()
    if cockpit:
        cockpit.end()
    await server.stop_cars()
    web.should_exit = True
    await serving


async def _print_status(server: DriveServer) -> None:
    """Say every second how it goes, or every ten what to do."""
    report, said_waiting_s, before = server.report, float("-inf"), (0, time.monotonic())
    while True:
        await asyncio.sleep(1)
        now = (report.answered, time.monotonic())
        if not server.clients and not server.replay:
            if now[1] - said_waiting_s > 10:
                logger.info(WAITING)
                said_waiting_s = now[1]
        elif now[0] > before[0]:
            rate = (now[0] - before[0]) / (now[1] - before[1])
            logger.info(report.status(rate))
        before = now
