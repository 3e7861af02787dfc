"""A model's card: what it was trained on, how, how it drives, and what it cannot do.

`evaluate.py MODEL --benchmark` writes it beside the model, as `card.md`, from what the
run's folder says (run_folder.py) and the benchmark's figures (evaluation/benchmark.py).
Recordings and models stand in it by name, without the folders that they lie in.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from textwrap import fill
from typing import Any

from common.errors import InputError
from common.files import MOST_CONFIG_BYTES, check_writable, read_regular, write_bytes
from common.text import ESCAPED, shown
from evaluation.benchmark import NAME, ROADS, SPEED_MPH, worst_ways
from evaluation.benchmark_table import (
    COLUMNS,
    HOW,
    NOT_SAID,
    cells,
    kind_rows,
)
from evaluation.drivers import folder_name, is_model
from network.files import check_model
from simulator.recorder import FACTS_NAME
from training.settings import changes_of, flag_of

CARD_NAME = "card.md"
# Of a list of recordings, or of the worst roads, so many are named.
MOST_NAMED = 8
LINE_WIDTH = 110
# Of a SHA-256: enough to tell any two models, or recordings, apart.
DIGITS = 16


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from, as far as its folder tells; read before it drives."""

    driver: str
    """The path of its model.json."""
    fingerprint: str
    """Of its weights: the first digits of their SHA-256."""
    config: dict[str, Any]
    """What train.py wrote; empty for a model that it did not train."""
    metrics: dict[str, Any]
    """Likewise."""


def cards_to_write(drivers: Sequence[str], given: Path | None) -> dict[str, Path]:
    """Return where the card of each model will lie, before any work is done.

    A card that is there is kept: its model gets none, unless another place is given.

    Args:
        drivers: Paths of models, and names of bounds, which have no card.
        given: The place that the user has named.

    Raises:
        InputError: A place cannot be written to, or is taken, or is that of two models.
    """
    models = [driver for driver in drivers if is_model(driver)]
    if given is not None:
        if len(models) != 1:
            raise InputError(
                f"--card {given}: the place of one card, expected one model, "
                f"not {len(models)}; evaluate one after the other"
            )
        if os.path.lexists(given):
            raise InputError(f"{given} exists; remove it or give another --card")
    places: dict[str, Path] = {}
    for driver in models:
        place = given or Path(driver).with_name(CARD_NAME)
        if place.resolve() in (each.resolve() for each in places.values()):
            raise InputError(
                f"{driver}: its card would be that of another model, {place}; evaluate "
                "one after the other, each with its --card"
            )
        if not os.path.lexists(place):
            check_writable(place, "--card")
            places[driver] = place
    return places


def kept_cards(drivers: Sequence[str], written: Mapping[str, Path]) -> list[Path]:
    """Return the cards of models that are there already; see cards_to_write."""
    models = [driver for driver in drivers if is_model(driver)]
    return [Path(m).with_name(CARD_NAME) for m in models if m not in written]


def read_provenance(driver: str) -> Provenance:
    """Read what a model's folder says of it.

    Raises:
        InputError: Its weights cannot be read.
    """
    _, weights_path = check_model(driver)
    weights = hashlib.sha256(weights_path.read_bytes()).hexdigest()
    folder = Path(driver).parent
    config, metrics = (
        _read_document(folder / name) for name in ("config.json", "metrics.json")
    )
    # Other programs call files so, too.
    settings = config.get("settings")
    if not (
        isinstance(settings, dict)
        and isinstance(recordings := settings.get("recordings"), list)
        and all(isinstance(each, str) for each in recordings)
        and isinstance(settings.get("augment", {}), dict)
    ):
        config, metrics = {}, {}
    return Provenance(driver, weights[:DIGITS], config, metrics)


def _read_document(path: Path) -> dict[str, Any]:
    """Return a JSON document; what is not there, or none, says nothing."""
    with suppress(InputError, ValueError, RecursionError):
        document = json.loads(read_regular(path, MOST_CONFIG_BYTES))
        return document if isinstance(document, dict) else {}
    return {}


