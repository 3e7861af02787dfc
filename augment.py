"""Make other frames and steering out of recorded ones: flips, shifts, light, noise.

    python augment.py data/a        # writes augment.png: each operation, to look at

`sample_parameters` draws what each frame undergoes, by the settings; the operations are
pure functions of a uint8 frame of any size, and of the steering where they change that;
`apply` does them in order: first what moves the picture, then `recolour`. Lengths are
fractions of the frame's width and height; shape and type stay, and zero strength
changes nothing.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.car import CAMERAS
from common.command_line import Parser, print_settings, seed_of
from common.errors import InputError
from common.files import check_writable, write_bytes
from common.text import unbroken, wrapped
from recordings.found import only_recording
from recordings.log import find_log
from recordings.units import add_unit_flag, unit_of

if TYPE_CHECKING:
    # In the functions, and not here: train.py's flags need the settings below, and it
    # refuses a missing file before anything slow is loaded.
    import numpy as np

# --- Settings and draws ---------------------------------------------------------------


def _field(default: float, most: float, text: str) -> Any:
    return field(default=default, metadata={"help": text, "most": most})


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly and how often frames are changed; 0 turns an operation off.

    Raises:
        InputError: A value is below 0 or above the most that makes sense.
    """

    flip: float = _field(0.5, 1, "probability of a horizontal flip")
    shift_right: float = _field(0.08, 1, "largest shift sideways, part of the width")
    shift_down: float = _field(0.06, 1, "largest shift up or down, part of the height")
    shift_steering: float = _field(0.64, 10, "steering added for a shift by one width")
    brightness: float = _field(0.4, 1, "largest change of the light, 0.4 is ±40 %%")
    gamma: float = _field(0.3, 1, "largest change of the gamma exponent, as a part")
    colour: float = _field(0.3, 1, "largest change of saturation and white balance")
    shadow: float = _field(0.3, 1, "probability of a hard shadow")
    noise: float = _field(6.0, 255, "largest standard deviation of noise, grey levels")
    blur: float = _field(0.01, 1, "largest sigma of a blur, part of the height")
    equalize: float = _field(0.0, 1, "probability of histogram equalization")
    clahe: float = _field(0.0, 1, "probability of CLAHE")
    invert: float = _field(0.0, 1, "probability of a negative")
    swap_channels: float = _field(0.0, 1, "probability of swapping red and blue")

    def __post_init__(self) -> None:
        for name, setting in self.__dataclass_fields__.items():
            value, most = getattr(self, name), setting.metadata["most"]
            if not 0 <= value <= most:
                flag = "--" + name.replace("_", "-")
                raise InputError(f"{flag} is {value}, expected 0 to {most}")


@dataclass(frozen=True)
class Parameters:
    """What one frame undergoes; the defaults change nothing."""

    flip: bool = False
    shift_right: float = 0.0
    shift_down: float = 0.0
    shift_steering: float = 0.0
    brightness: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    red_gain: float = 1.0
    blue_gain: float = 1.0
    shadow_edges: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    shadow_light: float = 1.0
    noise: float = 0.0
    noise_offset: int = 0
    blur: float = 0.0
    equalize: bool = False
    clahe: bool = False
    invert: bool = False
    swap_channels: bool = False


# Uniform numbers that one frame's parameters are made from.
NUM_DRAWS = 21


def sample_parameters(
    settings: AugmentSettings, rng: np.random.Generator, num: int
) -> list[Parameters]:
    """Draw what each of num frames undergoes.

    All are drawn at once, as columns: a call of rng for each number would cost as much
    as the operations themselves.
    """
    columns = _columns_from(settings, rng.random((num, NUM_DRAWS)).T)
    lists = [columns[name].tolist() for name in Parameters.__dataclass_fields__]
    return [Parameters(*each) for each in zip(*lists, strict=True)]


