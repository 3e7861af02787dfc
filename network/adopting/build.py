"""A model of this project from a network of somebody else's and what came before it.

What people did to a picture outside of their network becomes its first layers: crop,
blur, resize, colour, scale. The rest is built from pieces, and gets the numbers of the
file, turned round where an older Keras, or Theano, kept them otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.errors import InputError
from network.adopting.affine import Affine, X, after
from network.adopting.graph import PICTURE, Network
from network.adopting.pieces import Piece
from network.adopting.sources import Source, Stored
from network.files import STEERING_AND_BEND, has_bend

if TYPE_CHECKING:
    import keras
    import numpy as np

THEANO = "theano"


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a frame before the network's own layers.

    Raises:
        InputError: Nothing is left of the frame.
    """

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Rows off at top and bottom, columns off left and right."""
    size: tuple[int, int] | None = None
    """Width and height that the rest is resized to; None: those of the network."""
    colour: str = "rgb"
    """The colour space, a key of colour.COLOUR_SPACES."""
    blur: int = 0
    """Pixels of a Gaussian blur before the resize; 0: none."""
    scale: Affine | None = None
    """What is done to each number; None: what the network does by itself."""

    def __post_init__(self) -> None:
        top, bottom, left, right = self.crop
        height, width, _ = FRAME_SHAPE
        if min(self.crop) < 0 or top + bottom >= height or left + right >= width:
            raise InputError(
                f"--crop is {' '.join(map(str, self.crop))}, expected 0 or more, and "
                f"something left of {height} rows and {width} columns"
            )
        if self.size is not None and not all(1 <= n <= 1000 for n in self.size):
            raise InputError(
                f"--size is {' '.join(map(str, self.size))}, expected a width and a "
                "height of 1 to 1000 pixels"
            )

    @property
    def left_over(self) -> tuple[int, int]:
        """Rows and columns that the crop leaves."""
        top, bottom, left, right = self.crop
        return FRAME_SHAPE[0] - top - bottom, FRAME_SHAPE[1] - left - right

    def flags(self) -> str:
        """Return the flags of adopt.py that say the same."""
        top, bottom, left, right = self.crop
        crop = [top, bottom, left, right] if left or right else [top, bottom]
        words = [f"--crop {' '.join(map(str, crop))}"]
        if self.size:
            words.append(f"--size {self.size[0]} {self.size[1]}")
        words.append(f"--colour {self.colour}")
        if self.blur:
            words.append(f"--blur {self.blur}")
        if self.scale:
            words.append(f'--scale "{self.scale}"')
        return " ".join(words)


def view_size(network: Network, done: Preprocessing) -> tuple[int, int]:
    """Return rows and columns of what the network sees.

    Raises:
        InputError: The network takes another size than --size says.
    """
    own = (network.height, network.width)
    wanted = (done.size[1], done.size[0]) if done.size else (None, None)
    sizes = []
    for mine, given, left in zip(own, wanted, done.left_over, strict=True):
        if mine and given and mine != given:
            raise InputError(
                f"--size is {wanted[1]} {wanted[0]}, and the network takes pictures of "
                f"{own[1]}x{own[0]}; leave --size out"
            )
        sizes.append(mine or given or left)
    return sizes[0], sizes[1]


def with_front(
    network: Network, done: Preprocessing
) -> tuple[Preprocessing, tuple[Piece, ...]]:
    """Take what a network does to its pictures first out of it, to do it to the frame.

    Scaling, and a crop or a resize of what nobody has resized before, come out the same
    on the frame: there they are layers that the whole project knows.

    Returns:
        What is done to the frame, its size and scale filled in; and the other pieces.
    """
    height, width = view_size(network, done)
    scale, crop = done.scale or X, list(done.crop)
    is_resized = (height, width) != done.left_over
    taken, last = 0, PICTURE
    users = [name for piece in network.pieces for name in piece.inputs]
    for piece in network.pieces:
        if piece.inputs != (last,) or users.count(last) != 1:
            break
        if piece.layer == "Rescaling":
            scale = after(scale, piece.settings["affine"])
        elif piece.layer == "Cropping2D" and not is_resized:
            (top, bottom), (left, right) = piece.settings["cropping"]
            if top + bottom >= height or left + right >= width:
                break
            crop = [
                n + m for n, m in zip(crop, (top, bottom, left, right), strict=True)
            ]
            height, width = height - top - bottom, width - left - right
        elif piece.layer == "Resizing" and not is_resized:
            height, width = piece.settings["height"], piece.settings["width"]
            is_resized = True
        else:
            break
        taken, last = taken + 1, piece.name
    rest = tuple(
        replace(
            piece,
            inputs=tuple(PICTURE if name == last else name for name in piece.inputs),
        )
        for piece in network.pieces[taken:]
    )
    front = replace(
        done,
        crop=(crop[0], crop[1], crop[2], crop[3]),
        size=(width, height),
        scale=scale,
    )
    return front, rest


# --- Layers ---------------------------------------------------------------------------


def front_layers(front: Preprocessing) -> list[Any]:
    """Return the layers from the frame to what the first own layer takes."""
    from keras import layers

    from network.colour import Blur, Colour

    assert front.size is not None and front.scale is not None, "with_front fills them"
    top, bottom, left, right = front.crop
    found: list[Any] = [
        layers.Cropping2D(((top, bottom), (left, right)), dtype="uint8", name="crop")
    ]
    if front.blur:
        found.append(Blur(front.blur, name="blur"))
    width, height = front.size
    found.append(layers.Resizing(height, width, dtype="uint8", name="view"))
    if front.colour != "rgb":
        found.append(Colour(front.colour, name="colour"))
    if front.colour == "rgb" or not front.scale.is_identity:
        # It makes floating numbers of whole ones, too.
        found.append(scaling_layer(front.scale, "scale"))
    return found


def scaling_layer(affine: Affine, name: str) -> Any:
    """Return the layer that does this to every number."""
    from keras import layers

    scale, offset = list(affine.scale), list(affine.offset)
    if len(scale) == 1:
        return layers.Rescaling(scale[0], offset[0], name=name)
    return layers.Rescaling(scale, offset, name=name)


def network_layers(
    pieces: Sequence[Piece], picture: Any, path: str, backend: str
) -> tuple[Any, list[tuple[Piece, Any]]]:
    """Connect the pieces of a network, one after the other.

    Args:
        picture: The tensor that the network takes.
        path: The file, for messages.
        backend: What Keras computed with where the network was made.

    Returns:
        The tensor of its answer, and the layer of each piece that has one.
    """
    answers = {PICTURE: picture}
    made: list[tuple[Piece, Any]] = []
    counts: dict[str, int] = {}
    for piece in pieces:
        inputs = [answers[name] for name in piece.inputs]
        x = inputs[0]
        for layer, is_own in _layers_for(piece, x, backend, counts):
            try:
                x = layer(inputs if len(inputs) > 1 else x)
            # What Keras raises is up to a stranger's arguments.
            except Exception as error:
                raise InputError(
                    f"{path}: layer {piece.name[:60]!r} ({piece.layer}) cannot take "
                    f"what comes before it, of the shape {x.shape}: "
                    f"{_first_line(error)}; is --size, or --crop, another?"
                ) from error
            if is_own:
                made.append((piece, layer))
        if piece.name in answers:
            raise InputError(
                f"{path}: two layers are called {piece.name[:60]!r}, expected one"
            )
        answers[piece.name] = x
    return x, made


def _first_line(error: Exception) -> str:
    text = str(error).rpartition("Exception encountered: ")[2]
    lines = re.sub("\x1b\\[[0-9]*m", "", text).split("\n")
    return (" ".join(filter(None, lines[:3])) or type(error).__name__)[:200]


def _layers_for(
    piece: Piece, x: Any, backend: str, counts: dict[str, int]
) -> list[tuple[Any, bool]]:
    """Return the layers of a piece, and of each whether it is the piece itself."""
    import keras
    from keras import layers

    def name_of(kind: str) -> str:
        stem = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
        stem = {"conv2_d": "conv", "conv2d": "conv", "rescaling": "scaling"}.get(
            stem, stem
        )
        counts[stem] = counts.get(stem, 0) + 1
        return f"{stem}{counts[stem]}"

    settings = dict(piece.settings)
    found: list[tuple[Any, bool]] = []
    if piece.layer == "Rescaling":
        return [(scaling_layer(settings["affine"], name_of("scaling")), True)]
    if piece.is_channels_first and len(x.shape) == 4:
        if piece.layer in ("Flatten", "Reshape"):
            # In the order in which the layer behind it has learnt them.
            found.append((layers.Permute((3, 1, 2), name=name_of("permute")), False))
        elif piece.layer == "BatchNormalization":
            settings["axis"] = {1: 3, 2: 1, 3: 2, -1: 2, -2: 1, -3: 3}.get(
                settings["axis"], settings["axis"]
            )
        elif piece.layer == "PReLU":
            axes = settings["shared_axes"]
            settings["shared_axes"] = tuple({1: 3, 2: 1, 3: 2}[axis] for axis in axes)
    if piece.layer == "BatchNormalization" and len(x.shape) == 2:
        settings["axis"] = -1
    if isinstance(settings.get("kernel_regularizer"), Mapping):
        settings["kernel_regularizer"] = keras.regularizers.L1L2(
            **settings["kernel_regularizer"]
        )
    is_theanos = backend == THEANO and settings.get("padding") == "same"
    if is_theanos and piece.layer == "Conv2D" and max(settings["strides"]) > 1:
        # Theano fills up on both sides alike, TensorFlow on the right alone.
        half = [n // 2 for n in settings["kernel_size"]]
        settings["padding"] = "valid"
        found.append((layers.ZeroPadding2D(half, name=name_of("padding")), False))
    # By its name a model of this project is known that tells bends, too.
    is_both = piece.name == STEERING_AND_BEND
    name = STEERING_AND_BEND if is_both else name_of(piece.layer)
    layer = getattr(layers, piece.layer)(**settings, name=name)
    return [*found, (layer, True)]


# --- Numbers --------------------------------------------------------------------------


def give_weights(
    made: Sequence[tuple[Piece, Any]], source: Source, backend: str
) -> None:
    """Give every layer the numbers that the file holds for it.

    Raises:
        InputError: They do not fit.
    """
    having = [(piece, layer) for piece, layer in made if layer.weights]
    stored = [part for each in source.stored for part in _parts_of(each) if part.arrays]
    path = source.weights_path
    why = f"{path}: it holds no numbers of layers"
    for chosen in _assignments([piece for piece, _ in having], stored):
        arrays = []
        for (piece, layer), each in zip(having, chosen, strict=True):
            found = _fitting(piece, layer, each, source, backend)
            if found is None:
                takes = [tuple(weight.shape) for weight in layer.weights]
                has = [tuple(array.shape) for array in each.arrays]
                why = (
                    f"{path}: layer {piece.name[:60]!r} takes numbers of the shapes "
                    f"{takes}, and {(each.name or each.key)[:60]!r} there holds {has}; "
                    "are these the weights of this network, and is --size right?"
                )
                break
            arrays.append(found)
        else:
            for (_, layer), numbers in zip(having, arrays, strict=True):
                layer.set_weights(numbers)
            return
    if stored and len(stored) != len(having):
        why = (
            f"{path}: {len(stored)} layers there hold numbers, and {len(having)} of "
            "the network take some; are these its weights?"
        )
    raise InputError(why)


def _parts_of(stored: Stored) -> list[Stored]:
    """Return a model among the layers as its own layers, by the names of its arrays."""
    owners = [re.split(r"[/\\]", name)[:-1] for name in stored.names]
    if len({tuple(owner) for owner in owners}) <= 1:
        return [stored]
    parts: dict[str, list[int]] = {}
    for i, owner in enumerate(owners):
        parts.setdefault(owner[-1] if owner else stored.name, []).append(i)
    return [
        Stored(
            name,
            stored.key,
            tuple(stored.names[i] for i in places),
            tuple(stored.arrays[i] for i in places),
        )
        for name, places in parts.items()
    ]


def _assignments(
    pieces: Sequence[Piece], stored: Sequence[Stored]
) -> list[list[Stored]]:
    """Return which numbers may be each piece's: by name, by group, in order."""
    ways: list[list[Stored]] = []
    by_name = {each.name: each for each in stored if each.name}
    names = [piece.name.rpartition("/")[2] for piece in pieces]
    if len(by_name) == len(stored) and set(names) <= set(by_name):
        ways.append([by_name[name] for name in names])
    by_key = {each.key: each for each in stored}
    if all(piece.key in by_key for piece in pieces):
        ways.append([by_key[piece.key] for piece in pieces])
    if len(stored) == len(pieces):
        ways.append(list(stored))
    return ways


