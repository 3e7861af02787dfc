"""A recording as a data set of LeRobot, version 3: each session an episode.

Pictures stand in the tables as they are, so that nothing is lost of them. Times are
those of an even rate, as LeRobot wants them: the recording's own, rounded.

Source: github.com/huggingface/lerobot, src/lerobot/datasets/utils.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.car import MPS_PER_MPH
from common.errors import InputError
from common.files import read_regular, whole_folder
from recordings.decoding import MOST_IMAGE_BYTES, PNG_START, decode, size_of
from recordings.foreign.lerobot import CHUNK_SIZE, INFO
from recordings.foreign.rows import ForeignRow

CAMERA = "observation.images.front"
ACTION, STATE = "action", "observation.state"
ACTION_NAMES = ("steering", "throttle", "brake")
STATE_NAMES = ("speed_mps",)
TASK = "drive along the road"
MOST_FPS = 120
# Pictures that their mean and spread is taken of.
PICTURES_MEASURED = 100


def write_lerobot(
    rows: Sequence[ForeignRow], sessions: Sequence[int], out: Path
) -> None:
    """Write rows as a data set, whole or not at all.

    Args:
        rows: With steering in [-1, 1], and files of pictures.
        sessions: The session that each row is of.

    Raises:
        InputError: Its pictures are of several sizes, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed, which writes parquet; pip install --group "
            "lerobot"
        ) from error
    width, height = _size_of(rows)
    fps = _rate_of(rows, sessions)
    schema = pa.schema(
        [
            (CAMERA, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            (ACTION, pa.list_(pa.float32(), len(ACTION_NAMES))),
            (STATE, pa.float32()),
            ("timestamp", pa.float32()),
            ("frame_index", pa.int64()),
            ("episode_index", pa.int64()),
            ("index", pa.int64()),
            ("task_index", pa.int64()),
        ]
    )
    episodes: list[dict[str, Any]] = []
    with whole_folder(out) as folder:
        for number, name in enumerate(sorted(set(sessions))):
            places = [i for i, session in enumerate(sessions) if session == name]
            chunk, file = divmod(number, CHUNK_SIZE)
            path = folder / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            first = episodes[-1]["dataset_to_index"] if episodes else 0
            table = _table_of([rows[i] for i in places], number, first, fps)
            pq.write_table(pa.Table.from_pydict(table, schema), path)
            episodes.append(_episode_of(number, chunk, file, first, len(places)))
        meta = folder / "meta" / "episodes" / "chunk-000"
        meta.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(episodes), meta / "file-000.parquet")
        _write_tasks(folder / "meta" / "tasks.parquet")
        _write_json(
            folder / INFO, _info_of(len(rows), len(episodes), fps, width, height)
        )
        _write_json(folder / "meta" / "stats.json", _stats_of(rows))


def _size_of(rows: Sequence[ForeignRow]) -> tuple[int, int]:
    sizes = {size_of(_content_of(row)) or (0, 0) for row in rows}
    if len(sizes) != 1:
        listed = " and ".join(f"{w}x{h}" for w, h in sorted(sizes)[:3])
        raise InputError(
            f"its pictures are of {len(sizes)} sizes ({listed}), and those of a "
            "LeRobot data set are of one; give a recording of one camera"
        )
    return sizes.pop()


def _content_of(row: ForeignRow) -> bytes:
    assert isinstance(row.picture, Path), "rows of a recording have files"
    return read_regular(row.picture, MOST_IMAGE_BYTES)


def _rate_of(rows: Sequence[ForeignRow], sessions: Sequence[int]) -> int:
    """Return the whole number of rows a second that is nearest to the usual."""
    times_s = np.array([row.time_s for row in rows])
    steps_s = np.diff(times_s)[np.diff(np.array(sessions)) == 0]
    step_s = float(np.median(steps_s)) if len(steps_s) else 0.1
    return min(MOST_FPS, max(1, round(1 / max(step_s, 1e-3))))


def _table_of(
    rows: Sequence[ForeignRow], episode: int, first: int, fps: int
) -> dict[str, list[Any]]:
    """Return the columns of an episode."""
    pictures = []
    for i, row in enumerate(rows):
        content = _content_of(row)
        ending = "png" if content.startswith(PNG_START) else "jpg"
        pictures.append({"bytes": content, "path": f"frame-{i:06d}.{ending}"})
    return {
        CAMERA: pictures,
        ACTION: [[row.steering, row.throttle, row.brake] for row in rows],
        STATE: [row.speed_mph * MPS_PER_MPH for row in rows],
        "timestamp": [i / fps for i in range(len(rows))],
        "frame_index": list(range(len(rows))),
        "episode_index": [episode] * len(rows),
        "index": list(range(first, first + len(rows))),
        "task_index": [0] * len(rows),
    }


def _episode_of(
    number: int, chunk: int, file: int, first: int, length: int
) -> dict[str, Any]:
    return {
        "episode_index": number,
        "tasks": [TASK],
        "length": length,
        "data/chunk_index": chunk,
        "data/file_index": file,
        "dataset_from_index": first,
        "dataset_to_index": first + length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }


def _info_of(
    num_rows: int, num_episodes: int, fps: int, width: int, height: int
) -> dict[str, Any]:
    def numbers(
        dtype: str, names: Sequence[str] | None, num: int = 1
    ) -> dict[str, Any]:
        return {"dtype": dtype, "shape": [num], "names": names}

    whole = ("frame_index", "episode_index", "index", "task_index")
    return {
        "codebase_version": "v3.0",
        "robot_type": "car",
        "total_episodes": num_episodes,
        "total_frames": num_rows,
        "total_tasks": 1,
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": fps,
        "splits": {"train": f"0:{num_episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": {
            CAMERA: {
                "dtype": "image",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
            },
            ACTION: numbers("float32", list(ACTION_NAMES), len(ACTION_NAMES)),
            STATE: numbers("float32", list(STATE_NAMES)),
            "timestamp": numbers("float32", None),
            **{name: numbers("int64", None) for name in whole},
        },
    }


def _write_tasks(path: Path) -> None:
    """Write the one task, as pandas does: the index holds its text."""
    import pandas as pd

    pd.DataFrame({"task_index": [0]}, index=[TASK]).to_parquet(path)


def _stats_of(rows: Sequence[ForeignRow]) -> dict[str, Any]:
    """Return the measures that LeRobot's policies normalise by."""
    actions = np.array([[row.steering, row.throttle, row.brake] for row in rows])
    speeds = np.array([[row.speed_mph * MPS_PER_MPH] for row in rows])
    chosen = np.linspace(0, len(rows) - 1, min(PICTURES_MEASURED, len(rows)))
    pictures = []
    for i in chosen.astype(int):
        picture = decode(_content_of(rows[i]), cv2.IMREAD_COLOR)
        if picture is not None:
            rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            pictures.append(cv2.resize(rgb, (32, 16)).reshape(-1, 3) / 255)
    found = {ACTION: _measures(actions), STATE: _measures(speeds)}
    of_pictures = _measures(np.concatenate(pictures)) if pictures else {}
    for name, values in of_pictures.items():
        is_count = name == "count"
        of_pictures[name] = values if is_count else [[[v]] for v in values]
    return {**found, CAMERA: of_pictures}


def _measures(values: np.ndarray) -> dict[str, Any]:
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
        "count": [len(values)],
    }


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=4) + "\n", encoding="utf-8")
