"""What a function did to x, read off its compiled bytes, which are never run.

Keras saves a Lambda layer as the bytes that Python's `marshal` writes of a function.
Loading those and calling them is how a model file runs code. Here they are data: the
format is taken apart by the code below, and the instructions are followed only as far
as they are arithmetic on x and numbers.

Source: CPython, Python/marshal.c and Include/opcode_ids.h (Lib/opcode.py before 3.13);
the layouts are those of 2.7, 3.0 to 3.7, 3.8 to 3.10, and 3.11 on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from network.adopting.affine import Affine, NotAffine, X, combined, constant

# A function that scales has some 150 bytes, one that resizes some 400.
MOST_BYTES = 20_000
MOST_DEPTH = 12
MOST_STEPS = 200
REFERENCED = 0x80


@dataclass(frozen=True)
class Code:
    """A function's compiled code, as far as it is looked at."""

    layout: str
    """The versions of Python that write it so: "2", "3.0", "3.8" or "3.11"."""
    num_arguments: int
    instructions: bytes
    constants: tuple[Any, ...]
    names: tuple[Any, ...]
    """What it calls, and the attributes that it takes."""

    def numbers(self) -> list[float]:
        """Return the numbers in it, for a message."""
        found: list[float] = []
        todo = list(self.constants)
        while todo:
            each = todo.pop(0)
            if isinstance(each, tuple):
                todo = [*each, *todo]
            elif type(each) in (int, float):
                found.append(each)
        return found


class NoCode(ValueError):
    """The bytes are not those of a function."""


def read_code(content: bytes) -> Code:
    """Take the bytes of one function apart.

    Raises:
        NoCode: They are not what marshal writes of a function, in any known layout.
    """
    if not len(content) <= MOST_BYTES:
        raise NoCode(f"{len(content):,} bytes, expected at most {MOST_BYTES:,}")
    for layout in _LAYOUTS:
        try:
            reader = _Reader(content, layout)
            found = reader.value(0)
        # What it is not made for, it may stumble over in many ways.
        except (NoCode, struct.error, IndexError, UnicodeDecodeError, OverflowError):
            continue
        if isinstance(found, Code) and reader.at == len(content):
            return found
    raise NoCode("not the compiled bytes of a function")


# The numbers that stand before the instructions; which of them counts the arguments
# is the first in all.
_LAYOUTS = {"2": 4, "3.0": 5, "3.8": 6, "3.11": 5}


class _Reader:
    """Reads what marshal writes, from the front.

    Args:
        layout: How code is laid out, a key of _LAYOUTS.
    """

    def __init__(self, content: bytes, layout: str) -> None:
        self._content = content
        self._layout = layout
        self._references: list[Any] = []
        self._interned: list[str] = []
        self.at = 0
        """The place of the next byte."""

    def _take(self, num: int) -> bytes:
        if not 0 <= num <= len(self._content) - self.at:
            raise NoCode("cut off")
        taken = self._content[self.at : self.at + num]
        self.at += num
        return taken

    def _int(self) -> int:
        return int(struct.unpack("<i", self._take(4))[0])

    def value(self, depth: int) -> Any:
        """Read one value; what is neither number, text, tuple nor code is None."""
        if depth > MOST_DEPTH:
            raise NoCode("nested too deep")
        byte = self._take(1)[0]
        kind, is_referenced = chr(byte & ~REFERENCED), bool(byte & REFERENCED)
        place = len(self._references)
        if is_referenced:
            self._references.append(None)
        found = self._value_of(kind, depth)
        if is_referenced:
            self._references[place] = found
        return found

    def _value_of(self, kind: str, depth: int) -> Any:
        if kind in "NFTS.":
            return None
        if kind == "i":
            return self._int()
        if kind == "I":
            return int(struct.unpack("<q", self._take(8))[0])
        if kind == "g":
            return float(struct.unpack("<d", self._take(8))[0])
        if kind == "f":
            return self._float_text()
        if kind == "l":
            return self._long()
        if kind in "sutaA":
            return self._text(kind, self._int())
        if kind in "zZ":
            return self._text(kind, self._take(1)[0])
        if kind in "()":
            num = self._int() if kind == "(" else self._take(1)[0]
            if not 0 <= num <= len(self._content):
                raise NoCode("cut off")
            return tuple(self.value(depth + 1) for _ in range(num))
        if kind == "r":
            return self._references[self._place(len(self._references))]
        if kind == "R":
            return self._interned[self._place(len(self._interned))]
        if kind == "c":
            return self._code(depth)
        raise NoCode(f"a value of the kind {kind!r}")

    def _place(self, num: int) -> int:
        place = self._int()
        if not 0 <= place < num:
            raise NoCode("it refers to what is not there")
        return place

    def _float_text(self) -> float | None:
        text = self._take(self._take(1)[0]).decode("ascii")
        try:
            return float(text)
        except ValueError:
            return None

    def _long(self) -> int:
        """Read a whole number in digits of 15 bits."""
        num = self._int()
        digits = [
            struct.unpack("<H", self._take(2))[0] for _ in range(min(abs(num), 1000))
        ]
        value = sum(digit << (15 * i) for i, digit in enumerate(digits))
        return -value if num < 0 else value

    def _text(self, kind: str, num: int) -> str | bytes:
        taken = self._take(num)
        if kind == "s":
            return taken
        text = taken.decode("latin-1" if kind in "tzZaA" else "utf-8", "replace")
        if kind == "t":
            self._interned.append(text)
        return text

    def _code(self, depth: int) -> Code:
        heads = [self._int() for _ in range(_LAYOUTS[self._layout])]
        instructions, constants, names = (self.value(depth + 1) for _ in range(3))
        # Names of variables, then where it was written and how it is called; only
        # read, to find the end.
        for _ in range(5):
            self.value(depth + 1)
        self._int()
        for _ in range(2 if self._layout == "3.11" else 1):
            self.value(depth + 1)
        if not isinstance(instructions, bytes):
            raise NoCode("its instructions are no bytes")
        if not (isinstance(constants, tuple) and isinstance(names, tuple)):
            raise NoCode("its constants are none")
        return Code(self._layout, heads[0], instructions, constants, names)


