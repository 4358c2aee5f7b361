"""The fold-in of ALS against implicit's own, and against its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import default, planted
from scipy.sparse import csr_matrix

from isthmus.batch import Bag, Bags, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Ranker, RankingReadout
from isthmus.sources import BagSource
from isthmus.testing.ranker import RankerContract
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.factorisation import factors
from isthmus_interactions.factorisation.factors import blocks, only_bags
from isthmus_interactions.factorisation.implicit_models import als

pytest.importorskip("implicit", reason="als and bpr need implicit")


class TestAls(RankerContract):
    def ranker(self) -> Ranker:
        return ranker_of(default("als").model)

    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 0, 9, 12]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 2.0, 1.0, 1.0]))


def weighted(people: int = 40) -> Interactions:
    """Interactions whose weights are not all 1."""
    matrix = planted(people).matrix
    matrix.data[:] = np.random.default_rng(2).uniform(0.2, 3, len(matrix.data))
    return Interactions.from_csr(matrix)


@pytest.mark.parametrize(("alpha", "regularisation"), [(1.0, 0.01), (7.0, 0.5), (0.3, 1.0)])
def test_folding_in_is_what_implicit_calculates(alpha: float, regularisation: float) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    data = weighted()
    model = AlternatingLeastSquares(5, regularisation, alpha, iterations=4, num_threads=1, random_state=3)
    model.fit(csr_matrix(data.matrix), show_progress=False)
    ours = Recommender.from_implicit(model, data).model
    strangers = weighted(60).matrix[40:]
    expected = model.recalculate_user(np.arange(20), csr_matrix(strangers))
    bags = BagSource.from_csr(strangers).batch(torch.arange(20)).inputs
    found = ours.encode(bags).point
    np.testing.assert_allclose(found.numpy(force=True), expected, atol=2e-4, rtol=2e-3)


def test_the_solution_has_no_gradient() -> None:
    """−log p + ½ λ ‖x‖², written here over all items, is least where the encoder says."""
    model = default("als").model
    assert isinstance(model, Autoencoder)
    assert isinstance(model.readout, RankingReadout)
    bags = TestAls().bags()
    x = model.encode(bags).point.detach().double().requires_grad_()
    dense = torch.zeros(4, 24).index_put((bags.rows(), bags.indices), bags.weights)
    confidence, liked = torch.where(dense > 0, dense, 1.0), (dense > 0).double()
    squares = 0.5 * (confidence * (liked - x @ model.readout.weight.double().T).square()).sum(1)
    (squares + 0.5 * 0.1 * x.square().sum(1)).sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) < 1e-5
    torch.testing.assert_close(-model.likelihood(model.readout, x.detach().float(), bags), squares.detach().float())


def test_an_empty_history_has_the_factor_zero() -> None:
    assert not default("als").model.encode(TestAls().bags()).point[1].any()


@pytest.mark.parametrize("numbers", [1, 60, 1 << 22])
def test_blocks_hold_every_bag_once(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factors, "NUMBERS", numbers)
    bags = Bags(torch.tensor([3, 0, 9, 12, 4]), torch.tensor([0, 2, 2, 5]), torch.arange(1.0, 6.0))
    parts = list(blocks(bags, 2, 10))
    assert len(parts) == {1: 3, 60: 1, 1 << 22: 1}[numbers]
    seen = {
        int(row): (part.items[place][part.there[place]].tolist(), part.weights[place][part.there[place]].tolist())
        for part in parts
        for place, row in enumerate(part.rows)
    }
    assert seen == {0: ([3, 0], [1, 2]), 1: ([], []), 2: ([9, 12, 4], [3, 4, 5])}
    none = Bags(torch.zeros(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), torch.zeros(0))
    assert not list(blocks(none, 2, 10))
    assert default("als").model.encode(none).point.shape == (0, 6)


def test_blocks_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, bags = default("als").model, TestAls().bags()
    whole = model.encode(bags).point
    monkeypatch.setattr(factors, "NUMBERS", 1)
    torch.testing.assert_close(model.encode(bags).point, whole)


def test_without_regularisation_there_is_an_answer() -> None:
    """More factors than items leave YᵀY without an inverse."""
    generator = torch.Generator().manual_seed(0)
    model = als(Bag(24), generator=generator, factors=40, regularisation=0.0).model
    found = model.encode(TestAls().bags()).point
    assert bool(found.isfinite().all())
    scores = ranker_of(model).scores(found)[0, [3, 0]] - model.readout.bias[[3, 0]]
    torch.testing.assert_close(scores, torch.ones(2), atol=1e-3, rtol=0)


def test_only_bags_can_be_read() -> None:
    for wrong in (Values(torch.zeros(2, 3)), None):
        with pytest.raises(SettingError, match="expected bags"):
            only_bags(wrong)
