"""Data sets of LeRobot on a disk, of its versions 2 and 3: which numbers, where from.

Which of an action's numbers is the steering, its names tell, or the user does. A video
is decoded by ffmpeg in a process of its own (imageio-ffmpeg); parquet is read by
pyarrow: pip install --group lerobot.

Source: github.com/huggingface/lerobot, src/lerobot/datasets/utils.py (the names of
files, and of what is in them) and docs/source/lerobot-dataset-v3.mdx.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.car import MPS_PER_MPH
from common.errors import InputError
from recordings.foreign.films import decoded
from recordings.foreign.rows import (
    BEGIN_S,
    BETWEEN_SESSIONS_S,
    ForeignLog,
    ForeignRow,
    inside,
    read_document,
)

INFO = Path("meta") / "info.json"
# A wheel's angle before how fast anything turns.
STEERING = (
    re.compile("steer", re.IGNORECASE),
    re.compile("angle|angular|yaw|turn", re.IGNORECASE),
)
OTHERS = {
    "throttle": re.compile("throttle|gas|accel", re.IGNORECASE),
    "brake": re.compile("brake", re.IGNORECASE),
    "speed": re.compile("speed|velocity", re.IGNORECASE),
}
FRONT = re.compile("front|cent(er|re)|main", re.IGNORECASE)
PICTURES = ("video", "image")
# As its writer does: so many files in a folder.
CHUNK_SIZE = 1000


@dataclass(frozen=True)
class Feature:
    """One number of a data set."""

    key: str
    """The column."""
    place: int
    """Which of its numbers, from 0."""
    name: str
    """What it is called."""


@dataclass(frozen=True)
class Part:
    """Rows of one table, all with their pictures in one video, or in the table."""

    table: Path
    video: Path | None
    begins_s: Mapping[int, float]
    """Where in the video each episode begins, in seconds."""


@dataclass(frozen=True)
class _Frame:
    """One row of a data set."""

    where: str
    episode: int
    numbers: Mapping[str, float]
    time_s: float
    picture: bytes | None
    """Its picture, as JPEG or PNG."""


def is_lerobot(folder: Path) -> bool:
    """Say whether a folder holds a data set of LeRobot."""
    return (folder / INFO).is_file()


def read_lerobot(folder: Path, steering: str | None, camera: str | None) -> ForeignLog:
    """Open a data set.

    Args:
        steering: What its steering is called; None: what its names tell.
        camera: The key of the pictures; None: the only one, or the one in front.

    Raises:
        InputError: It cannot be told which number is the steering, or which pictures,
            or pyarrow is not installed.
    """
    info = read_document(folder / INFO)
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict):
        raise InputError(f"{folder / INFO}: it names no features of a LeRobot data set")
    fps = info.get("fps")
    if not (type(fps) in (int, float) and 0 < fps <= 1000):
        raise InputError(f"{folder / INFO}: fps is {fps!r}, expected 1 to 1000")
    wanted = {"steering": steering_of(features, steering, folder)}
    for name, pattern in OTHERS.items():
        found = [each for each in numbers_of(features) if pattern.search(each.name)]
        if found:
            wanted[name] = found[0]
    key = camera_of(features, camera, folder)
    is_video = features[key].get("dtype") == "video"
    version = str(info.get("codebase_version", "?"))[:20]
    if version.startswith("v3"):
        parts = _parts_of_v3(folder, key, is_video)
    else:
        parts = _parts_of_v2(folder, info, key, is_video)
    log = ForeignLog(f"LeRobot {version}", ())
    log.about = {"steering_is": wanted["steering"].name, "camera_is": key}
    log.rows = _rows(parts, key, wanted, float(fps), log)
    return log


# --- Which number, which pictures -----------------------------------------------------


def numbers_of(features: Mapping[str, Any]) -> list[Feature]:
    """Return every number that has a name, those of actions first."""
    found = []
    for key, feature in features.items():
        if not isinstance(feature, dict) or feature.get("dtype") in PICTURES:
            continue
        names = feature.get("names")
        if isinstance(names, dict):  # By "motors", "axes", or each with its place.
            lists = [each for each in names.values() if isinstance(each, list)]
            names = lists[0] if lists else list(names)
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            names = [key] if feature.get("shape") in ([1], []) else []
        elif len(names) == 1 and names[0] not in key:
            names = [f"{key}.{names[0]}"]
        found += [Feature(key, i, name) for i, name in enumerate(names)]
    return sorted(found, key=lambda each: not each.key.startswith("action"))


def steering_of(
    features: Mapping[str, Any], given: str | None, folder: Path
) -> Feature:
    """Return which number is the steering.

    Raises:
        InputError: None or several may be, or there is none of that name.
    """
    numbers = numbers_of(features)
    names = ", ".join(dict.fromkeys(each.name for each in numbers))[:200]
    if given is not None:
        meant = [each for each in numbers if given in (each.name, each.key)]
        meant = meant or [n for n in numbers if n.name.rpartition(".")[2] == given]
        if not meant:
            raise InputError(
                f"{folder}: --steering is {given}, expected one of {names or 'none'}"
            )
        return meant[0]
    actions = [each for each in numbers if each.key.startswith("action")]
    for group in (actions, numbers):
        for pattern in STEERING:
            found = [each for each in group if pattern.search(each.name)]
            if len(found) == 1:
                return found[0]
            if found:
                several = " or ".join(each.name for each in found)[:200]
                raise InputError(
                    f"{folder}: {several} may be the steering; say which with "
                    "--steering NAME"
                )
    raise InputError(
        f"{folder}: no number in it is called steering, found {names or 'no names'}; "
        "say which it is with --steering NAME"
    )


def camera_of(features: Mapping[str, Any], given: str | None, folder: Path) -> str:
    """Return the key of the pictures.

    Raises:
        InputError: There are none, or several and none is in front.
    """
    keys = [
        key
        for key, feature in features.items()
        if isinstance(feature, dict) and feature.get("dtype") in PICTURES
    ]
    names = ", ".join(keys)[:200]
    if given is not None:
        meant = [k for k in keys if given in (k, k.rpartition(".")[2])]
        if not meant:
            raise InputError(f"{folder}: --camera is {given}, expected one of {names}")
        return meant[0]
    chosen = keys if len(keys) == 1 else [key for key in keys if FRONT.search(key)]
    if len(chosen) != 1:
        raise InputError(
            f"{folder}: it has the pictures {names or 'of no camera'}; say which are "
            "of the camera in front with --camera KEY"
        )
    return chosen[0]


# --- Where they lie -------------------------------------------------------------------


def _parts_of_v2(
    folder: Path, info: Mapping[str, Any], key: str, is_video: bool
) -> list[Part]:
    """Return the parts of a data set of version 2: a file for each episode."""
    size = info.get("chunks_size", CHUNK_SIZE)
    size = size if type(size) is int and size > 0 else CHUNK_SIZE
    parts = []
    for table in sorted(folder.glob("data/chunk-*/episode_*.parquet")):
        number = int("".join(filter(str.isdigit, table.stem)) or 0)
        video = None
        if is_video:
            names = {"episode_chunk": number // size, "episode_index": number}
            pattern = _filled(info.get("video_path"), {**names, "video_key": key})
            video = inside(folder, pattern)
            if video is None:
                raise InputError(f"{folder / INFO}: video_path leads elsewhere")
        parts.append(Part(table, video, {number: 0.0}))
    if not parts:
        raise InputError(f"{folder}: no data/chunk-*/episode_*.parquet in it")
    return parts


def _filled(pattern: Any, names: Mapping[str, Any]) -> str:
    """Fill in the name of a file; nothing stands in it but names and their digits."""

    def put(found: re.Match[str]) -> str:
        value = names.get(found[1], "?")
        digits = int(found[2] or 0)
        return f"{value:0{digits}d}" if digits and type(value) is int else str(value)

    return re.sub(r"\{(\w+)(?::0(\d{1,2})d)?\}", put, str(pattern)[:500])


def _parts_of_v3(folder: Path, key: str, is_video: bool) -> list[Part]:
    """Return the parts of a data set of version 3: many episodes in a file."""
    tables = sorted(folder.glob("data/chunk-*/file-*.parquet"))
    if not tables:
        raise InputError(f"{folder}: no data/chunk-*/file-*.parquet in it")
    if not is_video:
        return [Part(table, None, {}) for table in tables]
    parts: dict[tuple[Path, Path], dict[int, float]] = {}
    of_video = [
        f"videos/{key}/{n}" for n in ("chunk_index", "file_index", "from_timestamp")
    ]
    needed = ["episode_index", "data/chunk_index", "data/file_index", *of_video]
    for path in sorted(folder.glob("meta/episodes/chunk-*/file-*.parquet")):
        columns = columns_in(path)
        if lacking := set(needed) - set(columns):
            raise InputError(f"{path}: it lacks the column {min(lacking)}")
        for row in zip(*(columns[name] for name in needed), strict=True):
            episode, chunk, file, video_chunk, video_file, begins_s = row
            table = folder / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
            name = f"chunk-{video_chunk:03d}/file-{video_file:03d}.mp4"
            video = inside(folder, f"videos/{key}/{name}")
            if video is None:
                raise InputError(f"{path}: a video of it lies elsewhere")
            parts.setdefault((table, video), {})[int(episode)] = float(begins_s)
    if not parts:
        raise InputError(f"{folder}: no meta/episodes/chunk-*/file-*.parquet in it")
    return [Part(table, video, begins) for (table, video), begins in parts.items()]


def columns_in(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a table as lists.

    Raises:
        InputError: It is none, or pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{path}: {error.name} is not installed, which reads it; pip install "
            "--group lerobot"
        ) from error
    try:
        return dict(pyarrow.parquet.read_table(path).to_pydict())
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0][:100]
        raise InputError(f"{path}: not a parquet table ({first})") from None


# --- Its rows -------------------------------------------------------------------------


def _rows(
    parts: Sequence[Part],
    key: str,
    wanted: Mapping[str, Feature],
    fps: float,
    log: ForeignLog,
) -> Iterator[ForeignRow]:
    """Yield the rows, each episode as a session of its own."""
    offset_s, last_s, last_episode = 0.0, BEGIN_S, -1
    for part in parts:
        for frame in _frames_of(part, key, wanted, fps):
            if frame.episode != last_episode:
                offset_s = last_s + BETWEEN_SESSIONS_S - frame.time_s
                last_episode = frame.episode
            last_s = offset_s + frame.time_s
            if frame.picture is None:
                log.left_out.append(f"{frame.where}: it has no picture")
                continue
            numbers = frame.numbers
            throttle = numbers.get("throttle", 0.0)
            yield ForeignRow(
                frame.where,
                frame.picture,
                numbers["steering"],
                min(1.0, max(0.0, throttle)),
                min(1.0, max(0.0, numbers.get("brake", -throttle))),
                abs(numbers.get("speed", 0.0)) / MPS_PER_MPH,
                last_s,
            )


def _frames_of(
    part: Part, key: str, wanted: Mapping[str, Feature], fps: float
) -> Iterator[_Frame]:
    """Yield the rows of a part with their pictures."""
    columns = columns_in(part.table)
    for feature in wanted.values():
        if feature.key not in columns:
            raise InputError(f"{part.table}: it lacks the column {feature.key}")
    num = len(columns[wanted["steering"].key])
    episodes = columns.get("episode_index") or [0] * num
    times_s = columns.get("timestamp") or [i / fps for i in range(num)]

    def frame(i: int, picture: bytes | None) -> _Frame:
        where = f"{part.table} row {i}"
        numbers = {
            name: _number(columns[feature.key][i], feature.place, where)
            for name, feature in wanted.items()
        }
        time_s = _number(times_s[i], 0, where)
        return _Frame(where, int(episodes[i]), numbers, time_s, picture)

    if part.video is None:
        for i in range(num):
            yield frame(i, _stored(columns.get(key, [None] * num)[i]))
        return
    places: dict[int, int] = {}
    for i in range(num):
        if int(episodes[i]) in part.begins_s:
            since_s = part.begins_s[int(episodes[i])] + float(times_s[i])
            places.setdefault(round(since_s * fps), i)
    num_seen = 0
    for place, picture in enumerate(decoded(part.video)):
        if place in places:
            num_seen += 1
            yield frame(places[place], picture)
    if num_seen < len(places):
        raise InputError(
            f"{part.video}: it ends {len(places) - num_seen} frames before its table "
            "does; is it cut off?"
        )


def _number(value: Any, place: int, where: str) -> float:
    if isinstance(value, list | tuple):
        value = value[place] if place < len(value) else None
    if type(value) not in (int, float):
        raise InputError(f"{where}: {value!r} is no number")
    return float(value)


def _stored(value: Any) -> bytes | None:
    """Return the picture that a table holds."""
    content = value.get("bytes") if isinstance(value, dict) else value
    return content if isinstance(content, bytes) else None
