"""Popularity and item nearest neighbours as models to fit, save and load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from planted import RUN, default, planted, trained
from scipy.sparse import csr_array

from isthmus.batch import Bag, Bags
from isthmus.core.linear.sparse import SparseLinear
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Ranker
from isthmus.sources import VectorSource
from isthmus.testing.ranker import RankerContract
from isthmus_interactions import Interactions, Recommender, baselines
from isthmus_interactions.baselines import Popularity, item_neighbours


class TestItemKnn(RankerContract):
    def ranker(self) -> Ranker:
        return ranker_of(default("item_knn").model)

    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 0, 9, 12]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 2.0, 1.0, 1.0]))


def dense(model: torch.nn.Module) -> np.ndarray:
    assert isinstance(model, SparseLinear)
    return torch.stack([model.weights_for(column) for column in range(model.width)], 1).numpy()


@pytest.mark.parametrize("neighbours", [1, 4, 23, 100])
@pytest.mark.parametrize("block", [1 << 23, 50])
def test_neighbours_are_the_dense_ones(neighbours: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "COSINES_AT_A_TIME", block)
    generator = np.random.default_rng(0)
    # Real numbers, so that no two cosines are equal.
    rows = generator.random((60, 24)) * (generator.random((60, 24)) < 0.5)
    data = Interactions.from_csr(csr_array(rows.astype(np.float32)))
    found = trained("item_knn", data, neighbours=neighbours)
    expected = item_neighbours(data.matrix, neighbours).weights.numpy()
    np.testing.assert_allclose(dense(found.model), expected, atol=1e-6)


def test_equal_neighbours_come_in_order() -> None:
    """Items 1 to 4 are touched by the same people as item 0."""
    data = Interactions.from_csr(csr_array(np.ones((3, 5), np.float32)))
    model = trained("item_knn", data, neighbours=2).model
    assert isinstance(model, SparseLinear)
    assert model.neighbours.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    torch.testing.assert_close(model.weights, torch.ones(5, 2))


def test_items_that_nobody_touched_have_no_neighbours() -> None:
    rows = np.array([[1, 1, 0], [1, 1, 0]], np.float32)
    model = trained("item_knn", Interactions.from_csr(csr_array(rows)), neighbours=9).model
    np.testing.assert_allclose(dense(model), [[0, 1, 0], [1, 0, 0], [0, 0, 0]], atol=1e-7)


def test_a_single_item_has_no_neighbour() -> None:
    model = trained("item_knn", Interactions.from_csr(csr_array(np.ones((3, 1), np.float32)))).model
    assert not dense(model).any()


def test_popularity_is_the_share_of_people() -> None:
    model = default("popularity").model
    assert isinstance(model, Popularity)
    np.testing.assert_allclose(model.shares, (planted().matrix.toarray() > 0).mean(0), rtol=1e-6)
    answers = default("popularity").recommend([[0, 10], []], 5, exclude_seen=False)
    assert answers[0].ids == answers[1].ids


@pytest.mark.parametrize("name", ["item_knn", "popularity"])
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    recommender = default(name)
    recommender.save(tmp_path / "saved")
    loaded = Recommender.load(tmp_path / "saved")
    assert loaded.recommend([[0, 10], []], 5) == recommender.recommend([[0, 10], []], 5)
    assert loaded.similar_users([[0, 10]], 3) == recommender.similar_users([[0, 10]], 3)
    assert loaded.explain([0, 10], 20) == recommender.explain([0, 10], 20)


def test_the_score_is_taken() -> None:
    history = trained("item_knn", validation=0.2).history
    assert len(history.records) == 1
    assert history.best_score is not None
    assert history.best_score > 0.7
    assert history.best_score > trained("popularity", validation=0.2).history.best_score


def test_popularity_knows_nothing_similar() -> None:
    with pytest.raises(SettingError, match="no vectors"):
        default("popularity").similar_items([0], 3)


def test_similar_items_are_neighbours() -> None:
    assert {id_ // 80 for id_ in default("item_knn").similar_items([100], k=4)[0].ids} == {1}


def test_settings_and_rows_without_meaning_are_refused() -> None:
    with pytest.raises(SettingError, match="neighbours"):
        baselines.item_knn(Bag(5), generator=torch.Generator(), neighbours=0)
    with pytest.raises(SettingError, match="expected bags"):
        baselines.popularity(Bag(3), generator=torch.Generator()).fit(VectorSource(torch.zeros(2, 3)), RUN)
