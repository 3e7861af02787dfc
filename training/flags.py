"""The command line of train.py, made from the settings that are declared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from augment import AugmentSettings
from common.command_line import HelpFormatter
from training.settings import (
    AUGMENTATION,
    DATA,
    Settings,
    changes_of,
    declared_settings,
    flag_of,
)


def make_parser(show_all: bool = True) -> argparse.ArgumentParser:
    """Return the parser of train.py.

    Args:
        show_all: False hides what few people need from the help.
    """
    parser = argparse.ArgumentParser(
        usage="python train.py RECORDING [RECORDING ...] --name NAME [options]",
        description="Train the network on recordings; writes models/NAME/.",
        epilog="Example:\n"
        "  python train.py data/a data/b --name both\n"
        "  python train.py --name both --resume\n"
        "  python train.py data/hard --name better --from models/both/model.json",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--help-all", action="help", help="show every flag, the seldom used ones too"
    )
    run = parser.add_argument_group("which run")
    run.add_argument("--name", help="name of the run and of its folder")
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
    run.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the losses for `tensorboard --logdir models`, too",
    )
    add_settings(parser, show_all)
    where = parser.add_argument_group("where it is computed (docs/scaling.md)")
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share every batch, on Ray (default: this one alone)",
    )
    where.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster to join; auto: this machine's (default: start one)",
    )
    return parser


def add_settings(parser: argparse.ArgumentParser, show_all: bool = True) -> None:
    """Add the flags of all settings, grouped by the question that they answer.

    A setting that is not given leaves nothing in the namespace: see given_settings.

    Args:
        parser: What the flags are added to.
        show_all: False hides what few people need from the help.
    """
    groups = {DATA: parser.add_argument_group(DATA)}
    groups[DATA].add_argument(
        "recordings",
        nargs="*",
        default=argparse.SUPPRESS,
        help="folders with a driving_log.csv",
    )

    def add(question: str, name: str, kind: Any, text: str, **more: Any) -> None:
        if question not in groups:
            groups[question] = parser.add_argument_group(question)
        groups[question].add_argument(
            flag_of(name),
            dest=name,
            type=kind,
            default=argparse.SUPPRESS,
            help=text,
            **more,
        )

    for setting in declared_settings():
        told = setting.metadata
        more = {name: value for name, value in told["flag"].items() if name != "name"}
        if "choices" not in more:
            more.setdefault("metavar", "N" if told["kind"] is int else "X")
        shown = told["help"] if show_all or told["is_basic"] else argparse.SUPPRESS
        add(told["question"], setting.name, told["kind"], shown, **more)
    for setting in fields(AugmentSettings):
        text = f"{setting.metadata['help']} (default: {setting.default})"
        shown = text if show_all else argparse.SUPPRESS
        add(AUGMENTATION, setting.name, float, shown, metavar="X")


def given_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that stand on the command line, by name.

    Args:
        arguments: What a parser with add_settings has parsed, by name; others are left.

    Returns:
        Arguments of Settings; what is given of the augmentation as a dictionary. Paths
        are absolute, so that --resume finds them from anywhere.
    """
    names = {setting.name for setting in fields(Settings)}
    given = {name: value for name, value in arguments.items() if name in names}
    if "recordings" in given:
        given["recordings"] = tuple(str(Path(p).resolve()) for p in given["recordings"])
    if "from_model" in given:
        given["from_model"] = str(Path(given["from_model"]).resolve())
    if "part" in given:
        given["part"] = tuple(given["part"])
    if "shares" in given:
        given["shares"] = dict(given["shares"])
    strengths = {setting.name for setting in fields(AugmentSettings)}
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
    document = asdict(settings)
    document["part"] = list(document["part"])
    flags: list[str] = []
    for name, value in changes_of(document).items():
        if name == "shares":
            for recording, share in value.items():
                flags += [flag_of(name), f"{recording}={share}"]
            continue
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        flags += [flag_of(name), *map(str, values)]
    return flags
