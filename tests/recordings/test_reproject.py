"""Moved cameras against projections by hand and real side cameras; and driving."""

import cv2
import numpy as np
import pytest

from common.car import WHEELBASE_M
from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, VIEW_SHAPE
from recordings import reproject as rp
from recordings.images import read_frame
from recordings.recording import read_recording, usable_samples

VIEW = rp.ViewGeometry(*VIEW_SHAPE[:2], CROP_TOP_ROWS, CROP_BOTTOM_ROWS)
ERRORS_M = np.array([0.0, 0.3, -0.5, 0.8, 1.2])
HEADINGS_RAD = np.radians([0.0, 4.0, -3.0, 0.0, 8.0])


def project(ahead_m, right_m, error_m, heading_rad):
    """Return the pixel (x, y) of a road point, from angles alone."""
    right, ahead = right_m - error_m, ahead_m
    along = ahead * np.cos(heading_rad) + right * np.sin(heading_rad)
    across = right * np.cos(heading_rad) - ahead * np.sin(heading_rad)
    # Angle below the optical axis: below the horizontal, less the pitch.
    below = np.arctan2(rp.CAMERA_HEIGHT_M, along) - rp.PITCH_RAD
    depth = np.hypot(along, rp.CAMERA_HEIGHT_M) * np.cos(below)
    x = rp.CENTRE_PX[0] + rp.FOCAL_LENGTH_PX * across / depth
    return x, rp.CENTRE_PX[1] + rp.FOCAL_LENGTH_PX * np.tan(below)


def moved(homography, x, y):
    point = homography @ (x, y, 1)
    return point[:2] / point[2]


def smooth_frames(rng, num):
    """Return frames without detail finer than some pixels."""
    coarse = rng.integers(0, 256, (num, 10, 20, 3), dtype=np.uint8)
    return np.array(
        [cv2.resize(c, (320, 160), interpolation=cv2.INTER_CUBIC) for c in coarse]
    )


def test_a_car_turned_far_aside_gets_pictures_without_a_complaint(rng):
    frames = rng.integers(0, 256, (3, *VIEW_SHAPE), np.uint8)
    # Where a pixel's ray lies in the camera's own plane, to the last bit.
    headings_rad = np.array([1.1938052083641217, np.pi / 2, -np.pi])
    seen = rp.reproject(frames, np.ones(3), headings_rad, VIEW)
    assert seen.shape == frames.shape and seen.dtype == np.uint8


