"""What improve.py is to do, checked before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError


def _check(flag: str, value: float, is_good: bool, expected: str) -> None:
    if not is_good:
        raise InputError(f"--{flag} is {value}, expected {expected}")


@dataclass(frozen=True)
class Tuning:
    """How a model is fine-tuned; everything else is as in its own run.

    Raises:
        InputError: A value is out of its range; the message gives the flag.
    """

    model_path: Path
    """The model.json to improve."""
    base: tuple[Path, ...] = ()
    """Recordings to train on besides; without any, those of the model's own run."""
    epochs: int = 4
    """Epochs of one fine-tuning."""
    steps_per_epoch: int = 200
    """Batches an epoch."""
    learning_rate: float = 3e-4
    """Adam's rate."""
    new_share: float = 0.5
    """Part of the draws that goes to what is new, between 0 and 1."""
    seed: int = 0
    """Seed of the batches, and of the scenery that is recorded."""
    units: dict[str, str] = field(default_factory=dict)
    """Units of recordings by path, besides those that the model's own run knows."""

    def __post_init__(self) -> None:
        steps, share = self.steps_per_epoch, self.new_share
        _check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check("steps-per-epoch", steps, steps >= 1, "1 or more")
        _check("new-share", share, 0 < share < 1, "between 0 and 1")


@dataclass(frozen=True)
class DaggerPlan:
    """How a model learns on tracks (dagger.py).

    Raises:
        InputError: A value is out of its range; the message gives the flag.
    """

    tuning: Tuning
    """The model, and how each round fine-tunes it."""
    tracks: tuple[str, ...]
    """Tracks to drive, as evaluate.py names them."""
    judged_on: tuple[str, ...] = ()
    """Tracks to judge on; without any, those that are driven."""
    num_rounds: int = 3
    """Rounds of driving and fine-tuning."""
    num_frames: int = 3000
    """Frames to record in each round, over all tracks."""
    speed_mph: float = 20.0
    """Target speed, 3 to 30 mph."""
    expert_drives: bool = False
    """Whether the expert drives instead of the model, to compare DAgger with."""
    num_workers: int = 2
    """Processes that judge."""

    def __post_init__(self) -> None:
        _check("rounds", self.num_rounds, self.num_rounds >= 1, "1 or more")
        _check("frames", self.num_frames, self.num_frames >= 100, "100 or more")
        _check("workers", self.num_workers, self.num_workers >= 1, "1 or more")
        _check("speed", self.speed_mph, 3 <= self.speed_mph <= 30, "3 to 30 mph")


@dataclass(frozen=True)
class HardPlacesPlan:
    """How a model learns the hard places of recordings (hard_places.py)."""

    tuning: Tuning
    """The model, and how it is fine-tuned."""
    recordings: tuple[Path, ...]
    """Recordings to drive again and to learn from."""
    guard: tuple[Path, ...] = ()
    """Recordings on which the model must not get worse."""
