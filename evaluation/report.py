"""What evaluate.py shows: a table on the terminal, and an HTML file that opens offline.

For every road: the figures of all drivers side by side, a map of each drive coloured by
how far the car was from the path, the error and the steering along the way, and what
the network saw just before each intervention, with what it looked at.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from common.car import INTERVENTION_S, MPS_PER_MPH
from common.files import write_bytes
from common.page import html_page, html_picture, html_table, to_png
from common.table import text_table
from common.text import ESCAPED, shown
from evaluation.rollout import MOST_PICTURES, Rollout
from network.saliency import Saliency, overlay

if TYPE_CHECKING:
    # matplotlib takes a second to import, and no table needs it.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Beyond this the colour of the map does not change.
WORST_ERROR_M = 2.0
# Figures that are no numbers to put into a table.
NOT_SHOWN = ("interventions_at", "lap_times_s")


def write_report(
    path: Path,
    document: dict[str, Any],
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The .html file to write.
        document: The figures by "recordings" or "tracks", road, driver and name.
        rollouts: Every drive; those of one road and driver belong together.
        saliency: What makes heat maps of a driver that is a model, by driver.

    Raises:
        OSError: The file exists, or cannot be written.
    """
    parts = [
        f"<p>Autonomy is NVIDIA's: each intervention costs {INTERVENTION_S:g} s, "
        f"(1 - interventions &times; {INTERVENTION_S:g} s / elapsed) &times; 100.</p>"
    ]
    hows = {"recordings": "replayed", "tracks": "driven in the simulator"}
    for kind, how in hows.items():
        for road, drivers in document[kind].items():
            parts.append(f"<h2>{html.escape(road)}: {how}</h2>{_figures_html(drivers)}")
            parts += _pictures([r for r in rollouts if r.road == road], saliency)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = html_page("How models drive", "".join(parts))
    # A name that is no UTF-8 is shown by its bytes.
    write_bytes(path, page.encode(errors=ESCAPED), is_new=True)


def _figures_html(drivers: dict[str, Any]) -> str:
    """Return the figures with a row for each of them and a column for each driver."""
    columns = {driver: _flat(figures) for driver, figures in drivers.items()}
    names = dict.fromkeys(name for each in columns.values() for name in each)
    heads = [Path(driver).parent.name or driver for driver in columns]
    rows = [[name, *(c.get(name, "") for c in columns.values())] for name in names]
    return html_table(heads, rows)


