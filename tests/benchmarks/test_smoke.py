"""Every benchmark does its work on tiny data, without network or data sets, and keeps nothing."""

import pytest
import torch

from benchmarks.catalogue import MODULES, benchmark
from benchmarks.harness import RESULTS


@pytest.fixture
def _threads():
    """Some benchmarks measure on one thread."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_runs_and_makes_its_table(name, monkeypatch):
    monkeypatch.delenv("ISTHMUS_DATA", raising=False)
    before = {path: path.stat().st_size for path in RESULTS.iterdir()}
    module = benchmark(name)
    lines = module.run(smoke=True)
    assert lines
    assert {line["name"] for line in lines} == {name}
    assert module.table(lines)
    assert {path: path.stat().st_size for path in RESULTS.iterdir()} == before
