"""Each piece of explore.py's advice: where it is due, and where it is not."""

import json

import cv2
import numpy as np
import pytest
from driven_recordings import (
    Keys,
    Taps,
    drive,
    into_the_wall,
    one_after_the_other,
    straight_road,
    there_and_back,
    write_driven,
)
from made_recordings import write_recording

from explore import advice_on, main, what_to_record
from recordings.findings import find_out
from recordings.recording import read_recording
from recordings.turns import one_way_stretches
from simulator import tracks

BRIDGE_M = tracks.lake().bridge_m[0]


@pytest.fixture
def found(tmp_path):
    """Return what is found in the rows of a drive."""

    def find(rows, name="drive"):
        folder = write_driven(tmp_path / name, rows)
        return find_out(read_recording(folder, check_images=False))

    return find


def told(words, *findings):
    """Return the pieces of advice that hold some words."""
    return [text for text in what_to_record(list(findings)) if words in text]


# --- Directions -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "laps", "back"), [("lake", 1.7, 2.4), ("mountain", 1.8, 1.3)]
)
def test_turning_round_on_the_road_and_coming_back_is_both_directions(
    found, name, laps, back
):
    """The sum over the session is that of a lap or less."""
    both = found(there_and_back(name, laps, back))
    assert both.sessions == 1
    # The turn on the road itself is half of one.
    assert both.counter_clockwise == pytest.approx(laps, abs=0.7)
    assert both.clockwise == pytest.approx(back, abs=0.7)
    assert not told("one direction", both)


@pytest.mark.parametrize("name", ["lake", "mountain", "winding:6"])
def test_one_direction_is_told_whatever_the_bends(found, name):
    """A lap of the mountain bends back by half a turn before it goes on."""
    once = found(drive(name, 2)[0])
    most = max(once.clockwise, once.counter_clockwise)
    assert most == pytest.approx(2, abs=0.3)
    (said,) = told("Nearly one direction", once)
    other = "counter-clockwise" if once.clockwise == most else "clockwise"
    assert f"Drive some laps {other}, as a recording" in said
    back = found(drive(tracks.make_track(name).reversed(), 2)[0], "back")
    assert not told("one direction", once, back)


@pytest.mark.parametrize("back", [0, 1.1])
def test_jungle_turns_both_ways_and_has_no_direction(found, back):
    rows = there_and_back("jungle", 1.2, back) if back else drive("jungle", 1.2)[0]
    assert not told("one direction", found(rows))


def test_a_turning_point_is_where_it_goes_the_other_way_by_enough():
    there = np.concatenate([np.linspace(0, 2, 21), np.linspace(1.9, 0.5, 15)])
    assert one_way_stretches(there) == [(0, 20), (20, 35)]
    # A lap that bends back is one stretch, and so is one that begins with a bend back.
    waves = np.linspace(0, 2, 200) + 0.2 * np.sin(np.linspace(0, 25, 200))
    assert one_way_stretches(waves) == [(0, 199)]
    assert one_way_stretches(waves - 0.5 * np.exp(-np.arange(200) / 9)) == [(0, 199)]
    assert one_way_stretches(np.zeros(1)) == [(0, 0)]


# --- Bends ----------------------------------------------------------------------------


def test_what_one_direction_brings_with_it_is_said_once(found):
    """Who goes round to the left bends to the left."""
    circle = [(i / 10, -0.4, 0.5, 20.0) for i in range(300)]
    said = what_to_record([found(circle)])
    assert len([text for text in said if "sharp bends" in text]) == 1
    assert "one direction" in next(text for text in said if "sharp bends" in text)


def test_few_sharp_bends_are_said_of_both_sides_at_once(found):
    road = found(drive(straight_road(), 0.38)[0])
    (said,) = told("Few sharp bends", road)
    assert "to the left and the right: 0.0%" in said
    assert not told("sharp bends", found(drive("jungle", 1)[0], "jungle"))


def test_straight_on_is_of_the_road_not_of_the_keys(found):
    rows = drive("lake", 1, Taps(), speed_mph=20.0)[0]
    steering = np.array([row[1] for row in rows])
    assert (np.abs(steering) <= 0.02).mean() > 0.7
    lake = found(rows)
    assert lake.straight < 0.4 and not told("straight on", lake)
    road = found(drive(straight_road(), 0.38)[0], "road")
    assert road.straight > 0.9 and told("straight on", road)


# --- Crashes --------------------------------------------------------------------------


