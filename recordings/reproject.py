"""Show what the camera would have seen from beside the recorded path, and what to do.

NVIDIA judged and taught its network with recorded frames moved sideways and turned
(Bojarski et al. 2016, arXiv 1604.07316, sections 5 and 6). The road is taken for a
plane and everything above the horizon for infinitely far, so two homographies move a
frame; the steering that brings the car back is pure pursuit of the recorded path.

A car stands cross_track_error_m metres to the right of the recorded path (negative:
left) and points heading_error_rad to the right of it. Crests and dips break the plane,
and beyond 2 m to the side the picture is not to be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from common.car import CAMERAS, FRAME_SHAPE, curvature_of, steering_of

# The simulator's camera, least squares over real frames of three cameras: 60 degrees
# high, pitched down, this far over the road; the side cameras look straight ahead too.
FOCAL_LENGTH_PX = 80 / math.tan(math.radians(30))
CENTRE_PX = (160.0, 80.0)
PITCH_RAD = math.radians(7.75)
CAMERA_HEIGHT_M = 1.25
SIDE_CAMERA_M = 0.8
# Pure pursuit looks this far ahead: a time, but on slow stretches at least a distance.
LOOK_AHEAD_S = 0.9
LOOK_AHEAD_MIN_M = 6.0


@dataclass(frozen=True)
class ViewGeometry:
    """How a view was cut out of the raw frame and resized; the defaults are the frame.

    Raises:
        ValueError: Nothing is left of the frame, or of the view.
    """

    height: int = FRAME_SHAPE[0]
    width: int = FRAME_SHAPE[1]
    crop_top_rows: int = 0
    crop_bottom_rows: int = 0
    crop_left_columns: int = 0
    crop_right_columns: int = 0

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            size = f"{self.height}x{self.width}"
            raise ValueError(f"view is {size}, expected 1x1 or more")
        crop = (self.crop_top_rows, self.crop_bottom_rows)
        if min(crop) < 0 or sum(crop) >= FRAME_SHAPE[0]:
            raise ValueError(f"crop is {crop} rows of {FRAME_SHAPE[0]}")
        sides = (self.crop_left_columns, self.crop_right_columns)
        if min(sides) < 0 or sum(sides) >= FRAME_SHAPE[1]:
            raise ValueError(f"crop is {sides} columns of {FRAME_SHAPE[1]}")

    @property
    def from_frame(self) -> np.ndarray:
        """The affine map of the frame's pixels to the view's, float64 (3, 3)."""
        rows = FRAME_SHAPE[0] - self.crop_top_rows - self.crop_bottom_rows
        columns = FRAME_SHAPE[1] - self.crop_left_columns - self.crop_right_columns
        sx, sy = self.width / columns, self.height / rows
        # Resizing keeps the outer edges in place, which lie half a pixel out.
        x = sx * (0.5 - self.crop_left_columns) - 0.5
        y = sy * (0.5 - self.crop_top_rows) - 0.5
        return np.array([[sx, 0, x], [0, sy, y], [0, 0, 1]])

    @property
    def num_far_rows(self) -> int:
        """How many rows at the top of the view lie above the horizon."""
        horizon_row = CENTRE_PX[1] - FOCAL_LENGTH_PX * math.tan(PITCH_RAD)
        row = (self.from_frame @ (0, horizon_row, 1))[1]
        return min(self.height, max(0, math.ceil(row)))


RAW_FRAME = ViewGeometry()


def view_homographies(
    cross_track_error_m: np.ndarray,
    heading_error_rad: np.ndarray,
    geometry: ViewGeometry = RAW_FRAME,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps of recorded pixels to those of a camera that was moved.

    Args:
        cross_track_error_m: How far it was moved to the right, float (n,).
        heading_error_rad: How far it was turned to the right, float (n,).

    Returns:
        The maps for pixels of the road and for those infinitely far, each float64
        (n, 3, 3).
    """
    cross_track_error_m = np.asarray(cross_track_error_m, float)
    heading_error_rad = np.asarray(heading_error_rad, float)
    f, (x, y) = FOCAL_LENGTH_PX, CENTRE_PX
    intrinsics = np.array([[f, 0, x], [0, f, y], [0, 0, 1]])
    to_view = geometry.from_frame @ intrinsics
    cos, sin = math.cos(PITCH_RAD), math.sin(PITCH_RAD)
    pitch = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    turn = np.zeros((len(cross_track_error_m), 3, 3))
    turn[:, 1, 1] = 1
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(heading_error_rad)
    turn[:, 2, 0] = np.sin(heading_error_rad)
    turn[:, 0, 2] = -turn[:, 2, 0]
    rotation = pitch @ turn @ pitch.T
    # The road is where normal . x = height, so a move is linear there.
    normal = pitch @ (0, 1, 0)
    move = (pitch @ turn)[:, :, 0] * -cross_track_error_m[:, None]
    road = rotation + move[:, :, None] * normal / CAMERA_HEIGHT_M
    from_view = np.linalg.inv(to_view)
    return to_view @ road @ from_view, to_view @ rotation @ from_view


