"""Look at what was recorded, and mark what is bad; logs and images stay as they are.

    python review.py data/a --model models/base
    python review.py data/a --leave-out 200:260 --note "crash"

The first serves a page, the second marks without it. Marks lie beside the log, in
driving_log.marks.csv; every command honours them, and without that file nothing is
marked. Rows are the lines of the log as an editor and a spreadsheet number them: the
first line of the file is row 1, a header too, and a stretch holds both its ends.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.command_line import Parser, add_max_parameters
from common.errors import InputError
from common.hosts import token_for
from common.start_up import quiet_tensorflow
from common.table import text_table
from common.text import ShownFormatter, shown, told_apart, unbroken, wrapped

if TYPE_CHECKING:  # A command imports packages where it needs them: --help is light.
    from evaluation.review.look import Tell

logger = logging.getLogger(__name__)

MOMENTS = 30
SWITCH_S = 0.0005
# By what is marked, the flag's help.
MARKING = {
    "leave-out": "leave rows out; may be repeated, as the next two",
    "only": "use no other rows than these",
    "hard": "draw rows more often in training",
}


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; `rows` holds what is to be marked, and as what."""
    parser = make_parser()
    args = parser.parse_args(argv)
    args.rows = [
        (kind, rows)
        for kind in MARKING
        for rows in getattr(args, kind.replace("-", "_"))
    ]
    changes = bool(args.rows) + args.undo + (args.discard_last is not None)
    if changes > 1:
        parser.error("marks, --undo and --discard-last: give one of them at a time")
    if args.note and (not changes or args.undo):
        parser.error("argument --note: it says why rows are marked; mark some, too")
    if (changes or args.compare) and len(args.recordings) > 1:
        parser.error("rows are those of one recording; give one")
    shows = changes or args.list or args.moments or args.compare
    if args.json and not shows:
        parser.error("argument --json: the page gives no document; give --list, too")
    if args.compare and not args.model:
        parser.error("argument --compare: needs --model, to say whose steering")
    return args


