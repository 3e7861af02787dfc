"""What is written over the chase view: speed, steering, lap, and the recording light.

Drawn with Panda3D's text and plain cards, which the software renderer can show, too.
"""

from dataclasses import dataclass

from panda3d import core

_WHITE, _GREY, _RED = (1, 1, 1, 1), (0.1, 0.1, 0.1, 0.55), (0.9, 0.1, 0.08, 1)
_AMBER = (1.0, 0.72, 0.1, 1)
_BAR_HALF_WIDTH = 0.42  # heights of the window are 2
SLOW_PACE = 0.95  # of simulated to real time; what is below is told
_EDGE = 0.06  # distance of text from the window's edges


@dataclass(frozen=True)
class Readings:
    """What the display shows."""

    speed_mph: float
    """The speed over ground."""
    steering: float
    """The steering executed, [-1, 1], + is right."""
    lap: int
    """The number of the lap that is driven, from 1."""
    lap_s: float
    """The time in this lap."""
    num_rows: int | None
    """How many rows this take has; None: nothing is recorded."""
    pace: float | None
    """Simulated over real time of this take; None: nothing is recorded."""
    message: str
    """A line for the driver, "" for none."""

    def __post_init__(self) -> None:
        if not -1 <= self.steering <= 1:
            raise ValueError(f"steering is {self.steering}, expected [-1, 1]")


class Hud:
    """The display over one window, above its other regions."""

    def __init__(self, window: core.GraphicsOutput) -> None:
        self._root = core.NodePath("hud")
        self._root.setDepthTest(False)
        self._root.setDepthWrite(False)
        self._root.setTransparency(core.TransparencyAttrib.MAlpha)
        self._lens = core.OrthographicLens()
        self._lens.setNearFar(-10, 10)
        region = window.makeDisplayRegion()
        region.setSort(10)
        region.setCamera(self._root.attachNewNode(core.Camera("hud", self._lens)))
        self._bottom_left = self._root.attachNewNode("bottom left")
        self._top_right = self._root.attachNewNode("top right")
        self._speed = _text(self._bottom_left, (_EDGE, 0.08), 0.16)
        self._lap = _text(self._root, (0, 0.88), 0.075, core.TextNode.ACenter)
        self._message = _text(self._root, (0, -0.80), 0.06, core.TextNode.ACenter)
        right = core.TextNode.ARight
        self._rows = _text(self._top_right, (-_EDGE, -0.12), 0.075, right)
        self._light = _card(self._top_right, (-0.04, 0.04, -0.04, 0.04), _RED)
        self._make_bar()

    def _make_bar(self) -> None:
        half = _BAR_HALF_WIDTH
        _card(self._root, (-half, half, -0.94, -0.89), _GREY)
        self._bar = _card(self._root, (0, half, -0.93, -0.90), _AMBER)
        _card(self._root, (-0.004, 0.004, -0.95, -0.88), _WHITE)
        # A bar that grows to the left is turned over.
        self._bar.setTwoSided(True)

    def show(self, readings: Readings, aspect: float) -> None:
        """Show `readings` in a window of this width over height."""
        self._lens.setFilmSize(2 * aspect, 2)
        self._bottom_left.setPos(-aspect, 0, -1)
        self._top_right.setPos(aspect, 0, 1)
        self._speed.setText(f"{readings.speed_mph:.0f} mph")
        minutes, seconds = divmod(readings.lap_s, 60)
        self._lap.setText(f"lap {readings.lap}   {minutes:.0f}:{seconds:04.1f}")
        self._message.setText(readings.message)
        # A scale of zero cannot be turned back into the bar: keep a hair of it.
        self._bar.setSx(readings.steering or 1e-3)
        is_recording = readings.num_rows is not None
        self._rows.setText(_recording_text(readings) if is_recording else "")
        if is_recording:
            # The light stands left of its text, however long that is.
            self._light.setPos(-2 * _EDGE - self._rows.getWidth() * 0.075, 0, -0.095)
            self._light.show()
        else:
            self._light.hide()


def _recording_text(readings: Readings) -> str:
    """Return the number of rows, and the pace where it is slow motion."""
    text = f"REC {readings.num_rows}"
    if readings.pace is not None and readings.pace < SLOW_PACE:
        text = f"slow motion {readings.pace:.0%}   {text}"
    return text


def _text(
    parent: core.NodePath,
    position: tuple[float, float],
    size: float,
    align: core.TextNode = core.TextNode.ALeft,
) -> core.TextNode:
    """Return white text with a dark shadow, which any ground lets one read."""
    node = core.TextNode("text")
    node.setTextColor(*_WHITE)
    node.setShadow(0.05, 0.05)
    node.setShadowColor(0, 0, 0, 0.9)
    node.setAlign(align)
    path = parent.attachNewNode(node)
    path.setScale(size)
    path.setPos(position[0], 0, position[1])
    return node


def _card(
    parent: core.NodePath,
    frame: tuple[float, float, float, float],
    colour: tuple[float, float, float, float],
) -> core.NodePath:
    """Return a card of one colour; `frame` is left, right, bottom, top."""
    maker = core.CardMaker("card")
    maker.setFrame(*frame)
    path = parent.attachNewNode(maker.generate())
    path.setColor(*colour)
    return path
