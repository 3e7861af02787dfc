"""Look at recordings before training on them: pictures, numbers, what to record next.

    python explore.py data/a data/b --out report

writes report/report.html, one file that opens without a network, and its pictures. The
judgements are simple rules on the numbers beside them; the thresholds stand below.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.car import MPS_PER_MPH, curvature_of, mph_and_mps
from common.command_line import Parser, print_settings
from common.errors import InputError
from common.files import check_writable
from common.shell import typed
from common.table import Table
from common.text import counted, shown, unbroken, wrapped

if TYPE_CHECKING:
    import pandas as pd

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


# --- In words -------------------------------------------------------------------------

# Heading and meaning of each row of the table of numbers.
TABLE = {
    "rows": "{rows:,}",
    "usable": "{usable:,}",
    "sessions": "{sessions}",
    "minutes": "{minutes:.1f}",
    "rows a second": "{rate_hz:.1f}",
    "distance": "{distance_m:,.0f} m",
    "mean speed": "{speed}",
    f"straight (within {STRAIGHT})": "{straight:.1%}",
    "left": "{left:.1%}",
    "right": "{right:.1%}",
    f"sharp left (beyond {SHARP})": "{sharp_left:.1%}",
    f"sharp right (beyond {SHARP})": "{sharp_right:.1%}",
    "turns clockwise": "{clockwise:.1f}",
    "turns counter-clockwise": "{counter_clockwise:.1f}",
    f"jumps beyond {JUMP} (keyboard)": "{jumps:.1%}",
    "corrections a minute": "{corrections_per_min:.1f}",
    "cameras": "{cameras}",
}


def numbers_of(findings: list[Findings]) -> Table:
    """Return the table of numbers, a column for each recording."""
    columns = [
        asdict(found) | {"speed": mph_and_mps(found.mean_speed_mph)}
        for found in findings
    ]
    rows = (
        (title, *(cell.format(**column) for column in columns))
        for title, cell in TABLE.items()
    )
    return Table(("", *(found.name for found in findings)), tuple(rows))


def verdict_of(findings: list[Findings], refusal: str) -> str:
    """Return in a sentence how much there is, and whether it can be trained on."""
    minutes = sum(found.minutes for found in findings)
    usable = sum(found.usable for found in findings)
    rows = sum(found.rows for found in findings)
    what = (
        f"{minutes:.1f} minutes in {counted(len(findings), 'recording')}, "
        f"{usable:,} of {counted(rows, 'row')} usable"
    )
    if refusal:
        return f"{what}: too little to train on."
    return f"{what}: {'enough' if minutes >= ENOUGH_MIN else 'little'} to train on."


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
    args = parser.parse_args(argv)
    args.changes = parser.changes(args, "out", "json")
    return args


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
    from recordings.units import unit_words, units_by_path

    if not args.recordings:
        args.recordings = [only_recording("explore.py")]
    if args.out.exists():
        raise InputError(f"{args.out} exists already; give another --out")
    check_writable(args.out, "--out")
    for path in args.recordings:
        find_log(path)
    units = units_by_path(dict(args.steering_unit), args.recordings)
    with Bar("starting"):
        from recordings.recording import read_recordings, unique_names, usable_samples
        from recordings.report import write_report

    recordings = read_recordings(args.recordings, units)
    refusal = why_not_trained_on(usable_samples(recordings))
    names = unique_names(recordings)
    recordings = [
        replace(r, name=shown(name), warnings=tuple(map(shown, r.warnings)))
        for r, name in zip(recordings, names, strict=True)
    ]
    findings = [find_out(recording) for recording in recordings]
    advice = what_to_record(findings)
    said = (verdict_of(findings, refusal), advice, numbers_of(findings))
    write_report(args.out, recordings, *said, args.smooth_s)
    if args.json:
        document = {"recordings": list(map(rounded, findings)), "advice": advice}
        print(json.dumps(document))
        return 0
    print_settings(args.changes)
    for found in findings:
        print(
            wrapped(
                f"{unbroken(found.name)}: {found.usable:,} of "
                f"{counted(found.rows, 'row')} usable, {found.minutes:.1f} min, left "
                f"{found.left:.0%}, straight {found.straight:.0%}, right "
                f"{found.right:.0%}"
            )
        )
    print("what to record next:")
    print(*(wrapped(f"  {text}", indent="    ") for text in advice), sep="\n")
    print(wrapped(f"written: {unbroken(args.out / 'report.html')}"))
    if refusal:
        print(wrapped(f"too little to train on: {refusal}"))
        return 0
    words = (*args.recordings, *unit_words(args.steering_unit))
    print(f"next: {typed('train.py', *words)}")
    return 0


def why_not_trained_on(samples: pd.DataFrame) -> str:
    """Return why train.py would refuse samples as it usually splits them, else ""."""
    import numpy as np

    from recordings.split import split_by_time
    from training.settings import Settings

    rng = np.random.default_rng(Settings.seed)
    try:
        split_by_time(samples, Settings.validation_fraction, rng)
    except InputError as error:
        return str(error)
    return ""


def rounded(found: Findings) -> dict[str, Any]:
    """Return what was found as a document, without what its bits add to numbers."""
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(found).items()
    }


if __name__ == "__main__":
    sys.exit(main())
