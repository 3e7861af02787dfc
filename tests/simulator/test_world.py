"""The world: time, laps, collisions, bits; with and without cameras."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator import tracks
from simulator.collisions import Collider
from simulator.expert import Expert
from simulator.scenery import SceneSettings
from simulator.vehicle import Car
from simulator.world import FRAME_DT_S, STUCK_AFTER_S, World


@pytest.fixture
def blind_world():
    return World(tracks.lake(), cameras=())


def test_reset_puts_the_car_where_it_is_told(blind_world):
    seen = blind_world.reset(
        station_m=300.0, lateral_m=-1.5, heading_error_rad=0.2, speed_mps=5.0
    )
    assert seen.station_m == pytest.approx(300, abs=1e-3)
    assert seen.cross_track_error_m == pytest.approx(-1.5, abs=1e-3)
    assert seen.heading_error_rad == pytest.approx(0.2, abs=1e-6)
    assert (seen.speed_mps, seen.time_s, seen.progress_m, seen.lap) == (5.0, 0, 0, 0)
    assert seen.frames == {}


def test_a_step_is_a_fifteenth_of_a_second(blind_world):
    blind_world.reset()
    times = [blind_world.step(0.0, 0.5).time_s for _ in range(15)]
    assert times[0] == pytest.approx(1 / 15)
    assert times[-1] == pytest.approx(1.0)


def test_a_lap_counts_when_the_car_has_come_round(blind_world):
    expert = Expert(blind_world.track)
    seen = blind_world.reset(station_m=100.0)
    laps = []
    while seen.progress_m < blind_world.track.length_m + 20:
        seen = blind_world.step(*expert(seen))
        laps.append(seen.lap)
    crossed = laps.index(1)
    assert laps[:crossed] == [0] * crossed
    assert seen.station_m == pytest.approx(120, abs=2)


def test_driving_the_wrong_way_is_no_lap(blind_world):
    expert = Expert(blind_world.track.reversed())
    backwards = World(blind_world.track.reversed(), cameras=())
    seen = backwards.reset()
    commands = []
    while seen.progress_m < 200:
        commands.append(expert(seen))
        seen = backwards.step(*commands[-1])
    seen = blind_world.reset(heading_error_rad=math.pi)
    for command in commands:
        seen = blind_world.step(*command)
    assert seen.progress_m == pytest.approx(-200, abs=3)
    assert seen.lap == 0


def test_same_commands_give_the_same_bits_and_others_do_not(blind_world):
    def digest(steering):
        blind_world.reset()
        for _ in range(50):
            blind_world.step(steering, 0.4)
        return blind_world.digest()

    assert digest(0.1) == digest(0.1)
    assert digest(0.1) != digest(0.1 + 1e-9)


def test_a_new_world_gives_the_bits_of_one_reset(blind_world):
    blind_world.step(0.3, 1.0)
    blind_world.reset()
    other = World(tracks.lake(), cameras=())
    other.reset()
    for world in (blind_world, other):
        for _ in range(30):
            world.step(-0.05, 0.7)
    assert blind_world.digest() == other.digest()


def test_leaving_the_asphalt_is_off_road(blind_world):
    seen = blind_world.reset(station_m=300.0, heading_error_rad=-0.5, speed_mps=8.0)
    while not seen.off_road:
        seen = blind_world.step(0.0, 0.2)
    assert abs(seen.cross_track_error_m) > blind_world.track.half_width_m
    assert seen.time_s < 3


def test_bridge_wall_stops_the_car(blind_world):
    middle_m = sum(tracks.LAKE_BRIDGE_M) / 2
    seen = blind_world.reset(station_m=middle_m, heading_error_rad=0.6, speed_mps=9.0)
    for _ in range(30):
        seen = blind_world.step(0.0, 1.0)
        if seen.collision:
            break
    assert seen.collision == "wall"
    assert seen.speed_mps < 1.0
    half_car_m = 2.435 / 2
    assert abs(seen.cross_track_error_m) < blind_world.track.half_width_m - half_car_m


def test_tree_stops_the_car(blind_world):
    around = blind_world.surroundings
    solid = around.things.solid()
    trees = solid.chosen(np.isclose(solid.radius_m, 0.35))
    road = blind_world.track
    collider = Collider(road, around.land, around.things)
    x, y, z = trees.foot_m[0]
    place = road.locate(x, y)
    beside = Car(x - 2.5, y, 0.0)
    assert collider.hit(beside, place, z) in solid.kind
    assert collider.hit(Car(x - 2.5, y, 0.0), place, z + 100.0) == ""


def test_water_stops_the_car(blind_world):
    land = blind_world.surroundings.land
    rows, columns = np.nonzero(land.heights_m < land.water_level_m - 2)
    k = len(rows) // 2
    x, y = (axis[rows[k], columns[k]] for axis in land.grid_m)
    place = blind_world.track.locate(x, y)
    things = blind_world.surroundings.things
    collider = Collider(blind_world.track, land, things)
    assert collider.hit(Car(x, y, 0.0), place, land.water_level_m) == "water"


def test_car_that_cannot_move_is_stuck_after_some_seconds(blind_world):
    middle_m = sum(tracks.LAKE_BRIDGE_M) / 2
    seen = blind_world.reset(station_m=middle_m, heading_error_rad=1.3, speed_mps=3.0)
    while not seen.collision:
        seen = blind_world.step(0.0, 0.5)
    hit_s = seen.time_s
    while not seen.stuck:
        seen = blind_world.step(0.0, 0.5)
    # It still creeps for some frames, up to the wall.
    assert seen.time_s - hit_s == pytest.approx(STUCK_AFTER_S, abs=5 * FRAME_DT_S)


def test_waiting_car_is_not_stuck(blind_world):
    blind_world.reset()
    assert not any(blind_world.step(0.0, 0.0).stuck for _ in range(120))


def test_move_to_road_keeps_time_and_progress(blind_world):
    blind_world.reset(station_m=300.0, heading_error_rad=-0.5, speed_mps=8.0)
    before = [blind_world.step(0.0, 0.2) for _ in range(20)][-1]
    after = blind_world.move_to_road()
    assert (after.time_s, after.progress_m) == (before.time_s, before.progress_m)
    assert after.cross_track_error_m == pytest.approx(0, abs=1e-6)
    assert after.speed_mps == 0


def test_commands_that_are_no_numbers_are_refused(blind_world):
    with pytest.raises(ValueError, match="not finite"):
        blind_world.step(math.nan, 0.0)


def test_only_the_cameras_asked_for_are_drawn():
    world = World(tracks.lake(), cameras=("left",))
    frames = world.reset().frames
    assert list(frames) == ["left"]
    assert frames["left"].shape == (160, 320, 3)
    assert frames["left"].dtype == np.uint8
    chase = world.render(("chase",), (64, 32))["chase"]
    assert chase.shape == (32, 64, 3)
    world.close()


def test_frames_are_the_same_for_the_same_seed_only():
    def frame(seed):
        world = World(tracks.random_track(2), seed=seed)
        world.reset()
        shown = world.step(0.1, 0.5).frames["center"]
        world.close()
        return shown

    first = frame(1)
    np.testing.assert_array_equal(frame(1), first)
    # Road, land and plants: nearly every pixel has another grain.
    assert (frame(2) != first).any(axis=2).mean() > 0.3


def test_reset_with_another_seed_makes_another_scenery():
    world = World(tracks.lake(), seed=1, settings=SceneSettings(haze=0.5))
    first = world.reset().frames["center"]
    other = world.reset(seed=2).frames["center"]
    assert (first != other).mean() > 0.3
    np.testing.assert_array_equal(world.reset(seed=1).frames["center"], first)
    assert world.settings == SceneSettings(1, 1, haze=0.5)
    world.close()


def test_physics_needs_neither_panda3d_nor_opencv():
    code = (
        "import sys; from simulator import tracks, world\n"
        "w = world.World(tracks.lake(), cameras=()); w.reset()\n"
        "w.step(0.0, 0.5)\n"
        "print(sorted({'panda3d', 'cv2', 'keras'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_height_pitch_and_roll_follow_the_road():
    track = tracks.jungle()
    steep_m = float(track.station_m[int(np.argmax(track.grade))])
    world = World(track, cameras=())
    world.reset(station_m=steep_m, lateral_m=0.0)
    height_m, pitch_rad, roll_rad = world._attitude()
    assert height_m == pytest.approx(track.point_at(steep_m).z_m, abs=0.05)
    # The wheelbase bridges 3 m of a slope that is steepest at one point.
    assert math.tan(pitch_rad) == pytest.approx(track.grade.max(), abs=0.03)
    assert abs(roll_rad) < 0.02
    world.reset(station_m=steep_m, heading_error_rad=math.pi / 2)
    _, pitch_rad, roll_rad = world._attitude()
    assert abs(pitch_rad) < 0.05
    # The nose points left, so uphill is on the right.
    assert math.tan(roll_rad) == pytest.approx(-track.grade.max(), abs=0.03)


def test_car_is_put_back_between_the_walls_of_a_narrow_bridge():
    road = replace(
        tracks.lake(), half_width_m=2.0, lane_offsets_m=(1.0, -1.0), start_m=700.0
    )
    world = World(road, seed=0)
    assert world.reset(lateral_m=1.0).cross_track_error_m == pytest.approx(1.0)
    assert world.step(0.0, 0.5).collision == "wall"
    world.move_to_road()
    assert [world.step(0.0, 0.5).collision for _ in range(30)] == [""] * 30
