"""Models against figures that others measured on the same split. Skips where the data are absent."""

import pytest

from isthmus.batch import Bag
from isthmus.errors import IsthmusError
from isthmus.models import ease, edlae
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run
from isthmus_interactions.datasets import movielens_1m_split


def split(name):
    try:
        return movielens_1m_split(name)
    except IsthmusError as error:
        pytest.skip(f"MovieLens-1M is not here: {error}")


def fitted(matrix, regularisation):
    recipe = ease(Bag(matrix.shape[1]), generator=Run().generator(), regularisation=regularisation)
    recipe.fit(BagSource.from_csr(matrix), Run(device="cpu"))
    return recipe.model


@pytest.mark.slow
def test_ease_on_the_ultragcn_split_of_ml_1m():
    """EASE with λ = 800: recall@20 .2761, nDCG@20 .2677 (another implementation)."""
    data = split("ultragcn")
    model = fitted(data.train.matrix, 800.0)
    measured = evaluate(model, data.test.history, data.test.held_out, ("recall@20", "ndcg@20"))
    assert measured.means["recall@20"] == pytest.approx(0.2761, abs=5e-4)
    assert measured.means["ndcg@20"] == pytest.approx(0.2677, abs=5e-4)


@pytest.mark.slow
def test_ease_on_the_infinite_ae_split_of_ml_1m():
    """EASE with λ = 1000 on the training rows, told those of validation too: nDCG@10 .341 (another implementation)."""
    data = split("infinite_ae")
    model = fitted(data.train.matrix, 1000.0)
    measured = evaluate(model, data.test.history, data.test.held_out, ("ndcg@10",))
    assert measured.means["ndcg@10"] == pytest.approx(0.341, abs=2e-3)


@pytest.mark.slow
def test_edlae_on_the_ultragcn_split_of_ml_1m():
    """EDLAE with λ = 400, p = 0.5: recall@20 .2780, nDCG@20 .2697 (an independent implementation)."""
    data = split("ultragcn")
    recipe = edlae(Bag(data.train.matrix.shape[1]), generator=Run().generator(), regularisation=400.0, dropout=0.5)
    recipe.fit(BagSource.from_csr(data.train.matrix), Run(device="cpu"))
    measured = evaluate(recipe.model, data.test.history, data.test.held_out, ("recall@20", "ndcg@20"))
    assert measured.means["recall@20"] == pytest.approx(0.2780, abs=5e-4)
    assert measured.means["ndcg@20"] == pytest.approx(0.2697, abs=5e-4)
