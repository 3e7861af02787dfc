"""A connected simulator, as the drive server knows it."""

from __future__ import annotations

from dataclasses import dataclass

from driving.door import Door
from driving.pilot import Pilot


@dataclass
class Client:
    """One connected simulator."""

    pilot: Pilot
    """Its own pilot, so that speeds of several simulators do not mix."""
    connection: Door
    """By which it has said something last."""
    heard_s: float
    """When it has, on perf_counter's clock."""
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

    def leave(self) -> None:
        """Let go of its connection."""
        self.connection.is_useful = self.connection.goes_first = False
