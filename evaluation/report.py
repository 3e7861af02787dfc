"""The page that evaluate.py writes: one file that opens without a network.

It leads with a verdict and a table of eight figures. For every road follow, folded
away, where each driver went and was helped, how far off it was and how it steered, what
a model saw just before it was helped, with what it looked at, and all figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common.bar import Bar
from common.car import INTERVENTION_S
from common.files import write_bytes
from common.page import Picture, jpeg_data, render, to_svg
from common.table import Table
from common.text import ESCAPED, shown
from evaluation import benchmark_table, charts, summary
from evaluation.driven import KINDS, driven_of
from evaluation.drivers import is_model
from evaluation.rollout import MOST_PICTURES, Rollout
from network.saliency import Saliency, overlay

# Figures that are no numbers to put into a table.
NOT_SHOWN = ("interventions_at", "lap_times_s", "clean_lap_times_s")
AUTONOMY = (
    f"Autonomy is NVIDIA's: each intervention costs {INTERVENTION_S:g} s, "
    f"(1 − interventions × {INTERVENTION_S:g} s / time driven) × 100."
)
HOW_RECORDINGS = (
    "A recording is driven again with pictures re-projected to where the car would "
    "stand. A car that strays 2 m off the recorded path is put back, which is an "
    "intervention; 1 m, NVIDIA's limit, is counted beside it."
)
HOW_TRACKS = (
    "On a track a car is put back when it has left the road, has hit something or is "
    "stuck, which is an intervention; how often it was 1 m off its lane's middle is "
    "counted beside it."
)


@dataclass(frozen=True)
class About:
    """What a page says of itself."""

    facts: tuple[tuple[str, str], ...]
    """Pairs of a word and what is said of it: models and date."""
    command: str
    """What one types to make the page again."""
    film: str = ""
    """The address of a film, from where the page lies; "" for none."""


@dataclass(frozen=True)
class Road:
    """What a page shows of one road."""

    name: str
    """Its name."""
    said: str
    """In a few words who was helped how often."""
    map: Picture
    """Where everybody went."""
    drawings: tuple[Picture, ...]
    """How they went, along the way."""
    seen: tuple[Picture, ...]
    """What models saw just before they were helped."""
    tables: tuple[Table, ...]
    """All figures."""


def write_report(
    path: Path,
    document: dict[str, Any],
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
    about: About,
) -> None:
    """Write the page of recordings and tracks, whole or not at all.

    Args:
        path: The .html file to write.
        document: The figures by "recordings" or "tracks", road, driver and name.
        rollouts: Every drive; those of one road and driver belong together.
        saliency: What makes heat maps of a driver that is a model, by driver.

    Raises:
        OSError: The file exists, or cannot be written.
    """
    driven = driven_of(document, rollouts)
    named = {
        (kind, road): f"{road}, {KINDS[kind]}"
        for kind, roads in driven.items()
        for road in roads
    }
    names = summary.names_of(list(dict.fromkeys(r.driver for r in rollouts)))
    with Bar("drawing the report", len(named), "roads") as bar:
        roads = []
        for (kind, place), name in bar.over(named.items()):
            drives = [each for each in rollouts if each.road == place]
            said = document[kind][place]
            tables = [summary.place_table(said)] if kind == "recordings" else []
            tables.append(_all_figures(said, names))
            road = _road(name, drives, saliency, names, tables)
            if kind == "tracks":
                road = replace(road, drawings=road.drawings + _speeds(drives, names))
            roads.append(road)
    autonomies = {
        name: {d: of.autonomy_percent for d, of in driven[kind][road].items()}
        for (kind, road), name in named.items()
    }
    notes = [AUTONOMY]
    notes += [HOW_RECORDINGS] if "recordings" in driven else []
    notes += [HOW_TRACKS] if "tracks" in driven else []
    _write(
        path,
        title="How models drive",
        verdicts=summary.verdicts(driven),
        about=about,
        table=summary.table_of(summary.groups_of(driven)),
        overview=_overview(autonomies, names, "autonomy [%]"),
        roads=roads,
        notes=notes,
    )


def write_benchmark_page(
    path: Path,
    document: dict[str, Any],
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
    about: About,
) -> None:
    """Write the benchmark's page, whole or not at all.

    Args:
        document: What benchmark.judge returns, and rollouts beside it; the others are
            those of write_report.

    Raises:
        OSError: The file exists, or cannot be written.
    """
    drivers = document["benchmark"]["drivers"]
    names = summary.names_of(list(drivers))
    scores = benchmark_table.score_of_ways(drivers)
    with Bar("drawing the report", len(scores), "laps") as bar:
        roads = []
        for way, of in bar.over(scores.items()):
            drives = [each for each in rollouts if each.road == way]
            tables = [benchmark_table.way_table(drivers, way, names)]
            said = ", ".join(f"{names[d]} {score:.1f}" for d, score in of.items())
            roads.append(_road(way, drives, saliency, names, tables, said))
    means = {driver: figures["score"] for driver, figures in drivers.items()}
    _write(
        path,
        title=f"Driving {benchmark_table.NAME}",
        verdicts=benchmark_table.verdicts(drivers, names),
        about=about,
        table=benchmark_table.summary_table(drivers, names),
        overview=_overview(scores, names, "score; lines: the mean", means),
        roads=roads,
        notes=[benchmark_table.HOW, AUTONOMY],
    )


def _write(path: Path, about: About, **values: Any) -> None:
    page = render("evaluation/report.html", **asdict(about), **values)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that is no UTF-8 is shown by its bytes.
    write_bytes(path, page.encode(errors=ESCAPED), is_new=True)


# --- One road -------------------------------------------------------------------------


def _road(
    name: str,
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
    names: Mapping[str, str],
    tables: Sequence[Table],
    said: str = "",
) -> Road:
    """Return what is shown of a road.

    Args:
        rollouts: Its drives; of one driver the last one is shown.
        names: What each driver is called.
        said: What stands beside its name; "": how often each driver was helped.
    """
    drives = list({each.driver: each for each in rollouts}.values())
    helped = (f"{names[each.driver]} {len(each.interventions)}" for each in drives)
    figures = {
        "How far off": charts.draw_errors(drives, names),
        "Where on the road": charts.draw_places(drives, names),
        "How they steered": charts.draw_steering(drives, names),
    }
    return Road(
        name=name,
        said=said or f"interventions of {', '.join(helped)}",
        map=Picture("Where everybody went", svg=to_svg(charts.draw_map(drives, names))),
        drawings=tuple(
            Picture(title, svg=to_svg(figure))
            for title, figure in figures.items()
            if figure
        ),
        seen=tuple(_seen(drives, saliency, names)),
        tables=tuple(tables),
    )


def _speeds(
    rollouts: Sequence[Rollout], names: Mapping[str, str]
) -> tuple[Picture, ...]:
    """Return how fast a road was driven: all drivers on its way, one on its map."""
    drives = list({each.driver: each for each in rollouts}.values())
    shown = next((each for each in drives if is_model(each.driver)), drives[0])
    figures = {
        "How fast": charts.draw_speeds(drives, names),
        f"How fast {names[shown.driver]} was, and where": charts.draw_speed_map(shown),
    }
    return tuple(Picture(title, svg=to_svg(f)) for title, f in figures.items())


def _overview(
    values: Mapping[str, Mapping[str, float]],
    names: Mapping[str, str],
    what: str,
    means: Mapping[str, float] | None = None,
) -> Picture | None:
    """Return the drawing of a figure of all roads; None where there is but one."""
    if len(values) < 2:
        return None
    figure = charts.draw_roads(values, names, what, means)
    return Picture("All drivers, road by road", svg=to_svg(figure))


def _seen(
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
    names: Mapping[str, str],
) -> list[Picture]:
    """Return what models saw just before they were helped, and what they looked at."""
    seen = []
    for rollout in rollouts:
        kept = [each for each in rollout.interventions if each.picture is not None]
        for each in kept[:MOST_PICTURES] if is_model(rollout.driver) else ():
            picture = each.picture
            assert picture is not None, "those without one were left out"
            if rollout.driver in saliency:
                picture = overlay(picture, saliency[rollout.driver](picture))
            at_m = rollout.distance_m[each.index]
            said = f"{names[rollout.driver]} at {at_m:,.0f} m: {each.reason}"
            seen.append(Picture(caption=said, source=jpeg_data(picture)))
    return seen


def _all_figures(drivers: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    """Return every figure of a road, a column for each driver."""
    columns = {driver: _flat(figures) for driver, figures in drivers.items()}
    rows = dict.fromkeys(row for each in columns.values() for row in each)
    return Table(
        ("", *(names[driver] for driver in columns)),
        tuple((row, *(c.get(row, "-") for c in columns.values())) for row in rows),
        title="All figures",
    )


def _flat(figures: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Return nested figures as one level, their names in words."""
    flat: dict[str, str] = {}
    for name, value in figures.items():
        title = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{title}: ")
        elif name not in NOT_SHOWN:
            flat[title] = _value_text(value)
    return flat


def _value_text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else shown(f"{value:,.6g}")
