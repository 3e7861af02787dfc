"""A model's card: what it says, where it lies, and what it keeps to itself."""

import json
import shutil
from pathlib import Path

import pytest

from common.errors import InputError
from evaluation.benchmark import Road, judge
from training.model_card import cards_to_write, read_provenance, write_card

RUN_OF_BEFORE = Path(__file__).parents[1] / "network" / "run_of_before"


@pytest.fixture(scope="module")
def figures():
    """The benchmark's document for a driver who needs help, who stands for a model."""
    document, _ = judge(["zero", "expert"], 1, [Road("jungle", "jungle", ("reverse",))])
    return document


@pytest.fixture
def run(tmp_path):
    """The folder of a run that train.py has made, to be changed."""
    folder = tmp_path / "models" / "mine"
    shutil.copytree(RUN_OF_BEFORE, folder)
    return folder


def change(run, **settings):
    path = run / "config.json"
    config = json.loads(path.read_text())
    config["settings"] |= settings
    if recordings := settings.get("recordings"):
        config["data_fingerprints"] = dict.fromkeys(recordings, "0123456789abcdef")
    path.write_text(json.dumps(config))


def card_of(run, figures, tmp_path):
    """Write the card of a run's model with these figures; return its text."""
    driver = str(run / "model.json")
    drivers = figures["benchmark"]["drivers"]
    driven = {driver: drivers["zero"], "expert": drivers["expert"]}
    document = {"benchmark": figures["benchmark"] | {"drivers": driven}}
    path = tmp_path / "out" / "card.md"
    write_card(path, read_provenance(driver), document, "0a1b2c3")
    return path.read_text()


def test_a_card_says_data_recipe_score_and_limits(run, figures, tmp_path):
    change(run, look_ahead_s=0.5, deterministic=True, shares={"taught": 0.3})
    said = card_of(run, figures, tmp_path)
    zero = figures["benchmark"]["drivers"]["zero"]
    assert said.startswith("# mine\n")
    heads = [line for line in said.splitlines() if line.startswith("## ")]
    whole = ["What it was trained on", "Recipe", "How it drives", "Limits", "Measured"]
    assert heads == [f"## {head}" for head in whole]
    assert f"**{zero['score']:.1f}** of 100 on benchmark 2 of this project" in said
    assert "| sample | 41cf87cc7403da408ade35d1311af71c | 13.32 degrees |" in said
    assert "200 samples of them were trained on" in said
    for flag in ("--look-ahead-s 0.5", "--deterministic", "--share taught=0.3"):
        assert f"`{flag}`" in said
    assert "It trained for 2 epochs." in said and "tensorflow 2.21.0" in said
    assert f"| jungle | {zero['score']:.1f} | {zero['autonomy_percent']:.1f} %" in said
    assert "| all: expert | 100.0 | 100.0 % | 0 |" in said
    assert f"jungle reverse (interventions: {zero['interventions']}, score" in said
    assert "of the time on its own half" in said
    assert "evaluate.py MODEL expert --benchmark`, benchmark 2, by the project" in said
    assert "0a1b2c3" in said


def test_a_card_names_no_folder_of_its_author(run, figures, tmp_path):
    change(
        run,
        recordings=["/home/ann/secret/lake", r"C:\Users\Ann\secret\jungle"],
        steering_units={"/home/ann/secret/lake": "deg"},
        from_model="/home/ann/models/roads/model.json",
    )
    said = card_of(run, figures, tmp_path)
    assert "| lake | 0123456789abcdef |" in said and "| jungle |" in said
    assert "`--from roads`" in said and "`--steering-unit lake=deg`" in said
    assert "It began from another model, roads." in said
    for word in ("home", "ann", "Ann", "secret", str(tmp_path)):
        assert word not in said


def test_a_model_of_somebody_else_gets_a_card_that_says_what_is_not_known(
    run, figures, tmp_path
):
    (run / "config.json").unlink()
    said = card_of(run, figures, tmp_path)
    assert "Not known: beside the model there is no config.json" in said
    assert "## Recipe\n\nNot known." in said
    assert "## How it drives" in said and "## Limits" in said


