"""How fast is a training step, on which engine, and how near to what the machine can?

One constant batch; images/s of both presets and several batch sizes on the backends of
Keras, and of settings of TensorFlow, which computes batch normalization and Adam as
train.py does (training/fused.py) unless it says plain. Beside them the part of the rate
at which this machine multiplies large matrices.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --backends tensorflow jax --batch-sizes 64

A backend that is not installed is left out, and named (`pip install jax`, or `torch`).
Each engine is a process of its own; their rounds take turns. Prints a table, then one
JSON line. Losses after the same steps on the same batches tell whether the engines
compute the same.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import HelpFormatter
from model import VIEW_SHAPE, build_model, network_of

if TYPE_CHECKING:
    import keras

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
# What is measured: a name, the backend, environment variables, and how it is compiled.
ENGINES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "tensorflow": ("tensorflow", {}, {}),
    "tensorflow, plain Keras": ("tensorflow", {}, {}),
    "jax": ("jax", {}, {}),
    "torch": ("torch", {}, {}),
    "tensorflow, 8 steps a call": ("tensorflow", {}, {"steps_per_execution": 8}),
    "tensorflow, XLA": ("tensorflow", {}, {"jit_compile": True}),
    "tensorflow, no oneDNN": ("tensorflow", {"TF_ENABLE_ONEDNN_OPTS": "0"}, {}),
    "tensorflow, 1 thread": ("tensorflow", ONE_THREAD, {}),
}
# Beyond the backends themselves only at this batch size.
USUAL_BATCH = 64
NUM_LOSS_STEPS = 5
MATRIX_SIZE = 2048


def matrix_gflops(seconds: float = 1.0) -> float:
    """Return the rate of multiplying large float32 matrices, in 1e9 operations/s."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, MATRIX_SIZE, MATRIX_SIZE), np.float32)
    a @ b
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        a @ b
        count += 1
    return 2e-9 * MATRIX_SIZE**3 * count / (time.perf_counter() - started)


def step_gflop(network: keras.Model) -> float:
    """Return the operations of a training step for one image, in 1e9.

    Multiplications and additions of convolutions and dense layers; the way back costs
    twice the way there.
    """
    operations = 0
    for layer in network.layers:
        if hasattr(layer, "kernel") and layer.name != "habit":
            places = math.prod(layer.output.shape[1:-1])
            operations += 2 * math.prod(layer.kernel.shape) * places
    return 3e-9 * operations


def measure(
    engine: str, preset: str, batch_size: int, seconds: float
) -> dict[str, float]:
    """Return images/s, CPU cores that were busy, and the loss after some steps."""
    import keras

    keras.backend.clear_session()
    rng = np.random.default_rng(1)
    network = network_of(build_model(preset, dropout=0.0))
    # The same weights on every backend; each draws its own.
    for variable in network.trainable_variables:
        if len(variable.shape) > 1:
            spread = (2 / np.prod(variable.shape[:-1])) ** 0.5
            variable.assign(rng.normal(0, spread, variable.shape).astype(np.float32))
    backend, _, how = ENGINES[engine]
    optimizer = keras.optimizers.Adam
    if backend == "tensorflow" and "plain" not in engine:
        from training.fused import FusedAdam, fused_network

        network, optimizer = fused_network(network), FusedAdam
    network.compile(optimizer=optimizer(1e-3), loss="mse", **how)
    views = rng.integers(0, 256, (batch_size, *VIEW_SHAPE)).astype(np.uint8)
    steering = rng.normal(0, 0.2, (batch_size, 1)).astype(np.float32)

    class Constant(keras.utils.PyDataset):
        def __init__(self, length: int) -> None:
            super().__init__(workers=2)
            self.length = length

        def __len__(self) -> int:
            return self.length

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return views, steering

    fitted = network.fit(Constant(NUM_LOSS_STEPS), verbose=0, shuffle=False)
    # Eight, because that is how many an engine may take in one call.
    network.fit(Constant(8), verbose=0, shuffle=False)
    started = time.perf_counter()
    network.fit(Constant(8), verbose=0, shuffle=False)
    steps = max(1, round(seconds / (time.perf_counter() - started))) * 8
    started, cpu = time.perf_counter(), time.process_time()
    network.fit(Constant(steps), verbose=0, shuffle=False)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return {
        "images_per_s": steps * batch_size / wall_s,
        "cores": cpu_s / wall_s,
        "loss": fitted.history["loss"][0],
        "gflop": step_gflop(network),
    }


