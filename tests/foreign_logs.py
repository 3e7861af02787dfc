"""Logs as other programs write them, made small, whose steering is known row by row."""

import json

import cv2
import imageio_ffmpeg
import numpy as np

BEGIN_MS = 1_700_000_000_000


def steerings(num):
    return 0.9 * np.sin(np.arange(num) / 3)


def picture(i, width=160, height=120):
    """Return a picture, uint8 BGR, of which no two are alike."""
    rng = np.random.default_rng(i)
    small = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(small, (width, height))


def write_picture(path, i, **size):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(i, **size))


def tub_v1(folder, num=12, excluded=()):
    """Write a tub as donkeycar did until version 3."""
    folder.mkdir()
    about = {"inputs": [], "types": [], "start": BEGIN_MS / 1000}
    (folder / "meta.json").write_text(json.dumps(about))
    if excluded:
        (folder / "exclude.json").write_text(json.dumps(list(excluded)))
    for i, angle in enumerate(steerings(num)):
        name = f"{i}_cam-image_array_.jpg"
        write_picture(folder / name, i)
        record = {
            **{"cam/image_array": name, "user/angle": float(angle)},
            **{"user/throttle": 0.4, "user/mode": "user", "milliseconds": 50 * i},
        }
        (folder / f"record_{i}.json").write_text(json.dumps(record))
    return folder


def tub_v2(folder, num=12, deleted=(), per_catalog=5):
    """Write a tub as donkeycar does since version 4."""
    names = []
    (folder / "images").mkdir(parents=True)
    for start in range(0, num, per_catalog):
        lines = []
        for i in range(start, min(num, start + per_catalog)):
            name = f"{i}_cam_image_array_.jpg"
            write_picture(folder / "images" / name, i)
            record = {
                **{"_index": i, "_session_id": "24-01-01_0"},
                **{"_timestamp_ms": BEGIN_MS + 50 * i, "cam/image_array": name},
                **{"user/angle": float(steerings(num)[i]), "user/throttle": 0.4},
                **{"user/mode": "user"},
            }
            lines.append(json.dumps(record) + "\n")
        stem = f"catalog_{len(names)}"
        names.append(f"{stem}.catalog")
        (folder / names[-1]).write_text("".join(lines))
        about = {
            **{"path": f"{stem}.catalog_manifest", "created_at": 1.0},
            **{"start_index": start, "line_lengths": list(map(len, lines))},
        }
        (folder / f"{stem}.catalog_manifest").write_text(json.dumps(about) + "\n")
    inputs = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    types = ["image_array", "float", "float", "str"]
    last = {
        **{"paths": names, "current_index": num, "max_len": per_catalog},
        **{"deleted_indexes": list(deleted)},
    }
    lines = [inputs, types, {}, {"created_at": 1.0}, last]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.json").write_text(text)
    return folder


def write_film(path, pictures, fps):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = pictures[0].shape
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, macro_block_size=1, quality=9
    )
    writer.send(None)
    for each in pictures:
        writer.send(np.ascontiguousarray(each[:, :, ::-1]))
    writer.close()


