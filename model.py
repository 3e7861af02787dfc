"""NVIDIA's end-to-end network: one camera frame in, one steering value out.

Crop, resize and scaling are layers of the model, so training, driving and evaluation
cannot see different pictures: a saved model takes the raw frame of the simulator.
Batch normalization stands before every activation, which is an ELU.

    python model.py --preset original     # print the layers of a preset

A model is two files: `model.json` (the layers) and `model.weights.h5` (their weights).
Loading builds only layers from a list of known, harmless ones and reads only numbers
from the weights, so that a file from a stranger cannot run code.

Paper: Bojarski et al. 2016, "End to End Learning for Self-Driving Cars",
arXiv 1604.07316.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset import FRAME_SHAPE, InputError

if TYPE_CHECKING:
    import keras
    import numpy as np

# Rows cut off a raw frame of 160: above them is sky (the horizon is at row 61, crests
# of hilly roads reach up to row 50), below them the car's own bonnet.
CROP_TOP_ROWS = 50
CROP_BOTTOM_ROWS = 25
# Height and width of the network's input plane (Bojarski et al. 2016, figure 4).
VIEW_SHAPE = (66, 200, 3)

# Filters, kernel size and stride of the convolutions (Bojarski et al. 2016, figure 4).
CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))


@dataclass(frozen=True)
class Preset:
    """One choice of the layers behind the convolutions.

    Raises:
        ValueError: a width is below 1 or a dropout rate is outside [0, 1).
    """

    description: str
    dense_units: tuple[int, ...]
    """Width of each hidden dense layer, first to last."""
    dropout: float
    """Rate of the dropout between the convolutions and the first dense layer. None
    stands nearer to the output: there it shrinks the predictions towards zero."""
    batch_norm_momentum: float = 0.99

    def __post_init__(self) -> None:
        if any(units < 1 for units in self.dense_units):
            raise ValueError(f"dense_units is {self.dense_units}, expected all >= 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected [0, 1)")


PRESETS = {
    "original": Preset(
        "five convolutions, dense 1164-100-50-10-1 (1.60 M parameters)",
        dense_units=(1164, 100, 50, 10),
        dropout=0.2,
    ),
    "default": Preset(
        "five convolutions, dense 100-50-10-1 (0.25 M parameters)",
        dense_units=(100, 50, 10),
        dropout=0.2,
    ),
}


# --- Building -------------------------------------------------------------------------


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up notices, on missing GPUs and such, off the screen."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def build_model(preset: str = "default", dropout: float | None = None) -> keras.Model:
    """Build an untrained model that takes raw frames.

    Args:
        preset: a name in PRESETS.
        dropout: rate in [0, 1) instead of the preset's own; None keeps that.

    Returns:
        A functional model: uint8 RGB (n, 160, 320, 3) to float32 steering (n, 1),
        not clipped; + is right.

    Raises:
        InputError: the preset is unknown.
    """
    import keras
    from keras import layers

    if preset not in PRESETS:
        raise InputError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    frame = keras.Input(FRAME_SHAPE, dtype="uint8", name="frame")
    # These two layers compute in uint8: the resized frame is then the same to the bit
    # whether it comes from a compiled step, an eager call or the cache of train.py.
    crop_rows = ((CROP_TOP_ROWS, CROP_BOTTOM_ROWS), (0, 0))
    x = layers.Cropping2D(crop_rows, dtype="uint8", name="crop")(frame)
    x = layers.Resizing(*VIEW_SHAPE[:2], dtype="uint8", name="view")(x)
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(x)
    for i, (filters, kernel, stride) in enumerate(CONVOLUTIONS, start=1):
        x = layers.Conv2D(filters, kernel, stride, name=f"conv{i}")(x)
        x = _normalize_and_activate(x, f"conv{i}", chosen.batch_norm_momentum)
    x = layers.Flatten(name="flatten")(x)
    rate = chosen.dropout if dropout is None else dropout
    if rate:
        x = layers.Dropout(rate, name="dropout")(x)
    for i, units in enumerate(chosen.dense_units, start=1):
        x = layers.Dense(units, name=f"dense{i}")(x)
        x = _normalize_and_activate(x, f"dense{i}", chosen.batch_norm_momentum)
    steering = layers.Dense(1, name="steering")(x)
    return keras.Model(frame, steering, name=preset)


def _normalize_and_activate(
    x: keras.KerasTensor, name: str, momentum: float
) -> keras.KerasTensor:
    from keras import layers

    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return layers.ELU(name=f"{name}_elu")(x)


def view_of(model: keras.Model) -> keras.Model:
    """Return the model's first layers: raw frames to the views that the network sees.

    Raises:
        InputError: the model has no layer named `view`, so it is not one of ours.
    """
    import keras

    return keras.Model(model.input, _view_layer(model).output, name="view_of")


def view_key(model: keras.Model) -> str:
    """Return a text that differs whenever view_of makes other pictures."""
    import keras

    layers = model.layers[: model.layers.index(_view_layer(model)) + 1]
    configs = [{**layer.get_config(), "name": None} for layer in layers]
    return (
        f"keras {keras.__version__} {json.dumps(configs, sort_keys=True, default=str)}"
    )


def network_of(model: keras.Model) -> keras.Model:
    """Return the model without its crop and resize, sharing every weight with it.

    Training feeds this one from cached views, uint8 (n, 66, 200, 3), so that no frame
    is decoded, cropped and resized more than once.

    Raises:
        InputError: the model has no layer named `view`, or is not a plain chain.
    """
    import keras

    first = model.layers.index(_view_layer(model)) + 1
    view = keras.Input(model.layers[first - 1].output.shape[1:], dtype="uint8")
    x = view
    for layer in model.layers[first:]:
        if isinstance(layer.input, list):
            raise InputError(f"layer {layer.name} joins several inputs: not a chain")
        x = layer(x)
    return keras.Model(view, x, name=f"{model.name}_network")


def _view_layer(model: keras.Model) -> Any:
    for layer in model.layers:
        if layer.name == "view":
            return layer
    raise InputError(
        f"model {model.name!r} has no layer named 'view' that ends its crop and "
        "resize, expected a model of this project; train one with train.py"
    )


def make_predictor(model: keras.Model) -> Callable[[np.ndarray], float]:
    """Compile a model for single frames and warm it up.

    `predict` costs 20 times as much as the compiled call for one frame, because it
    builds a data pipeline around it each time.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, not clipped.
    """
    import numpy as np

    def predict(frame: np.ndarray) -> float:
        return float(model.predict_on_batch(frame[None])[0, 0])

    predict(np.zeros(FRAME_SHAPE, np.uint8))
    return predict


# --- Saving and loading ---------------------------------------------------------------

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
SAFE_MODULES = frozenset(
    """
    keras keras.layers keras.models keras.initializers keras.regularizers
    keras.constraints keras.src.models.functional keras.src.models.sequential
    """.split()
)


def save_model(model: keras.Model, folder: Path) -> Path:
    """Write model.json and model.weights.h5 into a folder, each whole or not at all.

    Returns:
        The path of model.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    json_path = folder / "model.json"
    partial_path = folder / "model.json.partial"
    partial_path.write_text(json.dumps(json.loads(model.to_json()), indent=1))
    save_weights(model, folder)
    partial_path.replace(json_path)
    return json_path


