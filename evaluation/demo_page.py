"""The page that demo.py ends with: what was recorded, learnt and driven, and what next.

It shows the files beside it, and nothing of elsewhere: the folder can be moved, and
opens without a network.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.car import MPS_PER_MPH
from common.page import Picture, png_data, render
from common.table import Table
from common.text import counted

# Heading of each row of the table of figures, and how its cell is made of a drive's.
FIGURES = {
    "speed kept to": "{speed_mph:g} mph ({speed_mps:.1f} m/s)",
    "driven": "{distance_m:,.0f} m in {elapsed_s:.0f} s",
    "whole laps": "{laps}",
    "interventions": "{interventions}",
    "off the road, hits, stuck": "{off_road}, {collisions}, {stuck}",
    "autonomy": "{autonomy_percent:.1f} %",
    "from its lane's middle, mean": "{mean_abs_cross_track_error_m:.2f} m",
    "and at most": "{max_abs_cross_track_error_m:.2f} m",
}
# Pictures of the report that say the most; the rest is a click away.
REPORT_PICTURES = {
    "contact_sheet": "Frames, from left to right",
    "time": "Speed and steering over time",
}
RUN_PICTURES = {"loss": "Loss over epochs", "predictions": "Predicted and recorded"}


def read_drives(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the figures of each drive by its title, in words of FIGURES' fields."""
    drives = {}
    for name in names:
        figures = json.loads((folder / f"{name}.json").read_bytes())
        figures["speed_mps"] = figures["speed_mph"] * MPS_PER_MPH
        drives[figures["title"]] = figures
    return drives


def figures_table(drives: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the figures, a column for each drive."""
    rows = (
        (what, *(cell.format(**figures) for figures in drives.values()))
        for what, cell in FIGURES.items()
    )
    return Table(("", *drives), tuple(rows))


def demo_page(
    folder: Path,
    recording: str,
    drives: Sequence[str],
    notes: Sequence[str],
    commands: Sequence[tuple[str, str]],
) -> str:
    """Return the page.

    Args:
        folder: Where the demo lies, and the page shall.
        recording: What was learnt from, in words.
        drives: Names of the drives: of each there is a film, a map and a .json.
        notes: What is to be known of this demo, such as what it leaves out.
        commands: What one might do next, and the command for it.
    """
    from markupsafe import Markup  # With what demo.py checks for before it begins.

    figures = read_drives(folder, drives)
    facts = [("made", f"by demo.py on {time.strftime('%Y-%m-%d at %H:%M')}")]
    report = folder / "report"
    return render(
        "evaluation/demo_page.html",
        title="Recorded, looked at, learnt, driven",
        verdicts=[_verdict(title, of) for title, of in figures.items()],
        facts=facts + [("to know", note) for note in notes],
        table=figures_table(figures),
        drives=[
            {
                "title": title,
                "film": f"{name}.mp4",
                "helped": [_helped(each) for each in of["interventions_at"]],
                "map": Picture(
                    "Where it went",
                    # Our own drawing, as to_svg has returned it.
                    svg=Markup((folder / f"{name}.svg").read_text("utf-8")),
                ),
            }
            for name, (title, of) in zip(drives, figures.items(), strict=True)
        ],
        learnt=_learnt(folder / "model"),
        training=_pictures(folder / "model", RUN_PICTURES),
        recording=recording,
        advice=json.loads((folder / "report.json").read_bytes())["advice"],
        recorded=_pictures(report, REPORT_PICTURES),
        commands=commands,
    )


def _verdict(title: str, figures: Mapping[str, Any]) -> str:
    """Return in a sentence how a drive went."""
    count = figures["interventions"]
    how = f"with {counted(count, 'intervention')}" if count else "without help"
    return (
        f"{title}: {figures['distance_m']:,.0f} m driven {how}, "
        f"{figures['autonomy_percent']:.1f} % autonomous."
    )


def _helped(intervention: Mapping[str, Any]) -> str:
    return (
        f"{intervention['time_s']:.0f} s, {intervention['distance_m']:,.0f} m: "
        f"{intervention['reason']}"
    )


def _learnt(run: Path) -> Table:
    """Return the errors of the model on what it was not trained on, beside a bound."""
    metrics = json.loads((run / "metrics.json").read_bytes())
    rows = []
    for name, scores in metrics["validation"].items():
        model, zero = (
            scores[w]["averaged_1_s"]["deg"] for w in ("model", "always_zero")
        )
        rows.append((name, f"{model:.1f}°", f"{zero:.1f}°"))
    heads = ("", "the model is off by", "straight on would be")
    note = "degrees of wheel angle, RMS, on frames that were not trained on"
    return Table(heads, tuple(rows), note=note)


def _pictures(folder: Path, titles: Mapping[str, str]) -> list[Picture]:
    return [
        Picture(
            title, source=png_data((folder / f"{name}.png").read_bytes()), is_drawn=True
        )
        for name, title in titles.items()
    ]
