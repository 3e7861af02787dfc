"""The operations on frames, how they are drawn, and the preview sheet."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest
from made_recordings import write_recording
from printed import check_printed

import augment
from augment import (
    NUM_DRAWS,
    AugmentSettings,
    Parameters,
    apply,
    draw_steering,
    main,
    sample_parameters,
)

SIZES = ((160, 320, 3), (66, 200, 3))
NOTHING = AugmentSettings(
    **{setting.name: 0.0 for setting in dataclasses.fields(AugmentSettings)}
)
EACH = {
    "flip": Parameters(flip=True),
    "shift": Parameters(shift_right=0.1, shift_down=-0.05, shift_steering=0.64),
    "brightness": Parameters(brightness=0.6),
    "colour": Parameters(saturation=0.5, red_gain=1.1, blue_gain=0.9),
    "gamma": Parameters(gamma=0.7),
    "shadow": Parameters(shadow_edges=(0.2, 0.6, 0.1, 0.7), shadow_light=0.5),
    "noise": Parameters(noise=5.0, noise_offset=12345),
    "blur": Parameters(blur=0.02),
    "equalize": Parameters(equalize=True),
    "clahe": Parameters(clahe=True),
    "invert": Parameters(invert=True),
    "swap_channels": Parameters(swap_channels=True),
}


@pytest.fixture(params=SIZES, ids=["frame", "view"])
def frame(request, rng):
    """A frame with areas of one colour, fine texture, and values up to both ends."""
    coarse = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
    height, width = request.param[:2]
    large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.add(large, rng.integers(0, 20, request.param, dtype=np.uint8))


@pytest.mark.parametrize("name", EACH)
def test_each_operation_keeps_shape_and_type_and_its_input(frame, name):
    before = frame.copy()
    changed, steering = apply(frame, 0.3, EACH[name])
    assert (changed.shape, changed.dtype) == (frame.shape, np.uint8)
    assert -1 <= steering <= 1
    assert not np.array_equal(changed, frame)
    np.testing.assert_array_equal(frame, before)


def test_zero_strength_changes_nothing(frame, rng):
    for parameters in [Parameters(), *sample_parameters(NOTHING, rng, 20)]:
        changed, steering = apply(frame, 0.3, parameters)
        np.testing.assert_array_equal(changed, frame)
        assert steering == 0.3


@pytest.mark.parametrize("name", ["flip", "invert", "swap_channels"])
def test_an_involution_done_twice_gives_the_frame_back(frame, name):
    once, steering = apply(frame, 0.3, EACH[name])
    twice, steering = apply(once, steering, EACH[name])
    np.testing.assert_array_equal(twice, frame)
    assert steering == 0.3


def test_flip_mirrors_and_negates_steering(frame):
    flipped, steering = augment.flip(frame, 0.3)
    np.testing.assert_array_equal(flipped, frame[:, ::-1])
    assert steering == -0.3


def test_shift_right_moves_the_picture_and_adds_steering(frame):
    width = frame.shape[1]
    moved, steering = augment.shift(frame, 0.1, 10 / width, 0.0, 0.64)
    np.testing.assert_array_equal(moved[:, 10:], frame[:, :-10])
    np.testing.assert_array_equal(moved[:, :10], frame[:, :1].repeat(10, axis=1))
    # The usual 0.002 for a pixel of a frame 320 wide.
    assert steering == pytest.approx(0.1 + 0.002 * 10 * 320 / width)


def test_shift_down_moves_the_picture_and_keeps_the_steering(frame):
    moved, steering = augment.shift(frame, 0.1, 0.0, 6 / frame.shape[0], 0.64)
    np.testing.assert_array_equal(moved[6:], frame[:-6])
    assert steering == 0.1


def test_shift_clips_the_steering(frame):
    assert augment.shift(frame, 0.9, 0.5, 0.0, 0.64)[1] == 1.0
    assert augment.shift(frame, -0.9, -0.5, 0.0, 0.64)[1] == -1.0


def test_a_shift_by_the_whole_frame_leaves_its_border(frame):
    moved, _ = augment.shift(frame, 0.0, 1.0, -1.0, 0.64)
    assert (moved == frame[-1, 0]).all()


def test_shift_and_flip_agree_in_either_order(frame):
    ten = 10 / frame.shape[1]
    a, a_steering = augment.flip(*augment.shift(frame, 0.1, ten, 0.0, 0.64))
    b, b_steering = augment.shift(*augment.flip(frame, 0.1), -ten, 0.0, 0.64)
    np.testing.assert_array_equal(a, b)
    assert a_steering == pytest.approx(b_steering)


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.7])
def test_brightness_multiplies_and_saturates(frame, gain):
    expected = np.minimum(np.rint(frame * gain), 255)
    changed = augment.colour(frame, gain)
    # Halves may be rounded either way.
    np.testing.assert_allclose(changed, expected, atol=0.5 if gain == 0.5 else 0)


def test_colour_without_saturation_is_grey_of_the_same_luminance(frame):
    grey = augment.colour(frame, saturation=0.0)
    luminance = frame @ np.array(augment.LUMINANCE)
    # One level, as OpenCV rounds in single precision.
    np.testing.assert_allclose(grey, luminance[:, :, None].repeat(3, 2), atol=1)


def test_colour_gains_reach_only_their_channel(frame):
    changed = augment.colour(frame, red_gain=0.5)
    np.testing.assert_array_equal(changed[:, :, 1:], frame[:, :, 1:])
    np.testing.assert_allclose(changed[:, :, 0], frame[:, :, 0] / 2, atol=0.5)


def test_gamma_keeps_black_and_white_and_lightens_between():
    frame = np.array([[[0, 64, 255]]], np.uint8)
    changed = augment.tone(frame, 0.5)
    assert changed.tolist() == [[[0, round(255 * (64 / 255) ** 0.5), 255]]]


def test_shadow_darkens_its_polygon_and_nothing_else(frame):
    frame = np.full_like(frame, 200)
    shaded = augment.shadow(frame, (0.25, 0.75, 0.25, 0.75), 0.5)
    width = frame.shape[1]
    assert (shaded[:, width // 4 + 1 : 3 * width // 4 - 1] == 100).all()
    assert (shaded[:, : width // 4 - 1] == 200).all()
    assert (shaded[:, 3 * width // 4 + 1 :] == 200).all()


def test_noise_has_the_mean_and_deviation_asked_for(rng):
    frame = np.full((66, 200, 3), 128, np.uint8)
    offsets = rng.integers(0, 2**40, 8)
    noise = np.array(
        [augment.gaussian_noise(frame, 6.0, int(k)) for k in offsets], float
    )
    noise -= 128
    # 316,800 values: a standard error of 0.011 for the mean, 0.008 for the deviation;
    # rounding to whole levels adds 1/12 to the variance.
    assert noise.mean() == pytest.approx(0, abs=0.06)
    assert noise.std() == pytest.approx(np.sqrt(36 + 1 / 12), abs=0.05)
    assert (np.abs(noise) > 12).mean() == pytest.approx(0.0371, abs=0.003)


def test_noise_is_independent_between_frames_channels_and_neighbours(rng):
    frame = np.full((66, 200, 3), 128, np.uint8)
    offsets = rng.integers(0, 2**40, 6)
    noise = [augment.gaussian_noise(frame, 20.0, int(k)).astype(float) for k in offsets]
    between_frames = np.corrcoef([n.ravel() for n in noise])
    within = np.corrcoef(noise[0].reshape(-1, 3).T)
    neighbours = np.corrcoef(noise[0][:, :-1].ravel(), noise[0][:, 1:].ravel())
    for correlation in (between_frames, within, neighbours):
        off_diagonal = correlation[~np.eye(len(correlation), dtype=bool)]
        # Five standard errors of 13,200 values.
        assert np.abs(off_diagonal).max() < 5 / np.sqrt(13_200)


def test_blur_reaches_as_far_on_a_frame_of_any_size():
    widths = []
    for height, width in ((80, 160), (160, 320)):
        edge = np.zeros((height, width, 3), np.uint8)
        edge[:, width // 2 :] = 255
        row = augment.blur(edge, 0.05)[height // 2, :, 0]
        widths.append(((row > 40) & (row < 215)).sum() / width)
    # The soft edge is some ten pixels wide, so one more or less is a tenth of it.
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


def test_equalizing_spreads_the_luminance_and_clahe_less_so(frame):
    dull = frame // 8 + 100

    def spread(changed):
        return cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY).std()

    # A flat histogram over 0 to 255 has a deviation of 73.9, less what the colours that
    # would leave the range lose.
    assert spread(augment.equalize(dull)) > 65
    assert 1.3 * spread(dull) < spread(augment.clahe(dull)) < 65


def test_equalize_keeps_grey_grey(rng):
    grey = rng.integers(80, 120, (66, 200, 1), dtype=np.uint8).repeat(3, axis=2)
    changed = augment.equalize(grey).astype(int)
    assert np.ptp(changed, axis=2).max() == 0


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"--shift-right is -0\.1, expected 0 to 1"):
        AugmentSettings(shift_right=-0.1)
    with pytest.raises(ValueError, match="--noise is nan, expected 0 to 255"):
        AugmentSettings(noise=float("nan"))


def test_parameters_stay_in_their_ranges_and_reach_their_ends(rng):
    settings = AugmentSettings(shadow=0.5, noise=9.0, brightness=0.4)
    drawn = sample_parameters(settings, rng, 4000)
    shift = np.array([p.shift_right for p in drawn])
    assert np.abs(shift).max() <= settings.shift_right
    assert np.ptp(shift) > 1.95 * settings.shift_right
    light = np.array([p.brightness for p in drawn])
    assert 0.6 <= light.min() < 0.61
    assert 1.39 < light.max() <= 1.4
    # Four standard errors of a share of one half.
    assert np.mean([p.flip for p in drawn]) == pytest.approx(0.5, abs=0.032)
    assert np.mean([p.shadow_light < 1 for p in drawn]) == pytest.approx(0.5, abs=0.032)
    assert max(p.noise for p in drawn) <= 9.0


def test_shadow_edges_never_cross(rng):
    for p in sample_parameters(AugmentSettings(shadow=1.0), rng, 1000):
        top_from, top_to, bottom_from, bottom_to = p.shadow_edges
        assert top_from < top_to
        assert bottom_from <= bottom_to


def test_switching_one_operation_off_leaves_the_draws_of_the_others():
    with_shadow, without = (
        sample_parameters(AugmentSettings(shadow=s), np.random.default_rng(1), 1)[0]
        for s in (1.0, 0.0)
    )
    assert dataclasses.replace(with_shadow, shadow_light=1.0) == without


def test_same_seed_draws_the_same_and_another_seed_another():
    settings = AugmentSettings(equalize=0.3, clahe=0.3)
    drawn = [
        sample_parameters(settings, np.random.default_rng(seed), 8)
        for seed in (7, 7, 8)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    # The first of eight is not that of four: a batch is drawn whole, as columns are.
    assert len(set(map(str, drawn[0]))) == 8


def test_what_is_drawn_are_plain_numbers_in_the_order_of_the_draws():
    """So that a batch of a seed stays what it is, whatever draws it."""
    settings = AugmentSettings(noise=9.0, blur=0.5, flip=0.5)
    draws = np.random.default_rng(4).random((3, NUM_DRAWS))
    drawn = sample_parameters(settings, np.random.default_rng(4), 3)
    for parameters, u in zip(drawn, draws, strict=True):
        assert parameters.shadow_light == (0.3 + 0.5 * u[5] if u[0] < 0.3 else 1.0)
        assert parameters.flip is bool(u[6] < 0.5)
        assert parameters.noise == u[14] * 9.0
        assert parameters.noise_offset == int(u[15] * 2**40)
        assert parameters.blur == u[16] * 0.5
        assert type(parameters.gamma) is float and len(parameters.shadow_edges) == 4


def test_values_that_one_matrix_and_one_table_give_are_those_of_the_steps(frame):
    """Light, colour, gamma; in steps it is rounded once more."""
    p = Parameters(
        brightness=0.8, saturation=0.7, red_gain=1.1, blue_gain=0.9, gamma=1.2
    )
    steps = augment.colour(frame, 0.8)
    steps = augment.colour(steps, 1.0, 0.7, 1.1, 0.9)
    steps = augment.tone(steps, 1.2)
    found = augment.recolour(frame, p)
    # Half a level in the middle becomes one at most, and in a table that rises by 1.2
    # at its upper end another.
    assert np.abs(found.astype(int) - steps).max() <= 2
    exact = np.clip(frame * 0.8, 0, 255)
    exact = 0.7 * exact + 0.3 * (exact @ np.array(augment.LUMINANCE))[..., None]
    exact = 255 * (np.clip(exact * (1.1, 1, 0.9), 0, 255) / 255) ** 1.2
    # Rounded before the table as well, and OpenCV multiplies by 1,024ths.
    np.testing.assert_allclose(found, exact, atol=1.5)


def test_the_arrow_leans_to_the_side_of_the_steering():
    black = np.zeros((160, 320, 3), np.uint8)
    for steering in (-0.8, 0.8):
        columns = np.nonzero(draw_steering(black, steering).any(axis=(0, 2)))[0]
        assert np.sign(columns.mean() - 160) == np.sign(steering)
    assert not black.any()


@pytest.mark.parametrize("num_cameras", [1, 3])
def test_preview_writes_a_sheet_and_refuses_to_overwrite_it(
    tmp_path, capsys, num_cameras
):
    steering = np.linspace(-0.5, 0.5, 12)
    recording = write_recording(tmp_path / "a", steering, num_cameras=num_cameras)
    sheet_path = tmp_path / "sheet.png"
    assert main([str(recording), "--out", str(sheet_path)]) == 0
    said = capsys.readouterr().out
    assert " ".join(said.split()) == f"written: {sheet_path}"
    check_printed(said)
    sheet = cv2.imread(str(sheet_path))
    assert sheet.shape[0] > 1000
    assert sheet.std() > 20
    assert main([str(recording), "--out", str(sheet_path)]) == 1
    assert "exists already; give another --out" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_preview_refuses_what_it_cannot_read_or_write(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "s.png")]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err
    recording = write_recording(tmp_path / "a", [0.0] * 3)
    assert main([str(recording), "--out", str(tmp_path / "no" / "s.png")]) == 1
    assert "is no folder; make it first" in capsys.readouterr().err


def test_help_has_an_example():
    shown = subprocess.run(
        [sys.executable, augment.__file__, "--help"], capture_output=True, text=True
    )
    assert shown.returncode == 0
    assert "Example:\n  python augment.py data/a" in shown.stdout
