"""Roads drawn anew: what varies, how far, and that it is seen."""

from dataclasses import replace

import numpy as np
import pytest

from simulator import textures
from simulator.expert import Expert
from simulator.looks import LOOKS, overcast
from simulator.mesh import Optics
from simulator.scenery import SceneSettings, choose_look
from simulator.textures import Paint
from simulator.tracks import make_track
from simulator.variants import draw_variant
from simulator.world import World

USUAL = SceneSettings(scenery_seed=3, texture_seed=3)


def test_strength_zero_changes_nothing():
    for name in ("lake", "jungle", "random:5"):
        track = make_track(name)
        variant = draw_variant(track, USUAL, seed=5, strength=0.0)
        assert variant.settings == USUAL and variant.jpeg_quality == 75
        assert variant.track.half_width_m == track.half_width_m
        assert variant.track.lane_offsets_m == track.lane_offsets_m


def test_the_same_seed_gives_the_same_variant_and_another_another():
    track = make_track("random:5")
    first, again, other = (draw_variant(track, USUAL, seed, 1.0) for seed in (1, 1, 2))
    assert first.settings == again.settings and first.settings != other.settings
    assert first.track.half_width_m == again.track.half_width_m


def test_full_strength_reaches_all_that_is_promised():
    track = make_track("random:5")
    drawn = [draw_variant(track, USUAL, seed, 1.0) for seed in range(400)]
    widths_m = [2 * each.track.half_width_m for each in drawn]
    assert 4 <= min(widths_m) < 4.5 and 11.5 < max(widths_m) <= 12
    settings = [each.settings for each in drawn]
    paints = [each.paint for each in settings]
    assert {each.look for each in settings} >= set(LOOKS)
    assert {each.bonnet for each in settings} == {"none", "lake", "jungle"}
    assert {each.middle_line for each in paints} == set(textures.MIDDLE_LINES)
    for name in ("cobbles", "wear", "blur_px"):
        assert min(getattr(each, name) for each in paints) == 0
        assert max(getattr(each, name) for each in paints) > 0.6
    assert {each.has_kerbs for each in paints} == {True, False}
    assert {each.has_edge_lines for each in paints} == {True, False}
    assert (
        min(each.grain for each in paints)
        < 0.15
        < 1.8
        < max(each.grain for each in paints)
    )
    assert {bool(each.overcast) for each in settings} == {True, False}
    assert max(each.clouds for each in settings) > 0.3
    heights_m = [each.optics.raised_m for each in settings]
    assert min(heights_m) < -0.13 and max(heights_m) > 0.13
    qualities = [each.jpeg_quality for each in drawn]
    assert min(qualities) < 45 and max(qualities) > 90


@pytest.mark.parametrize("name", ["lake", "jungle", "mountain"])
def test_a_road_that_is_laid_out_grows_no_wider(name):
    track = make_track(name)
    for seed in range(40):
        variant = draw_variant(track, USUAL, seed, 1.0)
        assert 2 <= variant.track.half_width_m <= track.half_width_m


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match="strength"):
        draw_variant(make_track("lake"), USUAL, 0, strength)


def test_the_expert_stays_on_variants():
    for seed in range(6):
        variant = draw_variant(make_track(f"random:{seed}"), USUAL, seed, 1.0)
        world = World(variant.track, cameras=(), settings=variant.settings)
        expert, seen = Expert(variant.track, 0.0, 25.0), world.reset(lateral_m=0.0)
        for _ in range(300):
            seen = world.step(*expert(seen))
            assert not seen.off_road


# --- What is seen ---------------------------------------------------------------------


def texture(name="jungle_road", **changes):
    return textures.make_texture(name, 0, Paint(**changes)).astype(float)


def test_smooth_asphalt_has_no_grain_and_rough_has_more():
    smooth, usual, rough = (
        np.abs(np.diff(texture(grain=grain)[:, 60:190, 0], axis=0)).mean()
        for grain in (0.0, 1.0, 2.0)
    )
    assert smooth < 0.01 and 1.5 * usual < rough


def test_brightness_cobbles_patches_and_blur_change_the_surface():
    lane = (slice(None), slice(60, 190))
    usual = texture()[lane]
    assert texture(brightness=0.6)[lane].mean() < 0.7 * usual.mean()
    assert texture(cobbles=1.0)[lane].std() > 1.2 * usual.std()
    assert texture(patches=50)[lane].std() > 1.5 * usual.std()
    sharpness = np.abs(np.diff(usual[..., 0], axis=1)).mean()
    blurred = texture(blur_px=1.5)[lane]
    assert np.abs(np.diff(blurred[..., 0], axis=1)).mean() < 0.5 * sharpness
    assert blurred.mean() == pytest.approx(usual.mean(), abs=1)