def view_of(frame):
    rows = frame[CROP_TOP_ROWS : 160 - CROP_BOTTOM_ROWS]
    return cv2.resize(rows, VIEW_SHAPE[1::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("geometry", [rp.RAW_FRAME, VIEW], ids=["frame", "view"])
def test_zero_offset_changes_nothing(geometry, rng):
    frames = rng.integers(0, 256, (3, geometry.height, geometry.width, 3), np.uint8)
    unmoved = rp.reproject(frames, np.zeros(3), np.zeros(3), geometry)
    np.testing.assert_array_equal(unmoved, frames)
    for homographies in rp.view_homographies(np.zeros(3), np.zeros(3), geometry):
        np.testing.assert_allclose(homographies, [np.eye(3)] * 3, atol=1e-12)


def test_road_points_land_where_the_moved_camera_sees_them():
    road, _ = rp.view_homographies(ERRORS_M, HEADINGS_RAD)
    for ahead_m, right_m in ((4.0, -1.0), (8.0, 2.0), (30.0, -3.0)):
        seen = project(ahead_m, right_m, 0.0, 0.0)
        for i, pose in enumerate(zip(ERRORS_M, HEADINGS_RAD, strict=True)):
            expected = project(ahead_m, right_m, *pose)
            np.testing.assert_allclose(moved(road[i], *seen), expected, atol=1e-9)


def test_the_view_moves_as_the_frame_that_it_is_cut_from():
    to_view = VIEW.from_frame
    for in_frame, in_view in zip(
        rp.view_homographies(ERRORS_M, HEADINGS_RAD),
        rp.view_homographies(ERRORS_M, HEADINGS_RAD, VIEW),
        strict=True,
    ):
        for i in range(len(ERRORS_M)):
            expected = moved(to_view, *moved(in_frame[i], 100.0, 110.0))
            seen = moved(to_view, 100.0, 110.0)
            np.testing.assert_allclose(moved(in_view[i], *seen), expected, atol=1e-9)


def test_moving_a_view_is_cutting_it_from_a_moved_frame(rng):
    frames = smooth_frames(rng, len(ERRORS_M))
    views = np.array([view_of(frame) for frame in frames])
    moved_views = rp.reproject(views, ERRORS_M, HEADINGS_RAD, VIEW)
    moved_frames = rp.reproject(frames, ERRORS_M, HEADINGS_RAD)
    expected = np.array([view_of(frame) for frame in moved_frames])
    # Inside, where both see the scene: outside, each repeats a border of its own.
    difference = cv2.absdiff(moved_views, expected)[:, 12:40, 70:130]
    # Two levels, as each resamples at places of its own.
    assert difference.mean() < 2.0


def test_the_horizon_stays_in_its_row():
    far = rp.view_homographies(np.zeros(5), HEADINGS_RAD)[1]
    horizon_row = 80 - rp.FOCAL_LENGTH_PX * np.tan(rp.PITCH_RAD)
    assert horizon_row == pytest.approx(61.1, abs=0.1)
    assert [moved(h, 90.0, horizon_row)[1] for h in far] == pytest.approx(
        [horizon_row] * 5
    )
    assert rp.RAW_FRAME.num_far_rows == 62
    assert VIEW.num_far_rows == 9


def test_left_and_right_mirror_each_other():
    mirror = np.array([[-1, 0, 2 * rp.CENTRE_PX[0]], [0, 1, 0], [0, 0, 1]])
    for one, other in zip(
        rp.view_homographies(ERRORS_M, HEADINGS_RAD),
        rp.view_homographies(-ERRORS_M, -HEADINGS_RAD),
        strict=True,
    ):
        np.testing.assert_allclose(mirror @ one @ mirror, other, atol=1e-9)


def test_a_batch_is_its_frames_one_by_one_in_the_array_given(rng):
    frames = rng.integers(0, 256, (5, *VIEW_SHAPE), np.uint8)
    before, out = frames.copy(), np.zeros_like(frames)
    assert rp.reproject(frames, ERRORS_M, HEADINGS_RAD, VIEW, out) is out
    np.testing.assert_array_equal(frames, before)
    for i in range(5):
        one = slice(i, i + 1)
        alone = rp.reproject(frames[one], ERRORS_M[one], HEADINGS_RAD[one], VIEW)
        np.testing.assert_array_equal(alone[0], out[i])


@pytest.mark.parametrize("geometry", [rp.RAW_FRAME, VIEW], ids=["frame", "view"])
def test_a_centre_frame_moved_sideways_resembles_the_side_camera(shared_dir, geometry):
    samples = usable_samples([read_recording(shared_dir / "data" / "lake")])
    chosen = samples.iloc[:: len(samples) // 40]
    cut = view_of if geometry is VIEW else np.asarray
    center, left, right = (
        np.array([cut(read_frame(path)) for path in chosen[camera]])
        for camera in ("center", "left", "right")
    )
    height, width = geometry.height, geometry.width
    # Road in front of the bonnet, and inside what the centre camera has seen.
    top, bottom = (
        moved(geometry.from_frame, 0, 70)[1],
        moved(geometry.from_frame, 0, 130)[1],
    )
    road = np.s_[:, int(top) : min(height, int(bottom)), width // 5 : -width // 5]
    for side, error_m in ((left, -rp.SIDE_CAMERA_M), (right, rp.SIDE_CAMERA_M)):
        e = np.full(len(center), error_m)
        shifted = rp.reproject(center, e, np.zeros(len(center)), geometry)
        wrong = rp.reproject(center, -e, np.zeros(len(center)), geometry)
        far_off, unmoved, close = (
            cv2.absdiff(frames, side)[road].mean()
            for frames in (wrong, center, shifted)
        )
        assert close < 0.75 * unmoved
        assert unmoved < far_off


def test_the_nearest_camera_leaves_at_most_half_the_way():
    camera, left_m = rp.nearest_camera(np.array([0.0, 0.39, 0.41, -0.41, -1.2, 1.0]))
    assert camera.tolist() == [0, 0, 2, 1, 1, 2]
    np.testing.assert_allclose(left_m, [0, 0.39, -0.39, 0.39, -0.4, 0.2], atol=1e-12)


def test_steering_and_curvature_are_inverse():
    steering = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(rp.steering_of(rp.curvature_of(steering)), steering)
    # Full lock: wheelbase / tan(25 degrees).
    assert 1 / rp.curvature_of(1.0) == pytest.approx(6.155, abs=0.001)
    assert rp.steering_of(10.0) == 1.0


def test_on_the_path_the_label_is_the_recorded_steering():
    steering = np.linspace(-1, 1, 9)
    taught = rp.recovery_steering(steering, np.zeros(9), np.zeros(9), np.full(9, 9.0))
    np.testing.assert_allclose(taught, steering)


@pytest.mark.parametrize(("speed_mps", "ahead_m"), [(2.0, 6.0), (10.0, 9.0)])
def test_off_a_straight_path_the_label_is_the_arc_to_the_point_ahead(
    speed_mps, ahead_m
):
    for error_m, heading_rad in ((0.8, 0.0), (0.0, 0.05), (-0.8, 0.05)):
        # In the car's frame the point lies this far to the right.
        right_m = -error_m - ahead_m * heading_rad
        arc = WHEELBASE_M * 2 * right_m / ahead_m**2
        expected = np.degrees(np.arctan(arc)) / 25
        taught = rp.recovery_steering(0.0, error_m, heading_rad, speed_mps)
        assert taught == pytest.approx(expected)


def test_a_car_that_follows_the_labels_returns_to_a_bend_in_two_seconds():
    speed_mps, dt_s, recorded = 9.0, 0.01, 0.2
    for error_m, heading_rad in ((1.0, 0.0), (-1.0, 0.0), (0.0, np.radians(8))):
        for _ in range(200):
            steering = rp.recovery_steering(recorded, error_m, heading_rad, speed_mps)
            turn = rp.curvature_of(steering) - rp.curvature_of(recorded)
            error_m += speed_mps * np.sin(heading_rad) * dt_s
            heading_rad += speed_mps * turn * dt_s
        assert abs(error_m) < 0.15


def test_geometry_is_checked():
    with pytest.raises(ValueError, match=r"crop is \(100, 60\) rows of 160"):
        rp.ViewGeometry(crop_top_rows=100, crop_bottom_rows=60)
    with pytest.raises(ValueError, match="view is 0x200, expected 1x1 or more"):
        rp.ViewGeometry(height=0, width=200)


def test_mirrored_and_moved_down_frames_are_those_of_the_steps(rng):
    """Where no row comes in at the border, which would repeat in the steps."""
    coarse = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (200, 66), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([frame] * 6)
    geometry = rp.ViewGeometry(66, 200, 50, 25)
    offsets, headings = (
        np.array([0, 0.5, -0.5, 0.3, 0, 0]),
        np.radians([0, 4, 0, -3, 0, 2]),
    )
    mirrored = np.array([True, True, False, False, False, True])
    down_px = np.array([0, 3, -4, 0, 5, 0])
    found = rp.reproject(
        frames, offsets, headings, geometry, mirrored=mirrored, down_px=down_px
    )
    for i, view in enumerate(rp.reproject(frames, offsets, headings, geometry)):
        expected = view[:, ::-1] if mirrored[i] else view
        expected = np.roll(expected, down_px[i], axis=0).astype(int)
        inside = slice(max(0, down_px[i]), 66 + min(0, down_px[i]))
        difference = np.abs(found[i].astype(int) - expected)[inside]
        # A place that falls on the other side of 1/32 of a pixel: a level or two.
        assert difference.max() <= 3 and (difference > 0).mean() < 0.03
        if not (offsets[i] or headings[i]):
            assert not difference.any()
