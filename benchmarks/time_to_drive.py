"""From a recording on disk to a model that drives: how long does a user wait?

Each recipe is a process of its own, from its start on, with an empty cache of views.
Every so many batches the weights that drive.py would drive go round the embedded lake,
forward and in reverse, at 20 mph; the clocks stand still meanwhile. It has arrived when
neither lap needs an intervention. The recipes:

    base     train.py as it is, which begins from the base model. That laps this lake
             before it has seen a frame: what is told is when the first weights trained
             on the recording, and better on what is held out, are on disk and lap it.
    scratch  train.py --from scratch: a new network learns it from the recording alone.
    usual    the recipe that most projects of the field share, built anew here from its
             description: for each sample Python picks a camera at random (with 0.2
             added to or taken from the steering), reads, flips, shifts (0.002 a
             pixel), shadows and brightens it; NVIDIA's network on YUV without batch
             normalization, dropout 0.5; batches of 40, Adam at 1e-4.

    python simulate.py record lake --laps 1 --direction both --seed 1 --out data/demo
    python benchmarks/time_to_drive.py data/demo --seeds 0 1 2

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow

if TYPE_CHECKING:
    import keras
    import pandas as pd

RECIPES = ("base", "scratch", "usual")
SPEED_MPH = 20.0
MOST_BATCHES = 5_000  # after which it is not there yet; the usual recipe's are smaller
# A lap takes 77 s at this speed.
MOST_S_PER_LAP = 150.0
# --- The usual recipe, in the numbers that are usual ---
CAMERA_CORRECTION = 0.2
AUGMENTED_SHARE = 0.6
SHIFT_PX = (100, 10)
STEERING_PER_PX = 0.002
USUAL_BATCH, USUAL_RATE, USUAL_DROPOUT = 40, 1e-4, 0.5


class Arrived(Exception):
    """The model laps the lake."""


class Clock:
    """Wall and CPU time since the process began, without the checks."""

    def __init__(self, started_s: float) -> None:
        self._started_s, self._checks_s, self._checks_cpu_s = started_s, 0.0, 0.0
        self.checks = 0

    def times(self) -> dict[str, float]:
        """Return what has passed, in s."""
        return {
            "wall_s": round(time.time() - self._started_s - self._checks_s, 2),
            "cpu_s": round(time.process_time() - self._checks_cpu_s, 2),
        }

    def check(self, predict: Callable[[np.ndarray], float], batches: int) -> None:
        """Let a model drive.

        Raises:
            Arrived: It laps the lake both ways round without an intervention.
        """
        from evaluation.closed_loop import Job, drive

        began_s, began_cpu_s = time.time(), time.process_time()
        reached = self.times() | {"batches": batches, "checks": self.checks}
        self.checks += 1
        errors_m = []
        for way in ("forward", "reverse"):
            job = Job(
                "under training",
                "lake",
                way,
                speed_mph=SPEED_MPH,
                most_s=MOST_S_PER_LAP,
                most_interventions=1,
            )
            result = drive(job, predict=predict)
            if result.laps < 1 or result.rollout.interventions:
                break
            errors_m.append(result.figures()["mean_abs_cross_track_error_m"])
        else:
            raise Arrived(json.dumps(reached | {"mean_m": errors_m}))
        self._checks_s += time.time() - began_s
        self._checks_cpu_s += time.process_time() - began_cpu_s


# --- Ours -----------------------------------------------------------------------------


def train_ours(
    recordings: list[Path], beginning: str, seed: int, every: int, clock: Clock
) -> None:
    """Train as train.py does, but with an epoch of so many batches."""
    import train
    from model import make_predictor
    from network.files import load_model

    with tempfile.TemporaryDirectory() as models_dir:
        words = [*map(str, recordings), "--name", "run", "--models-dir", models_dir]
        words += ["--from", beginning, "--seed", str(seed)]
        words += ["--steps-per-epoch", str(every)]
        words += ["--epochs", str(max(1, MOST_BATCHES // every))]
        args = train.parse_args(words)
        folder, settings = train.open_run(args)
        quiet_tensorflow(settings.threads)
        from training.run_folder import make_run

        make_run(folder, settings)

        def look(progress: Any) -> None:
            # Those of before have been seen; those that it begins with do not count.
            if progress.kept_epoch == progress.epoch:
                best = load_model(folder / "model.json")
                clock.check(make_predictor(best), progress.epoch * every)

        train.run(folder, settings, after_epoch=look)


# --- The usual recipe -----------------------------------------------------------------


def train_usual(recordings: list[Path], seed: int, every: int, clock: Clock) -> None:
    """Train as most do."""
    quiet_tensorflow()
    import keras

    from recordings.recording import read_recording, usable_samples

    keras.utils.set_random_seed(seed)
    read = [read_recording(each, check_images=False) for each in recordings]
    samples = usable_samples(read)
    batches = usual_batches(samples, np.random.default_rng(seed))
    network = usual_network()

    def steer(frame: np.ndarray) -> float:
        view = usual_view(frame)[None].astype(np.float32)
        return float(network.predict_on_batch(view)[0, 0])

    for batch in range(1, MOST_BATCHES + 1):
        network.train_on_batch(*next(batches))
        if batch % every == 0:
            clock.check(steer, batch)


def usual_network() -> keras.Model:
    """Return NVIDIA's network as it is usually written, compiled."""
    import keras
    from keras import layers

    network = keras.Sequential(
        [
            keras.Input((66, 200, 3)),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            layers.Conv2D(24, 5, 2, activation="elu"),
            layers.Conv2D(36, 5, 2, activation="elu"),
            layers.Conv2D(48, 5, 2, activation="elu"),
            layers.Conv2D(64, 3, activation="elu"),
            layers.Conv2D(64, 3, activation="elu"),
            layers.Dropout(USUAL_DROPOUT),
            layers.Flatten(),
            layers.Dense(100, activation="elu"),
            layers.Dense(50, activation="elu"),
            layers.Dense(10, activation="elu"),
            layers.Dense(1),
        ]
    )
    network.compile(optimizer=keras.optimizers.Adam(USUAL_RATE), loss="mse")
    return network


