"""Several workers: the samples, the losses and the end of a run in one process."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from made_recordings import write_recording

pytest.importorskip("keras")
import keras
from keras import layers

from common.errors import InputError
from model import build_model, network_of, with_bend
from network.files import save_model
from train import main
from training.batches import Batches
from training.epochs import validation_loss, with_habits
from training.preparation import make_sets, open_cache, read_split
from training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--epochs", "4", "--steps-per-epoch", "4", "--batch-size", "16"]
# Ray alone takes some 20 s to start and to stop, several times that on busy cores.
LONGEST_S = 400
# What float32 sums in another order make of the losses of some 16 steps: Adam turns
# the rounding errors of gradients that are zero into steps of the full learning rate.
LOSS_TOLERANCE = {"rtol": 0.003}
# They move the biases in front of batch normalization, after which its averages lag.
VAL_LOSS_TOLERANCE = {"rtol": 0.05}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings") / "bars"
    return write_recording(folder, 0.8 * np.sin(np.arange(300) / 15))


@dataclass(frozen=True)
class Place:
    """Which worker of how many: all that a layer asks a team."""

    worker: int
    num_workers: int


def trained_network():
    """What a run on one recording trains, as its state holds it."""
    return with_habits(network_of(with_bend(build_model())), 1)


# --- Shares ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sets(recording):
    settings = Settings((str(recording),))
    split = read_split(settings)
    model = with_bend(build_model())
    return make_sets(split, open_cache(split, model), settings, model)


@pytest.mark.parametrize("recovery", ["reproject", "shift"])
def test_shares_of_a_batch_are_the_batch(sets, recovery):
    settings = Settings(("a",), batch_size=12, recovery=recovery)

    def flat(share=None):
        inputs, *rest = Batches(sets[0], settings, 1, 5, share)[3]
        return (*inputs, *rest)

    shares = [flat(slice(first, first + 4)) for first in (0, 4, 8)]
    for number, expected in enumerate(flat()):
        found = np.concatenate([share[number] for share in shares])
        np.testing.assert_array_equal(found, expected)


def test_parts_of_the_validation_loss_add_up(sets):
    class Straight:
        def predict_on_batch(self, views):
            return np.zeros((len(views), 1), np.float32)

    # Several times what is predicted at once, so that each has something to do.
    names = [name for name in vars(sets[1]) if name != "cache"]
    validation = replace(
        sets[1],
        **{name: np.concatenate([getattr(sets[1], name)] * 15) for name in names},
    )
    settings = Settings(("a",))
    whole = validation_loss(Straight(), validation, settings)
    parts = [validation_loss(Straight(), validation, settings, i, 3) for i in range(3)]
    assert min(parts) > 0 and sum(parts) == pytest.approx(whole, rel=1e-9)


def test_shares_drop_what_one_process_drops():
    from training.team import SharedDropout

    def dropped(layer, inputs):
        return keras.ops.convert_to_numpy(layer(inputs, training=True))

    inputs = np.arange(1, 61, dtype=np.float32).reshape(6, 10)
    expected = dropped(layers.Dropout(0.4, seed=3), inputs)
    found = [
        dropped(
            SharedDropout(layers.Dropout(0.4, seed=3), Place(worker, 3)),
            inputs[2 * worker : 2 * worker + 2],
        )
        for worker in range(3)
    ]
    assert 0 < (expected == 0).sum() < 60
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-6)


def test_shared_network_has_the_same_variables_in_the_same_order():
    """So that a state can be resumed by one process, or by several workers."""
    from training.team import shared_network

    network = trained_network()
    shared = shared_network(network, Place(0, 2))
    assert all(a is b for a, b in zip(network.variables, shared.variables, strict=True))


def test_layer_that_draws_for_itself_is_refused():
    from training.team import shared_network

    noisy = keras.Sequential([keras.Input((4,)), layers.GaussianNoise(0.1, name="n")])
    with pytest.raises(InputError, match="layer n draws at random, which several"):
        shared_network(noisy, Place(0, 2))


# --- Command line ---------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", ["0", "-1", "3"])
def test_workers_that_cannot_share_a_batch_are_refused(
    recording, tmp_path, capsys, num_workers
):
    argv = [str(recording), "--name", "x", "--models-dir", str(tmp_path), *SHORT]
    assert main([*argv, "--workers", num_workers]) == 1
    message = f"--workers is {num_workers}, expected a divisor of --batch-size 16"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_ray_the_run_is_refused_with_what_installs_it(
    recording, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    argv = [str(recording), "--name", "x", "--models-dir", str(tmp_path)]
    assert main([*argv, "--workers", "2"]) == 1
    assert "pip install --group ray" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_address_without_workers_is_wrong_usage(recording, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(recording), "--name", "x", "--address", "auto"])
    assert "--address needs --workers" in capsys.readouterr().err


# --- Runs -----------------------------------------------------------------------------


def start(recording, models_dir, name, *more):
    command = [sys.executable, str(ROOT / "train.py"), str(recording), "--name", name]
    command += ["--models-dir", str(models_dir), *SHORT, *more]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, expect=0):
    """Wait for a run to end; return what it said on stdout and stderr."""
    out, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == expect, err
    return out, err


def read_until(process, beginning):
    """Read what a run says until a line begins so."""
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"the run ended before {beginning!r}: {process.stderr.read()}")


def losses_of(folder):
    table = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    return table["loss"], table["val_loss"]


def state_of(folder):
    with np.load(folder / "state.npz") as state:
        return {name: state[name] for name in state.files}


@pytest.fixture(scope="module")
def alone(recording, tmp_path_factory):
    models_dir = tmp_path_factory.mktemp("models")
    finish(start(recording, models_dir, "alone"))
    return models_dir / "alone"


@pytest.fixture(scope="module")
def together(recording, tmp_path_factory):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    models_dir = tmp_path_factory.mktemp("models")
    out, _ = finish(start(recording, models_dir, "two", "--workers", "2"))
    assert "2 workers, each with 8 of the 16 samples of a batch" in out
    return models_dir / "two"


@pytest.mark.slow
def test_two_workers_have_the_losses_of_one_process(alone, together):
    (loss, val_loss), expected = losses_of(together), losses_of(alone)
    assert len(loss) == 4
    np.testing.assert_allclose(loss, expected[0], **LOSS_TOLERANCE)
    np.testing.assert_allclose(val_loss, expected[1], **VAL_LOSS_TOLERANCE)
    files = [sorted(path.name for path in run.iterdir()) for run in (alone, together)]
    assert files[0] == files[1]


@pytest.mark.slow
def test_after_one_step_batch_norm_has_seen_the_whole_batch(recording, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    one_step = ["--epochs", "1", "--steps-per-epoch", "1"]
    finish(start(recording, tmp_path, "alone", *one_step))
    finish(start(recording, tmp_path, "two", *one_step, "--workers", "2"))
    alone, two = state_of(tmp_path / "alone"), state_of(tmp_path / "two")
    names = [variable.path for variable in trained_network().variables]
    averages = [i for i, name in enumerate(names) if "moving" in name]
    assert len(averages) == 16
    for i in averages:
        name = f"variable_{i}"
        # Some units in the last place of float32, relative to averages of about 1.
        np.testing.assert_allclose(two[name], alone[name], atol=1e-6)


@pytest.mark.slow
def test_killed_worker_is_replaced_and_the_run_ends_the_same(
    recording, together, tmp_path
):
    process = start(recording, tmp_path, "killed", "--workers", "2")
    read_until(process, "epoch 02")
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "RayTrainWorker" in "".join(child.cmdline())
    ]
    assert len(workers) == 2
    workers[1].kill()
    out, err = finish(process)
    assert "workers start again from the last epoch's end" in err
    assert "going on after epoch" in out
    # As many epochs of as many batches, and nothing else can give these weights.
    killed, whole = state_of(tmp_path / "killed"), state_of(together)
    for name, expected in whole.items():
        np.testing.assert_array_equal(killed[name], expected)


@pytest.mark.slow
def test_one_process_resumes_what_killed_workers_began(recording, alone, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    process = start(recording, tmp_path, "x", "--workers", "2")
    read_until(process, "epoch 02")
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    # Ray's agents try for a minute to tell of the end to those who have ended.
    _, alive = psutil.wait_procs(children, timeout=LONGEST_S)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    finish(start(recording, tmp_path, "x", "--resume"))
    loss, val_loss = losses_of(tmp_path / "x")
    np.testing.assert_allclose(loss, losses_of(alone)[0], **LOSS_TOLERANCE)
    assert len(val_loss) == 4 and not (tmp_path / "x" / ".ray").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_and_leaves_no_process(recording, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    more = ["--workers", "2", "--epochs", "1000"]
    process = start(recording, tmp_path, "stopped", *more)
    read_until(process, "epoch 02")
    children = psutil.Process(process.pid).children(recursive=True)
    # As a terminal does: every process of the group hears it.
    os.killpg(process.pid, signal.SIGINT)
    out, err = finish(process, expect=130)
    assert "stopping after this batch" in err and "next: python drive.py" in out
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads whose ports they are")
def test_ray_of_its_own_listens_on_this_machine_only(recording, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    process = start(recording, tmp_path, "x", "--workers", "2", "--epochs", "1000")
    read_until(process, "epoch 01")
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    listening = [
        (member.name(), connection.laddr.ip)
        for member in family
        for connection in member.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    process.send_signal(signal.SIGTERM)
    finish(process)
    ours = {ip for _, ip in listening}
    assert "127.0.0.1" in {ip.removeprefix("::ffff:") for ip in ours}
    # TensorFlow's own two ports are open to all, and cannot be otherwise.
    others = [name for name, ip in listening if not ip.endswith("127.0.0.1")]
    assert len(others) == 2 and all("RayTrainWo" in name for name in others)


@pytest.mark.slow
def test_loss_that_is_not_finite_ends_the_run_at_once(recording, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    more = ["--workers", "2", "--learning-rate", "1e38", "--schedule", "constant"]
    _, err = finish(start(recording, tmp_path, "x", *more), expect=1)
    assert re.search(r"epoch 0\d/04, batch \d: the loss is (nan|inf)", err)
    assert "start again" not in err


@pytest.mark.slow
def test_model_that_workers_cannot_train_is_refused_once(recording, tmp_path):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    frame = keras.Input((160, 320, 3), dtype="uint8", name="frame")
    x = layers.Resizing(66, 200, dtype="uint8", name="view")(frame)
    x = layers.GaussianNoise(0.1, name="noise")(layers.Rescaling(1 / 255)(x))
    x = layers.Dense(1)(layers.GlobalAveragePooling2D()(x))
    save_model(keras.Model(frame, x), tmp_path / "noisy")
    model_path = str(tmp_path / "noisy" / "model.json")
    more = ["--from", model_path, "--workers", "2"]
    _, err = finish(start(recording, tmp_path, "x", *more), expect=1)
    assert err.strip().splitlines()[-1].startswith("layer noise draws at random")
    assert "start again" not in err


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:9", "--address 127.0.0.1:9: no Ray there .*ray start --head"),
        ("10.0.0.1", "--address is '10.0.0.1', expected HOST:PORT"),
        ("head:99999", "expected HOST:PORT"),
    ],
)
def test_address_where_no_ray_is_is_refused(recording, tmp_path, capsys, address, text):
    pytest.importorskip("ray", reason="needs pip install --group ray")
    arguments = [str(recording), "--name", "x", "--models-dir", str(tmp_path)]
    arguments += ["--workers", "2", "--address", address]
    assert main(arguments) == 1
    assert re.search(text, capsys.readouterr().err)
