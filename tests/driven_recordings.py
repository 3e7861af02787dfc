"""Recordings of what the embedded car does, without its pictures, which take long."""

import math
import os

import cv2
import numpy as np
from made_recordings import stamp

from simulator import controls, tracks
from simulator.expert import Expert
from simulator.track import Track
from simulator.vehicle import MPS_PER_MPH
from simulator.world import FRAME_DT_S, World


def expert(seen, wanted):
    """The expert's own hand on the wheel."""
    return wanted.steering, wanted.throttle


class Keys:
    """Holds a key while the wheel is not where the expert wants it."""

    def __init__(self):
        self.steering = 0.0

    def __call__(self, seen, wanted):
        missing = wanted.steering - self.steering
        turn = 0 if abs(missing) < 0.08 else int(math.copysign(1, missing))
        rate = controls.STEERING_PER_S if turn else controls.RETURN_PER_S
        self.steering = controls.ramp(self.steering, turn, rate, FRAME_DT_S)
        return self.steering, wanted.throttle


class Taps:
    """Taps a key twice a second, and lets go: most of the time the wheel is straight.

    Each tap gives half of what the bend asks for, so that none is too much.
    """

    # Steering times seconds of a tap up to 1, of the ramps up and down.
    AREA = (1 / controls.STEERING_PER_S + 1 / controls.RETURN_PER_S) / 2
    PERIOD = 8  # frames

    def __init__(self):
        self.steering, self.peak, self.turn = 0.0, 0.0, 0

    def __call__(self, seen, wanted):
        if round(seen.time_s / FRAME_DT_S) % self.PERIOD == 0:
            area = 0.5 * abs(wanted.steering) * self.PERIOD * FRAME_DT_S
            self.peak = math.sqrt(area / self.AREA)
            if self.peak > 2 * FRAME_DT_S:
                self.turn = int(math.copysign(1, wanted.steering))
        if self.turn and abs(self.steering) >= self.peak:
            self.turn = 0
        rate = controls.STEERING_PER_S if self.turn else controls.RETURN_PER_S
        self.steering = controls.ramp(self.steering, self.turn, rate, FRAME_DT_S)
        return self.steering, wanted.throttle


def into_the_wall(from_m):
    """The expert's hand, which sleeps with the foot down from a station on."""

    def hand(seen, wanted):
        if seen.station_m < from_m:
            return wanted.steering, wanted.throttle
        return 0.15, 1.0

    return hand


def drive(
    track, laps, hand=expert, speed_mph=30.0, most_s=600.0, brakes=False, **start
):
    """Drive a track, by name or as such; return rows and the last observation.

    A row is time [s], steering, pedals and speed [mph]. In the end the car brakes until
    it stands, or drives on.
    """
    track = tracks.make_track(track) if isinstance(track, str) else track
    world, driver = World(track, cameras=()), Expert(track, speed_mph=speed_mph)
    seen = world.reset(**(start or {"lateral_m": driver.lane_offset_m}))
    rows = []
    way_m = laps * track.length_m
    while seen.time_s < most_s and (seen.progress_m < way_m or brakes):
        steering, pedals = hand(seen, driver(seen))
        if seen.progress_m >= way_m:
            if seen.forward_mps < 0.5:
                break
            pedals = -1.0
        rows.append((seen.time_s, steering, pedals, seen.speed_mps / MPS_PER_MPH))
        seen = world.step(steering, pedals)
    return rows, seen


def there_and_back(name, laps, laps_back, hand=expert):
    """Drive a track, turn round on the road, and drive back, without a pause."""
    rows, seen = drive(name, laps, hand, brakes=True)
    back = tracks.make_track(name).reversed()
    begin = {
        "station_m": -seen.station_m % back.length_m,
        "lateral_m": -seen.cross_track_error_m,
        "heading_error_rad": math.pi,
    }
    return one_after_the_other(rows, drive(back, laps_back, hand, **begin)[0])


def one_after_the_other(*drives, pause_s=FRAME_DT_S):
    """Join the rows of drives; a pause of over a second parts sessions."""
    rows, begin_s = [], 0.0
    for each in drives:
        rows += [(begin_s + row[0], *row[1:]) for row in each]
        begin_s = rows[-1][0] + pause_s
    return rows


def straight_road(length_m=600.0, radius_m=30.0):
    """Two long straights, and bends at their ends."""
    side = np.arange(0.0, length_m)
    arc = np.arange(0.0, math.pi, 1 / radius_m)
    x = [side, length_m + radius_m * np.sin(arc), side[::-1], -radius_m * np.sin(arc)]
    y = [
        0 * side,
        radius_m - radius_m * np.cos(arc),
        0 * side + 2 * radius_m,
        radius_m + radius_m * np.cos(arc),
    ]
    line = np.column_stack([np.concatenate(x), np.concatenate(y)])
    points = tracks.resample_closed(np.column_stack([line, np.zeros(len(line))]))
    return Track(name="straight", points=points, half_width_m=5.0, start_m=40.0)


def write_driven(folder, rows, pictures=False):
    """Write the rows of a drive as a recording; return its folder.

    Args:
        pictures: Whether every row has pictures of its own, grey ones with some noise;
            else all share one, which a reader must not look into.
    """
    (folder / "IMG").mkdir(parents=True)
    rng, lines, first = np.random.default_rng(0), [], None
    for time_s, steering, pedals, speed_mph in rows:
        names = [f"IMG/{c}_{stamp(time_s)}.jpg" for c in ("center", "left", "right")]
        for name in names:
            if first is None or pictures:
                small = rng.integers(90, 130, (20, 40, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / name), cv2.resize(small, (320, 160)))
                first = first or folder / name
            else:
                os.link(first, folder / name)
        numbers = (steering, max(0.0, pedals), max(0.0, -pedals), speed_mph)
        lines.append(",".join([*names, *(f"{number:.6f}" for number in numbers)]))
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return folder