def usual_batches(
    samples: pd.DataFrame, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of views, float32 (40, 66, 200, 3), and steering (40, 1)."""
    from recordings.images import read_frame

    cameras = {"center": 0.0, "left": CAMERA_CORRECTION, "right": -CAMERA_CORRECTION}
    paths = {camera: samples[camera].to_numpy() for camera in cameras}
    recorded = samples["steering"].to_numpy()
    while True:
        views, labels = [], []
        for row in rng.integers(len(recorded), size=USUAL_BATCH):
            camera = str(rng.choice(list(cameras)))
            frame = read_frame(paths[camera][row])
            steering = recorded[row] + cameras[camera]
            if rng.random() < AUGMENTED_SHARE:
                frame, steering = usual_augmented(frame, steering, rng)
            views.append(usual_view(frame))
            labels.append([steering])
        yield np.array(views, np.float32), np.array(labels, np.float32)


def usual_augmented(
    frame: np.ndarray, steering: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Flip by chance, shift, shadow and brighten a frame, uint8 RGB (160, 320, 3)."""
    import cv2

    height, width = frame.shape[:2]
    if rng.random() < 0.5:
        frame, steering = cv2.flip(frame, 1), -steering
    right, down = (span * (rng.random() - 0.5) for span in SHIFT_PX)
    moved = np.array([[1, 0, right], [0, 1, down]], np.float32)
    frame = cv2.warpAffine(frame, moved, (width, height))
    # One side of a line across the frame lies in the shadow.
    x1, x2 = width * rng.random(2)
    rows, columns = np.mgrid[0:height, 0:width]
    side = (columns - x1) * height - (x2 - x1) * rows > 0
    shade = side if rng.random() < 0.5 else ~side
    hls = cv2.cvtColor(frame, cv2.COLOR_RGB2HLS)
    lightness = hls[:, :, 1]
    hls[:, :, 1] = np.where(shade, lightness * rng.uniform(0.2, 0.5), lightness)
    frame = cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    ratio = 1 + 0.4 * (rng.random() - 0.5)
    hsv[:, :, 2] = np.minimum(hsv[:, :, 2] * ratio, 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), steering + right * STEERING_PER_PX


def usual_view(frame: np.ndarray) -> np.ndarray:
    """Crop a frame, uint8 RGB (160, 320, 3), to YUV (66, 200, 3)."""
    import cv2

    view = cv2.resize(frame[60:-25], (200, 66), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(view, cv2.COLOR_RGB2YUV)


# --- Processes and tables -------------------------------------------------------------


def measured(args: argparse.Namespace, recipe: str, seed: int) -> dict[str, Any]:
    """Run a recipe in a process of its own; return when it arrived, if it did.

    Raises:
        subprocess.CalledProcessError: It failed, and has said why.
    """
    command = [sys.executable, __file__, *map(str, args.recordings)]
    command += ["--recipes", recipe, "--seeds", str(seed), "--every", str(args.every)]
    with tempfile.TemporaryDirectory() as cache:
        ended = subprocess.run(
            [*command, "--started-s", str(time.time())],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"BC_CACHE_DIR": cache},
        )
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return {"recipe": recipe, "seed": seed} | found


def one(args: argparse.Namespace) -> dict[str, Any]:
    """Do what a process of its own does; return when it arrived, if it did."""
    (recipe,), (seed,) = args.recipes, args.seeds
    clock = Clock(args.started_s)
    try:
        if recipe == "usual":
            train_usual(args.recordings, seed, args.every, clock)
        else:
            train_ours(args.recordings, recipe, seed, args.every, clock)
    except Arrived as arrived:
        return {"arrived": True} | json.loads(str(arrived))
    return {"arrived": False} | clock.times() | {"checks": clock.checks}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("recordings", type=Path, nargs="+", help="what to train on")
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    add("--every", type=int, default=100, help="batches between checks (default: 100)")
    add("--started-s", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.started_s:
        print(json.dumps(one(args)))
        return 0
    runs = []
    print(f"{'recipe':8} {'seed':>4} {'batches':>7} {'wall s':>7} {'CPU s':>7}  mean m")
    for seed in args.seeds:  # In turns, so that a busy minute meets them all.
        for recipe in args.recipes:
            run = measured(args, recipe, seed)
            runs.append(run)
            print(as_line(run), flush=True)
    medians = {}
    for recipe in args.recipes:
        walls = [r["wall_s"] for r in runs if r["recipe"] == recipe and r["arrived"]]
        medians[recipe] = round(statistics.median(walls), 1) if walls else None
        spread = f"{min(walls):.1f} to {max(walls):.1f} s" if walls else "never there"
        print(f"{recipe:8} median {medians[recipe]} s wall, {spread}")
    print(json.dumps({"runs": runs, "median_wall_s": medians}))
    return 0


def as_line(run: dict[str, Any]) -> str:
    end = ", ".join(f"{m:.2f}" for m in run["mean_m"]) if run["arrived"] else "not yet"
    return (
        f"{run['recipe']:8} {run['seed']:4} {run.get('batches', 0):7} "
        f"{run['wall_s']:7.1f} {run['cpu_s']:7.1f}  {end}"
    )


if __name__ == "__main__":
    sys.exit(main())
