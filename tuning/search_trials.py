"""The trials of a search: who does which, and that none is lost or done twice.

The study is one SQLite file. Whoever works on it, one process or many, takes the next
trial from there. While a trial runs, its process says every few seconds that it lives;
a trial that has fallen silent goes back into the queue, with the values that it had.
"""

from __future__ import annotations

from common.ends import line_of

import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from common.errors import InputError, NonFiniteLossError
from common.files import whole_file
from common.text import ESCAPED
from training.epochs import is_finished
from training.progress import Progress
from training.run_folder import make_run
from training.selection import Driving
from training.settings import RETIRED, Settings
from tuning.fine_tuning import TrainRun
from tuning.search_space import Plan, default_values, settings_of, suggest

STUDY_NAME = "search"
HEARTBEAT_S = 5
# Silent for so long, a process is dead: longer than a busy disk keeps one waiting.
GRACE_S = 30
LOCK_TIMEOUT_S = 60
SQLITE_HEADER = b"SQLite format 3\0"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


# --- The study ------------------------------------------------------------------------


@contextmanager
def _errors_naming(path: Path) -> Iterator[None]:
    """Let it be said of which file it is that a study cannot be written to it.

    Raises:
        InputError: Its disk is full, or the like.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if line := line_of(error):
            raise InputError(f"{path}: {line}") from error
        raise


@contextmanager
def _experimental() -> Iterator[None]:
    """Keep quiet that Optuna calls its heartbeat experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def study_folder(path: Path) -> Path:
    """Return the folder of what belongs to a study: its runs and pictures."""
    return path.with_suffix("")


def open_study(path: Path, plan: Plan, fingerprints: dict[str, str]) -> optuna.Study:
    """Make a study, with the default settings as its first trial, or go on with it.

    Args:
        path: The study's file.
        plan: What its trials have in common.
        fingerprints: The fingerprint of each recording, by its folder.

    Raises:
        InputError: The file is no study, or that of another search.
    """
    # What SQLite's URL would take for something else, or the folder's own name.
    if set("?{}") & set(str(path)) or not path.suffix:
        raise InputError(
            f"--study is {path}, expected one like search.sqlite, without ?, {{ and }}"
        )
    began_with = plan.to_json() | {"data_fingerprints": fingerprints}
    if not path.exists():
        if study_folder(path).exists():
            exists = f"{study_folder(path)} exists already, without {path}"
            raise InputError(f"{exists}; give another --study")
        try:
            with _errors_naming(path):
                _create(path, began_with, default_values(plan))
        except OSError as error:
            text = f"{path}: cannot be made: {error.strerror}; give another --study"
            raise InputError(text) from error
    study = load_study(path)
    _check_same(path, study.user_attrs["plan"], began_with)
    study_folder(path).mkdir(exist_ok=True)
    return study


def _create(path: Path, plan: dict[str, Any], first: dict[str, Any]) -> None:
    """Write a study's file; it appears under its name with all that it begins with."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of two processes that begin at once, the second must not replace it.
    with suppress(FileExistsError), whole_file(path, is_new=True) as partial_path:
        storage = _storage(partial_path)
        try:
            study = optuna.create_study(storage=storage, study_name=STUDY_NAME)
            study.set_user_attr("plan", plan)
            study.enqueue_trial(first, user_attrs={"default": True})
        finally:
            storage.remove_session()
            storage.engine.dispose()
            partial_path.with_name(f"{partial_path.name}-journal").unlink(True)


def load_study(path: Path) -> optuna.Study:
    """Open a study that exists.

    Raises:
        InputError: The file is none.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
                raise KeyError(STUDY_NAME)
        # Against the median of at least five trials, from the second epoch on: the
        # first says little.
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
        return optuna.load_study(
            study_name=STUDY_NAME, storage=_storage(path, create=False), pruner=pruner
        )
    except (KeyError, OSError, RuntimeError, optuna.exceptions.OptunaError) as error:
        text = f"{path}: not a study of search.py; give another --study"
        raise InputError(text) from error


