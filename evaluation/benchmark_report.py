"""What evaluate.py --benchmark shows: a table on the terminal, and one HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from common.files import write_bytes
from common.page import html_page, html_picture, html_table, to_png
from common.table import text_table
from common.text import ESCAPED
from evaluation.benchmark import NAME, SPEED_MPH, worst_ways
from evaluation.drivers import is_model
from evaluation.report import draw_interventions, draw_maps
from evaluation.rollout import Rollout

if TYPE_CHECKING:
    # matplotlib takes a second to import, and no table needs it.
    from matplotlib.figure import Figure

    from network.saliency import Saliency

# The columns' headings, and how a cell is made of the figures of a driver or a road.
COLUMNS = {
    "score": "{score:.1f}",
    "autonomy": "{autonomy_percent:.1f} %",
    "interventions": "{interventions}",
    "from the middle": "{from_middle_m:.2f} m",
    "from its lane": "{from_lane_m:.2f} m",
    "spread": "{spread_m:.2f} m",
    "own half": "{own_half_percent:.0f} %",
}
SUMMARY_COLUMNS = {
    "score": "{score:.1f}",
    "95 % of other roads": "{low:.1f} to {high:.1f}",
    "roads alone": "{roads_alone} of {roads}",
    **{head: cell for head, cell in COLUMNS.items() if head != "score"},
}
HELP_COLUMNS = {
    "score": "{score:.1f}",
    "off the road": "{off_road}",
    "hit something": "{collisions}",
    "stuck": "{stuck}",
    "driven": "{reached_m:.0f} of {length_m:.0f} m",
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
    known = {name: value for name, value in figures.items() if value is not None}
    row = []
    for cell in columns.values():
        try:
            row.append(cell.format(**known))
        except KeyError:
            row.append(NOT_SAID)
    return row


def short_name(driver: str) -> str:
    """Return what a driver is called in a heading: a model by its folder."""
    return Path(driver).absolute().parent.name if is_model(driver) else driver


def kind_rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of COLUMNS for each kind of road, its name first."""
    return [[kind, *cells(COLUMNS, said)] for kind, said in figures["kinds"].items()]


def benchmark_table(document: dict[str, Any]) -> str:
    """Return the figures as lines for a person; the document is judge's."""
    drivers = document["benchmark"]["drivers"]
    rows = [["driver", *SUMMARY_COLUMNS]]
    for driver, figures in drivers.items():
        # The end of a long path tells models apart.
        name = driver if len(driver) <= 31 else "..." + driver[-28:]
        rows.append([name, *cells(SUMMARY_COLUMNS, figures)])
    lines = [f"{NAME}, at {SPEED_MPH:g} mph: each road counts alike, 100 is the most"]
    lines.append(indent(text_table(rows, "<>"), "  "))
    for driver, figures in drivers.items():
        heads = [f"{short_name(driver)} on", *COLUMNS]
        lines.append(indent(text_table([heads, *kind_rows(figures)], "<>"), "  "))
    return "\n".join(lines)


# --- The page -------------------------------------------------------------------------


