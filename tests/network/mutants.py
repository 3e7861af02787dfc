"""Files of a model with something changed: what decay, or a stranger, may hand over."""

import copy
import json

import h5py
import numpy as np

from network.files import SAFE_CLASSES

NUMBERS = (
    *(0, -1, 1, 2, 3, 7, 100, 1000, 2_000_000, 20_000_000, 10**9, 2**31, 2**63, 10**30),
    *(-(10**9), 0.5, -0.5, 1e300, float("nan"), float("inf")),
)
OTHERS = (None, True, "", "relu", "10", [], {}, [1], [[[]]], [[1, 2], 3], {"a": 1})
DTYPES = "float64 float16 bfloat16 mixed_float16 int8 uint8 string bool complex64 x"
PARTS = (
    {"class_name": "Orthogonal", "config": {"gain": 1e30, "seed": -1}},
    {"class_name": "Constant", "config": {"value": [[1, 2], [3, 4]]}},
    {"class_name": "VarianceScaling", "config": {"scale": -1, "mode": "x"}},
    {"class_name": "L1L2", "config": {"l1": float("nan"), "l2": "x"}},
    {"class_name": "MaxNorm", "config": {"max_value": -1, "axis": 99}},
    {"class_name": "Conv2D", "config": {"filters": 10**6, "kernel_size": 3}},
)
LAYERS = (
    ("ZeroPadding2D", {"padding": 10**5}),
    ("ZeroPadding2D", {"padding": 3000}),
    ("Dense", {"units": 10**9}),
    ("Dense", {"units": 3_000}),
    ("Reshape", {"target_shape": [-1, 10**9]}),
    ("Conv2D", {"filters": 20_000_000, "kernel_size": 1}),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "dilation_rate": 10**6}),
    ("Conv2D", {"filters": 3, "kernel_size": [160, 320], "padding": "same"}),
    ("DepthwiseConv2D", {"kernel_size": 3, "dilation_rate": 5000, "padding": "same"}),
    ("Resizing", {"height": 10**5, "width": 10**5}),
    ("CenterCrop", {"height": 10**4, "width": 10**4}),
    ("GroupNormalization", {"groups": -1}),
    ("Normalization", {"axis": -1, "mean": 1e300, "variance": -1}),
    ("Permute", {"dims": [3, 1, 2]}),
)


def mutate_json(document, rng):
    """Return the text, in bytes, of a model.json with one to three things changed."""
    document = copy.deepcopy(document)
    for _ in range(rng.integers(1, 4)):
        JSON_CHANGES[rng.integers(len(JSON_CHANGES))](document, rng)
    text = json.dumps(document).encode()
    how = rng.integers(12)
    if how == 0:
        return text[: rng.integers(len(text))]
    if how == 1:
        changed = bytearray(text)
        for at in rng.integers(len(text), size=rng.integers(1, 6)):
            changed[at] = rng.integers(256)
        return bytes(changed)
    return text


def places(document, wanted=lambda key, value: True):
    """Return container and key of every value in a document that is wanted."""
    found, todo = [], [document]
    while todo:
        node = todo.pop()
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            if wanted(key, node[key]):
                found.append((node, key))
            if isinstance(node[key], dict | list):
                todo.append(node[key])
    return found


def pick(document, rng, wanted=lambda key, value: True):
    """Return container and key of one of them; of an empty one if there is none."""
    found = places(document, wanted)
    return found[rng.integers(len(found))] if found else ({"": 0}, "")


