"""How does a model drive when the recording looks, or was driven, otherwise?

Other players bring other versions of the simulator, other settings and other hands. A
recording is driven again (evaluation/replay.py) with its frames changed in ways that
training does not know (augment.py changes light, colour, noise and blur evenly), or as
a keyboard would have recorded it.

    python benchmarks/experiments/robustness.py models/a/model.json \\
        --recording data/a --part 0.5 1

Prints a table, then one JSON line. --sheet FILE.png shows the changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow
from evaluation.judging import load_batch_predictor, read_recordings
from evaluation.replay import frames_from_disk, model_driver, read_path, replay
from recordings.images import read_frame

HORIZON_ROW = 61  # of the raw frame; see recordings/reproject.py
HAZE_RGB = (205, 214, 222)
Change = Callable[[np.ndarray, int], np.ndarray]


def as_recorded(frame: np.ndarray, _row: int) -> np.ndarray:
    """Leave a frame as it is."""
    return frame


def other_version(frame: np.ndarray, _row: int) -> np.ndarray:
    """Turn hues by 15 degrees and flatten the tones, as another version's shaders."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + 8) % 180  # OpenCV counts hues in steps of 2 degrees
    hsv[..., 1] = np.minimum(hsv[..., 1] * 13 // 10, 255)
    turned = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return cv2.convertScaleAbs(turned, alpha=0.7, beta=50)


def tree_shadows(frame: np.ndarray, row: int) -> np.ndarray:
    """Lay hard dark bands across the road, which pass below the car as it drives."""
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
    # Distance on a flat road, in metres, for bands that keep their place on it.
    ahead_m = 173 / np.maximum(rows - HORIZON_ROW, 1)
    aside_m = (columns - 160) * ahead_m / 138.6
    place_m = ahead_m + 0.5 * aside_m + 1.3 * row
    dark = (place_m % 9 < 3) & (rows > HORIZON_ROW)
    shaded = frame.copy()
    shaded[dark] = shaded[dark] * 0.42
    return shaded


def haze(frame: np.ndarray, _row: int) -> np.ndarray:
    """Fade what is far into grey, as fog does: half of it at 25 metres."""
    rows = np.arange(frame.shape[0])
    ahead_m = 173 / np.maximum(rows - HORIZON_ROW, 0.5)
    clear = (0.5 ** (ahead_m / 25))[:, None, None]
    return (frame * clear + np.array(HAZE_RGB) * (1 - clear)).astype(np.uint8)


def low_contrast(frame: np.ndarray, _row: int) -> np.ndarray:
    """Halve the contrast, as an overcast hour does."""
    return cv2.convertScaleAbs(frame, alpha=0.5, beta=60)


def coarse_jpeg(frame: np.ndarray, _row: int) -> np.ndarray:
    """Save at a JPEG quality of 15, where the simulator's is 75."""
    bgr, quality = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), cv2.IMWRITE_JPEG_QUALITY
    _, encoded = cv2.imencode(".jpg", bgr, [quality, 15])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


CHANGES: dict[str, Change] = {
    "as recorded": as_recorded,
    "other version": other_version,
    "tree shadows": tree_shadows,
    "haze": haze,
    "low contrast": low_contrast,
    "coarse JPEG": coarse_jpeg,
}
KEYBOARD = "keyboard pulses"


def as_pulses(steering: np.ndarray, pulse: float = 0.25) -> np.ndarray:
    """Return steering as a keyboard gives it: nothing or full pulses, the same path.

    Args:
        steering: The smooth steering, float (n,) in [-1, 1].
        pulse: The size of a pulse; steering beyond it is passed on as it is.

    Returns:
        0 or ±pulse, float (n,); what is left over is carried to the next row.
    """
    pulses, carried = np.array(steering, float), 0.0
    for i, value in enumerate(pulses):
        if abs(value) > pulse:
            continue
        carried += value
        pulses[i] = pulse * np.sign(carried) if abs(carried) > pulse / 2 else 0.0
        carried -= pulses[i]
    return pulses


def measure(
    model: str, samples: pd.DataFrame, change: str
) -> dict[str, dict[str, float]]:
    """Return how a model drives a recording that was changed, by limit in metres."""
    if change == KEYBOARD:
        samples = samples.assign(steering=as_pulses(samples["steering"].to_numpy()))
    path = read_path(samples)
    read, change_frame = frames_from_disk(path), CHANGES.get(change, as_recorded)

    def frames(rows: np.ndarray, camera: np.ndarray) -> np.ndarray:
        pairs = zip(read(rows, camera), rows.tolist(), strict=True)
        return np.stack([change_frame(frame, row) for frame, row in pairs])

    rollouts = replay(model_driver(path, load_batch_predictor(model), frames), path)
    return {f"{limit_m:g}": rollout.measures() for limit_m, rollout in rollouts.items()}


def write_sheet(samples: pd.DataFrame, path: Path) -> None:
    """Draw a few frames of the recording in every look."""
    lines = []
    for name, change in CHANGES.items():
        rows = np.linspace(0, len(samples) - 1, 6).astype(int)[1:-1]
        tiles = [change(read_frame(samples["center"].iloc[r]), int(r)) for r in rows]
        line = np.hstack(tiles)
        place, white = (8, 18), (255, 255, 255)
        cv2.putText(line, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3)
        cv2.putText(line, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, white, 1)
        lines.append(line)
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model.json")
    parser.add_argument("--recording", type=Path, required=True, metavar="DIR")
    part = "part of it, as fractions of its rows (default: 0 1)"
    parser.add_argument("--part", type=float, nargs=2, default=(0.0, 1.0), help=part)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="picture to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if args.models:
        quiet_tensorflow()
    (samples,) = read_recordings([args.recording], args.part)
    if args.sheet:
        write_sheet(samples, args.sheet)
        print(f"written: {args.sheet}")
    figures: dict[str, Any] = {}
    for change in (*CHANGES, KEYBOARD):
        for model in args.models:
            found = measure(model, samples, change)
            figures.setdefault(change, {})[model] = found
            shown = "   ".join(
                f"{limit} m: {each['autonomy_percent']:5.1f} % "
                f"({each['interventions']})"
                for limit, each in found.items()
            )
            error_m = found["2"]["mean_abs_cross_track_error_m"]
            print(f"{change:<16}{model[-34:]:<36}{shown}   mean {error_m:.2f} m")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
