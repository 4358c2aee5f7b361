"""Spoilt bundles, indexes and input files are read, or refused with a typed error, and nothing else."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import children, spoil
from benchmarks.faults.mutations import WRONG, counted, mutate


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize(("sort", "mutations"), [("bundles", 1200), ("checkpoints", 300), ("inputs", 800)])
def test_no_mutation_ends_in_anything_but_an_answer_or_a_typed_error(sort: str, mutations: int):
    found = list(mutate(sort, mutations, seed=0))
    assert len(found) == mutations
    assert not [one for one in found if one["outcome"] in WRONG]
    # Reading is not given up altogether, and not everything passes.
    assert counted(found)["refused"] > mutations / (100 if sort == "checkpoints" else 20)  # older ones are resumed
    assert counted(found)["same"] > mutations / 100


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_what_dies_and_what_hangs_is_told_by_its_place():
    def work(number: int) -> dict[str, Any]:
        if number == 3:
            os.kill(os.getpid(), 9)
        if number == 5:
            os._exit(7)
        if number == 6:
            time.sleep(600)
        return {"outcome": "same", "number": number}

    # The limit is far above what a busy machine takes to begin a child, which counts into the first piece's time.
    found = list(children.outcomes(9, work, together=4, limit=15.0))
    assert [one["outcome"] for one in found] == [*["same"] * 3, "crash", "same", "crash", "hang", "same", "same"]
    assert [found[place]["signal"] for place in (3, 5)] == [9, -7]


def test_the_same_seed_spoils_alike_and_every_way_is_taken(tmp_path: Path):
    content = b'{"a": 12, "b": [1.5, -3e7]}' * 4
    drawn = [[spoil.spoiled(content, random.Random(seed)) for seed in range(200)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 150
    assert spoil.spoiled(b"", random.Random(0)) is not None
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "manifest.json").write_text("{}")
    assert spoil.spoil_folder(tmp_path / "a", [tmp_path / "a"], random.Random(1)).startswith("manifest.json")
    assert not spoil.stamped_again(tmp_path / "none")
