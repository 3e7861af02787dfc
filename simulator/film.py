"""Frames as an MP4 film (H.264) that browsers and players show, or as one picture."""

from collections.abc import Generator, Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from tqdm import trange

from simulator.expert import Expert
from simulator.variants import Variant
from simulator.vehicle import MPS_PER_MPH
from simulator.world import FRAME_SIZE, Observation, World

FILM_SIZE = (640, 320)  # width, height
FRAMES_PER_S = 15.0
SHEET_COLUMNS, SHEET_ROWS = 3, 4


class Film:
    """A film, written frame by frame; it appears under its name when complete.

    Args:
        path: The .mp4 file to write; a file of that name is replaced.
        size: The (width, height) of a frame in pixels, both even.

    Raises:
        ValueError: If the path does not end in .mp4 or the size is odd.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], frames_per_s: float = FRAMES_PER_S
    ) -> None:
        if path.suffix != ".mp4":
            raise ValueError(f"{path} is no film's name, expected it to end in .mp4")
        if size[0] % 2 or size[1] % 2:
            raise ValueError(f"size is {size}, expected even numbers")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.size, self.num_frames = path, size, 0
        self._draft = path.with_name(f".{path.name}.part.mp4")
        settings = "-crf 23 -preset veryfast -movflags +faststart -threads 1"
        self._writer: Generator[None, bytes | None, None] = imageio_ffmpeg.write_frames(
            str(self._draft),
            size,
            fps=frames_per_s,
            codec="libx264",
            quality=None,
            macro_block_size=2,
            output_params=settings.split(),
        )
        self._writer.send(None)

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 RGB (height, width, 3)."""
        assert frame.shape == (self.size[1], self.size[0], 3), frame.shape
        self._writer.send(np.ascontiguousarray(frame).tobytes())
        self.num_frames += 1

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None and self.num_frames:
            self._draft.replace(self.path)
        else:
            self._draft.unlink(missing_ok=True)


def picture_in_picture(large: np.ndarray, small: np.ndarray, text: str) -> np.ndarray:
    """Return a frame with a smaller one in its corner and a line of text below.

    Both are uint8 RGB (height, width, 3); `small` is drawn at a third of the width of
    `large`, and `text` is ASCII.
    """
    frame = large.copy()
    width = large.shape[1] // 3
    height = width * small.shape[0] // small.shape[1]
    inset = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA)
    frame[10 : 14 + height, -14 - width : -10] = 255
    frame[12 : 12 + height, -12 - width : -12] = inset
    baseline = (12, large.shape[0] - 14)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(frame, text, baseline, font, 0.55, colour, thickness, cv2.LINE_AA)
    return frame


def film_frame(world: World, seen: Observation) -> np.ndarray:
    """Return the car from behind and what it sees, uint8 RGB (320, 640, 3)."""
    text = (
        f"{seen.speed_mps / MPS_PER_MPH:4.1f} mph   steering {seen.steering:+.2f}   "
        f"lap {seen.lap + 1}   {seen.cross_track_error_m:+.1f} m from the middle"
    )
    chase = world.render(("chase",), FILM_SIZE)["chase"]
    return picture_in_picture(chase, seen.frames["center"], text)


def film_expert(variant: Variant, camera: str, seconds: float, path: Path) -> None:
    """Film the expert's drive, as a camera or as somebody behind it sees it."""
    is_chase = camera == "chase"
    seen_by = "center" if is_chase else camera
    world = World(variant.track, cameras=(seen_by,), settings=variant.settings)
    expert, seen = Expert(variant.track), world.reset()
    with Film(path, FILM_SIZE if is_chase else FRAME_SIZE) as film:
        for _ in trange(max(1, round(seconds * FRAMES_PER_S)), disable=None):
            seen = world.step(*expert(seen))
            film.add(film_frame(world, seen) if is_chase else seen.frames[camera])


def contact_sheet(variants: Sequence[Variant], camera: str) -> np.ndarray:
    """Return places along one road, or of several roads one each, as one picture.

    Returns:
        uint8 RGB (rows * 160, SHEET_COLUMNS * 320, 3).
    """
    count = SHEET_ROWS * SHEET_COLUMNS
    tiles = []
    for number, variant in enumerate(variants):
        track = variant.track
        world = World(track, cameras=(camera,), settings=variant.settings)
        for place in range(count) if len(variants) == 1 else [number % count]:
            station_m = track.start_m + place * track.length_m / count
            tiles.append(world.reset(station_m=station_m).frames[camera])
        world.close()
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % SHEET_COLUMNS)
    height, width, _ = tiles[0].shape
    grid = np.reshape(tiles, (-1, SHEET_COLUMNS, height, width, 3))
    return grid.swapaxes(1, 2).reshape(len(grid) * height, -1, 3)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, uint8 RGB (height, width, 3).

    Raises:
        OSError: It cannot be written there.
    """
    done, content = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done, "OpenCV encodes every uint8 picture"
    path.write_bytes(content.tobytes())