# --- Its instructions -----------------------------------------------------------------

_CLASSIC = {
    **{11: "negative", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"},
    **{83: "return", 100: "constant", 124: "variable", 125: "store", 9: "nothing"},
}
_LATER = {
    **{0: "nothing", 9: "nothing", 151: "nothing", 11: "negative", 122: "operation"},
    **{83: "return", 100: "constant", 121: "return constant"},
    **{124: "variable", 125: "store"},
}
_OF_313 = {
    **{0: "nothing", 30: "nothing", 149: "nothing", 42: "negative", 45: "operation"},
    **{36: "return", 83: "constant", 103: "return constant"},
    **{85: "variable", 110: "store"},
}
# From this one on, in the classic way of writing them, an instruction has an argument
# of two bytes; since 3.6 each has one of one.
FIRST_WITH_ARGUMENT = 90
# Ways to write instructions, by the layout of the code: the numbers, and whether each
# takes two bytes.
_WAYS: dict[str, tuple[tuple[dict[int, str], bool], ...]] = {
    "2": ((_CLASSIC, False),),
    "3.0": ((_CLASSIC, False), (_CLASSIC, True)),
    "3.8": ((_CLASSIC, True),),
    "3.11": ((_LATER, True), (_OF_313, True)),
}
# The argument of "operation" (Include/opcode.h, NB_ADD and so on).
_OPERATIONS = {0: "+", 5: "*", 10: "-", 11: "/", 13: "+", 18: "*", 23: "-", 24: "/"}
# In Python 2 whole numbers divide without a rest.
FLOORS = "2"


def affine_of(code: Code) -> Affine:
    """Return what a function of one argument does to it.

    Raises:
        NotAffine: It is more than arithmetic with numbers, or no factor and addend.
    """
    if code.num_arguments != 1:
        raise NotAffine(f"it takes {code.num_arguments} arguments")
    found, why = [], NotAffine("it has no instructions")
    for names, are_words in _WAYS[code.layout]:
        try:
            found.append(_follow(code, names, are_words))
        except NotAffine as error:
            why = error
    if not found:
        raise why
    if found[0].is_constant:
        raise NotAffine("it does not look at x")
    return found[0]


def _follow(code: Code, names: dict[int, str], are_words: bool) -> Affine:
    stack: list[tuple[Affine, bool]] = []
    variables: dict[int, tuple[Affine, bool]] = {0: (X, False)}
    for step, (number, argument) in enumerate(_steps(code.instructions, are_words)):
        what = names.get(number, "")
        if step > MOST_STEPS or not what:
            raise NotAffine("it does more than to compute with x and numbers")
        if what == "constant":
            stack.append(_constant(code, argument))
        elif what == "variable" and argument in variables:
            stack.append(variables[argument])
        elif what == "store" and stack:
            variables[argument] = stack.pop()
        elif what == "negative" and stack:
            value, is_whole = stack.pop()
            stack.append((combined("*", constant(-1), value), is_whole))
        elif what == "return" and len(stack) == 1:
            return stack[0][0]
        elif what == "return constant":
            return _constant(code, argument)[0]
        elif what != "nothing":
            sign = _OPERATIONS.get(argument, "") if what == "operation" else what
            if len(stack) < 2 or sign not in ("+", "-", "*", "/"):
                raise NotAffine("it does more than to compute with x and numbers")
            (right, right_is_whole), (left, left_is_whole) = stack.pop(), stack.pop()
            is_whole = left_is_whole and right_is_whole
            if is_whole and sign == "/" and code.layout == FLOORS:
                raise NotAffine("it divides whole numbers by one another")
            stack.append((combined(sign, left, right), is_whole))
    raise NotAffine("it has no end")


def _steps(instructions: bytes, are_words: bool) -> list[tuple[int, int]]:
    """Return the number and the argument of each instruction."""
    steps, at = [], 0
    while at < len(instructions):
        number = instructions[at]
        if are_words:
            if at + 2 > len(instructions):
                raise NotAffine("its instructions are cut off")
            steps.append((number, instructions[at + 1]))
            at += 2
        elif number >= FIRST_WITH_ARGUMENT:
            if at + 3 > len(instructions):
                raise NotAffine("its instructions are cut off")
            steps.append((number, instructions[at + 1] + 256 * instructions[at + 2]))
            at += 3
        else:
            steps.append((number, 0))
            at += 1
    return steps


def _constant(code: Code, place: int) -> tuple[Affine, bool]:
    value = code.constants[place] if place < len(code.constants) else None
    numbers = value if isinstance(value, tuple) and value else (value,)
    if not all(type(each) in (int, float) for each in numbers):
        raise NotAffine("it computes with other things than numbers")
    try:
        return constant(*numbers), all(type(each) is int for each in numbers)
    except OverflowError:
        raise NotAffine("it has a number that is not finite") from None


# --- What else people did in one ------------------------------------------------------

RESIZES = frozenset("resize resize_images resize_bilinear".split())


def size_of(code: Code) -> tuple[int, int] | None:
    """Return the rows and columns that a function resizes to, None if it does not."""
    if not RESIZES & {name for name in code.names if isinstance(name, str)}:
        return None
    whole = [int(n) for n in code.numbers() if type(n) is int and 1 < n <= 4096]
    return (whole[0], whole[1]) if len(whole) == 2 else None
