"""Drawings of drives for a page, all drivers of a road on one axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from common.car import MPS_PER_MPH
from common.page import INK
from evaluation.drivers import is_model
from evaluation.rollout import Rollout

if TYPE_CHECKING:
    # matplotlib takes a second to import, and no table needs it.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# To be told apart on white, on black, and mostly by who sees few colours.
COLOURS = "#2f7de1 #e8590c #2b9348 #b5179e #0c8599 #c92a2a #7048e8 #a07000".split()
GREY = "#868e96"
MARKS = "osD^vPX*"
# Beyond this the colour of a map does not change.
WORST_ERROR_M = 2.0
# A line across a page has some so many pixels; of each stretch the farthest is drawn.
MOST_POINTS = 500
# A car that was put back did not drive the way there.
MOST_STEP_M = 5.0
WIDTH_IN, HEIGHT_IN, MAP_IN = 5.4, 2.2, 4.0
FONT_PT = 9.5


def colours_of(drivers: Sequence[str]) -> dict[str, str]:
    """Return the colour of each driver, the same in all drawings of a page."""
    return {d: COLOURS[i % len(COLOURS)] for i, d in enumerate(drivers)}


def draw_map(rollouts: Sequence[Rollout], names: Mapping[str, str]) -> Figure:
    """Draw where each drive went, and where it was helped."""
    figure, axes = _figure(WIDTH_IN, MAP_IN)
    for rollout, colour in _coloured(rollouts, names):
        points = np.column_stack([rollout.x_m, rollout.y_m]).astype(float)
        steps = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.empty(0)
        cut = np.flatnonzero(steps > MOST_STEP_M) + 1
        # What is not a number is not drawn.
        x_m, y_m = np.insert(points, cut, np.nan, axis=0).T
        every = max(1, len(x_m) // MOST_POINTS)
        label, style = names[rollout.driver], _style(rollout)
        axes.plot(
            _kept(x_m, every), _kept(y_m, every), color=colour, label=label, **style
        )
        at = [each.index for each in rollout.interventions]
        axes.plot(*points[at].T, "x", color=colour, markersize=6, markeredgewidth=1.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("metres; crosses: helped")
    _legend(axes)
    return figure


def _kept(values: np.ndarray, every: int) -> np.ndarray:
    """Return every so many values, and all that are next to a gap."""
    gaps = np.isnan(values)
    near = gaps | np.roll(gaps, 1) | np.roll(gaps, -1)
    near[::every] = True
    near[-1:] = True
    return values[near]


def draw_errors(rollouts: Sequence[Rollout], names: Mapping[str, str]) -> Figure:
    """Draw how far each drive was from the path, over the distance."""
    figure, axes = _figure(WIDTH_IN, HEIGHT_IN)
    axes.axhline(0, color=GREY, linewidth=0.6)
    for rollout, colour in _coloured(rollouts, names):
        way_m, error_m = rollout.distance_m, rollout.cross_track_error_m
        label, style = names[rollout.driver], _style(rollout)
        axes.plot(*_thinned(way_m, error_m), color=colour, label=label, **style)
        at = [each.index for each in rollout.interventions]
        axes.plot(way_m[at], error_m[at], "x", color=colour, markersize=5)
    axes.set(xlabel="way [m]; crosses: helped", ylabel="off the line [m], + right")
    _legend(axes)
    return figure


def draw_speeds(rollouts: Sequence[Rollout], names: Mapping[str, str]) -> Figure:
    """Draw how fast each drive was, over the distance."""
    figure, axes = _figure(WIDTH_IN, HEIGHT_IN)
    for rollout, colour in _coloured(rollouts, names):
        label, style = names[rollout.driver], _style(rollout)
        speed_mph = rollout.speed_mps / MPS_PER_MPH
        line = _thinned(rollout.distance_m, speed_mph)
        axes.plot(*line, color=colour, label=label, **style)
    axes.set(xlabel="way [m]", ylabel="speed [mph]")
    axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def draw_steering(rollouts: Sequence[Rollout], names: Mapping[str, str]) -> Figure:
    """Draw the steering over the distance, the reference behind it."""
    figure, axes = _figure(WIDTH_IN, HEIGHT_IN)
    first = rollouts[0]
    reference = _thinned(first.distance_m, first.reference_steering)
    axes.plot(*reference, color=GREY, linewidth=1.6, alpha=0.7, label="reference")
    for rollout, colour in _coloured(rollouts, names):
        label, style = names[rollout.driver], _style(rollout)
        line = _thinned(rollout.distance_m, rollout.steering)
        axes.plot(*line, color=colour, label=label, **style)
    axes.set(xlabel="way [m]", ylabel="steering, + right")
    _legend(axes)
    return figure


def draw_places(rollouts: Sequence[Rollout], names: Mapping[str, str]) -> Figure | None:
    """Draw the place on the road over the distance; None if it is never known."""
    placed = [each for each in rollouts if each.place_m is not None]
    known = [
        r for r in placed if r.place_m is not None and np.isfinite(r.place_m).any()
    ]
    if not known:
        return None
    figure, axes = _figure(WIDTH_IN, HEIGHT_IN)
    axes.axhline(0, color=GREY, linewidth=0.6)
    first = known[0]
    assert first.place_m is not None, "those without one were left out"
    recorded_m = first.place_m - first.cross_track_error_m
    line = _thinned(first.distance_m, recorded_m)
    axes.plot(*line, color=GREY, linewidth=1.6, alpha=0.7, label="recorded")
    for rollout, colour in _coloured(known, names):
        assert rollout.place_m is not None, "as above"
        label, style = names[rollout.driver], _style(rollout)
        line = _thinned(rollout.distance_m, rollout.place_m)
        axes.plot(*line, color=colour, label=label, **style)
    axes.set(xlabel="way [m]", ylabel="off the road's middle [m]")
    _legend(axes)
    return figure


def draw_roads(
    values: Mapping[str, Mapping[str, float]],
    names: Mapping[str, str],
    what: str,
    means: Mapping[str, float] | None = None,
) -> Figure:
    """Draw a figure of every road on one axis, a mark for each driver.

    Args:
        values: The figure in percent, by road and driver.
        names: What each driver is called.
        what: What the figure is.
        means: What is drawn as a line for each driver; None: nothing.
    """
    roads = list(values)
    figure, axes = _figure(1.4 * WIDTH_IN, 0.28 * len(roads) + 1.0)
    # Side by side, so that none hides another.
    lanes = np.linspace(-0.3, 0.3, len(names)) if len(names) > 1 else [0.0]
    drivers = zip(colours_of(list(names)).items(), lanes, strict=True)
    for i, ((driver, colour), lane) in enumerate(drivers):
        at = [h for h, road in enumerate(roads) if driver in values[road]]
        heights = [h + lane for h in at]
        marks = [values[roads[h]][driver] for h in at]
        mark, label = MARKS[i % len(MARKS)], names[driver]
        axes.plot(marks, heights, mark, color=colour, label=label, markersize=5)
        if means and driver in means:
            axes.axvline(means[driver], color=colour, linewidth=1, alpha=0.6)
    axes.set_yticks(range(len(roads)), roads)
    axes.set(xlim=(-2, 102), ylim=(len(roads) - 0.5, -0.5), xlabel=what)
    axes.grid(color=GREY, alpha=0.25)
    _legend(axes)
    return figure


def draw_drive(rollout: Rollout) -> Figure:
    """Draw one drive, coloured by how far from the path it was."""
    error_m = np.abs(rollout.cross_track_error_m)
    return _draw_coloured(rollout, error_m, "off the line [m]", WORST_ERROR_M)


def draw_speed_map(rollout: Rollout) -> Figure:
    """Draw one drive, coloured by its speed: the slower, the darker."""
    speed_mph = rollout.speed_mps / MPS_PER_MPH
    most_mph = float(speed_mph.max(initial=1.0))
    # Speed changes slowly, and of several laps every frame would be a large picture.
    every = max(1, len(speed_mph) // MOST_POINTS)
    what = "speed [mph]"
    return _draw_coloured(rollout, speed_mph, what, most_mph, "viridis", every)


def _draw_coloured(
    rollout: Rollout,
    values: np.ndarray,
    what: str,
    most: float,
    colour_map: str = "viridis_r",
    every: int = 1,
) -> Figure:
    """Draw one drive, coloured by values of each frame, float (n,), from 0 to most.

    Args:
        every: Of so many frames one is drawn.
    """
    from matplotlib.collections import LineCollection

    figure, axes = _figure(WIDTH_IN, MAP_IN)
    whole = np.column_stack([rollout.x_m, rollout.y_m])
    points = whole[::every]
    steps = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.empty(0)
    is_driven = steps < every * MOST_STEP_M
    lines = np.stack([points[:-1], points[1:]], axis=1)[is_driven]
    shown = np.asarray(values)[::every][:-1][is_driven]
    colours = LineCollection(list(lines), cmap=colour_map, linewidths=3)
    colours.set_clim(0, most)
    colours.set_array(shown)
    axes.add_collection(colours)
    at = [each.index for each in rollout.interventions]
    axes.plot(*whole[at].T, "rx", markersize=8, markeredgewidth=2)
    axes.autoscale()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("metres; crosses: helped")
    with _inked():
        figure.colorbar(colours, ax=axes, label=what)
    return figure


# --- What they share ------------------------------------------------------------------


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Return a figure of one axis, drawn in the ink of the page."""
    from matplotlib.figure import Figure

    with _inked():
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        axes = figure.subplots()
    axes.grid(color=GREY, alpha=0.2)
    return figure, axes


