"""Look at recordings before training on them: pictures, numbers, what to record next.

    python explore.py data/a data/b --out report

writes report/report.html, one file that opens without a network, and its pictures. The
judgements are simple rules on the numbers beside them; the thresholds stand below.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import html
import json
import math
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.car import MPS_PER_MPH, curvature_of
from common.command_line import Parser
from common.errors import InputError
from common.files import check_writable, whole_folder
from common.page import html_page, html_picture, html_table, to_png
from common.text import ESCAPED, shown

if TYPE_CHECKING:
    from recordings.recording import Recording

# Steering within this of 0 counts as straight on.
STRAIGHT = 0.02
# Share of straight rows beyond which bends are too few; laps of the lake have 0.56.
MOSTLY_STRAIGHT = 0.7
# Beyond this a bend is sharp: a radius of some 22 m.
SHARP = 0.3
# A row whose steering differs so much from the second around it is a correction.
CORRECTION = 0.2
# Three laps of the lake at 30 mph take so long; less shows each bend but once or twice.
ENOUGH_MIN = 3.0
# A step between neighbouring rows that a hand on a mouse or a wheel seldom makes.
JUMP = 0.25


# --- Numbers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """What one recording holds; shares are of the usable rows, 0 to 1."""

    name: str
    rows: int
    usable: int
    excluded: dict[str, int]
    cameras: int
    sessions: int
    minutes: float
    rate_hz: float
    distance_m: float
    mean_speed_mph: float
    straight: float
    left: float
    right: float
    sharp_left: float
    sharp_right: float
    clockwise: float
    """Whole turns driven in sessions that turn right on the whole: one lap is one."""
    counter_clockwise: float
    """The same of sessions that turn left."""
    jumps: float
    """Share of rows with a step of the steering that looks like a key."""
    corrections_per_min: float
    """Moments in which the driver steered against the second around them."""
    standing: float
    """Share of all rows in which the car stands."""


def find_out(recording: Recording) -> Findings:
    """Count what a recording holds.

    Raises:
        InputError: No row of it is usable.
    """
    import numpy as np
    import pandas as pd

    from recordings.recording import usable_rows
    from recordings.steering import smooth_steering

    samples = usable_rows(recording)
    steering = samples["steering"].to_numpy()
    speed_mps = samples["speed_mph"].to_numpy() * MPS_PER_MPH
    same = samples["session"].diff().fillna(1).to_numpy() == 0
    dt_s = np.where(same, samples["time_s"].diff().fillna(0), 0).clip(0, 1)
    turned = pd.Series(curvature_of(steering) * speed_mps * dt_s / (2 * np.pi))
    turns = turned.groupby(samples["session"]).sum()
    away = np.abs(steering - smooth_steering(samples, 0.5, 0.5)) > CORRECTION
    begins = away & ~np.concatenate([[False], away[:-1]])
    minutes = float(dt_s.sum()) / 60
    step = np.abs(np.diff(steering, prepend=steering[:1])) * same
    return Findings(
        name=recording.name,
        rows=len(recording.samples),
        usable=len(samples),
        excluded=recording.excluded,
        cameras=len(recording.cameras),
        sessions=int(samples["session"].nunique()),
        minutes=minutes,
        rate_hz=float(1 / np.median(dt_s[dt_s > 0])) if minutes else 0.0,
        distance_m=float((speed_mps * dt_s).sum()),
        mean_speed_mph=float(samples["speed_mph"].mean()),
        straight=float((np.abs(steering) <= STRAIGHT).mean()),
        left=float((steering < -STRAIGHT).mean()),
        right=float((steering > STRAIGHT).mean()),
        sharp_left=float((steering < -SHARP).mean()),
        sharp_right=float((steering > SHARP).mean()),
        clockwise=float(turns[turns > 0].sum()),
        counter_clockwise=float(turns[turns < 0].abs().sum()),
        jumps=float((step > JUMP).mean()),
        corrections_per_min=float(begins.sum() / minutes) if minutes else 0.0,
        standing=recording.excluded.get("standing", 0) / len(recording.samples),
    )


def what_to_record(findings: list[Findings]) -> list[str]:
    """Say in words, with numbers, what these recordings lack together."""
    total = sum(f.usable for f in findings)

    def share(name: str) -> float:
        return sum(getattr(f, name) * f.usable for f in findings) / total

    minutes = sum(f.minutes for f in findings)
    rate = sum(f.corrections_per_min * f.minutes for f in findings) / max(minutes, 1e-9)
    advice = []
    if minutes < ENOUGH_MIN:
        advice.append(
            f"{minutes:.1f} minutes in all: drive at least three laps, some 4 minutes."
        )
    for side, other in (("left", "right"), ("right", "left")):
        sharp, sharp_other = share(f"sharp_{side}"), share(f"sharp_{other}")
        if sharp < 0.01 or sharp < 0.4 * sharp_other:
            advice.append(
                f"Few sharp bends to the {side}: {sharp:.1%} of the rows steer beyond "
                f"{SHARP}, {sharp_other:.1%} to the {other}. Drive the sharpest bends "
                "again, or the track in the other direction; training mirrors frames, "
                "which helps with the balance, not with the places."
            )
    straight = share("straight")
    if straight > MOSTLY_STRAIGHT:
        advice.append(
            f"{straight:.0%} of the rows drive straight on. Record bends, several "
            "times, or train with --balance cap."
        )
    clockwise = sum(f.clockwise for f in findings)
    counter = sum(f.counter_clockwise for f in findings)
    most = max(clockwise, counter)
    # Less than half a turn tells no direction: an eight has none.
    if most > 0.5 and min(clockwise, counter) < 0.25 * most:
        way = "counter-clockwise" if counter < clockwise else "clockwise"
        advice.append(
            f"Nearly one direction: {clockwise:.1f} turns clockwise, {counter:.1f} "
            f"counter-clockwise. Drive some laps {way}, as a recording of its own."
        )
    if rate < 2:
        advice.append(
            f"Hardly any recovery: {rate:.1f} corrections a minute. Training's "
            "re-projection makes some from every frame where there are three cameras; "
            "else record returning from the edge (not drifting towards it)."
        )
    rows = sum(f.rows for f in findings)
    standing = sum(f.standing * f.rows for f in findings) / rows
    if standing > 0.05:
        advice.append(
            f"The car stands in {standing:.0%} of the rows; they are left out. Start "
            "recording when it rolls."
        )
    for finding in findings:
        if finding.minutes < ENOUGH_MIN <= minutes:
            advice.append(
                f"{finding.name}: {finding.minutes:.1f} minutes only. If no other of "
                "these recordings shows its track, drive it again."
            )
        if finding.jumps > 0.05:
            advice.append(
                f"{finding.name}: {finding.jumps:.0%} of the rows jump by more than "
                f"{JUMP}, as with a keyboard. A mouse or a wheel gives truer labels; "
                "train.py averages the steering over a moment."
            )
        if finding.cameras < 3:
            advice.append(
                f"{finding.name}: one camera only, so nothing shows the road from "
                "beside its middle. Record with the simulator's three."
            )
    return advice or ["Nothing is plainly missing."]


# --- Report ---------------------------------------------------------------------------

# Heading and meaning of each row of the table of numbers.
TABLE = {
    "rows": ("rows", "{:,}"),
    "usable": ("usable", "{:,}"),
    "sessions": ("sessions", "{}"),
    "minutes": ("minutes", "{:.1f}"),
    "rate_hz": ("rows a second", "{:.1f}"),
    "distance_m": ("distance [m]", "{:,.0f}"),
    "mean_speed_mph": ("mean speed [mph]", "{:.1f}"),
    "straight": (f"straight (within {STRAIGHT})", "{:.1%}"),
    "left": ("left", "{:.1%}"),
    "right": ("right", "{:.1%}"),
    "sharp_left": (f"sharp left (beyond {SHARP})", "{:.1%}"),
    "sharp_right": (f"sharp right (beyond {SHARP})", "{:.1%}"),
    "clockwise": ("turns clockwise", "{:.1f}"),
    "counter_clockwise": ("turns counter-clockwise", "{:.1f}"),
    "jumps": (f"jumps beyond {JUMP} (keyboard)", "{:.1%}"),
    "corrections_per_min": ("corrections a minute", "{:.1f}"),
    "cameras": ("cameras", "{}"),
}
# Heading of each picture.
HEADINGS = {
    "contact_sheet": "Frames, from left to right",
    "balancing": "Steering before and after balancing",
    "cameras": "Steering by camera",
    "time": "Over time",
    "sessions": "Sessions and gaps",
}


def write_report(
    folder: Path,
    recordings: list[Recording],
    findings: list[Findings],
    smooth_s: float,
) -> None:
    """Write report.html and its pictures into a new folder, all or nothing.

    Args:
        smooth_s: Window of the filter laid over the steering, in seconds; 0 for none.

    Raises:
        OSError: The folder cannot be written.
    """
    from recordings import pictures as draw

    figures = {
        "contact_sheet": draw.draw_contact_sheet(recordings),
        "balancing": draw.draw_balancing(recordings),
        "cameras": draw.draw_cameras(recordings),
        "time": draw.draw_time(recordings, smooth_s),
        "sessions": draw.draw_sessions(recordings),
    }
    names = [finding.name for finding in findings]
    rows = [
        [title, *(form.format(getattr(f, field)) for f in findings)]
        for field, (title, form) in TABLE.items()
    ]
    advice = "".join(f"<li>{html.escape(text)}" for text in what_to_record(findings))
    body = (
        f"<h2>What to record next</h2><ul>{advice}</ul>"
        f"<h2>Numbers</h2>{html_table(names, rows)}"
        f"<h2>Left out</h2><ul>{_excluded_html(recordings)}</ul>"
    )
    with whole_folder(folder) as partial:
        for file_name, figure in figures.items():
            png = to_png(figure)
            (partial / f"{file_name}.png").write_bytes(png)
            body += html_picture(HEADINGS[file_name], png)
        page = html_page(f"Recordings: {', '.join(names)}", body)
        (partial / "report.html").write_text(page, "utf-8", ESCAPED)


def _excluded_html(recordings: list[Recording]) -> str:
    """Return the items of a list: what was found amiss, and the rows of each reason."""
    items = ""
    for recording in recordings:
        name = html.escape(recording.name)
        items += "".join(f"<li>{name}: {html.escape(w)}" for w in recording.warnings)
        excluded = recording.samples[recording.samples["excluded"] != ""]
        for reason, group in excluded.groupby("excluded"):
            items += (
                f"<li><details><summary>{name}: all {len(group):,} rows of {reason}"
                f"</summary>{row_ranges(list(group['line']))}</details>"
            )
    return items or "<li>nothing"


def row_ranges(lines: list[int]) -> str:
    """Write ascending numbers of rows as ranges: 1-3, 7."""
    ranges: list[list[int]] = []
    for line in lines:
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Show what recordings hold, and say what to record next.",
        epilog="Example:\n  python explore.py data/a data/b --out report",
    )
    add = parser.add_argument
    folders = "folders with a driving_log.csv (default: the only one in data)"
    add("recordings", nargs="*", type=Path, help=folders)
    out_help = "folder to make (default: %(default)s)"
    add("--out", type=Path, default=Path("report"), help=out_help)
    smooth_help = "seconds of a Savitzky-Golay filter to overlay (default: 0, none)"
    add("--smooth-s", type=_seconds, default=0.0, metavar="S", help=smooth_help)
    add_unit_flag(add)
    add("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds, 0 or more")
    return value


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Write the report and say what to record next; return the exit status."""
    args = parse_args(argv)
    from recordings.found import only_recording
    from recordings.log import find_log
    from recordings.units import units_by_path

    if not args.recordings:
        args.recordings = [only_recording("python explore.py")]
    if args.out.exists():
        raise InputError(f"{args.out} exists already; give another --out")
    check_writable(args.out, "--out")
    for path in args.recordings:
        find_log(path)
    units = units_by_path(dict(args.steering_unit), args.recordings)
    from recordings.recording import read_recordings, unique_names, usable_samples

    recordings = read_recordings(args.recordings, units)
    usable_samples(recordings)  # Refuses what training would refuse.
    names = unique_names(recordings)
    recordings = [
        replace(r, name=shown(name), warnings=tuple(map(shown, r.warnings)))
        for r, name in zip(recordings, names, strict=True)
    ]
    findings = [find_out(recording) for recording in recordings]
    write_report(args.out, recordings, findings, args.smooth_s)
    advice = what_to_record(findings)
    if args.json:
        said = {"recordings": [asdict(f) for f in findings], "advice": advice}
        print(json.dumps(said))
        return 0
    for finding in findings:
        print(
            f"{finding.name}: {finding.usable:,} of {finding.rows:,} rows usable, "
            f"{finding.minutes:.1f} min, left {finding.left:.0%}, straight "
            f"{finding.straight:.0%}, right {finding.right:.0%}"
        )
    print("what to record next:", *advice, sep="\n  ")
    print(f"written: {shown(str(args.out / 'report.html'))}")
    paths = shown(shlex.join(map(str, args.recordings)))
    print(f"next: python train.py {paths} --name first")
    return 0


if __name__ == "__main__":
    sys.exit(main())
