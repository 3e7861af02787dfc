"""A window in which a person drives, and records as with the stock simulator.

    world = LiveWorld(make_track("lake"), cameras=())
    with Window("lake") as window:
        Session(world, window, out=Path("data/mine")).run()

The view is drawn by OpenGL, or by Panda3D's software renderer where there is none. The
three cameras of a recording are always drawn by the software renderer: a recording does
not depend on the graphics card.
"""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from panda3d import core

from simulator import camera
from simulator.controls import Controls, Inputs
from simulator.hud import Hud, Readings
from simulator.mesh import Scene
from simulator.recorder import CAMERAS, Recorder
from simulator.vehicle import MPS_PER_MPH, clipped
from simulator.world import PHYSICS_DT_S, STEPS_PER_FRAME, Observation, World

# Failures are told in one line of ours, not in several of the drivers'.
core.loadPrcFileData(
    "",
    "notify-level-x11display fatal\nnotify-level-glxdisplay fatal\n"
    "notify-level-tinydisplay fatal\nnotify-level-display fatal\n",
)

SIZE = (960, 540)  # width, height; the window can be resized
RENDERERS = ("auto", "opengl", "software")
MODULES = {"opengl": "pandagl", "software": "p3tinydisplay"}
MAX_LATE_S = 0.25  # a machine that is slower than that drives in slow motion
# What a system sends to end a program: Ctrl-C, kill, a terminal or console that closes.
LEAVE_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
MESSAGE_S = 4.0
RECORD_KEY, LEAVE_KEY, RETURN_KEY = "r", "escape", "backspace"
KEY_PREFIX = "key-"
HELP = "arrows or WASD drive, R records, Backspace back to the road, Esc leaves"


class LiveWorld(World):
    """A world that goes on in single steps of physics, as a display needs it."""

    def tick(self, steering: float, throttle: float) -> Observation:
        """Drive on for PHYSICS_DT_S; the observation has no frames."""
        self._collision = ""
        self._physics_step(steering, throttle)
        return self._observe()

    def pose(self) -> camera.Pose:
        """Return where the car stands."""
        car, (height_m, *tilt_rad) = self._car, self._attitude()
        return camera.Pose(car.x_m, car.y_m, height_m, car.heading_rad, *tilt_rad)

    def scene(self) -> Scene:
        """Return what there is to see; the recorded cameras are made ready, too."""
        self.render(CAMERAS)
        assert self._scene is not None, "rendering makes the scene"
        return self._scene


class Window:
    """A window with keyboard, mouse and gamepad.

    Args:
        renderer: One of RENDERERS; auto takes OpenGL if it works, else software.

    Raises:
        camera.RenderingError: If there is no display, or nothing that can draw on it;
            the message names the command that mends it.
    """

    def __init__(self, title: str, renderer: str = "auto") -> None:
        self._engine = core.GraphicsEngine.getGlobalPtr()
        self._window, self.renderer = _open(self._engine, title, renderer)
        self._root = core.NodePath("view")
        self._car = self._root.attachNewNode("car")
        path = camera.mount("chase", self._car)
        self._lens = path.node().getLens()
        self._window.makeDisplayRegion().setCamera(path)
        self._hud = Hud(self._window)
        self._held: set[str] = set()
        self._drag_from: float | None = None
        self._listen()

    def _listen(self) -> None:
        data = core.NodePath("devices")
        devices = data.attachNewNode(core.MouseAndKeyboard(self._window, 0, "devices"))
        self._watcher = core.MouseWatcher("watcher")
        watched = devices.attachNewNode(self._watcher)
        keys = core.ButtonThrower("keys")
        keys.setPrefix(KEY_PREFIX)
        watched.attachNewNode(keys)
        self._data, self._traverser = data, core.DataGraphTraverser()
        self._gamepads = core.InputDeviceManager.getGlobalPtr()

    def attach(self, scene: Scene) -> None:
        """Show this scene and the car in it."""
        self._sky, self._light = camera.attach_scene(self._root, scene), scene.light
        camera.attach_body(self._car)

    @property
    def is_open(self) -> bool:
        """Whether the person has not closed it."""
        return not self._window.isClosed()

    def read(self) -> tuple[Inputs, list[str]]:
        """Return what is held, and the keys pressed since the last call."""
        self._traverser.traverse(self._data.node())
        queue, pressed = core.EventQueue.getGlobalEventQueue(), []
        while not queue.isQueueEmpty():
            name = queue.dequeueEvent().getName()
            if not name.startswith(KEY_PREFIX):
                continue  # The window tells its own events here, too.
            name = name.removeprefix(KEY_PREFIX)
            if name.endswith("-up"):
                self._held.discard(name.removesuffix("-up"))
            elif not name.endswith("-repeat"):
                self._held.add(name)
                pressed.append(name)
        return Inputs(frozenset(self._held), self._drag(), *self._gamepad()), pressed

    def _drag(self) -> float | None:
        if "mouse1" not in self._held or not self._watcher.hasMouse():
            self._drag_from = None
            return None
        x = self._watcher.getMouseX() / 2  # from [-1, 1] to widths of the window
        if self._drag_from is None:
            self._drag_from = x
        return x - self._drag_from

    def _gamepad(self) -> tuple[float, float]:
        """Return stick and pedals of the first gamepad, zeros without one."""
        self._gamepads.update()
        axis = core.InputDevice.Axis
        for device in self._gamepads.getDevices(core.InputDevice.DeviceClass.gamepad):
            device.poll()
            stick = device.findAxis(axis.left_x).value
            triggers = (axis.right_trigger, axis.left_trigger)
            forward, backward = (device.findAxis(each).value for each in triggers)
            return clipped(stick), clipped(forward - backward)
        return 0.0, 0.0

    def draw(self, pose: camera.Pose, readings: Readings) -> None:
        """Show the car from behind, and the display over it."""
        size = self._window.getProperties()
        aspect = max(1, size.getXSize()) / max(1, size.getYSize())
        camera.set_view(self._lens, aspect)
        self._hud.show(readings, aspect)
        camera.put_car(self._car, self._sky, pose)
        camera.light_road(self._root, self._light, pose)
        # The engine draws all that is active: not this when a recorded frame is due.
        self._window.setActive(True)
        self._engine.renderFrame()
        self._window.setActive(False)

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.removeWindow(self._window)
        self._root.removeNode()


