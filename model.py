"""NVIDIA's end-to-end network: one camera frame in, the steering out, and the bend.

Crop, resize and scaling are layers of the model, so training, driving and evaluation
cannot see different pictures: a saved model takes the raw frame of the simulator.
Batch normalization stands before every activation, which is an ELU.

A trained model's `predict` gives an array (n, 2): first the steering, as ever, then the
bend that comes, as curvature in 1/m (recordings/bends.py). One of before, or one that
was trained with --bend-weight 0, gives the steering alone, (n, 1).

    python model.py --preset original     # print the layers of a preset

Paper: Bojarski et al. 2016, "End to End Learning for Self-Driving Cars",
arXiv 1604.07316.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import FRAME_SHAPE
from common.command_line import Parser, add_max_parameters
from common.errors import InputError
from common.start_up import quiet_tensorflow
from common.text import WIDTH
from network.exported import exported_copy, is_exported, load_exported
from network.files import (
    STEERING_AND_BEND,
    check_json,
    check_model,
    has_bend,
    load_model,
    model_path,
    weights_beside,
)

if TYPE_CHECKING:
    import keras
    import numpy as np

    from network.answer import Predict
    from recordings.reproject import ViewGeometry

logger = logging.getLogger(__name__)

# Rows cut off a raw frame of 160: above them is sky (the horizon is at row 61, crests
# of hilly roads reach up to row 50), below them the car's own bonnet.
CROP_TOP_ROWS = 50
CROP_BOTTOM_ROWS = 25
# Height and width of the network's input plane (Bojarski et al. 2016, figure 4).
VIEW_SHAPE = (66, 200, 3)

# Filters, kernel size and stride of the convolutions (Bojarski et al. 2016, figure 4).
CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
# Between the convolutions and the bend: to the steering the road far ahead, and how
# sharp it is either way, are of little use, so its dense layers tell little of it.
BEND_UNITS = 32


@dataclass(frozen=True)
class Preset:
    """One choice of the layers behind the convolutions.

    Raises:
        ValueError: A width is below 1, or the dropout rate is outside [0, 1).
    """

    description: str
    dense_units: tuple[int, ...]
    """The width of each hidden dense layer, from the first to the last."""
    dropout: float = 0.2
    """The rate of the dropout between the convolutions and the first dense layer. None
    stands nearer to the output: there it shrinks the predictions towards zero."""
    batch_norm_momentum: float = 0.99
    """How much of the running statistics stays at each step of training."""

    def __post_init__(self) -> None:
        if any(units < 1 for units in self.dense_units):
            raise ValueError(f"dense_units is {self.dense_units}, expected all >= 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected [0, 1)")


PRESETS = {
    "original": Preset(
        "five convolutions, dense 1164-100-50-10-1 (1.60 M parameters)",
        dense_units=(1164, 100, 50, 10),
    ),
    "default": Preset(
        "five convolutions, dense 100-50-10-1 (0.25 M parameters)",
        dense_units=(100, 50, 10),
    ),
}


# --- Building -------------------------------------------------------------------------


def build_model(preset: str = "default", dropout: float | None = None) -> keras.Model:
    """Build an untrained model that takes raw frames.

    Args:
        preset: A name in PRESETS.
        dropout: The dropout rate, [0, 1), instead of the preset's own; None keeps that.

    Returns:
        A functional model: uint8 RGB (n, 160, 320, 3) to float32 steering (n, 1),
        not clipped; + is right. with_bend adds the other output.

    Raises:
        InputError: The preset is unknown.
    """
    from keras import Input, Model, layers

    if preset not in PRESETS:
        raise InputError(f"preset is {preset!r}, expected one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    frame = Input(FRAME_SHAPE, dtype="uint8", name="frame")
    # These two layers compute in uint8: the resized frame is then the same to the bit
    # whether it comes from a compiled step, an eager call or train.py's cache of views.
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
    return Model(frame, steering, name=preset)


def with_bend(model: keras.Model) -> keras.Model:
    """Return a model of steering (n, 1) with the bend beside it, (n, 2).

    It shares every weight with the model, so it steers the same. The new layers have
    the convolutions' features, as the first dense layer has them, and begin with a bend
    of 0 for every frame.

    Raises:
        InputError: The model has no dense layer of flat features.
    """
    import keras
    from keras import layers

    for layer in model.layers:
        if isinstance(layer, layers.Dense) and len(layer.input.shape) == 2:
            break
    else:
        raise InputError(
            f"model {model.name!r} has no dense layer, where a bend is read off; "
            "train it with --bend-weight 0"
        )
    # That of every preset; an adopted network may normalize nothing.
    momentum = PRESETS["default"].batch_norm_momentum
    x = layers.Dense(BEND_UNITS, name="bend1")(layer.input)
    x = _normalize_and_activate(x, "bend1", momentum)
    # In 1/m it is so small that Adam, which moves every weight alike, finds it at a
    # low rate too; from 0 on, or its first steps would be noise to what is shared.
    bend = layers.Dense(1, kernel_initializer="zeros", name="bend")(x)
    both = layers.Concatenate(name=STEERING_AND_BEND)([model.output, bend])
    return keras.Model(model.input, both, name=model.name)


def without_bend(model: keras.Model) -> keras.Model:
    """Return the steering alone of a model, (n, 1), on the same weights."""
    import keras

    if not has_bend(model):
        return model
    steering, _ = model.get_layer(STEERING_AND_BEND).input
    return keras.Model(model.input, steering, name=model.name)


def _normalize_and_activate(
    x: keras.KerasTensor, name: str, momentum: float
) -> keras.KerasTensor:
    from keras import layers

    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return layers.ELU(name=f"{name}_elu")(x)


def view_of(model: keras.Model) -> keras.Model:
    """Return the model's first layers: raw frames to the views that the network sees.

    Raises:
        InputError: The model has no layer named `view`, so it is not one of ours.
    """
    import keras

    return keras.Model(model.input, _view_layer(model).output, name="view_of")


def view_geometry(model: keras.Model) -> ViewGeometry:
    """Return how the view that the network sees is cut out of the frame.

    Raises:
        InputError: The model has no layer named `view`, or another before it than a
            crop, which would put the road elsewhere.
    """
    import keras

    from network.colour import Blur
    from recordings.reproject import ViewGeometry

    view = _view_layer(model)
    cropping = ((0, 0), (0, 0))
    for layer in model.layers[1 : model.layers.index(view)]:
        if isinstance(layer, keras.layers.Cropping2D) and cropping == ((0, 0), (0, 0)):
            cropping = layer.cropping
        elif not isinstance(layer, Blur):
            raise InputError(
                f"layer {layer.name!r} stands before the layer 'view', expected a crop "
                "alone; its pictures cannot be moved beside their path"
            )
    height, width = view.output.shape[1:3]
    return ViewGeometry(height, width, *cropping[0], *cropping[1])


def view_key(model: keras.Model) -> str:
    """Return a text that differs whenever view_of makes other pictures."""
    import keras

    layers = model.layers[: model.layers.index(_view_layer(model)) + 1]
    configs = [{**layer.get_config(), "name": None} for layer in layers]
    text = json.dumps(configs, sort_keys=True, default=str)
    return f"keras {keras.__version__} {text}"


def network_of(model: keras.Model) -> keras.Model:
    """Return the model without its crop and resize, sharing every weight with it.

    Training feeds this one from cached views, uint8 (n, 66, 200, 3), so that no frame
    is decoded, cropped and resized more than once.

    Raises:
        InputError: The model has no layer named `view`.
    """
    import keras

    first = model.layers.index(_view_layer(model)) + 1
    name = f"{model.name}_network"
    if any(isinstance(layer.input, list) for layer in model.layers[first:]):
        # Of branches that join, which an adopted network may have.
        return keras.Model(model.layers[first - 1].output, model.output, name=name)
    view = keras.Input(model.layers[first - 1].output.shape[1:], dtype="uint8")
    x = view
    for layer in model.layers[first:]:
        x = layer(x)
    return keras.Model(view, x, name=name)


def _view_layer(model: keras.Model) -> Any:
    for layer in model.layers:
        if layer.name == "view":
            return layer
    raise InputError(
        f"model {model.name!r} has no layer named 'view' that ends its crop and "
        "resize, expected a model of this project; train one with train.py"
    )


def make_predictor(model: keras.Model) -> Predict:
    """Compile a model for single frames and warm it up.

    `predict` costs 20 times as much as the compiled call for one frame, because it
    builds a data pipeline around it each time.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, not clipped; of a
        model that has a bend, to an Answer.
    """
    import numpy as np

    from network.answer import Answer

    sees_bend = has_bend(model)

    def predict(frame: np.ndarray) -> float | Answer:
        answer = model.predict_on_batch(frame[None])[0]
        return Answer(*map(float, answer)) if sees_bend else float(answer[0])

    predict(np.zeros(FRAME_SHAPE, np.uint8))
    return predict


def load_predictor(path: Path | str) -> Predict:
    """Load what steers, and let it steer once, so that the first frame does not wait.

    In the place of a model its exported copy steers, where train.py has left one: it is
    there in a third of a second, and TensorFlow is not loaded.

    Args:
        path: A model.json, or an exported model.

    Returns:
        A function of a uint8 RGB frame (160, 320, 3) to steering, not clipped; of a
        model that has a bend, to an Answer.

    Raises:
        InputError: It cannot be loaded.
    """
    path = Path(path)
    if is_exported(path):
        return load_exported(path)
    check_json(path)
    copy_path = exported_copy(path, weights_beside(path))
    if copy_path.is_file():
        try:
            return load_exported(copy_path)
        except InputError as error:
            logger.warning("%s; what drives is %s itself", error, path)
    quiet_tensorflow()
    return make_predictor(load_model(path))


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    about = [f"{name}: {preset.description}\n" for name, preset in PRESETS.items()]
    parser = Parser(
        description="Print the layers of a preset, or of a saved model.",
        epilog="".join(about) + "\nExample:\n  python model.py --preset original\n"
        "  python model.py models/both/model.json",
    )
    add = parser.add_argument
    add("model", nargs="?", type=model_path, help="run's folder, or a model.json")
    preset_help = "network to print the layers of (default: %(default)s)"
    add("--preset", default="default", choices=PRESETS, help=preset_help)
    add_max_parameters(add)
    return parser.parse_args(argv)


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Print the layers; return the exit status."""
    args = parse_args(argv)
    if args.model:
        check_model(args.model)
    quiet_tensorflow()
    model = load_model(args.model) if args.model else build_model(args.preset)
    model.summary(line_length=WIDTH - 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
