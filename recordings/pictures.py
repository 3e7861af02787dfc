"""Pictures of recordings: explore.py puts them into its report.

Each function takes the recordings and returns one figure, with a line of axes for each.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
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
)

CONTACT_SHEET_FRAMES = 7
# Length of the stretch that the pictures of time show closer.
CLOSER_S = 60.0


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


def draw_balancing(recordings: list[Recording]) -> Figure:
    """Count the steering of each recording as recorded, and as balancing draws it."""
    figure, grid = _figure(len(recordings), 3, (13, 2.7))
    edges = list(np.linspace(-1, 1, BALANCE_BINS + 1))
    for recording, line in zip(recordings, grid, strict=True):
        steering = usable_rows(recording)["steering"].to_numpy()
        for axes, mode in zip(line, ("off", "cap", "inverse"), strict=True):
            percent = balance_weights(steering, mode) * 100
            seaborn.histplot(
                x=steering, weights=percent, bins=edges, ax=axes, color="tab:blue"
            )
            what = "as recorded" if mode == "off" else f"--balance {mode}"
            _title(axes, recording, what)
            axes.set(xlabel="steering, + is right", ylabel="% of draws")
    return figure


def draw_cameras(recordings: list[Recording], correction: float = 0.2) -> Figure:
    """Count the steering that each camera would be taught with a fixed correction."""
    figure, grid = _figure(len(recordings), 1, (13, 2.4))
    edges = list(np.linspace(-1, 1, 2 * BALANCE_BINS))
    style: Any = {"stat": "percent", "element": "step", "alpha": 0.15}
    for recording, (axes,) in zip(recordings, grid, strict=True):
        samples = usable_rows(recording)
        for camera in recording.cameras:
            steering = samples.loc[samples[camera] != "", "steering"].to_numpy()
            taught = side_camera_steering(steering, camera, correction)
            seaborn.histplot(x=taught, bins=edges, ax=axes, label=camera, **style)
        _title(axes, recording, f"side cameras corrected by {correction:g}")
        axes.set(xlabel="steering, + is right", ylabel="% of images")
        axes.legend()
    return figure


def draw_time(recordings: list[Recording], smooth_s: float) -> Figure:
    """Draw steering and speed over the time driven, and a minute of steering closer.

    Each session has a colour of its own. A Savitzky-Golay filter over smooth_s seconds
    is overlaid, none for 0.
    """
    figure, grid = _figure(len(recordings), 3, (15, 2.8))
    for recording, line in zip(recordings, grid, strict=True):
        samples = usable_rows(recording)
        sessions = samples.groupby("session")
        driven_s = (sessions["time_s"].diff().fillna(0)).cumsum()
        for _, session in sessions:
            seconds = driven_s[session.index]
            line[0].plot(seconds, session["steering"], linewidth=0.6)
            line[2].plot(seconds, session["speed_mph"], linewidth=0.8)
        longest = samples[samples["session"] == samples["session"].mode().iloc[0]]
        closer = longest[longest["time_s"] < longest["time_s"].iloc[0] + CLOSER_S]
        seconds = closer["time_s"] - closer["time_s"].iloc[0]
        line[1].plot(seconds, closer["steering"], linewidth=0.8, label="recorded")
        if smooth_s:
            smooth = savitzky_golay(closer, smooth_s)
            text = f"Savitzky-Golay, {smooth_s:g} s"
            line[1].plot(seconds, smooth, linewidth=1.2, label=text)
            line[1].legend()
        labels = ("steering", f"steering, {CLOSER_S:g} s of it", "speed [mph]")
        for axes, label in zip(line, labels, strict=True):
            _title(axes, recording, label)
            axes.set(xlabel="time driven [s]")
    return figure


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
            color = "tab:red" if excluded[stretch.index[0]] else "tab:green"
            end = stretch.iloc[-1] + row_min
            # An edge, so that a single row can be seen.
            axes.axvspan(stretch.iloc[0], end, color=color, linewidth=0.8)
        num_sessions = int(samples["session"].iloc[-1]) + 1
        text = (
            f"{num_sessions} session{'s' if num_sessions > 1 else ''}, green used, "
            f"red left out ({excluded.sum():,} of {len(samples):,} rows)"
        )
        _title(axes, recording, text)
        axes.set(xlabel="time [min]", yticks=[])
    return figure


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
