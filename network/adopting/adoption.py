"""Make a model of other people one of this project's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from network.adopting.affine import Affine
from network.adopting.build import (
    Preprocessing,
    build_whole,
    give_weights,
    with_front,
)
from network.adopting.graph import Network, with_known
from network.adopting.sources import Source
from network.files import build_bounded, compute_frame
from network.limits import within_limits

if TYPE_CHECKING:
    import keras


def adopted_model(
    network: Network, source: Source, done: Preprocessing, backend: str
) -> tuple[keras.Model, Preprocessing]:
    """Build a network as a model of this project, with the numbers of its file.

    Args:
        done: What was done to a frame before the network saw it.
        backend: What Keras computed with where it was made.

    Returns:
        The model, and all that is done to a frame first, in the network or before.

    Raises:
        InputError: Something of it is not known, does not fit, or takes too much.
    """
    import keras  # noqa: F401 - before the time is taken

    if network.unknown:
        raise unknown_lambda(source.path, network)
    check_channels(network, done.colour, source.path)
    front, pieces = with_front(network, done)

    def make() -> keras.Model:
        made = []

        def build() -> keras.Model:
            model, layers = build_whole(pieces, front, source, backend)
            made.extend(layers)
            return model

        model = build_bounded(build, source.path)
        give_weights(made, source, backend)
        compute_frame(model, source.path)
        return model

    return within_limits(make, f"{source.path}: to build it"), front


def check_channels(network: Network, colour: str, path: Path) -> None:
    """See that a network takes as many channels as a colour space has.

    Raises:
        InputError: It takes others.
    """
    from network.colour import COLOUR_SPACES

    if COLOUR_SPACES[colour] != network.channels:
        fit = [name for name, num in COLOUR_SPACES.items() if num == network.channels]
        expected = f"one of {', '.join(fit)}" if fit else "another network"
        raise InputError(
            f"{path}: the network takes {network.channels} channels, and --colour "
            f"{colour} has {COLOUR_SPACES[colour]}; expected {expected}"
        )


def with_scale(network: Network, scale: Affine | None) -> tuple[Network, bool]:
    """Let --scale say what the network's Lambda does.

    Returns:
        The network, and whether the scale is still to be done before it.
    """
    if scale is None:
        return network, False
    unknown = network.unknown
    if unknown:
        return with_known(network, unknown[0].name, scale), False
    return network, True


def unknown_lambda(path: Path, network: Network) -> InputError:
    """Return what to raise of a Lambda of which nobody knows what it does."""
    piece = network.unknown[0]
    return InputError(
        f"{path}: the Lambda layer {piece.name[:60]!r} is code, which is not run, and "
        f"its bytes are not known ({piece.said}); say what it does to x with --scale, "
        'such as --scale "x / 127.5 - 1"'
    )
