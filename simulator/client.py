"""Acts as the stock simulator on the wire, with a `World` in place of the Unity one.

    client = Client("http://127.0.0.1:4567", World(track, cameras=("center",)))
    summary = drive(client, num_laps=3)

What is peculiar to the stock simulator, and done here as there: telemetry goes out as
soon as the WebSocket opens and again on the Engine.IO open packet, so two frames are in
flight from then on; the Socket.IO CONNECT is never sent; each answer is followed by one
telemetry; numbers are strings of four decimals in the machine's culture; messages
travel in fragments of 1016 bytes; Engine.IO pings go both ways; the car keeps its last
command until the next. What the stock one does not tell is the track's name.
"""

import base64
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from simulator.errors import DriveServerError, Refusal
from simulator.recorder import encode_jpeg
from simulator.vehicle import MAX_STEERING_DEG, MPS_PER_MPH, clipped
from simulator.world import FRAME_DT_S, Observation, World

logger = logging.getLogger(__name__)

FRAGMENT_CHARS = 1016
PING_INTERVAL_S = 25.0
ANSWER_WITHIN_S = 30.0  # a server that loads its model at the first frame needs some
# Decimal mark and group mark of each culture.
CULTURES = {"en": (".", ","), "de": (",", "."), "fr": (",", "\u202f")}


@dataclass(frozen=True)
class DriveSummary:
    """How a drive went."""

    laps: int
    """How many laps were completed."""
    lap_times_s: tuple[float, ...]
    """The simulated time that each lap took."""
    frames: int
    """Telemetry events answered with a command; each picture goes out twice."""
    interventions: int
    """How often the car was put back onto the road."""
    mean_abs_cross_track_error_m: float
    """The mean distance from the middle of the usual lane."""
    rms_cross_track_error_m: float
    """The root mean square of that distance."""
    max_abs_cross_track_error_m: float
    """The largest such distance."""
    off_road: int
    """Interventions because the car left the asphalt."""
    collisions: int
    """Interventions because it ran into something."""
    stuck: int
    """Interventions because it stood still."""
    mean_speed_mph: float
    """The mean speed of all frames."""
    top_speed_mph: float
    """The highest of them."""
    simulated_s: float
    """The simulated time driven."""
    wall_s: float
    """The time that the drive took."""
    complete: bool
    """Whether all laps were driven before the time was over."""


