"""A recording that is played into the page."""

import os

from running_drive import STEERING, Drive, picture_of, say, serving, state_of

from driving.cockpit.playback import play, read_frames


def test_a_recording_is_played_into_the_page_over_and_over(tiny_recording, jpegs):
    frames = read_frames(tiny_recording)[:5]
    recorded = {frame.path.read_bytes(): frame.command.steering for frame in frames}
    with serving(playing="tiny") as running:
        stop_playing = running.run(play(running.server, frames))
        with running.page() as page:
            seen = []
            while len(seen) < 12:
                state = state_of(page, lambda s: s["frames_per_s"] > 0 or not seen)
                seen.append(picture_of(page, 1))
            assert set(seen) == set(recorded)
            assert state["simulator"] == "playing" and not state["may_steer"]
            assert state["model_steering"] == STEERING
            assert state["person_steering"] in recorded.values()
            say(page, "steer", steering=1.0)
            say(page, "stop")
            assert state_of(page, lambda s: s["driver"] == "stop")["steering"] < 1
            with running.simulator() as client:
                assert Drive(client, jpegs).frame()["throttle"] == -1
        stop_playing()


def test_a_recording_with_a_missing_image_plays_on(tiny_recording):
    frames = read_frames(tiny_recording)[:5]
    frames[1].path.write_bytes(b"no picture")
    for frame in frames[2:]:
        frame.path.unlink()
    os.mkfifo(frames[3].path)
    frames[4].path.symlink_to("/dev/zero")
    with serving() as running:
        stop_playing = running.run(play(running.server, frames))
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
