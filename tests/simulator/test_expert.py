"""The expert laps every road inside its lane and comes back from where it is put."""

import math

import numpy as np
import pytest

from simulator import tracks, vehicle
from simulator.expert import Expert, SteeringNoise, plan_speeds
from simulator.vehicle import BODY_LENGTH_M, BODY_WIDTH_M
from simulator.world import FRAME_DT_S, World

SETTLE_S = 10.0


def lap(track, **settings):
    """Drive a lap and return the distances from the lane after the first seconds."""
    world, expert = World(track, cameras=()), Expert(track, **settings)
    seen = world.reset()
    errors_m = []
    while seen.lap < 1:
        seen = world.step(*expert(seen))
        assert not seen.off_road and not seen.collision and not seen.stuck
        if seen.time_s > SETTLE_S:
            errors_m.append(abs(seen.cross_track_error_m - expert.lane_offset_m))
    return np.array(errors_m)


def place_at_random(track, rng, heading_range_rad):
    """Return a pose with the whole body on the road."""
    heading_rad = rng.uniform(-heading_range_rad, heading_range_rad)
    reach_m = abs(math.sin(heading_rad)) * BODY_LENGTH_M / 2
    reach_m += abs(math.cos(heading_rad)) * BODY_WIDTH_M / 2
    room_m = track.half_width_m - reach_m
    return {
        "station_m": rng.uniform(0, track.length_m),
        "lateral_m": rng.uniform(-room_m, room_m),
        "heading_error_rad": heading_rad,
    }


def recovers(world, pose, within_s=60.0):
    expert = Expert(world.track)
    seen = world.reset(**pose)
    while seen.time_s < within_s:
        seen = world.step(*expert(seen))
        error_m = abs(seen.cross_track_error_m - expert.lane_offset_m)
        if error_m < 0.5 and abs(seen.heading_error_rad) < 0.2:
            return True
    return False


@pytest.mark.parametrize("name", tracks.LAYOUTS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_expert_laps_every_layout_in_its_lane(name, direction):
    track = tracks.make_track(name)
    errors_m = lap(track if direction == "forward" else track.reversed())
    # Half of what is left of a lane beside the car.
    assert errors_m.max() < 1.0
    assert errors_m.mean() < 0.4


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 100), marks=pytest.mark.slow)]
)
def test_expert_laps_random_tracks_without_leaving(seeds):
    for seed in seeds:
        track = tracks.random_track(seed)
        errors_m = lap(track.reversed() if seed % 2 else track)
        assert errors_m.max() < 0.6, seed


def test_expert_keeps_any_lane_it_is_given():
    assert lap(tracks.jungle(), lane_offset_m=-2.4).max() < 1.0
    assert lap(tracks.lake(), lane_offset_m=2.0).max() < 0.6


def test_expert_keeps_its_speed():
    world, expert = World(tracks.lake(), cameras=()), Expert(tracks.lake(), None, 15.0)
    seen = world.reset()
    speeds = []
    for _ in range(600):
        seen = world.step(*expert(seen))
        speeds.append(seen.speed_mps / vehicle.MPS_PER_MPH)
    assert np.median(speeds) == pytest.approx(15, abs=0.6)
    assert max(speeds) < 16


@pytest.mark.parametrize(
    ("name", "heading_range_rad"),
    [
        # From the jungle's steepest ramps no car with this reverse gear turns round.
        ("jungle", math.radians(45)),
        ("mountain", math.radians(45)),
        ("lake", math.pi),
        ("random:2", math.pi),
    ],
)
def test_expert_recovers_from_250_random_poses_on_the_road(
    name, heading_range_rad, rng
):
    world = World(tracks.make_track(name), cameras=())
    poses = [place_at_random(world.track, rng, heading_range_rad) for _ in range(250)]
    lost = [pose for pose in poses if not recovers(world, pose)]
    assert lost == []


def test_disturbed_expert_stays_on_the_road(rng):
    world, expert = World(tracks.lake(), cameras=()), Expert(tracks.lake(), None, 25.0)
    noise = SteeringNoise(rng, 0.15)
    seen = world.reset()
    errors_m = []
    while seen.lap < 1:
        control = expert(seen)
        seen = world.step(control.steering + noise(FRAME_DT_S), control.throttle)
        errors_m.append(seen.cross_track_error_m)
        assert not seen.off_road
    # The disturbance must do something, else there is nothing to learn from it.
    assert np.std(errors_m) > 0.15


def test_noise_has_the_stated_size_whatever_the_step(rng):
    for dt_s in (1 / 60, 1 / 15):
        noise = SteeringNoise(rng, 0.2, duration_s=0.6)
        values = [noise(dt_s) for _ in range(60_000)]
        # About 1,700 independent values at the shorter step: 2 % standard error.
        assert np.std(values) == pytest.approx(0.2, rel=0.1)


def test_no_noise_is_no_noise(rng):
    assert SteeringNoise(rng, 0.0)(FRAME_DT_S) == 0.0


def test_planned_speeds_can_be_braked_to():
    track = tracks.jungle()
    speeds = plan_speeds(track, 13.0)
    following = np.roll(speeds, -1)
    braking = (speeds**2 - following**2) / (2 * track.spacing_m)
    assert braking.max() <= 3.0 + 1e-6
    sideways = speeds**2 * np.abs(track.curvature_per_m)
    assert sideways.max() <= 5.0 + 1e-6


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lane_offset_m": 4.5}, "within ±4.0 m"),
        ({"speed_mph": 45.0}, "expected [3, 30]"),
    ],
)
def test_expert_refuses(settings, text):
    with pytest.raises(ValueError) as refusal:
        Expert(tracks.lake(), **settings)
    assert text in str(refusal.value)
