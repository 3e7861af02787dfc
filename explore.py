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
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.car import mph_and_mps
from common.command_line import Parser, print_settings
from common.errors import InputError
from common.files import check_writable
from common.shell import from_here, typed
from common.table import Table
from common.text import counted, shown, unbroken, wrapped
from recordings.findings import (
    JUMP,
    SHARP,
    STRAIGHT,
    Advice,
    Findings,
    find_out,
    places_in,
)

if TYPE_CHECKING:
    import pandas as pd

# Share of straight rows beyond which bends are too few; laps of the lake have 0.34.
MOSTLY_STRAIGHT = 0.6
# Share of rows in sharp bends, to one side, below which there are too few.
FEW_SHARP = 0.01
# Three laps of the lake at 30 mph take so long; less shows each bend but once or twice.
ENOUGH_MIN = 3.0


# --- Advice ---------------------------------------------------------------------------


def what_to_record(findings: list[Findings]) -> list[str]:
    """Say in words, with numbers, what these recordings lack together."""
    return [advice.text for advice in advice_on(findings)]


def advice_on(findings: list[Findings]) -> list[Advice]:
    """Say what these recordings lack together, and where that is seen."""
    advice = [
        *_on_crashes(findings),
        *_on_minutes(findings),
        *_on_bends(findings),
        *_on_recovery(findings),
        *_on_each(findings),
    ]
    return advice or [Advice("Nothing is plainly missing.")]


def _on_crashes(findings: list[Findings]) -> Iterator[Advice]:
    for found in findings:
        if not found.crashes:
            continue
        count = "one crash" if found.crashes == 1 else f"{found.crashes:,} crashes"
        places = places_in([found], "crashes")
        rows = [word for p in places for word in ("--leave-out", f"{p.first}:{p.last}")]
        yield Advice(
            f"{found.name}: {count}, in which the car loses more speed than its brake "
            "takes. What led there is no example to learn from; leave it out, with the "
            "seconds before.",
            places,
            typed("review.py", from_here(found.folder), *rows, "--note", "crash"),
        )


def _on_minutes(findings: list[Findings]) -> Iterator[Advice]:
    minutes = sum(found.minutes for found in findings)
    if minutes < ENOUGH_MIN:
        yield Advice(
            f"{minutes:.1f} minutes in all: drive at least three laps, some 4 minutes.",
            places_in(findings, "rows"),
        )
    for found in findings:
        if found.minutes < ENOUGH_MIN <= minutes:
            yield Advice(
                f"{found.name}: {found.minutes:.1f} minutes only. If no other of "
                "these recordings shows its track, drive it again.",
                places_in([found], "rows"),
            )


def _on_bends(findings: list[Findings]) -> Iterator[Advice]:
    """Say of directions and bends; what follows from one another is said once."""
    left, right = (share(findings, f"sharp_{side}") for side in ("left", "right"))
    few_left = left < FEW_SHARP or left < 0.4 * right
    few_right = right < FEW_SHARP or right < 0.4 * left
    sharp = f"{left:.1%} of the rows in sharp bends to the left, {right:.1%} right"
    clockwise = sum(found.clockwise for found in findings)
    counter = sum(found.counter_clockwise for found in findings)
    most = max(clockwise, counter)
    # Less than half a turn tells no direction.
    is_one_way = most > 0.5 and min(clockwise, counter) < 0.25 * most
    way, other = "clockwise", "counter-clockwise"
    way, other = (way, other) if clockwise > counter else (other, way)
    if is_one_way:
        # Who goes round to the right bends to the right.
        follows = few_left if way == "clockwise" else few_right
        bends = f", with {sharp}" if follows and few_left != few_right else ""
        yield Advice(
            f"Nearly one direction: {clockwise:.1f} turns clockwise, {counter:.1f} "
            f"counter-clockwise{bends}. Drive some laps {other}, as a recording of its "
            "own; training mirrors frames, which helps with the balance, not with the "
            "places.",
            places_in(findings, way.replace("-", "_")),
        )
        few_left, few_right = few_left and not bends, few_right and not bends
    sides = [side for side, few in (("left", few_left), ("right", few_right)) if few]
    if sides:
        seen = [place for s in sides for place in places_in(findings, f"sharp_{s}")]
        yield Advice(
            f"Few sharp bends to the {' and the '.join(sides)}: {sharp}. Drive the "
            "sharpest bends again, or the track in the other direction.",
            tuple(seen) or places_in(findings, "rows"),
        )
    straight = share(findings, "straight")
    if straight > MOSTLY_STRAIGHT:
        yield Advice(
            f"{straight:.0%} of the rows drive straight on, by the steering averaged "
            "over a second. Record bends, several times, or train with --balance cap.",
            places_in(findings, "straight"),
        )


