"""The benchmark's generator and its measured part, on a small scale."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("csv_loading")


def test_the_file_is_the_same_every_time_and_loads(benchmark, tmp_path):
    for name in ("one.csv", "two.csv"):
        benchmark.write_ratings(tmp_path / name, 5_000)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    numbers = benchmark.load(str(tmp_path / "one.csv"), None)
    assert numbers["report"].split(";")[0].endswith("from 5,000 rows")
    assert numbers["users"] <= 100
    everything = benchmark.load(str(tmp_path / "one.csv"), "all")
    assert everything["interactions"] > numbers["interactions"] > 0
