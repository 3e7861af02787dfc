"""A Keras model of anybody's, of any version, read as data: what it says, its numbers.

    source = read_source(Path("model.h5"))
    source.keras_version, source.config, source.stored

Three kinds of file are read: HDF5, with or without the configuration in it; the .keras
zip of Keras 3; and a configuration as JSON, with its weights beside it. What HDF5 and
zip hold is first copied within bounds by a process apart (network/weights.py).
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.files import read_regular
from common.shell import typed
from network.apart import apart
from network.limits import confine, current_limits
from network.weights import BYTES_EACH, MORE_BYTES, copy_weights

if TYPE_CHECKING:
    import h5py
    import numpy as np

HDF5_START, ZIP_START = b"\x89HDF", b"PK\3\4"
# As that of a model.json; see network/files.py.
MOST_JSON_BYTES = 10_000_000
# What of a .keras file is read, and the most bytes of each; of the weights as many as
# of an HDF5 file.
CONFIG_NAME, METADATA_NAME, WEIGHTS_NAME = (
    "config.json",
    "metadata.json",
    "model.weights.h5",
)
MOST_METADATA_BYTES = 100_000
# Files in a zip; Keras writes three, and one for each vocabulary.
MOST_MEMBERS = 1_000
# Groups of weights that are not the network's.
NOT_ITS_OWN = frozenset("optimizer optimizer_weights metrics".split())
# Names of weights beside a configuration, after what both are called.
ENDINGS = (".weights.h5", ".h5", ".hdf5", "_weights.h5", "-weights.h5", ".hdf")
# Whatever the configuration is called.
USUAL_WEIGHTS = ("model.h5", "weights.h5", "model_weights.h5", "model.weights.h5")
KERAS_1_NAMES = frozenset(
    """
    Convolution2D Convolution1D AtrousConvolution2D SeparableConvolution2D Merge
    MaxoutDense Highway
    """.split()
)


@dataclass(frozen=True)
class Stored:
    """The numbers of one layer, as a file holds them."""

    name: str
    """What the layer is called there; "" where the file does not say."""
    key: str
    """What its group is called."""
    names: tuple[str, ...] = ()
    """What each array is called."""
    arrays: tuple[np.ndarray, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Source:
    """A model file, read as data."""

    path: Path
    """The file that was given."""
    weights_path: Path | None
    """Where its numbers lie; None where they have not been looked for."""
    config: dict[str, Any] | None
    """Its configuration, of anybody's making; None for a file of weights alone."""
    version: str
    """The version of Keras that wrote it, such as "1.2.1" or "2"; "" if unknown."""
    backend: str
    """What Keras computed with, as the file says; "" if it does not."""
    stored: tuple[Stored, ...]
    """Its layers in the order of the file, those without numbers too."""

    @property
    def major(self) -> int:
        """The first number of the version; 0 if it is not known."""
        found = re.match(r"\d+", self.version)
        return int(found[0]) if found else 0


