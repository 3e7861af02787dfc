"""The Socket.IO server that drives the simulator: one answer to every telemetry.

drive.py is its command; dialect.py meets what is peculiar to the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, deque
from dataclasses import replace

import socketio

from driving.client import MOST_BRAKING_S, Client
from driving.corrections import Corrections
from driving.dialect import SimulatorDialect
from driving.moment import Moment, News, Seen
from driving.pilot import STOP, Command, Pilot, pilot_of
from driving.recorder import DriveRecorder
from driving.recovery import STANDS_S, Recovery
from driving.report import STUCK_S, DriveReport
from driving.sessions import CONNECTION, ROOT, Sessions
from driving.telemetry import Telemetry, UnusableTelemetry, speed_of, steer_answer
from driving.wheel import MODEL, STANDING_MPH, Choice, Wheel, holding_throttle
from driving.worker import Worker
from network.answer import Predict

logger = logging.getLogger(__name__)

# More at once than anybody drives: each that connects has a pilot of its own.
MOST_SIMULATORS = 16
# A simulator that says nothing for this time gives its turn to another that waits.
SILENT_S = 3.0
# Lines on simulators that come and go, in a time; who floods could write without end.
MOST_TOLD, TOLD_AGAIN_S = 20, 60.0
WAITING = "waiting for the simulator: start it and choose Autonomous mode"
# What is not answered by then is answered with the brake: at 30 mph the car has gone
# 7 m, and the simulator, which waits, has shown as many frames as it wanted.
ANSWER_WITHIN_S = 0.5


class DriveServer:
    """Answers every telemetry event of every simulator exactly once, in order.

    One simulator drives at a time; others are told to stand, and wait for their turn.

    Args:
        predict: Function of a uint8 RGB frame (160, 320, 3) to steering, or to steering
            and bend.
        target_mph: The speed to hold, or not to exceed, 0 to 30 mph.
        recorder: Writes down the drive; None writes nothing.
        corrections: Writes down what a person drives; None writes nothing.
        playing: Name of a recording that is played instead of a drive, while simulators
            wait; None drives.
        sideways_mps2: What bends may pull to the side; None holds one speed.
        recovers: Whether a car that stands against something is backed out.

    Raises:
        InputError: A number is out of its range.
    """

    def __init__(
        self,
        predict: Predict,
        target_mph: float,
        recorder: DriveRecorder | None = None,
        corrections: Corrections | None = None,
        playing: str | None = None,
        sideways_mps2: float | None = None,
        recovers: bool = True,
    ) -> None:
        self.recorder = recorder
        self.corrections = corrections
        self.playing = playing
        self.report = DriveReport(is_played=playing is not None)
        self.wheel = Wheel(target_mph)
        self.clients: dict[str, Client] = {}
        self.driving: str | None = None
        """Session of the simulator whose turn it is."""
        self.newest: Moment | None = None
        """The last moment of the car that drives, or of what is played, if any."""
        self.news = News()
        """Announced after each answer, and whatever else pages have to show."""
        self._predict, self._sideways_mps2 = predict, sideways_mps2
        self._recovers = recovers
        self.make_pilot()  # A speed that cannot be held is refused here and now.
        self.is_ending = False
        """Whether the run is coming to its end, and no car drives on."""
        self.is_stopping = False
        self._said: Counter[str] = Counter()
        self._told_s: deque[float] = deque(maxlen=MOST_TOLD)
        # One worker: frames are looked at in order while the loop answers pings.
        self._worker = Worker("pilot")
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
        self.app = self.sessions = Sessions(self.dialect, self.socketio)
        """The ASGI app that simulators speak to."""

    def make_pilot(self) -> Pilot:
        """Return a pilot for one car."""
        return pilot_of(self._predict, self.wheel.target_mph, self._sideways_mps2)

    async def _on_connect(self, sid: str, *_: object) -> bool:
        if len(self.clients) >= MOST_SIMULATORS and not await self._make_room():
            self._say_once("a simulator was refused", "there are too many")
            return False
        connection = CONNECTION.get()
        recovery = Recovery() if self._recovers else None
        self.clients[sid] = client = Client(
            self.make_pilot(), connection, time.perf_counter(), recovery
        )
        client.is_heard(connection, is_driving=False)
        self._tell("a simulator has connected")
        return True

    async def _make_room(self) -> bool:
        """Part with the simulator that has been silent longest, if one is at all."""
        others = [sid for sid in self.clients if sid != self.driving]
        sid = min(others, key=lambda sid: self.clients[sid].heard_s)
        client = self.clients[sid]
        if time.perf_counter() - client.heard_s < SILENT_S:
            return False
        self._say_once("a simulator has to go", "it is silent, and there are too many")
        await self.sessions.end(self.socketio.manager.eio_sid_from_sid(sid, ROOT))
        client.connection.abort()
        return True

    async def _on_disconnect(self, sid: str, *_: object) -> None:
        if client := self.clients.pop(sid, None):
            client.leave()
            self._tell("a simulator has disconnected")
        if sid == self.driving:
            self.driving = self.newest = None
            self.news.announce()

    async def _on_telemetry(self, sid: str, data: object = None, *_: object) -> None:
        arrived_s = time.perf_counter()
        client, report = self.clients[sid], self.report
        dt_s = arrived_s - (client.last_packet_s or arrived_s)
        client.last_packet_s = client.heard_s = arrived_s
        # Of every telemetry, also of one that nothing else can be made of.
        if (speed_mph := speed_of(data)) is not None:
            client.speed_mph = speed_mph
        has_turn = self._has_turn(sid, client, arrived_s)
        client.is_heard(CONNECTION.get(), has_turn)
        if not has_turn:
            await self._steer(sid, client, _stand(client, data))
            return
        report.elapsed_s += dt_s
        if data is None or data == {}:
            # Null: a person holds W or S. The simulator waits for this answer.
            report.manual += 1
            report.interventions += not client.is_manual
            client.is_manual = True
            await self.socketio.emit("manual", {}, to=sid)
            self.news.announce()
            return
        client.is_manual = False
        command = await self._answer(client, data, dt_s)
        await self._steer(sid, client, command)
        report.latencies_ms.append(1e3 * (time.perf_counter() - arrived_s))
        self.news.announce()

    def show(self, moment: Moment | None, dt_s: float, latency_ms: float) -> None:
        """Show the pages a moment that no simulator is answered for.

        Args:
            moment: None where its picture cannot be used.
            dt_s: Time since the moment before.
            latency_ms: Time that it took to look at it.
        """
        if moment is None:
            self.report.unusable += 1
        else:
            self.newest = moment
            self.report.add_driven(moment.speed_mph, dt_s)
            self.report.elapsed_s += dt_s
            self.report.latencies_ms.append(latency_ms)
        self.news.announce()

    def drive_on(self) -> None:
        """Let a stopped car drive on, unless the run is coming to its end."""
        if not self.is_ending:
            self.wheel.go()

    def simulator_state(self) -> str:
        """Return "waiting", "driving", "manual" (W or S is held), or "playing"."""
        if self.playing:
            return "playing"
        client = self.clients.get(self.driving or "")
        if client:
            return "manual" if client.is_manual else "driving"
        return "waiting"

    def message(self) -> str:
        """Return what a person should know besides, "" for nothing."""
        if not any(client.is_told_to_wait for client in self.clients.values()):
            return ""
        if self.playing:
            return "a simulator waits: nothing drives while a recording is played"
        return "another simulator waits: one drives at a time"

    def _has_turn(self, sid: str, client: Client, now_s: float) -> bool:
        """Say whether a simulator drives; it is promoted where no other does."""
        other = self.clients.get(self.driving or "")
        is_taken = other and now_s - (other.last_packet_s or 0.0) < SILENT_S
        if self.playing or (is_taken and other is not client):
            if not client.is_told_to_wait:
                line = "a simulator has to wait: one drives at a time"
                self._tell(line, logging.WARNING)
            client.is_told_to_wait = True
            return False
        if client.is_told_to_wait:
            self._tell("the simulator that waited drives now")
            client.is_told_to_wait = False
        if other and other is not client:
            other.connection.goes_first = False
        if self.driving != sid:
            self.newest = None
        self.driving = sid
        return True

    async def _steer(self, sid: str, client: Client, command: Command) -> None:
        command = STOP if self.is_stopping else command
        answer = steer_answer(command.steering, command.throttle, client.decimal_mark)
        await self.socketio.emit("steer", answer, to=sid)

    async def _answer(self, client: Client, data: object, dt_s: float) -> Command:
        """Return the command for a telemetry event; the brake whatever goes wrong."""
        try:
            seen = await self._worker.do(
                lambda: self._look(client, data, dt_s), ANSWER_WITHIN_S
            )
            command = self._drive(client, seen, dt_s)
        except UnusableTelemetry as error:
            self.report.unusable += 1
            self._say_once("telemetry that cannot be used, braking", error)
        except TimeoutError:
            self.report.late += 1
            why = f"nothing after {ANSWER_WITHIN_S:g} s"
            self._say_once("the pilot is too late, braking", why)
        except Exception as error:  # The car must not drive on whatever fails here.
            self.report.faults += 1
            self._say_once("the pilot failed, braking", error, trace=True)
        else:
            client.braking_s = 0.0
            return command
        return client.brake(speed_of(data), dt_s)

    def _look(self, client: Client, data: object, dt_s: float) -> Seen:
        """Return what the car sees, and what the model does.

        It runs in the worker's thread, and what comes of it too late is dropped: it
        counts and writes nothing.
        """
        telemetry = Telemetry.from_event(data, client.decimal_mark)
        client.decimal_mark = telemetry.decimal_mark
        frame = telemetry.frame()
        client.pilot.set_speed(self.wheel.target_mph)
        command = client.pilot(frame, telemetry.speed_mph, dt_s)
        return Seen(telemetry, frame, command, client.pilot.planned_mph)

    def _drive(self, client: Client, seen: Seen, dt_s: float) -> Command:
        """Return what the model, or the person who has taken the wheel, does."""
        telemetry, frame = seen.telemetry, seen.frame
        speed_mph = telemetry.speed_mph
        # The person is looked for last, to be obeyed in this very answer.
        choice = self.wheel.choose(seen.by_model, speed_mph, time.perf_counter())
        if choice.is_give_back:
            client.pilot.reset()
        choice = self._recovered(client, choice, speed_mph, dt_s)
        command = STOP if self.is_stopping else choice.command
        self.report.interventions += choice.is_intervention
        if self.report.add_standing(speed_mph, command.throttle, dt_s):
            logger.warning(
                "the car has stood for %g s at full throttle: counted as an "
                "intervention; put it back onto the road",
                STUCK_S,
            )
        if self.recorder:
            self.recorder.add(telemetry.jpeg, speed_mph, command)
        if self.corrections and not self.is_stopping:
            self.corrections.add(telemetry.jpeg, speed_mph, choice)
        self.newest = Moment(
            telemetry.jpeg, frame, speed_mph, choice, telemetry.track, seen.planned_mph
        )
        self.report.add_driven(speed_mph, dt_s)
        return command

    def _recovered(
        self, client: Client, choice: Choice, speed_mph: float, dt_s: float
    ) -> Choice:
        """Let a car that stands against something back out, while the model drives."""
        recovery = client.recovery
        if recovery is None:
            return choice
        if choice.driver != MODEL or self.is_ending or self.is_stopping:
            recovery.reset()
            return choice
        was_backing, attempts = recovery.is_backing, recovery.attempts
        command = recovery(choice.command, speed_mph, dt_s)
        if recovery.attempts > attempts:
            self.report.recoveries += 1
            why = f"the car has stood for {STANDS_S:g} s with its throttle open"
            self._tell(f"{why}: backing out", logging.WARNING)
        elif was_backing and not recovery.is_backing:
            # What was felt of the slope while it backed was none.
            client.pilot.reset()
        return replace(choice, command=command)

    def _tell(self, line: str, level: int = logging.INFO) -> None:
        """Log who comes and goes, unless there are too many."""
        now_s = time.monotonic()
        if len(self._told_s) < MOST_TOLD or now_s - self._told_s[0] > TOLD_AGAIN_S:
            self._told_s.append(now_s)
            logger.log(level, line)

    def _say_once(self, what: str, why: Exception | str, trace: bool = False) -> None:
        """Log the first of each kind of trouble; later ones are only counted."""
        kind = f"{what} {type(why).__name__}"
        self._said[kind] += 1
        if self._said[kind] == 1:
            logger.warning("%s: %s; more will be counted", what, why, exc_info=trace)

    async def stop_cars(self, at_once: asyncio.Event) -> None:
        """Brake every car until it nearly stands, then let its pedals go.

        A simulator keeps its last command for ever, also when the server is gone; told
        to do nothing, its car rolls on for 40 m. While it brakes the model steers, and
        every telemetry is answered.

        Args:
            at_once: Ends the braking when it is set.
        """
        self.is_ending = True
        self.wheel.stop()
        until_s = time.perf_counter() + MOST_BRAKING_S
        while self._is_any_moving() and time.perf_counter() < until_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await at_once.wait()
                    break
        self.is_stopping = True
        for sid, client in list(self.clients.items()):
            await self._steer(sid, client, STOP)
        await asyncio.sleep(0.1)

    def _is_any_moving(self) -> bool:
        """Say whether there is a car that moves and hears what it is told."""
        now_s = time.perf_counter()
        return any(
            client.speed_mph > STANDING_MPH
            and not client.is_manual
            and now_s - (client.last_packet_s or 0.0) < SILENT_S
            for client in self.clients.values()
        )

    def close(self) -> None:
        """Finish what is written of the drive, and say where it lies."""
        if drive := self.recorder:
            drive.close()
            logger.info("recorded %d frames in %s", drive.written, drive.folder)
        if taught := self.corrections:
            taught.close()
            if not taught.is_empty:
                logger.info("taught %d frames, in %s", taught.frames, taught.folder)

    async def log_status(self) -> None:
        """Log every second how the drive goes, or every ten what to do; never end."""
        report, said_waiting_s = self.report, float("-inf")
        before = (0, time.monotonic())
        while True:
            await asyncio.sleep(1)
            now = (report.answered, time.monotonic())
            if not self.clients and not self.playing:
                if now[1] - said_waiting_s > 10:
                    logger.info(WAITING)
                    said_waiting_s = now[1]
            elif now[0] > before[0]:
                rate = (now[0] - before[0]) / (now[1] - before[1])
                logger.info(report.status(rate))
            before = now


def _stand(client: Client, data: object) -> Command:
    """Return what keeps a simulator standing whose turn it is not."""
    try:
        telemetry = Telemetry.from_event(data, client.decimal_mark)
    except UnusableTelemetry:
        return STOP
    client.decimal_mark = telemetry.decimal_mark
    return Command(0.0, holding_throttle(telemetry.speed_mph))
