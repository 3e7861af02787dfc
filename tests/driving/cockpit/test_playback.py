"""A recording that is played into the page."""

import os

import pytest
from running_drive import STEERING, Drive, picture_of, say, serving, state_of

from driving.cockpit.playback import Player, read_frames


def test_a_recording_is_played_into_the_page_over_and_over(tiny_recording, jpegs):
    frames = read_frames(tiny_recording)[:5]
    recorded = {frame.path.read_bytes(): frame.command.steering for frame in frames}
    player = Player(frames)
    with serving(playing="tiny", player=player) as running:
        stop_playing = running.run(player.play(running.server))
        with running.page() as page:
            seen = []
            while len(seen) < 12:
                state = state_of(page, lambda s: s["frames_per_s"] > 0 or not seen)
                seen.append(picture_of(page, 1))
            assert set(seen) == set(recorded)
            assert state["simulator"] == "playing" and not state["may_steer"]
            assert state["model_steering"] == STEERING
            assert state["person_steering"] in recorded.values()
            # Nothing drives: there is no autonomy to speak of, here or in the end.
            assert state["autonomy_percent"] is None
            say(page, "steer", steering=1.0)
            say(page, "stop")
            assert state_of(page, lambda s: s["driver"] == "stop")["steering"] < 1
            with running.simulator() as client:
                assert Drive(client, jpegs).frame()["throttle"] == -1
                state_of(page, lambda s: s["message"].startswith("a simulator waits"))
        stop_playing()
    assert running.server.report.document()["autonomy_percent"] is None
    assert "autonomy" not in running.server.report.summary()


def test_a_page_goes_to_any_place_of_what_is_played_and_sees_its_frame(tiny_recording):
    frames = read_frames(tiny_recording)
    player = Player(frames)
    with serving(playing="tiny", player=player) as running:
        stop_playing = running.run(player.play(running.server))
        with running.page() as page:
            say(page, "stop")
            state = state_of(page, lambda s: s["driver"] == "stop" and s["playing"])
            assert state["playing"]["recording"] == "tiny"
            assert state["playing"]["length_s"] == pytest.approx(5.9)
            for place, row in (
                ({"at_s": 3.0}, 31),
                ({"by_s": 1.0}, 41),
                ({"by_s": -2.0}, 21),
                ({"by_rows": -1}, 20),
                ({"by_rows": 1e9}, 60),
                ({"at_s": 0}, 1),
            ):
                say(page, "seek", **place)
                state_of(page, lambda s, row=row: s["playing"]["row"] == row)
                assert picture_of(page, 1) == frames[row - 1].path.read_bytes()
            say(page, "go")
            state_of(page, lambda s: s["playing"]["row"] == 5)
        stop_playing()


@pytest.mark.parametrize(
    "place",
    [{}, {"at_s": "1"}, {"at_s": None}, {"by_s": float("nan")}, {"by_rows": [1]}],
    ids=str,
)
def test_no_place_leads_nowhere(tiny_recording, place, caplog):
    player = Player(read_frames(tiny_recording))
    with serving(playing="tiny", player=player) as running, running.page() as page:
        say(page, "seek", **place)
        say(page, "speed", mph=7)
        state_of(page, lambda s: s["target_speed_mph"] == 7)
    assert "none of the protocol" in caplog.text


def test_asks_made_at_once_add_up(tiny_recording):
    """As those of a key that is held do, while the model still looks at a frame."""
    player = Player(read_frames(tiny_recording))
    with serving(playing="tiny", player=player) as running:
        stop_playing = running.run(player.play(running.server))
        with running.page() as page:
            say(page, "stop")
            state_of(page, lambda s: s["driver"] == "stop")
            say(page, "seek", at_s=0)
            for _ in range(12):
                say(page, "seek", by_rows=2)
            state_of(page, lambda s: s["playing"]["row"] == 25)
        stop_playing()


def test_a_recording_with_a_missing_image_plays_on(tiny_recording):
    frames = read_frames(tiny_recording)[:5]
    frames[1].path.write_bytes(b"no picture")
    for frame in frames[2:]:
        frame.path.unlink()
    os.mkfifo(frames[3].path)
    frames[4].path.symlink_to("/dev/zero")
    player = Player(frames)
    with serving(player=player) as running:
        stop_playing = running.run(player.play(running.server))
        with running.page() as page:
            state_of(page, lambda s: s["unusable"] >= 8)
        stop_playing()
    assert running.server.report.frames >= 2


def test_recording_with_damaged_pictures_plays_the_others(tiny_recording, capfd):
    paths = sorted((tiny_recording / "IMG").glob("center_*"))
    for path in paths[5:10]:
        content = path.read_bytes()
        path.write_bytes(content[:9000] + b"\x5a" * 600 + content[9600:])
    assert [frame.path for frame in read_frames(tiny_recording)] == [
        *paths[:5],
        *paths[10:],
    ]
    assert capfd.readouterr().err == ""
