"""The allocator's settings: tables freed and made again keep their pages while inside, and the defaults come back."""

import json
import subprocess
import sys

import pytest
import torch

from isthmus.training import memory
from isthmus.training.memory import freed_memory_stays

CHILD = """
import json, resource, torch
from isthmus.training.memory import freed_memory_stays

def faults():
    "Page faults of a table of 64 MB made and dropped, once the heap has found room for it."
    for _ in range(10):
        torch.ones(16 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16 << 20)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 4

before = faults()
with freed_memory_stays():
    inside = faults()
print(json.dumps([before, inside, faults()]))
"""


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc")
def test_freed_tables_keep_their_pages_only_while_inside():
    """In a process of its own: what an allocator does depends on all that was allocated before."""
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, inside, after = json.loads(done.stdout)
    if before < 8000:
        pytest.skip("this system does not hand pages back one by one")
    assert inside < 0.1 * before
    assert after > 0.5 * before


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with freed_memory_stays():
        assert torch.ones(3).sum() == 3
