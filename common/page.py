"""HTML reports: one file each, pictures and all, that opens without a network."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from common.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8885; }
td:first-child, th:first-child { text-align: left; }
img, video { width: 100%; border-radius: .4rem; margin: .4rem 0 1rem; }
img { background: white; }
pre { overflow-x: auto; padding: .6rem .8rem; border-radius: .4rem;
      background: #8882; }
.beside { display: grid; gap: 0 1.5rem;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
"""
DOTS_PER_INCH = 110


def html_page(title: str, body: str) -> str:
    """Return a whole page.

    Args:
        title: Plain text, of the window and of the first heading.
        body: HTML that follows it.
    """
    title = html.escape(title)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style>"
        f"<h1>{title}</h1>{body}</html>\n"
    )


def html_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; heads stand over all columns but the first. All is plain text."""
    head = "".join(f"<th>{html.escape(cell)}" for cell in heads)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in row)
        for row in rows
    )
    return f"<table><tr><th>{head}{lines}</table>"


def html_picture(title: str, png: bytes, level: int = 2) -> str:
    """Return a picture within the page, under a heading of a level."""
    picture, title = base64.b64encode(png).decode(), html.escape(title)
    return (
        f"<h{level}>{title}</h{level}>"
        f'<img alt="{title}" src="data:image/png;base64,{picture}">'
    )


def to_png(figure: Figure, dpi: int = DOTS_PER_INCH, tight: bool = False) -> bytes:
    """Return a figure as a PNG file, cut to what is drawn if tight.

    All text in it is shown as it is: a name with a $ is no formula.
    """
    _show_literally(figure)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks becomes a box; the page's text has the name.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        box = "tight" if tight else None
        figure.savefig(content, format="png", dpi=dpi, bbox_inches=box)
    return content.getvalue()


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
