"""The eight figures that people ask for, and what they say of a model in a sentence.

Of tracks four figures of speed besides; evaluation/driven.py says of which car.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.car import (
    MAX_STEERING_ANGLE_DEG,
    MPS_PER_MPH,
    autonomy_percent,
)
from common.table import Table, short_name
from common.text import counted, wrapped
from evaluation.driven import KINDS, ByDriver, Driven, by_driver, driven_of
from evaluation.drivers import ZERO, folder_name, is_model
from evaluation.rollout import Rollout

BEST_NOTE = (
    "the best of those that have to see; the others know where they are, and are bounds"
)
METRES_PER_KM = 1000.0


# --- The table ------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One of the eight."""

    name: str
    """What it is called, with its unit where the cell does not tell it."""
    value: Callable[[Driven], float]
    """Takes it from a drive."""
    cell: Callable[[Driven], str]
    """Shows it."""
    better: int = 0
    """1 if more is better, -1 if less is, 0 if neither."""


def _rms_m(driven: Driven) -> float:
    return float(np.sqrt(np.mean(driven.error_m**2))) if len(driven.error_m) else 0.0


def _most_m(driven: Driven) -> float:
    if not len(driven.error_m):
        return 0.0
    return float(np.percentile(np.abs(driven.error_m), 95))


def _near_percent(driven: Driven) -> float:
    return autonomy_percent(driven.excursions, driven.elapsed_s)


def _moved_per_s(driven: Driven) -> float:
    return driven.steering_moved / driven.elapsed_s if driven.elapsed_s else 0.0


def _speed(driven: Driven) -> str:
    return f"{driven.speed_mps / MPS_PER_MPH:.1f} ({driven.speed_mps:.1f})"


def _top_speed(driven: Driven) -> str:
    return f"{driven.top_speed_mps / MPS_PER_MPH:.1f} ({driven.top_speed_mps:.1f})"


def _lap_s(driven: Driven) -> float:
    return float(np.mean(driven.clean_laps_s)) if driven.clean_laps_s else math.inf


def _lap(driven: Driven) -> str:
    count = len(driven.clean_laps_s or ())
    return f"{_lap_s(driven):.1f} s ({count})" if count else "none"


def _sideways_mps2(driven: Driven) -> float:
    if not len(driven.sideways_mps2):
        return 0.0
    return float(np.percentile(driven.sideways_mps2, 95))


def _between(driven: Driven) -> str:
    way = f"{driven.between_m:,.0f} m"
    return way if driven.interventions else f"none in {way}"


EIGHT = (
    Figure(
        "autonomy",
        lambda d: d.autonomy_percent,
        lambda d: f"{d.autonomy_percent:.1f} %",
        1,
    ),
    Figure(
        "autonomy, counted 1 m off",
        _near_percent,
        lambda d: f"{_near_percent(d):.1f} %",
        1,
    ),
    Figure(
        "interventions",
        lambda d: d.interventions,
        lambda d: f"{d.interventions:,}",
        -1,
    ),
    Figure("way between two of them", lambda d: d.between_m, _between, 1),
    Figure("off the line, RMS", _rms_m, lambda d: f"{_rms_m(d):.2f} m", -1),
    Figure("off the line, 95 % below", _most_m, lambda d: f"{_most_m(d):.2f} m", -1),
    Figure(
        "wheel turned to and fro",
        _moved_per_s,
        lambda d: f"{_moved_per_s(d):.2f} locks/s",
    ),
    Figure("mean speed, mph (m/s)", lambda d: d.speed_mps, _speed),
)


# Of a track besides. Its roads may differ in length: of several the mean says little,
# but that the same laps were clean for two drivers.
FIGURES_OF_SPEED = (
    Figure("time per clean lap (laps)", _lap_s, _lap, -1),
    Figure("top speed, mph (m/s)", lambda d: d.top_speed_mps, _top_speed),
    Figure(
        "sideways, 95 % below",
        _sideways_mps2,
        lambda d: f"{_sideways_mps2(d):.1f} m/s²",
    ),
    Figure(
        "jerk of the steering",
        lambda d: d.jerk_per_s2,
        lambda d: f"{d.jerk_per_s2:.2f} locks/s²",
    ),
)
# Of a recording besides: how far the steering is from the recorded, on the path itself.
RMSE_ROWS = {"steering RMSE": "raw", "and of a second's mean": "averaged_1_s"}
# Of the place on the road, where it is known; + is right of the middle.
RECORDED_DRIVER = "recorded"
PLACE_ROWS = {
    "mean": "{mean_m:+.2f} m",
    "spread": "{spread_m:.2f} m",
    "largest": "{largest_m:.2f} m",
    "beyond 2 m": "{beyond_2_m[times]} ({beyond_2_m[seconds]:.1f} s)",
    "off the road": "{off_road[times]} ({off_road[seconds]:.1f} s)",
    "over its half": "{over_half[times]} ({over_half[seconds]:.1f} s)",
    "put back near it": "{interventions[near_middle]} of {interventions[known]}",
}
NOT_SAID = "-"


def sees(driver: str) -> bool:
    """Say whether a driver does not know where it is: a model, or one that is blind."""
    return is_model(driver) or driver == ZERO


