"""A file of weights alone: the networks that they may be of.

Keras writes the layers and their numbers in order, and no strides, padding or
activations. What can follow from the numbers does: of all strides and sizes of a
picture only some give the first dense layer as many inputs as it has. Which of those it
is, the user says, or a recording shows (trial.py).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.errors import InputError
from network.adopting.graph import PICTURE, Network
from network.adopting.pieces import Piece
from network.adopting.sources import Source, Stored

# What is left out of a layer's name without numbers in it tells what it is.
KINDS = (
    ("MaxPooling2D", re.compile("max_?pool")),
    ("AveragePooling2D", re.compile("(avg|average)_?pool")),
    ("Flatten", re.compile("flatten")),
    ("LeakyReLU", re.compile("leaky")),
    ("ELU", re.compile(r"elu(_|\d|$)")),
    ("Activation", re.compile("activation|relu")),
)
# Width and height of the pictures that people's networks take, the usual ones first.
SIZES = (
    *((200, 66), (64, 64), (320, 160), (128, 128), (160, 80), (32, 32), (320, 75)),
    *((320, 65), (320, 90), (320, 80), (100, 100), (64, 32), (32, 16), (80, 40)),
    *((160, 70), (220, 66), (224, 224), (200, 100), (160, 160), (40, 40), (48, 48)),
    *((96, 96), (80, 80), (64, 16), (40, 20), (256, 256), (160, 120), (160, 65)),
)
ACTIVATIONS = ("relu", "elu")
PADDINGS = ("valid", "same")
# From this kernel on people took steps of four, as comma.ai did.
LARGE_KERNEL = 8
# Beyond so many it is no longer a question that a recording answers in a minute.
MOST_NETWORKS = 60
MOST_CONVOLUTIONS = 10
FLAT_NAME = "flattened"


@dataclass(frozen=True)
class Told:
    """What the user says of the network; None and () leave it open."""

    size: tuple[int, int] | None = None
    """Width and height of its pictures."""
    strides: tuple[int, ...] = ()
    """Of each convolution."""
    padding: str | None = None
    """Of its convolutions, and of its pooling."""
    activation: str | None = None
    """Of all hidden layers that have one."""


def networks_of(source: Source, told: Told) -> list[tuple[str, Network]]:
    """Return the networks that weights may be of, the likeliest first, and their flags.

    Raises:
        InputError: They are of no network of convolutions, or of none of those told.
    """
    path = str(source.weights_path or source.path)
    stored = [each for each in source.stored if each.arrays or each.name]
    convolutions = [e for e in stored if e.arrays and e.arrays[0].ndim == 4]
    dense = [e for e in stored if e.arrays and e.arrays[0].ndim == 2]
    if not convolutions or not dense or not all(each.name for each in stored):
        raise InputError(
            f"{path}: weights alone, and not of a chain of convolutions and dense "
            "layers in order; give the model.json of it, with --weights"
        )
    if len(convolutions) > MOST_CONVOLUTIONS:
        raise InputError(
            f"{path}: weights alone, of {len(convolutions)} convolutions, expected at "
            f"most {MOST_CONVOLUTIONS} without the model.json of it; give that"
        )
    if told.strides and len(told.strides) != len(convolutions):
        raise InputError(
            f"--strides has {len(told.strides)} numbers, and {path} is of "
            f"{len(convolutions)} convolutions; give one for each"
        )
    flags_of = _fitting(stored, convolutions, dense[0], told)
    found = [
        (
            flags,
            _network(stored, (width, height), strides, paddings, activation),
        )
        for flags, (width, height), strides, paddings, activation in flags_of
    ]
    if not found:
        raise InputError(
            f"{path}: no network of the usual sizes gives {dense[0].name[:60]!r} its "
            f"{dense[0].arrays[0].shape[0]:,} inputs; say --size W H, --strides and "
            "--padding, or give the model.json of it"
        )
    return found


Choice = tuple[str, tuple[int, int], tuple[int, ...], tuple[str, str], str]


def _fitting(
    stored: Sequence[Stored],
    convolutions: Sequence[Stored],
    dense: Stored,
    told: Told,
) -> list[Choice]:
    """Return what fits the number of inputs of the first dense layer."""
    chain = _before(stored, dense)
    choices: list[tuple[int, Choice]] = []
    for size in (told.size,) if told.size else SIZES:
        for paddings in _paddings(told, chain):
            for strides in _strides(convolutions, told):
                flat, differs = _flat(size, strides, paddings, chain)
                if paddings[1] == "same" and not differs:
                    continue  # Of even sizes both paddings of pooling give the same.
                if flat == dense.arrays[0].shape[0]:
                    rank = _oddness(size, strides, paddings)
                    for activation in _activations(told, stored):
                        flags = _flags(size, strides, paddings, activation)
                        choices.append(
                            (rank, (flags, size, strides, paddings, activation))
                        )
    choices.sort(key=lambda each: each[0])
    return [choice for _, choice in choices[:MOST_NETWORKS]]


def _before(stored: Sequence[Stored], dense: Stored) -> list[tuple[str, int, int]]:
    """Return what changes the size before the first dense layer.

    Kind, kernel and channels of each: of pooling the kernel is 2, as nearly always.
    """
    chain = []
    for each in stored:
        if each is dense:
            break
        if each.arrays and each.arrays[0].ndim == 4:
            rows, _, _, filters = each.arrays[0].shape
            chain.append(("Conv2D", rows, filters))
        elif _kind_of(each).endswith("Pooling2D"):
            chain.append(("Pooling", 2, 0))
    return chain


def _kind_of(stored: Stored) -> str:
    """Return what a layer is: by its numbers, or by its name."""
    if stored.arrays:
        ranks = [array.ndim for array in stored.arrays]
        if ranks[0] == 4:
            return "Conv2D"
        if ranks[0] == 2:
            return "Dense"
        return "BatchNormalization" if ranks == [1] * len(ranks) else ""
    name = stored.name.lower()
    return next((kind for kind, mark in KINDS if mark.search(name)), "")


def _paddings(
    told: Told, chain: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[str, str]]:
    """Yield paddings of the convolutions and of the pooling."""
    has_pooling = any(kind == "Pooling" for kind, *_ in chain)
    for own in (told.padding,) if told.padding else PADDINGS:
        for pooling in PADDINGS if has_pooling else ("valid",):
            yield own, pooling


def _strides(convolutions: Sequence[Stored], told: Told) -> Iterator[tuple[int, ...]]:
    if told.strides:
        yield told.strides
        return
    each = [
        (1, 2, 4) if convolution.arrays[0].shape[0] >= LARGE_KERNEL else (1, 2)
        for convolution in convolutions
    ]
    yield from itertools.product(*each)


def _activations(told: Told, stored: Sequence[Stored]) -> tuple[str, ...]:
    if told.activation:
        return (told.activation,)
    kinds = {_kind_of(each) for each in stored}
    if kinds & {"ELU", "LeakyReLU"}:
        return ("linear",)  # The layers themselves say it.
    return ACTIVATIONS


def _flat(
    size: tuple[int, int],
    strides: tuple[int, ...],
    paddings: tuple[str, str],
    chain: Sequence[tuple[str, int, int]],
) -> tuple[int, bool]:
    """Return how many numbers come to the first dense layer.

    And whether the padding of the pooling makes any difference to it.
    """
    width, height = size
    left, channels, differs = list(strides), 0, False
    for kind, kernel, filters in chain:
        if kind == "Conv2D":
            step, padding, channels = left.pop(0), paddings[0], filters
        else:
            step, padding = 2, paddings[1]
            differs = differs or width % 2 != 0 or height % 2 != 0
        width, height = (
            -(-n // step) if padding == "same" else (n - kernel) // step + 1
            for n in (width, height)
        )
        if min(width, height) < 1:
            return 0, differs
    return width * height * channels, differs


def _oddness(
    size: tuple[int, int], strides: tuple[int, ...], paddings: tuple[str, str]
) -> int:
    """Return how far from the usual a network is: steps get smaller, paddings agree."""
    growing = sum(b > a for a, b in itertools.pairwise(strides))
    place = SIZES.index(size) if size in SIZES else 0
    return 4 * growing + 2 * (paddings[0] != paddings[1]) + place // 4


def _flags(
    size: tuple[int, int],
    strides: tuple[int, ...],
    paddings: tuple[str, str],
    activation: str,
) -> str:
    padding = f"--padding {paddings[0]}"
    if paddings[1] != "valid":
        padding += f" (pooling {paddings[1]})"
    known = "" if activation == "linear" else f" --activation {activation}"
    steps = " ".join(map(str, strides))
    return f"--size {size[0]} {size[1]} --strides {steps} {padding}{known}"


def _network(
    stored: Sequence[Stored],
    size: tuple[int, int],
    strides: tuple[int, ...],
    paddings: tuple[str, str],
    activation: str,
) -> Network:
    """Return the network of one choice."""
    pieces: list[Piece] = []
    left, last = list(strides), PICTURE
    first = next(e for e in stored if e.arrays and e.arrays[0].ndim == 4)
    last_dense = [e for e in stored if e.arrays and e.arrays[0].ndim == 2][-1]
    # Where layers of their own do it, those before them do not.
    kinds = [_kind_of(each) for each in stored]
    is_apart = bool({"ELU", "LeakyReLU", "Activation"} & set(kinds))
    for each, kind in zip(stored, kinds, strict=True):
        own = "linear" if is_apart or each is last_dense else activation
        settings: dict[str, object] = {}
        if kind == "Conv2D":
            rows, columns, _, filters = each.arrays[0].shape
            settings = {
                "filters": filters,
                "kernel_size": (rows, columns),
                "strides": (left[0], left.pop(0)),
                "padding": paddings[0],
                "activation": own,
                "use_bias": len(each.arrays) > 1,
            }
        elif kind == "Dense":
            if "Flatten" not in [piece.layer for piece in pieces]:
                # A file that names only layers with numbers leaves it out.
                pieces.append(Piece("Flatten", FLAT_NAME, {}, (last,)))
                last = FLAT_NAME
            settings = {
                "units": each.arrays[0].shape[1],
                "activation": own,
                "use_bias": len(each.arrays) > 1,
            }
        elif kind.endswith("Pooling2D"):
            settings = {"pool_size": (2, 2), "padding": paddings[1]}
        elif kind == "Activation":
            settings = {"activation": activation}
        elif kind == "BatchNormalization":
            settings = {"axis": -1, "center": len(each.arrays) > 2}
            settings["scale"] = len(each.arrays) > 3
        elif kind not in ("Flatten", "ELU", "LeakyReLU"):
            continue
        pieces.append(Piece(kind, each.name, settings, (last,)))
        last = each.name
    width, height = size
    channels = int(first.arrays[0].shape[2])
    return Network(height, width, channels, tuple(pieces), last, False)
