"""Teach a model what to do in the places that it drives itself to: DAgger.

A model that is trained on an expert's drives has never seen the places that its own
errors bring it to. So it drives the embedded simulator, the expert says at every frame
what should be done there, and it is fine-tuned on all of that, round by round.

Source: Ross et al. 2011, A Reduction of Imitation Learning and Structured Prediction to
No-Regret Online Learning, arXiv 1011.0686.
"""

from __future__ import annotations

import math
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.car import CAMERAS, autonomy_percent
from common.table import text_table
from evaluation.closed_loop import Job, drive_all, make_driver, variant_of
from simulator.disk import rename
from simulator.expert import Expert
from simulator.recorder import PAUSE_S, Recorder
from simulator.tracks import track_names
from simulator.world import World
from training.settings import Settings
from tuning import fine_tuning
from tuning.fine_tuning import Given, TrainRun
from tuning.plans import DaggerPlan

LIMIT_M = 1.0
# Turned farther than this, the expert turns round at walking pace: no model could.
MOST_TURNED_RAD = math.radians(60)


# --- Rounds ---------------------------------------------------------------------------


def improve_on_tracks(
    plan: DaggerPlan, folder: Path, given: Given, run: TrainRun
) -> list[dict[str, Any]]:
    """Run the rounds that are not done yet; return a row of figures for each.

    The arguments given must be those that the folder was begun with.

    Raises:
        InputError: An input cannot be used, or the folder is not this command's, or
            fine-tuning was interrupted.
    """
    document = fine_tuning.read_document(folder, given)
    rows: list[dict[str, Any]] = document["rounds"]
    if len(rows) > plan.num_rounds:
        return rows
    settings = fine_tuning.tuning_settings(plan.tuning)
    if not rows:
        rows.append(judge_round(plan, plan.tuning.model_path, 0))
        fine_tuning.write_document(folder, document)
    for number in range(len(rows), plan.num_rounds + 1):
        model_path = Path(rows[-1]["model"])
        record_round(plan, folder, model_path, number)
        settings = replace(settings, from_model=str(model_path.resolve()))
        model_path = tune_round(plan, folder, settings, number, run)
        rows.append(judge_round(plan, model_path, number))
        fine_tuning.write_document(folder, document)
    return rows


def record_round(plan: DaggerPlan, folder: Path, model_path: Path, number: int) -> Path:
    """Record the states of a round, a recording for each track; return their folder."""
    tracks = track_names(plan.tracks)
    states, num_rows = folder / f"states{number}", -(-plan.num_frames // len(tracks))
    draft = folder / f".states{number}.partial"
    for cut_short in draft.glob(".*"):  # By a kill, within a recording.
        shutil.rmtree(cut_short)
    for i, track in enumerate(tracks):
        name = f"{track.replace(':', '')}_round{number}"
        if states.exists() or (draft / name).exists():
            continue
        driver = "expert" if plan.expert_drives else str(model_path)
        direction = "reverse" if (i + number) % 2 else "forward"
        seed = plan.tuning.seed + number
        job = Job(driver, track, direction, 1, plan.speed_mph, seed)
        put_back = record_states(draft / name, job, num_rows, number)
        print(f"round {number}: {track} {direction}, put back {put_back} times")
    if not states.exists():
        rename(draft, states)
    return states


def tune_round(
    plan: DaggerPlan, folder: Path, settings: Settings, number: int, run: TrainRun
) -> Path:
    """Fine-tune on the states of the rounds so far; return the model's path."""
    rounds = [folder / f"states{i}" for i in range(1, number + 1)]
    states = [path for each in rounds for path in sorted(each.iterdir())]
    names = {path.name for path in states}
    added = tuple(str(path.resolve()) for path in states)

    def draw(samples: pd.DataFrame) -> np.ndarray:
        is_new = samples["recording"].isin(names).to_numpy()
        return fine_tuning.draw_share(is_new, plan.tuning.new_share)

    settings = replace(settings, recordings=(*settings.recordings, *added))
    return fine_tuning.tune(folder / f"round{number}", settings, draw, run)


def judge_round(plan: DaggerPlan, model_path: Path, number: int) -> dict[str, Any]:
    """Return a round's row: how the model drives a lap of each track."""
    tracks = track_names(plan.judged_on or plan.tracks)
    jobs = [Job(str(model_path), track, speed_mph=plan.speed_mph) for track in tracks]
    results = list(drive_all(jobs, plan.num_workers))
    counts = [len(result.rollout.interventions) for result in results]
    elapsed_s = sum(result.rollout.elapsed_s for result in results)
    excursions = sum(result.excursions[LIMIT_M] for result in results)
    error_m = np.concatenate([each.rollout.cross_track_error_m for each in results])
    return {
        "round": number,
        "model": str(model_path),
        "samples_added": number * plan.num_frames,
        "tracks": len(tracks),
        "tracks_without_intervention": counts.count(0),
        "interventions": sum(counts),
        "autonomy_percent": round(autonomy_percent(sum(counts), elapsed_s), 2),
        "autonomy_1_m_percent": round(autonomy_percent(excursions, elapsed_s), 2),
        "mean_abs_cross_track_error_m": round(float(np.abs(error_m).mean()), 3),
    }


def best_round(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the round with the fewest interventions, then the smallest error."""
    error = "mean_abs_cross_track_error_m"
    return min(rows, key=lambda row: (row["interventions"], row[error]))


def rounds_table(rows: list[dict[str, Any]]) -> str:
    """Return the rounds as a table for a person."""
    columns = {
        "round": "{round}",
        "samples added": "{samples_added:,}",
        "tracks without": "{tracks_without_intervention} of {tracks}",
        "interventions": "{interventions}",
        "autonomy": "{autonomy_percent:.1f} %",
        "at 1 m": "{autonomy_1_m_percent:.1f} %",
        "mean error": "{mean_abs_cross_track_error_m:.2f} m",
    }
    cells = [[cell.format(**row) for cell in columns.values()] for row in rows]
    return text_table([list(columns), *cells], ">")


# --- Where the model gets to ----------------------------------------------------------


def record_states(folder: Path, job: Job, num_rows: int, number: int = 1) -> int:
    """Let a driver drive, and write a recording with the expert's steering.

    Args:
        folder: The recording's folder; must not exist.
        job: Who drives where; `expert` gives an expert's own drive, for comparison. Its
            laps do not count.
        num_rows: Rows to write.
        number: The round's, which sets the date that the file names carry.

    Returns:
        How often the car was put back into its lane.

    Raises:
        InputError: The model cannot be loaded.
        FileExistsError: The folder exists.
    """
    road = variant_of(job).track
    expert, put_back = Expert(road, speed_mph=job.speed_mph), 0
    with (
        closing(World(road, seed=job.seed, cameras=CAMERAS)) as world,
        Recorder(folder, seed=number) as recorder,
    ):
        drive = make_driver(job, world)
        seen = world.reset(lateral_m=expert.lane_offset_m)
        while recorder.num_rows < num_rows:
            command, wanted = drive(seen), expert(seen)
            if abs(seen.heading_error_rad) < MOST_TURNED_RAD:
                # Put back, the car begins another session: frames do not go on there.
                shifted = replace(seen, time_s=seen.time_s + put_back * PAUSE_S)
                recorder.add(shifted, wanted.steering, wanted.throttle)
            seen = world.step(command.steering, command.throttle)
            if seen.off_road or seen.collision or seen.stuck:
                seen = world.move_to_road()
                put_back += 1
    return put_back
