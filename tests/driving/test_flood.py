"""A real drive.py, flooded in every way at once: the car gets its answers."""

import pytest
from flood import driving, make_packet, measure, untrained

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("flood")
    with driving(untrained(folder / "model"), folder / "log.txt") as server:
        yield server


@pytest.mark.parametrize(
    "seconds", [8, pytest.param(60, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_the_car_is_answered_beside_a_flood_and_all_is_back_afterwards(server, seconds):
    found = measure(server, seconds, [], make_packet())
    print(found)
    assert found["flooded"]["answered"] == found["flooded"]["sent"] > 5 * seconds
    # Before, it had no answer for 30 s. The benchmark states the longest on a quiet
    # machine; on one that others use, all there is to say is that most are quick.
    assert found["flooded"]["p50_ms"] < 250
    assert found["flooded"]["longest_answer_ms"] < 10_000
    before_mb = found["memory_before_mb"]
    assert found["memory_peak_mb"] - before_mb < 100
    assert found["memory_afterwards_mb"] - before_mb < 100
    assert found["connections_left"] <= 0
    # One that comes in the middle of it tries again at once, as the stock one does.
    assert found["connected_during_the_flood_s"] < 20
    assert found["first_answer_afterwards_ms"] < 10_000
    # Who floods does not fill the log.
    text = server.log_path.read_text()
    assert "Traceback" not in text and "refused: more than" in text
    assert len(text.splitlines()) < 100 + 3 * seconds