def _columns_from(
    settings: AugmentSettings, draws: np.ndarray
) -> dict[str, np.ndarray]:
    """Turn uniform numbers in [0, 1), (NUM_DRAWS, n), into n of each parameter."""
    import numpy as np

    u = iter(draws)

    def happens(probability: float) -> np.ndarray:
        return next(u) < probability

    def around_zero(most: float | np.ndarray) -> np.ndarray:
        return (2 * next(u) - 1) * most

    shaded = happens(settings.shadow)
    left, width = next(u) * 1.2 - 0.4, 0.2 + 0.6 * next(u)
    # The edges never cross: at the bottom the shadow is up to twice as wide, or a line.
    lean, taper = around_zero(0.8), around_zero(width / 2)
    edges = (left, left + width, left + lean - taper, left + lean + width + taper)
    light = 0.3 + 0.5 * next(u)
    return {
        "flip": happens(settings.flip),
        "shift_right": around_zero(settings.shift_right),
        "shift_down": around_zero(settings.shift_down),
        "shift_steering": np.full(len(light), settings.shift_steering),
        "brightness": 1 + around_zero(settings.brightness),
        "gamma": np.exp(around_zero(settings.gamma)),
        "saturation": 1 + around_zero(settings.colour),
        "red_gain": 1 + around_zero(settings.colour / 2),
        "blue_gain": 1 + around_zero(settings.colour / 2),
        "shadow_edges": np.stack(edges, axis=1),
        "shadow_light": np.where(shaded, light, 1.0),
        "noise": next(u) * settings.noise,
        "noise_offset": (next(u) * 2**40).astype(np.int64),
        "blur": next(u) * settings.blur,
        "equalize": happens(settings.equalize),
        "clahe": happens(settings.clahe),
        "invert": happens(settings.invert),
        "swap_channels": happens(settings.swap_channels),
    }


# --- Operations -----------------------------------------------------------------------

# Share of luminance of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)
# The bank of noise holds normal values as bytes: this much is 0, and this much is 1. It
# reaches four deviations to either side.
NOISE_ZERO, NOISE_ONE = 128, 32
# A narrower Gaussian gives a neighbour less than half a grey level of 255.
INVISIBLE_BLUR_PX = 0.28
# CLAHE counts its histograms in this many tiles across and down.
CLAHE_TILES = (8, 8)


def flip(frame: np.ndarray, steering: float) -> tuple[np.ndarray, float]:
    """Mirror left and right; the steering changes its sign."""
    import cv2

    return cv2.flip(frame, 1), -steering


