"""From a configuration of any version of Keras to pieces in the order of computing."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from common.errors import InputError
from network.adopting.affine import Affine, NotAffine, X, combined, constant
from network.adopting.given import MOST_DEPTH, Place
from network.adopting.marshalled import NoCode, affine_of, read_code, size_of
from network.adopting.pieces import LEFT_OUT, MOST_PIECES, Piece, piece_of
from network.adopting.shapes import (
    CHANNELS,
    MODELS,
    by,
    config_of,
    input_shape_of,
    kind_of,
    layers_of,
    ordering_of,
)
from network.adopting.sources import Source

PICTURE = ""
STEERING = re.compile("steer|angle", re.IGNORECASE)
# Functions that Keras 2 and 3 make layers of where arithmetic stands between two.
OPERATIONS = {
    **{"math.truediv": "/", "math.divide": "/", "math.subtract": "-"},
    **{"math.multiply": "*", "math.add": "+", "__operators__.add": "+"},
    **{"TrueDivide": "/", "Divide": "/", "Subtract": "-", "Multiply": "*"},
    **{"Add": "+"},
}
OPERATION_MODULES = ("keras.src.ops", "keras.ops", "keras.src.ops.numpy")


@dataclass(frozen=True)
class Network:
    """What a file says that a network is."""

    height: int | None
    """Rows of the picture that it takes; None where the file leaves it open."""
    width: int | None
    channels: int
    pieces: tuple[Piece, ...]
    """In the order in which they are computed."""
    output: str
    """The name of the piece whose answer is the steering."""
    is_channels_first: bool
    notes: tuple[str, ...] = ()
    """What of it the user should know."""

    @property
    def unknown(self) -> tuple[Piece, ...]:
        """The Lambdas of which it is not known what they do."""
        return tuple(piece for piece in self.pieces if piece.layer == "Lambda")


def read_network(source: Source) -> Network:
    """Return the network that the configuration of a file describes.

    Raises:
        InputError: A layer or an argument is not known, or it is no network of one
            picture.
    """
    assert source.config is not None, "a file of weights alone is read by its weights"
    path = str(source.path)
    is_first = ordering_of(source.config)
    shape = input_shape_of(source.config)
    if shape is None:
        raise InputError(
            f"{path}: it does not say of which size its pictures are; give --size W H"
        )
    height, width, channels = shape
    if channels not in CHANNELS:
        raise InputError(
            f"{path}: it takes {by(shape)} numbers, expected one picture of 1, 3 or 4 "
            "channels"
        )
    reader = _Reader(source, is_first)
    every, output = reader.read(source.config, PICTURE, "", 0)
    needed, notes = tuple(_needed(every, output)), tuple(reader.notes)
    return Network(height, width, channels, needed, output, is_first, notes)


def _needed(pieces: list[Piece], output: str) -> Iterator[Piece]:
    """Yield the pieces that the output is computed from."""
    wanted = {output}
    kept = []
    for piece in reversed(pieces):
        if piece.name in wanted:
            wanted |= set(piece.inputs)
            kept.append(piece)
    yield from reversed(kept)


# --- Layer by layer -------------------------------------------------------------------


class _Reader:
    """Reads a model of layers and of models, and keeps count.

    Args:
        source: Where it stands.
        is_channels_first: How its pictures are stored.
    """

    def __init__(self, source: Source, is_channels_first: bool) -> None:
        self._source = source
        self._path = str(source.path)
        self._is_first = is_channels_first
        self._keys: dict[str, int] = {}
        self._num = 0
        self.notes: list[str] = []

    def read(
        self, model: Mapping[str, Any], picture: str, within: str, depth: int
    ) -> tuple[list[Piece], str]:
        """Return the pieces of a model, and the name of the one that answers.

        Args:
            picture: The name of what it takes.
            within: What stands before the names of its pieces.
            depth: In how many other models it stands.
        """
        layers, kind = layers_of(model), kind_of(model)
        if kind not in MODELS or not layers:
            raise InputError(
                f"{self._path}: {kind[:40]!r} without layers, expected a "
                "Sequential or a functional model"
            )
        if depth > MOST_DEPTH:
            raise InputError(f"{self._path}: models in models, {depth} deep")
        if kind == "Sequential":
            return self._chain(layers, picture, within, depth)
        return self._graph(model, layers, picture, within, depth)

    def _chain(
        self, layers: list[dict[str, Any]], picture: str, within: str, depth: int
    ) -> tuple[list[Piece], str]:
        pieces: list[Piece] = []
        last = picture
        for layer in layers:
            more, last = self._layer(layer, (last,), within, depth)
            pieces += more
        return pieces, last

    def _graph(
        self,
        model: Mapping[str, Any],
        layers: list[dict[str, Any]],
        picture: str,
        within: str,
        depth: int,
    ) -> tuple[list[Piece], str]:
        inner = config_of(model)
        self._check_one_input(inner)
        answers: dict[str, str] = {}
        pieces: list[Piece] = []
        todo = list(layers)
        while todo:
            waiting = []
            for layer in todo:
                name = self._name_of(layer)
                calls = self._calls(layer)
                if kind_of(layer) == "InputLayer" or not calls:
                    answers[name] = picture
                    continue
                takes = [each for each in calls if isinstance(each, str)]
                if not all(each in answers for each in takes):
                    waiting.append(layer)
                    continue
                if len(takes) == len(calls):
                    inputs = tuple(answers[each] for each in takes)
                    more, answers[name] = self._layer(layer, inputs, within, depth)
                else:
                    more, answers[name] = self._operation(layer, calls, answers, within)
                pieces += more
            if len(waiting) == len(todo):
                raise InputError(
                    f"{self._path}: its layers take one another's answers in a circle, "
                    f"or one that is not there: {self._name_of(waiting[0])[:60]!r}"
                )
            todo = waiting
        return pieces, answers[self._answering(inner, answers)]

    def _check_one_input(self, inner: Mapping[str, Any]) -> None:
        inputs = _names_in(inner.get("input_layers"))
        if len(inputs) > 1:
            raise InputError(
                f"{self._path}: it takes {len(inputs)} inputs "
                f"({', '.join(inputs)[:80]}), expected one picture"
            )

    def _answering(self, inner: Mapping[str, Any], answers: Mapping[str, str]) -> str:
        outputs = [n for n in _names_in(inner.get("output_layers")) if n in answers]
        if not outputs:
            raise InputError(f"{self._path}: it does not say which layer answers")
        if len(outputs) == 1:
            return outputs[0]
        chosen = next((n for n in outputs if STEERING.search(n)), outputs[0])
        self.notes.append(
            f"of its {len(outputs)} answers {chosen} is taken for the steering"
        )
        return chosen

    def _name_of(self, layer: Mapping[str, Any]) -> str:
        name = layer.get("name") or config_of(layer).get("name")
        return name if isinstance(name, str) and name else f"layer {self._num}"

    def _layer(
        self,
        layer: Mapping[str, Any],
        inputs: tuple[str, ...],
        within: str,
        depth: int,
    ) -> tuple[list[Piece], str]:
        """Return the pieces of a layer, of which a model has several."""
        kind = kind_of(layer)
        if kind in LEFT_OUT:
            self._key_of(kind)
            return [], inputs[0]
        self._num += 1
        if self._num > MOST_PIECES:
            raise InputError(f"{self._path}: more than {MOST_PIECES:,} layers")
        name = within + self._name_of(layer)
        if kind in MODELS:
            if len(inputs) != 1:
                raise InputError(f"{self._path}: a model in it takes several inputs")
            key = self._key_of(kind)
            return self.read(layer, inputs[0], f"{name}/", depth + 1)
        key = self._key_of(kind)
        if kind == "Lambda":
            piece = self._lambda(layer, name, inputs)
        else:
            piece = piece_of(
                kind,
                name,
                config_of(layer),
                self._source.major or 2,
                self._path,
                inputs,
                self._is_first,
                key,
            )
        return [piece], name

    def _key_of(self, kind: str) -> str:
        """Return what Keras 3 calls the weights of the next layer of a kind."""
        snake = re.sub(r"\W+", "", kind)
        snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", snake)
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        num = self._keys.get(snake, 0)
        self._keys[snake] = num + 1
        return f"{snake}_{num}" if num else snake

    def _calls(self, layer: Mapping[str, Any]) -> list[str | float]:
        """Return what a layer takes: names of others, and numbers."""
        nodes = layer.get("inbound_nodes")
        if not isinstance(nodes, list) or not nodes:
            return []
        if len(nodes) > 1:
            raise InputError(
                f"{self._path}: layer {self._name_of(layer)[:60]!r} stands in "
                f"{len(nodes)} places, expected one"
            )
        node = nodes[0]
        if isinstance(node, dict):  # Keras 3.
            found = list(_taken(node.get("args"), 0))
            return found + list(_taken(node.get("kwargs"), 0))
        if not isinstance(node, list):
            return []
        if node and isinstance(node[0], str):  # A function of Keras 2.
            node = [node]
        calls: list[str | float] = []
        for each in node:
            if not (isinstance(each, list) and each and isinstance(each[0], str)):
                continue
            more = each[3] if len(each) > 3 and isinstance(each[3], dict) else {}
            if each[0] == "_CONSTANT_VALUE" and len(each) > 2:
                calls.append(each[2])
            else:
                calls.append(each[0])
            other = more.get("y")
            if isinstance(other, list) and other and isinstance(other[0], str):
                calls.append(other[0])
            elif isinstance(other, int | float):
                calls.append(other)
        return calls

    def _operation(
        self,
        layer: Mapping[str, Any],
        calls: list[str | float],
        answers: Mapping[str, str],
        within: str,
    ) -> tuple[list[Piece], str]:
        """Return the piece of a line of arithmetic between two layers."""
        kind = kind_of(layer)
        name = within + self._name_of(layer)
        function = kind
        if kind == "TFOpLambda":
            function = str(config_of(layer).get("function"))
        place = Place(self._path, function, name)
        sign = OPERATIONS.get(function)
        numbers = [each for each in calls if type(each) in (int, float)]
        if sign is None or len(calls) != 2 or len(numbers) != 1:
            raise place.refusal("none of the layers that are known here")
        (taken,) = (answers[each] for each in calls if isinstance(each, str))
        left, right = (
            X if isinstance(each, str) else constant(float(each)) for each in calls
        )
        try:
            affine = combined(sign, left, right)
        except (NotAffine, OverflowError) as error:
            raise place.refusal(str(error)) from None
        return [_scaling(name, affine, (taken,))], name

    def _lambda(
        self, layer: Mapping[str, Any], name: str, inputs: tuple[str, ...]
    ) -> Piece:
        """Return what a Lambda is by the bytes of its function, which is not run."""
        said = ""
        content = _bytes_of(config_of(layer).get("function"))
        if content is None:
            return Piece("Lambda", name, {}, inputs, said="it names a function alone")
        try:
            code = read_code(content)
            return _scaling(name, affine_of(code), inputs)
        except NoCode as error:
            said = str(error)
        except NotAffine as error:
            if (size := size_of(code)) is not None:
                settings = {"height": size[0], "width": size[1]}
                return Piece("Resizing", name, settings, inputs)
            numbers = ", ".join(f"{n:g}" for n in code.numbers()[:6])
            said = f"{error}{f'; numbers in it: {numbers}' if numbers else ''}"
        return Piece("Lambda", name, {}, inputs, said=said)


def _scaling(name: str, affine: Affine, inputs: tuple[str, ...]) -> Piece:
    return Piece("Rescaling", name, {"affine": affine}, inputs)


def _names_in(value: Any) -> list[str]:
    """Return the names of layers in what a model says of its inputs or outputs."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return []
    if value and isinstance(value[0], str):  # Keras 3 writes one without a list.
        return [value[0]]
    return [each[0] for each in value if isinstance(each, list) and _is_named(each)]


