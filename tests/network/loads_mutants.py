"""Loads one model after another; a line for each, with its time and peak memory.

    python tests/network/loads_mutants.py FIRST LAST SOURCE FOLDER json|weights

It makes each from the model in SOURCE, by its number as a seed. It ends early after a
model that did not end, which would disturb the next.
"""

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
from mutants import mutate_json, mutate_weights

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.start_up import quiet_tensorflow

FRAME = np.random.default_rng(0).integers(0, 256, FRAME_SHAPE, np.uint8)


def make(seed, source, folder, kind):
    """Write a changed copy of a model; return its json's path."""
    folder.mkdir()
    for name in ("model.json", "model.weights.h5"):
        shutil.copy(source / name, folder)
    rng, path = np.random.default_rng(seed), folder / "model.json"
    if kind == "json":
        path.write_bytes(mutate_json(json.loads(path.read_bytes()), rng))
    else:
        mutate_weights(folder / "model.weights.h5", rng)
    return path


def kilobytes(name):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    return int(line.split()[1])


def load(path):
    """Return what becomes of a model, and what is said."""
    from model import load_predictor
    from network.files import check_model

    try:
        check_model(path)
        predict = load_predictor(path)
        return "drives", predict(FRAME)
    except InputError as error:
        return "refused", str(error)


def main(first, last, source, folder, kind):
    quiet_tensorflow()
    load(Path(source) / "model.json")  # What is loaded once is not counted.
    for seed in range(int(first), int(last)):
        path = make(seed, Path(source), Path(folder) / str(seed), kind)
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="utf-8"
        )  # Forget the peak so far.
        before, began_s = kilobytes("VmRSS"), time.perf_counter()
        outcome, said = load(path)
        took_s = time.perf_counter() - began_s
        peak_mb = (kilobytes("VmHWM") - before) / 1e3
        shutil.rmtree(path.parent)
        row = {"seed": seed, "outcome": outcome, "said": str(said)}
        print(json.dumps(row | {"s": took_s, "mb": peak_mb}), flush=True)
        if threading.active_count() > 1 and any(
            str(path) in thread.name for thread in threading.enumerate()
        ):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
