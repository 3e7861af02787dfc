"""Does the input keep the network busy, and does memory stay flat?

Measures, in one run and in turns, the training rate of one model (a) fed from a single
constant batch in memory, which is the best any input can do, and (b) fed by train.py's
own pipeline: drawing from the cache, augmentation on. Then the CPU time of each stage
of making a batch, and the resident memory of (b), for a small and a large set of
samples, each in a process of its own.

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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import HelpFormatter
from model import build_model, network_of, with_bend
from recordings.recording import read_recording, usable_samples

if TYPE_CHECKING:
    from training.batches import Batches


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


def stages_us(batches: Batches, count: int = 20) -> dict[str, float]:
    """Return what the stages of making batches cost, in CPU microseconds a frame."""
    from augment import blur, colour, gaussian_noise, sample_parameters, shadow, tone
    from recordings.reproject import reproject
    from training.batches import draw_places

    known, settings = batches.training_set, batches.settings
    rng, size = np.random.default_rng(0), settings.batch_size
    rows = rng.integers(0, len(known.steering), (count, size))
    spent: dict[str, float] = {}

    def take(stage: str, work: Callable[[int], Any]) -> list[Any]:
        started = time.thread_time()
        done = [work(i) for i in range(count)]
        spent[stage] = (time.thread_time() - started) / count / size * 1e6
        return done

    take("a whole batch", batches.__getitem__)
    drawn = take("draws", lambda _: sample_parameters(settings.augment, rng, size))
    views = take("gather", lambda i: known.cache.gather(known.positions[rows[i], 0]))
    places = [draw_places(size, settings, rng) for _ in range(count)]
    geometry = known.cache.geometry
    take("re-projection", lambda i: reproject(views[i], *places[i], geometry))
    for stage, change in (
        ("shadow", lambda v, p: shadow(v, p.shadow_edges, p.shadow_light)),
        (
            "light and colour",
            lambda v, p: colour(v, p.brightness, p.saturation, p.red_gain, p.blue_gain),
        ),
        ("gamma", lambda v, p: tone(v, p.gamma, p.invert)),
        ("blur", lambda v, p: blur(v, p.blur)),
        ("noise", lambda v, p: gaussian_noise(v, p.noise, p.noise_offset)),
    ):
        take(stage, lambda i, f=change: [*map(f, views[i], drawn[i])])
    return spent


def measure(recording: Path, preset: str, num_batches: int, rounds: int) -> dict:
    """Return rates [images/s] of both ways, in turns, and the resident memory [MB]."""
    from training.batches import Batches
    from training.epochs import OneProcess, compile_network, with_habits
    from training.preparation import make_sets, open_cache, read_split
    from training.settings import Settings

    settings = Settings((str(recording),), preset=preset)
    split = read_split(settings)
    model = with_bend(build_model(preset))
    cache = open_cache(split, model)
    training_set, _ = make_sets(split, cache, settings, model)
    engine, num_recordings = OneProcess(), len(training_set.recordings)
    network = engine.prepare(with_habits(network_of(model), num_recordings))
    compile_network(network, settings, num_batches)

    class ConstantBatch(Batches):
        batch = Batches(training_set, settings, 0, num_batches)[0]

        def __getitem__(self, index: int) -> tuple:
            return self.batch

    cv2.setNumThreads(1)  # As fit does.
    rates: dict[str, list[float]] = {"constant": [], "pipeline": []}
    cpu_us: dict[str, list[float]] = {"constant": [], "pipeline": []}
    for epoch in range(rounds + 1):
        for name, kind in (("constant", ConstantBatch), ("pipeline", Batches)):
            batches = kind(training_set, settings, epoch, num_batches)
            started = time.process_time()
            _, rate, _ = engine.train_epoch(network, batches, name)
            spent = (time.process_time() - started) * 1e6
            if epoch:  # The first round compiles.
                rates[name].append(rate)
                cpu_us[name].append(spent / num_batches / settings.batch_size)
    return {
        "samples": len(split.samples),
        "rates": rates,
        "cpu_us": cpu_us,
        "stages_us": stages_us(Batches(training_set, settings, 0, num_batches)),
        "resident_mb": psutil.Process().memory_info().rss / 1e6,
    }


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
        cpu = [statistics.median(of) for of in result["cpu_us"].values()]
        costs = "".join(
            f", {stage} {cost:.0f}" for stage, cost in result["stages_us"].items()
        )
        print(f"{'':>8}CPU us a frame: constant {cpu[0]:.0f}, pipeline {cpu[1]:.0f}; ")
        print(f"{'':>8}of them{costs[1:]}")
    growth = results[1]["resident_mb"] / results[0]["resident_mb"]
    print(json.dumps({"preset": args.preset, "growth": growth, "results": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
