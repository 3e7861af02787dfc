"""Files of models as Keras 1, 2 and 3 wrote them, made of configurations and numbers.

One network: two convolutions, a batch normalization, three dense layers, of pictures of
40x20. What each version writes was read off its source (Keras 1.2.2, tf-keras 2.21) and
off files of the wild.
"""

import base64
import io
import json
import struct
import zipfile

import h5py
import numpy as np

HEIGHT, WIDTH = 20, 40
BN_NAMES = {
    1: ("gamma", "beta", "running_mean", "running_std"),
    2: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def numbers(seed=0):
    """Return the weights of each layer as today's Keras keeps them."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return (rng.normal(0, 0.4, shape) / np.sqrt(shape[0])).astype(np.float32)

    bn = [np.abs(normal(6)) + 0.5, normal(6), normal(6), np.abs(normal(6)) + 0.5]
    return {
        "conv_a": [normal(5, 5, 3, 4), normal(4)],
        "conv_b": [normal(3, 3, 4, 6), normal(6)],
        "norm": bn,
        # Neither saturated, nor blind.
        "dense_a": [normal(3 * 8 * 6, 10) / 2, normal(10)],
        "dense_b": [3 * normal(10, 1), normal(1)],
    }


def reference(weights):
    """Return the network itself, of pictures that are scaled already."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3)),
            layers.Conv2D(4, 5, strides=2, activation="elu"),
            layers.Conv2D(6, 3, strides=2, padding="valid"),
            layers.BatchNormalization(epsilon=0.01),
            layers.LeakyReLU(negative_slope=0.1),
            layers.Flatten(),
            layers.Dense(10, activation="tanh"),
            layers.Dense(1),
        ]
    )
    having = [layer for layer in model.layers if layer.weights]
    for layer, arrays in zip(having, weights.values(), strict=True):
        layer.set_weights(arrays)
    return model


# --- Bytes of functions ---------------------------------------------------------------


def python35(numbers=(127.5, 1.0), instructions=None, names=()):
    """Return what Python 3.5 marshals of `lambda x: x / 127.5 - 1.0`."""
    code = instructions or bytes.fromhex("7c00006401001b64020018") + b"S"

    def text(value):
        return b"z" + bytes([len(value)]) + value.encode()

    def packed(items):
        return b")" + bytes([len(items)]) + b"".join(items)

    constants = [b"N", *(b"g" + struct.pack("<d", number) for number in numbers)]
    return b"".join(
        [
            b"c" + struct.pack("<5i", 1, 0, 1, 2, 0x43),
            b"s" + struct.pack("<i", len(code)) + code,
            packed(constants),
            packed([text(name) for name in names]),
            packed([text("x")]),
            packed([]),
            packed([]),
            text("model.py"),
            text("<lambda>"),
            struct.pack("<i", 7),
            b"s" + struct.pack("<i", 0),
        ]
    )


def python27():
    """Return what Python 2.7 marshals of it."""
    code = bytes.fromhex("7c00006401001564020018") + b"S"

    def text(value):
        return b"s" + struct.pack("<i", len(value)) + value

    constants = b"(" + struct.pack("<i", 3) + b"N"
    constants += b"g" + struct.pack("<d", 127.5) + b"g" + struct.pack("<d", 1.0)
    nothing = b"(" + struct.pack("<i", 0)
    return b"".join(
        [
            b"c" + struct.pack("<4i", 1, 1, 2, 0x43),
            text(code),
            constants,
            nothing,
            b"(" + struct.pack("<i", 1) + b"t" + struct.pack("<i", 1) + b"x",
            nothing,
            nothing,
            text(b"model.py"),
            text(b"<lambda>"),
            struct.pack("<i", 7),
            text(b""),
        ]
    )


# --- Configurations -------------------------------------------------------------------


def keras1_config(ordering="tf", function=None, functional=False):
    """Return what Keras 1.2 says of the network."""
    shape = [None, HEIGHT, WIDTH, 3] if ordering == "tf" else [None, 3, HEIGHT, WIDTH]
    lambda_ = {
        "name": "lambda_1",
        "function": [(function or python35()).decode("raw_unicode_escape"), None, None],
        "function_type": "lambda",
        "output_shape": None,
        "output_shape_type": "raw",
        "arguments": {},
    }
    convolution = {"dim_ordering": ordering, "init": "glorot_uniform", "bias": True}
    convolution |= {"W_constraint": None, "b_regularizer": None, "trainable": True}
    regularizer = {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.001}
    layers = [
        ("Lambda", lambda_),
        (
            "Convolution2D",
            {
                **{"name": "conv_a", "nb_filter": 4, "nb_row": 5, "nb_col": 5},
                **{"subsample": [2, 2], "border_mode": "valid", "activation": "elu"},
                **{"W_regularizer": regularizer},
                **convolution,
            },
        ),
        (
            "Convolution2D",
            {
                **{"name": "conv_b", "nb_filter": 6, "nb_row": 3, "nb_col": 3},
                **{"subsample": [2, 2], "border_mode": "valid", "activation": "linear"},
                **{"W_regularizer": None},
                **convolution,
            },
        ),
        (
            "BatchNormalization",
            {
                **{"name": "norm", "mode": 0, "axis": -1 if ordering == "tf" else 1},
                **{"epsilon": 0.01, "momentum": 0.99},
            },
        ),
        ("LeakyReLU", {"name": "leaky", "alpha": 0.1}),
        ("Dropout", {"name": "drop", "p": 0.5}),
        ("Flatten", {"name": "flat"}),
        ("Dense", {"name": "dense_a", "output_dim": 10, "activation": "tanh"}),
        ("Dense", {"name": "dense_b", "output_dim": 1, "init": "normal"}),
    ]
    if not functional:
        layers[0][1]["batch_input_shape"] = shape
        chain = [{"class_name": kind, "config": config} for kind, config in layers]
        return {"class_name": "Sequential", "config": chain}
    found, last = [], "picture"
    first = {"name": last, "batch_input_shape": shape, "input_dtype": "float32"}
    layers = [("InputLayer", first), *layers]
    for i, (kind, config) in enumerate(layers):
        nodes = [[[last, 0, 0]]] if i else []
        last = config["name"]
        found.append(
            {"class_name": kind, "config": config, "name": last, "inbound_nodes": nodes}
        )
    inner = {"name": "model_1", "layers": found}
    inner |= {"input_layers": [["picture", 0, 0]], "output_layers": [[last, 0, 0]]}
    return {"class_name": "Model", "config": inner}


