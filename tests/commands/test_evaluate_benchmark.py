"""The command line of evaluate.py --benchmark: score, page, card, refusals."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import evaluate
from common.text import WIDTH
from evaluation import benchmark

ROOT = Path(__file__).parents[2]
SOME_ROADS = (
    benchmark.Road("random:3013", "random, --randomise 1", randomise=1.0),
    benchmark.Road("random:3015", "random, --randomise 0.5", randomise=0.5),
)


def run(capsys, *arguments):
    code = evaluate.main([str(each) for each in arguments])
    return code, *capsys.readouterr()


@pytest.fixture
def few_roads(monkeypatch):
    """The two shortest of the roads; all of them take minutes."""
    monkeypatch.setattr(benchmark, "ROADS", SOME_ROADS)


def test_a_benchmark_ends_in_a_table_a_page_and_cards(
    few_roads, saved, tmp_path, capsys
):
    mine, other = (tmp_path / name / "model.json" for name in ("mine", "other"))
    for model_path in (mine, other):
        shutil.copytree(saved[1], model_path.parent)
    kept_path = other.with_name("card.md")
    kept_path.write_text("by hand")
    page_path = tmp_path / "page.html"
    arguments = (mine, other, "zero", "zero", "--benchmark", "--report", page_path)
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert out.startswith("benchmark 2, at 20 mph: each road counts alike")
    _, names, score, *_ = out.splitlines()
    assert names.split() == ["mine", "other", "zero"] and score.startswith("score ")
    assert "The model mine scores " in out
    assert max(map(len, out.splitlines())) <= WIDTH
    card_path = mine.with_name("card.md")
    assert [line for line in err.splitlines() if " | " not in line] == [
        f"{kept_path} is there and is kept; --card gives a new one its place",
        f"written: {card_path}",
        f"written: {page_path}",
    ]
    assert card_path.read_text().startswith("# mine\n")
    assert kept_path.read_text() == "by hand"
    page = page_path.read_text()
    assert "Driving benchmark 2" in page
    assert not re.search(r"""(src|href)=["']http""", page)
    # The scores, and of two roads map, error and steering, all drivers on one axis.
    assert page.count("<svg") == 7
    assert page.count("data:image/jpeg;base64,") > 2
    before = card_path.read_bytes()
    code, out, err = run(capsys, mine, "--benchmark", "--card", card_path)
    assert (code, out) == (1, "") and "exists; remove it or give another --card" in err
    assert card_path.read_bytes() == before


def test_the_score_as_json_tells_its_version(few_roads, capsys):
    code, out, err = run(capsys, "zero", "expert", "--benchmark", "--json")
    said = json.loads(out)["benchmark"]
    assert (code, said["version"], said["speed_mph"]) == (0, benchmark.VERSION, 20)
    assert said["drivers"]["expert"]["score"] == 100 > said["drivers"]["zero"]["score"]
    assert list(said["drivers"]["zero"]["by_road"]) == ["random:3013", "random:3015"]
    assert "written" not in err


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ("--track lake", "--track"),
        ("--recording nowhere", "--recording"),
        ("--laps 1", "--laps"),
        ("--direction forward", "--direction"),
        ("--speed 25", "--speed"),
        ("--randomise 0", "--randomise"),
        ("--seed 0", "--seed"),
        ("--part 0 1", "--part"),
        ("--steering-unit deg", "--steering-unit"),
        ("--video a.mp4", "--video"),
        ("--saliency a.jpg", "--saliency"),
    ],
)
def test_what_the_benchmark_fixes_cannot_be_given(capsys, given, option):
    """Not even with the value that it has anyway: who gives it expects an effect."""
    code, out, err = run(capsys, "zero", "--benchmark", *given.split())
    assert (code, out) == (1, "")
    assert err == (
        f"{option} is given; the benchmark is the same for everybody, leave {option} "
        "or --benchmark out\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("nowhere.json --benchmark", "nowhere.json: no such file"),
        ("oracle --benchmark", "on tracks give expert"),
        ("zero --benchmark --workers 0", "--workers must be 1 or more"),
        ("zero --benchmark --card a.md", "expected one model, not 0"),
        ("zero --benchmark --report setup.cfg/a.html", "give another --report"),
        ("zero --track lake --card a.md", "--card is where --benchmark writes"),
        ("zero", "give --recording DIR, --track NAME or --benchmark"),
    ],
)
def test_refused_in_one_line_before_any_work(
    capsys, tmp_path, monkeypatch, arguments, text
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.cfg").write_text("")
    code, out, err = run(capsys, *arguments.split())
    assert (code, out) == (1, "")
    assert text in err and len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["setup.cfg"]


def test_a_refusal_does_not_wait_for_keras_or_pandas():
    code = """
import sys, evaluate
for refused in ("nowhere.json", "zero --card a.md", "zero --laps 2"):
    assert evaluate.main([*refused.split(), "--benchmark"]) == 1, refused
assert not {"keras", "pandas"} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert ran.returncode == 0 and len(ran.stderr.splitlines()) == 3, ran.stderr