def make_parser() -> Parser:
    """Return what reads the command line."""
    from network.files import model_path
    from recordings.marks import rows_of_text
    from recordings.units import add_unit_flag

    parser = Parser(
        description=__doc__,
        epilog="Example:\n  python review.py data/a --leave-out 200:260 --note crash",
    )
    add = parser.add_argument_group("what to look at").add_argument
    folders = "folders with a driving_log.csv (default: the only one in data)"
    add("recordings", nargs="*", type=Path, help=folders)
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    models = "models to hold against the driver"
    add("--model", type=model_path, metavar="MODEL", help=models, **several)
    add_unit_flag(add)
    add_max_parameters(add)
    add = parser.add_argument_group("marks, without the page").add_argument
    repeated: dict[str, Any] = {"action": "append", "default": [], "metavar": "FROM:TO"}
    for kind, text in MARKING.items():
        add(f"--{kind}", type=rows_of_text, help=text, **repeated)
    add("--note", default="", metavar="TEXT", help="why, for the rows that are marked")
    add("--undo", action="store_true", help="take the newest mark back")
    discard = "leave out the newest take, or its last SECONDS"
    whole: dict[str, Any] = {"nargs": "?", "const": 0.0, "type": _seconds}
    add("--discard-last", metavar="SECONDS", help=discard, **whole)
    add = parser.add_argument_group("what to show, without the page").add_argument
    add("--list", action="store_true", help="show the marks, and what they change")
    moments = f"show the first N suspicious moments (N: {MOMENTS} if not given)"
    add("--moments", nargs="?", const=MOMENTS, type=_count, metavar="N", help=moments)
    compare = "show how far models are from the driver in these rows"
    add("--compare", type=rows_of_text, metavar="FROM:TO", help=compare)
    add("--json", action="store_true", help="print one JSON document")
    add = parser.add_argument_group("where the page is served").add_argument
    port = "TCP port (default: %(default)s)"
    add("--port", type=int, default=4568, help=port)
    host = "address; another is open to the network (default: %(default)s)"
    add("--host", default="127.0.0.1", help=host)
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds above 0")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")
    return int(text)


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Mark, show or serve; 0: done, 1: refused, 2: wrong usage."""
    args = parse_args(argv)
    units = check(args)
    document = mark(args, units)
    if not (document or args.list or args.compare or args.moments):
        serve_page(args, units)
        return 0
    if document or args.list:
        document |= list_marks(args, units)
    if args.compare:
        document |= compare(args, units)
    if args.moments:
        document |= list_moments(args, units)
    if args.json:
        print(json.dumps(document))
    return 0


def check(args: argparse.Namespace) -> dict[str, str]:
    """Refuse what is not there, before anything slow is loaded; return the units.

    Raises:
        InputError: A recording or a model is not there, or no good.
    """
    from network.files import check_model
    from recordings.found import only_recording
    from recordings.log import find_log
    from recordings.marks import read_marks
    from recordings.units import units_by_path

    if not args.recordings:
        args.recordings = [only_recording("review.py")]
    if not 0 <= args.port <= 65535:
        raise InputError(f"--port is {args.port}, expected 0 to 65535")
    for path in args.recordings:
        read_marks(find_log(path))
    for path in args.model:
        check_model(path)
    return units_by_path(dict(args.steering_unit), args.recordings)


# --- The page -------------------------------------------------------------------------


def serve_page(args: argparse.Namespace, units: dict[str, str]) -> None:
    """Serve the page until Ctrl+C, and say what to do next.

    Raises:
        InputError: The port is taken, or a recording is given twice.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShownFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    from driving.port import listen, url_of

    with listen(args.host, args.port, False, "review.py") as listener:
        from evaluation.review.app import ReviewApp, serve
        from evaluation.review.desk import Desk
        from evaluation.review.summary import train_command

        desk = Desk(args.recordings, units, names_of(args.recordings), args.model)
        app = ReviewApp(desk, token_for(args.host))
        query = f"?token={app.token}" if app.token else ""
        address = url_of(*listener.getsockname()[:2]) + query

        def announce() -> None:
            logger.info("review: %s", address)
            logger.info("open it in a browser; Ctrl+C stops")

        # The threads of the desk let the page's requests pass after so long, which is
        # ten times as soon as usual: a picture changes threads several times.
        sys.setswitchinterval(SWITCH_S)
        desk.start()
        try:
            asyncio.run(serve(app, listener, announce))
        except KeyboardInterrupt:
            pass
        finally:
            desk.stop()
    print(shown(f"next: {train_command(args.recordings, units, args.model)}"))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each recording, other than the others'.

    Raises:
        InputError: One is given twice.
    """
    from recordings.log import find_log

    log_paths = [find_log(path).resolve() for path in paths]
    for path, log_path in zip(paths, log_paths, strict=True):
        if log_paths.count(log_path) > 1:
            raise InputError(f"{path}: given twice; give it once")
    return told_apart([log_path.parent.name for log_path in log_paths])


# --- Without the page -----------------------------------------------------------------


def mark(args: argparse.Namespace, units: dict[str, str]) -> dict[str, Any]:
    """Change marks as the command line says; return what was done, {} for nothing."""
    from evaluation.review import documents

    path = args.recordings[0]
    unit = units.get(str(path.resolve()))
    if args.rows:
        document = documents.mark_rows(path, unit, args.rows, args.note)
    elif args.undo:
        document = documents.undo(path)
    elif args.discard_last is not None:
        seconds = args.discard_last or None
        document = documents.discard_last(path, unit, seconds, args.note)
    else:
        return {}
    if not args.json:
        for what, marks in document.items():
            for each in marks:
                print(wrapped(f"{unbroken(path)}: {what}: {_in_words(each)}"))
    return document


def list_marks(args: argparse.Namespace, units: dict[str, str]) -> dict[str, Any]:
    """Show the marks of the recordings, and what they change."""
    from evaluation.review.documents import marks_of
    from evaluation.review.summary import train_command

    found = [marks_of(path, units.get(str(path.resolve()))) for path in args.recordings]
    command = train_command(args.recordings, units, args.model)
    if args.json:
        return {"recordings": found, "next": command}
    for each in found:
        changes = each["changes"]
        text = (
            f"{unbroken(each['recording'])}: {changes['usable_after']:,} rows used, "
            f"{changes['usable_before']:,} without marks; "
            f"{changes['minutes_after']:.1f} of {changes['minutes_before']:.1f} min; "
            f"{changes['hard']:,} rows hard"
        )
        print(wrapped(text))
        for mark in each["marks"] if args.list else ():
            print(wrapped(f"  {_in_words(mark)}", indent="    "))
    print(shown(f"next: {command}"))
    return {}


def _in_words(mark: dict[str, Any]) -> str:
    note = f" ({mark['note']})" if mark["note"] else ""
    return f"rows {mark['from_row']} to {mark['to_row']}, {mark['mark']}{note}"


def list_moments(args: argparse.Namespace, units: dict[str, str]) -> dict[str, Any]:
    """Show the suspicious moments of the recordings that are not left out already."""
    if args.model:
        quiet_tensorflow()
    from evaluation.review.documents import moments_to_look_at

    with Bar("looking for moments") as bar:

        def tell_of(path: Path) -> Tell:
            return lambda what, part: bar.to(0, f"{path.name}: {what} {part:.0%}")

        inputs = (args.recordings, args.model, units)
        moments = moments_to_look_at(*inputs, args.moments, tell_of)
    if args.json:
        return {"moments": moments}
    for each in moments:
        place = f"rows {each['from_row']} to {each['to_row']}"
        what = f"{each['kind']} ({each['score']:.1f}): {each['reason']}"
        print(wrapped(f"{unbroken(each['recording'])}: {place}: {what}"))
    if not moments:
        print("nothing is suspicious")
    return {}


def compare(args: argparse.Namespace, units: dict[str, str]) -> dict[str, Any]:
    """Show how far the models' steering is from the driver's in some rows."""
    quiet_tensorflow()
    from evaluation.review.documents import models_beside_driver

    (path,) = args.recordings
    unit = units.get(str(path.resolve()))
    found = models_beside_driver(path, unit, args.model, args.compare)
    if args.json:
        return {"compared": found}
    rows = [["model", "rows", "RMSE to the label", "to the recorded", "bias"]]
    for each in found:
        numbers = (each["rmse_taught"], each["rmse_recorded"], each["bias"])
        cells = ["-" if number is None else f"{number:.4f}" for number in numbers]
        rows.append([each["model"], str(each["rows"]), *cells])
    print(text_table(rows, "<>"))
    return {}


if __name__ == "__main__":
    sys.exit(main())
