"""The command line of evaluate.py: figures, table, refusals."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_recordings import write_recording

import evaluate
from common.text import WIDTH
from evaluation.summary import EIGHT
from model import build_model
from network.files import load_model, save_model
from simulator.tracks import track_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    """An untrained model, which leaves the road soon, and always at the same place."""
    import keras

    keras.utils.set_random_seed(3)
    return str(save_model(build_model(), tmp_path_factory.mktemp("model")))


def run(capsys, *arguments):
    code = evaluate.main([str(each) for each in arguments])
    return code, *capsys.readouterr()


def test_bounds_of_the_real_lake(shared_dir, capsys):
    lake = shared_dir / "data" / "lake"
    code, out, _ = run(capsys, "zero", "oracle", "--recording", lake, "--json")
    said = json.loads(out)["recordings"]["lake"]
    assert code == 0
    assert said["zero"]["at_1_m"]["autonomy_percent"] == 0
    assert said["oracle"]["at_1_m"]["autonomy_percent"] == 100
    rms_m = said["oracle"]["at_1_m"]["rms_cross_track_error_m"]
    assert rms_m == pytest.approx(0.16, abs=0.02)
    assert said["oracle"]["steering_rmse"]["averaged_1_s"] == pytest.approx(0, abs=1e-3)


def test_a_model_beside_a_baseline_on_a_recording(tiny_recording, model_path, capsys):
    code, out, _ = run(capsys, model_path, "zero", "--recording", tiny_recording)
    assert code == 0
    head, names, *rows = out.partition("\n\n")[0].splitlines()
    assert head == "tiny: replayed"
    name = Path(model_path).parent.name
    assert names.split() == [name, "zero"]
    assert [row.split("  ")[0] for row in rows] == [each.name for each in EIGHT]
    assert "place on the road: known in 0.0% of the time\n" in out
    assert out.splitlines()[-1].endswith("(1 recording replayed).")
    assert f"The model {name} " in out
    assert max(map(len, out.splitlines())) <= WIDTH


def test_a_log_without_speed_is_refused_not_called_autonomous(tmp_path, capsys):
    standing = write_recording(tmp_path / "still", np.zeros(30), speed_mph=0.0)
    code, out, err = run(capsys, "zero", "--recording", standing)
    assert (code, out) == (1, "")
    assert "still: slower than 1 m/s all along; it cannot be replayed" in err


def test_on_its_path_a_replayed_model_steers_as_when_it_drives(
    tiny_recording, model_path
):
    """Training, driving and evaluation see the same: one network, one crop."""
    from evaluation.judging import load_batch_predictor, read_recordings
    from evaluation.replay import frames_from_disk, model_driver, read_path
    from model import make_predictor
    from recordings.images import read_frame

    (samples,) = read_recordings([tiny_recording])
    path = read_path(samples)
    drive = model_driver(path, load_batch_predictor(model_path), frames_from_disk(path))
    predict = make_predictor(load_model(model_path))
    for row in (0, 20, 59):
        expected = predict(read_frame(samples["center"][row]))
        steering = drive(np.array([row]), np.zeros(1), np.zeros(1))
        assert steering == pytest.approx(min(1, max(-1, expected)), abs=1e-4)


def test_tracks_are_driven_by_everybody(capsys):
    code, out, _ = run(capsys, "zero", "expert", "--track", "lake", "--workers", 2)
    assert code == 0
    assert out.startswith("lake forward: driven in the simulator\n")
    names, autonomy = out.splitlines()[1:3]
    assert names.split() == ["zero", "expert"]
    assert autonomy.split() == ["autonomy", "0.0", "%", "100.0", "%"]
    assert "The driver expert drove all 1.1 km alone; one that never steers" in out
    assert max(map(len, out.splitlines())) <= WIDTH


def test_a_range_of_random_tracks_is_spelt_out():
    names = track_names(["lake", "random:3-5", "random:9"])
    assert names == ["lake", "random:3", "random:4", "random:5", "random:9"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["zero"], "nothing to drive"),
        (["nowhere.json", "--track", "lake"], "nowhere.json: no such file"),
        (["expert", "--recording", "data/sample"], "on recordings give oracle"),
        (["oracle", "--track", "lake"], "on tracks give expert"),
        (["oracle:x", "--recording", "data/sample"], "expected oracle:SECONDS"),
        (["zero", "--track", "monza"], "--track monza"),
        (["zero", "--track", "lake", "--speed", "80"], "--speed is 80"),
        (["zero", "--track", "lake", "--laps", "0"], "1 or more"),
        (["zero", "--track", "lake", "--sideways-mps2", "9"], "--sideways-mps2 is 9"),
        (["zero", "--recording", "data/sample", "--speed", "auto"], "are of tracks"),
        (["zero", "--track", "lake", "--randomise", "2"], "--randomise is 2"),
        (["zero", "--recording", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(capsys, arguments, text):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert text in err and len(err.strip().splitlines()) == 1


def test_a_refusal_does_not_wait_for_keras():
    code = """
import sys, evaluate
for refused in (
    "nowhere.json zero --track lake --video a.mp4",
    "zero --track monza",
    "zero --recording nowhere --report a.html",
    "nowhere.json --saliency frame.png",
):
    assert evaluate.main(refused.split()) == 1, refused
assert not {"keras", "pandas"} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert ran.returncode == 0 and len(ran.stderr.splitlines()) == 4, ran.stderr