def _fitting(
    piece: Piece, layer: Any, stored: Stored, source: Source, backend: str
) -> list[np.ndarray] | None:
    """Return a layer's numbers as today's Keras wants them; None if they do not fit."""
    import numpy as np

    shapes = [tuple(weight.shape) for weight in layer.weights]
    arrays = list(stored.arrays)
    if len(arrays) != len(shapes):
        return None
    for i, shape in enumerate(shapes):
        array = arrays[i]
        is_kernel = i == 0 and piece.layer == "Conv2D" and array.ndim == 4
        turned = tuple(array.shape[k] for k in (2, 3, 1, 0)) if is_kernel else ()
        # Keras 1 kept a kernel (filters, channels, rows, columns) for such pictures.
        is_old = piece.is_channels_first and source.major in (0, 1)
        if turned == shape and (is_old or array.shape != shape):
            array = array.transpose(2, 3, 1, 0)
        if piece.layer == "PReLU" and piece.is_channels_first and array.ndim == 3:
            array = array.transpose(1, 2, 0)
        if is_kernel and backend == THEANO:
            # Theano turns a kernel round as it computes, TensorFlow does not.
            array = array[::-1, ::-1]
        if array.shape != shape:
            return None
        arrays[i] = np.ascontiguousarray(array, np.float32)
    return arrays


