"""Who can drive, by the names that evaluate.py knows them by; needs no NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError
from network.files import check_model, model_path

ZERO, ORACLE, MIDDLE, EXPERT = "zero", "oracle", "middle", "expert"
BASELINES = (ZERO, ORACLE, MIDDLE, EXPERT)
MOST_ORACLE_S = 5.0
# The pictures beside a recorded path are not to be trusted much farther.
MOST_MIDDLE_M = 4.0


def is_model(driver: str) -> bool:
    """Return whether a name is the path of a model, and not a baseline's."""
    with_number = (f"{ORACLE}:", f"{MIDDLE}:")
    return driver not in BASELINES and not driver.startswith(with_number)


def folder_name(driver: str) -> str:
    """Return what a driver is called in a heading: a model by its folder."""
    return Path(driver).absolute().parent.name if is_model(driver) else driver


def driver_of(given: str) -> str:
    """Return the name of a driver; a run's folder stands for the model.json in it."""
    return str(model_path(given)) if is_model(given) else given


def oracle_seconds(driver: str) -> float:
    """Return the time in s over which an oracle averages the recorded steering.

    Raises:
        InputError: It is not a number above 0, up to MOST_ORACLE_S.
    """
    _, colon, text = driver.partition(":")
    try:
        seconds = float(text) if colon else 1.0
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= MOST_ORACLE_S:
        raise InputError(
            f"{driver}: expected {ORACLE}:SECONDS, above 0 and up to {MOST_ORACLE_S:g}"
        )
    return seconds


def middle_offset_m(driver: str) -> float:
    """Return how far right of the road's middle a driver keeps.

    Raises:
        InputError: It is not a number up to MOST_MIDDLE_M, to either side.
    """
    _, colon, text = driver.partition(":")
    try:
        offset_m = float(text) if colon else 0.0
    except ValueError:
        offset_m = float("nan")
    if not abs(offset_m) <= MOST_MIDDLE_M:
        raise InputError(
            f"{driver}: expected {MIDDLE}:METRES to the right of the road's middle, "
            f"from -{MOST_MIDDLE_M:g} to {MOST_MIDDLE_M:g}"
        )
    return offset_m


def check_drivers(drivers: Sequence[str], on_recordings: bool, on_tracks: bool) -> None:
    """See that every driver can drive what is asked for, before anything is loaded.

    Raises:
        InputError: A driver has no place there, or a model's files cannot be used.
    """
    for driver in drivers:
        if driver == EXPERT and on_recordings:
            raise InputError("expert drives tracks only; on recordings give oracle")
        if driver.startswith(MIDDLE) and on_tracks and not is_model(driver):
            raise InputError("middle drives recordings only; on tracks give expert")
        if driver.startswith(ORACLE) and on_tracks:
            raise InputError("oracle drives recordings only; on tracks give expert")
        if driver.startswith(f"{ORACLE}:"):
            oracle_seconds(driver)
        elif driver.startswith(f"{MIDDLE}:"):
            middle_offset_m(driver)
        elif is_model(driver):
            if not Path(driver).exists():
                raise InputError(
                    f"{driver}: no such file; expected a run's folder, its "
                    "model.json, or one of: "
                    f"{', '.join(BASELINES)}, {ORACLE}:SECONDS, {MIDDLE}:METRES"
                )
            check_model(Path(driver))
