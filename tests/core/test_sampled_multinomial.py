"""The estimated softmax against the exact one: in the limit, in the mean, and where negatives hit."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bags, Values
from isthmus.core.likelihoods import sampled_multinomial as module
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.likelihoods.sampled_multinomial import SampledMultinomial, Strata, expected_counts, missed_by
from isthmus.core.ops.bags import rows_of, sparse_bag_sum
from isthmus.core.ops.sampled_softmax import sampled_log_prob
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.sources import BagSource

ITEMS, HIDDEN, ROWS = 40, 5, 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bags(entries: int = 6) -> Bags:
    indices = torch.cat([torch.randperm(ITEMS, generator=generator(row))[:entries] for row in range(ROWS)])
    weights = torch.rand(ROWS * entries, generator=generator(), dtype=torch.float64) + 0.1
    return Bags(indices, torch.arange(0, ROWS * entries + 1, entries), weights)


def readout(scale: float = 1.0) -> LinearReadout:
    made = LinearReadout(HIDDEN, ITEMS, generator=generator()).double()
    with torch.no_grad():
        made.weight.copy_(scale * torch.randn(ITEMS, HIDDEN, generator=generator(1), dtype=torch.float64))
        made.bias.copy_(torch.randn(ITEMS, generator=generator(2), dtype=torch.float64))
    return made


def decoded() -> Tensor:
    return torch.randn(ROWS, HIDDEN, generator=generator(3), dtype=torch.float64).requires_grad_()


def source() -> BagSource:
    """Item i is in about 40 / (i + 1) of the rows."""
    chances = 1 / (torch.arange(ITEMS) + 1.0)
    return BagSource.from_csr(csr_array((torch.rand(40, ITEMS, generator=generator(4)) < chances).float().numpy()))


def likelihood(negatives: int, **options: float | bool) -> SampledMultinomial:
    made = SampledMultinomial(ITEMS, negatives, **options)  # type: ignore[arg-type]
    made.learn(source())
    return made


def value_and_gradients(
    likelihood: SampledMultinomial | Multinomial, *, seed: int = 0, scale: float = 1.0
) -> list[Tensor]:
    last, state = readout(scale), decoded()
    value = likelihood(last, state, bags(), generator=generator(seed))
    value.backward(torch.linspace(0.5, 2, ROWS, dtype=torch.float64))
    found = [value.detach()]
    for tensor in (state, last.weight, last.bias):
        assert tensor.grad is not None
        found.append(tensor.grad.to_dense())
    return found


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("popularity", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("negatives", [ITEMS, 3 * ITEMS])
def test_as_many_negatives_as_items_are_the_exact_softmax(negatives: int, popularity: float, sparse: bool) -> None:
    ours = value_and_gradients(likelihood(negatives, popularity=popularity, sparse_gradient=sparse))
    for a, b in zip(ours, value_and_gradients(Multinomial()), strict=True):
        torch.testing.assert_close(a, b)


def test_without_a_generator_the_likelihood_is_exact() -> None:
    last, state, sampled = readout(), decoded(), likelihood(3)
    torch.testing.assert_close(sampled(last, state, bags()), Multinomial()(last, state, bags()))
    torch.testing.assert_close(sampled.mean(last, state), Multinomial().mean(last, state))
    drawn = sampled.sample(last, state, generator())
    assert torch.equal(drawn, Multinomial().sample(last, state, generator()))


@pytest.mark.slow
@pytest.mark.parametrize("popularity", [0.0, 0.5])
def test_the_estimated_sum_has_the_right_mean(popularity: float) -> None:
    """exp(z_own − log p) of a bag of one item is the estimated sum over all items: unbiased whatever the logits are."""
    one = Bags(torch.tensor([7]), torch.tensor([0, 1]), torch.ones(1, dtype=torch.float64))
    last, state, sampled = readout(), decoded()[:1].detach(), likelihood(6, popularity=popularity, from_batch=False)
    logits = last.logits(state)[0].detach()
    with torch.no_grad():
        sums = torch.stack(
            [(logits[7] - sampled(last, state, one, generator=generator(seed))[0]).exp() for seed in range(600)]
        )
    error = sums.std() / len(sums) ** 0.5
    assert 0 < error < 0.1 * sums.mean()
    assert abs(sums.mean() - logits.exp().sum()) < 4 * error


def test_the_mean_gradient_approaches_the_exact_one_as_negatives_grow() -> None:
    exact, draws = value_and_gradients(Multinomial(), scale=0.3)[1:], 80
    size = total_norm(exact)
    bias, error = [], []
    for negatives in (4, 12, 30):
        sampled = likelihood(negatives, from_batch=False)
        drawn = [value_and_gradients(sampled, seed=seed, scale=0.3)[1:] for seed in range(draws)]
        parts = [torch.stack(part) for part in zip(*drawn, strict=True)]
        bias.append(total_norm([part.mean(0) - truth for part, truth in zip(parts, exact, strict=True)]))
        error.append(total_norm([part.std(0) for part in parts]) / draws**0.5)
    assert bias[0] > 2 * bias[1] > 4 * bias[2]
    assert error[0] > error[1] > error[2]
    assert bias[2] < 2 * error[2] < 0.1 * size


def total_norm(parts: list[Tensor]) -> float:
    return sum(float(part.square().sum()) for part in parts) ** 0.5


def test_over_all_batches_the_estimated_sum_has_the_right_mean() -> None:
    """Row 0 of six rows, in each of the ten batches of three rows that hold it."""
    last, sampled = readout(scale=0.3), SampledMultinomial(ITEMS, 4)
    rows = BagSource.from_csr(csr_array((torch.rand(6, ITEMS, generator=generator(8)) < 0.2).double().numpy()))
    sampled.learn(rows)
    state = torch.randn(6, HIDDEN, generator=generator(9), dtype=torch.float64)
    logits = last.logits(state)[0].detach()
    own = rows.batch(torch.tensor([0])).targets.indices
    sums = []
    with torch.no_grad():
        for seed, others in itertools.product(range(30), itertools.combinations(range(1, 6), 2)):
            chosen = torch.tensor([0, *others])
            targets = rows.batch(chosen).targets
            draws = generator(100 * seed + 10 * others[0] + others[1])
            log_prob = sampled(last, state[chosen], targets, generator=draws)[0]
            sums.append(((logits[own].sum() - log_prob) / len(own)).exp())
    means = torch.stack(sums)
    error = means.std() / len(means) ** 0.5
    assert 0 < error < 0.1 * means.mean()
    assert abs(means.mean() - logits.exp().sum()) < 4 * error


def test_the_batch_helps() -> None:
    """Negatives from the batch cost no row that is not touched anyway, and make the estimate steadier."""

    def spread(from_batch: bool) -> float:
        last, state, sampled = readout(), decoded().detach(), likelihood(4, from_batch=from_batch)
        with torch.no_grad():
            drawn = [sampled(last, state, bags(), generator=generator(seed)) for seed in range(60)]
        return float(torch.stack(drawn).std(0).sum())

    assert spread(True) < 0.7 * spread(False)


def test_a_batch_too_large_for_its_own_targets_keeps_to_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    last, state = readout(), decoded()
    alone = likelihood(6, from_batch=False)(last, state, bags(), generator=generator())
    both = likelihood(6)(last, state, bags(), generator=generator())
    monkeypatch.setattr(module, "MOST_LOGITS", ROWS * 10)
    torch.testing.assert_close(likelihood(6)(last, state, bags(), generator=generator()), alone)
    assert not torch.allclose(both, alone)


@pytest.mark.parametrize("others", [0, 1, 4, 8, 9])
def test_the_chance_to_be_missed_is_a_ratio_of_binomials(others: int) -> None:
    counts = torch.arange(10)
    ways = [math.comb(9 - c, others) / math.comb(9, others) for c in range(10)]
    torch.testing.assert_close(missed_by(counts, 10, others), torch.tensor(ways, dtype=torch.float64))


def test_draws_come_as_often_as_their_chances_say() -> None:
    learned = likelihood(8, popularity=0.7)
    counts, repeats = torch.zeros(ITEMS, dtype=torch.float64), 2000
    for seed in range(repeats):
        columns = learned.strata.draw(generator(seed))
        assert torch.equal(columns, columns.unique())
        counts[columns] += 1
    chances = learned.strata.chances
    assert bool(((counts / repeats - chances).abs() < 5 * (chances / repeats).sqrt()).all())
    certain = chances == 1
    assert certain.any()
    assert torch.equal(counts[certain], torch.full_like(counts[certain], repeats))


def test_an_item_across_two_units_is_hit_by_either() -> None:
    """Four items of length ¾: the second is in two units with ¼ and ½, the third with ½ and ¼."""
    strata = Strata.of(torch.zeros(4, dtype=torch.int64), 3, 0.0)
    torch.testing.assert_close(strata.chances, torch.tensor([0.75, 0.625, 0.625, 0.75], dtype=torch.float64))


def test_frequent_items_are_drawn_more_often_and_all_can_be() -> None:
    by_popularity, uniform = likelihood(8, popularity=0.7), SampledMultinomial(ITEMS, 8)
    assert by_popularity.strata.chances[0] > 2 * by_popularity.strata.chances[-1] > 0
    torch.testing.assert_close(uniform.strata.chances, torch.full((ITEMS,), 8 / ITEMS, dtype=torch.float64))


def test_expected_counts_are_cut_at_one_and_add_up() -> None:
    shares = torch.tensor([0.05, 0.6, 0.05, 0.3], dtype=torch.float64)
    torch.testing.assert_close(expected_counts(shares, 2), torch.tensor([0.125, 1, 0.125, 0.75], dtype=torch.float64))
    torch.testing.assert_close(expected_counts(shares, 3), torch.tensor([0.5, 1, 0.5, 1], dtype=torch.float64))
    torch.testing.assert_close(expected_counts(shares, 4), torch.ones(4, dtype=torch.float64))


def test_negatives_of_the_own_bag_are_left_out() -> None:
    """Three touched rows; the negatives are all three, of which the first row owns one and the second all."""
    weight = torch.randn(3, HIDDEN, generator=generator(), dtype=torch.float64)
    bias = torch.randn(3, generator=generator(), dtype=torch.float64)
    own = Bags(torch.tensor([1, 0, 1, 2]), torch.tensor([0, 1, 4, 4]), torch.ones(4, dtype=torch.float64))
    state = torch.randn(3, HIDDEN, generator=generator(5), dtype=torch.float64)
    ratio = torch.tensor([0.5, -0.2, 0.3], dtype=torch.float64)
    found = sampled_log_prob(state, weight, bias, own, torch.arange(3), ratio)
    z = state @ weight.T + bias
    first = z[0, 1] - torch.stack([z[0, 0] - 0.5, z[0, 1], z[0, 2] - 0.3]).logsumexp(0)
    second = z[1].sum() - 3 * z[1].logsumexp(0)
    torch.testing.assert_close(found, torch.stack([first, second, torch.zeros((), dtype=torch.float64)]))


def test_gradcheck() -> None:
    targets = Bags(torch.tensor([1, 4, 0, 5]), torch.tensor([0, 2, 4]), torch.tensor([1.0, 2.0, 0.5, 1.0]).double())
    tensors = [torch.randn(*shape, generator=generator(6), dtype=torch.float64) for shape in ((2, 3), (6, 3), (6,))]
    places, ratio = torch.tensor([0, 2, 3, 4]), torch.tensor([0.1, -0.4, 0.0, 0.7], dtype=torch.float64)

    def function(*inputs: Tensor) -> Tensor:
        return sampled_log_prob(*inputs, targets, places, ratio)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(function, [tensor.requires_grad_() for tensor in tensors])


def test_logits_of_any_size_neither_overflow_nor_vanish() -> None:
    last, state, sampled = readout(scale=400.0), decoded(), likelihood(6)
    value = sampled(last, state, bags(), generator=generator())
    value.sum().backward()
    assert value.isfinite().all()
    assert state.grad is not None
    assert state.grad.isfinite().all()


def test_bf16_products_stay_near() -> None:
    last, state, sampled = readout().float(), decoded().detach().float(), likelihood(12)
    plain = sampled(last, state, bags(), generator=generator())
    with torch.autocast("cpu", torch.bfloat16):
        quick = sampled(last, state, bags(), generator=generator())
    assert quick.dtype == torch.float32
    assert not torch.equal(quick, plain)
    torch.testing.assert_close(quick, plain, rtol=0.02, atol=0.05)


def test_the_generator_decides_and_nothing_else() -> None:
    sampled = likelihood(6)
    first, again, other = (value_and_gradients(sampled, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_only_touched_rows_have_a_gradient() -> None:
    last, state, sampled = readout(), decoded(), likelihood(3, sparse_gradient=True)
    sampled(last, state, bags(2), generator=generator()).sum().backward()
    drawn = sampled.strata.draw(generator())
    touched = torch.cat([bags(2).indices, drawn]).unique()
    for grad in (last.weight.grad, last.bias.grad):
        assert grad is not None
        assert grad.is_sparse
        assert torch.equal(grad.indices()[0], touched)
    assert len(touched) < ITEMS


def test_counts_are_not_saved() -> None:
    assert not likelihood(3).state_dict()


def test_bags_of_touched_rows_sum_as_all_rows_do() -> None:
    table = readout().weight
    (sparse_bag_sum(table, bags()) * torch.arange(HIDDEN)).sum().backward()
    assert table.grad is not None
    sparse, table.grad = table.grad, None
    dense = torch.zeros(ROWS, ITEMS, dtype=torch.float64)
    dense[bags().rows(), bags().indices] = bags().weights
    summed = dense @ table
    (summed * torch.arange(HIDDEN)).sum().backward()
    torch.testing.assert_close(sparse_bag_sum(table.detach(), bags()), summed.detach())
    torch.testing.assert_close(sparse.to_dense(), table.grad)
    assert torch.equal(sparse.coalesce().indices()[0], bags().indices.unique())


def test_a_dense_gradient_of_rows_has_zeros_elsewhere() -> None:
    table = torch.ones(4, 2, requires_grad=True)
    (rows_of(table, torch.tensor([1, 3])) * torch.tensor([[1.0], [2.0]])).sum().backward()
    assert torch.equal(table.grad, torch.tensor([[0.0, 0], [1, 1], [0, 0], [2, 2]]))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"negatives": 0}, "negatives=0"), ({"popularity": 1.0}, "popularity"), ({"popularity": -0.1}, "popularity")],
)
def test_settings_outside_their_range(options: dict[str, float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        SampledMultinomial(ITEMS, **{"negatives": 3, **options})  # type: ignore[arg-type]


def test_dense_targets_are_refused() -> None:
    with pytest.raises(SettingError, match="Values"):
        likelihood(3)(readout(), decoded(), Values(torch.ones(ROWS, ITEMS)), generator=generator())
