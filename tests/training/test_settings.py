"""Settings: declared once, checked, given as flags, read back from config.json."""

import argparse
import dataclasses
import json

import numpy as np
import pytest
from made_recordings import write_recording
from training_sets import settings

from augment import AugmentSettings
from common.errors import InputError
from training.flags import add_settings, flags_of, given_settings, settings_from
from training.preparation import read_split
from training.run_folder import settings_of_new
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


def given_of(argv):
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return given_settings(vars(parser.parse_args(argv)))


def parsed(argv):
    return settings_from(given_of(argv))


def test_without_flags_the_settings_are_the_defaults():
    assert parsed([]) == Settings(())


def test_flags_of_settings_give_the_settings_back():
    changed = settings(
        recordings=(),
        part=(0.25, 0.5),
        shares={"a": 0.25, "b": 0.125},
        steering_units={"/data/a": "deg", "/data/b=c": "rad"},
        from_model="/models/a/model.json",
        learning_rate=0.5,
        select="driving",
        limit=100,
        deterministic=True,
        augment=AugmentSettings(flip=0.0, noise=3.0),
    )
    assert parsed(flags_of(changed)) == changed


@pytest.mark.parametrize("changed", [{}, {"preset": "original"}, {"from_model": "/m"}])
def test_flags_begin_a_run_as_the_one_that_they_are_of(tmp_path, changed):
    begun = settings(recordings=("/data/a",), **changed)
    given = given_of(["/data/a", *flags_of(begun)])
    assert settings_of_new(tmp_path / "new", given) == begun


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


def test_unit_is_kept_by_the_path_of_each_recording_and_read_back(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    both = parsed([str(a), str(b), "--steering-unit", "deg"])
    assert both.steering_units == {str(a): "deg", str(b): "deg"}
    one = parsed([str(a), str(b), "--steering-unit", "b=deg"])
    assert one.steering_units == {str(b): "deg"}
    document = json.loads(json.dumps(dataclasses.asdict(one)))
    assert Settings.from_json(document) == one
    del document["steering_units"]
    assert Settings.from_json(document).steering_units == {}
    with pytest.raises(InputError, match="--steering-unit names c, expected one of a"):
        parsed([str(a), "--steering-unit", "c=deg"])


def test_unit_that_is_none_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        parsed(["a", "--steering-unit", "degrees"])
    assert "'degrees', expected one of normalised, deg, rad" in capsys.readouterr().err


def test_split_reads_each_recording_in_its_unit(tmp_path, capsys):
    steering = 0.8 * np.sin(np.arange(300) / 40)
    a = write_recording(tmp_path / "a", steering, num_cameras=1)
    b = write_recording(tmp_path / "b", steering * 25, num_cameras=1, seed=6)
    with pytest.raises(InputError, match="--steering-unit deg"):
        read_split(parsed([str(a), str(b)]))
    split = read_split(parsed([str(a), str(b), "--steering-unit", "b=deg"]))
    np.testing.assert_allclose(split.labels.raw, np.r_[steering, steering], atol=1e-6)
    assert capsys.readouterr().err == ""
