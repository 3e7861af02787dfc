"""HTML pages: one file each, drawings and all, that opens without a network.

    page = render("evaluation/report.html", title="How models drive", ...)

A page's template lies beside the Python that fills it, and extends common/page.html.
Whatever is put into it is text, and shown as it is; only what this module draws is not.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.text import shown

if TYPE_CHECKING:
    import numpy as np
    from markupsafe import Markup
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
DOTS_PER_INCH = 110
# What drawings are inked in: on the page it is the colour of the text around them.
INK = "#010203"
# Of a photograph within a page: at 80 the road's texture still shows, in 8 kB.
JPEG_QUALITY = 80
# What matplotlib writes into an SVG and a page has no use for.
SVG_NOISE = re.compile("<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
SVG_DIGITS = re.compile(r"(\d+\.\d)\d+")
SVG_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")
SVG_SIZE = re.compile(r' (?:width|height)="[\d.]+pt"')


def render(template: str, **values: Any) -> str:
    """Return a whole page.

    Args:
        template: The path of its template from the project's root.
        values: What it is filled with; `title` is its heading and the window's.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(ROOT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


# --- Pictures -------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """A drawing or a photograph, within the page or beside it.

    Raises:
        ValueError: There is neither a drawing nor a source, or both.
    """

    title: str = ""
    """Stands above it, and is read out in its place."""
    caption: str = ""
    """Stands below it."""
    svg: Markup | str = ""
    """A drawing, as to_svg returns it."""
    source: str = ""
    """The address of a picture: data within the page, or a file beside it."""
    is_drawn: bool = False
    """Whether the source is a drawing, which needs white paper in the dark."""

    def __post_init__(self) -> None:
        if bool(self.svg) == bool(self.source):
            raise ValueError(f"{self.title}: expected a drawing or a source")


def png_data(png: bytes) -> str:
    """Return a PNG file as the address of a picture within the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def photo_data(png: bytes) -> str:
    """Return a PNG file of photographs as one that takes a quarter of the room."""
    import cv2
    import numpy as np

    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None, "our own PNG can be decoded"
    return jpeg_data(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def jpeg_data(picture: np.ndarray) -> str:
    """Return uint8 RGB (height, width, 3) as the address of a picture in the page."""
    import cv2

    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    is_done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert is_done, "OpenCV encodes every uint8 picture"
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


def to_svg(figure: Figure) -> Markup:
    """Return a figure as a drawing in the ink of the page around it.

    What it draws in INK follows the page from light to dark; its text is text.
    """
    import matplotlib
    from markupsafe import Markup

    _show_literally(figure)
    content = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "page"}
    with matplotlib.rc_context(settings), _without_glyph_warnings():
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    svg = content.getvalue()
    svg = SVG_NOISE.sub("", svg[svg.index("<svg") :])
    svg = SVG_FONT.sub(r"font-size: \1px", SVG_DIGITS.sub(r"\1", svg))
    svg = SVG_SIZE.sub("", svg, count=2).replace(INK, "currentColor")
    # Markup, for it is our own: a name in it is escaped as that of any XML.
    return Markup(re.sub(r"\n\s*", "\n", svg).strip())


def to_png(figure: Figure, dpi: int = DOTS_PER_INCH, tight: bool = False) -> bytes:
    """Return a figure as a PNG file, cut to what is drawn if tight.

    All text in it is shown as it is: a name with a $ is no formula.
    """
    _show_literally(figure)
    content = io.BytesIO()
    with _without_glyph_warnings():
        box = "tight" if tight else None
        figure.savefig(content, format="png", dpi=dpi, bbox_inches=box)
    return content.getvalue()


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Keep quiet of letters that the font lacks: the page's text has the name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def _show_literally(figure: Figure) -> None:
    """Let text in a figure be what it is, not a formula, nor what cannot be drawn."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter

    formulas: set[Text] = set()
    for axis in figure.findobj(Axis):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # Of ticks that are names.
            formatter.func = _shown_by(formatter.func)
            axis.get_ticklabels()  # Makes them.
        elif axis.get_scale() != "linear":  # Powers of ten are formulas, and ours.
            formulas.update(set(axis.findobj(Text)) - {axis.label})
    for text in set(figure.findobj(Text)) - formulas:
        text.set_parse_math(False)
        text.set_text(_lines_shown(text.get_text()))


def _shown_by(function: Callable[..., str]) -> Callable[..., str]:
    return lambda *place: _lines_shown(function(*place))


def _lines_shown(text: str) -> str:
    return "\n".join(map(shown, text.split("\n")))
