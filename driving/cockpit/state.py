"""What the pages of the cockpit are told of a drive, as docs/protocol.md has it."""

from __future__ import annotations

import time
from typing import Any

from driving.cockpit.playback import Player
from driving.server import DriveServer

# The figures of all pages are made together, so often, and are of the last answers.
FIGURES_S = 0.5
NUM_RECENT = 500


class CockpitState:
    """Makes the states of all pages.

    Args:
        model: What the model is called.
        can_heat_map: Whether there are heat maps of it.
        player: What plays a recording; None while cars are driven.
    """

    def __init__(
        self,
        server: DriveServer,
        model: str = "",
        can_heat_map: bool = False,
        player: Player | None = None,
    ) -> None:
        self.server, self.model, self.player = server, model, player
        self.can_heat_map = can_heat_map
        self._figures: dict[str, Any] = {}
        self._made_s = float("-inf")
        self._answered = 0

    def document(
        self, page: int, has_heat_map: bool, command: str | None
    ) -> dict[str, Any]:
        """Return the state for a page by its number; what is not known is None.

        Args:
            has_heat_map: Whether it is sent heat maps.
            command: What to do next, once the run has ended; None: it goes on.
        """
        now_s, server = time.perf_counter(), self.server
        wheel, corrections = server.wheel, server.corrections
        is_free = wheel.is_free_for(page, now_s) and not server.playing
        return {
            "type": "state",
            "model": self.model,
            "simulator": server.simulator_state(),
            "driver": wheel.driver(now_s),
            **self._drive(),
            **self._recent_figures(now_s),
            "playing": self._playing(),
            "you": "steering" if wheel.holder(now_s) == page else "watching",
            "may_steer": is_free,
            "heat_map": has_heat_map,
            "can_heat_map": self.can_heat_map,
            "corrections": {
                "folder": str(corrections.folder) if corrections else None,
                "frames": corrections.frames if corrections else 0,
            },
            "recording": str(server.recorder.folder) if server.recorder else None,
            "is_ending": server.is_ending,
            "command": command,
            "message": server.message(),
        }

    def _drive(self) -> dict[str, Any]:
        """Return what the newest moment says; while W or S is held nothing is sent."""
        server = self.server
        moment = None if server.simulator_state() == "manual" else server.newest
        planned_mph = moment and moment.planned_mph
        return {
            "track": moment.track if moment else "",
            "steering": moment and moment.choice.command.steering,
            "model_steering": moment and moment.choice.model_steering,
            "person_steering": moment and moment.choice.person_steering,
            "throttle": moment and moment.choice.command.throttle,
            "speed_mph": moment and moment.speed_mph,
            "target_speed_mph": server.wheel.target_mph,
            "planned_speed_mph": planned_mph and round(planned_mph, 2),
        }

    def _playing(self) -> dict[str, Any] | None:
        """Return which recording is played, and where in it one is."""
        if self.player is None:
            return None
        return {"recording": self.server.playing, **self.player.document()}

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
            }
            if report.latencies_ms
            else None,
            "unusable": report.unusable,
            "faults": report.faults + report.late,
            "dropped": self.server.dialect.dropped.total(),
            "autonomy_percent": round(report.autonomy_percent(), 2)
            if report.is_drive
            else None,
            "interventions": report.interventions,
            "distance_m": round(report.distance_m, 1),
            "elapsed_s": round(report.elapsed_s, 2),
        }
        return self._figures
