"""Teach a model what to do in the places that it drives itself to: DAgger.

A model that is trained on an expert's drives has never seen the places that its own
errors bring it to. So it drives the embedded simulator, the expert says at every frame
what should be done there, and it is fine-tuned on all of that, round by round.

Source: Ross et al. 2011, A Reduction of Imitation Learning and Structured Prediction to
No-Regret Online Learning, arXiv 1011.0686.
"""

from __future__ import annotations

import argparse
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.car import autonomy_percent
from evaluation.closed_loop import Job, drive_all, make_driver, road_of, track_names
from tuning.fine_tuning import (
    draw_share,
    read_document,
    tune,
    tuning_settings,
    write_document,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from simulator.recorder import Recorder
    from simulator.world import Observation, World

LIMIT_M = 1.0
# Turned farther than this, the expert turns round at walking pace: no model could.
MOST_TURNED_RAD = math.radians(60)


# --- Rounds ---------------------------------------------------------------------------


def improve_on_tracks(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run the rounds that are not done yet; return a row of figures for each."""
    tracks = track_names(args.track)
    judged = track_names(args.judge) if args.judge else tracks
    document = read_document(folder, args)
    rows = document["rounds"]
    if not rows:
        rows.append(judge(args, args.model, judged, 0, 0))
        write_document(folder, document)
    for number in range(len(rows), args.rounds + 1):
        before = Path(rows[-1]["model"])
        new = record_round(args, folder, before, tracks, number)
        settings = tuning_settings(args, before)
        earlier = [folder / f"states{i}" for i in range(1, number)]
        states = [path for each in (*earlier, new) for path in sorted(each.iterdir())]
        settings = replace(
            settings,
            recordings=(
                *settings.recordings,
                *(str(path.resolve()) for path in states),
            ),
        )
        names = {path.name for path in states}

        def draw(samples: pd.DataFrame, names: set[str] = names) -> np.ndarray:
            return draw_share(
                samples["recording"].isin(names).to_numpy(), args.new_share
            )

        model_path = tune(folder / f"round{number}", settings, draw)
        rows.append(judge(args, model_path, judged, number, number * args.frames))
        write_document(folder, document)
    return rows


def record_round(
    args: argparse.Namespace, folder: Path, model: Path, tracks: list[str], number: int
) -> Path:
    """Record the states of a round, a recording for each track; return their folder."""
    states, rows_each = folder / f"states{number}", -(-args.frames // len(tracks))
    draft = folder / f".states{number}.partial"
    for cut_short in draft.glob(".*"):  # By a kill, within a recording.
        shutil.rmtree(cut_short)
    for i, track in enumerate(tracks):
        name = f"{track.replace(':', '')}_round{number}"
        if states.exists() or (draft / name).exists():
            continue
        driver = "expert" if args.expert_drives else str(model)
        direction = "reverse" if (i + number) % 2 else "forward"
        job = Job(driver, track, direction, 1, args.speed, args.seed + number)
        put_back = record_states(draft / name, job, rows_each, number)
        print(f"round {number}: {track} {direction}, put back {put_back} times")
    if not states.exists():
        draft.rename(states)
    return states


def judge(
    args: argparse.Namespace, model: Path, tracks: list[str], number: int, added: int
) -> dict[str, Any]:
    """Return a round's row: how the model drives a lap of each track."""
    import numpy as np

    jobs = [Job(str(model), track, speed_mph=args.speed) for track in tracks]
    results = list(drive_all(jobs, args.workers))
    counts = [len(result.rollout.interventions) for result in results]
    elapsed_s = sum(result.rollout.elapsed_s for result in results)
    excursions = sum(result.excursions[LIMIT_M] for result in results)
    error_m = np.concatenate([each.rollout.cross_track_error_m for each in results])

    def autonomy(count: int) -> float:
        return round(autonomy_percent(count, elapsed_s), 2)

    return {
        "round": number,
        "model": str(model),
        "samples_added": added,
        "tracks": len(tracks),
        "tracks_without_intervention": counts.count(0),
        "interventions": sum(counts),
        "autonomy_percent": autonomy(sum(counts)),
        "autonomy_1_m_percent": autonomy(excursions),
        "mean_abs_cross_track_error_m": round(float(np.abs(error_m).mean()), 3),
    }


def best_round(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the round with the fewest interventions, then the smallest error."""
    return min(
        rows,
        key=lambda row: (row["interventions"], row["mean_abs_cross_track_error_m"]),
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rounds as a table for a person."""
    lines = [
        f"{'round':>5}{'samples added':>15}{'tracks without':>16}{'interventions':>15}"
        f"{'autonomy':>10}{'at 1 m':>9}{'mean error':>12}"
    ]
    for row in rows:
        clean = f"{row['tracks_without_intervention']} of {row['tracks']}"
        lines.append(
            f"{row['round']:>5}{row['samples_added']:>15,}{clean:>16}"
            f"{row['interventions']:>15}{row['autonomy_percent']:>8.1f} %"
            f"{row['autonomy_1_m_percent']:>7.1f} %"
            f"{row['mean_abs_cross_track_error_m']:>10.2f} m"
        )
    return "\n".join(lines)


# --- Where the model gets to ----------------------------------------------------------


def record_states(folder: Path, job: Job, num_rows: int, num_rounds: int = 1) -> int:
    """Let a driver drive, and write a recording with the expert's steering.

    Args:
        folder: of the recording; must not exist.
        job: who drives where; `expert` gives an expert's own drive, for comparison. Its
            laps do not count.
        num_rows: to write.
        num_rounds: of such recordings, so that each has a time of its own.

    Returns:
        How often the car was put back into its lane.

    Raises:
        InputError: the model cannot be loaded, or there is no such track.
        FileExistsError: the folder exists.
    """
    from simulator.recorder import CAMERAS, Recorder
    from simulator.world import World

    road = road_of(job)
    world = World(road, seed=job.seed, cameras=CAMERAS)
    try:
        with Recorder(folder, seed=num_rounds) as recorder:
            return _record(recorder, world, job, num_rows)
    finally:
        world.close()


def _record(recorder: Recorder, world: World, job: Job, num_rows: int) -> int:
    from simulator.expert import Expert
    from simulator.recorder import PAUSE_S

    drive = make_driver(job, world)
    expert = Expert(world.track, speed_mph=job.speed_mph)
    seen, paused_s, put_back = world.reset(lateral_m=expert.lane_offset_m), 0.0, 0
    while recorder.num_rows < num_rows:
        command, wanted = drive(seen), expert(seen)
        if is_teachable(seen):
            shifted = replace(seen, time_s=seen.time_s + paused_s)
            recorder.add(shifted, wanted.steering, wanted.throttle)
        seen = world.step(command.steering, command.throttle)
        if seen.off_road or seen.collision or seen.stuck:
            seen = world.move_to_road()
            paused_s += PAUSE_S  # another session: its frames do not go on from here
            put_back += 1
    return put_back


def is_teachable(seen: Observation) -> bool:
    """Say whether the expert steers here as a driver of the road would."""
    return abs(seen.heading_error_rad) < MOST_TURNED_RAD
