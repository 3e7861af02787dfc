"""Heat maps of a drive that goes on."""

import cv2
import numpy as np
from running_drive import Drive, picture_of, say, serving, state_of

from driving.cockpit.heat_map import HeatMap
from network.saliency import clear_picture


def test_heat_maps_come_to_the_page_that_asks_for_them(jpegs):
    heat = np.zeros((160, 320), np.float32)
    heat[80:, 160:] = 1
    with (
        serving(heat_map=HeatMap(lambda frame: clear_picture(heat))) as running,
        running.simulator() as client,
        running.page() as page,
        running.page() as other,
    ):
        say(page, "heat_map", on=True)
        state_of(page, lambda s: s["heat_map"])
        assert not state_of(other)["heat_map"]
        car = Drive(client, jpegs)
        car.frame()
        assert picture_of(page, 2) == clear_picture(heat)
        say(page, "heat_map", on=False)
        state_of(page, lambda s: not s["heat_map"])
        kinds = set()
        for _ in range(5):
            car.frame()
            for each in (page, other):
                while isinstance(message := each.recv(timeout=10), str):
                    pass
                kinds.add(message[0])
        assert kinds == {1}


def test_heat_map_is_clear_where_it_is_cold():
    heat = np.linspace(0, 1, 320, dtype=np.float32)[None].repeat(160, axis=0)
    picture = cv2.imdecode(
        np.frombuffer(clear_picture(heat), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert picture.shape == (160, 320, 4)
    assert picture[0, 0, 3] == 0 and 0 < picture[0, -1, 3] < 255
    assert (np.diff(picture[0, :, 3].astype(int)) >= 0).all()
