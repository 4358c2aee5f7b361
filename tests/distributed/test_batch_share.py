"""The shares of a batch, each process played one after the other."""

import pytest
import torch
from torch import nn

from isthmus.batch import Bags, Batch, Grid, Tensors, TokenRows, Tokens, Values, require_bags, require_values
from isthmus.core.ops.layers import SeededDropout
from isthmus.core.placement import placed
from isthmus.core.shares import WHOLE, computed, computing, share_of, sharing
from isthmus.distributed.batch_share import BatchShare, sum_gradients
from isthmus.distributed.processes import ALONE, Processes
from isthmus.distributed.talk import Talk
from isthmus.errors import SettingError
from isthmus.models import sequence_vae
from isthmus.models.denoisers.dncnn import residual_denoiser
from isthmus.models.recipes.recipe import check_shard
from isthmus.sources import next_tokens
from isthmus.training.run import Run


def shares(inputs: Tensors, size: int) -> list[BatchShare]:
    return [BatchShare.of(inputs, Talk(rank, size)) for rank in range(size)]


class TwoAlike(Talk):
    """A second process with the same tensors."""

    def added(self, part: torch.Tensor) -> torch.Tensor:
        return 2 * part.detach()

    def gathered(self, part: torch.Tensor) -> list[torch.Tensor]:
        return [part.detach().clone(), part.detach().clone()]


def test_each_row_is_in_one_share() -> None:
    values = Values(torch.arange(14.0).view(7, 2))
    batch = Batch(torch.arange(7), values, values)
    parts = shares(values, 3)
    assert [(one.start, one.stop) for one in parts] == [(0, 2), (2, 4), (4, 7)]
    assert torch.cat([require_values(one.given(batch).targets, "a test").values for one in parts]).equal(values.values)
    assert torch.cat([one.given(batch).rows for one in parts]).equal(batch.rows)
    samples = torch.arange(21)
    assert torch.cat([one.samples(samples, 3) for one in parts]).equal(samples)
    assert [one.counted(len(one.samples(samples, 3))) for one in parts] == [21, 21, 21]


def test_a_row_of_prefixes_has_a_state_for_each() -> None:
    ids = torch.arange(12).view(3, 4)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    rows, targets = next_tokens(TokenRows(ids, mask), 2)
    parts = shares(rows, 2)
    assert [(one.first, one.last, one.states) for one in parts] == [(0, 3, 6), (3, 6, 6)]
    given = [one.given(Batch(torch.arange(3), rows, targets)) for one in parts]
    assert [one.inputs.size for one in given] == [1, 2]
    assert torch.cat([require_bags(one.targets, "a test").indices for one in given]).equal(targets.indices)


def test_dropout_of_a_share_is_that_of_the_batch() -> None:
    layer, x = SeededDropout(0.5, torch.Generator().manual_seed(0)), torch.ones(5, 2, 8)
    whole, found = layer(x), []
    for share in shares(Values(x), 2):
        layer.calls.zero_()
        with computing(share):
            found.append(layer(x[share.start : share.stop]))
    assert torch.cat(found).equal(whole)
    layer.calls.zero_()
    assert layer(x[2:]).ne(whole[2:]).any()


def test_samples_of_a_row_are_in_its_share() -> None:
    x = torch.ones(6, 3)
    draw = torch.Tensor.uniform_
    torch.manual_seed(0)
    whole = WHOLE.drawn(x, draw)
    for share in shares(Values(x[:3]), 3):
        torch.manual_seed(0)
        assert share.drawn(x[:2], draw).equal(whole[2 * share.start : 2 * share.stop])


def test_gradients_are_summed_dense_and_sparse() -> None:
    small, large, sparse, unused = (nn.Parameter(torch.zeros(*shape)) for shape in ((3,), (1 << 20, 1), (9, 2), (4,)))
    small.grad, large.grad = torch.arange(3.0), torch.ones(1 << 20, 1)
    sparse.grad = torch.sparse_coo_tensor(torch.tensor([[1, 7]]), torch.ones(2, 2), (9, 2), check_invariants=True)
    dense = sparse.grad.to_dense()
    sum_gradients([small, large, sparse, unused], TwoAlike(0, 2))
    assert small.grad.equal(2 * torch.arange(3.0))
    assert large.grad.equal(torch.full((1 << 20, 1), 2.0))
    assert sparse.grad.is_sparse
    assert sparse.grad.to_dense().equal(2 * dense)
    assert unused.grad is None


def test_only_a_step_is_shared() -> None:
    model = sequence_vae(
        Tokens(9, 4), generator=torch.Generator().manual_seed(0), code=4, hidden=8, heads=2, layers=1
    ).model
    rows = TokenRows(torch.ones(4, 4, dtype=torch.int64), torch.ones(4, 4, dtype=torch.bool))
    share = BatchShare.of(rows, Talk(1, 2))
    with sharing(share):
        assert share_of(rows) is share
        assert share_of(rows.part(0, 3)) is WHOLE
        assert computed() is WHOLE
    assert share_of(rows) is WHOLE
    # Without a step, nobody else is asked.
    with placed(Processes(Talk(1, 2), ALONE, Talk(1, 2), cut=False)):
        assert model.encode(rows).point.shape == (4, 4)


def test_fewer_rows_than_processes_are_computed_by_all() -> None:
    bags = Bags(torch.tensor([3]), torch.tensor([0, 1]), torch.ones(1))
    with Processes(Talk(1, 2), ALONE, Talk(1, 2), cut=False).sharing(bags):
        assert share_of(bags) is WHOLE


def test_what_cannot_be_split(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"groups=2 with shard=None; expected shard='rows'"):
        Run(groups=2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    with pytest.raises(SettingError, match=r"groups=2 of 3 processes.*start 4 processes"):
        Processes.of(Run(shard="rows", groups=2))
    denoiser = residual_denoiser(Grid(1, 8, 8), generator=torch.Generator().manual_seed(0), filters=4, depth=3)
    assert not denoiser.by_batches
    check_shard(Run(shard="batches"), rows=False, batches=True)
    with pytest.raises(SettingError, match=r"shard='batches' for this model.*one by one"):
        check_shard(Run(shard="batches"), rows=True, batches=False)
    with pytest.raises(SettingError, match="one by one"):
        check_shard(Run(shard="rows", groups=2), rows=True, batches=False)
