"""Whom the port refuses, and what its connections may take."""

import socket
import time
from contextlib import ExitStack, suppress

import psutil
import pytest
from running_drive import (
    STEERING,
    Drive,
    raw_page,
    serving,
    state_of,
    telemetry,
    until_steering,
)
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from common.errors import InputError
from driving.door import MOST_CONNECTIONS
from driving.port import AllowList, is_local_name, listen, reachable_address

# --- Who is refused -------------------------------------------------------------------


def test_web_pages_of_other_origins_are_refused(running):
    """A page somewhere on the web must not see or steer through the user's browser."""
    with connect(running.url, origin=f"http://127.0.0.1:{running.port}") as client:
        assert client.recv(timeout=5).startswith("0{")
    with pytest.raises(InvalidHandshake):
        connect(running.url, origin="http://example.com").__enter__()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4567", "127.0.0.1.nip", "[::"]
)
def test_a_name_that_points_here_is_refused(running, host):
    """A page may let its own name point to 127.0.0.1: then its origin is no other."""
    request = (
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n"
        f"Host: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as raw:
        raw.sendall(request.encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b"")).decode()
    assert " 403 " in answer.splitlines()[0] and "use its address" in answer
    assert not running.server.clients


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("192.168.1.7", True),
        ("::1", True),
        ("", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_addresses_and_localhost_are_nobodys_name(host, is_local):
    assert is_local_name(host) == is_local


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4567", "127.0.0.1.nip"])
def test_a_name_that_points_here_is_refused_the_page_and_its_socket(
    running, car, host, caplog
):
    """Its origin is no other than its Host: DNS rebinding."""
    assert running.get("/", Host=host)[0].status == 403
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Host": host}
    upgrade |= {"Origin": f"http://{host}", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for _ in range(3):
        assert running.get("/cockpit", **upgrade)[0].status == 403
    assert len([r for r in caplog.records if "use its address" in r.message]) == 1
    assert car.steering() == STEERING and not running.cockpit.pages


def scope_from(client, server="192.168.1.7"):
    return {"client": (client, 50_000), "server": (server, 4567)}


@pytest.mark.parametrize(
    ("client", "is_allowed"),
    [
        ("192.168.1.20", True),
        ("10.1.2.3", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.7", True),  # This machine, by its address in the network.
        ("::ffff:192.168.1.20", True),
        ("fd00::5", True),
        ("192.168.1.21", False),
        ("11.1.2.3", False),
        ("::ffff:192.168.1.21", False),
        ("fd01::5", False),
        ("nowhere", False),
    ],
)
def test_simulators_may_come_from_allowed_addresses(client, is_allowed):
    allowed = AllowList(["192.168.1.20", "10.0.0.0/8", "fd00::/16"])
    assert allowed.allows(scope_from(client)) == is_allowed
    assert AllowList([]).allows(scope_from(client))


@pytest.mark.parametrize("text", ["::ffff:192.168.1.20", "::ffff:192.168.1.0/120"])
def test_address_of_ipv4_is_such_also_as_one_of_ipv6(text):
    allowed = AllowList([text])
    for client in ("192.168.1.20", "::ffff:192.168.1.20"):
        assert allowed.allows({"client": (client, 1), "server": ("10.0.0.1", 1)})
    assert not allowed.allows({"client": ("192.168.2.20", 1), "server": None})
    assert "192.168.1." in str(allowed)


@pytest.mark.parametrize("text", ["192.168.1", "pc.local", "192.168.1.20/8", ""])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="expected an address or network"):
        AllowList([text])


def test_a_simulator_from_elsewhere_is_refused_and_pages_are_not(jpeg):
    """This machine comes from an address of the network, to one of its own."""
    address = reachable_address("0.0.0.0")
    if address == "127.0.0.1":
        pytest.skip("needs an address of this machine in a network")
    source = {"source_address": (address, 0)}
    with serving(allowed=AllowList(["192.0.2.1"])) as running:
        with pytest.raises(InvalidStatus, match="403"):
            connect(running.url, **source).__enter__()
        with running.page(**source) as page, running.simulator() as client:
            assert state_of(page)
            client.send(telemetry(jpeg))
            until_steering(client, STEERING)
    with (
        serving(allowed=AllowList([address])) as running,
        connect(running.url, **source) as client,
    ):
        client.send(telemetry(jpeg))
        until_steering(client, STEERING)


# --- Bounds ---------------------------------------------------------------------------


def test_endless_message_costs_its_connection_and_no_other(jpeg, monkeypatch):
    monkeypatch.setattr("driving.speakers.MOST_WEBSOCKET_BYTES", 3_000_000)
    with (
        serving() as running,
        running.simulator() as other,
        running.simulator() as client,
    ):
        # It may be closed while the message is still on its way.
        with pytest.raises(ConnectionClosed):
            client.send(telemetry(jpeg, image="A" * 4_000_000))
            until_steering(client, STEERING)
        other.send(telemetry(jpeg))
        until_steering(other, STEERING)


def test_a_page_that_stops_reading_is_dropped_and_memory_stays_flat(
    running, jpegs, monkeypatch
):
    monkeypatch.setattr("driving.cockpit.app.STALLED_S", 0.3)
    monkeypatch.setattr("driving.door.LAST_WORDS_S", 0.1)
    process = psutil.Process()
    with running.simulator() as client, running.page() as reader, ExitStack() as stack:
        car = Drive(client, jpegs)
        car.frame()
        for _ in range(5):
            raw = stack.enter_context(raw_page(running))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while len(running.cockpit.pages) < 6:
            time.sleep(0.01)
        resident = process.memory_info().rss
        deadline = time.monotonic() + 30
        while len(running.cockpit.pages) > 1:
            assert car.steering() == STEERING and time.monotonic() < deadline
            state_of(reader)
        # What five pages may be owed is some 100 kB each.
        assert process.memory_info().rss - resident < 20e6
        state_of(reader, lambda s: s["simulator"] == "driving")


def test_a_thousand_connections_are_refused_and_the_car_drives_on(running, car, caplog):
    host, port = running.host.split(":")
    assert car.steering() == STEERING
    with running.page() as page, ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(socket.create_connection((host, int(port))))
        assert [car.steering() for _ in range(20)] == [STEERING] * 20
        state_of(page, lambda s: s["simulator"] == "driving")
    said = [r for r in caplog.records if f"{MOST_CONNECTIONS} connections" in r.message]
    assert len(said) == 1
    deadline = time.monotonic() + 20
    while True:  # They are gone: a new page is served again.
        try:
            with running.page() as page:
                assert state_of(page)
            return
        except (OSError, ConnectionClosed, InvalidStatus, EOFError):
            assert time.monotonic() < deadline


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch):
    monkeypatch.setattr("driving.door.FIRST_REQUEST_S", 0.2)
    with serving() as running, running.page() as page:
        host, port = running.host.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n")
            with suppress(ConnectionResetError):
                assert raw.recv(10) == b""
        assert state_of(page)


def test_a_message_of_100_mb_costs_its_connection_and_nothing_else(
    running, car, caplog
):
    process = psutil.Process()
    car.frame()
    resident = process.memory_info().rss
    piece = bytes(1_000_000)
    with running.page() as other:
        for _ in range(2):
            with raw_page(running) as raw, pytest.raises(OSError):
                raw.sendall(b"\x81\xff" + (100 * len(piece)).to_bytes(8, "big"))
                raw.sendall(b"mask")
                for _ in range(100):
                    raw.sendall(piece)
                while raw.recv(65536):
                    pass
                raise ConnectionResetError
            assert car.steering() == STEERING
        state_of(other, lambda s: s["simulator"] == "driving")
    said = [r for r in caplog.records if "message over 1024 bytes" in r.message]
    assert len(said) == 1
    assert process.memory_info().rss - resident < 20e6


# --- Addresses ------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.7", "::1"])
def test_an_address_of_this_machine_is_shown_as_it_is(host):
    assert reachable_address(host) == host


def test_all_addresses_are_shown_as_one_that_can_be_reached():
    with listen("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((reachable_address("0.0.0.0"), port), timeout=5):
            pass