@dataclass(frozen=True)
class Take:
    """A recording that was written."""

    folder: Path
    """Where it lies."""
    num_rows: int
    """How many rows it has, 15 for each simulated second."""
    pace: float
    """Simulated time over real time; below 1 the person drove in slow motion."""

    def __post_init__(self) -> None:
        if not self.pace >= 0:
            raise ValueError(f"pace is {self.pace}, expected 0 or more")


class Session:
    """A person's drive, from the first key to Esc.

    Args:
        out: The folder of the first take; "-2", "-3" and so on are added for later
            ones. None: nothing can be recorded.
        seed: Sets the date in the takes' file names.
    """

    def __init__(
        self, world: LiveWorld, window: Window, out: Path | None, seed: int = 0
    ) -> None:
        self._world, self._window, self._out, self._seed = world, window, out, seed
        self._controls = Controls()
        self._seen = world.reset()
        self._recorder: Recorder | None = None
        self._take = ExitStack()
        self._ticks = 0
        self._take_started_s = 0.0
        self._lap_started_s = 0.0
        self._message, self._message_until_s = HELP, math.inf
        self.takes: list[Take] = []
        """The recordings written."""
        self.failure = ""
        """Why a take ended before the person ended it, "" if none has."""
        window.attach(world.scene())

    def run(self) -> None:
        """Drive until Esc, a signal such as Ctrl-C, or the window is closed.

        A take is kept, complete. Keys are read and the view is drawn at least once in
        MAX_LATE_S and one recorded frame, however slow the machine is: simulated time
        that it cannot make up is dropped.
        """
        due_s = time.monotonic()
        with self._take, _hearing_signals() as told_to_leave:
            while self._window.is_open and not told_to_leave.is_set():
                inputs, pressed = self._window.read()
                if LEAVE_KEY in pressed:
                    break
                self._obey(pressed)
                now_s = time.monotonic()
                due_s = max(due_s, now_s - MAX_LATE_S)
                until_s = now_s + MAX_LATE_S
                while due_s <= now_s and time.monotonic() < until_s:
                    self._tick(inputs)
                    due_s += PHYSICS_DT_S
                self._window.draw(self._world.pose(), self._readings())
                time.sleep(max(0.0, due_s - time.monotonic()))
            self._stop_recording()

    def _obey(self, pressed: list[str]) -> None:
        if self._message == HELP and pressed:
            self._say(HELP)  # it has been read: let it go
        if RETURN_KEY in pressed:
            self._seen = self._world.move_to_road()
        for _ in range(pressed.count(RECORD_KEY)):
            if self._recorder is None:
                self._start_recording()
            else:
                self._stop_recording()

    def _tick(self, inputs: Inputs) -> None:
        self._controls.step(inputs, PHYSICS_DT_S)
        steering, throttle = self._controls.steering, self._controls.throttle
        if self._recorder is not None:
            if self._ticks % STEPS_PER_FRAME == 0:
                seen = replace(self._seen, frames=self._world.render(CAMERAS))
                self._record(self._recorder, seen, steering, throttle)
            self._ticks += 1
        lap = self._seen.lap
        self._seen = self._world.tick(steering, throttle)
        if self._seen.lap > lap:
            self._lap_started_s = self._seen.time_s
        if self._seen.collision:
            hit = self._seen.collision.replace("_", " ")
            self._say(f"{hit}: back off with S, or Backspace")

    def _record(
        self, recorder: Recorder, seen: Observation, steering: float, throttle: float
    ) -> None:
        """Write a row; on a full disk the take ends there, and is kept."""
        try:
            recorder.add(seen, steering, throttle)
        except OSError as error:
            self._stop_recording()
            self.failure = f"{recorder.folder} ends early: {error.strerror}"
            self._say(self.failure)

    def _start_recording(self) -> None:
        if self._out is None:
            self._say("start with --out FOLDER to record")
            return
        folder = next_folder(self._out)
        seed = self._seed + len(self.takes)
        try:
            self._recorder = self._take.enter_context(Recorder(folder, seed))
        except OSError as error:
            self.failure = f"{folder} is not recorded: {error.strerror or error}"
            self._say(self.failure)
            return
        self._ticks, self._take_started_s = 0, time.monotonic()
        self._say(f"recording into {folder}")

    def _stop_recording(self) -> None:
        if self._recorder is None:
            return
        recorder, pace, self._recorder = self._recorder, self._pace(), None
        # Its name may be taken by now, and a person drives no drive twice.
        recorder.move(next_folder(recorder.folder))
        self._take.close()
        self.takes.append(Take(recorder.folder, recorder.num_rows, pace))
        self._say(f"wrote {recorder.num_rows:,} rows to {recorder.folder}")

    def _pace(self) -> float:
        """Return the simulated time of this take over the real time that it took."""
        real_s = time.monotonic() - self._take_started_s
        return self._ticks * PHYSICS_DT_S / max(real_s, PHYSICS_DT_S)

    def _say(self, message: str) -> None:
        self._message = message
        self._message_until_s = time.monotonic() + MESSAGE_S

    def _readings(self) -> Readings:
        seen = self._seen
        is_said = time.monotonic() < self._message_until_s
        return Readings(
            speed_mph=seen.speed_mps / MPS_PER_MPH,
            steering=seen.steering,
            lap=seen.lap + 1,
            lap_s=seen.time_s - self._lap_started_s,
            num_rows=None if self._recorder is None else self._recorder.num_rows,
            pace=None if self._recorder is None else self._pace(),
            message=self._message if is_said else "",
        )


