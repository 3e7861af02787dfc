"""A model as two files: `model.json` (its layers), `model.weights.h5` (its weights).

Loading builds only layers from a list of known, harmless ones and reads only numbers
from the weights, so that a file from a stranger cannot run code.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.files import write_bytes, write_json

if TYPE_CHECKING:
    import keras

# The layers, and what they are configured with, that a model file may name. None of
# them holds code. Refused are, among others, Lambda and every `function` (marshalled
# Python), TorchModuleWrapper (a pickle), TFSMLayer (a graph) and registered names.
SAFE_CLASSES = frozenset(
    """
    Functional Sequential InputLayer
    Cropping2D Resizing Rescaling Normalization CenterCrop ZeroPadding2D
    Conv2D SeparableConv2D DepthwiseConv2D Dense Flatten Reshape Permute
    MaxPooling2D AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D
    BatchNormalization LayerNormalization GroupNormalization
    Activation ELU ReLU LeakyReLU PReLU Softmax
    Dropout SpatialDropout2D GaussianNoise GaussianDropout
    Add Subtract Multiply Average Concatenate
    DTypePolicy __keras_tensor__
    Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling
    GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal
    L1 L2 L1L2 MaxNorm NonNeg UnitNorm MinMaxNorm
    """.split()
)
# What of the rest holds code, Python or a graph; others are only not needed here.
RUNS_CODE = frozenset("Lambda function TorchModuleWrapper TFSMLayer JaxLayer".split())
SAFE_MODULES = frozenset(
    """
    keras keras.layers keras.models keras.initializers keras.regularizers
    keras.constraints keras.src.models.functional keras.src.models.sequential
    """.split()
)


def save_model(model: keras.Model, folder: Path) -> Path:
    """Write both files into a folder, each whole or not at all; return model.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder)
    json_path = folder / "model.json"
    write_json(json_path, json.loads(model.to_json()))
    return json_path


def save_weights(model: keras.Model, folder: Path) -> Path:
    """Write model.weights.h5 into a folder, whole or not at all; return its path."""
    weights_path, content = folder / "model.weights.h5", _WeightsInMemory()
    model.save_weights(content)
    write_bytes(weights_path, content.getvalue())
    return weights_path


class _WeightsInMemory(io.BytesIO):
    """What weights are written to first: HDF5 crashes where a disk is full."""

    def __str__(self) -> str:
        return "model.weights.h5"  # Keras looks at the ending of its name.


def check_model(
    json_path: Path | str, weights_path: Path | None = None
) -> tuple[dict[str, Any], Path]:
    """See that a model's two files are there and hold layers and numbers only.

    Keras is not needed for it, so a command can refuse a file before that is loaded.

    Returns:
        The content of the json file, and the path of the weights; for the arguments
        see load_model.

    Raises:
        InputError: A file is missing, cut off, not what its name says, or holds more
            than known layers and numbers.
    """
    json_path = Path(json_path)
    config = _read_json(json_path)
    _check_safe(config, json_path)
    weights_path = weights_path or _weights_beside(json_path)
    _check_weights_file(weights_path)
    return config, weights_path


def load_model(json_path: Path | str, weights_path: Path | None = None) -> keras.Model:
    """Build the model of a json file and load its weights, without running any code.

    Args:
        json_path: What save_model wrote, or another Keras 3 model of known layers.
        weights_path: A `.weights.h5` file, or a `.h5` file of a whole saved model.
            None takes the one that lies beside the json file under the same name.

    Raises:
        InputError: check_model refuses a file, or the two do not belong together.
    """
    json_path = Path(json_path)
    config, weights_path = check_model(json_path, weights_path)
    import keras  # Not above: see check_model.

    try:
        model = keras.models.model_from_json(json.dumps(config))
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise InputError(
            f"{json_path}: Keras {keras.__version__} cannot build this model "
            f"({_first_line(error)}); was it saved by Keras 1 or 2? Train it again"
        ) from error
    _check_shapes(model, json_path)
    try:
        with warnings.catch_warnings():
            # Keras only warns when layers find no weights in the file.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(weights_path)
    except (TypeError, ValueError, KeyError, OSError, IndexError, UserWarning) as error:
        raise InputError(
            f"{weights_path}: these weights do not belong to {json_path} "
            f"({_first_line(error)}); give the two files of one training run"
        ) from error
    return model


def _read_json(json_path: Path) -> dict[str, Any]:
    if not json_path.is_file():
        hint = "; give the model.json in it" if json_path.is_dir() else ""
        raise InputError(f"{json_path}: no such file, expected a model.json{hint}")
    try:
        config = json.loads(json_path.read_bytes())
        # Older scripts dump the text of to_json() once more, as a JSON string.
        if isinstance(config, str):
            config = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{json_path}: not JSON ({_first_line(error)}), expected what train.py "
            "saves as model.json; is the file cut off, or are these the weights?"
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise InputError(f"{json_path}: JSON, but not of a Keras model")
    return config


def _check_safe(config: dict[str, Any], json_path: Path) -> None:
    """Refuse what is not known to be harmless; drop how a model was compiled."""
    for node in _nodes(config):
        # Its optimizer and losses are of no use in driving, and would be built.
        node.pop("compile_config", None)
        name, module = node.get("class_name"), node.get("module")
        registered = node.get("registered_name")
        if name is not None and name not in SAFE_CLASSES:
            why = "is none of the layers that are loaded here"
            if name in RUNS_CODE:
                why = "is not a known harmless layer: it can run code on loading"
            raise InputError(
                f"{json_path}: refused, it holds {name!r}, which {why}; train one anew "
                "with train.py"
            )
        if module is not None and module not in SAFE_MODULES:
            raise InputError(f"{json_path}: refused, it imports module {module!r}")
        if registered not in (None, name):
            raise InputError(f"{json_path}: refused, it names {registered!r}")


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every dictionary in a parsed JSON document, however deep."""
    todo = [config]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            yield node
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)


def _weights_beside(json_path: Path) -> Path:
    stem = json_path.name.removesuffix(".json")
    names = (f"{stem}.weights.h5", f"{stem}.h5")
    for path in map(json_path.with_name, names):
        if path.is_file():
            return path
    raise InputError(
        f"{json_path}: its weights are missing, expected {' or '.join(names)} beside it"
    )


def _check_weights_file(weights_path: Path) -> None:
    """Refuse what is not a whole HDF5 file of plain numbers within itself."""
    import h5py  # Not above: a wrong path is refused sooner without it.

    if not weights_path.is_file():
        raise InputError(f"{weights_path}: no such file, expected the model's weights")
    if not h5py.is_hdf5(weights_path):
        raise InputError(
            f"{weights_path}: not an HDF5 file, expected weights saved by Keras; "
            "is it a Git LFS pointer, or cut off at its beginning?"
        )
    try:
        with h5py.File(weights_path) as file:
            _check_group(file, weights_path)
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{weights_path}: the file is damaged or cut off ({_first_line(error)}); "
            "copy it again or train again"
        ) from error


def _check_group(group: Any, weights_path: Path) -> None:
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{weights_path}: refused, {name!r} links elsewhere")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, weights_path)
        elif item.external or item.is_virtual:
            raise InputError(f"{weights_path}: refused, {name!r} reads another file")


def _check_shapes(model: keras.Model, json_path: Path) -> None:
    expected, found = (None, *FRAME_SHAPE), getattr(model, "input_shape", None)
    if found != expected or model.output_shape != (None, 1):
        raise InputError(
            f"{json_path}: the model maps {found} to {model.output_shape}, expected "
            f"{expected} to (None, 1): crop, resize and scaling must be its layers"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
