"""Which column of a log holds what, by the header: the right one, or none at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# By column: what people call it, without spaces, marks and capitals, in the languages
# that logs were seen in. The first name is the column's own and comes before the rest.
NAMES = {
    "steering": """
        steering steer angle angles steeringangle steeringangles steerangle
        steeringvalue steeringcommand
        steeringinput steeringwheel steeringwheelangle wheelangle
        lenkung lenkwinkel volant braquage anglevolant direccion volante angulo
        anguloderotacion sterzo angolo direcao direksiyon stuurhoek kierownica руль
        lenkeinschlag lenkradwinkel angulodedireccion angulodegiro angledebraquage
        angolodisterzata sterzata angulodedirecao stuur skret styring уголповорота
        转向 转向角 转向角度 方向盘 方向盘转角
        ステアリング ステアリング角度 操舵角 조향각""",
    "throttle": """
        throttle accelerator accelerate accel acceleration gas gaspedal throttlepedal
        accelerateur acelerador acceleratore gaz gaspedaal газ 油门 スロットル
        스로틀""",
    "brake": """
        brake brakes braking break brakepedal reverse
        bremse frein freno freio fren rem hamulec тормоз 刹车 ブレーキ 브레이크""",
    "speed": """
        speed velocity mph speedmph vehiclespeed carspeed
        geschwindigkeit vitesse velocidad velocita velocidade hiz snelheid predkosc
        скорость 速度 车速 スピード 속도""",
    "left": """
        left leftimage imageleft leftcamera leftimg leftpath leftimagepath leftcam
        links gauche izquierda sinistra esquerda sol lewa lewy слева
        左 왼쪽""",
    "right": """
        right rightimage imageright rightcamera rightimg rightpath rightimagepath
        rightcam rechts droite derecha destra direita sag prawa prawy справа
        右 오른쪽""",
    "center": """
        center centre centerimage imagecenter centercamera centerimg centerpath
        centerimagepath centercam centreimage image img file filename path
        imagepath imagefile imagename
        mitte bild bildpfad milieu centro centrale srodek imagen immagine imagem
        orta resim midden zdjecie
        центр 中 中间 中央 图像 图片 画像 중앙""",
}
# Within a name that is not known, it may be one of this; the first found counts.
STEMS = {
    "steering": ("steer", "angle"),
    "throttle": ("throttle", "accelerator", "gas"),
    "brake": ("brake", "break", "reverse"),
    "speed": ("speed", "velocity", "mph"),
    "left": ("left",),
    "right": ("right",),
    "center": ("center", "centre", "image", "img", "file", "path"),
}
# Words that make something else of an image: its number, its size.
OTHERS = frozenset(
    """
    id index number num count size width height time timestamp x y z front rear
    """.split()
)
# Words that leave a quantity what it is: whose it is, how it was kept, in what unit.
# With any other it is another one: its torque, its rate, what a network said it was.
PLAIN = frozenset(
    """
    the a of in out my value values val command commanded cmd input actual current
    position pos percent pct miles per hour
    measured recorded raw filtered smoothed smooth normalized normalised norm label
    user human manual driver vehicle car data signal control ground truth gt
    deg degree degrees grad rad radian radians mph kmh kph kmph km h mps ms m s
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
    say a little more; what is as good as another is not guessed.

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
    """Return the columns that some cells name, or speak of: steering_torque does."""
    names = ["".join(words_of(c)) for c in cells if len(c) <= MOST_NAME_CHARACTERS]
    return {KNOWN.get(name) or _stem_in(name) for name in names} - {""}


def _fit(cell: str) -> tuple[str, int]:
    """Return the column that a name fits, "" for none, and how badly: 0, 1 or 2."""
    if len(cell) > MOST_NAME_CHARACTERS:
        return "", 0
    words = words_of(cell)
    name = "".join(words)
    if column := KNOWN.get(name, ""):
        return column, int(name != column)
    if column := KNOWN.get("".join(word for word in words if word not in PLAIN), ""):
        return column, 2
    column = _stem_in(name)
    # Whether it is an image shows in the rows; what a number is does not.
    is_image = column not in QUANTITIES and OTHERS.isdisjoint(words)
    return (column, 2) if is_image else ("", 0)


def _stem_in(name: str) -> str:
    """Return the column that a part of a name speaks of, "" for none."""
    for column, stems in STEMS.items():
        if any(stem in name for stem in stems):
            return column
    return ""


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