def write_benchmark_page(
    path: Path,
    document: dict[str, Any],
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The .html file to write.
        document: What judge returns.
        rollouts: The drives that it returns beside it.
        saliency: What makes heat maps of a driver that is a model, by driver.

    Raises:
        OSError: The file exists, or cannot be written.
    """
    drivers = document["benchmark"]["drivers"]
    heads = [_headline(driver, figures) for driver, figures in drivers.items()]
    parts = [*heads, _explanation(), _road_table(drivers)]
    parts.append(html_picture("Score of each road", to_png(draw_scores(drivers))))
    for driver, figures in drivers.items():
        drives = [each for each in rollouts if each.driver == driver]
        parts += _drives(driver, figures, drives, saliency)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = html_page(f"Driving {NAME}", "".join(parts))
    # A name that is no UTF-8 is shown by its bytes.
    write_bytes(path, page.encode(errors=ESCAPED), is_new=True)


def _headline(driver: str, figures: Mapping[str, Any]) -> str:
    score, rest = f"{figures['score']:.1f}", html.escape(_in_words(figures))
    return (
        f'<p><span style="font-size: 2.6rem; font-weight: 600">{score}</span> '
        f"<b>{html.escape(short_name(driver))}</b><br>{rest}</p>"
    )


def _in_words(figures: Mapping[str, Any]) -> str:
    """Return what stands beside the score, as a sentence."""
    said = (
        f"With other roads of these kinds {figures['low']:.1f} to "
        f"{figures['high']:.1f} (95 %). {figures['roads_alone']} of "
        f"{figures['roads']} roads without an intervention. On average "
        f"{figures['from_middle_m']:.2f} m from the road's middle, "
        f"{figures['from_lane_m']:.2f} m from its lane's, with a spread of "
        f"{figures['spread_m']:.2f} m"
    )
    if (own_percent := figures["own_half_percent"]) is not None:
        said += f"; on roads with two lanes {own_percent:.0f} % on its own half"
    return said + "."


def _explanation() -> str:
    return (
        f"<p>{HOW} Autonomy is NVIDIA's: each intervention costs 6 s of the time "
        "driven.</p>"
    )


def _road_table(drivers: Mapping[str, Any]) -> str:
    """Return a table with a row for each driver and kind of road."""
    rows = [
        [kind, short_name(driver), *cells(COLUMNS, figures["kinds"][kind])]
        for kind in next(iter(drivers.values()))["kinds"]
        for driver, figures in drivers.items()
    ]
    return html_table(["driver", *COLUMNS], rows)


def draw_scores(drivers: Mapping[str, Any]) -> Figure:
    """Draw the score of every road, a mark for each driver."""
    from matplotlib.figure import Figure

    roads = next(iter(drivers.values()))["by_road"]
    figure = Figure(figsize=(11, 0.27 * len(roads) + 1.1), layout="constrained")
    axes = figure.subplots()
    heights = range(len(roads))
    for (driver, figures), mark in zip(drivers.items(), "osD^vPX*" * 9, strict=False):
        scores = [road["score"] for road in figures["by_road"].values()]
        axes.plot(scores, heights, mark, label=short_name(driver), alpha=0.8)
        axes.axvline(figures["score"], color=axes.lines[-1].get_color(), alpha=0.4)
    looks = [road["kind"].partition(" ")[2] for road in roads.values()]
    names = [f"{n} {look}".strip() for n, look in zip(roads, looks, strict=True)]
    axes.set_yticks(heights, names, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(-2, 102), xlabel="score; the lines are the means")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    return figure


def _drives(
    driver: str,
    figures: Mapping[str, Any],
    drives: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
) -> list[str]:
    """Return the pictures of all drives of a driver, as HTML."""
    scores = {
        f"{road} {way}": said["score"]
        for road, ways in figures["by_road"].items()
        for way, said in ways["ways"].items()
    }

    def title(drive: Rollout) -> str:
        return f"{drive.road}: {scores[drive.road]:.1f}"

    first = [replace(each, interventions=each.interventions[:1]) for each in drives]
    pictures = {
        "how far from its lane's middle": draw_maps(drives, title),
        "what was seen before the first intervention": draw_interventions(
            first, saliency, title
        ),
    }
    name = short_name(driver)
    return [
        f"<h2>{html.escape(name)}: where it needed help</h2>{_help_table(figures)}",
        *(
            html_picture(f"{name}: {what}", to_png(figure))
            for what, figure in pictures.items()
            if figure
        ),
    ]


def _help_table(figures: Mapping[str, Any]) -> str:
    """Return a table of the ways on which there were interventions, or a word."""
    rows = [
        [way, *(cell.format(**said) for cell in HELP_COLUMNS.values())]
        for way, said in worst_ways(figures)
    ]
    return html_table(list(HELP_COLUMNS), rows) if rows else "<p>Nowhere.</p>"
