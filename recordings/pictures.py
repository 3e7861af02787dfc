"""Pictures of recordings: explore.py puts them into its report.

Each function takes the recordings and returns one figure, with a line of axes for each.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recordings.images import read_frame
from recordings.recording import Recording, usable_rows
from recordings.steering import (
    BALANCE_BINS,
    balance_weights,
    savitzky_golay,
    side_camera_steering,
    smooth_steering,
)
from recordings.turns import steps_of

CONTACT_SHEET_FRAMES = 7
# Length of the stretch that the pictures of time show closer.
CLOSER_S = 60.0
# Told apart by people who see few colours, and by how light they are. Source: Okabe and
# Ito, Color Universal Design, 2008.
COLOURS = "#0072b2 #d55e00 #009e73 #cc79a7 #000000 #56b4e9 #e69f00".split()
RECORDED = "#9a9a9a"


def draw_contact_sheet(recordings: list[Recording]) -> Figure:
    """Show frames of each recording from the sharpest left to the sharpest right."""
    figure, grid = _figure(len(recordings), CONTACT_SHEET_FRAMES, (15, 1.5))
    for recording, line in zip(recordings, grid, strict=True):
        samples = usable_rows(recording).sort_values("steering")
        low, high = samples["steering"].iloc[0], samples["steering"].iloc[-1]
        for axes, wanted in zip(line, np.linspace(low, high, len(line)), strict=True):
            nearest = (samples["steering"] - wanted).abs().idxmin()
            axes.imshow(read_frame(samples.loc[nearest, "center"]))
            # Adding 0 makes a 0 of a -0.
            steering = round(samples.loc[nearest, "steering"], 2) + 0.0
            _title(axes, recording, f"{steering:+.2f}", width=14)
            axes.set(xticks=[], yticks=[])
    return figure


def draw_steering(recordings: list[Recording], label_s: tuple[float, float]) -> Figure:
    """Count the steering that the network learns, of all recordings on one axis.

    Args:
        label_s: Seconds before and after a row that its label is averaged over.
    """
    figure, ((axes,),) = _figure(1, 1, (13, 3.2))
    for recording, style in zip(recordings, _styles(), strict=False):
        label = smooth_steering(usable_rows(recording), *label_s)
        _count(axes, label, None, label=recording.name, **style)
    axes.set(xlabel="steering, + is right", ylabel="% of the rows", xlim=(-1, 1))
    # At 0 there are often more rows than everywhere else together.
    axes.set_yscale("symlog", linthresh=1)
    ticks = [0, 0.5, 1, 2, 5, 10, 20, 50, 100]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(0, 100)
    axes.legend()
    return figure


def draw_options(recordings: list[Recording], correction: float = 0.2) -> Figure:
    """Count the steering as options would teach it that are off by default.

    On the left as balancing draws the rows, on the right for each camera with a fixed
    correction.
    """
    figure, grid = _figure(len(recordings), 2, (13, 2.4))
    for recording, line in zip(recordings, grid, strict=True):
        samples = usable_rows(recording)
        steering = samples["steering"].to_numpy()
        for mode, style in zip(("off", "cap", "inverse"), _styles(), strict=False):
            what = "as recorded" if mode == "off" else f"--balance {mode}"
            _count(line[0], steering, balance_weights(steering, mode), what, **style)
        for camera, style in zip(recording.cameras, _styles(), strict=False):
            rows = samples.loc[samples[camera] != "", "steering"].to_numpy()
            taught = side_camera_steering(rows, camera, correction)
            _count(line[1], np.asarray(taught), None, camera, **style)
        _title(line[0], recording, "balanced")
        _title(line[1], recording, f"side cameras corrected by {correction:g}")
        for axes, what in zip(line, ("draws", "images"), strict=True):
            axes.set(xlabel="steering, + is right", ylabel=f"% of {what}")
            axes.legend()
    return figure


def _count(
    axes: Axes,
    steering: np.ndarray,
    weights: np.ndarray | None,
    label: str,
    **style: Any,
) -> None:
    """Draw which part of rows, in %, steers how; weights are of the rows."""
    weights = np.full(len(steering), 1 / len(steering)) if weights is None else weights
    edges = np.linspace(-1, 1, 2 * BALANCE_BINS)
    counts, _ = np.histogram(steering, edges, weights=100 * weights)
    axes.stairs(counts, edges, label=label, linewidth=1.6, **style)


def draw_time(
    recordings: list[Recording], label_s: tuple[float, float], smooth_s: float
) -> Figure:
    """Draw steering and speed over the time driven, and a minute of steering closer.

    Over the recorded steering lies the label that the network learns.

    Args:
        label_s: Seconds before and after a row that its label is averaged over.
        smooth_s: Window of a Savitzky-Golay filter to overlay; 0 for none.
    """
    figure, grid = _figure(len(recordings), 3, (15, 2.8))
    for recording, line in zip(recordings, grid, strict=True):
        samples = usable_rows(recording)
        samples["label"] = smooth_steering(samples, *label_s)
        samples["driven_s"] = np.cumsum(steps_of(samples))
        for _, session in samples.groupby("session"):
            _draw_steering(line[0], session, session["driven_s"])
            speed = session["speed_mph"]
            line[2].plot(session["driven_s"], speed, linewidth=0.9, color=COLOURS[0])
        longest = samples[samples["session"] == samples["session"].mode().iloc[0]]
        closer = longest[longest["time_s"] < longest["time_s"].iloc[0] + CLOSER_S]
        seconds = closer["time_s"] - closer["time_s"].iloc[0]
        _draw_steering(line[1], closer, seconds)
        if smooth_s:
            smooth = savitzky_golay(closer, smooth_s)
            text = f"Savitzky-Golay, {smooth_s:g} s"
            line[1].plot(seconds, smooth, linewidth=1.2, color=COLOURS[2], label=text)
        line[1].legend(loc="upper right")
        labels = ("steering", f"steering, {CLOSER_S:g} s of it", "speed [mph]")
        for axes, label in zip(line, labels, strict=True):
            _title(axes, recording, label)
            axes.set(xlabel="time driven [s]")
    return figure


def _draw_steering(axes: Axes, samples: pd.DataFrame, seconds: pd.Series) -> None:
    """Draw what was recorded, and over it what the network learns."""
    recorded: dict[str, Any] = {"color": RECORDED, "linewidth": 0.8}
    axes.plot(seconds, samples["steering"], label="recorded", **recorded)
    learnt: dict[str, Any] = {"color": COLOURS[0], "linewidth": 1.4}
    axes.plot(seconds, samples["label"], label="the network learns", **learnt)


def draw_sessions(recordings: list[Recording]) -> Figure:
    """Show when the rows were recorded, and which of them are left out."""
    figure, grid = _figure(len(recordings), 1, (13, 1.3))
    for recording, (axes,) in zip(recordings, grid, strict=True):
        samples = recording.samples
        minutes = (samples["time_s"] - samples["time_s"].min()) / 60
        row_min = max(minutes.diff().median(), 0) if len(minutes) > 1 else 0
        excluded = samples["excluded"] != ""
        changes = (excluded != excluded.shift()) | (samples["session"].diff() != 0)
        for _, stretch in minutes.groupby(changes.cumsum()):
            is_out = excluded[stretch.index[0]]
            end = stretch.iloc[-1] + row_min
            # Dark stands out of light, whoever sees no colours; and an edge, so that
            # a single row can be seen.
            color = COLOURS[1] if is_out else COLOURS[5]
            axes.axvspan(stretch.iloc[0], end, color=color, linewidth=0.8)
        num_sessions = int(samples["session"].iloc[-1]) + 1
        text = (
            f"{num_sessions} session{'s' if num_sessions > 1 else ''}, blue used, dark "
            f"orange left out ({excluded.sum():,} of {len(samples):,} rows)"
        )
        _title(axes, recording, text)
        axes.set(xlabel="time [min]", yticks=[])
    return figure


def _styles() -> Iterator[dict[str, Any]]:
    """Yield how to draw one line after the other: by colour, then by dashes as well."""
    for dashes in cycle(("-", "--", ":")):
        for colour in COLOURS:
            yield {"color": colour, "linestyle": dashes}


def _title(axes: Axes, recording: Recording, text: str, width: int = 30) -> None:
    name = recording.name
    if len(name) > width:
        name = textwrap.shorten(name, width, placeholder="…")
        name = name if len(name) > 1 else recording.name[: width - 1] + "…"
    # Between dollar signs stands a formula.
    axes.set_title(f"{name}: {text}".replace("$", r"\$"))


def _figure(rows: int, columns: int, size: tuple[float, float]) -> Any:
    """Return a figure, its width and a row's height given in inches, and its axes."""
    seaborn.set_theme(style="whitegrid", context="paper")
    figure = Figure(figsize=(size[0], size[1] * rows + 0.4), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
