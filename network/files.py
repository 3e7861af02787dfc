"""A model as two files: `model.json` (its layers), `model.weights.h5` (its weights).

Loading builds only layers from a list of known, harmless ones and reads only numbers
from the weights, so that a file from a stranger cannot run code.
"""

from __future__ import annotations

import io
import json
import math
import re
import reprlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bar import Bar
from common.car import FRAME_SHAPE
from common.errors import InputError
from common.files import read_regular, write_bytes, write_json
from network.adopting.foreign import refuse_config, refuse_file, way_to_adopt
from network.adopting.sources import hint_of_recording
from network.limits import current_limits, within_limits
from network.weights import check_weights, copy_weights

if TYPE_CHECKING:
    import keras

# Comes with the project; trained on embedded roads alone, as models/base/card.md says.
BASE_MODEL = Path(__file__).parents[1] / "models" / "base" / "model.json"
MODEL_NAME, WEIGHTS_NAME = "model.json", "model.weights.h5"
# What the layer is called that joins steering and bend (model.with_bend).
STEERING_AND_BEND = "steering_and_bend"
# What train.py writes after a run's first epoch, and improve.py beside what is better.
MARKS_OF_RUNS = ("history.csv", "improve.json")
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
    Colour Blur
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
    network.colour
    """.split()
)
# The project's own layers, and what Keras calls them once they are registered.
OWN_CLASSES = {name: f"behavioural_cloning>{name}" for name in ("Colour", "Blur")}
# A model of 500 layers has 1 MB. It holds some five objects and 12 levels for a layer.
MOST_JSON_BYTES, MOST_OBJECTS, MOST_DEPTH = 10_000_000, 20_000, 100


def model_path(given: Path | str) -> Path:
    """Return the model.json that is meant: of a run's folder, the one in it."""
    path = Path(given)
    return path / MODEL_NAME if (path / MODEL_NAME).is_file() else path


def newest_run(models_dir: Path) -> Path | None:
    """Return the model.json of the run that has last kept better weights, or None.

    What is no run, such as a model that was put there, and a run without any epoch are
    left out; so is the base model.
    """
    kept = [
        weights_path
        for weights_path in models_dir.glob(f"[!.]*/{WEIGHTS_NAME}")
        if weights_path.with_name(MODEL_NAME).is_file()
        and any(weights_path.with_name(name).is_file() for name in MARKS_OF_RUNS)
    ]
    newest = max(kept, key=lambda path: path.stat().st_mtime, default=None)
    return newest and newest.with_name(MODEL_NAME)


