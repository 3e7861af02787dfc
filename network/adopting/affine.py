"""What a network does to each number of a picture first: a factor and an addend.

    read_expression("x / 127.5 - 1")       # Affine((0.00784...,), (-1.0,))

A small reader of arithmetic: numbers, x, + - * /, parentheses, and three numbers in
brackets for the three channels. Nothing is evaluated; what is not such a line is
refused.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass

from common.errors import InputError

# The longest that anybody wrote has 40; deeper ones would tire the parser.
MOST_CHARACTERS = 200
# A channel for each number, as of red, green and blue.
MOST_CHANNELS = 4


class NotAffine(ValueError):
    """It is no factor and addend of x; the message says what it is."""


@dataclass(frozen=True)
class Affine:
    """x times scale plus offset; one number of each, or one for each channel.

    Raises:
        NotAffine: A number is not finite, or there is another number of channels.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.scale) == len(self.offset) <= MOST_CHANNELS:
            raise NotAffine(f"{len(self.scale)} and {len(self.offset)} numbers")
        if not all(map(math.isfinite, (*self.scale, *self.offset))):
            raise NotAffine("it has a number that is not finite")

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every number as it is."""
        return set(self.scale) == {1.0} and set(self.offset) == {0.0}

    @property
    def is_constant(self) -> bool:
        """Whether x is not in it."""
        return not any(self.scale)

    def __str__(self) -> str:
        """As people write it: x / 127.5 - 1."""
        texts = [_text(*pair) for pair in zip(self.scale, self.offset, strict=True)]
        return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


X = Affine((1.0,), (0.0,))


def constant(*numbers: float) -> Affine:
    """Return what is these numbers, whatever x is."""
    return Affine((0.0,) * len(numbers), tuple(map(float, numbers)))


def combined(sign: str, left: Affine, right: Affine) -> Affine:
    """Return left + right, left - right, left * right or left / right.

    Raises:
        NotAffine: It is no factor and addend of x any more, or a division by zero.
    """
    left, right = _alike(left, right)
    if sign in "+-":
        plus = 1.0 if sign == "+" else -1.0
        return Affine(
            _each(lambda a, b: a + plus * b, left.scale, right.scale),
            _each(lambda a, b: a + plus * b, left.offset, right.offset),
        )
    if sign == "*":
        if not left.is_constant and not right.is_constant:
            raise NotAffine("it multiplies x with x")
        line, factor = (left, right) if right.is_constant else (right, left)
        return Affine(
            _each(lambda a, b: a * b, line.scale, factor.offset),
            _each(lambda a, b: a * b, line.offset, factor.offset),
        )
    if sign == "/":
        if not right.is_constant:
            raise NotAffine("it divides by x")
        if 0 in right.offset:
            raise NotAffine("it divides by zero")
        return Affine(
            _each(lambda a, b: a / b, left.scale, right.offset),
            _each(lambda a, b: a / b, left.offset, right.offset),
        )
    raise NotAffine(f"it computes with {sign!r}")


def after(first: Affine, then: Affine) -> Affine:
    """Return both, one after the other, as one."""
    first, then = _alike(first, then)
    return Affine(
        _each(lambda a, b: a * b, first.scale, then.scale),
        tuple(
            b * offset + c
            for offset, b, c in zip(first.offset, then.scale, then.offset, strict=True)
        ),
    )


def read_expression(text: str) -> Affine:
    """Read an expression of x, such as "x / 255 - 0.5".

    Raises:
        InputError: It is none, or x stands in it otherwise than with a factor and an
            addend.
    """
    expected = 'expected a factor and an addend of x, such as "x / 127.5 - 1"'
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"--scale has {len(text):,} characters, expected at most {MOST_CHARACTERS}"
        )
    try:
        found = _read(ast.parse(text.strip(), mode="eval").body)
    except NotAffine as error:
        raise InputError(f"--scale is {text!r}: {error}, {expected}") from None
    # What the parser raises is up to the text: bytes of zero, brackets without end.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"--scale is {text!r}, {expected}") from None
    if found.is_constant:
        raise InputError(f"--scale is {text!r}: x is not in it, {expected}")
    return found


_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _read(node: ast.expr) -> Affine:
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        return combined(_SIGNS[type(node.op)], _read(node.left), _read(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        return combined("*", constant(sign), _read(node.operand))
    if isinstance(node, ast.Name):
        if node.id.lower() != "x":
            raise NotAffine(f"{node.id} is not known in it")
        return X
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        assert isinstance(node.value, int | float), "which its type has told"
        return constant(_number(node.value))
    if isinstance(node, ast.Tuple | ast.List):
        return constant(*map(_only_number, node.elts))
    raise NotAffine(f"it holds {ast.unparse(node)[:40]!r}")


def _only_number(node: ast.expr) -> float:
    found = _read(node)
    if not found.is_constant or len(found.offset) != 1:
        raise NotAffine("between brackets stand other things than numbers")
    return found.offset[0]


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise NotAffine("it has a number that is not finite") from None


def _alike(left: Affine, right: Affine) -> tuple[Affine, Affine]:
    """Give both as many channels."""
    num = max(len(left.scale), len(right.scale))
    for each in (left, right):
        if len(each.scale) not in (1, num):
            raise NotAffine(f"it has {len(left.scale)} and {len(right.scale)} channels")
    wide = [
        Affine(each.scale * num, each.offset * num) if len(each.scale) == 1 else each
        for each in (left, right)
    ]
    return (wide[0], wide[1]) if num > 1 else (left, right)


def _each(
    function: Callable[[float, float], float],
    left: tuple[float, ...],
    right: tuple[float, ...],
) -> tuple[float, ...]:
    return tuple(function(a, b) for a, b in zip(left, right, strict=True))


def _text(scale: float, offset: float) -> str:
    inverse = 1 / scale if scale else 0.0
    if scale == 1:
        text = "x"
    elif scale and abs(inverse - round(inverse, 4)) < 1e-9 * abs(inverse):
        text = f"x / {round(inverse, 4):g}"
    else:
        text = f"x * {scale:.6g}"
    if not offset:
        return text
    return f"{text} {'-' if offset < 0 else '+'} {abs(offset):.6g}"
