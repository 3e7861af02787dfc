"""Frames as an MP4 film (H.264) that browsers and players show, or as one picture."""

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from tqdm import trange

from simulator.drafts import Draft
from simulator.errors import Refusal
from simulator.expert import Expert
from simulator.variants import Variant
from simulator.vehicle import MPS_PER_MPH
from simulator.world import FRAME_SIZE, Observation, World

FILM_SIZE = (640, 320)  # width, height
SETTINGS = "-crf 28 -preset veryfast -movflags +faststart -threads 1".split()
FRAMES_PER_S = 15.0
SHEET_COLUMNS, SHEET_ROWS = 3, 4


class Film:
    """A film, written frame by frame; it appears under its name when complete.

    Args:
        path: The .mp4 file to write; a file of that name is replaced.
        size: The (width, height) of a frame in pixels, both even.

    Raises:
        Refusal: If the path does not end in .mp4 or the size is odd.
        FileExistsError: If another process is writing it.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], frames_per_s: float = FRAMES_PER_S
    ) -> None:
        if path.suffix != ".mp4":
            raise Refusal(f"{path} is no film's name, expected it to end in .mp4")
        if size[0] % 2 or size[1] % 2:
            raise Refusal(f"size is {size}, expected even numbers")
        self.path, self.size, self.num_frames = path, size, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._streams, self._draft = contextlib.ExitStack(), Draft(path, False)
        try:
            said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the rest
            self._said = self._streams.enter_context(said)
            # Not by imageio_ffmpeg's own writer, which does not tell how it ended.
            self._encoder = subprocess.Popen(
                [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y"]
                + ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"]
                + ["-r", f"{frames_per_s:.02f}", "-i", "-", "-vcodec", "libx264"]
                + ["-pix_fmt", "yuv420p", *SETTINGS, f"file:{self._draft.path}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                # So Ctrl+C reaches this process only, which then ends it.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except BaseException:
            self._streams.close()
            self._draft.discard()
            raise
        assert self._encoder.stdin is not None
        self._frames = self._encoder.stdin

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 RGB (height, width, 3).

        Raises:
            OSError: If it cannot be written, as on a full disk.
        """
        assert frame.shape == (self.size[1], self.size[0], 3), frame.shape
        try:
            self._frames.write(frame.tobytes())
        except BrokenPipeError:
            self._encoder.wait()
            raise self._failure() from None
        self.num_frames += 1

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._streams:
            is_wanted = kind is None and self.num_frames > 0
            if not is_wanted:
                self._encoder.terminate()
            with contextlib.suppress(BrokenPipeError):
                self._frames.close()
            if self._encoder.wait() == 0 and is_wanted:
                self._draft.finish()
                return
            self._draft.discard()
            if is_wanted:
                raise self._failure()

    def _failure(self) -> OSError:
        """Return why the film was not written, in the encoder's words."""
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            if os.strerror(number) in " ".join(said):
                return OSError(number, os.strerror(number), str(self.path))
        why = said[-1] if said else "the encoder has ended"
        return OSError(errno.EIO, why, str(self.path))


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
