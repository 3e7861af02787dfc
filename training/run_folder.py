"""What a training run leaves in models/<name>/.

    model.json          the layers
    model.weights.h5    the best weights so far
    config.json         every setting, threads, data fingerprints, versions, git commit
    history.csv         one row per epoch
    metrics.json        errors of the best weights, per recording, beside baselines
    loss.png            loss over epochs
    predictions.png     prediction against label on the validation samples
    state.npz           everything that --resume needs; removed by nobody
    tensorboard/        the losses as TensorBoard reads them, with --tensorboard
    .ray/               Ray's own notes while several workers train
    .lock               who trains it; there only while it is trained

Every file is written under another name and then renamed: whoever reads one, at any
moment, finds the old one or the new one, whole.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import (
    MOST_CONFIG_BYTES,
    check_writable,
    read_regular,
    whole_folder,
    write_json,
)
from common.locks import LOCK_NAME
from common.start_up import compute_threads
from network.files import BASE_MODEL
from training.flags import settings_from
from training.settings import Settings, flag_of

# A name that is made of the recordings' names holds so many of them, and letters.
MOST_IN_NAME, MOST_NAME_LETTERS = 3, 50
RAY_NOTES = ".ray"


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config.json of a run.

    Raises:
        InputError: There is none, or it is not what train.py writes.
    """
    path = folder / "config.json"
    if not path.exists():
        raise InputError(f"{path}: no such run, expected what train.py wrote")
    content = read_regular(path, MOST_CONFIG_BYTES)
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def free_name(models_dir: Path, recordings: Sequence[str]) -> str:
    """Return a name for a run on these recordings that no folder has yet."""
    paths = [Path(each) for each in recordings]
    folders = [path.parent if path.is_file() else path for path in paths]
    names = list(dict.fromkeys(folder.name.lstrip(".") for folder in folders))
    if len(names) > MOST_IN_NAME:
        names = [names[0], f"and-{len(names) - 1}-more"]
    # A list of runs leaves out what begins with a dot.
    stem = "-".join(filter(None, names))[:MOST_NAME_LETTERS] or "run"
    name, number = stem, 1
    while (models_dir / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def settings_of_new(folder: Path, given: Mapping[str, Any]) -> Settings:
    """Return the settings of a run that is to begin in a folder, as the user gave them.

    Raises:
        InputError: The folder exists or cannot be made, no recording is given, or a
            value is out of its range.
    """
    if not given.get("recordings"):
        raise InputError("no recording given, expected at least one folder")
    if not {"from_model", "preset", "dropout"} & set(given):
        given = {**given, "from_model": os.path.realpath(BASE_MODEL)}
    settings = settings_from(given)
    if folder.exists():
        raise InputError(
            f"{folder} exists already; give another --name, or --resume to go on "
            "with a run that was stopped"
        )
    check_writable(folder, "--models-dir")
    return settings


def settings_to_resume(folder: Path, given: Mapping[str, Any]) -> Settings:
    """Return the settings that a run began with; those given anew must be the same.

    Raises:
        InputError: There is no such run, or a setting given differs from its own.
    """
    settings = Settings.from_json(read_config(folder)["settings"])
    was = asdict(settings) | asdict(settings.augment)
    # Checks what is given, and brings it into the form of what was saved.
    now = asdict(settings_from(given))
    now |= now["augment"]
    for name in sorted({*given, *given.get("augment", {})} - {"augment"}):
        if was[name] != now[name]:
            raise InputError(
                f"{folder}: the run to resume has {name} {was[name]}, now it is "
                f"{now[name]}; leave {flag_of(name)} out, or train under a new --name"
            )
    return settings


def threads_of(folder: Path) -> int | None:
    """Return the number of threads that a run began with; None where it is not known.

    Raises:
        InputError: Its config.json is damaged.
    """
    if not (folder / "config.json").exists():
        return None
    threads = read_config(folder).get("threads")
    if threads is not None and not (type(threads) is int and 1 <= threads <= 1024):
        raise InputError(
            f"{folder / 'config.json'}: threads is {threads!r}, expected 1 to 1024"
        )
    return threads


def make_run(folder: Path, settings: Settings) -> None:
    """Make the folder of a new run, with its settings.

    Raises:
        InputError: It cannot be made.
    """
    config = {
        "settings": asdict(settings),
        "threads": compute_threads(),
        "versions": versions(),
    }
    try:
        # A run that is killed any earlier leaves no such folder.
        with whole_folder(folder) as new_folder:
            write_json(new_folder / "config.json", config)
    except FileExistsError as error:
        raise InputError(
            f"{folder}: another run of that name has just begun; give another --name"
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made: {error.strerror}; give another --models-dir"
        ) from error


def forget_unstarted(folder: Path) -> None:
    """Empty a run's folder that holds its settings only, so that its name is free.

    The folder itself goes with its lock.
    """
    there = {path.name for path in folder.iterdir()}
    if there <= {"config.json", "tensorboard", LOCK_NAME}:
        with suppress(FileNotFoundError):
            (folder / "tensorboard").rmdir()
        (folder / "config.json").unlink()


def check_fingerprints(folder: Path, found: dict[str, str]) -> None:
    """Write the fingerprint of each folder of data, or compare it with the run's own.

    Raises:
        InputError: The data are not those that the run began with.
    """
    config = read_config(folder)
    if config.setdefault("data_fingerprints", found) != found:
        raise InputError(
            f"{folder}: its recordings have changed since the run began; train under "
            "a new --name"
        )
    write_json(folder / "config.json", config)


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, and the git commit."""
    # Not above: a run is refused before these are loaded, which takes seconds.
    import cv2
    import keras
    import numpy as np

    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "keras": keras.__version__,
        backend: __import__(backend).__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "git_commit": git_commit(),
    }


def git_commit() -> str:
    """Return the commit of the project, and whether it was changed since."""
    command = "git describe --always --dirty --abbrev=12".split()
    folder, nowhere = Path(__file__).parent, subprocess.DEVNULL
    try:
        found = subprocess.check_output(command, cwd=folder, stderr=nowhere)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.decode().strip()