def _on_recovery(findings: list[Findings]) -> Iterator[Advice]:
    minutes = sum(found.minutes for found in findings)
    rate = sum(f.corrections_per_min * f.minutes for f in findings) / max(minutes, 1e-9)
    if rate < 2:
        seen = places_in(findings, "corrections_per_min")
        yield Advice(
            f"Hardly any recovery: {rate:.1f} corrections a minute. Training's "
            "re-projection makes some from every frame where there are three cameras; "
            "else record returning from the edge (not drifting towards it).",
            seen or places_in(findings, "rows"),
        )
    rows = sum(found.rows for found in findings)
    standing = sum(found.standing * found.rows for found in findings) / rows
    if standing > 0.05:
        yield Advice(
            f"The car stands in {standing:.0%} of the rows; they are left out. Start "
            "recording when it rolls.",
            places_in(findings, "standing"),
        )


def _on_each(findings: list[Findings]) -> Iterator[Advice]:
    for found in findings:
        if found.jumps > 0.05:
            yield Advice(
                f"{found.name}: {found.jumps:.0%} of the rows jump by more than "
                f"{JUMP}, as with a keyboard. A mouse or a wheel gives truer labels; "
                "train.py averages the steering over a moment.",
                places_in([found], "jumps"),
            )
        if found.cameras < 3:
            yield Advice(
                f"{found.name}: one camera only, so nothing shows the road from "
                "beside its middle. Record with the simulator's three.",
                places_in([found], "rows"),
            )


def share(findings: list[Findings], name: str) -> float:
    """Return a share of all usable rows."""
    total = sum(found.usable for found in findings)
    return sum(getattr(found, name) * found.usable for found in findings) / total


# --- In words -------------------------------------------------------------------------

# Heading and meaning of each row of the table of numbers.
TABLE = {
    "rows": "{rows:,}",
    "usable": "{usable:,}",
    "marked out": "{marked_out:,}",
    "marked hard": "{marked_hard:,}",
    "sessions": "{sessions}",
    "minutes": "{minutes:.1f}",
    "rows a second": "{rate_hz:.1f}",
    "distance": "{distance_m:,.0f} m",
    "mean speed": "{speed}",
    f"straight (within {STRAIGHT})*": "{straight:.1%}",
    "left*": "{left:.1%}",
    "right*": "{right:.1%}",
    f"sharp left (beyond {SHARP})*": "{sharp_left:.1%}",
    f"sharp right (beyond {SHARP})*": "{sharp_right:.1%}",
    "turns clockwise": "{clockwise:.1f}",
    "turns counter-clockwise": "{counter_clockwise:.1f}",
    "crashes": "{crashes}",
    f"jumps beyond {JUMP} (keyboard)": "{jumps:.1%}",
    "corrections a minute": "{corrections_per_min:.1f}",
    "cameras": "{cameras}",
}


def numbers_of(findings: list[Findings]) -> Table:
    """Return the table of numbers, a column for each recording."""
    from recordings.log import MARKED_OUT

    columns = [
        asdict(found)
        | {
            "speed": mph_and_mps(found.mean_speed_mph),
            "marked_out": found.excluded.get(MARKED_OUT, 0),
        }
        for found in findings
    ]
    rows = (
        (title, *(cell.format(**column) for column in columns))
        for title, cell in TABLE.items()
    )
    note = "* of the steering averaged over a second, as the road asks for it"
    return Table(("", *(found.name for found in findings)), tuple(rows), note=note)


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
        from training.settings import Settings

    recordings = read_recordings(args.recordings, units)
    refusal = why_not_trained_on(usable_samples(recordings))
    names = unique_names(recordings)
    recordings = [
        replace(r, name=shown(name), warnings=tuple(map(shown, r.warnings)))
        for r, name in zip(recordings, names, strict=True)
    ]
    findings = [find_out(recording) for recording in recordings]
    advice = advice_on(findings)
    said = (verdict_of(findings, refusal), advice, numbers_of(findings))
    label_s = (Settings.label_before_s, Settings.label_after_s)
    write_report(args.out, recordings, *said, label_s, args.smooth_s)
    if args.json:
        document = {
            "recordings": list(map(rounded, findings)),
            "advice": [each.text for each in advice],
            "where": [[asdict(place) for place in each.places] for each in advice],
        }
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
    for each in advice:
        rows = f" Rows {each.where()}." if each.places else ""
        print(wrapped(f"  {each.text}{rows}", indent="    "))
        if each.command:
            print(f"    {each.command}")
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
