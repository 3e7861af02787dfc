"""What a search varies, and what a trial's flags mean to train.py."""

import argparse

import pytest

pytest.importorskip("keras")
optuna = pytest.importorskip("optuna", reason="needs the dependency group search")
from training.flags import (  # noqa: E402
    add_settings,
    flags_of,
    given_settings,
    settings_from,
)
from training.settings import Settings  # noqa: E402
from tuning.search_space import (  # noqa: E402
    Plan,
    default_values,
    settings_of,
    suggest,
)


def make_plan(**changed):
    fixed = changed.pop("fixed", ())
    given = {"recordings": ("/data/a",), "steps_per_epoch": 30} | changed
    return Plan(Settings(**given), fixed)


@pytest.mark.parametrize("select", ["loss", "driving"])
def test_flags_of_a_trial_mean_its_settings_to_train(select):
    plan = make_plan(select=select, part=(0.0, 0.8), epochs=4)
    parser = argparse.ArgumentParser()
    add_settings(parser)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        settings = settings_of(plan, suggest(study.ask(), plan))
        argv = ["/data/a", *flags_of(settings)]
        given = given_settings(vars(parser.parse_args(argv)))
        assert settings_from(given) == settings


def test_first_trial_is_the_default():
    plan = make_plan()
    expected = Settings(("/data/a",), steps_per_epoch=30, dropout=0.2)
    assert settings_of(plan, default_values(plan)) == expected


def test_look_ahead_is_searched_only_where_driving_is_judged():
    assert "look_ahead_s" not in make_plan().searched
    assert "look_ahead_s" in make_plan(select="driving").searched
    assert "look_ahead_s" not in make_plan(select="driving", recovery="shift").searched


def test_what_is_given_is_not_searched():
    plan = make_plan(fixed=("flip", "batch_size"), batch_size=128)
    assert not {"flip", "batch_size"} & set(plan.searched)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert settings_of(plan, suggest(study.ask(), plan)).batch_size == 128


def test_layers_of_a_fine_tuned_model_are_not_searched():
    plan = make_plan(from_model="/models/a/model.json")
    assert not {"preset", "dropout"} & set(plan.searched)
