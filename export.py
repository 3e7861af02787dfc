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
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.bar import Bar
from common.car import CAMERAS, MOST_CURVATURE_PER_M
from common.command_line import Parser, add_max_parameters, print_settings
from common.errors import InputError
from common.files import check_writable, whole_file
from common.shell import typed
from common.start_up import quiet_tensorflow
from common.text import counted, unbroken, wrapped
from recordings.found import SAMPLE

if TYPE_CHECKING:
    import keras
    import numpy as np

    from network.answer import Predict

FORMATS = ("tflite", "onnx")
QUANTIZATIONS = ("none", "dynamic", "full")
# Half a degree of wheel angle of the simulator's car, whose lock is 25 degrees.
MOST_DIFFERENCE = 0.02


@dataclass(frozen=True)
class Check:
    """How an exported file does beside the model that it was made from."""

    frames: int
    """The number of frames that were compared."""
    largest_difference: float
    """The largest difference of the steering on any frame."""
    rms_difference: float
    largest_bend_difference_per_m: float | None
    """The largest difference of the bend, in 1/m; None of a model that gives none."""
    size_bytes: int
    latency_ms: float
    """The median time that the file takes for one frame."""
    keras_latency_ms: float
    """The median time that the model itself takes."""


def export(
    model: keras.Model,
    frames: np.ndarray,
    path: Path,
    quantize: str = "none",
    most_difference: float = MOST_DIFFERENCE,
) -> Check:
    """Write a model as one file, if that steers like the model.

    Args:
        frames: The frames to compare on, uint8 RGB (n, 160, 320, 3).
        path: The file to write; its ending says the format.
        most_difference: How far the steering may be off on any frame, and the bend, of
            the one of full lock.

    Raises:
        InputError: The file exists, or answers differently.
    """
    import numpy as np

    from model import make_predictor, network_of, view_of
    from network.conversion import exportable, to_onnx, to_tflite
    from network.exported import load_exported

    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    network = exportable(view_of(model), network_of(model))
    with Bar(f"converting to {path.suffix}"):
        if path.suffix == ".onnx":
            content = to_onnx(network, quantize)
        else:
            content = to_tflite(network, quantize, frames)
    with whole_file(path, is_new=True) as partial_path:
        # What is checked is what was written.
        partial_path.write_bytes(content)
        of_file, of_model = load_exported(partial_path), make_predictor(model)
        with Bar("steering by file and model", 2 * len(frames), "frames") as bar:
            answers, latency_ms = answers_of(of_file, bar.over(frames))
            expected, keras_latency_ms = answers_of(of_model, bar.over(frames))
        difference = answers - expected
        largest = np.abs(difference).max(axis=0).tolist()
        check = Check(
            frames=len(frames),
            largest_difference=largest[0],
            rms_difference=float(np.sqrt(np.mean(difference[:, 0] ** 2))),
            largest_bend_difference_per_m=largest[1] if largest[1:] else None,
            size_bytes=len(content),
            latency_ms=latency_ms,
            keras_latency_ms=keras_latency_ms,
        )
        # Written so that a NaN is refused too.
        if not check.largest_difference <= most_difference:
            raise InputError(
                f"{path} is not kept: its steering is off by up to "
                f"{check.largest_difference:.4f} (RMS {check.rms_difference:.4f}) on "
                f"{check.frames} frames, expected at most {most_difference:g}; "
                "quantize less, or give another --most-difference"
            )
        # As much of full lock.
        most_bend = most_difference * MOST_CURVATURE_PER_M
        bend = check.largest_bend_difference_per_m
        if bend is not None and not bend <= most_bend:
            raise InputError(
                f"{path} is not kept: its bend is off by up to {bend:.4f}/m on "
                f"{check.frames} frames, expected at most {most_bend:.4f}/m; quantize "
                "less, or give another --most-difference"
            )
    return check


def sample_frames(recording: Path, most: int, unit: str | None = None) -> np.ndarray:
    """Read frames of all cameras, at most so many, evenly over a recording.

    Args:
        unit: Of the recording's steering, as read_recording takes it.

    Returns:
        uint8 RGB (n, 160, 320, 3).
    """
    import numpy as np

    from recordings.images import read_frame
    from recordings.recording import read_recording, usable_rows

    samples = usable_rows(read_recording(recording, unit=unit))
    paths = [path for camera in CAMERAS for path in samples[camera] if path]
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)
    with Bar("reading frames", len(chosen), "frames") as bar:
        return np.stack([read_frame(paths[i]) for i in bar.over(chosen)])


def answers_of(
    predict: Predict, frames: Iterable[np.ndarray]
) -> tuple[np.ndarray, float]:
    """Return what is answered for each frame, and the median time in ms.

    Returns:
        float64 (n, 1), the steering, or (n, 2), the bend beside it; and the time.
    """
    import numpy as np

    answers, times_s = [], []
    for frame in frames:
        started = time.perf_counter()
        answers.append(np.atleast_1d(predict(frame)))
        times_s.append(time.perf_counter() - started)
    return np.array(answers, float), 1e3 * statistics.median(times_s)


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
    quiet_tensorflow()
    frames = sample_frames(args.frames, args.limit, unit)
    model = load_model(args.model)
    check = export(model, frames, path, args.quantize, args.most_difference)
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
