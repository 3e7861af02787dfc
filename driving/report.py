"""How a drive goes: counts, latencies, and NVIDIA's autonomy.

Source: Bojarski et al., End to End Learning for Self-Driving Cars, 2016, section 7.1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from common.car import MPS_PER_MPH, autonomy_percent
from common.text import counted, wrapped
from driving.wheel import STANDING_MPH

# A car that stands at full throttle for this time is stuck: a person would have come.
STUCK_S = 10.0
# Above this throttle it is told to drive.
DRIVING_THROTTLE = 0.5
# Latencies kept for the percentiles, the last five minutes or so: memory stays flat.
NUM_LATENCIES = 10_000


@dataclass
class DriveReport:
    """What is counted in a drive."""

    is_played: bool = False
    """Whether it is a recording that is played, and nothing drives."""
    frames: int = 0
    """Telemetry answered with a command, the model's or a person's."""
    manual: int = 0
    """Telemetry while a person drove."""
    interventions: int = 0
    """How often a person took over."""
    unusable: int = 0
    """Telemetry that could not be read, answered with the brake."""
    faults: int = 0
    """Telemetry on which the pilot failed, answered with the brake."""
    late: int = 0
    """Telemetry on which the pilot was not done in time, answered with the brake."""
    stuck: int = 0
    """Interventions because the car stood at full throttle."""
    recoveries: int = 0
    """How often a car that stood against something backed out by itself."""
    has_moved: bool = False
    """Whether the car was ever seen to move."""
    distance_m: float = 0.0
    """Distance driven, by the speed that the simulator tells."""
    elapsed_s: float = 0.0
    """Time driven, from the first to the last packet of each connection."""
    latencies_ms: deque[float] = field(
        default_factory=lambda: deque(maxlen=NUM_LATENCIES)
    )
    """Times from a packet to its answer, the last ones only."""

    _standing_s: float = 0.0
    """For how long the car has stood at full throttle by now."""

    @property
    def answered(self) -> int:
        """Number of telemetry answered, in whatever way."""
        return self.frames + self.manual + self.unusable + self.faults + self.late

    def add_driven(self, speed_mph: float, dt_s: float) -> None:
        """Count a frame that was answered with a command, dt_s after the one before."""
        self.frames += 1
        self.has_moved |= abs(speed_mph) >= STANDING_MPH
        self.distance_m += abs(speed_mph) * MPS_PER_MPH * dt_s

    def add_standing(self, speed_mph: float, throttle: float, dt_s: float) -> bool:
        """Look whether the car stands though it is told to drive.

        Args:
            speed_mph: The car's speed.
            throttle: What it was told, in [-1, 1].
            dt_s: Time since the frame before.

        Returns:
            Whether it has stood for STUCK_S: an intervention, counted here.
        """
        is_stuck = abs(speed_mph) < STANDING_MPH and throttle > DRIVING_THROTTLE
        self._standing_s = self._standing_s + dt_s if is_stuck else 0.0
        if self._standing_s < STUCK_S:
            return False
        self._standing_s = 0.0
        self.stuck += 1
        self.interventions += 1
        return True

    @property
    def is_drive(self) -> bool:
        """Whether a car has driven, so that there is something to say of autonomy."""
        return self.has_moved and not self.is_played

    def autonomy_percent(self) -> float:
        """Return NVIDIA's autonomy of the drive so far."""
        return autonomy_percent(self.interventions, self.elapsed_s)

    def percentile_ms(self, percent: float, most: int = NUM_LATENCIES) -> float:
        """Return a percentile of the time from a packet to its answer.

        Args:
            percent: Which percentile, 0 to 100.
            most: How many of the last answers to look at.
        """
        since = max(0, len(self.latencies_ms) - most)
        ordered = sorted(islice(self.latencies_ms, since, None))
        if not ordered:
            return 0.0
        return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]

    def document(self) -> dict[str, Any]:
        """Return the report as one JSON document; autonomy is null where none drove."""
        elapsed = self.elapsed_s
        is_any = self.answered > 0 and not self.is_played
        return {
            "frames": self.frames,
            "manual": self.manual,
            "unusable": self.unusable,
            "faults": self.faults,
            "late": self.late,
            "elapsed_s": round(elapsed, 3),
            "distance_m": round(self.distance_m, 1),
            "rate_hz": round(self.answered / elapsed, 2) if elapsed else 0.0,
            "latency_ms": {
                "p50": round(self.percentile_ms(50), 3),
                "p99": round(self.percentile_ms(99), 3),
            },
            "interventions": self.interventions,
            "stuck": self.stuck,
            "recoveries": self.recoveries,
            "has_moved": self.has_moved,
            "autonomy_percent": round(self.autonomy_percent(), 2) if is_any else None,
        }

    def summary(self) -> str:
        """Return the report as lines for a person."""
        said = self.document()
        latency = said["latency_ms"]
        lines = [
            f"{counted(said['frames'], 'frame')} in {said['elapsed_s']:.0f} s "
            f"({said['rate_hz']:.1f}/s), latency p50 {latency['p50']:.1f} ms, "
            f"p99 {latency['p99']:.1f} ms, {said['unusable']} unusable, "
            f"{counted(said['faults'], 'fault')}, {said['late']} late"
        ]
        if said["autonomy_percent"] is not None:
            lines.append(
                f"{counted(said['interventions'], 'intervention')}, {said['stuck']} of "
                "them standing; autonomy (1 - interventions x 6 s / elapsed) "
                f"{said['autonomy_percent']:.1f} %"
            )
        if self.recoveries:
            times = counted(self.recoveries, "time")
            lines.append(f"backed out {times} where it stood, and drove on by itself")
        if self.frames and not (self.has_moved or self.is_played):
            lines.append(
                "the car has never moved: no figure of this drive says anything"
            )
        return "\n".join(map(wrapped, lines))

    def status(self, frames_per_s: float) -> str:
        """Return the line that is shown every second."""
        return (
            f"{frames_per_s:5.1f} frames/s | p50 {self.percentile_ms(50):.1f} ms, "
            f"p99 {self.percentile_ms(99):.1f} ms | "
            f"{self.unusable + self.faults + self.late} unusable | "
            f"{self.interventions} interventions"
        )
