"""What a file of weights may hold: plain numbers, each once, of one model."""

import time

import h5py
import numpy as np
import pytest

from common.errors import InputError

pytest.importorskip("keras")
from network.files import check_model, load_model, save_model


def circle(file):
    file["layers/round"] = file["layers"]


def many_ways(file):
    group = file.create_group("way")
    for _ in range(40):
        below = group.create_group("a")
        group["b"] = below
        group = below


def many_groups(file):
    for i in range(20_001):
        file.create_group(f"more/{i}")


def bomb(file):
    file.create_dataset("bomb", (50_000, 50_000), "f4", chunks=(5000, 5000))


def packed(file):
    file.create_dataset("packed", data=np.zeros(10**7), compression="gzip")


def unwritten(file):
    file.create_dataset("claimed", (3000, 3000), "f4")


def claimed(file):
    file.create_dataset("claimed", (10**6, 10**6), "f4")


def texts(file):
    file.create_dataset("texts", (3,), h5py.string_dtype())


def references(file):
    file.create_dataset("references", (3,), h5py.ref_dtype)


def kind(file):
    file["kind"] = np.dtype("f4")


def soft(file):
    file["soft"] = h5py.SoftLink("/layers")


def external_data(file):
    file.create_dataset("shadow", (100,), "u1", external="/etc/passwd")


def virtual(file):
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (10,))
    file.create_virtual_dataset("virtual", layout)


def long_texts(file):
    # One text, which the file holds once: 5,000 names of a megabyte each.
    for i in range(200):
        file.attrs[f"long{i}"] = "x" * 64_000


def odd_attribute(file):
    file.attrs.create("odd", file.ref, dtype=h5py.ref_dtype)


SAID = {
    circle: "is another name of what is there",
    many_ways: "is another name of what is there",
    many_groups: "makes it more than 20,000 objects",
    bomb: "is stored in chunks",
    packed: "is stored in chunks",
    unwritten: "was never written",
    claimed: "makes it more than the numbers of a model of 50,000,000 parameters",
    texts: "is neither a group nor numbers",
    references: "is neither a group nor numbers",
    kind: "is neither a group nor numbers",
    soft: "links elsewhere",
    external_data: "reads another file",
    virtual: "reads another file",
    long_texts: "makes its texts too long",
    odd_attribute: "is neither text nor numbers",
}


@pytest.mark.parametrize("add", SAID, ids=lambda add: add.__name__)
def test_weights_that_hold_more_than_numbers_are_refused(saved, tmp_path, add):
    path = tmp_path / "model.json"
    path.write_bytes((saved[1] / "model.json").read_bytes())
    weights = (saved[1] / "model.weights.h5").read_bytes()
    (tmp_path / "model.weights.h5").write_bytes(weights)
    with h5py.File(tmp_path / "model.weights.h5", "a", libver="latest") as file:
        add(file)
    began_s = time.monotonic()
    with pytest.raises(InputError, match=f"model.weights.h5: refused, .*{SAID[add]}"):
        check_model(path)
    assert time.monotonic() - began_s < 5


def test_weights_larger_than_a_model_are_not_read(saved, tmp_path):
    path = save_model(saved[0], tmp_path)
    with (tmp_path / "model.weights.h5").open("ab") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match="larger than 620,000,000 bytes"):
        check_model(path)


def test_weights_behind_a_user_block_load(saved, tmp_path):
    path = save_model(saved[0], tmp_path)
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(bytes(512) + weights.read_bytes())
    try:
        assert load_model(path).count_params() == saved[0].count_params()
    except InputError as error:
        assert "damaged" in str(error)
