"""Tests of the land, the obstacles and the meshes: all that needs no renderer."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from simulator import land_mesh, looks, mesh, scenery, shadows, terrain, tracks
from simulator.scenery import SceneSettings
from simulator.track import Track, is_joined

TRACKS = ("lake", "jungle", "mountain", "random:1", "random:2", "random:5")
DRAWN = ("lake", "jungle")  # of these the tests look at the whole scene


@cache
def surroundings(name):
    return scenery.make_surroundings(tracks.make_track(name))


@cache
def scene(name):
    return scenery.build_scene(tracks.make_track(name))


def digest(parts):
    return [
        (p.texture, p.layer, p.vertices.tobytes(), p.colours.tobytes()) for p in parts
    ]


# ---- land


@pytest.mark.parametrize("name", TRACKS)
def test_land_stays_below_the_asphalt(name):
    track, land = tracks.make_track(name), surroundings(name).land
    for lateral_m in np.linspace(-track.half_width_m, track.half_width_m, 9):
        spots = track.points[:, :2] + lateral_m * track.normals
        above = land.land_m(*spots.T) - track.points[:, 2]
        # Between corners of the land, 5 m apart, a crest of the road may be cut.
        assert above.max() < 0.05, f"{above.max():.2f} m at {np.argmax(above)} m"


@pytest.mark.parametrize("name", TRACKS)
def test_surface_is_the_road_on_the_road_and_joins_the_land_without_a_jump(name):
    land = surroundings(name).land
    track = land.track
    for index in range(7, len(track.points), 97):
        if track.on_bridge[index]:
            continue
        offsets = np.arange(0, track.half_width_m + 12, 0.25)
        spots = track.points[index, :2] + offsets[:, None] * track.normals[index]
        one_by_one = [
            land.surface_m(x, y, track.locate(x, y, hint=index)) for x, y in spots
        ]
        on_road = offsets < track.half_width_m
        np.testing.assert_allclose(
            np.array(one_by_one)[on_road], track.points[index, 2], atol=0.05
        )


def test_surface_of_many_points_equals_surface_of_each():
    land = surroundings("lake").land
    track = land.track
    index = np.arange(50, 1100, 75)
    lateral = np.linspace(-20, 20, len(index))
    spots = track.points[index, :2] + lateral[:, None] * track.normals[index]
    each = [land.surface_m(x, y, track.locate(x, y)) for x, y in spots]
    # The one takes the nearest sample, the other the nearest point between samples.
    np.testing.assert_allclose(land.surfaces_m(spots), each, atol=0.15)


def test_concrete_bank_of_the_lake_rises_by_half_a_metre():
    land = surroundings("lake").land
    point = land.track.point_at(20.0, 5.0 + 2.6)
    place = land.track.locate(point.x_m, point.y_m)
    height = land.surface_m(point.x_m, point.y_m, place)
    assert height - point.z_m == pytest.approx(0.5, abs=0.01)


def test_bridge_of_the_lake_spans_water_on_both_sides():
    land = surroundings("lake").land
    track = land.track
    middle_m = sum(track.bridge_m) / 2
    for lateral_m in (-25.0, -12.0, 12.0, 25.0):
        point = track.point_at(middle_m, lateral_m)
        assert land.land_m(np.array([point.x_m]), point.y_m) < land.water_level_m


def test_land_of_another_seed_has_other_hills():
    track = tracks.make_track("lake")
    other = scenery.make_surroundings(track, SceneSettings(scenery_seed=1)).land
    here = surroundings("lake").land
    far = here.distance_m > 60
    assert np.abs(other.heights_m - here.heights_m)[far].mean() > 1.0


# ---- obstacles


@pytest.mark.parametrize("name", TRACKS)
def test_nothing_solid_stands_on_any_part_of_the_road(name):
    track, things = tracks.make_track(name), surroundings(name).things.solid()
    apart = np.linalg.norm(
        things.foot_m[:, None, :2] - track.points[None, :, :2], axis=2
    )
    beside_m = apart.min(axis=1) - track.half_width_m - things.radius_m
    assert beside_m.min() > 0.25
    assert len(things) > 50


@pytest.mark.parametrize("name", ["lake", "jungle"])
def test_scenery_is_the_same_in_both_directions(name):
    track = tracks.make_track(name)
    forward, backward = surroundings(name), scenery.make_surroundings(track.reversed())
    np.testing.assert_array_equal(forward.land.heights_m, backward.land.heights_m)
    np.testing.assert_array_equal(forward.things.foot_m, backward.things.foot_m)
    np.testing.assert_array_equal(forward.things.kind, backward.things.kind)


def test_trees_keep_off_water_and_cliffs():
    around = surroundings("lake")
    trees = around.things.chosen(np.char.startswith(around.things.kind, "broad"))
    # Scattered within the square of a dry corner: its edge may be a little lower.
    assert (trees.foot_m[:, 2] > around.land.water_level_m - 1.5).all()


# ---- scene


def test_same_seeds_give_the_same_scene():
    track = tracks.make_track("lake")
    again = scenery.build_scene(track)
    assert digest(again.meshes) == digest(scene("lake").meshes)
    for name, image in again.textures.items():
        np.testing.assert_array_equal(image, scene("lake").textures[name])


def test_texture_seed_leaves_trees_where_they_are():
    track = tracks.make_track("lake")
    other = SceneSettings(texture_seed=1)
    moved = scenery.make_surroundings(track, other).things.foot_m
    np.testing.assert_array_equal(moved, surroundings("lake").things.foot_m)
    images = scenery.build_scene(track, other).textures
    assert (images["lake_road"] != scene("lake").textures["lake_road"]).any()


@pytest.mark.parametrize("name", DRAWN)
def test_asphalt_covers_the_whole_lap_once(name):
    track = tracks.make_track(name)
    texture, width = ("jungle_road", 2 * 0.9 * track.half_width_m)
    if "lake_road" in scene(name).textures:
        texture, width = "lake_road", 2 * 0.76 * track.half_width_m
    area = 0.0
    for part in scene(name).meshes:
        if part.texture != texture:
            continue
        corners = part.vertices[part.triangles].astype(float)
        asphalt = part.uv[part.triangles][..., 0].max(axis=1) < 417 / 512
        if texture == "lake_road":
            asphalt = part.uv[part.triangles][..., 0].max(axis=1) < 257 / 512
        edges = corners[:, 1:, :2] - corners[:, :1, :2]
        cross = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
        assert (cross > -1e-3).all(), "all of it faces up"
        area += cross[asphalt].sum() / 2
    length_m = track.length_m
    if texture == "lake_road" and track.bridge_m is not None:
        length_m -= track.bridge_m[1] - track.bridge_m[0]
    # Straight pieces between sections cut curves short: half a percent.
    assert area == pytest.approx(length_m * width, rel=0.02)


def test_roads_side_by_side_have_posts_between_them_and_no_grass():
    track = tracks.make_track("jungle")
    along = {side: np.nonzero(is_joined(track, side))[0] for side in (-1, 1)}
    # The start straight and the one that comes back beside it.
    assert 40 <= len(along[-1]) == len(along[1]) <= 50
    between = track.points[along[-1], :2] - 5.0 * track.normals[along[-1]]
    look = surroundings("jungle").look
    for part in scene("jungle").meshes:
        if part.texture == look.ground_texture:
            apart = part.vertices[:, None, :2] - between[5:-5]
            assert np.hypot(*np.moveaxis(apart, 2, 0)).min() > 1
    things = surroundings("jungle").things
    posts = things.chosen(things.kind == "guard_post")
    apart = posts.foot_m[:, None, :2] - between
    assert (np.hypot(*np.moveaxis(apart, 2, 0)).min(axis=1) < 0.5).sum() >= 10
    assert not any(is_joined(tracks.make_track("lake"), side).any() for side in (-1, 1))


def test_all_layers_and_textures_of_a_scene_are_known():
    for name in DRAWN:
        for part in scene(name).meshes:
            assert part.texture in scene(name).textures
            assert np.isfinite(part.vertices).all()


def test_tiles_keep_every_triangle():
    whole = mesh.make_mesh(
        "plain",
        "ground",
        np.random.default_rng(0).uniform(0, 500, (300, 3)),
        np.zeros((300, 3)),
        np.zeros((300, 2)),
        np.arange(300).reshape(100, 3),
    )
    tiles = mesh.split_into_tiles(whole, 80.0)
    assert len(tiles) > 5
    corners = np.concatenate([t.vertices[t.triangles] for t in tiles])
    expected = whole.vertices[whole.triangles]
    assert sorted(map(bytes, corners)) == sorted(map(bytes, expected))


@pytest.mark.parametrize("name", DRAWN)
def test_land_has_no_cracks(name):
    land = surroundings(name).land
    triangles = land_mesh.lattice_triangles(land)
    width = land.heights_m.shape[1]
    used = set(np.unique(triangles).tolist())
    edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    # A corner within another triangle's long side would open a crack there.
    for a, b in edges[np.abs(edges[:, 0] - edges[:, 1]) > 1].tolist():
        step = 1 if a // width == b // width else width
        if (b - a) % step == 0 and (step == 1 or abs(b - a) // width <= 4):
            between = range(min(a, b) + step, max(a, b), step)
            assert not used.intersection(between)


def test_land_covers_its_whole_square():
    land = surroundings("lake").land
    triangles = land_mesh.lattice_triangles(land)
    x, y = (axis.ravel()[triangles] for axis in land.grid_m)
    cross = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0])
    cross -= (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    rows, columns = land.heights_m.shape
    whole = (rows - 1) * (columns - 1) * terrain.CELL_M**2
    assert np.abs(cross).sum() / 2 == pytest.approx(whole)


def test_merged_meshes_hold_the_triangles_of_all():
    one = mesh.make_mesh(
        "plain",
        "road",
        np.eye(3),
        np.full((3, 3), 255),
        np.zeros((3, 2)),
        np.array([[0, 1, 2]]),
    )
    both = mesh.merge([one, one])
    np.testing.assert_array_equal(both.triangles, [[0, 1, 2], [3, 4, 5]])
    assert both.is_plain


# ---- light and shadow


def test_light_on_level_ground_is_sky_and_the_sine_of_the_sun():
    light = looks.Light(30.0, 30.0, sun=(1.0, 0.8, 0.6), fill=(0.1, 0.2, 0.3))
    level = light.on(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(level, [0.6, 0.6, 0.6], atol=1e-12)
    np.testing.assert_allclose(light.on(-light.direction), light.fill, atol=1e-12)


def test_wall_casts_a_shadow_as_long_as_the_sun_is_low():
    land = surroundings("lake").land
    grid_x, _ = land.grid_m
    wall_x, y = grid_x[0, 60], land.origin_m[1] + 300
    wall = replace(land, heights_m=np.where(grid_x >= wall_x, 30.0, 0.0))
    light = looks.Light(0.0, 30.0)  # in the east
    reach_m = 30.0 / np.tan(np.radians(30.0))
    # The wall rises over the last 5 m, and the march takes steps of 5 m: +-8 m.
    spots = np.array([(wall_x - reach_m + 8, y, 0.0), (wall_x - reach_m - 8, y, 0.0)])
    hidden = shadows.sun_hidden_m(wall, light, spots)
    assert hidden[0] > 0 > hidden[1]


def test_no_shadow_without_shadows():
    track = tracks.make_track("jungle")
    dark = [m for m in scene("jungle").meshes if m.layer == "decal"]
    bright = scenery.build_scene(track, SceneSettings(shadows=0.0)).meshes
    assert dark and not [m for m in bright if m.layer == "decal"]


def test_shadows_lie_on_the_road_and_not_under_it():
    track = tracks.make_track("jungle")
    for part in scene("jungle").meshes:
        if part.layer == "decal" and part.texture == "plain":
            for x, y, z in part.vertices[::29].astype(float):
                apart = np.linalg.norm(track.points[:, :2] - (x, y), axis=1)
                near = apart < track.half_width_m + 0.8
                assert np.abs(track.points[near, 2] - z).min() < 0.4


# ---- looks and settings


@pytest.mark.parametrize("name", looks.LOOKS)
def test_look_can_be_had_on_any_road(name):
    turn = np.arange(400) * 2 * np.pi / 400
    ring = np.stack([64 * np.cos(turn), 64 * np.sin(turn), 0 * turn], axis=1)
    track = Track("ring", ring, half_width_m=5.0)
    parts = scenery.build_scene(track, SceneSettings(look=name)).meshes
    assert {"road", "ground", "props", "sky"} <= {part.layer for part in parts}


def test_no_variation_changes_nothing(rng):
    for look in looks.LOOKS.values():
        varied = looks.vary_look(look, rng, 0.0)
        assert replace(varied, leaves=look.leaves, sky=look.sky) == replace(
            look,
            grass=varied.grass,
            grass_dark=varied.grass_dark,
            dirt=varied.dirt,
            rock=varied.rock,
            water=varied.water,
        )
        # Hue and lightness are rounded on the way back to RGB.
        assert np.abs(np.subtract(varied.grass, look.grass)).max() <= 1


def test_variation_changes_colours_and_sun(rng):
    look = looks.look_of("lake")
    varied = looks.vary_look(look, rng, 1.0)
    assert varied.grass != look.grass and varied.leaves != look.leaves
    assert varied.light.sun_azimuth_deg != look.light.sun_azimuth_deg


def test_settings_of_sun_and_haze_reach_the_look():
    track = tracks.make_track("jungle")
    settings = SceneSettings(sun_azimuth_deg=10, sun_elevation_deg=20, haze=0.0)
    look = scenery.choose_look(track, settings)
    assert look.light.sun_azimuth_deg == 10 and look.light.sun_elevation_deg == 20
    assert look.haze_strength == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"haze": 3.0}, r"haze is 3.0, expected \[0, 2\]"),
        ({"variation": -0.1}, r"variation is -0.1, expected \[0, 1\]"),
        ({"scenery_seed": -1}, "a seed is negative"),
        ({"look": "moon"}, "no look is called 'moon'; there are: lake"),
        ({"sun_elevation_deg": 0.0}, r"sun_elevation_deg is 0.0, expected \(0, 90\]"),
        ({"shadows": 1.5}, r"shadow is 1.5, expected \[0, 1\]"),
    ],
)
def test_wrong_setting_says_what_was_expected(change, message):
    with pytest.raises(ValueError, match=message):
        scenery.choose_look(tracks.make_track("lake"), SceneSettings(**change))


def test_too_strong_variation_is_refused(rng):
    with pytest.raises(ValueError, match=r"strength is 2, expected \[0, 1\]"):
        looks.vary_look(looks.look_of("lake"), rng, 2)


def test_verges_are_named_as_the_roads_of_looks():
    assert {look.road for look in looks.LOOKS.values()} == set(terrain.VERGES)
