"""Recordings that the tests make, whose steering can be read off their pictures."""

import cv2
import numpy as np
import pandas as pd


def stamp(seconds):
    """Return a time of day in the simulator's file names, from 10 o'clock on."""
    whole, rest = divmod(round(seconds * 1000), 1000)
    return f"2024_03_01_10_{whole // 60:02d}_{whole % 60:02d}_{rest:03d}"


def write_recording(
    folder, steering, interval_s=0.1, num_cameras=3, speed_mph=20.0, seed=5
):
    """Write a recording whose steering can be read off the place of a bright bar.

    Args:
        folder: The folder to make.
        steering: The steering of each row, [-1, 1].
        interval_s: Time between rows.
        num_cameras: 1 for the centre alone, or 3.
        speed_mph: The speed in every row.
        seed: Of what is beside the bar; with one seed and one steering, frames of two
            recordings are the same.

    Returns:
        The folder.
    """
    pixels = np.random.default_rng(seed)
    (folder / "IMG").mkdir(parents=True)
    lines = []
    for i, value in enumerate(steering):
        names = ["", "", ""]
        for k, camera in enumerate(("center", "left", "right")[:num_cameras]):
            frame = pixels.integers(0, 60, (160, 320, 3), dtype=np.uint8)
            column = int(160 + 120 * value + (0, 25, -25)[k])
            cv2.rectangle(frame, (column - 12, 50), (column + 12, 135), (255,) * 3, -1)
            names[k] = f"IMG/{camera}_{stamp(i * interval_s)}.jpg"
            cv2.imwrite(str(folder / names[k]), frame)
        lines.append(",".join([*names, f"{value:.6f}", "0.5", "0", str(speed_mph)]))
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return folder


def damage_image(path, how):
    """Empty an image, or cut it in half.

    Args:
        path: The image file.
        how: "empty" or "cut".
    """
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}[how])


def made_up_samples(rng, sessions, recording="a"):
    """Rows at 10 to 15 Hz in sessions of the given lengths [s], with gaps between."""
    parts, begin = [], 1e9
    for number, seconds in enumerate(sessions):
        times = begin + np.cumsum(rng.uniform(0.065, 0.1, int(seconds * 12)))
        parts.append(
            pd.DataFrame(
                {
                    "time_s": times,
                    "session": number,
                    "recording": recording,
                    "steering": rng.uniform(-1, 1, len(times)),
                }
            )
        )
        begin = times[-1] + 1.5
    return pd.concat(parts, ignore_index=True)
