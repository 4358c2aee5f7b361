"""Adam on touched rows against torch's Adam, and a training with it, resumed bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bag
from isthmus.errors import SettingError
from isthmus.models import mult_dae, mult_vae
from isthmus.models.parts.item_softmax import NEGATIVES, SAMPLED_FROM, ItemSoftmax
from isthmus.models.recipes.rebuild import rebuild
from isthmus.protocols import Phase
from isthmus.sources import BagSource
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.steps import sparse_adam
from isthmus.training.steps.sparse_adam import RowwiseAdam

WIDTH, HIDDEN = 25, 3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gradients(steps: int = 6) -> Tensor:
    return torch.randn(steps, WIDTH, HIDDEN, generator=generator())


def ours(table: Tensor, decay: float = 0.1) -> RowwiseAdam:
    return RowwiseAdam([{"params": [table], "weight_decay": decay}], lr=0.01, betas=(0.9, 0.99))


def theirs(table: Tensor, decay: float = 0.1) -> torch.optim.Adam:
    return torch.optim.Adam([table], lr=0.01, betas=(0.9, 0.99), weight_decay=decay, fused=True)


def parameter() -> Tensor:
    return torch.nn.Parameter(torch.randn(WIDTH, HIDDEN, generator=generator(1)))


@pytest.mark.parametrize("block", [4, 1000], ids=["blocks", "whole"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_is_adam_where_every_row_is_touched(sparse: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_adam, "ROWS", block)
    a, b = parameter(), parameter()
    first, second = ours(a), theirs(b)
    for grad in gradients():
        a.grad, b.grad = grad.to_sparse(1) if sparse else grad.clone(), grad.clone()
        first.step()
        second.step()
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_rows_that_are_not_touched_stay() -> None:
    table = parameter()
    before, optimizer = table.detach().clone(), ours(table)
    rows = torch.tensor([[2, 7, 11]])
    table.grad = torch.sparse_coo_tensor(rows, gradients()[0][rows[0]], table.shape, check_invariants=True)
    optimizer.step()
    changed = (table != before).any(1).nonzero()[:, 0]
    assert torch.equal(changed, rows[0])
    assert torch.equal(optimizer.state[table]["exp_avg"].any(1).nonzero()[:, 0], rows[0])


def test_what_was_missed_is_made_up_for() -> None:
    """Every row is touched in each third step; between, torch's Adam gets zeros."""
    a, b = parameter(), parameter()
    start = a.detach().clone()
    first, second = ours(a, decay=0.0), theirs(b, decay=0.0)
    for step in range(91):
        grad = gradients(91)[step] * (torch.arange(WIDTH) % 3 == step % 3)[:, None]
        rows = torch.arange(step % 3, WIDTH, 3)
        a.grad = torch.sparse_coo_tensor(rows[None], grad[rows], a.shape, is_coalesced=True, check_invariants=True)
        b.grad = grad
        first.step()
        second.step()
    last = torch.arange(0, WIDTH, 3)
    moved, dense = (a.detach() - start)[last], (b.detach() - start)[last]
    assert float((moved - dense).norm() / dense.norm()) < 0.05


def test_a_row_that_occurs_twice_gets_the_sum() -> None:
    a, b = parameter(), parameter()
    first, second = ours(a), ours(b)
    a.grad = torch.sparse_coo_tensor(torch.tensor([[3, 3]]), gradients()[0][:2], a.shape, check_invariants=True)
    b.grad = torch.sparse_coo_tensor(torch.tensor([[3]]), gradients()[0][:2].sum(0, keepdim=True), b.shape)
    first.step()
    second.step()
    torch.testing.assert_close(a, b)


def test_the_closure_is_asked() -> None:
    table = parameter()
    optimizer = ours(table)

    def closure() -> float:
        loss = table.square().sum()
        loss.backward()
        return float(loss.detach())

    before = float(table.detach().square().sum())
    assert optimizer.step(closure) == pytest.approx(before)
    assert float(table.detach().square().sum()) < before


