"""Scores of strangeness against naive references, and ranks against what can be counted."""

from __future__ import annotations

import pytest
import torch
from nearness import assert_near
from torch import Generator, Tensor

from isthmus.batch import Bag
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.readouts import LinearReadout
from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.models.mult_vae import mult_dae
from isthmus.sources import BagSource, VectorSource
from isthmus.tasks.anomaly import Nearest, Ranks, hidden_in_turn, surprise


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def numbers(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=rng(seed))


@pytest.fixture
def model() -> Autoencoder:
    made = Autoencoder(
        encoder=DenseEncoder(4, (3,), generator=rng()),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(3, generator=rng()),
        readout=LinearReadout(3, 4, generator=rng()),
        likelihood=Gaussian(0.5),
    )
    return made.eval()


def nats(model: Autoencoder, inputs: Tensor, targets: Tensor) -> Tensor:
    hidden = model.encoder.mlp(inputs)
    guess = torch.nn.functional.linear(hidden, model.readout.weight, model.readout.bias)
    return -torch.distributions.Normal(guess, 0.5).log_prob(targets).sum(1).detach().double()


def test_surprise_is_the_negative_log_likelihood(model: Autoencoder) -> None:
    values = numbers(7, 4)
    torch.testing.assert_close(
        surprise(model, VectorSource(values), batch=3), nats(model, values, values), rtol=1e-5, atol=1e-5
    )


def test_surprise_with_masks_is_the_mean_over_what_was_hidden(model: Autoencoder) -> None:
    values = numbers(5, 4)
    masks = torch.tensor([[True, False, True, False], [False, True, False, True]])
    wanted = torch.stack([nats(model, values * ~mask, values) for mask in masks]).mean(0)
    assert_near(surprise(model, VectorSource(values), masks=masks), wanted.float())


def test_a_row_scores_the_same_alone(model: Autoencoder) -> None:
    values = numbers(9, 4)
    together = surprise(model, VectorSource(values))
    alone = torch.cat([surprise(model, VectorSource(row[None])) for row in values])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_surprise_of_no_rows_is_empty(model: Autoencoder) -> None:
    assert surprise(model, VectorSource(torch.empty(0, 4))).shape == (0,)


def test_masks_of_another_shape_are_refused(model: Autoencoder) -> None:
    with pytest.raises(SettingError, match="mask"):
        surprise(model, VectorSource(numbers(2, 4)), masks=torch.ones(1, 3, dtype=torch.bool))


def test_bags_have_a_surprise_and_no_masks() -> None:
    source = BagSource(torch.tensor([0, 2, 3]), torch.tensor([0, 2, 1], dtype=torch.int32))
    model = mult_dae(Bag(3), generator=rng()).model.eval()
    assert bool((surprise(model, source) > 0).all())
    with pytest.raises(SettingError, match="Bags"):
        surprise(model, source, masks=torch.ones(1, 3, dtype=torch.bool))


@pytest.mark.parametrize(("shape", "count"), [((5,), 2), ((2, 3), 6), ((1, 4, 4), 3)])
def test_each_position_is_hidden_once(shape: tuple[int, ...], count: int) -> None:
    masks = hidden_in_turn(shape, count, generator=rng())
    assert masks.shape == (count, *shape)
    assert bool((masks.sum(0) == 1).all())
    sizes = masks.flatten(1).sum(1)
    assert int(sizes.max() - sizes.min()) <= 1


def test_as_many_masks_as_positions_at_most() -> None:
    for count in (1, 6):
        with pytest.raises(SettingError, match="masks"):
            hidden_in_turn((5,), count, generator=rng())


@pytest.mark.parametrize("k", [1, 3, 50])
def test_nearest_is_the_mean_of_the_smallest_distances(k: int) -> None:
    known, queries = numbers(20, 3), numbers(6, 3, 1)
    nearest = Nearest.build(known, k)
    among = torch.cdist(queries.double(), known.double()).sort(1).values[:, :k]
    torch.testing.assert_close(nearest.scores(queries), among.mean(1), rtol=1e-5, atol=1e-6)
    others = torch.cdist(known.double(), known.double()).sort(1).values[:, 1 : k + 1]
    torch.testing.assert_close(nearest.own(), others.mean(1), rtol=1e-5, atol=1e-6)


def test_a_twin_is_no_distance_away() -> None:
    known = torch.full((4, 3), 100.0)
    known[0] = 101.0
    assert Nearest.build(known, 1).own().tolist() == pytest.approx([3**0.5, 0, 0, 0])


def test_nearest_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(InputError, match="single"):
        Nearest.build(numbers(1, 2)).own()
    with pytest.raises(SettingError, match="k is 0"):
        Nearest.build(numbers(3, 2), 0)
    with pytest.raises(ValueRangeError):
        Nearest.build(torch.full((2, 2), torch.nan))


def test_ranks_count_the_known_records_above() -> None:
    known = torch.arange(10.0)[None]
    ranks = Ranks.fit(known.flip(1))
    # Half of a known record stands for its own place: record r has 9 − r above it.
    wanted = -((9.5 - torch.arange(10.0).double()) / 10).log()
    torch.testing.assert_close(ranks.each(known)[0], wanted)


def test_ranks_rise_with_the_score_without_end() -> None:
    ranks = Ranks.fit(numbers(1, 50))
    scores = torch.cat([torch.linspace(-1.5, 10, 300), torch.tensor([1e3, 1e6, 1e12])])
    rising = ranks.average(scores[None]).diff()
    assert bool((rising >= 0).all())
    assert bool((rising[scores[1:] > float(ranks.known.max())] > 0).all())


def test_the_average_does_not_depend_on_the_scales() -> None:
    known, scores = numbers(2, 40), numbers(2, 5, 1)
    scales = torch.tensor([[1e-3], [1e4]])
    plain, scaled = Ranks.fit(known).average(scores), Ranks.fit(known * scales).average(scores * scales)
    torch.testing.assert_close(plain, scaled, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain, Ranks.fit(known).each(scores).mean(0))


def test_equal_known_scores_are_no_trouble() -> None:
    found = Ranks.fit(torch.ones(1, 8)).average(torch.tensor([[0.0, 1.0, 2.0]]))
    assert bool(found.isfinite().all())
    assert bool(found[0] <= found[1])
    assert bool(found[1] < found[2])


def test_ranks_go_to_tensors_and_back() -> None:
    ranks = Ranks.fit(numbers(3, 9))
    assert torch.equal(Ranks.from_tensors(ranks.tensors()).known, ranks.known)
    for broken in ({}, {"known": torch.ones(3)}, {"known": torch.ones(1, 1), "more": torch.ones(1)}):
        with pytest.raises(BundleError):
            Ranks.from_tensors(broken)


def test_ranks_refuse_what_has_no_place() -> None:
    ranks = Ranks.fit(numbers(2, 4))
    with pytest.raises(InputError, match="1 scorers"):
        ranks.average(torch.ones(1, 2))
    with pytest.raises(ValueRangeError):
        ranks.average(torch.full((2, 1), torch.nan))
    with pytest.raises(ValueRangeError):
        Ranks.fit(torch.full((2, 1), torch.inf))
    with pytest.raises(InputError, match="at least one"):
        Ranks.fit(torch.empty(2, 0))