def table_of(groups: Mapping[str, ByDriver], title: str = "") -> Table:
    """Return the eight figures, of tracks those of speed too, a column per driver.

    Args:
        groups: What each driver did, by what stands above the rows; with a single
            group nothing does.
    """
    drivers = list(dict.fromkeys(d for each in groups.values() for d in each))
    rows: list[tuple[str, ...]] = []
    best: set[tuple[int, int]] = set()
    for heading, driven in groups.items():
        rows += [(heading,)] if len(groups) > 1 else []
        has_laps = any(each.clean_laps_s is not None for each in driven.values())
        for figure in (*EIGHT, *(FIGURES_OF_SPEED if has_laps else ())):
            cells = (figure.cell(driven[d]) if d in driven else "-" for d in drivers)
            columns = _best_of(figure, driven, drivers)
            best |= {(len(rows), column) for column in columns}
            rows.append((figure.name, *cells))
    note = BEST_NOTE if best and not all(map(sees, drivers)) else ""
    heads = ("", *names_of(drivers).values())
    return Table(heads, tuple(rows), frozenset(best), title, note)


def groups_of(driven: Mapping[str, Mapping[str, ByDriver]]) -> dict[str, ByDriver]:
    """Return what each driver did on all roads of a kind, by what to call that."""
    return {
        f"{counted(len(roads), kind[:-1])} {KINDS[kind]}": by_driver(roads)
        for kind, roads in driven.items()
    }


def rmse_table(drivers: Mapping[str, Any]) -> Table:
    """Return how far the steering of each driver is from the recorded."""

    def cell(value: float) -> str:
        return f"{value:.3f} ({value * MAX_STEERING_ANGLE_DEG:.1f} deg)"

    rows = (
        (name, *(cell(said["steering_rmse"][label]) for said in drivers.values()))
        for name, label in RMSE_ROWS.items()
    )
    return Table(("", *names_of(list(drivers)).values()), tuple(rows))


def place_table(drivers: Mapping[str, Any]) -> Table:
    """Return where on the road all drivers were, and the one who was recorded."""
    road = next(iter(drivers.values()))["road"]
    title = f"place on the road: known in {road['known_percent']:.1f}% of the time"
    if road["mean_m"] is None:
        return Table(("",), (), title=title)
    title += f", {2 * road['half_width_m']:.1f} m wide (+ is right of the middle)"
    said = {name: drivers[d]["road"] for d, name in names_of(list(drivers)).items()}
    said[RECORDED_DRIVER] = road["recorded_driver"]
    rows = (
        (name, *(_said(cell, figures) for figures in said.values()))
        for name, cell in PLACE_ROWS.items()
    )
    return Table(("", *said), tuple(rows), title=title)


def _said(cell: str, figures: Mapping[str, Any]) -> str:
    """Return a cell; not everything can be said of every driver."""
    try:
        return cell.format(**figures)
    except (KeyError, TypeError):
        return NOT_SAID


def figures_text(document: Mapping[str, Any], rollouts: Sequence[Rollout]) -> str:
    """Return all of it as lines for the terminal, the verdict last.

    The arguments are those of driven_of.
    """
    driven, parts = driven_of(document, rollouts), []
    for kind, roads in driven.items():
        for road, drivers in roads.items():
            parts.append(_text(table_of({road: drivers}, f"{road}: {KINDS[kind]}")))
            if kind == "recordings":
                said = document[kind][road]
                parts += [rmse_table(said).text(), place_table(said).text()]
        if len(roads) > 1:
            (title,) = groups_of({kind: roads})
            parts.append(_text(table_of({title: by_driver(roads)}, f"all {title}")))
    note = table_of(groups_of(driven)).note
    parts += [wrapped(f"* {note}")] if note else []
    return "\n\n".join([*parts, *map(wrapped, verdicts(driven))])


def _text(table: Table) -> str:
    """Return a table for the terminal; what its marks mean is said once, below all."""
    return replace(table, note="").text()


def _best_of(figure: Figure, driven: ByDriver, drivers: Sequence[str]) -> list[int]:
    """Return the columns in which a figure is best; none if all are alike."""
    seeing = [d for d in drivers if d in driven and sees(d)]
    cells = {driver: figure.cell(driven[driver]) for driver in seeing}
    if not figure.better or len(set(cells.values())) < 2:
        return []
    first = max(seeing, key=lambda d: figure.better * figure.value(driven[d]))
    return [1 + drivers.index(d) for d in seeing if cells[d] == cells[first]]


def names_of(drivers: Sequence[str]) -> dict[str, str]:
    """Return what each driver is called: a model by its folder, if no other is."""
    short = {driver: folder_name(driver) for driver in drivers}
    taken = list(short.values())
    return {
        driver: short_name(name if taken.count(name) == 1 else driver)
        for driver, name in short.items()
    }


# --- The verdict ----------------------------------------------------------------------


def verdicts(driven: Mapping[str, Mapping[str, ByDriver]]) -> list[str]:
    """Return in a sentence for each model, and each kind of road, how it drives.

    Args:
        driven: What driven_of returns.
    """
    said = []
    for kind, roads in driven.items():
        drivers = by_driver(roads)
        names = names_of(list(drivers))
        models = [d for d in drivers if is_model(d)] or list(drivers)
        for driver in models:
            blind = drivers.get(ZERO) if driver != ZERO else None
            what = "The model" if is_model(driver) else "The driver"
            said.append(
                f"{what} {names[driver]} {_verdict(drivers[driver], blind)} "
                f"({counted(len(roads), kind[:-1])} {KINDS[kind]})."
            )
    return said


def _verdict(driven: Driven, blind: Driven | None) -> str:
    way = f"{driven.distance_m / METRES_PER_KM:.1f} km"
    if not driven.interventions:
        how = f"drove all {way} alone"
    else:
        times = counted(driven.interventions, "time")
        how = (
            f"needed help {times} in {way}, every {driven.between_m:,.0f} m: "
            f"{driven.autonomy_percent:.1f} % autonomous"
        )
    if blind is None:
        return how
    if driven.interventions and driven.interventions >= blind.interventions:
        return f"drives no better than one that never steers: it {how}"
    times = counted(blind.interventions, "time")
    return f"{how}; one that never steers needs help {times}"
