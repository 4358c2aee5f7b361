"""Numbers whose squares float32 cannot hold never reach FAISS, where they would end the process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.index import Index
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher
from isthmus.index.faiss.product_quantiser import product_quantised
from isthmus.index.searchers import searcher_over
from isthmus.index.storage import saving
from isthmus.index.vectors import LONGEST, LONGEST_QUERY, check_k, check_lengths, check_queries

KINDS = ("exact", "ivf", "ivf-bf16", "ivf-pq", "rabitq", "hnsw", "sq8", "fp16")


def vectors(row: int = 7, length: float = 1.0, rows: int = 300) -> torch.Tensor:
    made = torch.randn(rows, 8, generator=torch.Generator().manual_seed(0))
    made[row] *= length / made[row].norm()
    return made


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("length", [1e19, 3e38])
def test_too_long_vectors_are_refused_by_row(metric, length: float):
    long = vectors(7, length)
    with pytest.raises(ValueRangeError, match=r"vector 7 .*1e\+15.*cosine"):
        Index.build(long, metric=metric)
    for build in (ExactSearcher.build, searcher_over, lambda v, m: FaissSearcher.build(v, "ivf", m)):
        with pytest.raises(ValueRangeError, match="vector 7"):
            build(long, metric)
    index = Index.build(vectors(), metric=metric)
    for change in (lambda: index.add(long), lambda: index.update(long, list(range(300)))):
        with pytest.raises(ValueRangeError, match="vector 7"):
            change()
    assert len(index) == 300
    with pytest.raises(ValueRangeError, match="query 7"):
        index.search(long * 1e4 if length < 1e20 else long, 3)
    with pytest.raises(ValueRangeError, match="query 7"):
        index.within(long * 1e4 if length < 1e20 else long, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_that_are_taken_are_answered(kind: str):
    for metric in ("ip", "l2", "cosine"):
        long = vectors(7, 3e38 if metric == "cosine" else 0.99 * LONGEST)
        index = Index.build(long, metric=metric, kind=kind, target_recall=0.01)
        if kind == "exact":
            assert index.search(long[7:8], 1).ids == [[7]]
        asked = torch.ones(8) * min(LONGEST_QUERY[metric], 3e38) / 3
        assert np.isfinite(index.search(asked, 3).scores[0]).all()


def test_cosines_of_any_length_are_right():
    plain, scaled = vectors(), vectors() * 1e30
    wanted = Index.build(plain, metric="cosine").search(plain[:5], 4).ids
    assert Index.build(scaled, metric="cosine").search(scaled[:5], 4).ids == wanted


def test_many_moderate_numbers_may_make_a_long_vector():
    wide = torch.full((2, 10_000), 0.9 * LONGEST / 100)
    check_lengths(wide, "l2")
    wide[1] *= 1.2
    with pytest.raises(ValueRangeError, match="vector 1"):
        check_lengths(wide, "l2")
    check_lengths(wide, "cosine")
    check_queries(wide, 10_000, torch.device("cpu"), "l2")


def test_codebooks_are_not_learned_from_them():
    made = vectors(7, 1e20).numpy()
    with pytest.raises(ValueRangeError, match="vector 7"):
        product_quantised(made, made, 4)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_a_saved_index_with_such_vectors_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        for module in ("isthmus.index.build", "isthmus.index.exact.searcher"):
            patched.setattr(f"{module}.check_lengths", lambda *_: None, raising=False)
        index = Index.build(vectors(), kind=kind, target_recall=0.01)
        index._state.snapshot.base.vectors[3] *= 1e20
        index.save(tmp_path / "a")
    with pytest.raises(BundleError, match="vector 3"):
        Index.load(tmp_path / "a")
    assert saving.check_lengths is check_lengths


def test_more_answers_than_memory_are_refused():
    for wanted in (10**12, 10**18):
        with pytest.raises(SettingError, match="memory"):
            check_k(wanted, 1)
        with pytest.raises(SettingError, match="memory"):
            ExactSearcher.build(vectors()).search(vectors()[:2], wanted)
        assert len(Index.build(vectors()).search(vectors()[0], wanted).ids[0]) == 300
    with pytest.raises(InputError):
        check_k(0)
