"""The cache: decoded once, rebuilt when an image changes, safe to share and to lose."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_recordings import damage_image

from common.errors import InputError
from recordings.images import image_facts, read_frame
from training import view_cache as frame_cache
from training.view_cache import ViewCache

ROOT = Path(__file__).resolve().parents[2]


def top_half(frames):
    return frames[:, :80:8, ::8]


def paths_of(recording):
    return [str(path) for path in sorted((recording / "IMG").iterdir())]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(frame_cache, "SHARD_SIZE", 50)


def test_cache_returns_the_view_of_every_frame(tiny_recording, tmp_path, small_shards):
    paths = paths_of(tiny_recording)
    cache = ViewCache(paths, top_half, "top", tmp_path / "cache")
    assert len(cache) == 180
    rows = np.array([cache.position[path] for path in paths])
    expected = top_half(np.stack([read_frame(path) for path in paths]))
    np.testing.assert_array_equal(cache.gather(rows), expected)
    out = np.empty_like(expected[:3])
    assert cache.gather(rows[[7, 170, 7]], out) is out
    np.testing.assert_array_equal(out, expected[[7, 170, 7]])


def test_cache_is_built_once_and_again_only_where_an_image_changes(
    tiny_recording, tmp_path, small_shards
):
    paths = paths_of(tiny_recording)
    calls = []

    def view(frames):
        calls.append(len(frames))
        return top_half(frames)

    ViewCache(paths, view, "top", tmp_path / "cache")
    whole = len(calls)
    ViewCache(paths, view, "top", tmp_path / "cache")
    assert len(calls) == whole
    shutil.copy(paths[1], paths[0])
    changed = ViewCache(paths, view, "top", tmp_path / "cache")
    assert len(calls) == whole + 1
    np.testing.assert_array_equal(*changed.gather(np.array([0, 1])))
    ViewCache(paths, view, "another view", tmp_path / "cache")
    assert len(calls) == 2 * whole + 1


def test_damaged_or_deleted_cache_is_built_anew(tiny_recording, tmp_path):
    paths = paths_of(tiny_recording)
    first = ViewCache(paths, top_half, "top", tmp_path / "cache")
    expected = first.gather(np.arange(180))
    (shard,) = (tmp_path / "cache" / "views").glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:1000])
    (frame_cache.cache_folder() / "images.sqlite").write_bytes(b"no database at all")
    again = ViewCache(paths, top_half, "top", tmp_path / "cache")
    np.testing.assert_array_equal(again.gather(np.arange(180)), expected)
    shutil.rmtree(tmp_path / "cache")
    anew = ViewCache(paths, top_half, "top", tmp_path / "cache")
    np.testing.assert_array_equal(anew.gather(np.arange(180)), expected)


def _build(paths, folder, results):
    cache = ViewCache(paths, top_half, "top", folder)
    results.put(cache.gather(np.arange(len(paths))).sum())


def test_two_processes_build_the_same_cache_at_once(tiny_recording, tmp_path):
    paths = paths_of(tiny_recording)
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    workers = [
        spawn.Process(target=_build, args=(paths, tmp_path / "cache", results))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    sums = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(sums) == 1
    assert len(list((tmp_path / "cache" / "views").iterdir())) == 1


BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from training import view_cache as frame_cache
frame_cache.SHARD_SIZE = 50
def view(frames):
    time.sleep(0.3)
    return frames[:, :80:8, ::8]
frame_cache.ViewCache(sys.argv[2:], view, "top", Path(sys.argv[1]))
"""


