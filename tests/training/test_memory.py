"""What training changes of the process, and that it is as before afterwards: freed tables keep their pages, denormal
numbers count as zero."""

import json
import subprocess
import sys

import pytest
import torch

from isthmus.training import process
from isthmus.training.process import denormals_as_zero, keep_freed_memory

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


@pytest.mark.slow
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


CAN_RENEW = process._renewal_of_threads() is not None and torch.set_flush_denormal(False)


def denormals() -> float:
    """The share of denormal numbers that stay what they are, over so many that all threads have some."""
    return float((torch.full((1 << 20,), 1e-39) * 1.0 != 0).float().mean())


@pytest.mark.skipif(not CAN_RENEW, reason="threads cannot be told")
def test_denormal_numbers_are_zero_in_all_threads_while_inside():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert denormals() == 1
        with denormals_as_zero():
            assert denormals() == 0
            with denormals_as_zero():
                assert denormals() == 0
            assert denormals() == 0, "the inner one does not end what the outer one began"
        assert denormals() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not CAN_RENEW, reason="threads cannot be told")
def test_they_are_numbers_again_after_an_error():
    with pytest.raises(ValueError, match="inside"), denormals_as_zero():
        raise ValueError("inside")
    assert denormals() == 1


def test_where_threads_cannot_be_told_nothing_changes(monkeypatch):
    monkeypatch.setattr(process, "_renewal_of_threads", lambda: None)
    with denormals_as_zero():
        assert denormals() == 1