def save_model(model: keras.Model, folder: Path) -> Path:
    """Write both files into a folder, each whole or not at all; return model.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder)
    json_path = folder / "model.json"
    config = json.loads(model.to_json())
    for node in _nodes(config, json_path):
        # What was held fast in one training is not in the next.
        if node.get("trainable") is False:
            node["trainable"] = True
    write_json(json_path, config)
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


def check_json(json_path: Path) -> dict[str, Any]:
    """Return the content of a model's json file, if it holds known layers only.

    Raises:
        InputError: It is missing, cut off, or holds more.
    """
    config = _read_json(json_path)
    _check_safe(config, json_path)
    return config


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
    config, weights_path = _checked(Path(json_path), weights_path)
    check_weights(weights_path)
    return config, weights_path


def load_model(json_path: Path | str, weights_path: Path | None = None) -> keras.Model:
    """Build the model of a json file and load its weights, without running any code.

    It has computed a frame when it is returned, so the first one does not wait.

    Args:
        json_path: What save_model wrote, or another Keras 3 model of known layers.
        weights_path: A `.weights.h5` file, or a `.h5` file of a whole saved model.
            None takes the one that lies beside the json file under the same name.

    Raises:
        InputError: check_model refuses a file, the two do not belong together, or they
            take more than current_limits.
    """
    json_path = Path(json_path)
    config, weights_path = _checked(json_path, weights_path)
    # Before the time is taken, and not above. Keras would only miss the first later.
    import h5py  # noqa: F401
    import keras  # noqa: F401

    # The format is told by the name.
    is_new = weights_path.name.endswith(".weights.h5")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy_path = Path(folder) / ("model.weights.h5" if is_new else "model.h5")
        copy_weights(weights_path, copy_path)

        def load() -> keras.Model:
            model = _build(config, json_path)
            _read_weights(model, copy_path, f"{weights_path}: these weights", json_path)
            compute_frame(model, json_path)
            return model

        with Bar(f"loading {json_path}"):
            return within_limits(load, f"{json_path}: to load it and compute a frame")


# --- What it is built of --------------------------------------------------------------


def _build(config: dict[str, Any], json_path: Path) -> keras.Model:
    import keras

    # The project's own layers register themselves as they are imported.
    import network.colour  # noqa: F401

    text = json.dumps(config)
    return build_bounded(lambda: keras.models.model_from_json(text), json_path)


def build_bounded(make: Callable[[], Any], json_path: Path) -> keras.Model:
    """Build a model, if it is not too large: that is known before it takes memory.

    Args:
        make: Makes it.
        json_path: What it is made of, for messages.

    Raises:
        InputError: It cannot be built, does not take frames, or is too large.
    """
    import keras

    try:
        # Within it variables have shapes only; they get values as it ends.
        with keras.StatelessScope(initialize_variables=False) as scope:
            model = make()
            if not isinstance(model, keras.Model):
                raise InputError(f"{json_path}: a layer, expected a whole model")
            _check_shapes(model, json_path)
            _check_size(model, json_path)
            scope.initialize_variables = True
    except InputError:
        raise
    except Exception as error:  # What Keras raises is up to a stranger's file.
        raise InputError(
            f"{json_path}: Keras {keras.__version__} cannot build this model "
            f"({_first_line(error)}); {way_to_adopt(json_path)}"
        ) from error
    return model


def _check_shapes(model: keras.Model, json_path: Path) -> None:
    expected, found = (None, *FRAME_SHAPE), getattr(model, "input_shape", None)
    steers = model.output_shape == (None, 1) or has_bend(model)
    if found != expected or not steers:
        raise InputError(
            f"{json_path}: the model maps {found} to {model.output_shape}, expected "
            f"{expected} to (None, 1): crop, resize and scaling must be its layers; "
            f"{way_to_adopt(json_path)}"
        )


def has_bend(model: keras.Model) -> bool:
    """Say whether a model gives steering and bend, and not steering alone.

    Two numbers of another's model may be steering and throttle.
    """
    gives_two = model.output_shape == (None, 2)
    return bool(gives_two and model.layers[-1].name == STEERING_AND_BEND)


def _check_size(model: keras.Model, json_path: Path) -> None:
    limits = current_limits()
    num_parameters = sum(math.prod(each.shape) for each in model.variables)
    for what, number, limit in (
        ("has {:,} parameters", num_parameters, limits.parameters),
        ("makes {:,} numbers of a frame", sum(_outputs_of(model)), limits.outputs),
    ):
        if number > limit:
            raise InputError(
                f"{json_path}: the model {what.format(number)}, expected at most "
                f"{limit:,}; if you trust it, give a larger --max-parameters"
            )


def _outputs_of(model: keras.Model) -> Iterator[int]:
    """Yield how many numbers each layer puts out for a frame, as far as it is known."""
    for layer in model.layers:
        # One for each place of the graph where the layer stands.
        for node in layer._inbound_nodes:
            for tensor in node.outputs:
                yield math.prod(size for size in tensor.shape if size is not None)
        if isinstance(getattr(layer, "layers", None), list):
            yield from _outputs_of(layer)


def _read_weights(
    model: keras.Model, copy_path: Path, these: str, json_path: Path
) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns when layers find no weights in the file.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(copy_path)
    except Exception as error:  # What Keras raises is up to a stranger's file.
        raise InputError(
            f"{these} do not belong to {json_path} ({_first_line(error)}); give the "
            "two files of one training run"
        ) from error


def compute_frame(model: keras.Model, json_path: Path) -> None:
    """See that a model computes one number of a frame, or steering and bend.

    Raises:
        InputError: It does not.
    """
    import numpy as np

    try:
        answer = model.predict_on_batch(np.zeros((1, *FRAME_SHAPE), np.uint8))
    except Exception as error:  # What TensorFlow raises is up to a stranger's layers.
        raise InputError(
            f"{json_path}: the model cannot compute a frame ({_first_line(error)})"
        ) from error
    expected = (1, 2) if has_bend(model) else (1, 1)
    if answer.shape != expected:
        raise InputError(
            f"{json_path}: the model answers a frame with numbers of the shape "
            f"{answer.shape}, expected {expected}"
        )
    if not np.isfinite(answer).all():
        shown = " and ".join(str(number) for number in answer[0])
        raise InputError(
            f"{json_path}: the model answers a black frame with {shown}; its "
            "weights are damaged, or its training went wrong: train again"
        )


# --- What the files may hold ----------------------------------------------------------


def _checked(json_path: Path, weights_path: Path | None) -> tuple[dict[str, Any], Path]:
    """Return the content of a json file that is harmless, and where its weights lie."""
    return check_json(json_path), weights_path or weights_beside(json_path)


def _read_json(json_path: Path) -> dict[str, Any]:
    if json_path.is_dir() or not json_path.exists():
        if not json_path.is_dir():
            raise InputError(f"{json_path}: no such file, expected a model.json")
        hint = f"expected a run of train.py{hint_of_recording(json_path)}"
        raise InputError(f"{json_path}: no model.json in this folder; {hint}")
    if json_path.is_file():
        with json_path.open("rb") as file:
            refuse_file(json_path, file.read(4))
    content = read_regular(json_path, MOST_JSON_BYTES)
    try:
        config = json.loads(content)
        # Older scripts dump the text of to_json() once more, as a JSON string.
        if isinstance(config, str):
            config = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{json_path}: not JSON ({_first_line(error)}), expected what train.py "
            "saves as model.json; is the file cut off?"
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise InputError(f"{json_path}: JSON, but not of a Keras model")
    refuse_config(json_path, config)
    return config


def _check_safe(config: dict[str, Any], json_path: Path) -> None:
    """Refuse what is not known to be harmless; drop how a model was compiled."""
    num_objects = 0
    for node in _nodes(config, json_path):
        # Its optimizer and losses are of no use in driving, and would be built.
        node.pop("compile_config", None)
        name, module = node.get("class_name"), node.get("module")
        registered = node.get("registered_name")
        num_objects += name is not None
        if not (name is None or (isinstance(name, str) and name in SAFE_CLASSES)):
            why = "is none of the layers that are loaded here"
            if isinstance(name, str) and name in RUNS_CODE:
                why = "is not a known harmless layer: it can run code on loading"
            raise InputError(
                f"{json_path}: refused, it holds {_shown(name)}, which {why}; if "
                f"another program made it, {way_to_adopt(json_path)}"
            )
        if not (module is None or (isinstance(module, str) and module in SAFE_MODULES)):
            raise InputError(f"{json_path}: refused, it imports {_shown(module)}")
        if registered not in (None, name) and registered != OWN_CLASSES.get(str(name)):
            raise InputError(f"{json_path}: refused, it names {_shown(registered)}")
    if num_objects > MOST_OBJECTS:
        raise InputError(
            f"{json_path}: refused, it is made of {num_objects:,} layers and parts of "
            f"them, expected at most {MOST_OBJECTS:,}"
        )


def _nodes(config: Any, json_path: Path) -> Iterator[dict[str, Any]]:
    """Yield every dictionary in a parsed JSON document.

    Raises:
        InputError: They lie too deep in one another, or a text would not print.
    """
    todo = [(config, 0)]
    while todo:
        node, depth = todo.pop()
        if depth > MOST_DEPTH:
            raise InputError(
                f"{json_path}: refused, more than {MOST_DEPTH} levels deep; a model of "
                "models has some 20"
            )
        if isinstance(node, dict):
            yield node
            todo.extend((part, depth + 1) for part in (*node, *node.values()))
        elif isinstance(node, list):
            todo.extend((part, depth + 1) for part in node)
        elif isinstance(node, str) and not node.isprintable():
            raise InputError(
                f"{json_path}: refused, {_shown(node)} in it does not print"
            )


def weights_beside(json_path: Path) -> Path:
    """Return the weights that lie beside a json file under its name.

    Raises:
        InputError: There are none.
    """
    stem = json_path.name.removesuffix(".json")
    names = (f"{stem}.weights.h5", f"{stem}.h5")
    for path in map(json_path.with_name, names):
        if path.is_file():
            return path
    raise InputError(
        f"{json_path}: its weights are missing, expected {' or '.join(names)} beside it"
    )


def _shown(value: Any) -> str:
    """Return a value from the file for a message, in short."""
    return reprlib.repr(value)


def _first_line(error: Exception) -> str:
    # Keras wraps the reason in some kilobytes of what it was given, in bold letters.
    text = str(error).rpartition("Exception encountered: ")[2]
    lines = re.sub("\x1b\\[[0-9]*m", "", text).split("\n")
    # The first may only say in which layer it was.
    return (" ".join(filter(None, lines[:3])) or type(error).__name__)[:200]