@contextmanager
def _inked() -> Iterator[None]:
    """Let what is made in the block be in the ink of the page."""
    import matplotlib

    inked = "text.color axes.labelcolor xtick.color ytick.color axes.edgecolor".split()
    settings: dict[Any, Any] = dict.fromkeys(inked, INK) | {
        "font.size": FONT_PT,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        yield


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(
            handles,
            labels,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(3, len(labels)),
            frameon=False,
            labelcolor=INK,
            fontsize=FONT_PT,
        )


def _coloured(
    rollouts: Sequence[Rollout], names: Mapping[str, str]
) -> list[tuple[Rollout, str]]:
    """Return drives and their colours, models last: they lie above the bounds."""
    colours = colours_of(list(names))
    ordered = sorted(rollouts, key=lambda rollout: is_model(rollout.driver))
    return [(rollout, colours[rollout.driver]) for rollout in ordered]


def _style(rollout: Rollout) -> dict[str, Any]:
    if is_model(rollout.driver):
        return {"linewidth": 1.5}
    return {"linewidth": 1.0, "linestyle": (0, (3, 1.5)), "alpha": 0.8}


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a line of at most MOST_POINTS points, the farthest of each stretch."""
    if len(x) <= MOST_POINTS:
        return x, y
    kept = []
    for part in np.array_split(np.arange(len(x)), MOST_POINTS):
        is_known = np.isfinite(y[part])
        mean = y[part][is_known].mean() if is_known.any() else 0.0
        away = np.where(is_known, np.abs(y[part] - mean), -1.0)
        kept.append(part[int(away.argmax())])
    return x[kept], y[kept]
