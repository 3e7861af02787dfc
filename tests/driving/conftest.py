"""What the tests of driving share: a server that runs, pictures, and a simulator."""

import pytest
from running_drive import Drive, make_jpegs, serving


@pytest.fixture
def running():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def jpegs():
    return make_jpegs(8)


@pytest.fixture(scope="module")
def jpeg(jpegs):
    return jpegs[0]


@pytest.fixture
def car(running, jpegs):
    """A simulator that is connected."""
    with running.simulator() as client:
        yield Drive(client, jpegs)