def is_number(key, value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def change_number(document, rng):
    node, key = pick(document, rng, is_number)
    node[key] = NUMBERS[rng.integers(len(NUMBERS))]


def scale_number(document, rng):
    node, key = pick(document, rng, is_number)
    node[key] *= int(10 ** rng.integers(1, 12))


def change_type(document, rng):
    node, key = pick(document, rng)
    node[key] = copy.deepcopy(OTHERS[rng.integers(len(OTHERS))])


def delete_key(document, rng):
    node, key = pick(document, rng)
    del node[key]


def rename_key(document, rng):
    node, key = pick(document, rng, lambda key, value: isinstance(key, str))
    node[f"{key}x"] = node.pop(key)


def repeat_part(document, rng):
    node, key = pick(document, rng, lambda key, value: isinstance(key, int))
    if isinstance(node, list):
        node.insert(rng.integers(len(node) + 1), copy.deepcopy(node[key]))


def swap_parts(document, rng):
    (node, key), (other, other_key) = pick(document, rng), pick(document, rng)
    first, second = copy.deepcopy(node[key]), copy.deepcopy(other[other_key])
    node[key] = second
    # The first may have been within the second, and gone with it.
    other[other_key] = first


def exchange_class(document, rng):
    node, key = pick(document, rng, lambda key, value: key == "class_name")
    node[key] = sorted(SAFE_CLASSES)[rng.integers(len(SAFE_CLASSES))]


def rewire(document, rng):
    node, key = pick(document, rng, lambda key, value: key == "keras_history")
    names = [layer.get("name") for layer in layers_of(document)] or ["x"]
    node[key] = [names[rng.integers(len(names))], int(rng.integers(-1, 3)), 0]


def rename_layer(document, rng):
    node, key = pick(document, rng, lambda key, value: key == "name")
    names = [layer.get("name") for layer in layers_of(document)]
    names += ["\x1b[31mred", "a/b", "", "x" * 10_000, "\u202e", 3]
    node[key] = names[rng.integers(len(names))]


def change_sizes(document, rng):
    names = "kernel_size strides pool_size cropping padding filters units height width "
    names += "dilation_rate groups momentum epsilon rate batch_shape scale axis"
    node, key = pick(document, rng, lambda key, value: key in names.split())
    if not isinstance(node[key], list):
        node[key] = NUMBERS[rng.integers(len(NUMBERS))]
    elif node[key]:
        inner, at = pick(node[key], rng, is_number)
        inner[at] = NUMBERS[rng.integers(len(NUMBERS))]


def change_dtype(document, rng):
    node, key = pick(document, rng, lambda key, value: key == "dtype")
    node[key] = DTYPES.split()[rng.integers(len(DTYPES.split()))]


def change_part(document, rng):
    kinds = ("_initializer", "_regularizer", "_constraint", "activation")
    node, key = pick(document, rng, lambda key, value: str(key).endswith(kinds))
    node[key] = copy.deepcopy(PARTS[rng.integers(len(PARTS))])


def nest(document, rng):
    node, key = pick(document, rng)
    for _ in range(int(rng.choice([5, 90, 900]))):
        node[key] = [node[key]]


def insert_layer(document, rng):
    """Put a layer between two others, as Keras would have written it."""
    layers = [each for each in layers_of(document) if each.get("inbound_nodes")]
    if not layers:
        return
    after = layers[rng.integers(len(layers))]
    kind, config = LAYERS[rng.integers(len(LAYERS))]
    before = copy.deepcopy(after["inbound_nodes"])
    for call in places(before, lambda key, value: key == "kwargs"):
        call[0]["kwargs"] = {}  # Not every layer takes a mask.
    layer = {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": "new", "trainable": True, **config},
        "registered_name": None,
        "name": "new",
        "inbound_nodes": before,
    }
    node, key = pick(after, rng, lambda key, value: key == "keras_history")
    node[key] = ["new", 0, 0]
    document["config"]["layers"].insert(1, layer)


def layers_of(document):
    config = document.get("config") if isinstance(document, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    return [each for each in layers or [] if isinstance(each, dict)]


JSON_CHANGES = (
    *(change_number, scale_number, change_type, delete_key, rename_key, repeat_part),
    *(swap_parts, exchange_class, rewire, rename_layer, change_sizes, change_sizes),
    *(change_dtype, change_part, nest, insert_layer, insert_layer),
)


# --- Weights --------------------------------------------------------------------------


def mutate_weights(path, rng):
    """Change a file of weights: its bytes, or what it holds."""
    if rng.random() < 0.6:
        changed = BYTE_CHANGES[rng.integers(len(BYTE_CHANGES))](path.read_bytes(), rng)
        path.write_bytes(changed)
        return
    with h5py.File(path, "a") as file:
        names = []
        file.visititems(
            lambda name, item: names.append(name) if hasattr(item, "shape") else None
        )
        for _ in range(rng.integers(1, 3)):
            name = names[rng.integers(len(names))]
            if name in file:
                H5_CHANGES[rng.integers(len(H5_CHANGES))](file, name, rng)


def flip_bits(content, rng):
    """Where it is not all zeros, and for the most part not among the weights."""
    changed = np.frombuffer(content, np.uint8).copy()
    used = np.flatnonzero(changed)
    # The weights fill it densely; the tree of names lies in between.
    sparse = used[np.convolve(changed != 0, np.ones(64), "same")[used] < 40]
    for at in rng.choice(sparse if rng.random() < 0.8 else used, rng.integers(1, 9)):
        changed[at] ^= 1 << rng.integers(8)
    return changed.tobytes()


def change_bytes(content, rng):
    changed = np.frombuffer(content, np.uint8).copy()
    used = np.flatnonzero(changed)
    sparse = used[np.convolve(changed != 0, np.ones(64), "same")[used] < 40]
    for at in rng.choice(sparse, rng.integers(1, 9)):
        changed[at] = rng.integers(256)
    return changed.tobytes()


def cut(content, rng):
    return content[: rng.integers(len(content))]


def splice(content, rng):
    size = int(rng.integers(8, 5000))
    here, there = rng.integers(len(content) - size, size=2)
    return content[:here] + content[there : there + size] + content[here + size :]


def blank(content, rng):
    size = int(rng.integers(8, 5000))
    here = rng.integers(len(content) - size)
    return content[:here] + bytes(size) + content[here + size :]


def link_in_a_circle(file, name, rng):
    file[name].parent["up"] = file


def link_many_ways(file, name, rng):
    """Thirty groups, each under two names in the one before: 2**30 ways down."""
    group = file.create_group(f"way{rng.integers(10**6)}")
    for _ in range(30):
        below = group.create_group("a")
        group["b"] = below
        group = below


def link_elsewhere(file, name, rng):
    file[f"link{rng.integers(10**6)}"] = (
        h5py.ExternalLink("/etc/passwd", "/")
        if rng.random() < 0.5
        else h5py.SoftLink("/layers")
    )


def claim_much(file, name, rng):
    del file[name]
    file.create_dataset(name, (10**6, 10**4), "f4")


def claim_much_in_chunks(file, name, rng):
    del file[name]
    file.create_dataset(name, (10**5, 10**5), "f4", chunks=(1000, 1000), fillvalue=1)


def pack(file, name, rng):
    size = int(rng.choice([10, 30_000_000]))
    del file[name]
    file.create_dataset(name, data=np.zeros(size, "u1"), compression="gzip")


def change_shape(file, name, rng):
    values = file[name][()].ravel()
    del file[name]
    file[name] = values[: rng.integers(len(values) + 1)]


def change_kind(file, name, rng):
    kinds = ("f8", "f2", "i8", "u1", "S8", h5py.string_dtype(), h5py.ref_dtype, "c8")
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, kinds[rng.integers(len(kinds))])


def make_odd_numbers(file, name, rng):
    values = file[name]
    values[...] = rng.choice([np.nan, np.inf, -1e38, 0])


def remove(file, name, rng):
    del file[name]


def add_attributes(file, name, rng):
    file[name].attrs["long"] = "x" * 60_000
    file[name].attrs["many"] = ["y" * 100] * 300
    file.attrs["layer_names"] = [b"a", b"b"]


def add_groups(file, name, rng):
    for i in range(int(rng.choice([100, 60_000]))):
        file.create_group(f"more/{i}")


BYTE_CHANGES = (flip_bits, flip_bits, change_bytes, cut, splice, blank)
H5_CHANGES = (
    *(link_in_a_circle, link_many_ways, link_elsewhere, claim_much, add_groups),
    *(claim_much_in_chunks, pack, change_shape, change_kind, make_odd_numbers),
    *(remove, add_attributes),
)
