"""What the pages of the cockpit are told of a drive, as docs/protocol.md has it."""

from __future__ import annotations

import time
from typing import Any

from driving.server import DriveServer

# The figures of all pages are made together, so often, and are of the last answers.
FIGURES_S = 0.5
NUM_RECENT = 500


class CockpitState:
    """Makes the states of all pages."""

    def __init__(self, server: DriveServer) -> None:
        self.server = server
        self._figures: dict[str, Any] = {}
        self._made_s = float("-inf")
        self._answered = 0

    def document(
        self, page: int, has_heat_map: bool, command: str | None
    ) -> dict[str, Any]:
        """Return the state for a page by its number.

        Args:
            has_heat_map: Whether it is sent heat maps.
            command: What to do next, once the run has ended; None: it goes on.
        """
        now_s, server = time.perf_counter(), self.server
        wheel, corrections = server.wheel, server.corrections
        is_free = wheel.is_free_for(page, now_s) and not server.playing
        return {
            "type": "state",
            "simulator": server.simulator_state(),
            "driver": wheel.driver(now_s),
            **self._drive(),
            **self._recent_figures(now_s),
            "you": "steering" if wheel.holder(now_s) == page else "watching",
            "may_steer": is_free,
            "heat_map": has_heat_map,
            "corrections": {
                "folder": str(corrections.folder) if corrections else None,
                "frames": corrections.frames if corrections else 0,
            },
            "recording": str(server.recorder.folder) if server.recorder else None,
            "command": command,
            "message": server.message(),
        }

    def _drive(self) -> dict[str, Any]:
        """Return what the newest moment says."""
        moment = self.server.newest
        if moment is None:
            keys = "steering model_steering throttle speed_mph".split()
            said = dict.fromkeys(keys, 0.0) | {"person_steering": None}
        else:
            choice = moment.choice
            said = {
                "steering": choice.command.steering,
                "model_steering": choice.model_steering,
                "person_steering": choice.person_steering,
                "throttle": choice.command.throttle,
                "speed_mph": moment.speed_mph,
            }
        return said | {"target_speed_mph": self.server.wheel.target_mph}

    def _recent_figures(self, now_s: float) -> dict[str, Any]:
        if now_s - self._made_s < FIGURES_S:
            return self._figures
        report = self.server.report
        since_s, self._made_s = now_s - self._made_s, now_s
        rate = (report.answered - self._answered) / since_s
        self._answered = report.answered
        self._figures = {
            "frames_per_s": round(rate, 1),
            "latency_ms": {
                "p50": round(report.percentile_ms(50, NUM_RECENT), 2),
                "p99": round(report.percentile_ms(99, NUM_RECENT), 2),
            },
            "unusable": report.unusable,
            "faults": report.faults + report.late,
            "dropped": self.server.dialect.dropped.total(),
            "autonomy_percent": round(report.autonomy_percent(), 2),
            "interventions": report.interventions,
            "distance_m": round(report.distance_m, 1),
            "elapsed_s": round(report.elapsed_s, 2),
        }
        return self._figures
