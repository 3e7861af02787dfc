"""What a recording holds, counted: shares of the steering, turns, crashes, and where.

Steering is judged by what the road asks for: averaged over a second, as a keyboard says
nothing but left, right and straight on. The thresholds stand below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.car import MPS_PER_MPH

if TYPE_CHECKING:
    # In the functions, and not here: explore.py needs the thresholds for its --help.
    import numpy as np
    import pandas as pd

    from recordings.recording import Recording

# The steering is averaged over so long, before a row and after it.
ROAD_S = 0.5
# Steering within this of 0 counts as straight on.
STRAIGHT = 0.02
# Beyond this a bend is sharp: a radius of some 33 m.
SHARP = 0.2
# A row whose steering differs so much from the second around it is a correction.
CORRECTION = 0.2
# A step between neighbouring rows that a hand on a mouse or a wheel seldom makes.
JUMP = 0.25
# A crash takes so much of the speed; a bump in the road, as the jungle has them, less.
CRASH_SHARE = 0.4
# So many places are shown of each kind, but of crashes.
MOST_PLACES = 3
# Jumps and corrections stand alone: they are shown with this time around them.
AROUND_S = 1.5


@dataclass(frozen=True)
class Findings:
    """What one recording holds; shares are of the usable rows, 0 to 1."""

    name: str
    folder: str
    rows: int
    usable: int
    excluded: dict[str, int]
    marked_hard: int
    """Rows that marks want drawn more often; what they leave out is in `excluded`."""
    cameras: int
    sessions: int
    minutes: float
    rate_hz: float
    distance_m: float
    mean_speed_mph: float
    straight: float
    left: float
    right: float
    sharp_left: float
    sharp_right: float
    clockwise: float
    """Whole turns driven clockwise, from turning point to turning point; one a lap."""
    counter_clockwise: float
    """The same of the other way."""
    jumps: float
    """Share of rows with a step of the steering that looks like a key."""
    corrections_per_min: float
    """Moments in which the driver steered against the second around them."""
    standing: float
    """Share of all rows in which the car stands."""
    crashes: int
    """Sudden stops that no brake makes."""
    places: dict[str, list[tuple[int, int]]]
    """First and last row in the log of what is meant, by the name of the field; under
    `rows` all of it."""


def find_out(recording: Recording) -> Findings:
    """Count what a recording holds.

    Raises:
        InputError: No row of it is usable.
    """
    import numpy as np

    from recordings.recording import usable_rows
    from recordings.steering import smooth_steering
    from recordings.turns import steps_of

    samples, all_rows = usable_rows(recording), recording.samples
    steering, step_s = samples["steering"].to_numpy(), steps_of(samples)
    road = smooth_steering(samples, ROAD_S, ROAD_S)
    jump = np.abs(np.diff(steering, prepend=steering[:1])) * (step_s > 0) > JUMP
    away = np.abs(steering - road) > CORRECTION
    begins = away & ~np.concatenate([[False], away[:-1]])
    minutes = float(step_s.sum()) / 60
    flags = {
        "straight": np.abs(road) <= STRAIGHT,
        "left": road < -STRAIGHT,
        "right": road > STRAIGHT,
        "sharp_left": road < -SHARP,
        "sharp_right": road > SHARP,
    }
    turns = _turns(samples)
    crashes = _crashes(all_rows)
    stands = all_rows["excluded"].to_numpy() == "standing"
    places = {
        **{name: _longest(samples, flag) for name, flag in flags.items()},
        **{name: _rows(samples, where) for name, (_, where) in turns.items()},
        "jumps": _around(samples, jump),
        "corrections_per_min": _around(samples, begins),
        "standing": _longest(all_rows, stands),
        "crashes": _rows(all_rows, crashes),
        "rows": _rows(all_rows, [(0, len(all_rows) - 1)]),
    }
    return Findings(
        name=recording.name,
        folder=str(recording.folder),
        rows=len(all_rows),
        usable=len(samples),
        excluded=recording.excluded,
        marked_hard=int(samples["is_hard"].sum()),
        cameras=len(recording.cameras),
        sessions=int(samples["session"].nunique()),
        minutes=minutes,
        rate_hz=float(1 / np.median(step_s[step_s > 0])) if minutes else 0.0,
        distance_m=float((samples["speed_mph"] * step_s).sum() * MPS_PER_MPH),
        mean_speed_mph=float(samples["speed_mph"].mean()),
        **{name: float(flag.mean()) for name, flag in flags.items()},
        **{name: turned for name, (turned, _) in turns.items()},
        jumps=float(jump.mean()),
        corrections_per_min=float(begins.sum() / minutes) if minutes else 0.0,
        standing=recording.excluded.get("standing", 0) / len(all_rows),
        crashes=len(crashes),
        places=places,
    )


def _turns(
    samples: pd.DataFrame,
) -> dict[str, tuple[float, list[tuple[int, int]]]]:
    """Return for each way round the whole turns, and the stretches that go it most."""
    from recordings.turns import one_way_stretches, turned_by

    turned = turned_by(samples)
    found: list[tuple[float, tuple[int, int]]] = []
    for _, rows in samples.groupby("session").indices.items():
        for first, last in one_way_stretches(turned[rows]):
            a, b = int(rows[first]), int(rows[last])
            found.append((float(turned[b] - turned[a]), (a, b)))
    found.sort()

    def most(ordered: list[tuple[float, tuple[int, int]]]) -> list[tuple[int, int]]:
        return [place for turns, place in ordered[:MOST_PLACES] if turns]

    right = [each for each in found[::-1] if each[0] > 0]
    left = [each for each in found if each[0] < 0]
    return {
        "clockwise": (sum(turns for turns, _ in right), most(right)),
        "counter_clockwise": (-sum(turns for turns, _ in left), most(left)),
    }


def _crashes(samples: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the stretches of crashes, with what led to them, in their order."""
    from recordings.moments.drive import CRASH_S, crashes, log_of

    log = log_of(samples)
    found = []
    for moment in crashes(log) if log.has_speed else []:
        before = max(0, moment.at - log.rows_in(CRASH_S))
        speed_mph = float(log.speed_mph[before : moment.at].max(initial=0.0))
        if log.speed_mph[moment.at] <= (1 - CRASH_SHARE) * speed_mph:
            found.append((moment.first, moment.last))
    return sorted(found)


