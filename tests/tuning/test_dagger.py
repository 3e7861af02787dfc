"""DAgger: the states that are recorded, and which round is the best."""

from printed import check_printed

from evaluation.closed_loop import Job
from recordings.recording import read_recording, usable_samples
from tuning.dagger import best_round, record_round, record_states, rounds_table
from tuning.plans import DaggerPlan, Tuning


def test_states_are_recorded_with_what_the_expert_would_do(tmp_path):
    """Who never steers is put back again and again; the log says how to steer."""
    put_back = record_states(tmp_path / "states", Job("zero", "lake"), 200)
    recording = read_recording(tmp_path / "states")
    samples = usable_samples([recording])
    assert len(recording.samples) == 200 and put_back >= 2
    assert samples["session"].nunique() == put_back + 1
    assert samples["steering"].abs().max() > 0.3


def test_recording_of_states_that_was_killed_leaves_nothing_behind(tmp_path):
    cut_short = tmp_path / ".states1.partial" / ".lake_round1.abc"
    (cut_short / "IMG").mkdir(parents=True)
    model_path = tmp_path / "model.json"
    plan = DaggerPlan(Tuning(model_path), ("lake",), num_frames=100, expert_drives=True)
    states = record_round(plan, tmp_path, model_path, 1)
    assert [path.name for path in states.iterdir()] == ["lake_round1"]


def test_an_expert_who_drives_is_recorded_as_simulate_records_him(tmp_path):
    assert record_states(tmp_path / "states", Job("expert", "lake"), 60) == 0
    recording = read_recording(tmp_path / "states")
    assert recording.samples["steering"].abs().max() < 0.3


def test_the_best_round_has_fewest_interventions_then_the_smallest_error():
    def row(number, interventions, error_m):
        return {
            "round": number,
            "interventions": interventions,
            "mean_abs_cross_track_error_m": error_m,
        }

    rows = [row(0, 2, 0.1), row(1, 0, 0.4), row(2, 0, 0.3), row(3, 1, 0.1)]
    assert best_round(rows)["round"] == 2


def test_the_rounds_fit_a_terminal():
    row = {
        "round": 3,
        "samples_added": 123_000,
        "tracks": 100,
        "tracks_without_intervention": 99,
        "interventions": 1234,
        "autonomy_percent": 100.0,
        "autonomy_1_m_percent": 100.0,
        "mean_abs_cross_track_error_m": 0.1 + 0.2,
    }
    text = rounds_table([row, row])
    check_printed(text)
    assert "0.30 m" in text
