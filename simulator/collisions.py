"""What stops a car: trees, rocks, signs, the walls of bridges, and water.

Everything comes from the same land and obstacles that the scenery shows.
"""

import math
from collections import defaultdict

import numpy as np

from simulator.obstacles import Obstacles
from simulator.terrain import Terrain
from simulator.track import Place, Track
from simulator.vehicle import BODY_LENGTH_M, BODY_WIDTH_M, Car, reach_m

CELL_M = 8.0
CAR_HEIGHT_M = 1.4
WALL_GAP_M = 0.15  # the lake's bridge leaves 10.3 m between its walls


class Collider:
    """Finds what a car touches on a road as it is driven, and on the land around it."""

    def __init__(self, track: Track, land: Terrain, things: Obstacles) -> None:
        self._track, self._land = track, land
        solid = things.solid()
        self._cells: dict[tuple[int, int], list[tuple]] = defaultdict(list)
        columns = (*solid.foot_m.T, solid.size_m[:, 1], solid.radius_m, solid.kind)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for x, y, z, height, radius, kind in rows:
            reach = radius + math.hypot(BODY_LENGTH_M, BODY_WIDTH_M) / 2
            for cell in _cells_around(x, y, reach):
                self._cells[cell].append((x, y, z, height, radius, kind))

    def hit(self, car: Car, place: Place, height_m: float) -> str:
        """Return the kind of thing that the car touches, "" if none.

        `place` is where the car is on the road, `height_m` the ground under it.
        """
        if self._track.on_bridge[place.index]:
            return "wall" if self._touches_wall(car, place) else ""
        if self._is_in_water(car, place):
            return "water"
        cell = math.floor(car.x_m / CELL_M), math.floor(car.y_m / CELL_M)
        cos, sin = math.cos(car.heading_rad), math.sin(car.heading_rad)
        for x, y, z, height, radius, kind in self._cells.get(cell, ()):
            # Roads cross: what stands far above or below is not in the way.
            if z > height_m + CAR_HEIGHT_M or z + height < height_m:
                continue
            dx, dy = x - car.x_m, y - car.y_m
            ahead = max(0.0, abs(dx * cos + dy * sin) - BODY_LENGTH_M / 2)
            aside = max(0.0, abs(dy * cos - dx * sin) - BODY_WIDTH_M / 2)
            if ahead * ahead + aside * aside < radius * radius:
                return kind
        return ""

    def _touches_wall(self, car: Car, place: Place) -> bool:
        road_rad = self._track.point_at(place.station_m).heading_rad
        wall_m = self._track.half_width_m + WALL_GAP_M
        return abs(place.lateral_m) + reach_m(car.heading_rad - road_rad) > wall_m

    def _is_in_water(self, car: Car, place: Place) -> bool:
        if abs(place.lateral_m) <= self._track.half_width_m:
            return False
        land_m = self._land.land_m(np.array([car.x_m]), np.array([car.y_m]))[0]
        return bool(land_m < self._land.water_level_m)


def _cells_around(x_m: float, y_m: float, radius_m: float) -> list[tuple[int, int]]:
    def cells(middle_m: float) -> range:
        low_m, high_m = middle_m - radius_m, middle_m + radius_m
        return range(math.floor(low_m / CELL_M), math.floor(high_m / CELL_M) + 1)

    return [(column, row) for column in cells(x_m) for row in cells(y_m)]
