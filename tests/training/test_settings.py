"""Settings: declared once, checked, given as flags, read back from config.json."""

import argparse
import dataclasses
import json

import pytest
from training_sets import settings

from augment import AugmentSettings
from common.errors import InputError
from training.flags import add_settings, flags_of, given_settings, settings_from
from training.settings import Settings, flag_of


@pytest.mark.parametrize(
    ("name", "value"),
    [("offset_std_m", 3.0), ("heading_std_deg", -1.0), ("side_camera_share", 2.0)],
)
def test_setting_out_of_range_names_its_flag(name, value):
    with pytest.raises(InputError, match="--" + name.replace("_", "-")):
        settings(**{name: value})


def test_what_is_taught_by_a_share_is_not_held_against_the_rest():
    """Corrections are not validated on: by that loss no epoch might ever be kept."""
    assert settings(from_model="model.json").must_beat_start
    assert not settings(from_model="model.json", shares={"b": 0.3}).must_beat_start
    assert not settings().must_beat_start


def parsed(argv):
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_from(given_settings(vars(parser.parse_args(argv))))


def test_without_flags_the_settings_are_the_defaults():
    assert parsed([]) == Settings(())


def test_flags_of_settings_give_the_settings_back():
    changed = settings(
        recordings=(),
        part=(0.25, 0.5),
        shares={"a": 0.25, "b": 0.125},
        from_model="/models/a/model.json",
        learning_rate=0.5,
        select="driving",
        limit=100,
        deterministic=True,
        augment=AugmentSettings(flip=0.0, noise=3.0),
    )
    assert parsed(flags_of(changed)) == changed


def test_only_what_is_given_is_given():
    parser = argparse.ArgumentParser()
    add_settings(parser)
    given = given_settings(vars(parser.parse_args(["--epochs", "3", "--flip", "0"])))
    assert given == {"epochs": 3, "augment": {"flip": 0.0}}


def test_every_setting_has_a_flag_and_every_flag_one_line_of_help():
    parser = argparse.ArgumentParser()
    add_settings(parser)
    shown = {flag for action in parser._actions for flag in action.option_strings}
    names = {each.name for each in dataclasses.fields(Settings)}
    names |= {each.name for each in dataclasses.fields(AugmentSettings)}
    for name in names - {"recordings", "augment"}:
        assert flag_of(name) in shown
    for action in parser._actions[1:]:
        assert action.help and len(action.help % {}) <= 66, action.help


def test_settings_of_a_former_version_are_read_where_they_changed_nothing():
    document = json.loads(json.dumps(dataclasses.asdict(settings())))
    assert Settings.from_json({**document, "weigh_recordings": "equal"}) == settings()
    with pytest.raises(InputError, match="weigh_recordings is spread"):
        Settings.from_json({**document, "weigh_recordings": "spread"})
