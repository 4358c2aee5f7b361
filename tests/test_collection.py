"""Every process collects the same tests under the same names, at any time of day."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNSTEADY = re.compile(r"\\x[0-9a-f]{2}|\bat 0x[0-9a-f]+|0x[0-9a-f]{7,}")
"""Bytes, and addresses of objects."""


def test_no_name_holds_bytes_or_addresses(request: pytest.FixtureRequest) -> None:
    found = [item.nodeid for item in request.session.items if UNSTEADY.search(item.nodeid)]
    assert not found


@pytest.mark.parametrize(
    "name",
    [r"test_a[\x1f\x8b]", "test_a[<object at 0x7f3a>]", "test_a[0x7f12345678]"],
    ids=["bytes", "object", "address"],
)
def test_unsteady_names_are_seen(name: str) -> None:
    assert UNSTEADY.search(name)


@pytest.mark.slow
def test_two_processes_collect_alike() -> None:
    """One after the other, with other orders of sets: neither clock nor hash is part of a name."""
    first, second = collected("1"), collected("2")
    assert len(first) > 1000
    assert first == second


def collected(seed: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if "::" in line]