# --- Advice ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A stretch of a recording."""

    recording: str
    """The recording's name."""
    first: int
    """Its first row in the log, as dataset.py and review.py number them."""
    last: int
    """Its last row."""


@dataclass(frozen=True)
class Advice:
    """What recordings lack, or hold too much of."""

    text: str
    """In words, with numbers, and what to do."""
    places: tuple[Place, ...] = ()
    """Where to look at it."""
    command: str = ""
    """What to type; "" for nothing."""

    def where(self) -> str:
        """Return the rows to look at in words, "" for none."""
        of: dict[str, list[str]] = {}
        for place in self.places:
            of.setdefault(place.recording, []).append(f"{place.first}:{place.last}")
        return "; ".join(f"{name} {', '.join(rows)}" for name, rows in of.items())


def places_in(findings: Sequence[Findings], kind: str) -> tuple[Place, ...]:
    """Return where recordings hold what is called so in Findings.places."""
    return tuple(
        Place(found.name, *rows) for found in findings for rows in found.places[kind]
    )


# --- Places ---------------------------------------------------------------------------


def _longest(samples: pd.DataFrame, flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the rows of the longest runs of flags, the longest first."""
    from recordings.moments.moment import runs

    found = runs(flags)
    found.sort(key=lambda run: run[0] - run[1])
    return _rows(samples, found[:MOST_PLACES])


def _around(samples: pd.DataFrame, flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the rows around flags where they are most, the most of them first."""
    import numpy as np

    from recordings.moments.moment import peaks
    from recordings.turns import steps_of

    # The time driven: logs that were glued together step back in theirs.
    driven_s = np.cumsum(steps_of(samples))
    session = samples["session"].to_numpy()
    first = np.searchsorted(driven_s, driven_s - AROUND_S)
    first = np.maximum(first, np.searchsorted(session, session))
    last = np.searchsorted(driven_s, driven_s + AROUND_S, side="right")
    last = np.minimum(last, np.searchsorted(session, session, side="right")) - 1
    total = np.concatenate([[0], np.cumsum(flags)])
    count = np.where(flags, total[last + 1] - total[first], 0)
    apart = int((last - first).max(initial=1))
    found = peaks(count.astype(float), 1, apart)[:MOST_PLACES]
    return _rows(samples, [(int(first[i]), int(last[i])) for i in found])


def _rows(
    samples: pd.DataFrame, stretches: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the rows in the log of stretches of samples."""
    lines = samples["line"].to_numpy()
    return [(int(lines[first]), int(lines[last])) for first, last in stretches]
