"""Say what a recording holds, and what of it cannot be used.

python dataset.py data/a            # what is in it, and what was left out
python dataset.py data/a --json     # the same as one JSON document
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.command_line import Parser, print_settings
from common.text import counted, unbroken, wrapped

if TYPE_CHECKING:
    from recordings.recording import Recording


def describe(recording: Recording) -> dict[str, Any]:
    """Return what was read as one JSON document."""
    samples = recording.samples

    def row(i: int) -> dict[str, Any]:
        sample = samples.iloc[i]
        return {
            "center": Path(sample["center"]).name,
            "steering": float(sample["steering"]),
            "speed": float(sample["speed_mph"]),
        }

    return {
        "log": str(recording.log_path),
        "rows": len(samples),
        "usable": int((samples["excluded"] == "").sum()),
        "has_header": recording.has_header,
        "columns": recording.columns,
        "cameras": len(recording.cameras),
        "first": row(0),
        "last": row(-1),
        "excluded": recording.excluded,
        "warnings": list(recording.warnings),
        "sessions": int(samples["session"].iloc[-1]) + 1,
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Say what a recording holds, and what of it cannot be used.",
        epilog="Example:\n  python dataset.py data/a --json",
    )
    add = parser.add_argument
    folder = "recording's folder, or a log (default: the only one in data)"
    add("recording", type=Path, nargs="?", help=folder)
    add_unit_flag(add)
    add("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args(argv)
    args.changes = parser.changes(args, "json")
    return args


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Say what a recording holds; return the exit status."""
    args = parse_args(argv)
    from recordings.found import only_recording
    from recordings.log import find_log
    from recordings.units import unit_of

    if args.recording is None:
        args.recording = only_recording("dataset.py", takes_several=False)
    find_log(args.recording)
    with Bar("starting"):
        from recordings.recording import read_recording

    unit = unit_of(args.steering_unit, args.recording)
    found = describe(read_recording(args.recording, unit=unit))
    if args.json:
        print(json.dumps(found))
        return 0
    print_settings(args.changes)
    print(
        wrapped(
            f"{unbroken(found['log'])}: {counted(found['rows'], 'row')}, "
            f"{found['usable']:,} usable, {counted(found['cameras'], 'camera')}, "
            f"{counted(found['sessions'], 'session')}"
        )
    )
    for warning in found["warnings"]:
        print(wrapped(f"  {warning}", indent="    "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