def measure_engine(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every cell of one engine, in this process."""
    found: dict[str, Any] = {"matrix_gflops": matrix_gflops()}
    is_backend = not ENGINES[args.alone][1] and not ENGINES[args.alone][2]
    for preset in args.presets:
        for size in args.batch_sizes:
            if is_backend or size == USUAL_BATCH:
                cell = measure(args.alone, preset, size, args.seconds)
                found[f"{preset} {size}"] = cell
    return found


def run_engine(args: argparse.Namespace, engine: str) -> dict[str, Any] | None:
    """Measure an engine in a process of its own; None if it is not installed."""
    backend, environment, _ = ENGINES[engine]
    command = [sys.executable, __file__, "--alone", engine]
    command += ["--seconds", str(args.seconds), "--presets", *args.presets]
    command += ["--batch-sizes", *map(str, args.batch_sizes)]
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend}
    done = subprocess.run(
        command, env=env | environment, capture_output=True, text=True
    )
    if done.returncode and "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(f"{engine}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summarize(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians and ranges over the rounds of an engine."""
    cells = {}
    matrices = [each["matrix_gflops"] for each in rounds]
    for name in [name for name in rounds[0] if name != "matrix_gflops"]:
        rates = [each[name]["images_per_s"] for each in rounds]
        gflop = rounds[0][name]["gflop"]
        parts = [
            rate * gflop / matrix for rate, matrix in zip(rates, matrices, strict=True)
        ]
        cells[name] = {
            "images_per_s": round(statistics.median(rates), 1),
            "range": [round(min(rates), 1), round(max(rates), 1)],
            "cores": round(statistics.median(e[name]["cores"] for e in rounds), 2),
            "of_matrix_rate": round(statistics.median(parts), 3),
            "loss": round(rounds[0][name]["loss"], 6),
        }
    return cells


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--backends", nargs="+", choices=ENGINES, default=list(ENGINES))
    add("--presets", nargs="+", default=["original", "default"])
    add("--batch-sizes", type=int, nargs="+", default=[32, 64, 128, 256])
    add("--rounds", type=int, default=3, help="rounds of each engine (default: 3)")
    add("--seconds", type=float, default=4.0, help="seconds a cell (default: 4)")
    add("--alone", choices=ENGINES, help="measure one, as JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.alone:
        print(json.dumps(measure_engine(args)))
        return 0
    rounds: dict[str, list[dict[str, Any]]] = {engine: [] for engine in args.backends}
    for _ in range(args.rounds):
        for engine in list(rounds):
            found = run_engine(args, engine)
            if found is None:
                print(f"{engine}: not installed, left out")
                del rounds[engine]
            else:
                rounds[engine].append(found)
    matrices = [each["matrix_gflops"] for found in rounds.values() for each in found]
    if not matrices:
        return 0
    print(
        f"matrices: {statistics.median(matrices):.0f} GFLOP/s "
        f"({min(matrices):.0f}-{max(matrices):.0f})"
    )
    print(
        f"{'engine':<28}{'preset, batch':<16}{'images/s':>10}{'range':>16}"
        f"{'cores':>7}{'of matrices':>13}{'loss':>10}"
    )
    figures = {engine: summarize(found) for engine, found in rounds.items()}
    for engine, cells in figures.items():
        for name, cell in cells.items():
            low, high = cell["range"]
            print(
                f"{engine:<28}{name:<16}{cell['images_per_s']:>10,.0f}"
                f"{f'{low:,.0f}-{high:,.0f}':>16}{cell['cores']:>7.2f}"
                f"{cell['of_matrix_rate']:>12.1%} {cell['loss']:>10.5f}"
            )
    print(json.dumps({"matrix_gflops": statistics.median(matrices), **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
