"""Turn a trained model into one file for small devices, checked on real frames.

    python export.py models/both/model.json --to tflite
    python export.py models/both/model.json --to onnx --quantize dynamic

The file takes the raw frame, as the model does, and drives without TensorFlow:
`python drive.py models/both/model.tflite`. It is kept only if it steers like the model
on the frames of a recording: a conversion can go wrong without a word.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import Parser, add_max_parameters, print_settings
from common.errors import InputError
from common.files import check_writable
from common.shell import typed
from common.start_up import quiet_tensorflow
from common.text import counted, unbroken, wrapped
from network.exported import MOST_DIFFERENCE
from recordings.found import SAMPLE

if TYPE_CHECKING:
    import numpy as np


FORMATS = ("tflite", "onnx")
QUANTIZATIONS = ("none", "dynamic", "full")


def sample_frames(recording: Path, most: int, unit: str | None = None) -> np.ndarray:
    """Read frames of all cameras, at most so many, evenly over a recording.

    Args:
        unit: Of the recording's steering, as read_recording takes it.

    Returns:
        uint8 RGB (n, 160, 320, 3).
    """
    from recordings.images import read_evenly
    from recordings.recording import read_recording, usable_rows

    return read_evenly(usable_rows(read_recording(recording, unit=unit)), most)


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from network.files import model_path
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Export a model for small devices, checked on real frames.",
        epilog="Example:\n"
        "  python export.py models/both/model.json --to tflite --frames data/lake",
    )
    add = parser.add_argument
    add("model", type=model_path, help="run's folder, or its model.json")
    add("--to", required=True, choices=FORMATS, help="format to write")
    text = "int8 weights (dynamic), and activations (full, tflite only) (default: none)"
    add("--quantize", choices=QUANTIZATIONS, default="none", help=text)
    text = "recording to compare on (default: data/sample)"
    add("--frames", type=Path, default=SAMPLE, metavar="DIR", help=text)
    add_unit_flag(add)
    text = "number of frames to compare on at most, 1 or more (default: 500)"
    add("--limit", type=int, default=500, metavar="N", help=text)
    text = "steering that a frame may be off by (default: %(default)s, 0.5 degrees)"
    add(
        "--most-difference", type=float, default=MOST_DIFFERENCE, metavar="S", help=text
    )
    add("--out", type=Path, help="file to write (default: beside the model)")
    add("--json", action="store_true", help="print one JSON document")
    add_max_parameters(add)
    args = parser.parse_args(argv)
    if args.quantize == "full" and args.to == "onnx":
        parser.error("--quantize full goes with --to tflite only")
    if args.limit < 1:
        parser.error(f"--limit is {args.limit}, expected at least 1")
    args.changes = parser.changes(args, "out", "json", "to")
    return args


def output_path(model_path: Path, out: Path | None, to: str, quantize: str) -> Path:
    """Return the path to write, beside the model under a name that tells if not given.

    Raises:
        InputError: It exists already, or its ending is not that of the format.
    """
    kind = "" if quantize == "none" else f".{quantize}"
    path = out or model_path.with_name(f"{model_path.stem}{kind}.{to}")
    if path.suffix != f".{to}":
        raise InputError(f"--out is {path}, expected a name that ends in .{to}")
    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    check_writable(path, "--out")
    return path


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Export a model and say how it does; return the exit status."""
    args = parse_args(argv)
    from network.files import check_model, load_model
    from recordings.log import find_log
    from recordings.units import unit_of

    path = output_path(args.model, args.out, args.to, args.quantize)
    check_model(args.model)
    find_log(args.frames)
    unit = unit_of(args.steering_unit, args.frames)
    frames = sample_frames(args.frames, args.limit, unit)
    quiet_tensorflow()
    from model import make_predictor, network_of, view_of
    from network.conversion import export, exportable

    model = load_model(args.model)
    network = exportable(view_of(model), network_of(model))
    like = make_predictor(model), frames
    check = export(network, *like, path, args.quantize, args.most_difference)
    if args.json:
        print(json.dumps({"written": str(path), **asdict(check)}))
        return 0
    print_settings(args.changes)
    bend = []
    if check.largest_bend_difference_per_m is not None:
        differs = f"{check.largest_bend_difference_per_m:.5f}/m"
        bend = [f"bend beside the model's: largest difference {differs}"]
    lines = (
        f"{unbroken(path)}: {check.size_bytes / 1024:,.0f} KiB",
        f"steering beside the model's on {counted(check.frames, 'frame')}: largest "
        f"difference {check.largest_difference:.5f}, RMS {check.rms_difference:.5f}",
        *bend,
        f"one frame: {check.latency_ms:.2f} ms, the model itself "
        f"{check.keras_latency_ms:.2f} ms",
    )
    print(*map(wrapped, lines), f"next: {typed('drive.py', path)}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
