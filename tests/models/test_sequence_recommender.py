"""SASRec and its variational form: the loss is that of plain PyTorch, and its parts are their closed forms."""

from dataclasses import replace
from typing import Self

import pytest
import torch
from torch.nn import functional as F

from isthmus.batch import Bag, Batch, TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import AutoencoderRanker
from isthmus.errors import InputError, SettingError
from isthmus.models import sequence_recommender
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Source
from isthmus.training.run import Run

ITEMS = 30


class Rows:
    """Rows of tokens in which each item is followed by the next one, or by the one after that."""

    def __init__(self, rows: int = 40) -> None:
        g = torch.Generator().manual_seed(0)
        self.lengths = torch.randint(2, 9, (rows,), generator=g)
        steps = torch.randint(1, 3, (rows, 8), generator=g)
        ids = (torch.randint(0, ITEMS, (rows, 1), generator=g) + steps.cumsum(1)) % ITEMS
        self.rows = TokenRows(ids, torch.arange(8) < self.lengths[:, None])

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> Self:
        return self

    def batch(self, wanted: torch.Tensor) -> Batch:
        some = self.rows.take(wanted)
        return Batch(wanted, some, some)


def made(**settings: object) -> GradientRecipe:
    given = {"hidden": 16, "length": 8, "epochs": 3, "dropout": 0.0, "tokens": 64, **settings}
    return sequence_recommender(Bag(ITEMS), generator=torch.Generator().manual_seed(0), **given)


def whole(recipe: GradientRecipe, source: Source) -> Batch:
    assert recipe.reads is not None
    read = recipe.reads(source)
    return read.batch(torch.arange(len(read)))


@pytest.mark.parametrize("block", ["plain", "gated"])
def test_the_loss_is_the_cross_entropy_of_padded_rows(block: str) -> None:
    """Against plain PyTorch: all logits of all positions, padding ignored; with its gradients."""
    recipe, source = made(block=block), Rows()
    model = recipe.model
    loss = model.loss(model.step(whole(recipe, source)))
    rows = source.rows
    states = torch.stack(
        [F.pad(_states(model, rows.ids[r, : n - 1]), (0, 0, 0, 8 - n)) for r, n in enumerate(source.lengths.tolist())]
    )
    logits = states @ model.encoder.table.T + model.readout.bias
    targets = rows.ids[:, 1:].masked_fill(~rows.mask[:, 1:], -100)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    torch.testing.assert_close(loss.total, expected)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(
        *(torch.autograd.grad(value, parameters, allow_unused=True) for value in (loss.total, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def _states(model: object, ids: torch.Tensor) -> torch.Tensor:
    one = TokenRows(ids[None], torch.ones(1, len(ids), dtype=torch.bool), every=True)
    return model.encoder.trunk(model.encoder.enter(one), one)  # type: ignore[attr-defined]


def test_the_readout_is_tied_and_ranks_by_the_last_state() -> None:
    recipe, source = made(), Rows()
    model = recipe.model
    assert model.readout.weight is model.encoder.table
    ranker = AutoencoderRanker(model)
    scores = ranker.scores(ranker.prepare(source.rows))
    last = torch.stack([_states(model, row[:n])[-1] for row, n in zip(source.rows.ids, source.lengths, strict=True)])
    torch.testing.assert_close(scores, last @ model.encoder.table.T + model.readout.bias)
    # The same inner products are those of an index.
    torch.testing.assert_close(model.readout.queries(ranker.prepare(source.rows)) @ model.readout.vectors().T, scores)


OTHERS = ({"block": "gated"}, {"variational": True}, {"negatives": 12}, {"ahead": 3})


@pytest.mark.parametrize("settings", [{}, *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)])
def test_it_learns_what_follows_what(settings: dict[str, object]) -> None:
    recipe, source = made(**settings, epochs=25, learning_rate=0.01), Rows(200)
    history = recipe.fit(source, Run(device="cpu", precision="fp32"))
    first, last = (float(history.records[place]["nll"]) for place in (0, -1))
    assert last < first
    ranker = AutoencoderRanker(recipe.model)
    items = torch.arange(ITEMS)[:, None]
    best = ranker.scores(ranker.prepare(TokenRows(items, torch.ones_like(items, dtype=torch.bool)))).argmax(1)
    near = (best - items[:, 0]) % ITEMS
    assert ((near >= 1) & (near <= (4 if "ahead" in settings else 2))).float().mean() > 0.8


def test_the_rate_is_the_divergence_at_every_position() -> None:
    """KL(N(μ, σ²) ‖ N(0, 1)) in closed form, from torch.distributions."""
    recipe, source = made(variational=True, beta=0.2), Rows()
    model, batch = recipe.model, whole(recipe, source)
    step = model.step(batch)
    posterior = step.code.posterior
    assert posterior is not None
    normal = torch.distributions.Normal(posterior.mean, posterior.log_scale.exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)
    rates = model.prior.rate(step)
    assert len(rates) == int((source.lengths - 1).sum())
    torch.testing.assert_close(rates, expected)
    # β rises to its cap over the first quarter of the training.
    nll, rate = -step.log_likelihood.mean(), rates.mean()
    for progress, beta in ((0.0, 0.0), (0.125, 0.1), (0.25, 0.2), (1.0, 0.2)):
        torch.testing.assert_close(model.loss(step, progress=progress).total, nll + beta * rate)


def test_the_mean_of_a_code_is_the_state() -> None:
    recipe, plain, source = made(variational=True), made().model, Rows()
    torch.testing.assert_close(*(_scores(model, source.rows) for model in (recipe.model, plain)))
    recipe.fit(source, Run(device="cpu", precision="fp32"))
    # The encoder and the readout share their table, and everything but the scale is that of the plain model.
    plain.load_state_dict(
        {name: value for name, value in recipe.model.state_dict().items() if "bottleneck" not in name}
    )
    torch.testing.assert_close(*(_scores(model, source.rows) for model in (recipe.model, plain)))


def _scores(model: Autoencoder, rows: TokenRows) -> torch.Tensor:
    ranker = AutoencoderRanker(model)
    return ranker.scores(ranker.prepare(rows))


def test_next_items_are_a_bag() -> None:
    recipe, source = made(ahead=2), Rows()
    model, batch = recipe.model, whole(recipe, source)
    one = replace(recipe, reads=made(ahead=1).reads)
    step, single = model.step(batch), model.step(whole(one, source))
    # The last position of a row has one item behind it, all others two.
    last = (source.lengths - 1).cumsum(0) - 1
    torch.testing.assert_close(step.log_likelihood[last], single.log_likelihood[last])
    log_probs = torch.log_softmax(model.readout.logits(step.decoded), 1)
    expected = torch.zeros(len(log_probs)).index_add(
        0, batch.targets.rows(), log_probs[batch.targets.rows(), batch.targets.indices]
    )
    torch.testing.assert_close(step.log_likelihood[:, 0], expected)


def test_settings_are_checked() -> None:
    for settings, told in (
        ({"block": "big"}, "gated"),
        ({"hidden": 0}, "hidden"),
        ({"ahead": 0}, "ahead"),
        ({"heads": 3}, "heads"),
        ({"negatives": -1}, "negatives"),
        ({"beta": -1.0}, "beta"),
    ):
        with pytest.raises(SettingError, match=told):
            made(variational=True, **settings)
    short = Rows()
    short.lengths = torch.ones_like(short.lengths)
    with pytest.raises(InputError, match="two items"):
        made().fit(short, Run(device="cpu"))