def _is_named(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], str)


def _taken(value: Any, depth: int) -> Iterator[str | float]:
    """Yield the layers and the numbers that a call of Keras 3 takes."""
    if depth > MOST_DEPTH:
        return
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            history = config_of(value).get("keras_history")
            if isinstance(history, list) and _is_named(history):
                yield history[0]
            return
        for each in value.values():
            yield from _taken(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _taken(each, depth + 1)
    elif type(value) in (int, float):
        yield value


def _bytes_of(function: Any) -> bytes | None:
    """Return the bytes of a function as any version of Keras has written them."""
    if isinstance(function, dict):  # Keras 3.
        function = config_of(function).get("code")
    elif isinstance(function, list) and function:
        function = function[0]
    else:
        return None  # A name alone.
    if not isinstance(function, str):
        return None
    try:
        # Keras 2 and 3; a line of base64 holds none of the bytes of a function.
        return base64.b64decode(
            function.encode("ascii").replace(b"\n", b""), None, True
        )
    except (binascii.Error, ValueError):
        try:
            return function.encode("raw_unicode_escape")
        except ValueError:
            return None


def with_known(network: Network, name: str, affine: Affine) -> Network:
    """Return a network of which it is known what one Lambda does."""
    return replace(
        network,
        pieces=tuple(
            _scaling(name, affine, piece.inputs) if piece.name == name else piece
            for piece in network.pieces
        ),
    )