class Client:
    """One connection of the simulator to a drive server.

    Args:
        url: The server's address, such as http://127.0.0.1:4567.
        world: What is driven; its "center" camera goes out.
        culture: A key of CULTURES, which says how numbers are written and read.
        wait_s: How long to wait for a server that does not listen yet.

    Raises:
        DriveServerError: If there is no server, or it refuses the simulator.
        ValueError: If the address is none, the culture is unknown, or the world has no
            "center" camera.
    """

    def __init__(
        self, url: str, world: World, *, culture: str = "en", wait_s: float = 60.0
    ) -> None:
        known = ", ".join(CULTURES)
        if culture not in CULTURES:
            raise Refusal(f"no culture {culture!r}; there are: {known}")
        if "center" not in world.cameras:
            raise Refusal(f"cameras are {world.cameras}, expected center among them")
        self.url, self.world, self._culture = url, world, culture
        self.seen = world.reset()
        self.steering = self.throttle = 0.0
        self.num_answers = self.num_manual = self.num_pongs = 0
        # While a person drives, telemetry is null; set by whoever holds the keys.
        self.is_manual = False
        self._turns = 0  # answers that wait for their next telemetry
        self._in_flight = 0
        self._message: str | None = None
        self._socket = _connect(url, wait_s)
        self._answered_s = self._pinged_s = time.monotonic()
        self._emit_telemetry()
        self._send("2")

    @property
    def is_answered(self) -> bool:
        """Whether the server owes no answer, after both opening frames."""
        return self._in_flight == 0 and self._turns >= 2

    def receive(self, timeout_s: float) -> None:
        """Take one message from the server, or none if there is none in time.

        Raises:
            DriveServerError: If the server has closed the connection, has been silent
                for too long, or has sent what the stock simulator cannot read.
        """
        now_s = time.monotonic()
        if now_s - self._pinged_s > PING_INTERVAL_S:
            self._pinged_s = now_s
            self._send("2")
        try:
            message = self._socket.recv(timeout=max(0.0, timeout_s))
        except TimeoutError:
            silent_s = time.monotonic() - self._answered_s
            if self._in_flight and silent_s > ANSWER_WITHIN_S:
                raise DriveServerError(
                    f"{self.url} has not answered a frame for {silent_s:.0f} s"
                ) from None
            return
        except (ConnectionClosed, OSError) as error:
            raise self._closed(error) from None
        self._take(str(message))

    def _closed(self, error: Exception) -> DriveServerError:
        return DriveServerError(f"{self.url} closed the connection: {error}")

    def _take(self, message: str) -> None:
        if message.startswith("0"):
            self._emit_telemetry()
        elif message.startswith("2"):
            self._send("3")
        elif message.startswith("3"):
            self.num_pongs += 1
        elif message.startswith("42"):
            self._take_event(message[2:])

    def _take_event(self, text: str) -> None:
        name, *rest = json.loads(text)
        if name == "steer":
            self.steering = self._number(rest, "steering_angle")
            self.throttle = self._number(rest, "throttle")
            self.num_answers += 1
        elif name == "manual":
            self.num_manual += 1
        else:
            return
        self._in_flight -= 1
        self._turns += 1
        self._answered_s = time.monotonic()

    def _number(self, rest: list, field: str) -> float:
        """Return a field of a steer event in [-1, 1], read as float.Parse does."""
        decimal, group = CULTURES[self._culture]
        try:
            text = rest[0][field]
            plain = text.replace(group, "")
            if decimal != "." and "." in plain:
                raise ValueError(text)
            value = float(plain.replace(decimal, "."))
        except (LookupError, TypeError, AttributeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise DriveServerError(
                f"{self.url} sent a steer event that the stock simulator cannot read: "
                f"{rest!r}; {field} must be a string with {decimal!r} as decimal mark"
            )
        return clipped(value)

    def advance(self, seen: Observation) -> None:
        """Take over what the world shows now, and send it once for each answer."""
        self.seen, self._message = seen, None
        while self._turns > 0:
            self._turns -= 1
            self._emit_telemetry()

    def _emit_telemetry(self) -> None:
        # Both frames in flight carry the same picture: encode it once.
        if self._message is None or self.is_manual:
            data = None if self.is_manual else self._telemetry()
            self._message = "42" + json.dumps(["telemetry", data], ensure_ascii=False)
        size, text = FRAGMENT_CHARS, self._message
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        self._send(pieces if len(pieces) > 1 else text)
        self._in_flight += 1

    def _send(self, message: str | list[str]) -> None:
        try:
            self._socket.send(message)
        except (ConnectionClosed, OSError) as error:
            raise self._closed(error) from None

    def _telemetry(self) -> dict[str, str]:
        numbers = {
            "steering_angle": MAX_STEERING_DEG * self.seen.steering,
            "throttle": max(0.0, self.throttle),
            "speed": self.seen.speed_mps / MPS_PER_MPH,
        }
        fields = {name: to_n4(value, self._culture) for name, value in numbers.items()}
        image = base64.b64encode(encode_jpeg(self.seen.frames["center"])).decode()
        return fields | {"image": image, "track": self.world.track.name}

    def close(self) -> None:
        """Say goodbye to the server, as the stock simulator does."""
        try:
            self._send("41")
            self._send("1")
        except DriveServerError:
            pass  # It has gone first.
        self._socket.close()


def drive(
    client: Client,
    num_laps: int,
    *,
    is_real_time: bool = False,
    max_simulated_s: float = math.inf,
    on_frame: Callable[[Observation], None] | None = None,
) -> DriveSummary:
    """Let the server drive, and put the car back onto the road when it must be.

    In real time a frame follows the other after 1/15 s, answered or not; else as soon
    as the server has answered both frames in flight, so that the same server gives the
    same drive whatever the machine's speed.

    Args:
        client: The connection; its world has been reset.
        max_simulated_s: The simulated time after which it is given up.
        on_frame: Is called with each observation.
    """
    log = _Log(client.world.track.lane_offsets_m[0])
    started_s = due_s = time.monotonic()
    while True:
        due_s = max(due_s + FRAME_DT_S, time.monotonic() - 1.0)
        if is_real_time:
            while (left_s := due_s - time.monotonic()) > 0:
                client.receive(left_s)
        else:
            while not client.is_answered:
                client.receive(ANSWER_WITHIN_S)
        seen = client.world.step(client.steering, client.throttle)
        log.add(seen)
        if on_frame is not None:
            on_frame(seen)
        if log.laps >= num_laps or seen.time_s >= max_simulated_s:
            break  # and leave no frame unanswered
        if seen.off_road or seen.collision or seen.stuck:
            seen = client.world.move_to_road()
        client.advance(seen)
    wall_s = time.monotonic() - started_s
    return log.summary(client.num_answers, wall_s, log.laps >= num_laps)


class _Log:
    """Adds up what the summary of a drive tells."""

    def __init__(self, lane_m: float) -> None:
        self._lane_m = lane_m
        self._errors_m: list[float] = []
        self._speeds_mps: list[float] = []
        self._lap_ends_s = [0.0]
        self._causes = {"collisions": 0, "off_road": 0, "stuck": 0}
        self._time_s = 0.0

    @property
    def laps(self) -> int:
        return len(self._lap_ends_s) - 1

    def add(self, seen: Observation) -> None:
        self._errors_m.append(abs(seen.cross_track_error_m - self._lane_m))
        self._speeds_mps.append(seen.speed_mps)
        self._time_s = seen.time_s
        if seen.lap > self.laps:
            self._lap_ends_s.append(seen.time_s)
        # One intervention has one cause, the gravest.
        if seen.collision:
            self._causes["collisions"] += 1
        elif seen.off_road:
            self._causes["off_road"] += 1
        elif seen.stuck:
            self._causes["stuck"] += 1

    def summary(self, frames: int, wall_s: float, complete: bool) -> DriveSummary:
        count = max(1, len(self._errors_m))
        ends_s = self._lap_ends_s
        laps_s = zip(ends_s[1:], ends_s, strict=False)
        squares = math.fsum(error * error for error in self._errors_m)
        return DriveSummary(
            laps=self.laps,
            lap_times_s=tuple(round(end - start, 2) for end, start in laps_s),
            frames=frames,
            interventions=sum(self._causes.values()),
            mean_abs_cross_track_error_m=math.fsum(self._errors_m) / count,
            rms_cross_track_error_m=math.sqrt(squares / count),
            max_abs_cross_track_error_m=max(self._errors_m, default=0.0),
            top_speed_mph=max(self._speeds_mps, default=0.0) / MPS_PER_MPH,
            mean_speed_mph=math.fsum(self._speeds_mps) / count / MPS_PER_MPH,
            simulated_s=self._time_s,
            wall_s=wall_s,
            complete=complete,
            **self._causes,
        )


def to_n4(value: float, culture: str) -> str:
    """Return a number as .NET's ToString("N4"): four decimals, groups of three."""
    decimal, group = CULTURES[culture]
    return f"{value:,.4f}".translate({ord(","): group, ord("."): decimal})


def websocket_address(url: str) -> str:
    """Return what the stock simulator connects to for a server's address.

    Raises:
        ValueError: If `url` is no address such as http://127.0.0.1:4567.
    """
    try:
        parts = urlsplit(url)
        is_known = parts.scheme in ("http", "ws") and parts.hostname
        parts.port  # noqa: B018 - it looks whether it is one
    except ValueError:
        is_known = None
    if not is_known:
        raise Refusal(f"url is {url!r}, expected such as http://127.0.0.1:4567")
    return f"ws://{parts.netloc}/socket.io/?EIO=4&transport=websocket"


def _connect(url: str, wait_s: float) -> ClientConnection:
    """Connect as websocket-sharp does; try again until `wait_s` is over."""
    address = websocket_address(url)
    give_up_s, is_said = time.monotonic() + wait_s, False
    while True:
        try:
            return connect(
                address,
                compression=None,
                user_agent_header="websocket-sharp/1.0",
                proxy=None,
                ping_interval=None,
                open_timeout=90,
                close_timeout=2,
                legacy=True,  # connect now, without a with statement
            )
        except InvalidHandshake as error:
            raise DriveServerError(f"{url} refuses the simulator: {error}") from None
        except OSError:
            if time.monotonic() > give_up_s:
                raise DriveServerError(
                    f"no drive server at {url}; start one: python drive.py MODEL"
                ) from None
            if not is_said:
                logger.warning(
                    "no drive server at %s yet; waiting %g s for one", url, wait_s
                )
                is_said = True
            time.sleep(0.2)
