"""Baselines against their definitions, and the ranker's contract for everything that ranks here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import default, planted

from isthmus.batch import Bags
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.rankers import AutoencoderRanker, Blend, ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Ranker
from isthmus.tasks.similar import SimilarColumns
from isthmus.testing.ranker import RankerContract
from isthmus_interactions.baselines import Popularity, PopularityFallback, item_neighbours


class OnPlantedBags(RankerContract):
    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 0, 9, 12]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 2.0, 1.0, 1.0]))


class TestMultVae(OnPlantedBags):
    def ranker(self) -> Ranker:
        return AutoencoderRanker(default("mult_vae").model)


class TestEase(OnPlantedBags):
    def ranker(self) -> Ranker:
        return ranker_of(default("ease").model)


class TestBlend(OnPlantedBags):
    def ranker(self) -> Ranker:
        blend = Blend([default("mult_dae").model, default("ease").model])
        blend.weigh([0.3, 2.0], [0.0, 0.5])
        return blend


class TestItemNeighbours(OnPlantedBags):
    def ranker(self) -> Ranker:
        return item_neighbours(planted().matrix, 5)


class TestOrPopular(OnPlantedBags):
    def ranker(self) -> Ranker:
        return default("mult_vae").ranker


def test_what_cannot_rank_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot rank"):
        ranker_of(torch.nn.Linear(2, 2))


def test_popularity_is_the_share_of_people() -> None:
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


@pytest.mark.parametrize("neighbours", [1, 3, 23, 24, 100])
def test_item_neighbours_are_cosines(neighbours: int) -> None:
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
