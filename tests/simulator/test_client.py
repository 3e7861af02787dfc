"""On the wire as the stock simulator: against a scripted server, and drive.py's own."""

import base64
import json
import threading

import cv2
import numpy as np
import pytest
from websockets.sync.server import serve

from simulator import client, tracks
from simulator.client import Client, DriveServerError, drive, to_n4
from simulator.world import World

STEER = '42["steer",{"steering_angle":"%s","throttle":"%s"}]'


class ScriptedServer:
    """An Engine.IO server that keeps what it receives and answers from a function."""

    def __init__(self, answer, greeting='0{"sid":"x","pingInterval":25000}'):
        self.received, self.fragments = [], []
        self._answer, self._greeting = answer, greeting

    def __enter__(self):
        self._server = serve(
            self._handle, "127.0.0.1", 0, compression=None, close_timeout=0.5
        )
        port = self._server.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join(10)

    def _handle(self, connection):
        self.request = connection.request
        connection.send(self._greeting)
        while True:
            pieces = list(connection.recv_streaming())
            self.fragments.append([len(piece) for piece in pieces])
            text = "".join(pieces)
            self.received.append(text)
            if text == "1":
                return
            if text.startswith("42"):
                answer = self._answer(len(self.telemetry()))
                if answer is None:
                    return
                for part in [answer] if isinstance(answer, str) else answer:
                    connection.send(part)

    def telemetry(self):
        return [json.loads(t[2:])[1] for t in self.received if t.startswith("42")]


@pytest.fixture(scope="module")
def world():
    made = World(tracks.lake(), seed=1)
    yield made
    made.close()


def run_frames(url, world, num_frames, **settings):
    """Drive some frames flat out and return the client."""
    connection = Client(url, world, wait_s=5, **settings)
    drive(connection, 1, max_simulated_s=num_frames / 15 - 0.01)
    connection.close()
    return connection


def test_two_frames_are_in_flight_and_connect_is_never_sent(world):
    with ScriptedServer(lambda _: STEER % ("0.1", "0.5")) as server:
        connection = run_frames(server.url, world, 10)
    assert server.received[0].startswith('42["telemetry",')
    assert server.received[1] == "2"
    assert server.received[2].startswith('42["telemetry",')
    assert not any(text.startswith("40") for text in server.received)
    assert server.received[-2:] == ["41", "1"]
    # Two for each step, and none that waits for an answer at the end.
    assert len(server.telemetry()) == 2 * 10
    assert connection.num_answers == 2 * 10


def test_request_is_that_of_the_stock_simulator(world):
    with ScriptedServer(lambda _: STEER % ("0", "0")) as server:
        run_frames(server.url, world, 1)
    assert server.request.path == "/socket.io/?EIO=4&transport=websocket"
    assert server.request.headers["User-Agent"] == "websocket-sharp/1.0"
    assert "Origin" not in server.request.headers


def test_long_messages_travel_in_fragments_of_1016_bytes(world):
    with ScriptedServer(lambda _: STEER % ("0", "0")) as server:
        run_frames(server.url, world, 1)
    sizes = server.fragments[0]
    assert len(sizes) > 5
    # The library ends a fragmented message with an empty fragment.
    assert set(sizes[:-2]) == {1016} and 0 < sizes[-2] <= 1016 and sizes[-1] == 0


def test_telemetry_is_what_the_world_shows(world):
    with ScriptedServer(lambda _: STEER % ("0.4", "0.6")) as server:
        run_frames(server.url, world, 5)
    first, last = server.telemetry()[0], server.telemetry()[-1]
    assert first["steering_angle"] == "0.0000" and first["speed"] == "0.0000"
    assert last["steering_angle"] == "10.0000"  # 0.4 of 25 degrees
    assert last["throttle"] == "0.6000"
    seen = world.reset()
    jpeg = np.frombuffer(base64.b64decode(first["image"], validate=True), np.uint8)
    frame = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    # JPEG of quality 75 on asphalt.
    assert np.abs(frame.astype(int) - seen.frames["center"]).mean() < 8


def test_both_frames_in_flight_carry_one_picture(world):
    with ScriptedServer(lambda _: STEER % ("0", "1")) as server:
        run_frames(server.url, world, 6)
    pictures = [telemetry["image"] for telemetry in server.telemetry()]
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        assert first == second
    assert len(set(pictures)) > 5


def test_server_pings_are_answered_and_pongs_counted(world):
    with ScriptedServer(lambda _: ["2", "3", STEER % ("0", "0")]) as server:
        connection = run_frames(server.url, world, 3)
    assert server.received.count("3") >= 6
    assert connection.num_pongs >= 6


@pytest.mark.parametrize(
    ("culture", "steering", "angle"),
    [("en", "-0.25", "-6.2500"), ("de", "-0,25", "-6,2500"), ("fr", "0,5", "12,5000")],
)
def test_numbers_follow_the_culture(world, culture, steering, angle):
    throttle = "0.1" if culture == "en" else "0,1"
    with ScriptedServer(lambda _: STEER % (steering, throttle)) as server:
        run_frames(server.url, world, 2, culture=culture)
    assert server.telemetry()[-1]["steering_angle"] == angle


