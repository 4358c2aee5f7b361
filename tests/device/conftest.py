"""A process with a pretend accelerator, shared by the tests of a module; each case runs in a fork of it."""

from collections.abc import Iterator

import pytest
from device_cases.server import Server


@pytest.fixture(scope="module")
def pretend() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def pretend_mps() -> Iterator[Server]:
    """The same without float64 and without sparse tensors, which MPS has not."""
    server = Server("float64 sparse")
    yield server
    server.close()
