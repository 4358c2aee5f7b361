"""The fold-in of BPR against its loss, written here pair by pair, and against the factors that training found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import default, planted
from scipy.sparse import csr_matrix
from torch.nn import functional as F

from isthmus.batch import Bag, Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.protocols import Ranker, RankingReadout
from isthmus.sources import BagSource
from isthmus.testing.ranker import RankerContract
from isthmus_interactions import Recommender
from isthmus_interactions.factorisation import factors
from isthmus_interactions.factorisation.implicit_models import bpr
from isthmus_interactions.factorisation.pairwise import Opponents, PairwiseFit
from isthmus_interactions.splits import weak

pytest.importorskip("implicit", reason="als and bpr need implicit")


class TestBpr(RankerContract):
    reads_weights = False

    def ranker(self) -> Ranker:
        return ranker_of(default("bpr").model)

    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 0, 9, 12]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 2.0, 1.0, 1.0]))


def parts() -> tuple[Autoencoder, PairwiseFit, RankingReadout]:
    model = default("bpr").model
    assert isinstance(model, Autoencoder)
    assert isinstance(model.encoder, PairwiseFit)
    assert isinstance(model.readout, RankingReadout)
    return model, model.encoder, model.readout


def test_the_solution_has_no_gradient() -> None:
    model, encoder, readout = parts()
    bags, shares = TestBpr().bags(), encoder.opponents.shares
    found = model.encode(bags).point.detach()
    for row in range(bags.size):
        own = bags.indices[bags.offsets[row] : bags.offsets[row + 1]].tolist()
        x = found[row].clone().requires_grad_()
        scores = readout.weight.detach() @ x + readout.bias.detach()
        pairs = [(i, j) for i in own for j in range(24) if j not in own]
        lost = sum((shares[j] * F.softplus(scores[j] - scores[i]) for i, j in pairs), torch.zeros(()))
        ridge = 0.01 * sum(float(shares[j]) for _, j in pairs) + encoder.prior
        (lost + 0.5 * ridge * x.square().sum()).backward()
        assert x.grad is not None
        assert float(x.grad.abs().max()) < 2e-5
        said = model.likelihood(readout, found, bags)[row]
        assert float(said) == pytest.approx(-float(torch.as_tensor(lost).detach()), abs=1e-5)
    assert found[0].abs().max() > 0.05
    assert not found[1].any(), "nothing was touched"


def test_blocks_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, bags = default("bpr").model, TestBpr().bags()
    whole = model.encode(bags).point
    monkeypatch.setattr(factors, "NUMBERS", 1)
    torch.testing.assert_close(model.encode(bags).point, whole, atol=1e-4, rtol=1e-4)


def test_a_far_start_is_overcome() -> None:
    """Factors so long that full Newton steps overshoot: the solution is a minimum all the same."""
    generator = torch.Generator().manual_seed(4)
    model = bpr(Bag(30), generator=generator, factors=4, prior=1e-3).model
    with torch.no_grad():
        model.readout.weight.copy_(30 * torch.randn(30, 4, generator=generator))
    bags = Bags(torch.arange(6), torch.tensor([0, 6]), torch.ones(6))
    found = model.encode(bags).point.detach()
    nearby = found + 0.01 * torch.randn(200, 4, generator=generator)
    many = bags.repeat(200)

    def value(x: torch.Tensor, some: Bags) -> torch.Tensor:
        weights = model.encoder.opponents.shares[6:].sum() * 6 * 0.01 + 1e-3
        return -model.likelihood(model.readout, x, some) + 0.5 * weights * x.square().sum(1)

    assert bool((value(nearby, many) >= value(found, bags)).all())


def test_a_small_catalogue_takes_part_whole() -> None:
    opponents = Opponents(24, 500, verify=True)
    items, each = opponents.drawn()
    assert items.tolist() == list(range(24))
    assert float(each.sum()) == pytest.approx(1)


def test_quantiles_stand_for_popularity() -> None:
    opponents = Opponents(1000, 100, verify=True)
    shares = torch.from_numpy(np.random.default_rng(0).pareto(1.5, 1000)).float()
    opponents.shares.copy_(shares / shares.sum())
    items, each = opponents.drawn()
    assert len(items) <= 100
    assert bool((items.diff() > 0).all())
    assert float(each.sum()) == pytest.approx(1)
    # An item of share s is met by s · 100 quantiles, rounded up or down.
    assert bool(((each - opponents.shares[items]).abs() <= 0.01 + 1e-6).all())
    ends = opponents.shares.double().cumsum(0)
    assert float(each[items < 500].sum()) == pytest.approx(float(ends[499]), abs=0.011)


@pytest.mark.parametrize("verify", [True, False])
def test_opponents_leave_out_what_was_touched(verify: bool) -> None:
    opponents = Opponents(8, 4, verify=verify)
    opponents.shares.copy_(torch.tensor([0.5, 0, 0, 0, 0.25, 0, 0, 0.25]))
    items, each = opponents.drawn()
    assert items.tolist() == [0, 4, 7]
    bags = Bags(torch.tensor([0, 2, 7]), torch.tensor([0, 2, 2, 3]), torch.ones(3))
    part = next(iter(factors.blocks(bags, 1, 1)))
    weights = opponents.weights(part, items, each)[torch.argsort(part.rows)]
    whole = [0.5, 0.25, 0.25]
    expected = [[0, 0.25, 0.25], whole, [0.5, 0.25, 0]] if verify else [whole] * 3
    assert weights.tolist() == expected


def test_a_training_user_is_ranked_as_by_the_trained_factor() -> None:
    """Items hidden from everybody's history: the factors that were folded in find them as the trained ones do."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    split = weak(planted(150), test=0.25, seed=1)
    model = BayesianPersonalizedRanking(8, 0.05, iterations=150, num_threads=1, random_state=0)
    model.fit(csr_matrix(split.train.matrix), show_progress=False)
    ours = Recommender.from_implicit(model, split.train)
    told, asked = BagSource.from_csr(split.test.history), split.test.held_out.toarray() > 0
    bags = told.batch(torch.arange(len(told))).inputs
    rows = split.train.users.rows(split.test.users)
    trained = torch.from_numpy(model.user_factors[rows] @ model.item_factors.T)
    folded = ours.ranker.scores(ours.ranker.prepare(bags))
    seen = torch.from_numpy(split.test.history.toarray() > 0)
    by_trained, by_folded = (_mean_ndcg(scores.masked_fill(seen, -torch.inf), asked) for scores in (trained, folded))
    popular = _mean_ndcg(ours.popularity.scores(len(rows)).masked_fill(seen, -torch.inf), asked)
    assert by_folded > 0.97 * by_trained
    assert by_folded > 2 * popular


def _mean_ndcg(scores: torch.Tensor, asked: np.ndarray) -> float:
    order = scores.argsort(1, descending=True)[:, :5].numpy()
    hits = np.take_along_axis(asked, order, 1) / np.log2(np.arange(2, 7))
    ideal = [(1 / np.log2(np.arange(2, 2 + min(5, int(row.sum()))))).sum() for row in asked]
    return float((hits.sum(1) / ideal).mean())