def source() -> BagSource:
    return BagSource.from_csr(csr_array((np.random.default_rng(0).random((40, WIDTH)) < 0.2).astype(np.float32)))


def trained(builder=mult_dae, run: Run | None = None, **settings):
    chosen = {"negatives": 6, "learning_rate": 0.01, **settings}
    recipe = builder(Bag(WIDTH), generator=generator(), code=4, batch_size=8, **chosen)
    history = recipe.fit(source(), run or Run(device="cpu", precision="fp32"))
    return recipe, history


def test_a_sampled_mult_vae_moves_every_parameter() -> None:
    made, _ = trained(mult_vae, epochs=1, hidden=6)
    before = mult_vae(Bag(WIDTH), generator=generator(), code=4, hidden=6).model.state_dict()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in made.model.state_dict().items())


def test_a_sampled_model_trains_and_is_as_good_as_an_exact_one() -> None:
    def loss(negatives: int) -> float:
        recipe, _ = trained(epochs=12, learning_rate=0.03, negatives=negatives)
        with torch.no_grad():
            return float(-recipe.model.step(source().batch(torch.arange(40))).log_likelihood.mean())

    untrained = mult_dae(Bag(WIDTH), generator=generator(), code=4).model
    with torch.no_grad():
        start = float(-untrained.step(source().batch(torch.arange(40))).log_likelihood.mean())
    exact, sampled = loss(0), loss(12)
    assert exact < 0.95 * start
    assert abs(sampled - exact) < 0.25 * (start - exact)


def test_resumed_bit_for_bit(tmp_path: Path) -> None:
    def weights(run: Run, epochs: int) -> dict[str, Tensor]:
        return {name: t.clone() for name, t in trained(run=run, epochs=epochs)[0].model.state_dict().items()}

    whole = weights(Run(device="cpu"), 4)

    class StopError(Exception):
        pass

    class Stopping:
        def start(self, *_: object) -> None: ...
        def step(self, *_: object) -> None: ...
        def stop(self) -> None: ...
        def epoch(self, record: dict[str, float]) -> None:
            if record["epoch"] == 3:
                raise StopError

    with pytest.raises(StopError):
        weights(Run(device="cpu", checkpoints=tmp_path, every=2, progress=Stopping()), 4)
    resumed = weights(Run(device="cpu", checkpoints=tmp_path, every=2, resume=True), 4)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_catalogue_decides() -> None:
    assert not ItemSoftmax.of(SAMPLED_FROM - 1).rowwise
    large = ItemSoftmax.of(SAMPLED_FROM)
    assert large.rowwise
    assert large.likelihood.negatives == NEGATIVES
    assert not ItemSoftmax.of(SAMPLED_FROM, 0).rowwise
    assert ItemSoftmax.of(WIDTH, 3).likelihood.negatives == 3
    with pytest.raises(SettingError, match="negatives=-1"):
        ItemSoftmax.of(WIDTH, -1)


def test_counts_are_learned_from_the_source() -> None:
    recipe, _ = trained(epochs=1)
    counts = torch.bincount(source().indices, minlength=WIDTH)
    likelihood = recipe.model.likelihood
    assert torch.equal(likelihood.counts, counts)
    assert likelihood.strata.chances[counts.argmax()] > likelihood.strata.chances[counts.argmin()]


def test_a_sampled_model_is_rebuilt_from_its_tensors() -> None:
    made, _ = trained(epochs=1)
    tensors = made.model.state_dict()
    again = rebuild(mult_dae, Bag(WIDTH), {"code": 4, "negatives": 6}, tensors)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in again.state_dict().items())


def test_no_clipping_of_sparse_gradients() -> None:
    with pytest.raises(SettingError, match="clip"):
        Plan((Phase(1),), clip=1.0, rowwise=True)


def test_a_row_wise_plan_says_so() -> None:
    assert Plan((Phase(1),), rowwise=True).described() == Plan((Phase(1),)).described() + ", row-wise"
