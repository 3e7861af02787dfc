"""The page that explore.py writes: one file that opens without a network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from common.bar import Bar
from common.files import whole_folder
from common.page import Picture, jpeg_data, photo_data, png_data, render, to_png
from common.shell import from_here, typed
from common.table import Table
from common.text import ESCAPED, counted
from recordings import pictures as draw
from recordings.findings import Advice
from recordings.images import read_frame
from recordings.recording import Recording

# Recordings that the heading names.
MOST_NAMED = 3
# Title of each picture.
TITLES = {
    "contact_sheet": "Frames, from left to right",
    "steering": "Steering that the network learns",
    "time": "Over time",
    "sessions": "Sessions and gaps",
    "options": "Off by default: balancing, and side cameras with a fixed correction",
}
# So many places of a finding are shown, each by its first, middle and last frame.
MOST_PLACES = 6
THUMBNAIL_SIZE = (160, 80)


def write_report(
    folder: Path,
    recordings: list[Recording],
    verdict: str,
    advice: Sequence[Advice],
    table: Table,
    label_s: tuple[float, float],
    smooth_s: float,
) -> None:
    """Write report.html and its pictures into a new folder, all or nothing.

    Args:
        verdict: What there is, in a sentence.
        advice: What to record next.
        table: The numbers, a column for each recording.
        label_s: Seconds before and after a row that its label is averaged over.
        smooth_s: Window of the filter laid over the steering, in seconds; 0 for none.

    Raises:
        OSError: The folder cannot be written.
    """
    figures = {
        "contact_sheet": lambda: draw.draw_contact_sheet(recordings),
        "steering": lambda: draw.draw_steering(recordings, label_s),
        "time": lambda: draw.draw_time(recordings, label_s, smooth_s),
        "sessions": lambda: draw.draw_sessions(recordings),
        "options": lambda: draw.draw_options(recordings),
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
        names = [each.name for each in recordings]
        title = f"Recordings: {', '.join(names[:MOST_NAMED])}"
        title += f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
        made = f"by explore.py on {time.strftime('%Y-%m-%d at %H:%M')}"
        page = render(
            "recordings/report.html",
            title=title,
            verdict=verdict,
            facts=[*((r.name, str(r.folder)) for r in recordings), ("made", made)],
            advice=[(each, frames_of(each, recordings)) for each in advice],
            table=table,
            pictures=pictures[:-1],
            options=pictures[-1],
            review=typed("review.py", *(from_here(each.folder) for each in recordings)),
            warnings=[f"{r.name}: {text}" for r in recordings for text in r.warnings],
            excluded=left_out(recordings),
        )
        (partial / "report.html").write_text(page, "utf-8", ESCAPED)


def frames_of(advice: Advice, recordings: Sequence[Recording]) -> list[Picture]:
    """Return the first, middle and last frame of the places that are meant."""
    samples = {each.name: each.samples for each in recordings}
    pictures = []
    for place in advice.places[:MOST_PLACES]:
        rows = samples[place.recording]
        has_frame = (rows["center"] != "") & ~rows["excluded"].str.endswith("-image")
        rows = rows[has_frame & rows["line"].between(place.first, place.last)]
        for i in sorted({0, len(rows) // 2, len(rows) - 1}) if len(rows) else ():
            row = rows.iloc[i]
            frame = cv2.resize(
                read_frame(row["center"]), THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA
            )
            caption = (
                f"{place.recording} row {row['line']}: steering "
                f"{row['steering'] + 0.0:+.2f}, {row['speed_mph']:.0f} mph"
            )
            pictures.append(Picture(caption=caption, source=jpeg_data(frame)))
    return pictures


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
