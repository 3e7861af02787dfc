"""Say what a recording holds; bring logs of other programs in, and a recording out.

python dataset.py data/a                               # what is in it, and what is not
python dataset.py data/a --json                        # the same as one JSON document
python dataset.py import tub --out data/tub            # another program's log into ours
python dataset.py data/a --to donkeycar --out tubs/a   # and ours into another's
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
from common.errors import InputError
from common.files import check_writable
from common.shell import typed
from common.text import counted, shown, unbroken, wrapped

if TYPE_CHECKING:
    from recordings.recording import Recording

IMPORT = "import"
FORMATS = ("donkeycar", "lerobot")
SPEED_UNITS = ("mph", "kmh", "mps")


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
        "frame_sizes": frame_sizes(recording),
        "first": row(0),
        "last": row(-1),
        "excluded": recording.excluded,
        "warnings": list(recording.warnings),
        "sessions": int(samples["session"].iloc[-1]) + 1,
    }


def frame_sizes(recording: Recording) -> dict[str, int]:
    """Return how many usable rows have a centre image of each size, the most first."""
    samples = recording.samples
    sizes = samples["frame_size"][samples["excluded"] == ""]
    counts = sizes[sizes != ""].value_counts()
    return {str(size): int(num) for size, num in counts.items()}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; `importing` says which of the two it is."""
    argv = sys.argv[1:] if argv is None else argv
    # A recording that is called so can be given as ./import.
    importing = argv[:1] == [IMPORT]
    args = _import_parser().parse_args(argv[1:]) if importing else _parse(argv)
    args.importing = importing
    return args


def _parse(argv: list[str]) -> argparse.Namespace:
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Say what a recording holds, and what of it cannot be used.",
        epilog="Example:\n  python dataset.py data/a --json\n"
        "  python dataset.py import tub --out data/tub\n"
        "  python dataset.py data/a --to donkeycar --out tubs/a",
    )
    add = parser.add_argument
    folder = "recording's folder, or a log (default: the only one in data)"
    add("recording", type=Path, nargs="?", help=folder)
    add_unit_flag(add)
    add("--json", action="store_true", help="print one JSON document")
    formats = "write it as another program's log, to --out: donkeycar, lerobot"
    add("--to", choices=FORMATS, metavar="FORMAT", help=formats)
    add("--out", type=Path, metavar="DIR", help="folder to write")
    args = parser.parse_args(argv)
    args.changes = parser.changes(args, "json")
    if (args.to is None) != (args.out is None):
        parser.error("--to and --out go together")
    return args


def _import_parser() -> Parser:
    from recordings.units import FULL_LOCK

    parser = Parser(
        prog=f"dataset.py {IMPORT}",
        description="Write another program's log as a recording: a donkeycar tub (v1, "
        "v2), a LeRobot\ndata set (v2, v3), AirSim's, or a table with a header, as of "
        "Webots or CARLA.",
        epilog="Example:\n  python dataset.py import tub --out data/tub\n"
        "  python dataset.py import drive.csv --full-lock 0.5 --out data/webots",
    )
    add = parser.add_argument
    add("source", type=Path, help="the log: a folder, or a table")
    add("--out", type=Path, required=True, metavar="DIR", help="recording to make")
    names = "what its steering is called (default: what its names tell)"
    add("--steering", metavar="NAME", help=names)
    add("--camera", metavar="NAME", help="what its pictures are called (likewise)")
    unit = "unit of its steering: normalised, deg, rad (default: normalised)"
    add("--steering-unit", choices=FULL_LOCK, metavar="UNIT", help=unit)
    lock = "its steering at full lock to the right; below 0 where + is left"
    add("--full-lock", type=float, metavar="VALUE", help=lock)
    speed = "unit of its speed: mph, kmh, mps (default: what its names tell)"
    add("--speed-unit", choices=SPEED_UNITS, metavar="UNIT", help=speed)
    return parser


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Say what a recording holds, or write one; return the exit status."""
    args = parse_args(argv)
    if args.out is not None:
        if args.out.exists():
            raise InputError(f"{args.out} exists already; give another --out")
        check_writable(args.out, "--out")
    if args.importing:
        bring_in(args)
        return 0
    from recordings.found import only_recording
    from recordings.log import find_log
    from recordings.units import unit_of

    if args.recording is None:
        args.recording = only_recording("dataset.py", takes_several=False)
    find_log(args.recording)
    with Bar("starting"):
        from recordings.recording import read_recording

    unit = unit_of(args.steering_unit, args.recording)
    recording = read_recording(args.recording, unit=unit)
    if args.to:
        from recordings.foreign.exchange import send_out

        num = send_out(recording, args.to, args.out)
        print(shown(f"{args.out}: {num:,} rows for {args.to}"))
        return 0
    found = describe(recording)
    if args.json:
        print(json.dumps(found))
        return 0
    print_settings(args.changes)
    print(
        wrapped(
            f"{unbroken(found['log'])}: {counted(found['rows'], 'row')}, "
            f"{found['usable']:,} usable, {counted(found['cameras'], 'camera')}, "
            f"{counted(found['sessions'], 'session')}, "
            f"frames of {' and '.join(found['frame_sizes']) or 'unknown size'}"
        )
    )
    for warning in found["warnings"]:
        print(wrapped(f"  {warning}", indent="    "))
    return 0


def bring_in(args: argparse.Namespace) -> None:
    """Write another program's log as a recording, and say what became of it."""
    from recordings.foreign.exchange import Told, bring_in, unit_in_words
    from recordings.foreign.rows import named

    told = Told(
        args.steering, args.camera, args.steering_unit, args.full_lock, args.speed_unit
    )
    log, imported = bring_in(args.source, args.out, told)
    print(
        wrapped(
            f"{unbroken(args.out)}: {imported.rows:,} rows of a {log.kind}, steering "
            f"from {imported.lowest:+.3f} to {imported.highest:+.3f} (it was taken for "
            f"{unit_in_words(log)})"
        )
    )
    if imported.left_out:
        print(wrapped(f"  left out: {named(imported.left_out)}", indent="    "))
    print(f"next: {typed('explore.py', args.out)}")


if __name__ == "__main__":
    sys.exit(main())
