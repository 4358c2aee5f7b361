"""The allocator's settings: tables freed and made again keep their pages while inside, and the defaults come back."""

import resource
import sys

import pytest
import torch

from isthmus.training import memory
from isthmus.training.memory import freed_memory_stays

FLOATS = 16 << 20
PAGES = FLOATS * 4 // resource.getpagesize()


def faults(times=4):
    """Page faults of making and dropping a table of 64 MB, once the heap has found room for it."""
    for _ in range(10):
        torch.ones(FLOATS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(FLOATS)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / times


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc")
def test_freed_tables_keep_their_pages_only_while_inside():
    before = faults()
    if before < 0.5 * PAGES:
        pytest.skip("this system does not hand pages back one by one")
    with freed_memory_stays():
        inside = faults()
    assert inside < 0.1 * before
    assert faults() > 0.5 * before


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with freed_memory_stays():
        assert torch.ones(3).sum() == 3
