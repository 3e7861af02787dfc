"""The command line of train.py, made from the settings that are declared."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from augment import AugmentSettings
from common.command_line import Parser, add_max_parameters, settings_line
from common.shell import option
from common.text import number
from network.files import BASE_MODEL, model_path
from recordings.units import units_by_path
from training.settings import (
    AUGMENTATION,
    DATA,
    SCRATCH,
    Settings,
    changes_of,
    declared_settings,
    flag_of,
)


def make_parser(show_all: bool) -> argparse.ArgumentParser:
    """Return the parser of train.py; its help shows all, or what most people need."""
    parser = Parser(
        usage="python train.py [RECORDING ...] [--name NAME] [options]",
        description="Train the network on recordings; writes models/NAME/.",
        epilog="Example:\n"
        "  python train.py data/a\n  python train.py data/a data/b --name both\n"
        "  python train.py --name both --resume\n"
        "  python train.py data/hard --name better --from models/both/model.json",
    )
    parser.add_argument(
        "--help-all", action="help", help="show every flag, the seldom used ones too"
    )
    run = parser.add_argument_group("which run")
    name = "name of the run and of its folder (default: that of the recordings)"
    run.add_argument("--name", help=name)
    run.add_argument(
        "--models-dir",
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="folder of the runs (default: models)",
    )
    run.add_argument("--resume", action="store_true", help="go on with a stopped run")
    run.add_argument(
        "--list",
        nargs="?",
        type=Path,
        const=Path("models"),
        metavar="MODELS_DIR",
        help="print a table of all runs, and exit",
    )
    losses = "write the losses for `tensorboard --logdir models`, too"
    run.add_argument("--tensorboard", action="store_true", help=losses)
    add_max_parameters(run.add_argument)
    add_settings(parser, show_all)
    where = parser.add_argument_group("where it is computed (docs/scaling.md)")
    workers = "processes that share every batch, on Ray (default: this one alone)"
    where.add_argument("--workers", type=int, metavar="N", help=workers)
    address = "Ray cluster to join; auto: this machine's (default: start one)"
    where.add_argument("--address", metavar="HOST:PORT", help=address)
    return parser


def add_settings(parser: argparse.ArgumentParser, show_all: bool = True) -> None:
    """Add the flags of all settings, grouped by the question that they answer.

    A setting that is not given leaves nothing in the namespace: see given_settings.

    Args:
        parser: What the flags are added to.
        show_all: False hides what few people need from the help.
    """
    declared, nothing = declared_settings(), argparse.SUPPRESS
    questions = [DATA, *(each.metadata["question"] for each in declared), AUGMENTATION]
    groups = {
        question: parser.add_argument_group(question, argument_default=nothing)
        for question in dict.fromkeys(questions)
    }
    text = "folders with a driving_log.csv"
    groups[DATA].add_argument("recordings", nargs="*", help=text)
    for setting in declared:
        name, told = setting.name, setting.metadata
        more = {key: value for key, value in told["flag"].items() if key != "name"}
        if "action" not in more or more["action"] == "append":
            more["type"] = told["kind"]
            if "choices" not in more:
                more.setdefault("metavar", "N" if told["kind"] is int else "X")
        more["help"] = told["help"] if show_all or told["is_basic"] else nothing
        group = groups[told["question"]]
        group.add_argument(flag_of(name), dest=name, **more)
    add = groups[AUGMENTATION].add_argument
    for strength in fields(AugmentSettings):
        text = f"{strength.metadata['help']} (default: {strength.default})"
        shown = text if show_all else nothing
        add(flag_of(strength.name), type=float, metavar="X", help=shown)


def given_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that stand on the command line, by name.

    Args:
        arguments: What a parser with add_settings has parsed, by name; others are left.

    Returns:
        Arguments of Settings; what is given of the augmentation as a dictionary. Paths
        are absolute, so that --resume finds them from anywhere.

    Raises:
        InputError: A unit is given for a recording that is not there.
    """
    names = Settings.__dataclass_fields__
    given = {name: value for name, value in arguments.items() if name in names}
    if "recordings" in given:
        given["recordings"] = tuple(os.path.realpath(p) for p in given["recordings"])
    if "from_model" in given:
        path = BASE_MODEL if given["from_model"] == "base" else given["from_model"]
        is_new = path == SCRATCH
        given["from_model"] = None if is_new else os.path.realpath(model_path(path))
    if "part" in given:
        given["part"] = tuple(given["part"])
    if "shares" in given:
        given["shares"] = dict(given["shares"])
    if "steering_units" in given:
        units = dict(given["steering_units"])
        # By path: what a run trains on besides, later, has its own.
        folders = given.get("recordings")
        given["steering_units"] = units_by_path(units, folders) if folders else units
    strengths = AugmentSettings.__dataclass_fields__
    given["augment"] = {n: v for n, v in arguments.items() if n in strengths}
    return given


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Return settings with what is given, and the defaults of the rest.

    Args:
        given: What given_settings returns.

    Raises:
        InputError: A value is out of its range.
    """
    augment = AugmentSettings(**given.get("augment", {}))
    return Settings(**{"recordings": (), **given, "augment": augment})


def flags_of(settings: Settings) -> list[str]:
    """Return the flags of train.py for all that differs from the defaults."""
    return [word for words in _flags_of(settings) for word in words]


def _flags_of(settings: Settings) -> list[list[str]]:
    """Return the words of each flag, itself and its values."""
    document = asdict(settings)
    document["part"] = list(document["part"])
    changes, flags = changes_of(document), list[list[str]]()
    # With these, train.py begins with a new network by itself.
    if settings.from_model is None and not {"preset", "dropout"} & set(changes):
        flags = [[flag_of("from_model"), SCRATCH]]
    for name, value in changes.items():
        if isinstance(value, dict):
            for recording, each in value.items():
                given = option(flag_of(name), f"{recording}={_text(each)}")
                flags.append([str(word) for word in given])
            continue
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        if value is True:
            values = ()
        flags.append([flag_of(name), *map(_text, values)])
    return flags


def say_changes(settings: Settings, say: Callable[[str], object]) -> None:
    """Say, to a person, what differs from what train.py does by itself."""
    flags = {words[0]: " ".join(words) for words in _flags_of(settings)}
    if settings.from_model:
        begins_from = Path(settings.from_model).parent
        flags[flag_of("from_model")] = f"{flag_of('from_model')} {begins_from.name}"
        if settings.from_model == os.path.realpath(BASE_MODEL):
            del flags[flag_of("from_model")]
    if flags:
        say(settings_line(list(flags.values()), "all are in config.json"))


def _text(value: Any) -> str:
    """Return a value as it is typed; a number is read back as the same."""
    if isinstance(value, float) and float(plain := number(value)) == value:
        return plain
    return str(value)
