"""The allocator's settings: tables freed and made again keep their pages while inside, and the defaults come back."""

import json
import subprocess
import sys

import pytest
import torch

from isthmus.training import process
from isthmus.training.process import keep_freed_memory

CHILD = """
import json, resource, torch
from pathlib import Path
from isthmus.training.process import keep_freed_memory

def faults():
    "The fewest page faults of a table of 64 MB made and dropped: which ones find room depends on what lies between."
    def one():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return min(one() for _ in range(40))

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

outside, start = faults(), resident()
with keep_freed_memory():
    inside, kept = faults(), resident() - start
print(json.dumps([outside, inside, kept, resident() - start]))
"""


@pytest.mark.skipif(process._glibc() is None, reason="the C library is not glibc")
def test_freed_tables_keep_their_pages_while_inside_and_give_them_back():
    """In a process of its own: what an allocator does depends on all that was allocated before."""
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    outside, inside, kept, left = json.loads(done.stdout)
    if outside < 8000:
        pytest.skip("this system does not hand pages back one by one")
    assert inside < 0.1 * outside
    assert kept > 60
    assert left < 20


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert process._glibc() is None
    with keep_freed_memory():
        assert torch.ones(3).sum() == 3
