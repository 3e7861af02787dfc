"""A run on several workers: Ray starts them, and replaces those that die.

    python train.py data/a --name a --workers 2

starts a Ray of its own, which listens on this machine only, and takes it down at the
end; --address joins a cluster. team.py is what each of them does. All that a run
keeps is in its folder, so on a cluster it must be one that every machine sees, like the
recordings and this project.

The port of each worker, on which TensorFlow adds up, is open to the network, and
TensorFlow lets nobody choose otherwise: several workers are for networks that are
trusted (https://www.tensorflow.org/security).
"""

from __future__ import annotations

from common.ends import line_of

import importlib.util
import os
import queue
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from common.errors import InputError, NonFiniteLossError
from common.start_up import num_cores
from training.epochs import Interruption
from training.run_folder import RAY_NOTES
from training.settings import Settings

if TYPE_CHECKING:
    # Ray is imported where it is used: it need not be installed, and reads its
    # environment when it is first imported.
    from ray.util.queue import Queue

# So often are workers replaced before a run is given up: it resumes from there.
MOST_FAILURES = 5
LOOK_EVERY_S = 0.5
CONNECT_S = 10.0


def check_workers(num_workers: int, batch_size: int) -> None:
    """Refuse a number of workers that cannot share the batches, and a missing Ray.

    Raises:
        InputError: It is below 1 or no divisor of the batch size, or Ray is missing.
    """
    if num_workers < 1 or batch_size % num_workers:
        raise InputError(
            f"--workers is {num_workers}, expected a divisor of --batch-size "
            f"{batch_size}, so that all have as much to do"
        )
    if importlib.util.find_spec("ray") is None:
        raise InputError("--workers: ray is not installed; pip install --group ray")


def check_address(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would ask for many minutes.

    Raises:
        InputError: It is neither `auto` nor HOST:PORT, or nothing answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError(f"--address is {address!r}, expected HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise InputError(
            f"--address {address}: no Ray there ({error}); start one on that machine "
            f"with ray start --head --port {port}"
        ) from error


@contextmanager
def ray_at(address: str | None, num_workers: int) -> Iterator[None]:
    """Start a Ray on this machine, or join the one at an address; leave it at the end.

    Raises:
        InputError: There is none at the address, or it has too few cores.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is not None:
        check_address(address)
    else:
        # In spite of its name, what makes Ray listen on 127.0.0.1 only, on Linux too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = max(num_workers, num_cores())
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"--address {address}: no Ray there ({error})") from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < num_workers:
            raise InputError(
                f"--workers is {num_workers}, but the cluster has {cores} cores"
            )
        yield
    finally:
        ray.shutdown()


def run_on_workers(
    run: Callable[..., dict[str, Any]],
    folder: Path,
    settings: Settings,
    num_workers: int,
    address: str | None,
) -> dict[str, Any]:
    """Train a run on several workers; return its metrics.

    Args:
        run: The function train.run, which is called in every worker.
        num_workers: How many, a divisor of the batch size.
        address: A Ray cluster's; "auto" for this machine's, None to start one.

    Raises:
        InputError: There is no such cluster, or a worker cannot read what it needs.
        NonFiniteLossError: The loss of a batch is NaN or infinite.
        TrainingFailedError: Ray's; workers have died more than MOST_FAILURES times.
    """
    size = settings.batch_size
    print(
        f"{num_workers} workers, each with {size // num_workers} of the {size} samples "
        f"of a batch; learning rate {settings.learning_rate}, as for one process",
        flush=True,
    )
    folder = folder.resolve()
    # Notes of workers that were killed would mislead the next, and are no use to one.
    shutil.rmtree(folder / RAY_NOTES, ignore_errors=True)
    interruption = Interruption()
    try:
        # Ray takes SIGTERM for itself when it starts: Interruption comes after it.
        with ray_at(address, num_workers), interruption:
            trainer, lines, stop = _trainer(run, folder, settings, num_workers)
            # In a thread: in the main one Ray would take Ctrl-C for itself, too.
            training = _in_background(trainer.fit)
            while not training.done() or not lines.empty():
                if interruption.requested and stop.empty():
                    stop.put("asked")
                with suppress(queue.Empty):
                    _show(lines.get(timeout=LOOK_EVERY_S))
            result = training.result().return_value
    finally:
        shutil.rmtree(folder / RAY_NOTES, ignore_errors=True)
    if isinstance(result, NonFiniteLossError):
        raise result
    return result


def _in_background(function: Callable[[], Any]) -> Future[Any]:
    """Call a function in a thread that nothing waits for when the program ends.

    The threads of an executor are waited for, and Ray, once down, never answers.
    """
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=call, daemon=True).start()
    return future


def _show(said: str | dict[int, Exception]) -> None:
    """Show a line of the chief, or tell whose failure has stopped the workers.

    Raises:
        InputError: That was the failure, and trying again will not mend it.
    """
    if isinstance(said, str):
        print(said, flush=True)
        return
    for worker, failure in said.items():
        cause = getattr(failure, "cause", None) or failure
        if line := line_of(cause):
            raise InputError(line)
        print(
            f"worker {worker}: {type(cause).__name__}: {str(cause).splitlines()[0]}",
            file=sys.stderr,
        )
    print("workers start again from the last epoch's end", file=sys.stderr)


def _trainer(
    run: Callable[..., dict[str, Any]],
    folder: Path,
    settings: Settings,
    num_workers: int,
) -> tuple[Any, Queue, Queue]:
    """Return Ray's trainer, a queue that the workers speak to, and one they look at."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.tensorflow import TensorflowTrainer
    from ray.util.queue import Queue

    lines, stop = (Queue(actor_options={"num_cpus": 0}) for _ in range(2))

    class TellFailures(UserCallback):
        def after_exception(
            self,
            run_context: Any,  # noqa: ARG002 - Ray names it
            worker_exceptions: dict[int, Exception],
        ) -> None:
            lines.put(worker_exceptions)

    scaling = ScalingConfig(num_workers=num_workers, placement_strategy="SPREAD")
    run_config = RunConfig(
        name=RAY_NOTES,
        storage_path=str(folder),
        callbacks=[TellFailures()],
        failure_config=FailureConfig(max_failures=MOST_FAILURES),
    )
    config = {"run": run, "folder": folder, "settings": settings}
    trainer = TensorflowTrainer(
        _work,
        train_loop_config=config | {"lines": lines, "stop": stop},
        scaling_config=scaling,
        run_config=run_config,
    )
    return trainer, lines, stop


def _work(config: dict[str, Any]) -> dict[str, Any] | NonFiniteLossError:
    """Train as one of the workers, in a process that Ray has started."""
    # Ray asks for Keras 2, which is not what this project is written for.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    import ray.train
    import tensorflow as tf

    # It sets up TensorFlow's strategy, before anything else of TensorFlow runs.
    from training.team import Team

    context = ray.train.get_context()
    threads = max(1, num_cores() // context.get_local_world_size())
    tf.config.threading.set_intra_op_parallelism_threads(
        config["settings"].threads or threads
    )
    rank, size = context.get_world_rank(), context.get_world_size()
    stop, say = config["stop"], config["lines"].put
    team = Team(rank, size, lambda: rank == 0 and not stop.empty(), say)
    try:
        return config["run"](config["folder"], config["settings"], team)
    except NonFiniteLossError as error:
        # All workers find it at once. Raised, it would be tried again.
        return error