def read_source(
    path: Path, weights_path: Path | None = None, with_weights: bool = True
) -> Source:
    """Read a model file.

    Args:
        path: The model: HDF5, .keras or JSON.
        weights_path: The file of its weights; None: in it, or beside it.
        with_weights: Whether to read its numbers, too.

    Raises:
        InputError: A file is missing, damaged, too large, or none of these.
    """
    start = start_of(path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if start == ZIP_START:
            config, version, backend = _open_zip(path, folder)
            inner = folder / WEIGHTS_NAME
            own = weights_path or path
            copied = inner if weights_path is None and inner.is_file() else None
        elif start == HDF5_START:
            copy_weights(path, folder / "model.h5")
            config, version, backend = _in_hdf5(folder / "model.h5", path)
            own = weights_path or path
            copied = folder / "model.h5" if weights_path is None else None
        else:
            config, version, backend = _in_json(path)
            own = weights_path or (weights_beside(path) if with_weights else path)
            copied = None
        stored: tuple[Stored, ...] = ()
        if with_weights:
            if copied is None or start == ZIP_START:
                given = copied or own
                copied = folder / "weights.h5"
                try:
                    copy_weights(given, copied)
                except InputError as error:
                    # What was taken out of a zip lies in a folder that nobody knows.
                    said = str(error).replace(str(given), str(own))
                    raise InputError(said) from None
                version_there, backend_there = _written_by(copied)
                version, backend = version or version_there, backend or backend_there
            stored = tuple(_stored_in(copied, own))
    known = version or version_of(config)
    return Source(path, own if with_weights else None, config, known, backend, stored)


def start_of(path: Path) -> bytes:
    """Return the first four bytes of a file.

    Raises:
        InputError: There is no such file, or it is none that holds a Keras model.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            raise InputError(
                f"{path}: a TensorFlow SavedModel, a graph and no layers, which is not "
                "read here; where it was made, save it as model.h5 or model.keras"
            )
        hint = hint_of_recording(path)
        raise InputError(
            f"{path}: a folder, expected a model.h5, .json or .keras{hint}"
        )
    if not path.is_file():
        what = "no regular file" if path.exists() else "no such file"
        raise InputError(f"{path}: {what}, expected a model.h5, .json or .keras")
    with path.open("rb") as file:
        return file.read(4)


def hint_of_recording(folder: Path) -> str:
    """Return what to say of a folder that is a recording, and no model; or ""."""
    if not (folder / "driving_log.csv").is_file():
        return ""
    return f"; it is a recording, and {typed('train.py', folder)} makes one of it"


def weights_beside(json_path: Path) -> Path:
    """Return the weights that lie beside a configuration.

    Raises:
        InputError: There are none, or several and none is called as it.
    """
    stem = json_path.name.removesuffix(".json")
    alike = [json_path.with_name(stem + ending) for ending in ENDINGS]
    usual = [json_path.with_name(name) for name in USUAL_WEIGHTS]
    for path in (*alike, *usual):
        if path.is_file():
            return path
    found = [p for p in sorted(json_path.parent.iterdir()) if _may_be_weights(p)]
    if len(found) == 1:
        return found[0]
    named = ", ".join(path.name for path in found[:3])
    raise InputError(
        f"{json_path}: the layers alone, without their weights; give the file of those "
        f"with --weights{f' (one of {named})' if named else ''}"
    )


def _may_be_weights(path: Path) -> bool:
    return path.suffix in (".h5", ".hdf5", ".hdf") and path.is_file()


def version_of(config: dict[str, Any] | None) -> str:
    """Return the version of Keras that a configuration is of, by what is in it."""
    if config is None:
        return ""
    said = config.get("keras_version")
    if isinstance(said, str) and re.fullmatch(r"\d+(\.\w+){0,3}[\w.+-]{0,20}", said):
        return said
    marks: set[str] = set()
    for node in nodes_of(config):
        marks |= {key for key in node if isinstance(key, str)}
        if str(node.get("class_name")) in KERAS_1_NAMES:
            return "1"
    if marks & {"nb_filter", "output_dim", "border_mode", "dim_ordering"}:
        return "1"
    if marks & {"module", "registered_name", "batch_shape", "build_config"}:
        return "3"
    return "2"


# A model of models has some 20; see network/files.py.
MOST_DEPTH = 100


def nodes_of(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every dictionary in a parsed document, down to MOST_DEPTH."""
    todo = [(config, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > MOST_DEPTH:
            continue
        if isinstance(node, dict):
            yield node
            todo.extend((part, depth + 1) for part in node.values())
        elif isinstance(node, list):
            todo.extend((part, depth + 1) for part in node)


# --- Where the configuration is -------------------------------------------------------

Said = tuple[dict[str, Any] | None, str, str]


def _in_json(path: Path) -> Said:
    config = _parsed(read_regular(path, MOST_JSON_BYTES), path)
    backend = config.get("backend")
    return config, version_of(config), backend if isinstance(backend, str) else ""


def _parsed(content: bytes | str, path: Path) -> dict[str, Any]:
    try:
        config = json.loads(content)
        # Older scripts dump the text of to_json() once more, as a JSON string.
        if isinstance(config, str):
            config = json.loads(config)
    except (ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0][:100]
        raise InputError(
            f"{path}: neither HDF5 nor a .keras file nor JSON ({first}), expected a "
            "Keras model; is the file cut off?"
        ) from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise InputError(f"{path}: JSON, but not of a Keras model")
    return config


def _in_hdf5(copy_path: Path, path: Path) -> Said:
    import h5py

    with h5py.File(copy_path) as file:
        text = _text(file.attrs.get("model_config"))
        version, backend = _attributes(file)
    config = _parsed(text, path) if text else None
    return config, version or version_of(config), backend


def _written_by(copy_path: Path) -> tuple[str, str]:
    import h5py

    with h5py.File(copy_path) as file:
        return _attributes(file)


def _attributes(file: h5py.File) -> tuple[str, str]:
    """Return the version of Keras, and its backend, as attributes tell them."""
    said = []
    for name in ("keras_version", "backend"):
        for group in (file, file.get("model_weights")):
            text = _text(group.attrs.get(name)) if group is not None else ""
            if text:
                break
        said.append(text if re.fullmatch(r"[\w.+-]{1,40}", text) else "")
    return said[0], said[1]


def _text(value: Any) -> str:
    """Return a text that an attribute of HDF5 holds, as bytes or as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


# --- A .keras file --------------------------------------------------------------------


def _open_zip(path: Path, folder: Path) -> Said:
    """Put what a .keras file holds into a folder; return what is said in it."""
    most = BYTES_EACH * current_limits().parameters + MORE_BYTES
    if path.stat().st_size > most:
        raise InputError(f"{path}: larger than {most:,} bytes; is it the right file?")
    apart(_unzip, path, str(folder))
    config = _parsed((folder / CONFIG_NAME).read_bytes(), path)
    version = ""
    if (folder / METADATA_NAME).is_file():
        try:
            metadata = json.loads((folder / METADATA_NAME).read_bytes())
            version = str(metadata["keras_version"])
        except (ValueError, LookupError, TypeError, RecursionError):
            version = ""
    is_version = re.fullmatch(r"\d+(\.\w+){0,3}[\w.+-]{0,20}", version)
    return config, version if is_version else version_of(config), ""


def _unzip(path: Path, folder: str) -> None:
    confine()
    most_weights = BYTES_EACH * current_limits().parameters + MORE_BYTES
    wanted = {
        CONFIG_NAME: MOST_JSON_BYTES,
        METADATA_NAME: MOST_METADATA_BYTES,
        WEIGHTS_NAME: most_weights,
    }
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if CONFIG_NAME not in names or len(names) > MOST_MEMBERS:
                raise InputError(
                    f"{path}: a zip, but not a .keras file: it has {len(names)} files "
                    f"and {CONFIG_NAME} is {'' if CONFIG_NAME in names else 'not '}"
                    "among them"
                )
            for name, most in wanted.items():
                if name in names:
                    _extract(archive, name, Path(folder) / name, most, path)
    except (InputError, MemoryError):
        raise
    # What zipfile raises on damaged bytes is up to these.
    except Exception as error:
        text = (str(error) or type(error).__name__).partition("\n")[0][:100]
        raise InputError(
            f"{path}: the file is damaged or cut off ({text}); copy it again"
        ) from error


def _extract(
    archive: zipfile.ZipFile, name: str, target: Path, most: int, path: Path
) -> None:
    """Unpack one file of a zip, up to so many bytes; what it claims does not count."""
    left = most
    with archive.open(name) as source, target.open("wb") as file:
        while part := source.read(min(left + 1, zlib.DEF_BUF_SIZE * 16)):
            left -= len(part)
            if left < 0:
                raise InputError(
                    f"{path}: {name} in it unpacks to more than {most:,} bytes"
                )
            file.write(part)


# --- The numbers ----------------------------------------------------------------------


def _stored_in(copy_path: Path, path: Path) -> Iterator[Stored]:
    """Yield the layers of a file that copy_weights has written."""
    import h5py

    with h5py.File(copy_path) as file:
        root = file.get("model_weights", file)
        names = list(_listed(root, "layer_names"))
        if names:
            for name in names:
                yield _legacy(root, name, path)
        elif "nb_layers" in root.attrs:
            raise InputError(
                f"{path}: weights of Keras below 1.0, which name no layers; load and "
                "save them with Keras 1 where they were made"
            )
        else:
            yield from _later(file)


def _listed(group: Any, name: str) -> Iterator[str]:
    """Yield the texts of an attribute, which long ones are split over several of."""
    parts = [name, *(f"{name}{i}" for i in range(MOST_MEMBERS))]
    for part in parts:
        if part not in group.attrs:
            if part != name:
                return
            continue
        for text in group.attrs[part]:
            yield _text(bytes(text) if isinstance(text, bytes) else text)


def _legacy(root: Any, name: str, path: Path) -> Stored:
    """Return a layer as Keras 1, 2 and 3 write it into HDF5."""
    import h5py

    if not isinstance(root.get(name), h5py.Group):
        raise InputError(f"{path}: names a layer {name[:60]!r}, and does not hold it")
    group = root[name]
    names = list(_listed(group, "weight_names"))
    arrays = []
    for each in names:
        found = group.get(each)
        if not isinstance(found, h5py.Dataset):
            raise InputError(f"{path}: names weights {each[:60]!r}, and lacks them")
        arrays.append(found[()])
    return Stored(name, name, tuple(names), tuple(arrays))


def _later(file: Any) -> Iterator[Stored]:
    """Yield the layers of a .weights.h5 file, and of that in a .keras file."""
    import h5py

    groups: list[tuple[str, h5py.Group]] = []

    def note(name: str, item: Any) -> None:
        parts = re.split(r"[/\\]", name)
        is_own = NOT_ITS_OWN.isdisjoint(parts)
        if isinstance(item, h5py.Group) and parts[-1] == "vars" and is_own:
            groups.append((name, item))

    file.visititems(note)
    for path, group in groups:
        numbered = sorted((n for n in group if n.isdecimal()), key=int)
        arrays = [group[n][()] for n in numbered if isinstance(group[n], h5py.Dataset)]
        parts = [
            part
            for part in re.split(r"[/\\]", path)[:-1]
            if part not in ("layers", "_layer_checkpoint_dependencies")
        ]
        if parts:
            name = _text(group.attrs.get("name"))
            yield Stored(name, "/".join(parts), tuple(numbered), tuple(arrays))
