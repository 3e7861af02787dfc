"""Planned speeds beside others, held ones on hills: the tables and their figures."""

import json

import held_speed
import numpy as np
import pytest
import speed_planning

from common.car import MPS_PER_MPH
from driving.pilot import Command
from evaluation.closed_loop import Job, drive


def test_every_way_of_every_driver_has_a_row_and_the_expert_is_the_bound(capsys):
    arguments = [
        "zero",
        "--track",
        "lake",
        "--most-s",
        "8",
        "--constant",
        "10",
        "--rule",
    ]
    assert speed_planning.main(arguments) == 0
    *table, line = capsys.readouterr().out.splitlines()
    found = json.loads(line)["speed_planning"]
    assert {who: list(ways) for who, ways in found.items()} == {
        "zero": ["auto", "10 mph", "x (1 - s²)"],
        "expert": ["auto"],
    }
    assert len(table) == 5 and table[0].split()[:2] == ["driver", "speed"]
    assert found["expert"]["auto"]["departures"] == 0
    assert found["zero"]["10 mph"]["mean_mph"] < 10.5
    assert found["expert"]["auto"]["left"] == []
    assert found["zero"]["x (1 - s²)"]["left"] == ["lake forward"]


def test_figures_add_up_drives_of_several_roads():
    jobs = [Job("expert", "lake", way, most_s=10) for way in ("forward", "reverse")]
    results = [drive(job) for job in jobs]
    figures = speed_planning.figures_of(jobs, results)
    assert (figures["roads"], figures["clean_roads"], figures["clean_laps"]) == (
        2,
        2,
        0,
    )
    way_m = sum(float(each.rollout.distance_m[-1]) for each in results)
    assert figures["mean_mph"] == pytest.approx(way_m / 20 / MPS_PER_MPH, rel=0.02)
    assert figures["lap_s"] is None


def test_the_usual_rule_lets_the_throttle_go_and_never_the_brake():
    for throttle, eased in ((0.8, 0.6), (-0.5, -0.5)):
        steer = speed_planning.eased(lambda seen, t=throttle: Command(0.5, t))
        command = steer(None)
        assert command.steering == 0.5 and command.throttle == pytest.approx(eased)


def test_the_model_of_the_car_holds_a_speed_where_the_other_is_slow_to(capsys):
    assert held_speed.main(["--speed", "15"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    rows = json.loads(line)["held_speed"]
    of = {
        name: [row for row in rows if row["controller"] == name]
        for name in ("before", "modelled")
    }
    steep = {
        k: np.array([[r["climbs"], r["descents"]] for r in v]) for k, v in of.items()
    }
    assert (steep["modelled"] < 1.0).all() and (steep["before"] > 2.0).all()
