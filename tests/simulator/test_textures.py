"""Tests of simulator/textures.py and simulator/sprites.py."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from simulator import sprites, textures

LEAVES = {
    "leaf": (38, 44, 28),
    "leaf_lit": (132, 126, 66),
    "bush": (34, 38, 16),
    "trunk": (62, 50, 36),
}
DIGEST = """
import hashlib
from simulator import sprites, textures
digest = hashlib.sha256()
for name in {*textures.PAINTERS}:
    textures.make_texture(name, 3)
for name in sorted(textures.PAINTERS):
    digest.update(textures.make_texture(name, 3).tobytes())
leaves = dict(leaf=(38, 44, 28), leaf_lit=(132, 126, 66), bush=(34, 38, 16),
              trunk=(62, 50, 36))
digest.update(sprites.make_atlas(3, leaves).tobytes())
print(digest.hexdigest())
"""


def test_noise_repeats_without_a_seam(rng):
    noise = textures.value_noise(rng, (64, 32), (8, 4))
    # The step over the edge is one step of the same smooth function as any other.
    for axis, cell in ((0, 8), (1, 4)):
        steps = np.abs(np.diff(noise, axis=axis)).max()
        seam = np.abs(noise.take(0, axis) - noise.take(-1, axis)).max()
        assert seam <= max(steps, 1.5 / cell)


def test_noise_takes_its_lattice_values_at_the_lattice():
    noise = textures.value_noise(np.random.default_rng(7), (16, 16), (4, 8))
    lattice = np.random.default_rng(7).random((4, 2)) - 0.5
    np.testing.assert_allclose(noise[::4, ::8], lattice, atol=1e-12)


@pytest.mark.parametrize("name", textures.PAINTERS)
def test_texture_is_rgb_of_powers_of_two(name):
    image = textures.make_texture(name, 0)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert all(side & (side - 1) == 0 for side in image.shape[:2])


@pytest.mark.parametrize("name", ["lake_road", "jungle_road", "setts", "ground"])
def test_another_seed_gives_another_grain_of_the_same_colour(name):
    first, second = textures.make_texture(name, 0), textures.make_texture(name, 1)
    assert (first != second).any()
    # The mean of a texture is what one sees from afar: 5 levels are 2 %.
    np.testing.assert_allclose(first.mean((0, 1)), second.mean((0, 1)), atol=5)


@pytest.mark.parametrize("name", ["ground", "water", "leafage"])
def test_detail_texture_keeps_the_level_that_colours_are_scaled_by(name):
    # Clipping at white costs the strongest texture some of its mean.
    mean = textures.make_texture(name, 2).mean()
    assert mean == pytest.approx(textures.DETAIL_LEVEL, abs=14)


def test_lake_road_has_yellow_lines_at_both_edges_only():
    road = textures.make_texture("lake_road", 0)[:, :256].astype(int)
    yellow = (road[..., 0] - road[..., 2]).mean(axis=0) > 60
    columns = np.nonzero(yellow)[0] / 256 * 7.6  # metres from the left outer edge
    assert columns.min() < 0.4 and columns.max() > 7.2
    assert not ((columns > 0.6) & (columns < 6.8)).any()


def test_centre_line_of_the_jungle_is_dashed_and_its_edges_are_not():
    road = textures.make_texture("jungle_road", 0)[..., 0]
    edge, centre = round(0.36 / 9.5 * 416), round(4.75 / 9.5 * 416)
    assert (road[:, edge] > 200).all()
    assert (road[:, centre] > 200).mean() == pytest.approx(0.6, abs=0.02)


def test_road_columns_lie_apart_and_inside_the_texture():
    for columns in (textures.LAKE_COLUMNS_PX, textures.JUNGLE_COLUMNS_PX):
        spans = sorted(textures.column_range(name, columns) for name in columns)
        flat = [edge for span in spans for edge in span]
        assert flat == sorted(flat) and flat[0] > 0 and flat[-1] < 1


def test_unknown_texture_lists_the_known():
    with pytest.raises(ValueError, match=r"no texture is called 'gras'; .*ground"):
        textures.make_texture("gras", 0)


def test_unknown_sprite_lists_the_known():
    with pytest.raises(ValueError, match=r"no sprite is called 'oak'; .*palm_0"):
        sprites.uv_box("oak")


@pytest.mark.parametrize("name", sprites.PAINTERS)
def test_sprite_stands_on_the_ground_within_its_box(name):
    atlas = sprites.make_atlas(5, LEAVES)[::-1, :, 3] > 0  # row 0 at the bottom
    left, bottom, right, top = sprites.uv_box(name)
    height, width = atlas.shape
    rows = slice(int(bottom * height), int(np.ceil(top * height)))
    columns = slice(int(left * width), int(np.ceil(right * width)))
    inside = atlas[rows, columns]
    assert inside[:2].any(), "its foot touches the ground"
    assert 0.02 < inside.mean() < 0.98
    index = list(sprites.PAINTERS).index(name)
    first = index % 8 * sprites.CELL
    cell = atlas[rows, first : first + sprites.CELL]
    # A few leaves may stick out of the box; nobody misses them.
    assert cell.sum() - inside.sum() < 0.04 * cell.sum()


def test_haze_moves_colours_and_keeps_the_outline():
    atlas = sprites.make_atlas(0, LEAVES)
    same, full = (sprites.add_haze(atlas, (150, 180, 200), k) for k in (0.0, 1.0))
    np.testing.assert_array_equal(same, atlas)
    np.testing.assert_array_equal(full[..., 3], atlas[..., 3])
    assert (full[..., :3] == (150, 180, 200)).all()


def test_pictures_do_not_depend_on_order_or_hash_seed():
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", DIGEST]
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        digests.add(run.stdout)
    here = hashlib.sha256()
    for name in sorted(textures.PAINTERS):
        here.update(textures.make_texture(name, 3).tobytes())
    here.update(sprites.make_atlas(3, LEAVES).tobytes())
    assert digests == {here.hexdigest() + "\n"}