def _storage(path: Path, create: bool = True) -> RDBStorage:
    with _experimental():
        return RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT_S}},
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            skip_table_creation=not create,
        )


def _check_same(path: Path, began: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to mix two searches in one study."""

    def flat(plan: dict[str, Any]) -> dict[str, Any]:
        return plan | plan["settings"] | plan["settings"]["augment"]

    was, wanted = flat(began), RETIRED | flat(now)
    for name in sorted(set(was) - {"settings", "augment"}):
        if was[name] != wanted.get(name):
            raise InputError(
                f"{path}: the search began with {name} {was[name]}, now it is "
                f"{wanted.get(name)}; go on as it began, or give another --study"
            )


# --- Which trial is next --------------------------------------------------------------


def next_step(study: optuna.Study, num_trials: int) -> str:
    """Say what a worker is to do: "run" a trial, "wait" for those of others, or "end".

    Trials of processes that are gone are put back into the queue on the way. The end
    is when num_trials are finished, pruned ones among them.
    """
    with _experimental():
        optuna.storages.fail_stale_trials(study)
    _put_back_unbegun(study)
    states = Counter(trial.state for trial in study.get_trials(deepcopy=False))
    num_finished = len(finished_trials(study))
    if num_finished >= num_trials:
        return "end"
    # Who waits takes over should another process be killed.
    num_begun = num_finished + states[TrialState.RUNNING]
    return "run" if states[TrialState.WAITING] or num_begun < num_trials else "wait"


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ran to their end or were given up as worse than most."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def put_back(study: optuna.Study, number: int) -> bool:
    """Fail a trial, and queue another with its values.

    Returns:
        Whether that was still to be done: False where another process took it for dead.
    """
    trials = study.get_trials(deepcopy=False)
    if any(number in trial.system_attrs.get("retry_history", []) for trial in trials):
        return False
    if trials[number].state == TrialState.RUNNING:
        study.tell(number, state=TrialState.FAIL)
    with _experimental():
        RetryHeartbeatStaleTrialCallback()(study, study.trials[number])
    return True


def _put_back_unbegun(study: optuna.Study) -> None:
    """Put back trials whose process was killed before their first sign of life."""
    latest = datetime.now() - timedelta(seconds=GRACE_S)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        started = trial.datetime_start or latest
        if trial.user_attrs.get("began") != trial.number and started < latest:
            put_back(study, trial.number)


def is_surplus(trial: optuna.Trial, num_trials: int) -> bool:
    """Say whether others have just taken the last trials, so that this is one more."""
    earlier = trial.study.get_trials(deepcopy=False)[: trial.number]
    return sum(t.state != TrialState.FAIL for t in earlier) >= num_trials


# --- One trial after another ----------------------------------------------------------


class Surplus(Exception):
    """The last trials are being done by others."""


@dataclass
class Worker:
    """Does trials of a study until all are finished, or the time is up."""

    path: Path
    """The study's file."""
    plan: Plan
    """What the trials have in common."""
    num_trials: int
    """Trials to be finished in all, by whomever."""
    run: TrainRun
    """Trains."""
    stop_at_s: float = float("inf")
    """Unix time from which on no trial is begun."""
    number: int | None = None
    """Number of the trial at hand; None while there is none."""

    def __call__(self) -> None:
        # Each trial builds its functions anew, which TensorFlow would warn of.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        study = load_study(self.path)
        with _errors_naming(self.path):
            study.sampler = self._sampler(len(study.trials))
            while time.time() < self.stop_at_s:
                step = next_step(study, self.num_trials)
                if step == "end":
                    return
                if step == "wait":
                    time.sleep(HEARTBEAT_S)
                else:
                    self._run_one(study)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        # By the trial's number, so that no two processes draw the same values.
        sequence = np.random.SeedSequence([self.plan.base.seed, number])
        return optuna.samplers.TPESampler(seed=int(sequence.generate_state(1)[0]))

    def _run_one(self, study: optuna.Study) -> None:
        self.number = None
        try:
            study.optimize(
                self._objective, n_trials=1, catch=(Surplus,), gc_after_trial=True
            )
        except BaseException as error:
            if self.number is None:
                raise
            theirs = not put_back(study, self.number)
            if not (theirs and isinstance(error, Exception)):
                raise
            print(f"trial {self.number}: another process does it", file=sys.stderr)
        else:
            print(_line(study, self.number, self.num_trials), file=sys.stderr)

    def _objective(self, trial: optuna.Trial) -> float:
        if is_surplus(trial, self.num_trials):
            raise Surplus
        self.number = trial.number
        trial.set_user_attr("began", trial.number)
        trial.study.sampler = self._sampler(trial.number)
        settings = settings_of(self.plan, suggest(trial, self.plan))
        run_dir = study_folder(self.path) / "trials" / f"{trial.number:04d}"
        try:
            return train_trial(trial, settings, run_dir, self.run)
        except NonFiniteLossError as error:
            raise optuna.TrialPruned(str(error)) from error


def _line(study: optuna.Study, number: int | None, num_trials: int) -> str:
    """Return the line that tells of the trial at hand."""
    if number is None:
        return "the last trials are being done by others"
    trial, done = study.trials[number], finished_trials(study)
    complete = [t.value for t in done if t.state == TrialState.COMPLETE]
    best = min((value for value in complete if value is not None), default=None)
    return (
        f"trial {number} {trial.state.name.lower()} | {shown(trial.value)} at epoch "
        f"{epoch_of(trial)} | best {shown(best)} | {len(done)} of {num_trials} finished"
    )


def shown(value: float | None) -> str:
    """Return an objective's value as text."""
    return "-" if value is None else f"{value:.4f}"


def epoch_of(trial: FrozenTrial) -> str:
    """Return the best epoch of a trial, or the last one of a pruned trial."""
    return str(trial.user_attrs.get("best_epoch", trial.last_step or "-"))


def train_trial(
    trial: optuna.Trial, settings: Settings, run_dir: Path, run: TrainRun
) -> float:
    """Train as train.py does with these settings; return what chose the weights.

    The trial is told of every epoch; the folder of its run is made.

    Raises:
        TrialPruned: It is worse than most were at this epoch.
        KeyboardInterrupt: The run was told to stop.
    """
    make_run(run_dir, settings)
    reached = Progress()

    def after_epoch(progress: Progress) -> None:
        nonlocal reached
        reached = replace(progress)
        trial.report(penalty_of(progress.history[-1]), progress.epoch)
        # The default is what the best is held against.
        may_prune = not (is_finished(progress, settings) or is_default(trial))
        if may_prune and trial.should_prune():
            raise optuna.TrialPruned

    try:
        with (
            (run_dir / "train.log").open("w", 1, "utf-8", ESCAPED) as log,
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            run(run_dir, settings, after_epoch=after_epoch)
    finally:
        # A trial is done whole or anew, and there may be hundreds of them.
        (run_dir / "state.npz").unlink(missing_ok=True)
        keras.backend.clear_session()
    if not is_finished(reached, settings):
        raise KeyboardInterrupt
    trial.set_user_attr("best_epoch", reached.kept_epoch)
    return reached.best_penalty


def penalty_of(epoch: dict[str, float]) -> float:
    """Return what an epoch of a run's history is judged by."""
    if "rms_m" not in epoch:
        return epoch["val_loss"]
    return Driving(epoch["interventions_per_min"], epoch["rms_m"]).penalty


def is_default(trial: optuna.Trial | FrozenTrial) -> bool:
    """Say whether a trial has the default settings."""
    return bool(trial.user_attrs.get("default"))
