"""Baselines against their definitions, and the ranker's contract for everything that ranks here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from planted import RUN, default, planted, trained
from scipy.sparse import csr_array

from isthmus.batch import Bag, Bags
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.linear.sparse import SparseLinear
from isthmus.core.rankers import Blend, ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Ranker
from isthmus.sources import VectorSource
from isthmus.tasks.similar import SimilarColumns
from isthmus.testing.ranker import RankerContract
from isthmus_interactions import Interactions, Recommender, baselines
from isthmus_interactions.baselines import Popularity, PopularityFallback, item_neighbours


class OnPlantedBags(RankerContract):
    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 0, 9, 12]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 2.0, 1.0, 1.0]))


class TestEase(OnPlantedBags):
    def ranker(self) -> Ranker:
        return ranker_of(default("ease").model)


class TestBlend(OnPlantedBags):
    def ranker(self) -> Ranker:
        blend = Blend([default("mult_dae").model, default("ease").model])
        blend.weigh([0.3, 2.0], [0.0, 0.5])
        return blend


class TestItemKnn(OnPlantedBags):
    def ranker(self) -> Ranker:
        return ranker_of(default("item_knn").model)


class TestPopularityFallback(OnPlantedBags):
    def ranker(self) -> Ranker:
        return default("mult_vae").ranker


def test_what_cannot_rank_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot rank"):
        ranker_of(torch.nn.Linear(2, 2))


def test_popularity_is_the_share_of_users() -> None:
    matrix = planted().matrix
    popular = Popularity.of(matrix)
    np.testing.assert_allclose(popular.scores(2)[1], (matrix.toarray() > 0).mean(0), rtol=1e-6)
    first = popular.scores(1)
    first.fill_(7)
    assert (popular.scores(1) <= 1).all()
    assert popular.scores(3, torch.tensor([4, 0])).shape == (3, 2)


def test_only_empty_histories_get_popularity() -> None:
    model, popular = ranker_of(default("ease").model), Popularity.of(planted().matrix)
    joined, bags = PopularityFallback(model, popular), OnPlantedBags.bags(None)
    columns = torch.tensor([5, 1])
    scores = joined.scores(joined.prepare(bags), columns)
    torch.testing.assert_close(scores[[0, 2, 3]], model.scores(model.prepare(bags), columns)[[0, 2, 3]])
    torch.testing.assert_close(scores[1], popular.shares[columns])


def test_item_neighbours_are_cosines(subtests: pytest.Subtests) -> None:
    for neighbours in [1, 3, 23, 24, 100]:
        with subtests.test(neighbours=neighbours):
            dense = planted(20).matrix.toarray().astype(np.float64)
            norms = np.linalg.norm(dense, axis=0)
            expected = dense.T @ dense / norms[:, None] / norms
            np.fill_diagonal(expected, 0)
            if neighbours < 24:
                smallest = np.sort(expected, axis=0)[-neighbours]
                expected[expected < smallest - 1e-9] = 0
            found = item_neighbours(planted(20).matrix, neighbours).weights.numpy()
            # Equal cosines may differ in the last bit, and then one of two that tie for the last place goes.
            assert (np.abs(found - expected) > 1e-5).sum() <= 4
            assert (np.diag(found) == 0).all()


def test_item_neighbours_need_one() -> None:
    with pytest.raises(SettingError, match="neighbours"):
        item_neighbours(planted().matrix, 0)


def test_a_linear_model_gathers_only_what_it_needs() -> None:
    """Blocks and lists of columns, with more and with fewer rows than the matrix has, equal the whole product."""
    model, bags = default("ease").model, OnPlantedBags.bags(None)
    assert isinstance(model, LinearAutoencoder)
    dense = torch.zeros(4, 24).index_put_((bags.rows(), bags.indices), bags.weights)
    whole = dense @ model.weights
    for columns in (None, slice(0, 24), slice(0, 5), slice(5, 24), torch.tensor([23, 0, 23])):
        expected = whole if columns is None else whole[:, columns]
        torch.testing.assert_close(model.scores(bags, columns), expected, atol=1e-6, rtol=1e-5)


def test_what_has_no_vectors_has_no_similar_columns() -> None:
    with pytest.raises(SettingError, match="no vectors"):
        SimilarColumns(torch.nn.Linear(2, 2))


# --- counted rather than trained -------------------------------------------------------------------------------------


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


def test_popularity_answers_everybody_alike() -> None:
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
