"""What a model of other people is, in one line, and what to type to adopt it.

Every command asks this of a file that is none of the project's, before TensorFlow is
loaded.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from common.car import FRAME_SHAPE
from common.errors import InputError
from network.adopting.shapes import input_shape_of
from network.adopting.sources import (
    HDF5_START,
    ZIP_START,
    Source,
    read_source,
    version_of,
)

# What is not called after what is in it is called after its folder.
NAMES_OF_NOBODY = frozenset("model weights model.weights best final config".split())


def way_to_adopt(path: Path) -> str:
    """Return what to type to make a model of other people one of this project's."""
    return f"adopt it: {adopt_command(path)}"


def adopt_command(path: Path) -> str:
    """Return the line that adopts a file."""
    stem = path.name
    for ending in (".json", ".weights.h5", ".h5", ".hdf5", ".keras"):
        stem = stem.removesuffix(ending)
    if stem.lower() in NAMES_OF_NOBODY:
        stem = path.absolute().parent.name or stem
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).lstrip(".-")
    out = Path("models", f"{name or 'model'}-adopted")
    return shlex.join(["python", "adopt.py", str(path), "--out", str(out)])


def refuse_file(path: Path, start: bytes) -> None:
    """Refuse a whole Keras model, or weights, in the place of a model.json.

    Args:
        start: Its first four bytes.

    Raises:
        InputError: It is one; the message says of which version and size.
    """
    if start not in (HDF5_START, ZIP_START):
        return
    source = read_source(path, with_weights=False)
    what = what_it_is(source)
    stem = path.name.removesuffix(".h5").removesuffix(".weights")
    for name in (f"{stem}.json", "model.json"):
        beside = path.with_name(name)
        if beside.is_file() and not beside.samefile(path):
            raise InputError(f"{path}: {what}; give {beside}, which lies beside it")
    if source.config is None:
        raise InputError(
            f"{path}: {what}, expected its layers as model.json beside it; without "
            f"them, {way_to_adopt(path)}"
        )
    raise InputError(
        f"{path}: {what}, not yet one of this project's; {way_to_adopt(path)}"
    )


def refuse_config(path: Path, config: dict[str, Any]) -> None:
    """Refuse the configuration of a model that does not take the simulator's frames.

    Raises:
        InputError: It is one, or of a Keras whose layers had other names.
    """
    version = version_of(config)
    source = Source(path, None, config, version, "", ())
    shape = input_shape_of(source.config)
    is_other_size = shape is not None and shape != FRAME_SHAPE
    if source.major == 1 or (is_other_size and None not in (shape or ())):
        raise InputError(
            f"{path}: {what_it_is(source)}, not yet one of this project's; "
            f"{way_to_adopt(path)}"
        )


def what_it_is(source: Source) -> str:
    """Return in words what a file is: the version of Keras and the size it takes."""
    by = f"Keras {source.version}" if source.version else "Keras"
    if source.config is None:
        return f"weights alone, saved by {by}"
    shape = input_shape_of(source.config)
    if shape is None:
        return f"a model of {by} that does not say which pictures it takes"
    height, width, channels = shape
    size = "any size" if height is None or width is None else f"{width}x{height}"
    kind = {1: "grey ", 3: "", 4: "four-channel "}.get(channels or 0, "unusual ")
    return f"a model of {by} that takes {kind}pictures of {size}"