def lerobot(folder, version, lengths=(6, 5), fps=10, as_video=True, names=None):
    """Write a data set as LeRobot 2.1 and 3.0 do.

    Args:
        lengths: The number of frames of each episode.
        names: What its actions are called.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = names or ["throttle", "steering"]
    place = next((i for i, n in enumerate(names) if "steer" in n), len(names) - 1)
    key = "observation.images.front"
    total = sum(lengths)
    angles = steerings(total)
    features = {
        key: {
            "dtype": "video" if as_video else "image",
            **{"shape": [120, 160, 3], "names": ["height", "width", "channels"]},
        },
        "action": {"dtype": "float32", "shape": [len(names)], "names": names},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    is_v3 = version.startswith("v3")
    pattern = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    if not is_v3:
        pattern = "videos/chunk-{episode_chunk:03d}/{video_key}/"
        pattern += "episode_{episode_index:06d}.mp4"
    info = {
        **{"codebase_version": version, "fps": fps, "features": features},
        **{"video_path": pattern if as_video else None, "chunks_size": 1000},
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    first, tables, episodes, film = 0, [], [], []
    for episode, length in enumerate(lengths):
        rows = range(first, first + length)
        actions = [[0.3] * len(names) for _ in rows]
        for action, i in zip(actions, rows, strict=True):
            action[place] = float(angles[i])
        table = {
            "action": pa.array(actions, pa.list_(pa.float32(), len(names))),
            "timestamp": pa.array([i / fps for i in range(length)], pa.float32()),
            "frame_index": list(range(length)),
            "episode_index": [episode] * length,
            "index": list(rows),
        }
        pictures = [picture(i) for i in rows]
        if not as_video:
            encoded = [cv2.imencode(".png", each)[1].tobytes() for each in pictures]
            table[key] = [{"bytes": content, "path": None} for content in encoded]
        tables.append(pa.table(table))
        if not is_v3:
            name = f"data/chunk-000/episode_{episode:06d}.parquet"
            (folder / "data" / "chunk-000").mkdir(parents=True, exist_ok=True)
            pq.write_table(tables[-1], folder / name)
            if as_video:
                film_name = f"videos/chunk-000/{key}/episode_{episode:06d}.mp4"
                write_film(folder / film_name, pictures, fps)
        of_video = f"videos/{key}/"
        episodes.append(
            {
                **{"episode_index": episode, "length": length},
                **{"data/chunk_index": 0, "data/file_index": 0},
                **{of_video + "chunk_index": 0, of_video + "file_index": 0},
                of_video + "from_timestamp": len(film) / fps,
            }
        )
        film += pictures
        first += length
    if is_v3:
        for name in ("data/chunk-000", "meta/episodes/chunk-000"):
            (folder / name).mkdir(parents=True)
        whole = pa.concat_tables(tables)
        pq.write_table(whole, folder / "data/chunk-000/file-000.parquet")
        listed = pa.Table.from_pylist(episodes)
        pq.write_table(listed, folder / "meta/episodes/chunk-000/file-000.parquet")
        if as_video:
            write_film(folder / f"videos/{key}/chunk-000/file-000.mp4", film, fps)
    return folder


def airsim(folder, num=10):
    """Write what AirSim records: a table with tabs, and pictures in images/."""
    head = "VehicleName\tTimeStamp\tPOS_X\tPOS_Y\tPOS_Z\tQ_W\tQ_X\tQ_Y\tQ_Z\tThrottle\t"
    head += "Steering\tBrake\tGear\tHandbrake\tRPM\tSpeed\tImageFile"
    lines = [head]
    for i, angle in enumerate(steerings(num)):
        name = f"img_PhysXCar_0_{i}.png"
        write_picture(folder / "images" / name, i, width=256, height=144)
        cells = ["PhysXCar", BEGIN_MS + 100 * i, *[0.5] * 7, 0.6, repr(float(angle))]
        lines.append("\t".join(map(str, [*cells, 0, 1, 0, 900, 5.0, name])))
    (folder / "airsim_rec.txt").write_text("\n".join(lines) + "\n")
    return folder


def webots(folder, num=10):
    """Write what a controller of Webots logs: an angle in radians, seconds of it."""
    lines = ["time,image,steering_angle,speed"]
    for i, angle in enumerate(steerings(num)):
        name = f"camera/frame_{i:05d}.png"
        write_picture(folder / name, i, width=128, height=64)
        lines.append(f"{0.064 * i:.3f},{name},{float(0.5 * angle)!r},30.0")
    (folder / "drive.csv").write_text("\n".join(lines) + "\n")
    return folder


def carla(folder, num=10):
    """Write what a script for CARLA logs: pictures by the number of their frame."""
    lines = ["frame,timestamp,throttle,steer,brake,speed_kmh"]
    for i, angle in enumerate(steerings(num)):
        write_picture(folder / "rgb" / f"{4000 + i:08d}.png", i, width=800, height=600)
        row = f"{4000 + i},{120.5 + 0.05 * i:.3f},0.5,{float(angle)!r},0.0,32.0"
        lines.append(row)
    (folder / "controls.csv").write_text("\n".join(lines) + "\n")
    return folder