def test_killed_build_goes_on_and_leaves_nothing_half_written(
    tiny_recording, tmp_path, small_shards
):
    paths, folder = paths_of(tiny_recording), tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD_SLOWLY, str(folder), *paths],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("views/*.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in folder.glob("views/*.npy")}
    assert 0 < len(done) < 4
    cache = ViewCache(paths, top_half, "top", folder)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    expected = top_half(np.stack([read_frame(path) for path in paths]))
    np.testing.assert_array_equal(cache.gather(np.arange(180)), expected)


def test_image_that_cannot_be_decoded_names_its_file(tiny_recording, tmp_path):
    paths = paths_of(tiny_recording)
    Path(paths[5]).write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"{Path(paths[5]).name}: not a picture"):
        ViewCache(paths, top_half, "top", tmp_path / "cache")
    assert not list((tmp_path / "cache" / "views").iterdir())


def test_facts_are_remembered_until_the_file_changes(tiny_recording, monkeypatch):
    paths = paths_of(tiny_recording)[:10]
    facts = image_facts(paths)
    monkeypatch.setattr("recordings.images._look", None)
    assert image_facts(paths) == facts
    monkeypatch.undo()
    damage_image(Path(paths[0]), "cut")
    assert image_facts(paths)[paths[0]].fault == "truncated-image"


def test_facts_of_before_a_stop_are_remembered(tiny_recording, monkeypatch):
    from recordings import images

    paths, looked, look = paths_of(tiny_recording)[:12], [], images._look

    def stopped_at_the_ninth(path):
        looked.append(path)
        if path == paths[8]:
            raise KeyboardInterrupt
        return look(path)

    monkeypatch.setattr(images, "REMEMBERED_AT_A_TIME", 4)
    monkeypatch.setattr(images, "_look", stopped_at_the_ninth)
    with pytest.raises(KeyboardInterrupt):
        image_facts(paths)
    looked.clear()
    monkeypatch.setattr(images, "_look", lambda path: looked.append(path) or look(path))
    assert list(image_facts(paths)) == paths
    assert sorted(looked) == sorted(paths[8:])


def test_database_damaged_in_the_middle_is_forgotten(tiny_recording):
    paths = paths_of(tiny_recording)
    facts = image_facts(paths)
    database = frame_cache.cache_folder() / "images.sqlite"
    content = bytearray(database.read_bytes())
    content[100:] = bytes(len(content) - 100)
    database.write_bytes(content)
    assert image_facts(paths) == facts


def test_leftovers_of_killed_builds_are_removed_in_time(tiny_recording, tmp_path):
    views = tmp_path / "cache" / "views"
    views.mkdir(parents=True)
    for name, age_s in (("old.partial", 7200), ("new.partial", 0)):
        (views / name).write_bytes(b"")
        os.utime(views / name, (time.time() - age_s,) * 2)
    ViewCache(paths_of(tiny_recording), top_half, "top", tmp_path / "cache")
    assert {path.name for path in views.glob("*.partial")} == {"new.partial"}


FLIPS = {
    "one bit of a view": lambda content, rng: flipped(content, rng, 1, 200),
    "2,000 bits of the views": lambda content, rng: flipped(content, rng, 2000, 200),
    "one bit of the header": lambda content, rng: (
        flipped(content[:100], rng, 1, 10) + content[100:]
    ),
    "one bit of the header's length": lambda content, rng: (
        content[:8] + bytes([content[8] ^ 2]) + content[9:]
    ),
    "another bracket in the header": lambda content, rng: content.replace(
        b"{", b"(", 1
    ),
    "the beginning of another format": lambda content, rng: b"PK\3\4" + content[4:],
    "one bit of the checksum": lambda content, rng: (
        content[:-4] + flipped(content[-4:], rng, 1, 0)
    ),
    "two blocks in each other's place": lambda content, rng: (
        content[:4096] + content[8192:12288] + content[4096:8192] + content[12288:]
    ),
    "a block of zeros": lambda content, rng: (
        content[:4096] + bytes(4096) + content[8192:]
    ),
    "something behind it": lambda content, rng: content + b"x",
    "the end cut off": lambda content, rng: content[:-1],
    "no checksum, as formerly": lambda content, rng: content[:-4],
    "nothing": lambda content, rng: b"",
}


def flipped(content, rng, num_bits, first):
    changed = bytearray(content)
    for place in rng.choice(np.arange(first, len(content)), num_bits, replace=False):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@pytest.mark.parametrize("kind", FLIPS)
def test_shard_that_is_not_as_it_was_written_is_made_anew_and_said(
    kind, tiny_recording, tmp_path, rng, small_shards, caplog
):
    paths = paths_of(tiny_recording)
    first = ViewCache(paths, top_half, "top", tmp_path / "cache")
    expected = first.gather(np.arange(180))
    shards = sorted((tmp_path / "cache" / "views").glob("*.npy"))
    written = {shard: shard.read_bytes() for shard in shards}
    bad = shards[1]
    # Under its name, as a disk does: others may have mapped what is there.
    (tmp_path / "bad").write_bytes(FLIPS[kind](written[bad], rng))
    (tmp_path / "bad").replace(bad)
    times = {shard: shard.stat().st_mtime_ns for shard in shards}
    again = ViewCache(paths, top_half, "top", tmp_path / "cache")
    np.testing.assert_array_equal(again.gather(np.arange(180)), expected)
    assert {shard: shard.read_bytes() for shard in shards} == written
    anew = {shard for shard in shards if shard.stat().st_mtime_ns != times[shard]}
    assert anew == {bad}
    assert caplog.messages == [
        f"{bad}: not as it was written; decoding its frames anew"
    ]


def test_whole_shards_are_opened_without_a_word(tiny_recording, tmp_path, caplog):
    for _ in range(2):
        ViewCache(paths_of(tiny_recording), top_half, "top", tmp_path / "cache")
    assert not caplog.messages


def test_bit_that_flips_in_the_memory_of_images_is_found(
    tiny_recording, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("BC_CACHE_DIR", str(tmp_path / "cache"))
    paths = paths_of(tiny_recording)
    facts = image_facts(paths)
    database = frame_cache.cache_folder() / "images.sqlite"
    digest = facts[paths[7]].digest.encode()
    content = database.read_bytes()
    assert content.count(digest) == 1
    database.write_bytes(content.replace(digest, b"0" * len(digest)))
    assert image_facts(paths) == facts
    assert caplog.messages == [
        f"{database}: 1 entries damaged; looking at their images anew"
    ]
    caplog.clear()
    assert image_facts(paths) == facts and not caplog.messages