def test_n4_groups_thousands():
    assert to_n4(1234567.5, "en") == "1,234,567.5000"
    assert to_n4(-1234.5, "de") == "-1.234,5000"
    assert to_n4(1234.0, "fr") == "1\u202f234,0000"


def test_telemetry_is_null_while_a_person_drives(world):
    with ScriptedServer(lambda _: '42["manual",{}]') as server:
        connection = Client(server.url, world, wait_s=5)
        connection.is_manual = True
        while not connection.is_answered:
            connection.receive(5.0)
        connection.advance(world.step(0.0, 0.2))
        while not connection.is_answered:
            connection.receive(5.0)
        connection.close()
    assert connection.num_manual == 4
    assert server.telemetry()[-1] is None


def test_car_keeps_its_last_command_in_real_time(world):
    answers = iter([STEER % ("0.2", "0.8")] * 2)
    with ScriptedServer(lambda _: next(answers, [])) as server:
        connection = Client(server.url, world, wait_s=5)
        drive(connection, 1, is_real_time=True, max_simulated_s=0.7)
        connection.close()
    assert (connection.steering, connection.throttle) == (0.2, 0.8)
    assert connection.seen.steering == 0.2
    assert connection.seen.speed_mps > 1


@pytest.mark.parametrize(
    "answer",
    [
        STEER % ("nan", "0.2"),
        '42["steer",{"steering_angle":0.1,"throttle":0.2}]',
        '42["steer",{}]',
        '42["steer"]',
    ],
)
def test_answers_that_the_stock_simulator_cannot_read_are_refused(world, answer):
    with ScriptedServer(lambda _: answer) as server:
        connection = Client(server.url, world, wait_s=5)
        with pytest.raises(DriveServerError, match="cannot read"):
            drive(connection, 1)
        connection.close()


def test_dots_are_misread_by_a_german_simulator(world):
    with ScriptedServer(lambda _: STEER % ("0.1234", "0.2")) as server:
        connection = Client(server.url, world, culture="de", wait_s=5)
        while connection.num_answers == 0:
            connection.receive(5.0)
        # 0.1234 is 1234 there: full lock, as in the stock simulator.
        assert connection.steering == 1.0
        connection.close()


def test_server_that_hangs_up_is_named(world):
    with ScriptedServer(lambda n: None if n > 4 else STEER % ("0", "0")) as server:
        connection = Client(server.url, world, wait_s=5)
        with pytest.raises(DriveServerError, match="closed the connection"):
            drive(connection, 1)
        connection.close()


def test_server_that_falls_silent_is_named(world, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_WITHIN_S", 0.2)
    with ScriptedServer(lambda _: []) as server:
        connection = Client(server.url, world, wait_s=5)
        with pytest.raises(DriveServerError, match="has not answered"):
            drive(connection, 1)
        connection.close()


def test_absent_server_is_named(world):
    with pytest.raises(DriveServerError, match="no drive server at"):
        Client("http://127.0.0.1:1", world, wait_s=0.0)


def test_client_refuses_what_it_cannot_do(world):
    with pytest.raises(ValueError, match="expected such as http"):
        Client("127.0.0.1:4567", world)
    with pytest.raises(ValueError, match="no culture 'xx'; there are: en, de, fr"):
        Client("http://127.0.0.1:1", world, culture="xx")
    with pytest.raises(ValueError, match="expected center"):
        Client("http://127.0.0.1:1", World(tracks.lake(), cameras=()))


def test_car_that_leaves_the_road_is_put_back_and_counted(world):
    with ScriptedServer(lambda _: STEER % ("1", "0.4")) as server:
        connection = Client(server.url, world, wait_s=5)
        summary = drive(connection, 1, max_simulated_s=12.0)
        connection.close()
    assert summary.interventions >= 1
    assert (
        summary.interventions == summary.off_road + summary.collisions + summary.stuck
    )
    assert not summary.complete and summary.laps == 0
    rms, mean = summary.rms_cross_track_error_m, summary.mean_abs_cross_track_error_m
    assert 0 < mean <= rms <= summary.max_abs_cross_track_error_m


def test_drive_py_answers_every_frame_with_the_models_steering(world):
    from running_drive import serving

    answered, followed = [], []

    def predict(frame):
        answered.append(round(float(frame[100:, :160].mean()) / 255 - 0.5, 3))
        return answered[-1]

    with serving(predict=predict, target_mph=20.0) as running:
        connection = Client(f"http://{running.host}", world, wait_s=5)
        summary = drive(
            connection,
            1,
            max_simulated_s=50 / 15 - 0.01,
            on_frame=lambda seen: followed.append(seen.steering),
        )
        connection.close()
    assert summary.frames == 2 * 50
    # The second answer for each picture is the one that is driven.
    assert followed == answered[1 : 2 * len(followed) : 2]
