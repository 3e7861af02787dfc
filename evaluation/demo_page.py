"""The page that demo.py ends with: what was recorded, learnt and driven, and what next.

It shows the files beside it, and nothing of elsewhere: the folder can be moved, and
opens without a network.
"""

from __future__ import annotations

import html
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.car import MPS_PER_MPH
from common.page import html_page, html_picture, html_table
from common.table import text_table

# Heading of each row of the table of figures, and how its cell is made of a drive's.
FIGURES = {
    "speed kept to": "{speed_mph:g} mph ({speed_mps:.1f} m/s)",
    "driven": "{distance_m:,.0f} m in {elapsed_s:.0f} s",
    "whole laps": "{laps}",
    "interventions": "{interventions}",
    "off the road, hits, stuck": "{off_road}, {collisions}, {stuck}",
    "autonomy": "{autonomy_percent:.1f} %",
    "from the road's middle, mean": "{mean_abs_cross_track_error_m:.2f} m",
    "and at most": "{max_abs_cross_track_error_m:.2f} m",
}
# Pictures of the report that say the most; the rest is a click away.
REPORT_PICTURES = {
    "contact_sheet": "Frames, from left to right",
    "time": "Speed and steering over time",
}


def read_drives(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the figures of each drive by its title, in words of FIGURES' fields."""
    drives = {}
    for name in names:
        figures = json.loads((folder / f"{name}.json").read_bytes())
        figures["speed_mps"] = figures["speed_mph"] * MPS_PER_MPH
        drives[figures["title"]] = figures
    return drives


def figures_rows(drives: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return the rows of the table of figures, the headings first."""
    rows = [
        [what, *(cell.format(**d) for d in drives.values())]
        for what, cell in FIGURES.items()
    ]
    return [["", *drives], *rows]


def figures_text(drives: dict[str, dict[str, Any]]) -> str:
    """Return the figures of drives as lines for the terminal."""
    return text_table(figures_rows(drives), "<")


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
    figures = read_drives(folder, drives)
    heads, *rows = figures_rows(figures)
    parts = [
        f"<p>{_verdict(figures)}</p>",
        f"<ul>{''.join(f'<li>{html.escape(note)}' for note in notes)}</ul>",
        f"<h2>The drive</h2>{html_table(heads[1:], rows)}",
        *(
            _drive(folder, name, of)
            for name, of in zip(drives, figures.values(), strict=True)
        ),
        f"<h2>What was learnt</h2>{_learnt(folder / 'model')}",
        f"<h2>The recording: {html.escape(recording)}</h2>{_recorded(folder)}",
        "<h2>What next</h2>",
        *(
            f"<p>{html.escape(what)}<pre>{html.escape(command)}</pre>"
            for what, command in commands
        ),
    ]
    date = time.strftime("%Y-%m-%d %H:%M")
    parts.append(f"<p><small>Made by demo.py on {date}.</small>")
    return html_page("Recorded, looked at, learnt, driven", "".join(parts))


def _verdict(drives: dict[str, dict[str, Any]]) -> str:
    """Return in a sentence for each drive how it went."""
    said = []
    for title, of in drives.items():
        count = of["interventions"]
        how = "without an intervention" if not count else f"with {count} interventions"
        if count == 1:
            how = "with one intervention"
        how += f" ({of['autonomy_percent']:.1f} % autonomous)"
        said.append(f"<b>{html.escape(title)}: driven {how}.</b>")
    return " ".join(said)


def _drive(folder: Path, name: str, figures: dict[str, Any]) -> str:
    """Return the film and the map of a drive; the film is a file beside the page."""
    title = html.escape(figures["title"])
    where = "".join(
        f"<li>{each['time_s']:.0f} s, {each['distance_m']:.0f} m: "
        f"{html.escape(each['reason'])}"
        for each in figures["interventions_at"]
    )
    return (
        f'<h3>{title}</h3><div class="beside"><div><video controls muted playsinline '
        f'preload="metadata" src="{name}.mp4" aria-label="Film: {title}"></video>'
        f"<ul>{where}</ul></div><div>"
        f"{html_picture('Where it went', (folder / f'{name}.png').read_bytes(), 4)}"
        "</div></div>"
    )


def _learnt(run: Path) -> str:
    """Return how the training went: the loss, and the errors beside a bound."""
    metrics = json.loads((run / "metrics.json").read_bytes())
    rows = []
    for name, scores in metrics["validation"].items():
        model, zero = (
            scores[w]["averaged_1_s"]["deg"] for w in ("model", "always_zero")
        )
        rows.append([name, f"{model:.1f}°", f"{zero:.1f}°"])
    heads = ("the model is off by", "straight on would be")
    pictures = {"loss": "Loss over epochs", "predictions": "Predicted and recorded"}
    shown = "".join(
        f"<div>{html_picture(title, (run / f'{name}.png').read_bytes(), 3)}</div>"
        for name, title in pictures.items()
    )
    return f'{html_table(heads, rows)}<div class="beside">{shown}</div>'


def _recorded(folder: Path) -> str:
    """Return what the report says of the recording, and where the rest of it is."""
    advice = json.loads((folder / "report.json").read_bytes())["advice"]
    items = "".join(f"<li>{html.escape(text)}" for text in advice)
    pictures = "".join(
        html_picture(title, (folder / "report" / f"{name}.png").read_bytes(), 3)
        for name, title in REPORT_PICTURES.items()
    )
    return (
        f"<h3>What to record next</h3><ul>{items}</ul>{pictures}"
        '<p><a href="report/report.html">The whole report</a></p>'
    )