def keras2_config(ordering="channels_last"):
    """Return what Keras 2 says of the network, with its Lambda in base64."""
    import marshal

    function = base64.encodebytes(marshal.dumps((lambda x: x / 127.5 - 1.0).__code__))
    shape = [None, HEIGHT, WIDTH, 3]
    conv = {"padding": "valid", "data_format": ordering, "use_bias": True}
    conv |= {"dilation_rate": [1, 1], "kernel_initializer": {"class_name": "Zeros"}}
    layers = [
        (
            "Lambda",
            {
                **{"name": "lambda_1", "batch_input_shape": shape, "arguments": {}},
                **{"function": [function.decode("ascii"), None, None]},
            },
        ),
        (
            "Conv2D",
            {
                **{"name": "conv_a", "filters": 4, "kernel_size": [5, 5]},
                **{"strides": [2, 2], "activation": "elu", **conv},
            },
        ),
        (
            "Conv2D",
            {
                **{"name": "conv_b", "filters": 6, "kernel_size": [3, 3]},
                **{"strides": [2, 2], "activation": "linear", **conv},
            },
        ),
        ("BatchNormalization", {"name": "norm", "axis": [3], "epsilon": 0.01}),
        ("LeakyReLU", {"name": "leaky", "alpha": 0.1}),
        ("Dropout", {"name": "drop", "rate": 0.5}),
        ("Flatten", {"name": "flat", "data_format": ordering}),
        ("Dense", {"name": "dense_a", "units": 10, "activation": "tanh"}),
        ("Dense", {"name": "dense_b", "units": 1, "activation": "linear"}),
    ]
    chain = [{"class_name": kind, "config": config} for kind, config in layers]
    inner = {"name": "sequential_1", "layers": chain}
    return {"class_name": "Sequential", "config": inner}


# --- Files ----------------------------------------------------------------------------


def write_legacy(path, config, weights, version, in_bytes=False):
    """Write HDF5 as Keras 1 and 2 save a whole model; without config, weights alone."""
    major = int(version[0]) if version else 1
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            text = json.dumps(config)
            file.attrs["model_config"] = text.encode() if in_bytes else text
            root = file.create_group("model_weights")
        if version:
            file.attrs["keras_version"] = version.encode() if in_bytes else version
        names = ["lambda_1", *weights]
        root.attrs["layer_names"] = [name.encode() for name in names]
        root.create_group("lambda_1").attrs["weight_names"] = np.zeros(0, "S1")
        for name, arrays in weights.items():
            group = root.create_group(name)
            kinds = ("kernel", "bias") if major == 2 else ("W", "b")
            kinds = BN_NAMES[major] if len(arrays) == 4 else kinds
            inner = [f"{name}_{kind}:0" for kind in kinds]
            if major == 2:
                inner = [f"{name}/{kind}:0" for kind in kinds]
            group.attrs["weight_names"] = [each.encode() for each in inner]
            for each, array in zip(inner, arrays, strict=True):
                group.create_dataset(each, data=array)
    return path


def theano_numbers(weights):
    """Return the numbers as Keras 1 on Theano keeps them, pictures channels first."""
    turned = dict(weights)
    for name in ("conv_a", "conv_b"):
        kernel, bias = weights[name]
        turned[name] = [kernel[::-1, ::-1].transpose(3, 2, 0, 1), bias]
    kernel, bias = weights["dense_a"]
    rows = kernel.reshape(3, 8, 6, 10).transpose(2, 0, 1, 3).reshape(-1, 10)
    turned["dense_a"] = [rows, bias]
    return turned


def write_keras3(path, weights, scaling="lambda"):
    """Let today's Keras save the network, behind a Lambda or behind arithmetic."""
    import keras

    inner = reference(weights)
    if scaling == "lambda":
        first = keras.layers.Lambda(lambda x: x / 127.5 - 1.0)
        model = keras.Sequential(
            [keras.Input((HEIGHT, WIDTH, 3)), first, *inner.layers]
        )
    else:
        frame = keras.Input((HEIGHT, WIDTH, 3))
        x = frame / 127.5 - 1.0
        for layer in inner.layers:
            x = layer(x)
        model = keras.Model(frame, x)
    model.save(path)
    return path


def zipped(files, compression=zipfile.ZIP_STORED):
    """Return the bytes of a zip of files, by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, each in files.items():
            archive.writestr(name, each)
    return content.getvalue()
