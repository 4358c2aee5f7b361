"""Re-ranking for diversity, against a greedy reference in plain Python."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch
from planted import default, planted
from scipy.sparse import csr_array

from isthmus.errors import SettingError
from isthmus.protocols import Neighbours
from isthmus_interactions import Recommender
from isthmus_interactions.datasets import demo_goodbooks
from isthmus_interactions.recommend import diversity
from isthmus_interactions.recommend.diversity import Diversity


def some_told(seed: int = 0, people: int = 30, items: int = 25) -> csr_array:
    generator = np.random.default_rng(seed)
    dense = (generator.random((people, items)) < 0.2) * generator.integers(1, 4, (people, items))
    dense[:, 3] = 0  # nobody touched it
    return csr_array(dense.astype(np.float32))


def candidates_of(seed: int, people: int = 17, width: int = 12, items: int = 25) -> Neighbours:
    """Different candidates for each person; some have fewer, one has none, and one has equal scores."""
    generator = np.random.default_rng(seed)
    rows = np.stack([generator.permutation(items)[:width] for _ in range(people)])
    scores = -np.sort(-generator.normal(size=(people, width)), axis=1).astype(np.float32)
    scores[4] = 2.5
    for person, filled in ((1, 3), (2, 1), (3, 0)):
        rows[person, filled:], scores[person, filled:] = -1, -np.inf
    return Neighbours(torch.from_numpy(rows), torch.from_numpy(scores))


def cosine(told: npt.NDArray[np.float64], one: int, other: int) -> float:
    norms = np.linalg.norm(told[:, one]) * np.linalg.norm(told[:, other])
    return float(told[:, one] @ told[:, other] / norms) if norms else 0.0


def greedy(told: npt.NDArray[np.float64], rows: list[int], scores: list[float], k: int, weight: float) -> list[int]:
    low, high = min(scores, default=0), max(scores, default=0)
    relevance = [(score - low) / (high - low) if high > low else 0.0 for score in scores]
    order: list[int] = []
    while len(order) < min(k, len(rows)):
        best, most = -1, -np.inf
        for place, row in enumerate(rows):
            near = max((cosine(told, row, rows[other]) for other in order), default=0.0)
            worth = (1 - weight) * relevance[place] - weight * near if order else -place
            if place not in order and worth > most + 1e-12:
                best, most = place, worth
        order.append(best)
    return [rows[place] for place in order]


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("cells", [1, 200, 1 << 24])
def test_the_order_is_that_of_the_greedy_reference(weight: float, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "CELLS", cells)
    told, found, k = some_told(), candidates_of(5), 7
    answered = Diversity(told).rerank(found, k, weight)
    assert answered.rows.shape == answered.scores.shape == (17, k)
    dense, changed = told.toarray().astype(np.float64), 0
    for rows, scores, after, kept in zip(found.rows, found.scores, answered.rows, answered.scores, strict=True):
        filled = rows >= 0
        expected = greedy(dense, rows[filled].tolist(), scores[filled].tolist(), k, weight)
        assert after.tolist() == expected + [-1] * (k - len(expected))
        changed += after.tolist() != rows[:k].tolist()
        own = dict(zip(rows.tolist(), scores.tolist(), strict=True))
        assert kept.tolist() == [own[row] for row in after.tolist()]
    assert changed > 5 if weight else not changed


def test_more_answers_than_candidates() -> None:
    found = candidates_of(5)
    answered = Diversity(some_told()).rerank(found, 99, 0.4)
    assert answered.rows.sort(1).values.tolist() == found.rows.sort(1).values.tolist()


def test_nobody_and_nothing() -> None:
    spread = Diversity(some_told())
    for shape in ((0, 5), (3, 0)):
        empty = Neighbours(torch.empty(shape, dtype=torch.int64), torch.empty(shape))
        assert spread.rerank(empty, 4, 0.5).rows.numel() == 0
    assert spread.intra_list_similarity(torch.empty((0, 4), dtype=torch.int64)).shape == (0,)


def test_diversity_is_a_share(subtests: pytest.Subtests) -> None:
    for wrong in [-0.01, 1.01, float("nan"), float("inf")]:
        with subtests.test(wrong=wrong):
            with pytest.raises(SettingError, match="diversity"):
                Diversity(some_told()).rerank(candidates_of(1), 3, wrong)
            with pytest.raises(SettingError, match="diversity"):
                default("ease").recommend([[0]], diversity=wrong)


@pytest.mark.parametrize("cells", [1, 1 << 24])
def test_intra_list_similarity_is_the_mean_over_pairs(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "CELLS", cells)
    told, rows = some_told(), candidates_of(3).rows
    found = Diversity(told).intra_list_similarity(rows)
    dense = told.toarray().astype(np.float64)
    for row, given in zip(rows.tolist(), found.tolist(), strict=True):
        filled = [one for one in row if one >= 0]
        pairs = [cosine(dense, one, other) for place, one in enumerate(filled) for other in filled[:place]]
        assert given == pytest.approx(np.mean(pairs)) if pairs else np.isnan(given)


# --- through the recommender -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mult_vae", "ease"])
def test_without_diversity_nothing_changes(model: str) -> None:
    recommender = default(model)
    for options in ({}, {"exclude_seen": False}, {"allow": [0, 10, 20, 80]}):
        plain = recommender.recommend([[0, 10], []], 6, **options)
        assert recommender.recommend([[0, 10], []], 6, diversity=0.0, **options) == plain


def test_filters_hold_and_scores_are_the_models() -> None:
    recommender = default("mult_vae")
    history = [0, 10, 80]
    (plain,) = recommender.recommend([history], 24)
    scores = dict(zip(plain.ids, plain.scores, strict=True))
    (answer,) = recommender.recommend([history], 8, diversity=0.7)
    assert not set(answer.ids) & set(history)
    assert answer.ids[0] == plain.ids[0]
    assert answer.ids != plain.ids[:8]
    assert answer.scores == pytest.approx([scores[id_] for id_ in answer.ids], rel=1e-5, abs=1e-5)
    (allowed,) = recommender.recommend([history], 8, diversity=1.0, allow=[0, 20, 30, 90, 170])
    assert set(allowed.ids) == {20, 30, 90, 170}
    (everything,) = recommender.recommend([history], 10**12, diversity=0.5)
    assert set(everything.ids) == set(plain.ids)


def test_full_diversity_goes_through_the_groups() -> None:
    """Nobody touched items of two groups, so that their similarity is 0."""
    (answer,) = default("ease").recommend([[0, 10, 20]], 3, diversity=1.0)
    assert {id_ // 80 for id_ in answer.ids} == {0, 1, 2}


def test_the_popular_are_spread_too() -> None:
    (answer,) = default("ease").recommend([[]], 3, diversity=0.99)
    assert answer.popular
    assert {id_ // 80 for id_ in answer.ids} == {0, 1, 2}


def test_everybodys_answers_are_spread_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus_interactions.recommend.export.USERS_AT_A_TIME", 40)
    recommender = default("ease")
    recommender.recommend_all(tmp_path / "recs.parquet", 4, diversity=0.6)
    answers = recommender.recommend_users(range(1000, 1090), 4, diversity=0.6)
    items = pq.read_table(tmp_path / "recs.parquet")["item"].to_pylist()
    assert items == [id_ for answer in answers for id_ in answer.ids]
    assert answers != recommender.recommend_users(range(1000, 1090), 4)
    assert answers[7:8] == recommender.recommend_users([1007], 4, diversity=0.6), "the others have no influence"


def test_lists_of_books_get_less_alike_as_diversity_rises() -> None:
    data = demo_goodbooks()[0]
    readers = data.select_users(np.arange(150))
    recommender = Recommender.fit(data, "ease", validation=0.0, regularisation=200.0)
    spread, falling = Diversity(recommender.interactions), []
    for weight in (0.0, 0.1, 0.3, 0.5, 0.7, 1.0):
        answers = recommender.recommend(readers, 10, diversity=weight)
        rows = torch.tensor(np.stack([recommender.adapter.items.rows(answer.ids) for answer in answers]))
        falling.append(float(spread.intra_list_similarity(rows).mean()))
    assert all(after < before for before, after in pairwise(falling)), falling
    assert falling[-1] < 0.5 * falling[0]


def test_planted_people_are_no_exception() -> None:
    spread, recommender = Diversity(planted().matrix), default("mult_vae")
    ids_like = [
        float(spread.intra_list_similarity(torch.tensor([[id_ // 10 for id_ in answer.ids]])))
        for weight in (0.0, 1.0)
        for answer in recommender.recommend([[0, 10, 20]], 5, diversity=weight)
    ]
    assert ids_like[1] < ids_like[0]
