"""Where the answers of ``recommend`` come from: an index over the readout ranks as scoring every item does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted

from isthmus.core.rankers import ranker_of
from isthmus.index.exact import rank
from isthmus.index.faiss import FaissSearcher
from isthmus.protocols import RowLists
from isthmus.training.run import Run
from isthmus_interactions import Recommender, ranking
from isthmus_interactions.histories import tell


@pytest.fixture(scope="module", params=["mult_vae", "elsa", "ease"])
def recommender(request: pytest.FixtureRequest) -> Recommender:
    given = {} if request.param == "ease" else {"epochs": 3}
    return Recommender.fit(planted(90), model=request.param, run=Run(seed=0), **given)


HISTORIES = [[0, 10], [], [30], [9999], [20, 50, 70]]


@pytest.mark.parametrize("allowed", [None, [0, 3, 4, 5, 7, 8]])
def test_known_and_unknown_histories_are_ranked_as_by_scoring_every_item(
    recommender: Recommender, allowed: list[int] | None
) -> None:
    bags = tell(HISTORIES, recommender.adapter.items).bags
    seen, only = RowLists(bags.indices, bags.offsets), None if allowed is None else torch.tensor(allowed)
    found = recommender._ranking.best(bags, 6, exclude=seen, allow=only)
    expected = rank(recommender.ranker, bags, 6, exclude=seen, allow=only)
    assert found.rows.tolist() == expected.rows.tolist()
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    own = RowLists(torch.arange(10).repeat(5), torch.arange(0, 51, 10))
    lists = [recommender._ranking.best(bags, 4, allow=own), rank(recommender.ranker, bags, 4, allow=own)]
    assert lists[0].rows.tolist() == lists[1].rows.tolist()


def test_the_index_is_measured_with_histories_of_the_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = Recommender.fit(planted(90), model="mult_dae", epochs=1, run=Run(seed=0))
    given = []

    def approximate(vectors: torch.Tensor, metric: str, queries):
        given.append(queries())
        return FaissSearcher.build(vectors, "flat", metric)

    monkeypatch.setattr(ranking, "searcher_over", approximate)
    first = recommender.recommend([[0, 10]], 3)[0]
    assert recommender.recommend([[0, 10]], 3)[0] == first
    (asked,) = given
    network = ranker_of(recommender.model)
    told = np.diff(recommender.told.indptr) > 0
    assert asked.shape == (int(told.sum()), network.readout.weight.shape[1] + 1)
