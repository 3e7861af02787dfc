"""The figures of the benchmark, in words: for the terminal, its page and the card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.table import Table
from common.text import counted, wrapped
from evaluation.benchmark import NAME, SPEED_MPH
from evaluation.drivers import is_model
from evaluation.summary import BEST_NOTE, names_of, sees

# How a cell is made of the figures of a driver, a kind of road, or a road.
COLUMNS = {
    "score": "{score:.1f}",
    "autonomy": "{autonomy_percent:.1f} %",
    "interventions": "{interventions}",
    "from the middle": "{from_middle_m:.2f} m",
    "from its lane": "{from_lane_m:.2f} m",
    "spread": "{spread_m:.2f} m",
    "own half": "{own_half_percent:.0f} %",
}
# The figure of each row, and 1 if more is better, -1 if less is, 0 if neither.
SUMMARY = {
    "score": ("{score:.1f}", "score", 1),
    "score with other roads, 95 %": ("{low:.1f} to {high:.1f}", "low", 0),
    "roads without an intervention": ("{roads_alone} of {roads}", "roads_alone", 1),
    "interventions": ("{interventions:,}", "interventions", -1),
    "autonomy": ("{autonomy_percent:.1f} %", "autonomy_percent", 1),
    "from its lane's middle": ("{from_lane_m:.2f} m", "from_lane_m", -1),
    "spread across the road": ("{spread_m:.2f} m", "spread_m", -1),
    "on its own half, of two": ("{own_half_percent:.0f} %", "own_half_percent", 1),
}
ON_A_WAY = {
    "score": "{score:.1f}",
    "autonomy": "{autonomy_percent:.1f} %",
    "off the road": "{off_road}",
    "hit something": "{collisions}",
    "stuck": "{stuck}",
    "driven": "{reached_m:,.0f} of {length_m:,.0f} m",
    "from the middle": "{from_middle_m:.2f} m",
    "from its lane's middle": "{from_lane_m:.2f} m",
    "spread": "{spread_m:.2f} m",
    "on its own half": "{own_half_percent:.0f} %",
}
NOT_SAID = "-"
HOW = (
    f"A lap of each road at {SPEED_MPH:g} mph; the lake, the jungle and the mountain "
    "both ways round. A road's score is the chance to drive a kilometre of it without "
    "an intervention, in percent: exp(-interventions per km); what was not reached "
    "counts as not driven. Each road counts alike. Weaving and the wrong lane cost "
    "nothing as long as the car stays on the road: they stand beside the score."
)


def cells(columns: Mapping[str, str], figures: Mapping[str, Any]) -> list[str]:
    """Return the cells of a row; on a road with one lane nobody keeps to a half."""
    return [_cell(cell, figures) for cell in columns.values()]


def _cell(cell: str, figures: Mapping[str, Any]) -> str:
    known = {name: value for name, value in figures.items() if value is not None}
    try:
        return cell.format(**known)
    except KeyError:
        return NOT_SAID


def kind_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of COLUMNS for each kind of road, its name first."""
    return [[kind, *cells(COLUMNS, said)] for kind, said in figures["kinds"].items()]


def summary_table(drivers: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    """Return the eight figures, a column for each driver."""
    rows: list[tuple[str, ...]] = []
    best: set[tuple[int, int]] = set()
    for name, (cell, figure, better) in SUMMARY.items():
        shown = {driver: _cell(cell, said) for driver, said in drivers.items()}
        known = [d for d in drivers if sees(d) and drivers[d][figure] is not None]
        if better and len({shown[d] for d in known}) > 1:
            first = max(known, key=lambda d: better * drivers[d][figure])
            columns = [i for i, d in enumerate(drivers, 1) if d in known]
            best |= {
                (len(rows), column)
                for column, driver in zip(columns, known, strict=True)
                if shown[driver] == shown[first]
            }
        rows.append((name, *shown.values()))
    note = BEST_NOTE if best and not all(map(sees, drivers)) else ""
    heads = ("", *(names[driver] for driver in drivers))
    return Table(heads, tuple(rows), frozenset(best), note=note)


def kind_table(drivers: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    """Return the score on each kind of road, a column for each driver."""
    kinds = next(iter(drivers.values()))["kinds"]
    rows = (
        (kind, *(_cell(COLUMNS["score"], d["kinds"][kind]) for d in drivers.values()))
        for kind in kinds
    )
    heads = ("score by kind of road", *(names[driver] for driver in drivers))
    return Table(heads, tuple(rows))


def way_table(drivers: Mapping[str, Any], way: str, names: Mapping[str, str]) -> Table:
    """Return all figures of one lap, a column for each driver."""
    said = {driver: dict(_ways(figures))[way] for driver, figures in drivers.items()}
    rows = zip(ON_A_WAY, *(cells(ON_A_WAY, of) for of in said.values()), strict=True)
    heads = ("", *(names[driver] for driver in said))
    return Table(heads, tuple(rows), title="All figures")


def score_of_ways(drivers: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the score of every lap, by the lap's name and driver."""
    scores: dict[str, dict[str, float]] = {}
    for driver, figures in drivers.items():
        for way, said in _ways(figures):
            scores.setdefault(way, {})[driver] = said["score"]
    return scores


def _ways(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{road} {way}", said)
        for road, roads in figures["by_road"].items()
        for way, said in roads["ways"].items()
    ]


def benchmark_text(document: dict[str, Any]) -> str:
    """Return the figures as lines for a person; the document is judge's."""
    drivers = document["benchmark"]["drivers"]
    names = names_of(list(drivers))
    return "\n".join(
        [
            f"{NAME}, at {SPEED_MPH:g} mph: each road counts alike, 100 is the most",
            summary_table(drivers, names).text(),
            "",
            kind_table(drivers, names).text(),
            "",
            *map(wrapped, verdicts(drivers, names)),
        ]
    )


def verdicts(drivers: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Return in a sentence how each model does; where there is none, each driver."""
    return [
        f"The {'model' if is_model(driver) else 'driver'} {names[driver]} scores "
        f"{said['score']:.1f} of 100 "
        f"({said['low']:.1f} to {said['high']:.1f} with other roads of these kinds): "
        f"{said['roads_alone']} of {counted(said['roads'], 'road')} driven without an "
        "intervention."
        for driver, said in drivers.items()
        if is_model(driver) or not any(map(is_model, drivers))
    ]
