"""A connected simulator, as the drive server knows it."""

from __future__ import annotations

from dataclasses import dataclass

from driving.door import Door
from driving.pilot import FULL_BRAKE, STOP, Command, Pilot
from driving.recovery import Recovery
from driving.wheel import STANDING_MPH

# The simulator's car stops from its 30 mph in 2.2 s. A car that stands and is told to
# brake drives backwards, so on faults the pedal is let go as soon as it stands, and
# after that time where its speed is not known.
MOST_BRAKING_S = 3.0


@dataclass
class Client:
    """One connected simulator."""

    pilot: Pilot
    """Its own pilot, so that speeds of several simulators do not mix."""
    connection: Door
    """By which it has said something last."""
    heard_s: float
    """When it has, on perf_counter's clock."""
    recovery: Recovery | None = None
    """Backs it out where it stands against something; None leaves it there."""
    decimal_mark: str = "."
    """What it writes between a number's whole part and its decimals."""
    is_manual: bool = False
    """Whether a person holds W or S there."""
    last_packet_s: float | None = None
    """When its last telemetry came, on perf_counter's clock."""
    speed_mph: float = 0.0
    """The last speed that it has told."""
    braking_s: float = 0.0
    """For how long it has been told to brake because of faults."""
    is_told_to_wait: bool = False
    """Whether it stands because another simulator drives."""

    def is_heard(self, connection: Door, is_driving: bool) -> None:
        """Keep the connection that it speaks by, and let it go first if it drives."""
        if connection is not self.connection:
            self.leave()
            self.connection = connection
        connection.is_useful, connection.goes_first = True, is_driving

    def brake(self, speed_mph: float | None, dt_s: float) -> Command:
        """Return what a fault is answered with: the brake, then nothing.

        Args:
            speed_mph: What it says to drive; None if it does not.
            dt_s: Time since its telemetry before.
        """
        self.braking_s += dt_s
        is_moving = speed_mph is None or speed_mph > STANDING_MPH
        return FULL_BRAKE if is_moving and self.braking_s < MOST_BRAKING_S else STOP

    def leave(self) -> None:
        """Let go of its connection."""
        self.connection.is_useful = self.connection.goes_first = False