def white_share(image, middle, half=12):
    # Paler than any asphalt, which reaches 205 beside the middle line.
    return (image[:, middle - half : middle + half].min(axis=2) > 210).mean()


def test_lines_are_left_out_widened_worn_and_painted():
    edge, middle = 16, 208
    usual = texture()
    assert white_share(usual, edge) > 0.1 and white_share(usual, middle) > 0.1
    assert white_share(texture(has_edge_lines=False), edge) == 0
    assert white_share(texture(middle_line="none"), middle) == 0
    solid, double = texture(middle_line="solid"), texture(middle_line="double")
    assert white_share(solid, middle) > 1.4 * white_share(usual, middle)
    assert white_share(double, middle, 20) > 1.4 * white_share(solid, middle, 20)
    assert white_share(texture(line_width=2.0), edge) > 1.6 * white_share(usual, edge)
    assert white_share(texture(wear=0.8), edge) < 0.5 * white_share(usual, edge)
    red = texture(line=(230, 40, 40))[:, edge]
    assert red[:, 0].mean() > 150 > red[:, 1].mean()


def test_the_lakes_kerbs_and_banks_are_painted_or_left_out():
    kerb, bank = slice(330, 370), slice(390, 440)
    usual = texture("lake_road")
    blue = texture("lake_road", kerb=(40, 60, 220), bank=(60, 160, 60))
    assert usual[:8, kerb, 0].mean() > 180 > blue[:8, kerb, 0].mean()
    assert blue[:, bank, 1].mean() > 1.5 * blue[:, bank, 0].mean()
    plain = texture("lake_road", has_kerbs=False)
    assert plain[:, kerb].std() < 0.5 * usual[:, kerb].std()
    marked = texture("lake_road", middle_line="solid")
    assert white_share(marked, 128, 4) > 0.4 > white_share(usual, 128, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"wear": 1.5},
        {"cobbles": -0.1},
        {"brightness": 0.0},
        {"blur_px": 9},
        {"middle_line": "wavy"},
    ],
)
def test_paint_out_of_range_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Paint(**changes)


def frame(**changes):
    world = World(make_track("lake"), settings=replace(USUAL, **changes))
    picture = world.reset(station_m=300.0).frames["center"].astype(float)
    world.close()
    return picture


def test_weather_greys_the_sky_and_clouds_divide_it():
    clear = frame()
    grey = frame(overcast=1.0)

    def saturation(picture):
        return np.ptp(picture, axis=2).mean()

    assert saturation(grey) < 0.6 * saturation(clear)
    sky = slice(0, 12), slice(0, 140)
    cloudy = frame(clouds=0.35)[sky] - clear[sky]
    assert cloudy.std() > 5 and np.ptp(cloudy) > 20


def test_overcast_takes_the_suns_shadows():
    look = overcast(LOOKS["jungle"], 1.0)
    assert look.light.shadow == 0 and max(look.light.sun) == 0
    assert overcast(LOOKS["jungle"], 0.0) == LOOKS["jungle"]


def test_cameras_move_the_horizon_and_the_bonnet_goes():
    usual = frame()
    down = frame(optics=Optics(pitch_deg=2.0))

    def horizon(picture):
        """The first row, from above, that the sky does not fill."""
        blue = picture[..., 2].mean(axis=1) - picture[..., 0].mean(axis=1)
        return int(np.argmax(blue < 20))

    # 2 degrees are 4.8 of 160 pixels in a view of 60 degrees.
    assert 3 <= horizon(down) - horizon(usual) <= 7
    wide, bare = frame(optics=Optics(fov_gain=1.05)), frame(bonnet="none")
    assert np.abs(wide - usual).mean() > 3
    assert np.abs(bare[150:] - usual[150:]).mean() > 10
    assert np.abs(bare[:130] - usual[:130]).max() == 0


@pytest.mark.parametrize("changes", [{"raised_m": 2.0}, {"fov_gain": 3.0}])
def test_cameras_out_of_range_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Optics(**changes)


# --- How near the looks are to the real ones ------------------------------------------

