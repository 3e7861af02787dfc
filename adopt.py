"""Make an old or foreign Keras model one of this project's, without running its code.

    python adopt.py model.h5 --crop 60 25 --colour yuv --out models/found
    python adopt.py model.json --weights model.h5 --recording data/a --out models/found

Read are Keras 1, 2 and 3: HDF5, .keras, and JSON with the weights beside it. What was
done to the pictures outside of the file is said by the flags, and becomes layers of the
model; what is not said is tried on a recording, and the table of it shown. The model
then drives, is evaluated and fine-tuned as any of train.py's. docs/adopt.md says more.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.bar import Bar
from common.command_line import Parser, add_max_parameters
from common.errors import InputError
from common.files import check_writable, whole_folder, write_json
from common.shell import typed
from common.start_up import quiet_tensorflow
from common.text import unbroken, wrapped

if TYPE_CHECKING:
    import keras

    from network.adopting.build import Preprocessing
    from network.adopting.graph import Network
    from network.adopting.sources import Source
    from network.adopting.trial import Known, Score

COLOURS = ("rgb", "bgr", "yuv", "yuv-opencv31", "hsv", "gray")
BLURS = (3, 5, 7)
# What a model was adopted from, beside it.
ORIGIN_NAME = "adopted.json"
# Of the combinations that were tried, so many are shown.
MOST_SHOWN = 12


@dataclass(frozen=True)
class Choice:
    """What is adopted: a network, and what was done to its pictures."""

    network: Network
    done: Preprocessing
    backend: str
    flags: str
    """What of the network itself the weights do not tell; "" if the file says it."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from recordings.units import add_unit_flag

    parser = Parser(
        description=__doc__,
        epilog="Example:\n"
        "  python adopt.py model.h5 --crop 60 25 --colour yuv-opencv31 \\\n"
        "    --out models/found",
    )
    add = parser.add_argument
    add("model", type=Path, help="model.h5, model.keras, or model.json")
    add(
        "--weights", type=Path, metavar="H5", help="its weights, if not in it or beside"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    add_max_parameters(add)
    add = parser.add_argument_group("what was done to a frame of 320x160").add_argument
    rows = "rows off at the top and the bottom (and columns left and right)"
    add("--crop", type=int, nargs="+", metavar="ROWS", help=rows)
    size = "width and height it was resized to (default: the network's)"
    add("--size", type=int, nargs=2, metavar=("W", "H"), help=size)
    colour = "colour space of the network; yuv-opencv31: of OpenCV below 3.2"
    add("--colour", choices=COLOURS, metavar="SPACE", help=f"{colour} ({_words()})")
    blur = "Gaussian blur before the resize (default: none; 3 pixels)"
    add(
        "--blur",
        type=int,
        nargs="?",
        const=3,
        choices=BLURS,
        metavar="PIXELS",
        help=blur,
    )
    scale = 'what was done to each number, such as "x / 127.5 - 1"'
    add("--scale", metavar="EXPRESSION", help=scale)
    add = parser.add_argument_group("what is not known").add_argument
    tried = "try what is not given on this recording, take the best"
    add("--recording", type=Path, metavar="DIR", help=tried)
    add_unit_flag(add)
    of_weights = parser.add_argument_group("what a file of weights alone does not say")
    add = of_weights.add_argument
    add("--strides", type=int, nargs="+", metavar="N", help="of each convolution")
    add("--padding", choices=("valid", "same"), help="of the convolutions")
    names = "of all hidden layers: relu, elu, ..."
    add("--activation", metavar="NAME", help=names)
    backend = "what Keras 1 computed with: theano turns kernels round"
    add("--backend", choices=("tensorflow", "theano"), help=backend)
    args = parser.parse_args(argv)
    if args.crop and len(args.crop) not in (2, 4):
        parser.error("argument --crop: expected 2 numbers (top, bottom), or 4")
    return args


def _words() -> str:
    return ", ".join(COLOURS)


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Adopt a model; 0: done, 1: refused, 2: wrong usage."""
    args = parse_args(argv)
    source, networks, known = read(args)
    quiet_tensorflow()
    if args.recording:
        choice = tried(args, source, networks, known)
    else:
        choice = as_given(source, networks, known)
    model, front = adopted(source, choice)
    write(args.out, model, source, front, choice)
    print(
        wrapped(
            f"{unbroken(args.out)}: {model.count_params():,} parameters; a frame "
            f"becomes {front.flags()}"
        )
    )
    print(f"next: {typed('drive.py', args.out)}")
    return 0


# --- What is given --------------------------------------------------------------------


def read(
    args: argparse.Namespace,
) -> tuple[Source, list[tuple[str, Network]], Known]:
    """Read the file, and see that all that is given fits, before TensorFlow is loaded.

    Returns:
        The file; the networks that it may hold, with the flags that say which; and
        what is known of their pictures.

    Raises:
        InputError: It cannot be adopted, or a file to write is there already.
    """
    from network.adopting.affine import read_expression
    from network.adopting.bare import Told, networks_of
    from network.adopting.build import Preprocessing
    from network.adopting.foreign import what_it_is
    from network.adopting.given import ACTIVATIONS
    from network.adopting.graph import read_network
    from network.adopting.sources import read_source
    from network.adopting.trial import Known
    from network.files import model_path
    from recordings.log import find_log

    args.model = model_path(args.model)
    if args.out.exists():
        raise InputError(f"{args.out} exists already; give another --out")
    check_writable(args.out, "--out")
    if args.recording:
        find_log(args.recording)
    if args.scale is not None:
        read_expression(args.scale)
    if args.activation and args.activation not in ACTIVATIONS:
        raise InputError(
            f"--activation is {args.activation}, expected one of "
            f"{', '.join(sorted(ACTIVATIONS))}"
        )
    crop = (*args.crop, 0, 0)[:4] if args.crop else None
    size = tuple(args.size) if args.size else None
    Preprocessing(crop or (0, 0, 0, 0), size)
    # What it is made of first: that is refused before its numbers are read.
    source = read_source(args.model, args.weights, with_weights=False)
    networks = [("", read_network(source))] if source.config else []
    source = read_source(args.model, args.weights)
    print(wrapped(f"{unbroken(args.model)}: {what_it_is(source)}"))
    if not networks:
        told = Told(size, tuple(args.strides or ()), args.padding, args.activation)
        networks = networks_of(source, told)
    for note in networks[0][1].notes:
        print(wrapped(f"{unbroken(args.model)}: {note}"))
    known = Known(crop, size, args.colour, args.blur, args.scale, args.backend)
    return source, networks, known


def as_given(
    source: Source,
    networks: Sequence[tuple[str, Network]],
    known: Known,
) -> Choice:
    """Take what is given, and of the rest that nothing was done; say so.

    Raises:
        InputError: Several networks may be meant, or nobody knows what a Lambda does.
    """
    from network.adopting.adoption import unknown_lambda, with_scale
    from network.adopting.affine import read_expression
    from network.adopting.build import Preprocessing, backend_of

    flags, network = networks[0]
    if len(networks) > 1:
        raise InputError(
            f"{source.path}: weights alone, which {len(networks)} networks fit, such "
            f"as {flags}; say which one so, or let a recording tell: --recording data/a"
        )
    scale = read_expression(known.scale) if known.scale else None
    network, is_before = with_scale(network, scale)
    if network.unknown:
        raise unknown_lambda(source.path, network)
    usual = "gray" if network.channels == 1 else "rgb"
    backend = backend_of(source, network.is_channels_first, known.backend)
    assumed = [] if known.colour else [f"--colour {usual}"]
    if known.crop is None and (network.height, network.width) != (160, 320):
        assumed.append("--crop 0 0")
    if network.is_channels_first and not (known.backend or source.backend):
        assumed.append(f"--backend {backend}")
    if assumed:
        print(
            wrapped(
                f"not given, and taken to be: {' '.join(assumed)}; --recording data/a "
                "tries what fits"
            )
        )
    done = Preprocessing(
        known.crop or (0, 0, 0, 0),
        known.size,
        known.colour or usual,
        known.blur or 0,
        scale if is_before else None,
    )
    return Choice(network, done, backend, flags)


# --- What a recording tells -----------------------------------------------------------


def tried(
    args: argparse.Namespace,
    source: Source,
    networks: Sequence[tuple[str, Network]],
    known: Known,
) -> Choice:
    """Try what is not known on a recording; show the table, and take the best.

    Raises:
        InputError: Nothing steers as the recording.
    """
    import numpy as np

    from network.adopting.adoption import with_scale
    from network.adopting.trial import MANY_FRAMES, Trial, check_found, search
    from recordings.images import read_frame
    from recordings.recording import read_recording, usable_rows
    from recordings.steering import smooth_steering
    from recordings.units import unit_of
    from training.samples import REFERENCE_AFTER_S, REFERENCE_BEFORE_S

    unit = unit_of(args.steering_unit, args.recording)
    samples = usable_rows(read_recording(args.recording, unit=unit))
    steering = smooth_steering(samples, REFERENCE_BEFORE_S, REFERENCE_AFTER_S)
    rows = np.linspace(0, len(samples) - 1, min(MANY_FRAMES, len(samples))).astype(int)
    frames = np.stack([read_frame(samples["center"].iloc[i]) for i in rows])
    several = [network for _, network in networks]
    with Bar(f"trying what is not given on {len(rows)} frames of {args.recording}"):
        scores = search(Trial(several, source, frames, steering[rows]), several, known)
    print(table_of(scores, networks))
    best = check_found(scores, str(args.recording)).combination
    network, is_before = with_scale(networks[best.network][1], best.done.scale)
    done = best.done if is_before else replace(best.done, scale=None)
    print(f"taken: the first, correlation {scores[0].correlation:.3f}")
    return Choice(network, done, best.backend, networks[best.network][0])


def table_of(scores: Sequence[Score], networks: Sequence[tuple[str, Network]]) -> str:
    """Return the table of what was tried, the one to take first."""
    lines = ["correlation   RMSE  how the network saw the recording"]
    for score in scores[:MOST_SHOWN]:
        combination = score.combination
        words = [networks[combination.network][0], combination.done.flags()]
        if networks[combination.network][1].is_channels_first:
            words.append(f"--backend {combination.backend}")
        text = " ".join(filter(None, words))
        figures = f"{score.correlation:11.3f}  {score.rmse:5.3f}"
        # Each on lines of its own: of weights alone the words are many.
        indent = " " * (len(figures) + 2)
        lines.append(figures + wrapped(f"{indent}{text}", indent)[len(figures) :])
    return "\n".join(lines)


# --- What is made of it ---------------------------------------------------------------


def adopted(source: Source, choice: Choice) -> tuple[keras.Model, Preprocessing]:
    """Build the model that is chosen."""
    from network.adopting.adoption import adopted_model

    return adopted_model(choice.network, source, choice.done, choice.backend)


def write(
    out: Path, model: keras.Model, source: Source, front: Preprocessing, choice: Choice
) -> None:
    """Write the model's folder, whole or not at all; what is kept was read once more.

    Raises:
        InputError: What was written does not steer as what was built.
    """
    import numpy as np

    from network.files import load_model, save_model

    frames = np.random.default_rng(0).integers(0, 256, (4, 160, 320, 3), np.uint8)
    with whole_folder(out) as folder:
        json_path = save_model(model, folder)
        origin = {
            "file": source.path.name,
            "sha256": hashlib.sha256(source.path.read_bytes()).hexdigest(),
            "keras_version": source.version,
            "network": choice.flags,
            "frames": front.flags(),
        }
        write_json(folder / ORIGIN_NAME, origin)
        again = load_model(json_path).predict_on_batch(frames)
        difference = float(np.abs(again - model.predict_on_batch(frames)).max())
        if not difference <= 1e-5:
            raise InputError(
                f"{out}: what was written steers otherwise, by {difference:g}; it is "
                "not kept"
            )


if __name__ == "__main__":
    sys.exit(main())
