"""Of which size a network's pictures are, as its configuration says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from network.adopting.given import MOST_DEPTH, MOST_NUMBER

MODELS = frozenset("Sequential Model Functional".split())
CHANNELS_FIRST = ("th", "channels_first")
# A picture is grey, of three colours, or of four with how clear it is.
CHANNELS = (1, 3, 4)


def input_shape_of(
    config: Mapping[str, Any] | None,
) -> tuple[int | None, int | None, int | None] | None:
    """Return rows, columns and channels of the picture, as far as a model says.

    None where it says nothing of it.
    """
    if config is None:
        return None
    for layer in layers_of(config):
        shape = _stated_shape(layer)
        if shape is not None:
            return _as_rows_first(shape, ordering_of(config))
    return None


def layers_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a model's configuration, of any version."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    return (
        [each for each in layers or [] if isinstance(each, dict)]
        if isinstance(layers, list)
        else []
    )


def kind_of(layer: Mapping[str, Any]) -> str:
    """Return the class that a file names for a layer; "" for none that is a text."""
    kind = layer.get("class_name")
    return kind if isinstance(kind, str) else ""


def config_of(layer: Mapping[str, Any]) -> dict[str, Any]:
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def _stated_shape(layer: Mapping[str, Any]) -> list[Any] | None:
    """Return the shape of pictures that a layer says, without the batch."""
    config = config_of(layer)
    for key in ("batch_input_shape", "batch_shape"):
        shape = config.get(key)
        if isinstance(shape, list) and len(shape) == 4:
            return shape[1:]
    shape = config.get("input_shape")
    if isinstance(shape, list) and len(shape) == 3:
        return shape
    build = layer.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    if isinstance(shape, list) and len(shape) == 4:
        return shape[1:]
    if kind_of(layer) in MODELS:
        for inner in layers_of(layer):
            if (found := _stated_shape(inner)) is not None:
                return found
    return None


def _as_rows_first(
    shape: list[Any], is_channels_first: bool
) -> tuple[int | None, int | None, int | None]:
    sizes = [n if type(n) is int and 1 <= n <= MOST_NUMBER else None for n in shape]
    channels, height, width = (
        sizes
        if is_channels_first
        else (
            sizes[2],
            sizes[0],
            sizes[1],
        )
    )
    return height, width, channels


def ordering_of(config: Mapping[str, Any]) -> bool:
    """Say whether a model's pictures are stored (channels, rows, columns)."""
    for layer in _all_layers(config, 0):
        said = config_of(layer)
        ordering = said.get("data_format") or said.get("dim_ordering")
        if ordering in (*CHANNELS_FIRST, "tf", "channels_last"):
            return ordering in CHANNELS_FIRST
    for layer in layers_of(config):
        shape = _stated_shape(layer)
        if shape is not None:
            return shape[0] in CHANNELS and shape[2] not in CHANNELS
    return False


def _all_layers(config: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    for layer in layers_of(config):
        yield layer
        if kind_of(layer) in MODELS and depth < MOST_DEPTH:
            yield from _all_layers(layer, depth + 1)


def by(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape)
