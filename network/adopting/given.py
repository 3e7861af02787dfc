"""The arguments of a layer as a file gives them, each checked as it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InputError

# A number of filters, units, rows: beyond what any network has, below what overflows.
MOST_NUMBER = 1_000_000
# Models within models, and parts of a call.
MOST_DEPTH = 8
ACTIVATIONS = frozenset(
    """
    linear relu elu selu tanh sigmoid softplus softsign softmax exponential relu6 silu
    swish gelu hard_sigmoid
    """.split()
)
# Keras 3 has another line in place of this one.
CHANGED_ACTIVATIONS = frozenset(["hard_sigmoid"])


@dataclass(frozen=True)
class Place:
    """Where in a file a layer stands, for a message."""

    path: str
    kind: str
    name: str

    def refusal(self, why: str) -> InputError:
        """Return what to raise."""
        return InputError(
            f"{self.path}: layer {self.name[:60]!r} ({self.kind[:60]}): {why}"
        )


class Given:
    """The arguments of a layer as a file gives them, read one by one.

    Args:
        config: The layer's own configuration.
        place: Where it stands.
        major: The version of Keras, 1 to 3.
    """

    def __init__(self, config: Mapping[str, Any], place: Place, major: int) -> None:
        self._config = config
        self._major = major
        self.place = place

    def value(self, *names: str, default: Any = None) -> Any:
        """Return the first of these that is there and is not null."""
        for name in names:
            if self._config.get(name) is not None:
                return self._config[name]
        return default

    def whole(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number, from least to MOST_NUMBER."""
        return self._whole(self.value(*names, default=default), names[0], least)

    def _whole(self, value: Any, name: str, least: int = 1) -> int:
        is_whole = type(value) in (int, float) and float(value).is_integer()
        if not (is_whole and least <= value <= MOST_NUMBER):
            raise self.place.refusal(
                f"{name} is {short(value)}, expected a whole number from {least} on"
            )
        return int(value)

    def pair(self, *names: str, default: Any = None, least: int = 1) -> tuple[int, int]:
        """Return two whole numbers; one that is given stands for both."""
        value = self.value(*names, default=default)
        both = value if isinstance(value, list | tuple) else [value, value]
        if len(both) != 2:
            raise self.place.refusal(
                f"{names[0]} is {short(value)}, expected two whole numbers"
            )
        return (
            self._whole(both[0], names[0], least),
            self._whole(both[1], names[0], least),
        )

    def sides(self, *names: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return what goes off or on at top and bottom, left and right."""
        value = self.value(*names, default=0)
        if isinstance(value, dict):  # Keras 1: top_pad and so on.
            keys = ("top_pad", "bottom_pad", "left_pad", "right_pad")
            top, bottom, left, right = (
                self._whole(value.get(key, 0), names[0], 0) for key in keys
            )
            return (top, bottom), (left, right)
        parts = value if isinstance(value, list | tuple) else [value, value]
        if len(parts) == 4:
            parts = [parts[:2], parts[2:]]
        if len(parts) != 2:
            raise self.place.refusal(f"{names[0]} is {short(value)}")
        both: list[tuple[int, int]] = []
        for part in parts:
            ends = part if isinstance(part, list | tuple) else [part, part]
            if len(ends) != 2:
                raise self.place.refusal(f"{names[0]} is {short(value)}")
            both.append(
                (
                    self._whole(ends[0], names[0], 0),
                    self._whole(ends[1], names[0], 0),
                )
            )
        return both[0], both[1]

    def number(
        self, *names: str, default: float, least: float = -1e6, most: float = 1e6
    ) -> float:
        """Return a finite number between two others."""
        value = self.value(*names, default=default)
        if isinstance(value, dict):  # Keras 2 writes some as arrays.
            value = value.get("value")
        is_number = type(value) in (int, float) and math.isfinite(value)
        if not (is_number and least <= value <= most):
            raise self.place.refusal(
                f"{names[0]} is {short(value)}, expected {least:g} to {most:g}"
            )
        return float(value)

    def flag(self, *names: str, default: bool) -> bool:
        """Return true or false."""
        value = self.value(*names, default=default)
        if type(value) not in (bool, int):
            raise self.place.refusal(f"{names[0]} is {short(value)}, expected a bool")
        return bool(value)

    def choice(self, *names: str, default: str, among: tuple[str, ...]) -> str:
        """Return one of several words."""
        value = self.value(*names, default=default)
        if not (isinstance(value, str) and value in among):
            raise self.place.refusal(
                f"{names[0]} is {short(value)}, expected {' or '.join(among)}"
            )
        return value

    def activation(self) -> str:
        """Return the name of an activation that is computed alike in every version."""
        value = self.value("activation", default="linear")
        if isinstance(value, dict):
            value = value.get("class_name") or value.get("name")
        name = value.lower() if isinstance(value, str) else ""
        if name not in ACTIVATIONS or (self._major < 3 and name in CHANGED_ACTIVATIONS):
            raise self.place.refusal(
                f"its activation is {short(value)}, expected one of "
                f"{', '.join(sorted(ACTIVATIONS - CHANGED_ACTIVATIONS))}"
            )
        return name

    def regularizer(self, *names: str) -> dict[str, float] | None:
        """Return what weighs on the weights as they are trained: l1 and l2."""
        value = self.value(*names)
        if not isinstance(value, dict):
            return None
        inner = value.get("config", value)
        inner = inner if isinstance(inner, dict) else {}
        found = {}
        for key in ("l1", "l2"):
            number = inner.get(key, 0.0)
            if type(number) in (int, float) and 0 < number < 1e6:
                found[key] = float(number)
        return found or None


def short(value: Any) -> str:
    """Return a value from a file for a message, in short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