def write_card(
    path: Path, model: Provenance, document: dict[str, Any], commit: str
) -> None:
    """Write a model's card, whole or not at all.

    Args:
        path: The file to write; its folder is made.
        document: What evaluation.benchmark.judge returns.
        commit: Which version of the project has measured.

    Raises:
        OSError: It exists, or cannot be written.
    """
    drivers = document["benchmark"]["drivers"]
    bounds = {name: said for name, said in drivers.items() if not is_model(name)}
    sections = (
        _head(model, drivers[model.driver]),
        _data(model),
        _recipe(model),
        _score(drivers[model.driver], bounds),
        _limits(model, drivers[model.driver]),
        _measured(model, bounds, commit),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n\n".join(sections) + "\n"
    write_bytes(path, content.encode(errors=ESCAPED), is_new=True)


# --- What it says ---------------------------------------------------------------------


def _head(model: Provenance, said: Mapping[str, Any]) -> str:
    return (
        f"# {_text(folder_name(model.driver))}\n\n"
        f"**{said['score']:.1f}** of 100 on {NAME} of this project ({said['low']:.1f} "
        f"to {said['high']:.1f}\nwith other roads of these kinds, 95 %); "
        f"{said['roads_alone']} of {said['roads']} roads without an intervention."
    )


def _data(model: Provenance) -> str:
    head = "## What it was trained on\n\n"
    if not model.config:
        return head + (
            "Not known: beside the model there is no config.json of this project's "
            "train.py."
        )
    settings = model.config["settings"]
    found = model.config.get("data_fingerprints")
    found = found if isinstance(found, dict) else {}
    recordings = settings["recordings"]
    judged = "held-out blocks" if model.metrics.get("is_held_out") else "its own frames"
    rows = [
        ["recording", "fingerprint", f"RMSE of the wheel angle on {judged}"],
        ["---"] * 3,
        *(
            [_text(_name(each)), _text(found.get(each, NOT_SAID)), _error(model, each)]
            for each in recordings[:MOST_NAMED]
        ),
    ]
    if len(recordings) > MOST_NAMED:
        rows.append([f"and {len(recordings) - MOST_NAMED} more", "", ""])
    said = head + _table(rows)
    if count := model.metrics.get("training_samples"):
        said += f"\n\n{_text(count)} samples of them were trained on."
    started = settings.get("from_model")
    begun = (
        f"from another model, {_text(_name(started))}" if started else "from scratch"
    )
    return f"{said}\n\nIt began {begun}."


def _error(model: Provenance, recording: str) -> str:
    """Return a recording's error in metrics.json, labels averaged over 1 s."""
    try:
        scores = model.metrics["validation"][_name(recording)]
        return f"{scores['model']['averaged_1_s']['deg']:.2f} degrees"
    except (KeyError, TypeError, ValueError):
        return NOT_SAID


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _recipe(model: Provenance) -> str:
    head = "## Recipe\n\n"
    if not model.config:
        return head + "Not known."
    changes = changes_of(model.config["settings"])
    flags = [_flag(name, value) for name, value in changes.items()]
    settings = f"with {', '.join(flags)}" if flags else "with its defaults"
    lines = [f"`train.py` {settings}."]
    if epochs := model.metrics.get("epochs"):
        ended = "" if model.metrics.get("is_finished") else ", and was stopped then"
        lines.append(f"It trained for {_text(epochs)} epochs{ended}.")
    versions = model.config.get("versions")
    if isinstance(versions, dict) and versions:
        named = [f"{_text(name)} {_text(versions[name])}" for name in versions]
        lines.append(f"Versions: {', '.join(named)}.")
    return head + "\n".join(lines)


def _flag(name: str, value: Any) -> str:
    """Return a setting as it is typed, or near to it, as code."""
    flag = flag_of(name)
    if isinstance(value, dict):
        value = [f"{_name(key)}={value[key]}" for key in value]
    values = value if isinstance(value, list) else [value]
    words = [] if value is True else [_name(each) for each in values]
    return f"`{shown(' '.join([flag, *words])).replace('`', '')}`"


def _score(said: Mapping[str, Any], bounds: Mapping[str, Any]) -> str:
    heads = ["road", *COLUMNS]
    rows = [*kind_rows(said), ["all, each road alike", *cells(COLUMNS, said)]]
    rows += [[f"all: {name}", *cells(COLUMNS, each)] for name, each in bounds.items()]
    table = _table([heads, ["---"] * len(heads), *rows])
    return "## How it drives\n\n" + fill(HOW, LINE_WIDTH) + "\n\n" + table


def _limits(model: Provenance, said: Mapping[str, Any]) -> str:
    lines = []
    if known := _roads_trained_on(model):
        lines.append(
            f"It was trained on roads of the benchmark: {', '.join(known)}. Its score "
            "says nothing of roads that it has not seen."
        )
    worst = [
        f"{way} (interventions: {each['interventions']}, score {each['score']:.1f})"
        for way, each in worst_ways(said)
    ]
    if worst:
        more = len(worst) - MOST_NAMED
        end = f", and {more} more" if more > 0 else ""
        needed = ", ".join(worst[:MOST_NAMED])
        lines.append(f"It needed help on: {needed}{end}.")
    if said["own_half_percent"] is not None:
        lines.append(
            f"On roads with two lanes it drives {said['own_half_percent']:.0f} % of "
            "the time on its own half."
        )
    lines.append(
        f"All of this is the embedded simulator at {SPEED_MPH:g} mph, one car and one "
        "set of cameras: of real recordings it says nothing, `evaluate.py MODEL "
        "--recording` does."
    )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _measured(model: Provenance, bounds: Mapping[str, Any], commit: str) -> str:
    command = " ".join(["python evaluate.py MODEL", *bounds, "--benchmark"])
    return (
        f"## Measured\n\n`{command}`, {NAME}, by the project at {_text(commit)}.\n"
        f"SHA-256 of the weights: {model.fingerprint}... Scores of one version compare."
    )


def _roads_trained_on(model: Provenance) -> list[str]:
    """Return the benchmark's random roads among the recordings that it was trained on.

    The roads of recordings that are gone are known by their folders' usual names.
    """
    ours = {road.track for road in ROADS if road.track.startswith("random:")}
    found = set()
    for recording in model.config.get("settings", {}).get("recordings", ()):
        facts = _read_document(Path(str(recording)) / FACTS_NAME)
        found.add(str(facts.get("track", _name(recording).replace("_", ":", 1))))
    return sorted(ours & found)


def _name(value: Any) -> str:
    """Return a value as text, of a path its name only; of a run's model the run's."""
    # It knows both ways to write a path.
    path = PureWindowsPath(text := str(value))
    if path.name == "model.json" and path.parent.name:
        return path.parent.name
    return path.name if path.parent.name or path.root else text


def _text(value: Any) -> str:
    """Return somebody's text as Markdown shows it, on one line."""
    escaped = shown(str(value))
    for mark in "\\`|<*[":
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped
