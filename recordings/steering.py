"""The steering of samples: averaged over a moment, balanced, for the side cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # In the functions, and not here: the flags of train.py need this module, and a
    # refusal need not wait.
    import numpy as np
    import pandas as pd

BALANCE_MODES = ("off", "cap", "inverse")
# Bins over [-1, 1] in which steering is counted: a tenth of full lock each, and one
# in the middle for driving straight.
BALANCE_BINS = 21


def smooth_steering(
    samples: pd.DataFrame, before_s: float, after_s: float
) -> np.ndarray:
    """Average the steering over a window of time around each row, within its session.

    Args:
        before_s: Start of the window, in seconds before the row, 0 or more.
        after_s: End of the window, in seconds after the row, 0 or more.

    Returns:
        float32 (n,) in [-1, 1].
    """
    import numpy as np

    smooth = np.empty(len(samples), np.float32)
    # Half a millisecond of slack: the time stamps are whole milliseconds.
    before_s, after_s = before_s + 5e-4, after_s + 5e-4
    for _, session in samples.groupby("session"):
        times = session["time_s"].to_numpy()
        total = np.concatenate([[0.0], np.cumsum(session["steering"].to_numpy())])
        first = np.searchsorted(times, times - before_s)
        last = np.searchsorted(times, times + after_s, side="right")
        smooth[session.index] = (total[last] - total[first]) / (last - first)
    return smooth


def savitzky_golay(samples: pd.DataFrame, window_s: float) -> np.ndarray:
    """Smooth a session's steering, float (n,), by cubics over a window of time.

    It stays as recorded where the session is shorter than the window.
    """
    # Not above: slow to load, and only explore.py asks for it.
    from scipy.signal import savgol_filter

    steering = samples["steering"].to_numpy()
    dt_s = samples["time_s"].diff().median()
    # Compared in seconds: of a very long window no whole number of rows can be told.
    if not (dt_s > 0 and window_s <= dt_s * len(steering)):
        return steering
    length = max(5, 2 * round(window_s / dt_s / 2) + 1)
    return steering if length > len(steering) else savgol_filter(steering, length, 3)


def side_camera_steering(
    steering: np.ndarray | float, camera: str, correction: float
) -> np.ndarray | float:
    """Return the steering to teach for a frame of the left or right camera.

    Args:
        steering: What was recorded, for the centre camera, [-1, 1].
        camera: One of CAMERAS.
        correction: Steering that brings the car back from where a side camera stands.

    Returns:
        Clipped to [-1, 1]; the left camera must steer further right.
    """
    import numpy as np

    sign = {"left": 1.0, "center": 0.0, "right": -1.0}[camera]
    return np.clip(steering + sign * correction, -1.0, 1.0)


def balance_weights(steering: np.ndarray, mode: str = "off") -> np.ndarray:
    """Return how often each sample should be drawn, so that bends are not rare.

    Args:
        steering: Float (n,) in [-1, 1].
        mode: "off" draws all alike; "cap" draws samples of a bin that holds more than
            the average bin less often, so that it weighs like an average one; "inverse"
            gives every bin that is not empty the same weight.

    Returns:
        float64 (n,), summing to 1.

    Raises:
        ValueError: The mode is unknown.
    """
    import numpy as np

    if mode not in BALANCE_MODES:
        raise ValueError(f"balance is {mode!r}, expected one of {BALANCE_MODES}")
    bins = ((np.clip(steering, -1, 1) + 1) / 2 * BALANCE_BINS).astype(int)
    bins = np.minimum(bins, BALANCE_BINS - 1)
    counts = np.bincount(bins, minlength=BALANCE_BINS).astype(float)
    if mode == "off" or not len(steering):
        weight = np.ones(len(steering))
    elif mode == "cap":
        weight = np.minimum(1, counts[counts > 0].mean() / counts[bins])
    else:
        weight = 1 / counts[bins]
    return weight / weight.sum()