def nearest_camera(cross_track_error_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the real camera from which to re-project: the less, the truer.

    Returns:
        int64 (n,), which of CAMERAS is nearest; and float64 (n,), how far to the right
        of that one the car stands.
    """
    cross_track_error_m = np.asarray(cross_track_error_m, float)
    place_m = {"center": 0.0, "left": -SIDE_CAMERA_M, "right": SIDE_CAMERA_M}
    places_m = np.array([place_m[camera] for camera in CAMERAS])
    nearest = np.abs(cross_track_error_m[:, None] - places_m).argmin(axis=1)
    return nearest, cross_track_error_m - places_m[nearest]


def reproject(
    frames: np.ndarray,
    cross_track_error_m: np.ndarray,
    heading_error_rad: np.ndarray,
    geometry: ViewGeometry = RAW_FRAME,
    out: np.ndarray | None = None,
    *,
    mirrored: np.ndarray | None = None,
    down_px: np.ndarray | None = None,
) -> np.ndarray:
    """Return frames as seen from where the car stands; what lies outside repeats.

    Mirroring and moving down afterwards cost nothing here, and a pass each elsewhere.

    Args:
        frames: The frames, uint8 (n, h, w, 3); they are left as they are.
        cross_track_error_m: How far to the right of the camera that took each frame the
            car stands, float (n,).
        heading_error_rad: How far it is turned to the right, float (n,).
        out: What to write to, uint8 (n, h, w, 3), not frames itself; made if not given.
        mirrored: Which frames are mirrored left and right then, bool (n,); None: none.
        down_px: By how many rows they are moved down then, int (n,); None: by none.

    Returns:
        What was written to. A frame that is not moved is the same to the bit.
    """
    assert frames.shape[1:3] == (geometry.height, geometry.width), frames.shape
    out = np.empty_like(frames) if out is None else out
    assert not np.shares_memory(frames, out)
    maps = view_homographies(cross_track_error_m, heading_error_rad, geometry)
    then = _mirrored_and_down(len(frames), geometry.width, mirrored, down_px)
    road, far = ((np.linalg.inv(each) @ then).astype(np.float32) for each in maps)
    is_moved = (then != np.eye(3)).any(axis=(1, 2))
    is_moved |= (np.asarray(cross_track_error_m) != 0) | (
        np.asarray(heading_error_rad) != 0
    )
    # The horizon moves with the rows.
    far_rows = np.clip(geometry.num_far_rows - then[:, 1, 2], 0, geometry.height)
    splits = (far_rows * geometry.width).astype(int)
    pixels = _pixels(geometry)
    come_from = np.empty_like(pixels)
    for i, frame in enumerate(frames):
        if not is_moved[i]:
            out[i] = frame
            continue
        split = splits[i]
        np.matmul(far[i], pixels[:, :split], out=come_from[:, :split])
        np.matmul(road[i], pixels[:, split:], out=come_from[:, split:])
        x, y, scale = come_from.reshape(3, geometry.height, geometry.width)
        # Of a camera turned far aside some pixels are seen from beside: at infinity.
        with np.errstate(divide="ignore", invalid="ignore"):
            x /= scale
            y /= scale
        # One remap is quicker than a warp for either part.
        cv2.remap(frame, x, y, cv2.INTER_LINEAR, out[i], cv2.BORDER_REPLICATE)
    return out


def _mirrored_and_down(
    num: int, width: int, mirrored: np.ndarray | None, down_px: np.ndarray | None
) -> np.ndarray:
    """Return the maps of pixels that were mirrored and moved down to those before."""
    back = np.tile(np.eye(3), (num, 1, 1))
    if mirrored is not None:
        back[mirrored, 0] = (-1, 0, width - 1)
    if down_px is not None:
        back[:, 1, 2] = -np.asarray(down_px)
    return back


@lru_cache(maxsize=4)
def _pixels(geometry: ViewGeometry) -> np.ndarray:
    """Return column, row and 1 of every pixel, row by row: float32 (3, h * w)."""
    rows, columns = np.mgrid[: geometry.height, : geometry.width].reshape(2, -1)
    return np.stack([columns, rows, np.ones_like(rows)]).astype(np.float32)


def recovery_steering(
    steering: np.ndarray,
    cross_track_error_m: np.ndarray,
    heading_error_rad: np.ndarray,
    speed_mps: np.ndarray,
    look_ahead_s: float = LOOK_AHEAD_S,
) -> np.ndarray:
    """Return the steering that brings the car back to the recorded path.

    Args:
        steering: Steering of the recorded path, float (n,) in [-1, 1]; averaged over a
            moment (smooth_steering), or pulses of a keyboard are taken for bends.
        cross_track_error_m: How far to the right of the path the car is, float (n,).
        heading_error_rad: How far it is turned to the right of it, float (n,).
        speed_mps: Speed, float (n,).
        look_ahead_s: How far ahead it aims, as a time; at least LOOK_AHEAD_MIN_M.

    Returns:
        float64 (n,) in [-1, 1].

    Source: Coulter 1992, Implementation of the Pure Pursuit Path Tracking Algorithm.
    """
    ahead_m = np.maximum(LOOK_AHEAD_MIN_M, look_ahead_s * np.asarray(speed_mps, float))
    turned_m = ahead_m * np.asarray(heading_error_rad)
    back_per_m = -2 * (np.asarray(cross_track_error_m) + turned_m) / ahead_m**2
    return steering_of(curvature_of(steering) + back_per_m)
