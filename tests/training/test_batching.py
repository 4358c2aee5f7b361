"""Batches by a budget of tokens: every row once, within the budget, little padding, another order every epoch."""

import pytest
import torch

from isthmus.errors import SettingError
from isthmus.training.batching import Batching, Shuffled, ShuffledByRows, TokenBudget, shuffled


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def lengths(rows=3000, seed=1):
    """Skewed: most rows are short, some are very long."""
    return torch.empty(rows).log_normal_(2.7, 0.8, generator=generator(seed)).long().clamp(1, 300)


def padding(batches, sizes):
    computed = sum(len(batch) * sizes[batch].max().item() for batch in batches)
    return 1 - sizes.sum().item() / computed


@pytest.mark.parametrize(("tokens", "window"), [(400, 100), (1000, 3000), (1000, 10_000), (100_000, 500)])
def test_every_row_once_and_never_above_the_budget(tokens, window):
    sizes = lengths()
    batches = list(TokenBudget(tokens, window)(sizes, generator()))
    assert torch.cat(batches).sort().values.tolist() == list(range(len(sizes)))
    assert all(len(batch) * sizes[batch].max() <= tokens for batch in batches)


def test_there_is_little_padding():
    sizes = lengths()
    bucketed = list(TokenBudget(1000, 3000)(sizes, generator()))
    random = list(Shuffled(len(sizes) // len(bucketed))(sizes, generator()))
    assert padding(bucketed, sizes) < 0.1
    assert padding(random, sizes) > 0.4
    # The budget is used: but for the last batches of a window, one more row would not fit.
    used = [len(batch) * sizes[batch].max().item() / 1000 for batch in bucketed]
    assert sum(used) / len(used) > 0.8


def test_the_seed_decides_and_every_epoch_has_an_order_of_its_own():
    sizes, budget = lengths(), TokenBudget(1000, 500)

    def epochs(seed):
        g = generator(seed)
        return [[batch.tolist() for batch in budget(sizes, g)] for _ in range(2)]

    first, second = epochs(0)
    assert [first, second] == epochs(0)
    assert first != second
    # Not the same batches in another order either.
    assert not {tuple(sorted(batch)) for batch in first} & {tuple(sorted(b)) for b in second if len(b) > 1}
    # Short and long batches alternate at random: the first half is no shorter than the second.
    means = torch.tensor([sizes[torch.tensor(batch)].float().mean() for batch in first])
    half = len(means) // 2
    assert means[:half].mean() / means[half:].mean() == pytest.approx(1, abs=0.25)


def test_a_row_beyond_the_budget_is_alone():
    sizes = torch.tensor([5, 400, 5, 5, 300])
    batches = sorted(sorted(batch.tolist()) for batch in TokenBudget(20, 100)(sizes, generator()))
    assert batches == [[0, 2, 3], [1], [4]]


def test_rows_of_nothing_cost_as_much_as_one_token():
    batches = list(TokenBudget(4)(torch.zeros(6, dtype=torch.int64), generator()))
    assert sorted(len(batch) for batch in batches) == [2, 4]


def test_no_rows_no_batches():
    assert list(TokenBudget()(torch.zeros(0, dtype=torch.int64), generator())) == []


def test_it_is_a_batching():
    assert isinstance(TokenBudget(), Batching)


@pytest.mark.parametrize("settings", [{"tokens": 0}, {"window": 0}])
def test_settings_outside_their_range(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        TokenBudget(**settings)


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 100), (750, 100), (20_000, 100), (50_000, 250), (100_000, 500), (10**6, 500)]
)
def test_batches_grow_with_the_number_of_rows(rows: int, size: int) -> None:
    assert ShuffledByRows().size(rows) == size


def test_batches_of_a_size_that_nobody_gave() -> None:
    lengths = torch.ones(730, dtype=torch.int64)
    batches = list(shuffled(None)(lengths, generator()))
    assert [len(rows) for rows in batches] == [100] * 7 + [30]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(730))
    assert shuffled(7) == Shuffled(7)
