"""The numbers in an HDF5 file from a stranger, copied out of it in a process apart.

What this process and Keras read is the copy alone. It holds groups, plain numbers and
short texts: no link, no filter, no other file, nothing twice, and of each no more than
the file has bytes for.
"""

from __future__ import annotations

import math
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from network.apart import apart
from network.limits import confine, current_limits

if TYPE_CHECKING:
    import h5py

# Numbers in a file for one parameter, and bytes for one: an optimizer keeps two more.
NUMBERS_EACH, BYTES_EACH = 3, 12
# Besides the numbers: the tree of names, and the layers of a whole saved model.
MORE_BYTES = 20_000_000
# Groups and datasets. Keras writes some five for a layer.
MOST_OBJECTS = 20_000
# Texts and numbers of all attributes; the names of the layers are there.
MOST_ATTRIBUTE_BYTES = 10_000_000


def check_weights(weights_path: Path) -> None:
    """Refuse what is not a whole HDF5 file of plain numbers within itself.

    Raises:
        InputError: It is not, or it is larger than the weights of a model may be.
    """
    copy_weights(weights_path, None)


def copy_weights(weights_path: Path, copy_path: Path | None) -> None:
    """Copy the numbers of a file; None copies them nowhere.

    Raises:
        InputError: See check_weights.
    """
    if not weights_path.is_file():
        raise InputError(f"{weights_path}: no such file, expected the model's weights")
    limits = current_limits()
    most_bytes = BYTES_EACH * limits.parameters + MORE_BYTES
    if weights_path.stat().st_size > most_bytes:
        raise InputError(
            f"{weights_path}: larger than {most_bytes:,} bytes, more than a model of "
            f"{limits.parameters:,} parameters needs; is it the right file? A larger "
            "--max-parameters lets it be read"
        )
    apart(_copy, weights_path, str(copy_path or ""))


def _copy(weights_path: Path, copy_path: str) -> None:
    import h5py

    confine()
    if not h5py.is_hdf5(weights_path):
        raise InputError(
            f"{weights_path}: not an HDF5 file, expected weights saved by Keras; "
            "is it a Git LFS pointer, or cut off at its beginning?"
        )
    # In memory if nobody wants the copy. Without "latest" no attribute is long.
    how: dict[str, Any] = (
        {} if copy_path else {"driver": "core", "backing_store": False}
    )
    try:
        with (
            h5py.File(weights_path) as source,
            h5py.File(copy_path or "copy", "w", libver="latest", **how) as target,
        ):
            _Copier(weights_path).copy(source, target)
    except (InputError, MemoryError):
        raise
    # What h5py raises on damaged bytes is up to these: besides OSError, RuntimeError
    # and KeyError there were TypeError, ValueError, OverflowError and SystemError.
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(
            f"{weights_path}: the file is damaged or cut off ({text}); copy it again "
            "or train again"
        ) from error


class _Copier:
    """Copies a tree, each object once, and keeps count.

    Args:
        path: The file's, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[int] = set()
        self._numbers_left = NUMBERS_EACH * current_limits().parameters
        self._attribute_bytes_left = MOST_ATTRIBUTE_BYTES

    def copy(self, source: h5py.Group, target: h5py.Group) -> None:
        """Copy a group and all that is below it."""
        import h5py

        todo = [(source, target)]
        self._see(source, "/")
        while todo:
            source, target = todo.pop()
            self._copy_attributes(source, target)
            if len(self._seen) + len(source) > MOST_OBJECTS:
                raise self._refusal(
                    source.name, f"makes it more than {MOST_OBJECTS:,} objects"
                )
            for name in source:
                if not isinstance(source.get(name, getlink=True), h5py.HardLink):
                    raise self._refusal(name, "links elsewhere")
                item = source[name]
                self._see(item, name)
                if isinstance(item, h5py.Group):
                    todo.append((item, target.create_group(name)))
                else:
                    copied = target.create_dataset(name, data=self._numbers(item, name))
                    self._copy_attributes(item, copied)

    def _refusal(self, name: str, why: str) -> InputError:
        return InputError(f"{self._path}: refused, {reprlib.repr(name)} {why}")

    def _see(self, item: Any, name: str) -> None:
        """Refuse an object that was met before."""
        import h5py

        address = h5py.h5o.get_info(item.id).addr
        if address in self._seen:
            raise self._refusal(name, "is another name of what is there already")
        self._seen.add(address)

    def _numbers(self, item: Any, name: str) -> Any:
        """Return the numbers of a dataset that are written out in the file itself."""
        import h5py

        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
            raise self._refusal(name, "is neither a group nor numbers")
        if item.external or item.is_virtual:
            raise self._refusal(name, "reads another file")
        layout = item.id.get_create_plist().get_layout()
        if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
            # A chunk of some kilobytes unpacks to gigabytes, by a filter or by none.
            raise self._refusal(name, "is stored in chunks; Keras writes plain numbers")
        self._numbers_left -= item.size or 0
        if self._numbers_left < 0:
            raise self._refusal(
                name, f"makes it more than the numbers of a model{self._hint()}"
            )
        if item.id.get_storage_size() != item.nbytes:
            raise self._refusal(name, f"claims {item.shape}, which was never written")
        return item[()]

    def _hint(self) -> str:
        limit = current_limits().parameters
        return f" of {limit:,} parameters; a larger --max-parameters lets it be read"

    def _copy_attributes(self, source: Any, target: Any) -> None:
        """Copy texts and numbers that stand at an object: there are names of layers."""
        import h5py

        for name in source.attrs:
            attribute = source.attrs.get_id(name)
            kind, is_text = attribute.dtype, h5py.check_string_dtype(attribute.dtype)
            if kind.kind not in "fiubS" and not is_text:
                raise self._refusal(name, "is neither text nor numbers")
            num_values = math.prod(attribute.shape or ())
            self._count_attribute(num_values * kind.itemsize, name)
            value = source.attrs[name]
            if is_text:  # Many can be one long one, which the file holds once.
                texts = getattr(value, "flat", [value])
                self._count_attribute(sum(map(len, texts)), name)
            target.attrs[name] = value

    def _count_attribute(self, num_bytes: int, name: str) -> None:
        self._attribute_bytes_left -= num_bytes
        if self._attribute_bytes_left < 0:
            raise self._refusal(name, "makes its texts too long")