@pytest.mark.parametrize(
    "content",
    [
        "{", "[1]", '{"settings": 1}', '{"settings": {"recordings": "lake"}}',
        '{"settings": {"recordings": [["lake"]]}}',
        '{"settings": {"recordings": [], "augment": 3}}', '{"architectures": ["x"]}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_another_programs_config_is_not_taken_for_ours(run, figures, tmp_path, content):
    (run / "config.json").write_text(content)
    assert "Not known: beside the model" in card_of(run, figures, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config.json", {"versions": [1], "data_fingerprints": 5, "settings": None}),
        ("metrics.json", {"validation": 3, "epochs": [1], "training_samples": {}}),
        ("metrics.json", {"validation": {"sample": {"model": None}}}),
        ("metrics.json", {"validation": {"sample": {"model": {"averaged_1_s": {
            "deg": "many"}}}}}),
    ],
)  # fmt: skip
def test_what_is_not_as_train_writes_it_is_left_out(
    run, figures, tmp_path, name, value
):
    document = json.loads((run / name).read_text())
    value = {key: each for key, each in value.items() if each is not None}
    (run / name).write_text(json.dumps(document | value))
    said = card_of(run, figures, tmp_path)
    assert "| sample |" in said and "## Measured" in said


def test_a_strangers_name_stays_text(run, figures, tmp_path):
    change(run, recordings=["data/a|b\n# <b>`x`\x1b[31m"])
    said = card_of(run, figures, tmp_path)
    assert "\x1b" not in said and "\n# <" not in said and "\\|" in said


def test_who_was_trained_on_a_road_of_the_benchmark_is_told(run, figures, tmp_path):
    made = tmp_path / "elsewhere"
    made.mkdir()
    (made / "simulator.json").write_text('{"track": "random:3004"}')
    change(run, recordings=[str(made), "data/roads/random_3011", "data/random_1"])
    said = card_of(run, figures, tmp_path)
    assert "trained on roads of the benchmark: random:3004, random:3011." in said


def test_many_recordings_are_counted(run, figures, tmp_path):
    change(run, recordings=[f"data/random_{n}" for n in range(1000, 1160)])
    said = card_of(run, figures, tmp_path)
    assert said.count("| random_") == 8 and "| and 152 more |" in said
    assert "trained on roads of the benchmark" not in said


def test_a_card_lies_beside_its_model_unless_another_place_is_given(run, tmp_path):
    driver = str(run / "model.json")
    assert cards_to_write([driver, "zero"], None) == {driver: run / "card.md"}
    place = tmp_path / "new" / "x.md"
    assert cards_to_write([driver, "zero"], place) == {driver: place}


def test_a_card_that_is_there_is_kept(run, figures, tmp_path):
    driver = str(run / "model.json")
    (run / "card.md").write_text("by hand")
    assert cards_to_write([driver], None) == {}
    with pytest.raises(InputError, match=r"card\.md exists; remove it or give another"):
        cards_to_write([driver], run / "card.md")
    # Whatever comes there while the benchmark runs is kept as well.
    document = {
        "benchmark": {"drivers": {driver: figures["benchmark"]["drivers"]["zero"]}}
    }
    with pytest.raises(FileExistsError):
        write_card(run / "card.md", read_provenance(driver), document, "0a1b2c3")
    assert (run / "card.md").read_text() == "by hand"
    assert sorted(path.name for path in run.glob("*card*")) == ["card.md"]


def test_a_card_in_no_place_is_refused_before_the_work(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="give another --card"):
        cards_to_write([str(run / "model.json")], tmp_path / "file" / "card.md")


@pytest.mark.parametrize("drivers", [["zero"], ["a/model.json", "b/model.json"]])
def test_one_place_is_for_the_card_of_one_model(drivers, tmp_path):
    with pytest.raises(InputError, match="the place of one card, expected one model"):
        cards_to_write(drivers, tmp_path / "card.md")


def test_two_models_in_a_folder_cannot_have_the_same_card(run):
    drivers = [str(run / name) for name in ("a.json", "b.json")]
    with pytest.raises(InputError, match=r"b\.json: its card would be that of another"):
        cards_to_write(drivers, None)
