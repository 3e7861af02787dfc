"""What the simulator says and is told: numbers in any language, frames, commands.

The stock simulator writes numbers in the convention of its PC's language, and reads
ours in the same: docs/protocol.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

import numpy as np

from common.text import shown
from recordings.decoding import ImageError, decode_frame

# --- Numbers in any language ----------------------------------------------------------

MINUS_SIGNS = "-\u2212\u2012\u2013\u2010\u2011\ufe63\uff0d"
# Marks that set the direction of writing; some languages put them around a sign.
DIRECTION_MARKS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
SEPARATORS = frozenset(".,/'\u2019 \u00a0\u202f\u2009\u066b\u066c_\u00b7")
MOST_DIGITS = 64
# Beyond what any simulator means; a JSON integer may be too large for a float.
LARGEST_NUMBER = 1e12
# Of a track's name; more would not fit on the page either.
MOST_NAME_CHARACTERS = 40


def parse_number(text: object) -> tuple[float, str | None]:
    """Read a number that .NET wrote as "N4" in any culture.

    Four decimals are always written, so the last separator is the decimal mark when it
    occurs once; whatever stands before it groups digits.

    Args:
        text: As "1,234.5678", "1.234,5678", "12,0000-" or "(3.0000)", or a JSON number.

    Returns:
        The value, and the decimal mark, None where the text has none.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if not abs(text) < LARGEST_NUMBER:  # NaN is not below it either.
            raise ValueError(f"{str(text)[:40]} is not a finite number")
        return float(text), None
    if not isinstance(text, str) or len(text) > MOST_DIGITS:
        raise ValueError(f"{str(text)[:40]!r} is not a number")
    digits, negative = _without_sign(DIRECTION_MARKS.sub("", text).strip())
    parts = re.split(r"(\D+)", digits)
    groups, marks = parts[0::2], parts[1::2]
    if not all(groups) or not SEPARATORS.issuperset(marks):
        raise ValueError(f"{text[:40]!r} is not a number")
    mark = marks[-1] if marks and marks.count(marks[-1]) == 1 else None
    whole, decimals = (groups[:-1], groups[-1]) if mark else (groups, "0")
    value = float("".join(whole) + "." + decimals)
    return (-value if negative else value), mark


def _without_sign(text: str) -> tuple[str, bool]:
    """Take a sign off either end, or brackets; return what is left and whether < 0."""
    if text[:1] == "(" and text[-1:] == ")":
        return text[1:-1].strip(), True
    for sign, rest in ((text[:1], text[1:]), (text[-1:], text[:-1])):
        if sign and sign in MINUS_SIGNS + "+":
            return rest.strip(), sign != "+"
    return text, False


def format_number(value: float, decimal_mark: str) -> str:
    """Write a finite number so that the simulator's culture reads it: no grouping."""
    return f"{value:.6f}".replace(".", decimal_mark)


# --- Telemetry and answers ------------------------------------------------------------


class UnusableTelemetry(ValueError):
    """Telemetry that cannot be driven by; says what is missing or wrong."""


@dataclass(frozen=True)
class Telemetry:
    """One telemetry event."""

    steering_angle_deg: float
    """Angle of the front wheels, ±25; + is right."""
    throttle: float
    """The car's throttle, 0 to 1."""
    speed_mph: float
    jpeg: bytes
    """The file of the centre camera's frame."""
    decimal_mark: str
    """The decimal mark that this simulator writes, and reads."""
    track: str = ""
    """What it calls its track, which only the embedded one does; "" for nothing."""

    @staticmethod
    def from_event(data: object, decimal_mark: str) -> Telemetry:
        """Read the event's argument; the mark is assumed where its numbers show none.

        Raises:
            UnusableTelemetry: Something is missing or cannot be read.
        """
        if not isinstance(data, dict):
            found = type(data).__name__
            raise UnusableTelemetry(f"telemetry is {found}, expected an object")
        numbers = {}
        for name in ("speed", "steering_angle", "throttle"):
            if name not in data:
                raise UnusableTelemetry(f"telemetry has no {name}")
            try:
                numbers[name], mark = parse_number(data[name])
            except ValueError as error:
                raise UnusableTelemetry(f"{name}: {error}") from None
            decimal_mark = mark or decimal_mark
        return Telemetry(
            numbers["steering_angle"],
            numbers["throttle"],
            numbers["speed"],
            _decode_image(data.get("image")),
            decimal_mark,
            _track_of(data),
        )

    def frame(self) -> np.ndarray:
        """Return the frame, uint8 RGB (160, 320, 3).

        Raises:
            UnusableTelemetry: It is no picture, is cut off, or has another size.
        """
        try:
            return decode_frame(self.jpeg)
        except ImageError as error:
            raise UnusableTelemetry(f"image: {error}") from None


def speed_of(data: object) -> float | None:
    """Return the speed [mph] that an event's argument tells, None if it tells none."""
    try:
        return parse_number(data["speed"])[0] if isinstance(data, dict) else None
    except (LookupError, ValueError):
        return None


def _track_of(data: dict) -> str:
    name = data.get("track")
    return shown(name[:MOST_NAME_CHARACTERS]) if isinstance(name, str) else ""


def _decode_image(text: object) -> bytes:
    if not isinstance(text, str) or not text:
        raise UnusableTelemetry("telemetry has no image")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableTelemetry(f"image: bad base64 ({error})") from None


def steer_answer(steering: float, throttle: float, decimal_mark: str) -> dict[str, str]:
    """Return the argument of a `steer` event; the simulator reads strings only."""
    return {
        "steering_angle": format_number(steering, decimal_mark),
        "throttle": format_number(throttle, decimal_mark),
    }
