"""Where the answers of ``recommend`` come from: an index over the readout ranks as scoring every item does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted

from isthmus.core.rankers import ranker_of
from isthmus.index.exact.searcher import rank
from isthmus.index.faiss import FaissSearcher
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists
from isthmus.training.run import Run
from isthmus_interactions import Recommender
from isthmus_interactions.recommend import top_k
from isthmus_interactions.recommend.histories import history_batch


@pytest.fixture(scope="module", params=["mult_vae", "elsa", "ease"])
def recommender(request: pytest.FixtureRequest) -> Recommender:
    given = {} if request.param == "ease" else {"epochs": 3}
    return Recommender.fit(planted(90), model=request.param, run=Run(seed=0), **given)


HISTORIES = [[0, 10], [], [30], [9999], [20, 50, 70]]


def assert_ranked_alike(found: Neighbours, expected: Neighbours) -> None:
    """The same scores, and the same rows wherever a score is apart from those beside it: for ELSA, both items of a
    history of two have one score, and rounding decides between them."""
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-5, atol=1e-5)
    gaps = torch.nn.functional.pad(expected.scores.diff(dim=1).abs(), (1, 0), value=1.0) > 1e-4
    # What follows the last one is not known.
    apart = gaps & torch.nn.functional.pad(gaps[:, 1:], (0, 1), value=False)
    assert apart.any(1).sum() >= 3
    assert torch.equal(found.rows[apart], expected.rows[apart])


@pytest.mark.parametrize("allowed", [None, [0, 3, 4, 5, 7, 8]])
def test_known_and_unknown_histories_are_ranked_as_by_scoring_every_item(
    recommender: Recommender, allowed: list[int] | None
) -> None:
    bags = history_batch(HISTORIES, recommender.adapter.items).bags
    seen, only = RowLists(bags.indices, bags.offsets), None if allowed is None else torch.tensor(allowed)
    found = recommender._engine._ranking.best(bags, 6, exclude=seen, allow=only)
    expected = rank(recommender.ranker, bags, 6, exclude=seen, allow=only)
    assert_ranked_alike(found, expected)
    own = RowLists(torch.arange(10).repeat(5), torch.arange(0, 51, 10))
    assert_ranked_alike(
        recommender._engine._ranking.best(bags, 4, allow=own), rank(recommender.ranker, bags, 4, allow=own)
    )


def test_the_index_is_measured_with_histories_of_the_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = Recommender.fit(planted(90), model="mult_dae", epochs=1, run=Run(seed=0))
    given = []

    def approximate(vectors: torch.Tensor, metric: str, queries):
        given.append(queries())
        return FaissSearcher.build(vectors, "flat", metric)

    monkeypatch.setattr(top_k, "searcher_over", approximate)
    first = recommender.recommend([[0, 10]], 3)[0]
    assert recommender.recommend([[0, 10]], 3)[0] == first
    (asked,) = given
    network = ranker_of(recommender.model)
    told = np.diff(recommender.interactions.indptr) > 0
    assert asked.shape == (int(told.sum()), network.readout.weight.shape[1] + 1)