@contextmanager
def _hearing_signals() -> Iterator[threading.Event]:
    """Give an event that is set by the first signal to leave; the second ends all."""
    told_to_leave = threading.Event()
    before: dict[int, Any] = {}

    def hear(number: int, _: object) -> None:
        told_to_leave.set()
        signal.signal(number, before[number])

    for name in LEAVE_SIGNALS:
        number = getattr(signal, name, None)  # each system has its own
        # Ignored, as in a background job or under nohup, it stays so.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, hear) or signal.SIG_DFL
    try:
        yield told_to_leave
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def next_folder(out: Path) -> Path:
    """Return `out`, or if it exists the first free one of "-2", "-3" and so on."""
    folder, number = out, 1
    while folder.exists():
        number += 1
        folder = out.with_name(f"{out.name}-{number}")
    return folder


def _open(
    engine: core.GraphicsEngine, title: str, renderer: str
) -> tuple[core.GraphicsWindow, str]:
    """Return an open window and the name of what draws in it."""
    if renderer not in RENDERERS:
        known = ", ".join(RENDERERS)
        raise ValueError(f"no renderer is called {renderer!r}; there are: {known}")
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise camera.RenderingError(_no_display("DISPLAY is not set"))
    for name in MODULES if renderer == "auto" else (renderer,):
        window = _try_to_open(engine, title, MODULES[name])
        if window is not None:
            return window, name
    raise camera.RenderingError(_what_is_missing(renderer))


def _try_to_open(
    engine: core.GraphicsEngine, title: str, module: str
) -> core.GraphicsWindow | None:
    """Return a window drawn by a module of Panda3D, None if that does not work."""
    pipe = core.GraphicsPipeSelection.getGlobalPtr().makeModulePipe(module)
    if pipe is None or not pipe.isValid():
        return None
    frame_buffer = core.FrameBufferProperties()
    frame_buffer.setRgbColor(True)
    frame_buffer.setDepthBits(16)
    # Without one, nothing is ever flipped to the screen.
    frame_buffer.setBackBuffers(1)
    properties = core.WindowProperties.size(*SIZE)
    properties.setTitle(title)
    flags = core.GraphicsPipe.BFRequireWindow
    window = engine.makeOutput(pipe, title, 0, frame_buffer, properties, flags)
    if window is None:
        return None
    engine.openWindows()
    if window.isClosed():
        engine.removeWindow(window)
        return None
    window.setClearColorActive(False)  # the sky reaches all around
    return window


def _what_is_missing(renderer: str) -> str:
    """Return why no window could be opened, with the command that mends it."""
    selection = core.GraphicsPipeSelection.getGlobalPtr()
    if renderer == "opengl":
        return (
            "OpenGL does not work on this display; use --renderer software, or on "
            "Linux: sudo apt-get install libgl1 libgl1-mesa-dri"
        )
    if selection.makePipe("TinyOffscreenGraphicsPipe", MODULES["software"]) is None:
        return (
            "neither OpenGL nor Panda3D's software renderer loads; on Linux they need "
            "the system library libX11: sudo apt-get install libx11-6"
        )
    return _no_display(f"DISPLAY {os.environ.get('DISPLAY', '')!r} cannot be opened")


def _no_display(reason: str) -> str:
    return (
        f"no window without a display ({reason}): run it on a desktop, or on a virtual "
        "one: sudo apt-get install xvfb; xvfb-run python simulate.py window lake"
    )
