"""The page that explore.py writes: one file that opens without a network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from common.bar import Bar
from common.files import whole_folder
from common.page import Picture, photo_data, png_data, render, to_png
from common.table import Table
from common.text import ESCAPED, counted
from recordings import pictures as draw
from recordings.recording import Recording

# Title of each picture.
TITLES = {
    "contact_sheet": "Frames, from left to right",
    "balancing": "Steering before and after balancing",
    "cameras": "Steering by camera",
    "time": "Over time",
    "sessions": "Sessions and gaps",
}


def write_report(
    folder: Path,
    recordings: list[Recording],
    verdict: str,
    advice: Sequence[str],
    table: Table,
    smooth_s: float,
) -> None:
    """Write report.html and its pictures into a new folder, all or nothing.

    Args:
        verdict: What there is, in a sentence.
        advice: What to record next.
        table: The numbers, a column for each recording.
        smooth_s: Window of the filter laid over the steering, in seconds; 0 for none.

    Raises:
        OSError: The folder cannot be written.
    """
    figures = {
        "contact_sheet": lambda: draw.draw_contact_sheet(recordings),
        "balancing": lambda: draw.draw_balancing(recordings),
        "cameras": lambda: draw.draw_cameras(recordings),
        "time": lambda: draw.draw_time(recordings, smooth_s),
        "sessions": lambda: draw.draw_sessions(recordings),
    }
    pictures = []
    with (
        whole_folder(folder) as partial,
        Bar("drawing the report", len(figures), "pictures") as bar,
    ):
        for name, figure in bar.over(figures.items()):
            png = to_png(figure())
            (partial / f"{name}.png").write_bytes(png)
            source = photo_data(png) if name == "contact_sheet" else png_data(png)
            pictures.append(Picture(TITLES[name], source=source, is_drawn=True))
        made = f"by explore.py on {time.strftime('%Y-%m-%d at %H:%M')}"
        page = render(
            "recordings/report.html",
            title=f"Recordings: {', '.join(each.name for each in recordings)}",
            verdict=verdict,
            facts=[*((r.name, str(r.folder)) for r in recordings), ("made", made)],
            advice=advice,
            table=table,
            pictures=pictures,
            warnings=[f"{r.name}: {text}" for r in recordings for text in r.warnings],
            excluded=left_out(recordings),
        )
        (partial / "report.html").write_text(page, "utf-8", ESCAPED)


def left_out(recordings: Sequence[Recording]) -> list[tuple[str, str]]:
    """Return for each reason why rows are left out what to call them, and which."""
    found = []
    for recording in recordings:
        excluded = recording.samples[recording.samples["excluded"] != ""]
        for reason, group in excluded.groupby("excluded"):
            said = f"{recording.name}: all {counted(len(group), 'row')} of {reason}"
            found.append((said, row_ranges(list(group["line"]))))
    return found


def row_ranges(lines: list[int]) -> str:
    """Write ascending numbers of rows as ranges: 1-3, 7."""
    ranges: list[list[int]] = []
    for line in lines:
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)