def test_the_report_is_one_page_that_needs_nothing_else(
    tiny_recording, model_path, tmp_path, capsys
):
    page_path = tmp_path / "new" / "report.html"
    arguments = (model_path, "zero", "--recording", tiny_recording)
    code, _, err = run(capsys, *arguments, "--report", page_path)
    assert code == 0, err
    page = page_path.read_text()
    # All drivers on one axis each: map, error and steering; the place is not known.
    assert page.count("<svg") == 3
    assert page.count("data:image/jpeg;base64,") == page.count("m: 2 m off<")
    assert "tiny, replayed" in page and "at 1 m: autonomy percent" in page
    assert page.index('class="verdict"') < page.index("<table>") < page.index("<svg")
    assert f"{model_path}, its weights of 20" in page
    assert page.count("<details>") + page.count("<details open>") == 3
    links = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert all(link.startswith(("data:", "#")) for link in links)
    before = page_path.read_bytes()
    code, _, err = run(capsys, *arguments, "--report", page_path)
    assert code == 1 and "exists" in err and page_path.read_bytes() == before


def test_pictures_of_a_track_show_what_was_seen_before_interventions(model_path):
    from common.page import to_svg
    from evaluation.charts import draw_drive, draw_map
    from evaluation.closed_loop import Job, drive
    from evaluation.report import _seen
    from network.saliency import make_saliency

    drives = [
        drive(Job(each, "lake", most_s=20)).rollout for each in (model_path, "zero")
    ]
    names = {model_path: "mine <b>", "zero": "zero"}
    svg = to_svg(draw_map(drives, names))
    assert "mine &lt;b&gt;" in svg and "currentColor" in svg and "<style" not in svg
    assert len(svg) < 100_000 and draw_drive(drives[0]).axes[0].has_data()
    seen = _seen(drives, {model_path: make_saliency(load_model(model_path))}, names)
    # What a bound would have seen tells nobody anything.
    assert len(seen) == min(8, len(drives[0].interventions)) > 0
    assert all(each.source.startswith("data:image/jpeg") for each in seen)


def test_a_tracks_figures_tell_of_laps_and_speed_and_its_page_draws_them(
    tmp_path, capsys
):
    page_path = tmp_path / "report.html"
    arguments = ("expert", "--track", "lake", "--speed", "auto", "--workers", "1")
    code, out, err = run(capsys, *arguments, "--report", page_path)
    assert code == 0, err
    rows = {line.partition("  ")[0]: line.split() for line in out.splitlines()}
    (lap_s,) = re.findall(r"time per clean lap \(laps\) +([0-9.]+) s \(1\)", out)
    # Its bound with 4 m/s² to the side and by 30 mph.
    assert 80 < float(lap_s) < 95
    assert float(rows["sideways, 95 % below"][-2]) == pytest.approx(3.9, abs=0.2)
    assert float(rows["top speed, mph (m/s)"][-2]) == pytest.approx(30, abs=0.5)
    assert float(rows["jerk of the steering"][-2]) > 0
    page = page_path.read_text()
    assert "How fast<" in page and "How fast expert was, and where<" in page
    assert page.count("<svg") == 5 and len(page) < 1_000_000


def test_saliency_of_a_frame_is_drawn_beside_it(
    tiny_recording, model_path, tmp_path, monkeypatch, capsys
):
    import cv2

    frame_path = next((tiny_recording / "IMG").glob("center*"))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, model_path, "--saliency", frame_path)
    assert code == 0
    picture = cv2.imread(out.split(": ")[1].strip())
    assert picture.shape == (320, 320, 3)
    np.testing.assert_array_equal(picture[:160], cv2.imread(str(frame_path)))
    assert (picture[160:] != picture[:160]).any()
    code, _, err = run(capsys, model_path, "--saliency", frame_path)
    assert code == 1 and "exists" in err


@pytest.mark.parametrize("name", ["middle:5", "middle:left", "middle:", "middle:nan"])
def test_a_place_that_is_not_on_the_road_is_refused(name, tiny_recording, capsys):
    code, out, err = run(capsys, name, "--recording", tiny_recording)
    assert (code, out) == (1, "")
    assert err.startswith(f"{name}: expected middle:METRES") and "-4 to 4" in err


@pytest.mark.parametrize("name", ["middle", "middle:2.4"])
def test_the_middle_is_kept_on_recordings_only(name, capsys):
    code, _, err = run(capsys, name, "--track", "lake")
    assert code == 1
    assert err == "middle drives recordings only; on tracks give expert\n"


def test_where_no_picture_shows_the_road_nobody_keeps_its_middle(
    tiny_recording, capsys
):
    code, out, err = run(capsys, "middle", "--recording", tiny_recording)
    assert (code, out) == (1, "")
    assert err.startswith("tiny: the place on the road is not known in any picture")


def test_the_place_on_the_road_stands_beside_the_old_figures(
    shared_dir, tmp_path, capsys
):
    lake = shared_dir / "data" / "lake_v2"
    arguments = ["zero", "middle", "--recording", lake, "--part", 0, 0.25]
    page_path = tmp_path / "report.html"
    code, out, _ = run(capsys, *arguments, "--report", page_path)
    assert code == 0
    assert "autonomy, counted 1 m off" in out  # still the first of them
    assert "place on the road: known in" in out and "  recorded" in out
    assert max(map(len, out.splitlines())) <= WIDTH
    page = page_path.read_text()
    assert "Where on the road" in page
    assert "road: beyond 2 m: times" in page
    code, out, _ = run(capsys, *arguments, "--json")
    said = json.loads(out)["recordings"]["lake_v2"]
    assert said["middle"]["road"]["known_percent"] >= 80
    assert said["middle"]["road"]["spread_m"] < said["zero"]["road"]["spread_m"]
    assert said["zero"]["at_2_m"]["interventions"] > 0
