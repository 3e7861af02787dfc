"""The process that draws heat maps: it draws what the model sees, and never stays."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from running_drive import Drive, say, serving, state_of

from common.errors import InputError
from driving.cockpit.drawing import DrawingProcess
from driving.cockpit.heat_map import HeatMap
from network.files import BASE_MODEL, check_json, load_model
from network.saliency import can_look, clear_picture, make_saliency

ROOT = Path(__file__).parents[3]


def children():
    """Return the processes that draw; the others are of another test."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if "driving.cockpit.drawing" in each.cmdline()]


def newest_heat(page):
    """Return the heat map among what a page is sent in a moment, if there is one."""
    with contextlib.suppress(TimeoutError):
        while True:
            message = page.recv(timeout=0.1)
            if isinstance(message, bytes) and message[0] == 2:
                return message[1:]


def end(draw):
    """Do what the end of the process does that has begun it."""
    with draw._process as process:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(20) == 0


def test_a_page_is_shown_what_the_model_looks_at(jpegs):
    draw = DrawingProcess(BASE_MODEL)
    heat_map = HeatMap(draw)
    with (
        serving(heat_map=heat_map) as running,
        running.simulator() as client,
        running.page() as page,
    ):
        assert not children()  # Nobody has asked for one.
        say(page, "heat_map", on=True)
        car = Drive(client, jpegs[:1])
        shown = None
        # TensorFlow loads meanwhile; every frame is answered all the same.
        deadline_s = time.monotonic() + 120
        while shown is None and time.monotonic() < deadline_s:
            car.frame()
            shown = newest_heat(page)
        frame = running.server.newest.frame
    look = make_saliency(load_model(BASE_MODEL))
    assert shown == clear_picture(look(frame))
    assert len(children()) == 1
    end(draw)
    assert not children()


def test_a_model_that_cannot_be_loaded_ends_in_a_word_and_the_drive_goes_on(
    jpegs, tmp_path, caplog
):
    path = tmp_path / "model.json"
    path.write_bytes(BASE_MODEL.read_bytes())  # Without its weights.
    draw = DrawingProcess(path)
    with (
        serving(heat_map=HeatMap(draw)) as running,
        running.simulator() as client,
        running.page() as page,
    ):
        state_of(page, lambda s: s["can_heat_map"])
        say(page, "heat_map", on=True)
        car = Drive(client, jpegs)
        deadline_s = time.monotonic() + 120
        while "no heat maps" not in caplog.text and time.monotonic() < deadline_s:
            car.frame()
            newest_heat(page)
        car.frame()
        state_of(page, lambda s: not s["can_heat_map"])
    assert caplog.text.count("no heat maps any more") == 1
    with draw._process as process, pytest.raises(InputError, match="has ended"):
        draw(np.zeros((160, 320, 3), np.uint8))
    assert process.returncode
    assert not children()


def test_it_ends_with_the_process_that_has_begun_it():
    code = (
        "import os; from pathlib import Path;"
        "from driving.cockpit.drawing import DrawingProcess;"
        f"draw = DrawingProcess(Path({str(BASE_MODEL)!r}));"
        "print(draw._started().pid, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(ended.stdout)).wait(10)


def test_which_models_have_heat_maps_is_known_without_keras(tmp_path):
    config = check_json(BASE_MODEL)
    assert can_look(config)
    for word in ("Conv2D", "crop", "view"):
        text = json.dumps(config).replace(f'"{word}"', '"Dense"')
        assert not can_look(json.loads(text))


@pytest.mark.parametrize("layers", [None, 3, [1], {}])
def test_what_is_no_model_has_none(layers):
    assert not can_look({"config": {"layers": layers}})
    assert not can_look({"config": layers})
