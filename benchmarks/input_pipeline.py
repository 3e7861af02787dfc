"""Does the input keep the network busy, and does memory stay flat?

Measures, in one run and in turns, the training rate of one model (a) fed from a single
constant batch in memory, which is the best any input can do, and (b) fed by train.py's
own pipeline: drawing from the cache, augmentation on. Then the resident memory of (b)
for a small and a large set of samples, each in a process of its own.

    python benchmarks/input_pipeline.py ../shared/data/lake
    python benchmarks/input_pipeline.py --samples 2000 50000 --preset original

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import HelpFormatter
from model import build_model, network_of
from recordings.recording import read_recording, usable_samples


@functools.cache
def small_jpeg(image_path: str) -> bytes:
    """Return a frame's JPEG in a quality that spares the disk."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 20]
    return cv2.imencode(".jpg", cv2.imread(image_path), quality)[1].tobytes()


def repeat_samples(recording: Path, num_samples: int, folder: Path) -> None:
    """Make a recording of num_samples rows by repeating the images of another."""
    samples = usable_samples([read_recording(recording)])
    (folder / "IMG").mkdir(parents=True)
    rows = []
    for i in range(num_samples):
        row = samples.iloc[i % len(samples)]
        # Ten frames a second from an arbitrary midnight, under names of their own.
        seconds = i / 10
        clock = time.strftime("%Y_%m_%d_%H_%M_%S", time.gmtime(1.6e9 + seconds))
        name = f"center_{clock}_{int(seconds * 1000) % 1000:03d}.jpg"
        # Behind the picture stands what makes a frame of its own of it: of frames that
        # are the same, the first is used.
        content = small_jpeg(row["center"]) + i.to_bytes(4, "big")
        (folder / "IMG" / name).write_bytes(content)
        rows.append(f"IMG/{name},,,{row['steering']},0.5,0,{row['speed_mph'] + 1}")
    (folder / "driving_log.csv").write_text("\n".join(rows) + "\n")


def measure(recording: Path, preset: str, num_batches: int, rounds: int) -> dict:
    """Return rates [images/s] of both ways, in turns, and the resident memory [MB]."""
    import keras

    from training.batches import Batches
    from training.epochs import compile_network, with_habits
    from training.preparation import make_sets, open_cache, read_split
    from training.settings import Settings

    settings = Settings((str(recording),), preset=preset)
    split = read_split(settings)
    model = build_model(preset)
    cache = open_cache(split, model)
    training_set, _ = make_sets(split, cache, settings)
    network = with_habits(network_of(model), len(training_set.recordings))
    compile_network(network, settings, num_batches)

    def pipeline(epoch: int) -> Batches:
        return Batches(training_set, settings, epoch, num_batches)

    batch = pipeline(0)[0]

    class ConstantBatch(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=pipeline(0).workers)

        def __len__(self) -> int:
            return num_batches

        def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
            return batch

    cv2.setNumThreads(1)  # As fit does.
    rates: dict[str, list[float]] = {"constant": [], "pipeline": []}
    for epoch in range(rounds + 1):
        datasets = {"constant": ConstantBatch(), "pipeline": pipeline(epoch)}
        for name, dataset in datasets.items():
            started = time.perf_counter()
            network.fit(dataset, verbose=0, shuffle=False)
            rate = num_batches * settings.batch_size / (time.perf_counter() - started)
            if epoch:  # The first round compiles.
                rates[name].append(rate)
    resident_mb = psutil.Process().memory_info().rss / 1e6
    return {"samples": len(split.samples), "rates": rates, "resident_mb": resident_mb}


def measure_apart(args: argparse.Namespace, num_samples: int) -> dict:
    """Run `measure` in a process of its own, on a set of so many samples."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "repeated"
        repeat_samples(args.recording, num_samples, recording)
        command = [sys.executable, __file__, str(recording), "--alone"]
        command += ["--preset", args.preset, "--num-batches", str(args.num_batches)]
        command += ["--rounds", str(args.rounds)]
        environment = {**os.environ, "BC_CACHE_DIR": str(Path(folder) / "cache")}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add = parser.add_argument
    add("recording", type=Path, help="folder with a driving_log.csv")
    add("--preset", default="default")
    add("--num-batches", type=int, default=60, help="batches a round")
    add("--rounds", type=int, default=5, help="rounds that count")
    add("--samples", type=int, nargs=2, default=(2000, 50000))
    add("--alone", action="store_true", help="measure this recording only, as JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.alone:
        found = measure(args.recording, args.preset, args.num_batches, args.rounds)
        print(json.dumps(found))
        return 0
    results = [measure_apart(args, num_samples) for num_samples in args.samples]
    heads = f"{'samples':>8}{'constant':>12}{'pipeline':>12}{'ratio':>16}"
    print(f"{heads}{'resident':>12}")
    for result in results:
        constant, pipeline = (result["rates"][k] for k in ("constant", "pipeline"))
        ratios = [p / c for p, c in zip(pipeline, constant, strict=True)]
        result["ratio"] = statistics.median(ratios)
        print(
            f"{result['samples']:>8,}{statistics.median(constant):>8,.0f}/s "
            f"{statistics.median(pipeline):>10,.0f}/s "
            f"{result['ratio']:>7.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            f"{result['resident_mb']:>9,.0f} MB"
        )
    growth = results[1]["resident_mb"] / results[0]["resident_mb"]
    print(json.dumps({"preset": args.preset, "growth": growth, "results": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
