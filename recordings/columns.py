"""Which column of a log holds what, by the header: the right one, or none at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# By column: what people call it, without spaces, marks and capitals, in the languages
# that logs were seen in. The first name is the column's own and comes before the rest.
NAMES = {
    "steering": """
        steering steer angle steeringangle steerangle steeringvalue steeringcommand
        steeringinput steeringwheel steeringwheelangle wheelangle
        lenkung lenkwinkel volant braquage anglevolant direccion volante angulo
        anguloderotacion sterzo angolo direcao direksiyon stuurhoek kierownica руль
        转向 转向角 方向盘 ステアリング""",
    "throttle": """
        throttle accelerator accelerate accel acceleration gas gaspedal
        accelerateur acelerador acceleratore gaz gaspedaal газ 油门 スロットル""",
    "brake": """
        brake brakes braking break brakepedal reverse
        bremse frein freno freio fren rem hamulec тормоз 刹车 ブレーキ""",
    "speed": """
        speed velocity mph speedmph vehiclespeed carspeed
        geschwindigkeit vitesse velocidad velocita velocidade hiz snelheid predkosc
        скорость 速度 车速 スピード""",
    "left": """
        left leftimage imageleft leftcamera leftimg leftpath leftimagepath leftcam
        links gauche izquierda sinistra esquerda sol lewa слева 左""",
    "right": """
        right rightimage imageright rightcamera rightimg rightpath rightimagepath
        rightcam rechts droite derecha destra direita sag prawa справа 右""",
    "center": """
        center centre centerimage imagecenter centercamera centerimg centerpath
        centerimagepath centercam centreimage image img file filename path
        imagepath imagefile imagename
        mitte bild bildpfad milieu imagen immagine imagem orta resim midden zdjecie
        центр 中 图像 图片 画像""",
}
# Within a name that is not known; the first that is found counts.
STEMS = {
    "steering": ("steer", "angle"),
    "throttle": ("throttle", "accelerator", "gas"),
    "brake": ("brake", "break", "reverse"),
    "speed": ("speed", "velocity", "mph"),
    "left": ("left",),
    "right": ("right",),
    "center": ("center", "centre", "image", "img", "file", "path"),
}
# Words that make something else of a quantity: another one, its bound or its part.
OTHERS = frozenset(
    """
    predicted prediction predict pred model target desired reference ref expert previous
    last next limit max maximum min minimum mean average std error delta diff rate
    pitch roll yaw heading slip lateral longitudinal angular x y z
    front rear id index number num count size width height time timestamp
    """.split()
)
# No name of a column is longer: of the longest that was seen, three times the length.
MOST_NAME_CHARACTERS = 100
QUANTITIES = ("steering", "throttle", "brake", "speed")


class AmbiguousHeaderError(ValueError):
    """Two columns of a header could be one and the same; the message names them."""


def columns_of(header: Sequence[str]) -> list[str]:
    """Return which column each cell of a header names, "" for what is not needed.

    A column's own name comes before other names for it, and those before names that
    only hold such a word; what is as good as another is not guessed.

    Raises:
        AmbiguousHeaderError: Two cells fit one column equally well.
    """
    fits = [_fit(cell) for cell in header]
    best = {column: min(t for c, t in fits if c == column) for column, _ in fits}
    chosen = [column if tier == best[column] else "" for column, tier in fits]
    for column in NAMES:
        if chosen.count(column) > 1:
            alike = [
                repr(cell)
                for cell, found in zip(header, chosen, strict=True)
                if found == column
            ]
            raise AmbiguousHeaderError(f"is the {column} {' or '.join(alike[:3])}")
    return chosen


def named_columns(cells: Sequence[str]) -> set[str]:
    """Return the columns that some cells name, or could."""
    return {_fit(cell)[0] for cell in cells} - {""}


def _fit(cell: str) -> tuple[str, int]:
    """Return the column that a name fits, "" for none, and how badly: 0, 1 or 2."""
    if len(cell) > MOST_NAME_CHARACTERS:
        return "", 0
    words = words_of(cell)
    name = "".join(words)
    if column := KNOWN.get(name, ""):
        return column, int(name != column)
    if OTHERS.isdisjoint(words):
        for column, stems in STEMS.items():
            is_side = column in QUANTITIES and {"left", "right"} & set(words)
            if any(stem in name for stem in stems):
                # The angle of one wheel is not the steering of the car.
                return ("", 0) if is_side else (column, 2)
    return "", 0


def words_of(cell: str) -> list[str]:
    """Return the words of a name, small, without marks: steeringAngle as two."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell)
    plain = unicodedata.normalize(
        "NFKD", text.casefold().replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")
    )
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.findall(r"[^\W\d_]+", plain)


KNOWN = {
    "".join(words_of(name)): column
    for column, names in NAMES.items()
    for name in names.split()
}