# Medians of 200 frames each of recordings made on the simulator's own tracks, of the
# very measures below: brightness, saturation, contrast of neighbouring pixels of the
# asphalt across and along, variance of the Laplacian of the upper half.
REAL = {
    "lake": (128.8, 69.4, 9.2, 11.9, 6473.0),
    "jungle": (108.4, 37.3, 5.0, 5.2, 2506.0),
}


def likeness(frames):
    """Return the medians over frames, uint8 RGB (n, 160, 320, 3)."""
    cv2 = pytest.importorskip("cv2")
    rows = []
    for rgb in frames:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
        saturation = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1].mean()
        asphalt = grey[95:130, 130:190]
        across, along = (np.abs(np.diff(asphalt, axis=axis)).mean() for axis in (1, 0))
        detail = cv2.Laplacian(grey[:80], cv2.CV_32F).var()
        rows.append((grey.mean(), saturation, across, along, detail))
    return np.median(rows, axis=0)


@pytest.mark.parametrize("name", ["lake", "jungle"])
def test_looks_are_near_the_real_ones_by_numbers(name):
    world = World(make_track(name), seed=1)
    length_m = world.track.length_m
    frames = [
        world.reset(station_m=place * length_m / 60).frames["center"]
        for place in range(60)
    ]
    world.close()
    ratios = likeness(frames) / REAL[name]
    # Brightness and saturation within a fifth, contrast and detail within a third.
    assert np.all(np.abs(ratios[:2] - 1) < 0.20), ratios
    assert np.all(np.abs(ratios[2:] - 1) < 0.33), ratios


def test_some_drawn_roads_begin_before_a_bridge_with_room_for_its_river():
    names = [f"random:{seed}" for seed in range(1000, 1030)]
    drawn = [draw_variant(make_track(n), USUAL, i, 1.0) for i, n in enumerate(names)]
    roads = [each.track for each in drawn if each.track.bridge_m]
    assert 5 < len(roads) < 25
    for road in roads:
        first, last = road.bridge_m
        assert 30 < last - first < 120
        assert (first - road.start_m) % road.length_m == pytest.approx(60)
        middle = road.point_at((first + last) / 2)
        away = np.hypot(*(road.points[:, :2] - (middle.x_m, middle.y_m)).T)
        along = np.minimum(
            *((s * (road.station_m - first)) % road.length_m for s in (1, -1))
        )
        assert away[along > 250].min() > 20, road.name
    usual = [draw_variant(make_track(name), USUAL, 0, 0.0) for name in names[:5]]
    assert not any(each.track.bridge_m for each in usual)


# Of two recordings of the real jungle, the asphalt just before the car: the spread of
# its brightness where the sun shines (it is 177 seen away from the sun and 146 against
# it), the share of it in shadow, and the colour there.
REAL_SUNLIT_SPREAD = (15.3, 14.4)
REAL_SHADOW_SHARE = (0.10, 0.21)
REAL_SHADOW_RGB = (40, 46, 57)


def test_the_jungles_asphalt_is_lit_and_shaded_as_the_real_one():
    world = World(make_track("jungle"), seed=1)
    length_m = world.track.length_m
    asphalt = np.stack([
        world.reset(station_m=place * length_m / 90).frames["center"][95:130, 130:190]
        for place in range(90)
    ])  # fmt: skip
    world.close()
    dark = asphalt.mean(axis=3) < 80
    assert 0.5 * REAL_SHADOW_SHARE[0] < dark.mean() < 1.2 * REAL_SHADOW_SHARE[1]
    colour = np.median(asphalt[dark], axis=0)
    np.testing.assert_allclose(colour, REAL_SHADOW_RGB, atol=6)
    sunny = [part[~hid].mean() for part, hid in zip(asphalt, dark, strict=True)
             if hid.mean() < 0.7]  # fmt: skip
    assert np.std(sunny) == pytest.approx(np.mean(REAL_SUNLIT_SPREAD), rel=0.33)


def test_who_drives_a_divided_road_keeps_to_the_right_and_else_to_the_middle():
    divided = undivided = 0
    for seed in range(30):
        track = make_track(f"random:{seed}")
        variant = draw_variant(track, SceneSettings(), seed, 1.0)
        line, half_m = variant.settings.paint.middle_line, variant.track.half_width_m
        usual = choose_look(track, variant.settings).road == "lanes"
        if (line == "none" or (line == "usual" and not usual)) or half_m < 2.8:
            assert variant.track.lane_offsets_m == (0.0,), seed
            undivided += 1
        else:
            assert variant.track.lane_offsets_m == (half_m / 2, -half_m / 2), seed
            divided += 1
    assert divided >= 8 and undivided >= 8