def test_a_crash_is_said_with_its_rows_and_braking_is_not(found):
    rows, _ = drive("lake", 1, into_the_wall(BRIDGE_M + 5), most_s=70)
    speeds = np.array([row[3] for row in rows])
    hit = int(np.argmax((speeds[:-1] > 10) & (speeds[1:] < 1))) + 1
    crashed = found(rows)
    assert crashed.crashes == 1
    ((first, last),) = crashed.places["crashes"]
    # The seconds before are of it; rows count from 1, and there are 15 in a second.
    assert 2.4 * 15 < hit + 1 - first <= 3 * 15 and last - first == 60
    (said,) = [each for each in advice_on([crashed]) if "one crash" in each.text]
    assert said.where() == f"drive {first}:{last}"
    assert f"--leave-out {first}:{last} --note crash" in said.command
    stopped = found(drive("lake", 0.3, brakes=True)[0], "stopped")
    assert stopped.crashes == 0 and not told("crash", stopped)


def test_a_bump_in_the_road_is_no_crash_and_a_glancing_hit_is(found):
    def at_30_then(*speeds):
        mph = [30.0] * 100 + [*speeds] + [30.0] * 100
        return [(i / 10, 0.0, 0.4, speed) for i, speed in enumerate(mph)]

    assert found(at_30_then(21.5, 21.8, 20.4, 21, 23)).crashes == 0
    assert found(at_30_then(21, 12, 12, 13, 15), "hit").crashes == 1


# --- How much, and how ----------------------------------------------------------------


def test_how_long_is_said_of_all_or_of_one(found):
    short = found(drive("lake", 0.5)[0], "short")
    assert "0.7 minutes in all" in told("minutes", short)[0]
    long = found(drive("jungle", 1.5)[0], "long")
    assert long.minutes > 3 and not told("minutes", long)
    assert told("minutes", short, long) == [
        "short: 0.7 minutes only. If no other of these recordings shows its track, "
        "drive it again."
    ]


def test_recovery_is_what_steers_against_the_second_around_it(found):
    smooth = found(drive("lake", 1)[0])
    assert told("Hardly any recovery: 0.0 corrections", smooth)
    assert not told("recovery", found(drive("jungle", 0.5, Keys())[0], "keys"))


def test_standing_is_said_when_it_is_much(found):
    lap, _ = drive("lake", 0.5)
    stands = [(i / 15, 0.0, 0.0, 0.0) for i in range(150)]
    waits = found(one_after_the_other(stands, lap))
    assert told("The car stands in 19% of the rows", waits)
    assert waits.places["standing"][0][0] == 1
    assert not told("stands", found(lap, "lap"))


def test_keys_jump_and_the_experts_hand_does_not(found):
    keys = found(drive("jungle", 0.5, Keys())[0][::2])
    (said,) = [each for each in advice_on([keys]) if "as with a keyboard" in each.text]
    assert keys.jumps > 0.05 and len(said.places) == 3
    assert not told("keyboard", found(drive("jungle", 0.5)[0][::2], "hand"))


def test_one_camera_is_said_and_three_are_not(tmp_path):
    for count in (1, 3):
        folder = write_recording(tmp_path / str(count), np.zeros(20), num_cameras=count)
        said = told("one camera only", find_out(read_recording(folder)))
        assert len(said) == (count == 1)


# --- Said by the command --------------------------------------------------------------


def test_command_says_where_and_the_report_shows_it(tmp_path, capsys):
    rows, _ = drive("lake", 1, into_the_wall(BRIDGE_M + 5), most_s=70)
    hit = int(np.argmax(np.diff([row[3] for row in rows]) < -10))
    folder = write_driven(tmp_path / "hit", rows[hit - 120 : hit + 60], pictures=True)
    out = tmp_path / "report"
    assert main([str(folder), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    (found,) = [line for line in said.splitlines() if "--leave-out" in line]
    first, last = map(int, found.split("--leave-out ")[1].split()[0].split(":"))
    assert first < 121 < last
    assert f"Rows hit {first}:{last}." in " ".join(said.split())
    page = (out / "report.html").read_text()
    assert f"Rows hit {first}:{last}</summary>" in page
    assert f"hit row {first}: steering" in page and f"hit row {last}: steering" in page
    assert f"python review.py {folder}" in page
    # What is off by default is folded away, below what is on.
    assert page.index("network learns") < page.index("Off by default")
    picture = cv2.imread(str(out / "steering.png"))
    assert picture is not None and picture.std() > 0


def test_json_says_where(tmp_path, capsys):
    folder = write_recording(tmp_path / "short", np.sin(np.arange(40) / 5))
    assert main([str(folder), "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["where"]) == len(said["advice"])
    whole = {"recording": "short", "first": 1, "last": 40}
    assert [whole] in said["where"]
