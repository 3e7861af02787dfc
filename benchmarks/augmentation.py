"""What does each augmentation cost, beside the training step that it feeds?

Measures the CPU time (all threads of the process) of each operation on one view, of
whole batches, and of training steps of the network on one constant batch.

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --preset original --batch-size 64

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from augment import PREVIEW, AugmentSettings, apply, sample_parameters
from common.command_line import HelpFormatter
from common.errors import InputError
from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, VIEW_SHAPE, build_model, network_of
from recordings.reproject import ViewGeometry, reproject


def cpu_ms(work: Callable[[], object], repeats: int, rounds: int = 5) -> float:
    """Return the CPU time of one call in milliseconds: the median over rounds."""
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            work()
        times.append((time.process_time() - started) / repeats * 1000)
    return statistics.median(times)


def batch_cost(views: np.ndarray, settings: AugmentSettings) -> float:
    """Return the CPU time of augmenting one batch, in milliseconds."""
    rng = np.random.default_rng(0)

    def augment_batch() -> None:
        drawn = sample_parameters(settings, rng, len(views))
        for i, parameters in enumerate(drawn):
            views[i], _ = apply(views[i], 0.0, parameters)

    return cpu_ms(augment_batch, repeats=20)


def reprojection_cost(views: np.ndarray) -> float:
    """Return the CPU time of moving the camera of each view, in milliseconds."""
    num, height, width, _ = views.shape
    geometry = ViewGeometry(height, width, CROP_TOP_ROWS, CROP_BOTTOM_ROWS)
    rng = np.random.default_rng(0)
    poses = rng.normal(0, [[0.4], [0.08]], (2, num))
    move = partial(reproject, views, *poses, geometry, np.empty_like(views))
    return cpu_ms(move, repeats=20)


def step_cost(views: np.ndarray, preset: str) -> float:
    """Return the CPU time of one training step, in milliseconds."""
    import keras

    network = network_of(build_model(preset))
    network.compile(optimizer=keras.optimizers.Adam(1e-4), loss="mse")
    steering = np.zeros((len(views), 1), np.float32)
    for _ in range(3):  # compiles, and warms the thread pool up
        network.train_on_batch(views, steering)
    return cpu_ms(lambda: network.train_on_batch(views, steering), 10, rounds=3)


def measure(preset: str, batch_size: int) -> dict[str, object]:
    """Return all figures, in milliseconds of CPU time."""
    shape = (batch_size, *VIEW_SHAPE)
    views = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    off = {setting.name: 0.0 for setting in dataclasses.fields(AugmentSettings)}
    on_every_frame = AugmentSettings(
        **off
        | {"flip": 1.0, "shift_right": 0.1, "shift_down": 0.1}
        | {"shift_steering": 0.64, "brightness": 0.4, "noise": 6.0}
    )
    return {
        "preset": preset,
        "batch_size": batch_size,
        "operations_ms": {
            title: cpu_ms(partial(apply, views[0], 0.1, parameters), repeats=500)
            for title, parameters in PREVIEW.items()
        },
        "batch_four_ms": batch_cost(views, on_every_frame),
        "batch_default_ms": batch_cost(views, AugmentSettings()),
        "batch_reprojected_ms": reprojection_cost(views),
        "step_ms": step_cost(views, preset),
    }


def print_table(result: dict) -> None:
    """Print what `measure` returns."""
    print(f"{'one view':<42}CPU [µs]")
    for title, cost_ms in result["operations_ms"].items():
        print(f"{title:<42}{1000 * cost_ms:8.1f}")
    step_ms = result["step_ms"]
    print(f"\n{'batch of ' + str(result['batch_size']):<42}CPU [ms]  of a step")
    for title, cost_ms in (
        ("flip, shift, brightness, noise on each", result["batch_four_ms"]),
        ("all, as train.py does by default", result["batch_default_ms"]),
        ("camera moved sideways and turned", result["batch_reprojected_ms"]),
        (f"training step, preset {result['preset']}", step_ms),
    ):
        print(f"{title:<42}{cost_ms:8.1f}{cost_ms / step_ms:10.1%}")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--preset", default="original", help="preset of model.py (default: original)")
    add("--batch-size", type=int, default=64, help="frames in a batch (default: 64)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        result = measure(args.preset, args.batch_size)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print_table(result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