def backend_of(source: Source, is_channels_first: bool, given: str | None) -> str:
    """Return what Keras computed with: as given, as the file says, or most likely."""
    if given or source.backend:
        return given or source.backend
    return THEANO if is_channels_first and source.major in (0, 1) else "tensorflow"


# --- All of it ------------------------------------------------------------------------


def build_network(
    pieces: Sequence[Piece], front: Preprocessing, source: Source, backend: str
) -> tuple[keras.Model, list[tuple[Piece, Any]]]:
    """Build a network alone, of pictures that are scaled already.

    Returns:
        A model of float32 (n, height, width, channels) to steering (n, 1), without
        the file's numbers; and the layers of its pieces.
    """
    import keras

    from network.colour import COLOUR_SPACES

    assert front.size is not None, "with_front fills it"
    width, height = front.size
    picture = keras.Input((height, width, COLOUR_SPACES[front.colour]))
    answer, made = network_layers(pieces, picture, str(source.path), backend)
    return keras.Model(picture, answer), made


def build_whole(
    pieces: Sequence[Piece], front: Preprocessing, source: Source, backend: str
) -> tuple[keras.Model, list[tuple[Piece, Any]]]:
    """Build a model of this project: raw frames, uint8 (n, 160, 320, 3), to steering.

    One that is of this project already may tell bends besides.

    Returns:
        The model, without the file's numbers; and the layers of its pieces.
    """
    import keras

    frame = keras.Input(FRAME_SHAPE, dtype="uint8", name="frame")
    x = frame
    for layer in front_layers(front):
        x = layer(x)
    answer, made = network_layers(pieces, x, str(source.path), backend)
    model = keras.Model(frame, answer, name="adopted")
    if answer.shape != (None, 1) and not has_bend(model):
        raise InputError(
            f"{source.path}: it answers with numbers of the shape "
            f"{tuple(answer.shape[1:])}, expected one, the steering"
        )
    return model, made


def weights_path_of(source: Source) -> Path:
    """Return where the numbers of a source lie."""
    return source.weights_path or source.path
