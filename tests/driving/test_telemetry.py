"""Numbers of every culture, telemetry, and answers."""

import base64
import math

import pytest

from driving.telemetry import Telemetry, format_number, parse_number, steer_answer

# Culture: decimal mark, group mark, pattern of a negative number, as .NET has them.
CULTURES = {
    "ar-SA": (".", ",", "\u200f-{}"),
    "bg-BG": (",", "\u00a0", "-{}"),
    "bn-BD": (".", ",", "-{}"),
    "ca-ES": (",", ".", "-{}"),
    "cs-CZ": (",", "\u00a0", "-{}"),
    "da-DK": (",", ".", "-{}"),
    "de-AT": (",", "\u00a0", "-{}"),
    "de-CH": (".", "\u2019", "-{}"),
    "de-DE": (",", ".", "-{}"),
    "el-GR": (",", ".", "-{}"),
    "en-IN": (".", ",", "-{}"),
    "en-US": (".", ",", "-{}"),
    "en-ZA": (",", "\u00a0", "-{}"),
    "es-ES": (",", ".", "-{}"),
    "es-MX": (".", ",", "-{}"),
    "et-EE": (",", "\u00a0", "\u2212{}"),
    "fa-IR": ("/", ",", "\u200e\u2212{}"),
    "fi-FI": (",", "\u00a0", "\u2212{}"),
    "fr-CH": (",", "\u202f", "-{}"),
    "fr-FR": (",", "\u202f", "-{}"),
    "he-IL": (".", ",", "\u200e-{}"),
    "hi-IN": (".", ",", "-{}"),
    "hr-HR": (",", ".", "\u2212{}"),
    "hu-HU": (",", "\u00a0", "-{}"),
    "id-ID": (",", ".", "-{}"),
    "it-CH": (".", "'", "-{}"),
    "it-IT": (",", ".", "-{}"),
    "ja-JP": (".", ",", "-{}"),
    "ko-KR": (".", ",", "-{}"),
    "lt-LT": (",", "\u00a0", "\u2212{}"),
    "nb-NO": (",", "\u00a0", "\u2212{}"),
    "nl-NL": (",", ".", "-{}"),
    "pl-PL": (",", "\u00a0", "-{}"),
    "ps-AF": ("\u066b", "\u066c", "\u200e-\u200e{}"),
    "pt-BR": (",", ".", "-{}"),
    "ro-RO": (",", ".", "-{}"),
    "ru-RU": (",", "\u00a0", "-{}"),
    "sl-SI": (",", ".", "\u2212{}"),
    "sr-RS": (",", ".", "{}-"),
    "sv-SE": (",", "\u00a0", "\u2212{}"),
    "tr-TR": (",", ".", "-{}"),
    "uk-UA": (",", "\u00a0", "-{}"),
    "zh-CN": (".", ",", "-{}"),
    "accounting": (".", ",", "({})"),
}


VALUES = (0.0, 0.1234, 0.9999, 1.0, 12.5, 30.19, 1234.5678, 1234567.8901, 1e9)


def to_n4(value, culture):
    """Write a number as .NET's ToString("N4") does in a culture."""
    decimal, group, negative = CULTURES[culture]
    text = f"{abs(value):,.4f}".translate({ord(","): group, ord("."): decimal})
    return negative.format(text) if value < 0 else text


def parse_in(text, culture):
    """Read a number as .NET's float.Parse does: group marks are dropped anywhere."""
    decimal, group, _ = CULTURES[culture]
    return float(text.replace(group, "").replace(decimal, "."))


@pytest.mark.parametrize("culture", CULTURES)
def test_numbers_of_a_culture_are_read_and_mirrored(culture):
    for value in [sign * v for v in VALUES for sign in (1, -1)]:
        read, mark = parse_number(to_n4(value, culture))
        assert read == pytest.approx(round(value, 4), abs=1e-9)
        assert mark == CULTURES[culture][0]
        if "-" in CULTURES[culture][2]:
            # Six decimals are sent; the simulator reads them to the last.
            answer = format_number(value, mark)
            assert parse_in(answer, culture) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "NaN", "1e5", "--1", "1..2", "1,2a", "-", ".", "1" * 65, None, [], True]
    + [math.nan, math.inf],
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="not a"):
        parse_number(text)


def test_json_numbers_are_read():
    assert parse_number(3) == (3.0, None)
    assert parse_number(-0.25) == (-0.25, None)


def event(**changes):
    data = {
        "steering_angle": "0.0000",
        "throttle": "0.1000",
        "speed": "12.0000",
        "image": base64.b64encode(b"jpeg").decode(),
    }
    return {key: value for key, value in {**data, **changes}.items() if value != "gone"}


def test_telemetry_remembers_the_decimal_mark():
    assert Telemetry.from_event(event(), ".").decimal_mark == "."
    german = event(speed="1.234,5000", throttle="0,1000", steering_angle="-1,0000")
    telemetry = Telemetry.from_event(german, ".")
    assert (telemetry.speed_mph, telemetry.decimal_mark) == (1234.5, ",")
    whole = dict.fromkeys(("speed", "steering_angle", "throttle"), 1)
    assert Telemetry.from_event(event(**whole), ",").decimal_mark == ","


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "telemetry is str, expected an object"),
        (event(speed="gone"), "telemetry has no speed"),
        (event(speed="fast"), "speed: 'fast' is not a number"),
        (event(image="gone"), "telemetry has no image"),
        (event(image=None), "telemetry has no image"),
        (event(image="@@@"), "image: bad base64"),
    ],
)
def test_telemetry_that_cannot_be_used_says_why(data, message):
    with pytest.raises(ValueError, match=message):
        Telemetry.from_event(data, ".")


def test_answers_are_strings_in_the_simulators_convention():
    assert steer_answer(-0.5, 1.0, ",") == {
        "steering_angle": "-0,500000",
        "throttle": "1,000000",
    }
