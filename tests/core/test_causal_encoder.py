"""A state at every token: it knows nothing of what follows, nor of what else is in the batch."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Self

import pytest
import torch
from torch.nn import functional as F

from isthmus.batch import Batch, TokenRows, Tokens
from isthmus.core.encoders import CausalEncoder
from isthmus.core.ops.attention import Block
from isthmus.errors import ValueRangeError
from isthmus.sources import NextTokens

WIDTH, LENGTH, VOCABULARY = 8, 6, 11


@pytest.fixture(params=[False, True], ids=["plain", "gated"])
def encoder(request: pytest.FixtureRequest) -> CausalEncoder:
    made = CausalEncoder(
        Tokens(VOCABULARY, LENGTH), WIDTH, 2, 2, generator=torch.Generator().manual_seed(0), gated=request.param
    )
    return made.eval()


def rows(*given: list[int]) -> TokenRows:
    steps = max(map(len, given))
    ids = torch.tensor([[*row, *[10] * (steps - len(row))] for row in given])
    return TokenRows(ids, torch.arange(steps) < torch.tensor([len(row) for row in given])[:, None])


def prefixes(given: TokenRows) -> TokenRows:
    return replace(given, every=True)


def states(encoder: CausalEncoder, inputs: TokenRows) -> torch.Tensor:
    return encoder.trunk(encoder.enter(inputs), inputs)


def test_a_changed_future_changes_no_earlier_state(encoder: CausalEncoder) -> None:
    one, other = (states(encoder, prefixes(rows([1, 2, 3, last, last]))) for last in (4, 7))
    torch.testing.assert_close(one[:3], other[:3])
    assert (one[3:] - other[3:]).abs().amax(1).gt(1e-3).all()


def test_a_changed_past_changes_every_later_state(encoder: CausalEncoder) -> None:
    one, other = (states(encoder, prefixes(rows([first, 2, 3, 4]))) for first in (1, 9))
    assert (one - other).abs().amax(1).gt(1e-5).all()


def test_rows_of_a_batch_are_those_computed_alone(encoder: CausalEncoder) -> None:
    """Padding and neighbours leave no trace: rows packed into a batch equal rows on their own."""
    given = ([1, 2, 3], [4], [5, 6, 7, 8, 9], [3, 3])
    together = states(encoder, prefixes(rows(*given)))
    alone = torch.cat([states(encoder, prefixes(rows(row))) for row in given])
    torch.testing.assert_close(together, alone)
    last = states(encoder, rows(*given))
    torch.testing.assert_close(last, together[[2, 3, 8, 10]])


def test_positions_are_counted_from_the_newest(encoder: CausalEncoder) -> None:
    """In a model that sees nothing but positions, the last state is the same after any number of tokens."""
    with torch.no_grad():
        encoder.table.zero_()
        for block in encoder.blocks:
            block.attended.weight.zero_()
            block.attended.bias.zero_()
    found = states(encoder, rows([1], [1, 2, 3], [1, 2, 3, 4, 5, 6]))
    torch.testing.assert_close(found, found[:1].expand(3, -1))
    every = states(encoder, prefixes(rows([1, 2, 3])))
    torch.testing.assert_close(every[2], found[0])
    assert not torch.allclose(every[0], every[2])


def test_odd_rows(encoder: CausalEncoder) -> None:
    empty = TokenRows(torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.bool))
    assert states(encoder, empty).isfinite().all()
    assert states(encoder, prefixes(empty)).shape == (0, WIDTH)
    with pytest.raises(ValueRangeError, match="at most 6"):
        states(encoder, rows([1] * 7))


def test_a_gated_block_is_its_formula() -> None:
    g = torch.Generator().manual_seed(1)
    block, x = Block(WIDTH, 2, 1, generator=g, gated=True), torch.randn(3, 5, WIDTH, generator=g)
    query, key, value = (
        part.view(3, 5, 2, 4).transpose(1, 2) for part in block.query_key_value(block.norms[0](x)).split(WIDTH, 2)
    )
    weights = (query @ key.transpose(2, 3) / math.sqrt(4)).masked_fill(~torch.ones(5, 5).tril().bool(), -torch.inf)
    attended = block.attended((weights.softmax(3) @ value).transpose(1, 2).reshape(3, 5, WIDTH))
    assert block.gates is not None
    middle = x + torch.sigmoid(block.gates[0](x)) * attended
    entered = block.norms[1](middle)
    assert block.multiplied is not None
    inner = block.narrow(F.silu(block.widen(entered)) * block.multiplied(entered))
    expected = middle + torch.sigmoid(block.gates[1](middle)) * inner
    torch.testing.assert_close(block(x, causal=True)[0], expected)


class Rows:
    """A source of token rows."""

    def __init__(self, *given: list[int]) -> None:
        self.rows, self.lengths = rows(*given), torch.tensor([len(row) for row in given])

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> Self:
        return self

    def batch(self, wanted: torch.Tensor) -> Batch:
        some = self.rows.take(wanted)
        return Batch(wanted, some, some)


@pytest.mark.parametrize("ahead", [1, 2, 9])
def test_targets_are_the_next_tokens(ahead: int) -> None:
    given = ([1, 2, 3], [4], [5, 6, 7, 8], [9, 9])
    source = NextTokens.of(Rows(*given), ahead)
    assert source.lengths.tolist() == [2, 3, 1]
    batch = source.batch(torch.tensor([1, 0, 2]))
    assert isinstance(batch.inputs, TokenRows)
    assert batch.inputs.every
    expected = [
        (row[: cut + 1], row[cut + 1 : cut + 1 + ahead])
        for row in (given[2], given[0], given[3])
        for cut in range(len(row) - 1)
    ]
    flat = batch.inputs.ids[batch.inputs.mask].tolist()
    assert flat == [prefix[-1] for prefix, _ in expected]
    ends = batch.targets.offsets.tolist()
    assert [batch.targets.indices[a:b].tolist() for a, b in pairwise(ends)] == [after for _, after in expected]
    assert batch.targets.size == len(expected)