def _flat(figures: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested figures as one level, their names in words."""
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        title = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            flat.update(_flat(value, f"{title}: "))
        elif name not in NOT_SHOWN:
            flat[title] = value
    return flat


# --- Pictures -------------------------------------------------------------------------


def _pictures(
    rollouts: Sequence[Rollout], saliency: Mapping[str, Saliency]
) -> list[str]:
    """Return the pictures of the drives of a road, as HTML."""
    figures = {
        "Map: how far from the path": draw_maps(rollouts),
        "Cross-track error along the way": draw_errors(rollouts),
        "Place on the road along the way": draw_places(rollouts),
        "Steering of the driver and of the reference": draw_steering(rollouts),
        "What was seen just before interventions": draw_interventions(
            rollouts, saliency
        ),
    }
    return [html_picture(t, to_png(f), level=3) for t, f in figures.items() if f]


def _grid(count: int, width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure and its axes, four in a row, each of this size in inches."""
    from matplotlib.figure import Figure

    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    return figure, grid


def draw_maps(
    rollouts: Sequence[Rollout], title: Callable[[Rollout], str] | None = None
) -> Figure:
    """Draw where each drive went, coloured by its error, crosses at interventions.

    Args:
        title: What stands above a map; None: who drives, and how often it was helped.
    """
    figure, grid = _grid(len(rollouts), 3.6, 3.4)
    for axes, rollout in zip(grid, rollouts, strict=False):
        colours = _draw_map(axes, rollout)
        axes.set_title((title or _name)(rollout), fontsize=9)
    figure.colorbar(
        colours,
        ax=list(grid),
        label="|cross-track error| [m]",
        # As high as one row of maps, beside the first.
        shrink=min(4, len(grid)) / len(grid),
        anchor=(0.0, 1.0),
        aspect=12,
    )
    return figure


def _draw_map(axes: Axes, rollout: Rollout) -> Any:
    from matplotlib.collections import LineCollection

    points = np.column_stack([rollout.x_m, rollout.y_m])
    steps = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.empty(0)
    # A car that was put back did not drive the way there.
    is_driven = steps < 5.0
    lines = np.stack([points[:-1], points[1:]], axis=1)[is_driven]
    colours = LineCollection(list(lines), cmap="viridis_r", linewidths=3)
    colours.set_clim(0, WORST_ERROR_M)
    colours.set_array(np.abs(rollout.cross_track_error_m[:-1])[is_driven])
    axes.add_collection(colours)
    for each in rollout.interventions:
        axes.plot(*points[each.index], "rx", markersize=7)
    axes.autoscale()
    axes.set(xticks=[], yticks=[])
    # All maps of a page are of one size.
    axes.set_aspect("equal", adjustable="datalim")
    return colours


def draw_errors(rollouts: Sequence[Rollout]) -> Figure:
    """Draw the error over the distance, with axes for each drive."""
    figure, grid = _lines_of_axes(rollouts)
    for axes, rollout in zip(grid, rollouts, strict=False):
        axes.plot(rollout.distance_m, rollout.cross_track_error_m, linewidth=0.8)
        axes.axhline(0, color="grey", linewidth=0.5)
        for each in rollout.interventions:
            axes.axvline(rollout.distance_m[each.index], color="red", linewidth=0.6)
        axes.set_ylabel("m, + is right", fontsize=8)
    return figure


def draw_places(rollouts: Sequence[Rollout]) -> Figure | None:
    """Draw the place on the road over the distance; None if it is never known."""
    places_m = [each.place_m for each in rollouts if each.place_m is not None]
    if not any(np.isfinite(place_m).any() for place_m in places_m):
        return None
    placed = [each for each in rollouts if each.place_m is not None]
    figure, grid = _lines_of_axes(placed)
    for axes, rollout, place_m in zip(grid, placed, places_m, strict=False):
        way_m, recorded_m = rollout.distance_m, place_m - rollout.cross_track_error_m
        axes.plot(way_m, recorded_m, color="orange", linewidth=0.6, label="recorded")
        axes.plot(way_m, place_m, linewidth=0.8, label="driver")
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set_ylabel("m, + is right", fontsize=8)
        axes.legend(loc="upper right", fontsize=7)
    return figure


def draw_steering(rollouts: Sequence[Rollout]) -> Figure:
    """Draw the steering over the distance, the reference behind it."""
    figure, grid = _lines_of_axes(rollouts)
    for axes, rollout in zip(grid, rollouts, strict=False):
        place_m, reference = rollout.distance_m, rollout.reference_steering
        axes.plot(place_m, reference, color="orange", linewidth=0.6, label="reference")
        axes.plot(place_m, rollout.steering, linewidth=0.8, label="driver")
        axes.set_ylabel("+ is right", fontsize=8)
        axes.legend(loc="upper right", fontsize=7)
    return figure


def _lines_of_axes(rollouts: Sequence[Rollout]) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    count = len(rollouts)
    figure = Figure(figsize=(13, 1.5 * count + 0.4), layout="constrained")
    grid = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for axes, rollout in zip(grid, rollouts, strict=False):
        axes.set_title(_name(rollout), fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
    grid[-1].set_xlabel("distance [m]", fontsize=8)
    return figure, grid


def draw_interventions(
    rollouts: Sequence[Rollout],
    saliency: Mapping[str, Saliency],
    title: Callable[[Rollout], str] | None = None,
) -> Figure | None:
    """Draw the last frame before interventions; None if no drive kept one.

    The arguments are those of write_report and draw_maps.
    """
    seen = []
    for rollout in rollouts:
        kept = [each for each in rollout.interventions if each.picture is not None]
        seen += [(rollout, each) for each in kept[:MOST_PICTURES]]
    if not seen:
        return None
    figure, grid = _grid(len(seen), 3.4, 2.1)
    for axes, (rollout, each) in zip(grid, seen, strict=False):
        picture = each.picture
        assert picture is not None, "those without one were left out"
        if rollout.driver in saliency:
            picture = overlay(picture, saliency[rollout.driver](picture))
        axes.imshow(picture)
        axes.set(xticks=[], yticks=[])
        place = f"{rollout.distance_m[each.index]:.0f} m: {each.reason}"
        axes.set_title(f"{(title or _name)(rollout)}\n{place}", fontsize=8)
    return figure


def _name(rollout: Rollout) -> str:
    """Return a short title: who drives, and how often it was helped."""
    driver = Path(rollout.driver).parent.name or rollout.driver
    reasons = {each.reason for each in rollout.interventions}
    limit = f", put back at {reasons.pop()}" if len(reasons) == 1 else ""
    return f"{driver}: {len(rollout.interventions)} interventions{limit}"


# --- The same as text ----------------------------------------------------------------

# The columns' headings, and how a cell is made of a driver's figures.
REPLAY_COLUMNS = {
    "1 m": "{at_1_m[autonomy_percent]:.1f}%",
    "2 m": "{at_2_m[autonomy_percent]:.1f}%",
    "interventions": "{at_1_m[interventions]} / {at_2_m[interventions]}",
    "RMS m": "{at_2_m[rms_cross_track_error_m]:.2f}",
    "95 % m": "{at_2_m[p95_cross_track_error_m]:.2f}",
    "RMSE raw": "{steering_rmse[raw]:.3f}",
    "1 s": "{steering_rmse[averaged_1_s]:.3f}",
    "|d steer|/s": "{at_2_m[smoothness_per_s]:.2f}",
}
# Of the place on the road, where it is known.
RECORDED_DRIVER = "recorded driver"
ROAD_COLUMNS = {
    "mean m": "{mean_m:+.2f}",
    "spread m": "{spread_m:.2f}",
    "largest m": "{largest_m:.2f}",
    "> 2 m": "{beyond_2_m[times]} ({beyond_2_m[seconds]:.1f} s)",
    "off road": "{off_road[times]} ({off_road[seconds]:.1f} s)",
    "over its half": "{over_half[times]} ({over_half[seconds]:.1f} s)",
    "put back near middle": "{interventions[near_middle]} of {interventions[known]}",
}
NOT_SAID = "-"
TRACK_COLUMNS = {
    "laps": "{laps}",
    "off road": "{off_road}",
    "hits": "{collisions}",
    "autonomy": "{autonomy_percent:.1f}%",
    "1 m": "{autonomy_1_m_percent:.1f}%",
    "2 m": "{autonomy_2_m_percent:.1f}%",
    "mean m": "{mean_abs_cross_track_error_m:.2f}",
    "RMS m": "{rms_cross_track_error_m:.2f}",
    "mph": "{mean_speed_mph:.1f}",
}


def figures_table(document: dict[str, Any]) -> str:
    """Return the figures as lines for a person; the document is write_report's."""
    lines = []
    for name, drivers in document["recordings"].items():
        lines.append(shown(f"{name}: replayed (autonomy at 1 m, and at 2 m)"))
        lines.append(_table(REPLAY_COLUMNS, drivers))
        lines.append(_road_table(drivers))
    for name, drivers in document["tracks"].items():
        lines.append(shown(f"{name}: driven in the simulator"))
        in_mph = {
            driver: said | {"mean_speed_mph": said["mean_speed_mps"] / MPS_PER_MPH}
            for driver, said in drivers.items()
        }
        lines.append(_table(TRACK_COLUMNS, in_mph))
    return "\n".join(lines)


def _road_table(drivers: dict[str, Any]) -> str:
    """Return the place on the road of all drivers, and of the one who was recorded."""
    said = {driver: figures["road"] for driver, figures in drivers.items()}
    road = next(iter(said.values()))
    head = f"  place on the road: known in {road['known_percent']:.1f}% of the time"
    if road["mean_m"] is None:
        return head
    head += f", {2 * road['half_width_m']:.1f} m wide (+ is right of the middle)"
    said[RECORDED_DRIVER] = road["recorded_driver"]
    return f"{head}\n{_table(ROAD_COLUMNS, said)}"


def _table(columns: dict[str, str], drivers: dict[str, Any]) -> str:
    """Return a row for each driver, indented."""
    rows = [["driver", *columns]]
    for driver, said in drivers.items():
        # The end of a long path tells models apart.
        name = driver if len(driver) <= 31 else "..." + driver[-28:]
        rows.append([name, *(_cell(cell, said) for cell in columns.values())])
    return indent(text_table(rows, "<>"), "  ")


def _cell(cell: str, said: dict[str, Any]) -> str:
    """Return a cell; not everything can be said of every driver."""
    try:
        return cell.format(**said)
    except KeyError:
        return NOT_SAID