def shift(
    frame: np.ndarray,
    steering: float,
    right: float,
    down: float,
    steering_per_width: float,
) -> tuple[np.ndarray, float]:
    """Move the picture by whole pixels, as if the car stood beside or pitched.

    Args:
        right: Fraction of the width that the picture moves to the right; the road then
            lies further right, as seen from a car further left.
        down: Fraction of the height that the picture moves down; the steering stays.
        steering_per_width: Steering added for a move by one width. The usual 0.002 per
            pixel of a 320-pixel frame is 0.64.

    Returns:
        The moved frame, its border repeated, and the steering clipped to [-1, 1].
    """
    import cv2
    import numpy as np

    steering = min(1.0, max(-1.0, steering + right * steering_per_width))
    height, width = frame.shape[:2]
    # Parts of a pixel would cost ten times as much, and blur the frame besides.
    x, y = round(right * width), round(down * height)
    if not (x or y):
        return frame, steering
    x, y = np.clip((x, y), (1 - width, 1 - height), (width - 1, height - 1)).tolist()
    kept = frame[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
    borders = (max(0, y), max(0, -y), max(0, x), max(0, -x))
    return cv2.copyMakeBorder(kept, *borders, cv2.BORDER_REPLICATE), steering


def colour(
    frame: np.ndarray,
    gain: float = 1.0,
    saturation: float = 1.0,
    red_gain: float = 1.0,
    blue_gain: float = 1.0,
) -> np.ndarray:
    """Change light, saturation and white balance: of another hour, or of another game.

    Args:
        gain: Factor of every value: 0 makes the frame black; saturated at 255.
        saturation: 0 makes the frame grey.
        red_gain: Factor of red beside green.
        blue_gain: Factor of blue beside green.
    """
    import cv2
    import numpy as np

    if gain == saturation == red_gain == blue_gain == 1:
        return frame
    gains = (gain * red_gain, gain, gain * blue_gain)
    matrix = [
        [
            of * ((1 - saturation) * part + saturation * (row == column))
            for column, part in enumerate(LUMINANCE)
        ]
        for row, of in enumerate(gains)
    ]
    # In single precision it is four times as quick.
    return cv2.transform(frame, np.array(matrix, np.float32))


def tone(frame: np.ndarray, gamma: float, invert: bool = False) -> np.ndarray:
    """Look every value up in a table.

    Args:
        gamma: Values in [0, 1] are raised to it: below 1 lightens the dark parts.
        invert: Whether the frame is turned into its negative.
    """
    import cv2

    if gamma == 1 and not invert:
        return frame
    return cv2.LUT(frame, _tone_table(round(gamma, 2), invert))


@lru_cache(maxsize=512)
def _tone_table(gamma: float, invert: bool) -> np.ndarray:
    import numpy as np

    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return 255 - table if invert else table


def shadow(
    frame: np.ndarray, edges: tuple[float, float, float, float], light: float
) -> np.ndarray:
    """Lay a hard shadow across the frame from top to bottom.

    Args:
        edges: Where the shadow begins and ends at the top, and at the bottom, as
            fractions of the width.
        light: Factor of the shaded part: 0 makes it black, 1 leaves it.
    """
    import cv2
    import numpy as np

    if light == 1:
        return frame
    height, width = frame.shape[:2]
    top_from, top_to, bottom_from, bottom_to = (round(edge * width) for edge in edges)
    corners = np.array(
        [[top_from, 0], [top_to, 0], [bottom_to, height], [bottom_from, height]],
        np.int32,  # the only integers that fillPoly is sure to take
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners], 255)
    shaded = frame.copy()
    cv2.copyTo(cv2.convertScaleAbs(frame, alpha=light), mask, shaded)
    return shaded


def gaussian_noise(frame: np.ndarray, std: float, offset: int) -> np.ndarray:
    """Add independent noise to every value.

    Args:
        std: Standard deviation of the noise, in grey levels.
        offset: Where in the bank of noise this frame's begins, 0 or more. Drawing a
            new value for each pixel costs more than all other operations together.
    """
    import cv2

    if std == 0:
        return frame
    bank = _noise_bank(frame.size)
    start = offset % (len(bank) - frame.size)
    noise = bank[start : start + frame.size].reshape(frame.shape)
    strength = std / NOISE_ONE
    return cv2.addWeighted(frame, 1.0, noise, strength, -NOISE_ZERO * strength)


@lru_cache(maxsize=4)
def _noise_bank(frame_size: int) -> np.ndarray:
    import numpy as np

    # The same in every run; which part a frame gets is drawn. Sixteen frames long, so
    # that two frames share a stretch at the same pixels once in a million draws.
    normal = np.random.default_rng(0).standard_normal(16 * frame_size, np.float32)
    values = np.rint(NOISE_ZERO + NOISE_ONE * normal)
    return np.clip(values, 0, 255).astype(np.uint8)


