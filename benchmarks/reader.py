"""Measure how long hostile rows hold the reader of logs.

    python benchmarks/reader.py
    python benchmarks/reader.py --rows 20000 --repeats 1

A clean log is read, and then the same log with something hostile in its middle. What
counts is the ratio: one row must not make the reading of all others take twice as long.
Below the table stands the same as one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.errors import InputError
from common.table import text_table
from recordings.lines import MOST_COLUMNS, MOST_LINE_CHARACTERS
from recordings.log import parse_log

IMAGES = "IMG/center_{0}.jpg,IMG/left_{0}.jpg,IMG/right_{0}.jpg"
HEADER = "center,left,right,steering,throttle,brake,speed"
# The longest row that is still looked into, and one of the most columns.
LONGEST, WIDEST = MOST_LINE_CHARACTERS - 100, MOST_COLUMNS - 10
MILLION = 1_000_000


def clean_rows(num_rows: int) -> list[str]:
    """Return rows as the simulator writes them."""
    paths = "C:\\Users\\Anna Roe\\Desktop\\track\\IMG\\"
    stamps = (f"2024_03_01_{i // 3600 % 24:02d}_{i:09d}" for i in range(num_rows))
    return [
        f"{IMAGES.format(stamp).replace('IMG/', paths)},{i % 99 / 100},0.5,0,{i % 31}"
        for i, stamp in enumerate(stamps)
    ]


def nested_quotes(text: str) -> str:
    """Put quotes around a text, and around that, until the line is at its bound."""
    while len(text) < LONGEST / 2 - 2:
        text = '"' + text.replace('"', '""') + '"'
    return text


# What each hostile kind puts into the middle of the log: lines.
HOSTILE: dict[str, Callable[[], list[str]]] = {
    "row of 80,000 numbers": lambda: [f"{IMAGES},{','.join(['0.5'] * 80_000)}"],
    "ten million commas": lambda: ["," * (10 * MILLION)],
    "ten million digits": lambda: [f"{IMAGES},{'1' * 10 * MILLION},0,0,9"],
    "digits, no number, longest row": lambda: [f"{IMAGES},{'1' * LONGEST}x,0,0,9"],
    "numbers before the path": lambda: [f"{'7,' * WIDEST}{IMAGES},0,0,0,9"],
    "path in pieces": lambda: [f"/{'a,' * WIDEST}b.jpg,0,0,0,9"],
    "a hundred million letters": lambda: ["a" * 100 * MILLION],
    "ten million dots": lambda: [".jpg." * (2 * MILLION)],
    "ten million slashes": lambda: ["C:" + "\\" * (10 * MILLION) + ".jpg"],
    "slashes, longest row": lambda: ["/" * LONGEST + ".jpg,0,0,0,9"],
    "ten million quotes": lambda: ['"' * (10 * MILLION)],
    "quote without an end": lambda: [f'"{IMAGES},0,0,0,9'],
    "quotes around quotes": lambda: [nested_quotes(f"{IMAGES},0,0,0,9")],
    "quotes, longest row": lambda: ['",' * (WIDEST // 2) + '"' * (LONGEST - 300)],
    "letters that unfold": lambda: [",".join(["\ufdfa" * 60] * WIDEST)],
    "capitals, longest row": lambda: ["aA" * (LONGEST // 2)],
    "zero bytes": lambda: ["\0" * 10 * MILLION],
    "tabs, longest row": lambda: ["\t" * WIDEST + "x" * (LONGEST - WIDEST)],
    "1.8 million empty lines": lambda: [""] * 1_800_000,
    "ten million empty lines": lambda: [""] * (10 * MILLION),
    "a thousand headers": lambda: [HEADER] * 1000,
    "a thousand longest rows": lambda: [",".join(["0.5" * 20] * WIDEST)] * 1000,
}


def seconds_to_read(content: bytes, repeats: int) -> tuple[float, str]:
    """Read a log several times; return the least time, and what came of it.

    The time is that of the processor: what else the machine does is not the reader's.
    """
    least = float("inf")
    for _ in range(repeats):
        started_s = time.process_time()
        try:
            log = parse_log(Path("driving_log.csv"), content)
            outcome = f"{len(log.rows):,} rows"
        except InputError as error:
            outcome = f"refused: {str(error)[:60]}"
        least = min(least, time.process_time() - started_s)
    return least, outcome


def main(argv: list[str] | None = None) -> int:
    """Measure, and print a table and one JSON line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    rows_help = "rows of the clean log (default: %(default)s)"
    parser.add_argument("--rows", type=int, default=100_000, help=rows_help)
    text = "readings of each, of which the fastest counts (default: %(default)s)"
    parser.add_argument("--repeats", type=int, default=2, help=text)
    args = parser.parse_args(argv)
    rows = clean_rows(args.rows)
    middle = len(rows) // 2

    def measure(lines: list[str]) -> tuple[float, str]:
        content = "\n".join([*rows[:middle], *lines, *rows[middle:], ""]).encode()
        return seconds_to_read(content, args.repeats)

    clean_s, outcome = measure([])
    table = [["in the middle", "s", "ratio", "outcome"]]
    table.append(["nothing", f"{clean_s:.2f}", "1.00", outcome])
    ratios = {}
    for kind, make in HOSTILE.items():
        seconds, outcome = measure(make())
        ratios[kind] = round(seconds / clean_s, 2)
        table.append([kind, f"{seconds:.2f}", f"{ratios[kind]:.2f}", outcome])
        print(".", end="", file=sys.stderr, flush=True)
    print("\n" + text_table(table, "<>><"))
    print(json.dumps({"rows": args.rows, "clean_s": round(clean_s, 2), **ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