def save_weights(model: keras.Model, folder: Path) -> Path:
    """Write model.weights.h5 into a folder, whole or not at all; return its path."""
    weights_path = folder / "model.weights.h5"
    # Keras insists on the ending .weights.h5, for the temporary file too.
    partial_path = folder / "partial.weights.h5"
    model.save_weights(partial_path, overwrite=True)
    partial_path.replace(weights_path)
    return weights_path


def load_model(json_path: Path | str, weights_path: Path | None = None) -> keras.Model:
    """Build the model of a json file and load its weights, without running any code.

    Args:
        json_path: what save_model wrote, or another Keras 3 model of known layers.
        weights_path: a `.weights.h5` file, or a `.h5` file of a whole saved model.
            None takes the one that lies beside the json file under the same name.

    Raises:
        InputError: a file is missing, cut off, not what its name says, holds more
            than known layers and numbers, or the two do not belong together.
    """
    import keras

    json_path = Path(json_path)
    config = _read_json(json_path)
    _check_safe(config, json_path)
    weights_path = weights_path or _weights_beside(json_path)
    _check_weights_file(weights_path)
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
    for node in _nodes(config):
        name, module = node.get("class_name"), node.get("module")
        registered = node.get("registered_name")
        if name is not None and name not in SAFE_CLASSES:
            raise InputError(
                f"{json_path}: refused, it holds {name!r}, which is not a known "
                "harmless layer (a Lambda or a function can run code on loading); "
                "rebuild the model without it, as model.py does"
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
    candidates = [json_path.with_name(stem + end) for end in (".weights.h5", ".h5")]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(
        f"{json_path}: its weights are missing, expected {candidates[0].name} "
        f"or {candidates[1].name} beside it"
    )


def _check_weights_file(weights_path: Path) -> None:
    """Refuse what is not a whole HDF5 file of plain numbers within itself."""
    import h5py

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


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Print the layers of a preset, or of a saved model.",
        epilog="Example:\n  python model.py --preset original\n"
        "  python model.py models/both/model.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", type=Path, help="a saved model.json")
    parser.add_argument(
        "--preset",
        default="default",
        choices=PRESETS,
        help="; ".join(f"{name}: {p.description}" for name, p in PRESETS.items())
        + " (default: %(default)s)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    try:
        model = load_model(args.model) if args.model else build_model(args.preset)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    model.summary(line_length=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