def blur(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian; sigma is a fraction of the frame's height."""
    import cv2

    sigma_px = sigma * frame.shape[0]
    if sigma_px < INVISIBLE_BLUR_PX:
        return frame
    # Up to here a second neighbour has less than a hundredth of the weight.
    size = 3 if sigma_px < 0.65 else 0
    return cv2.GaussianBlur(frame, (size, size), sigma_px)


def equalize(frame: np.ndarray) -> np.ndarray:
    """Spread the histogram of the luminance over the whole range."""
    import cv2

    return _on_luminance(frame, cv2.equalizeHist)


def clahe(frame: np.ndarray) -> np.ndarray:
    """Equalize the luminance in tiles, with limited contrast (Zuiderveld 1994)."""
    import cv2

    return _on_luminance(frame, cv2.createCLAHE(2.0, CLAHE_TILES).apply)


def _on_luminance(
    frame: np.ndarray, operation: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    import cv2

    ycrcb = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
    ycrcb[:, :, 0] = operation(ycrcb[:, :, 0])
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def swap_channels(frame: np.ndarray) -> np.ndarray:
    """Swap red and blue."""
    import cv2

    return cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)


def apply(
    frame: np.ndarray, steering: float, parameters: Parameters
) -> tuple[np.ndarray, float]:
    """Do to a frame and its steering what the parameters say.

    Geometry comes first, then the light on the scene, then what a camera adds.

    Args:
        frame: The frame, uint8 RGB (h, w, 3); it is left as it is.
        steering: The steering, [-1, 1].

    Returns:
        uint8 RGB of the same shape, and steering in [-1, 1].
    """
    p = parameters
    frame, steering = shift(
        frame, steering, p.shift_right, p.shift_down, p.shift_steering
    )
    if p.flip:
        frame, steering = flip(frame, steering)
    return recolour(frame, p), steering


def recolour(frame: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Do to a frame what the parameters say of its values: what stays in its place.

    Args:
        frame: The frame, uint8 RGB (h, w, 3); it is left as it is.

    Returns:
        uint8 RGB of the same shape.
    """
    p = parameters
    frame = shadow(frame, p.shadow_edges, p.shadow_light)
    frame = colour(frame, p.brightness, p.saturation, p.red_gain, p.blue_gain)
    frame = tone(frame, p.gamma, p.invert)
    frame = blur(frame, p.blur)
    frame = gaussian_noise(frame, p.noise, p.noise_offset)
    if p.equalize:
        frame = equalize(frame)
    if p.clahe:
        frame = clahe(frame)
    if p.swap_channels:
        frame = swap_channels(frame)
    return frame


# --- Preview --------------------------------------------------------------------------

# Steering added for the left camera on the sheet, and taken off for the right one.
PREVIEW_CORRECTION = 0.2
# Title and parameters of each row of the preview sheet.
PREVIEW = {
    "as recorded": Parameters(),
    "flip": Parameters(flip=True),
    "shift right 10 %": Parameters(shift_right=0.1, shift_steering=0.64),
    "shift down 10 %": Parameters(shift_down=0.1),
    "brightness 50 %": Parameters(brightness=0.5),
    "brightness 140 %": Parameters(brightness=1.4),
    "colour": Parameters(saturation=0.5, red_gain=1.15, blue_gain=0.85),
    "gamma 0.7": Parameters(gamma=0.7),
    "shadow": Parameters(shadow_edges=(0.5, 0.9, 0.2, 0.8), shadow_light=0.4),
    "noise, std 12": Parameters(noise=12.0),
    "blur": Parameters(blur=0.015),
    "histogram equalization": Parameters(equalize=True),
    "CLAHE": Parameters(clahe=True),
    "negative": Parameters(invert=True),
    "red and blue swapped": Parameters(swap_channels=True),
}


def draw_steering(frame: np.ndarray, steering: float) -> np.ndarray:
    """Return a copy of a frame with an arrow that leans as the wheel is turned."""
    import cv2

    drawn = frame.copy()
    height, width = frame.shape[:2]
    foot = (width // 2, height - 1)
    lean, length = steering * math.pi / 3, 0.45 * height
    across, up = length * math.sin(lean), length * math.cos(lean)
    tip = (round(foot[0] + across), round(foot[1] - up))
    for rgb, thickness in (((0, 0, 0), 6), ((255, 220, 0), 3)):
        cv2.arrowedLine(drawn, foot, tip, rgb, thickness, cv2.LINE_AA, tipLength=0.25)
    return drawn


def write_preview(
    recording: Path,
    sheet_path: Path,
    settings: AugmentSettings,
    seed: int,
    unit: str | None = None,
) -> None:
    """Draw every operation, and three random draws, on frames from left to right.

    Args:
        unit: Of the recording's steering, as read_recording takes it.

    Raises:
        InputError: The recording cannot be read, or no row of it can be used.
    """
    import numpy as np
    from matplotlib.figure import Figure  # Not above: slow to load.

    from common.page import to_png

    columns = _preview_columns(recording, unit)
    rng = np.random.default_rng(seed)
    rows = [(title, [p] * len(columns)) for title, p in PREVIEW.items()]
    for i in range(1, 4):
        rows.append((f"random {i}", sample_parameters(settings, rng, len(columns))))
    figure = Figure(figsize=(2.6 * len(columns), 1.45 * len(rows)), layout="compressed")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for axes, (title, _, _) in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize=10)
    for (title, drawn), line in zip(rows, grid, strict=True):
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
        for axes, (_, frame, steering), p in zip(line, columns, drawn, strict=True):
            changed, changed_steering = apply(frame, steering, p)
            axes.imshow(draw_steering(changed, changed_steering))
            axes.set(xticks=[], yticks=[])
            text = f"steering {round(changed_steering, 2) + 0.0:+.2f}"
            axes.set_xlabel(text, fontsize=8, labelpad=1)
    with Bar("drawing the sheet"):
        png = to_png(figure, dpi=90, tight=True)
    write_bytes(sheet_path, png, is_new=True)


def _preview_columns(
    recording: Path, unit: str | None
) -> list[tuple[str, np.ndarray, float]]:
    """Return titles, frames and steering: centre frames, then both side cameras."""
    import numpy as np

    # Not above: what is imported from here elsewhere need not wait for pandas.
    from recordings.images import read_frame
    from recordings.recording import read_recording, usable_rows
    from recordings.steering import side_camera_steering

    samples = usable_rows(read_recording(recording, unit=unit))
    steering = samples["steering"]
    over_range = np.linspace(steering.min(), steering.max(), 3)
    rows = [(steering - value).abs().idxmin() for value in over_range]
    chosen = [("center", row) for row in rows]
    chosen += [(side, rows[1]) for side in CAMERAS[1:] if samples.at[rows[1], side]]
    columns = []
    for camera, row in chosen:
        taught = side_camera_steering(steering[row], camera, PREVIEW_CORRECTION)
        frame = read_frame(samples.at[row, camera])
        columns.append((f"{camera} camera", frame, float(taught)))
    return columns


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description="Write a sheet of pictures that shows what each operation does.",
        epilog="Example:\n  python augment.py data/a --out sheet.png",
    )
    add = parser.add_argument
    folder = "folder with a driving_log.csv (default: the only one in data)"
    add("recording", type=Path, nargs="?", help=folder)
    sheet_help = "picture to write (default: %(default)s)"
    add("--out", type=Path, default=Path("augment.png"), help=sheet_help)
    add_unit_flag(add)
    add("--seed", type=seed_of, default=0, help="seed of the random rows (default: 0)")
    args = parser.parse_args(argv)
    args.changes = parser.changes(args, "out")
    return args


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Write the preview sheet; return the exit status."""
    args = parse_args(argv)
    if args.recording is None:
        args.recording = only_recording("augment.py", takes_several=False)
    if args.out.exists():
        raise InputError(f"{args.out} exists already; give another --out")
    if not args.out.parent.is_dir():
        raise InputError(f"{args.out.parent} is no folder; make it first")
    check_writable(args.out, "--out")
    find_log(args.recording)
    unit = unit_of(args.steering_unit, args.recording)
    write_preview(args.recording, args.out, AugmentSettings(), args.seed, unit)
    print_settings(args.changes)
    print(wrapped(f"written: {unbroken(args.out)}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
