"""RecVAE: the whole loss written a second time, the alternation, and one Adam in the place of two."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import planted, trained
from scipy.sparse import csr_array
from torch import Tensor

from isthmus import bundle
from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.models import rec_vae
from isthmus.models.rec_vae import CompositePrior
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.splits import strong

WIDTH, HIDDEN, CODE, ROWS = 15, 7, 4, 40
CPU = Run(device="cpu", precision="fp32")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(**settings: Any) -> GradientRecipe:
    sizes = {"hidden": HIDDEN, "code": CODE, "batch_size": 16, "learning_rate": 0.01, "average": None}
    return rec_vae(Bag(WIDTH), generator=generator(), **(sizes | settings))


@pytest.fixture(scope="module")
def dense() -> Tensor:
    return torch.from_numpy((np.random.default_rng(1).random((ROWS, WIDTH)) < 0.4).astype(np.float32))


@pytest.fixture(scope="module")
def source(dense: Tensor) -> BagSource:
    return BagSource.from_csr(csr_array(dense.numpy()))


def prior_of(recipe: GradientRecipe) -> CompositePrior:
    assert isinstance(recipe.model.prior, CompositePrior)
    return recipe.model.prior


def encoder_of(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    names = [name for name in state if name.startswith(("encoder.", "bottleneck."))]
    return {name: state[prefix + name] for name in names}


def posterior(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    hidden = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12) @ state["encoder.table"] + state["encoder.bias"]
    before: list[Tensor] = []
    for number in range(5):
        if number:
            layer = f"encoder.layers.{number - 1}"
            hidden = before[-1] @ state[f"{layer}.weight"].T + state[f"{layer}.bias"] + sum(before)
        norm = f"encoder.norms.{number}"
        swish = hidden * torch.sigmoid(hidden)
        before.append(torch.layer_norm(swish, (HIDDEN,), state[f"{norm}.weight"], state[f"{norm}.bias"], 0.1))
    mean, log_scale = (
        before[-1] @ state[f"bottleneck.{n}.weight"].T + state[f"bottleneck.{n}.bias"] for n in ("mean", "log_scale")
    )
    return mean, log_scale


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + log_variance + (z - mean) ** 2 / log_variance.exp())


def test_the_loss_is_the_published_one(dense: Tensor, source: BagSource) -> None:
    recipe = tiny(gamma=0.02)
    with torch.no_grad():
        for number, parameter in enumerate(recipe.model.parameters()):
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator(number)))
    state = {name: tensor.detach() for name, tensor in recipe.model.state_dict().items()}
    mean, log_scale = posterior(encoder_of(state, ""), dense)
    old_mean, old_log_scale = posterior(encoder_of(state, "prior."), dense)
    zero = torch.zeros_like(mean)
    parts = [
        math.log(3 / 20) + log_normal(mean, zero, zero),
        math.log(3 / 4) + log_normal(mean, old_mean, 2 * old_log_scale),
        math.log(1 / 10) + log_normal(mean, zero, zero + 10),
    ]
    rate = (log_normal(mean, mean, 2 * log_scale) - torch.logsumexp(torch.stack(parts), 0)).sum(1)
    logits = mean @ state["readout.weight"].T + state["readout.bias"]
    nll = -(logits.log_softmax(1) * dense).sum(1)
    loss = recipe.model.loss(recipe.model.step(source.batch(torch.arange(ROWS))))
    torch.testing.assert_close(loss.terms["rate"], rate.mean())
    torch.testing.assert_close(loss.total, (nll + 0.02 * dense.sum(1) * rate).mean())


def test_the_published_settings() -> None:
    recipe = rec_vae(Bag(30), generator=generator(), published=True)
    model, plan = recipe.model, recipe.plan
    assert model.encoder.table.shape == (30, 600)
    assert len(model.encoder.layers) == 4
    assert model.readout.weight.shape == (30, 200)
    assert model.corruption == Dropout(0.5)
    assert prior_of(recipe).shares == (3 / 20, 3 / 4, 1 / 10)
    assert (plan.epochs, plan.batching.size, plan.learning_rate, plan.weight_decay) == (200, 500, 5e-4, 0)
    usual = rec_vae(Bag(30), generator=generator()).plan
    assert (plan.average, plan.patience) == (None, None)
    assert (usual.average, usual.patience) == (8.0, 40)


def test_first_weights_are_uniform_by_the_number_of_inputs() -> None:
    """Those of ``nn.Linear`` in torch, whatever the layer; norms start as the identity."""
    model = rec_vae(Bag(400), generator=generator(), hidden=100, code=60).model
    fans = {"encoder.table": 400, "encoder.bias": 400, "readout.weight": 60, "readout.bias": 60}
    for name, parameter in model.named_parameters():
        if "norms" in name:
            assert (parameter == (1 if name.endswith("weight") else 0)).all(), name
            continue
        bound = fans.get(name.removeprefix("prior."), 100) ** -0.5
        assert 0.9 * bound < float(parameter.detach().abs().max()) <= bound, name
        assert float(parameter.detach().var()) == pytest.approx(bound**2 / 3, rel=0.5), name


class Diary:
    """What moved in each epoch."""

    def __init__(self, recipe: GradientRecipe) -> None:
        self.recipe = recipe
        self.last, self.moved = self.now(), list[set[str]]()

    def now(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in state_of(self.recipe.model).items()}

    def score(self, model: object) -> float:
        now = self.now()
        changed = [name.split(".") for name in now if not torch.equal(now[name], self.last[name])]
        self.moved.append({".".join(parts[: 1 + (parts[0] == "prior")]) for parts in changed})
        self.last = now
        return float(len(self.moved))


@pytest.mark.parametrize(("encoder_epochs", "decoder_epochs"), [(3, 1), (1, 2)])
def test_the_encoder_and_the_decoder_take_turns(source: BagSource, encoder_epochs: int, decoder_epochs: int) -> None:
    recipe = tiny(epochs=2, encoder_epochs=encoder_epochs, decoder_epochs=decoder_epochs)
    diary = Diary(recipe)
    history = recipe.fit(source, CPU, Validation("epochs", diary.score))
    side = {"encoder", "bottleneck"}
    last = side | {"prior.encoder", "prior.bottleneck"}
    assert diary.moved == ([side] * (encoder_epochs - 1) + [last] + [{"readout"}] * decoder_epochs) * 2
    names = ["encoder"] * encoder_epochs + ["decoder"] * decoder_epochs
    assert [record["phase"] for record in history.records] == names * 2
    state = state_of(recipe.model)
    assert all(torch.equal(tensor, state[f"prior.{name}"]) for name, tensor in encoder_of(state, "").items())
    assert not any(parameter.requires_grad for parameter in prior_of(recipe).parameters())


def test_the_decoder_trains_without_dropout(source: BagSource) -> None:
    recipe = tiny(epochs=1, encoder_epochs=1, dropout=0.9)
    shares: list[float] = []
    enter = recipe.model.encoder.enter

    def watched(inputs: Any) -> Tensor:
        shares.append(float((inputs.weights == 0).float().mean()))
        return enter(inputs)

    recipe.model.encoder.enter = watched
    recipe.fit(source, CPU)
    assert [share > 0.5 for share in shares] == [True] * 3 + [False] * 3


def test_one_adam_does_what_two_do(source: BagSource) -> None:
    """Written out with an optimiser for each side, drawing from the same generators."""
    recipe, plain = tiny(epochs=3, encoder_epochs=2), tiny(epochs=3, encoder_epochs=2)
    recipe.fit(source, CPU)
    model, order, noise = plain.model, CPU.generator("cpu", 1), CPU.generator("cpu", 2)
    sides = [[*model.encoder.parameters(), *model.bottleneck.parameters()], [*model.readout.parameters()]]
    optimizers = [torch.optim.Adam(side, lr=0.01, fused=True) for side in sides]
    for epoch in range(9):
        optimizer, encodes = optimizers[epoch % 3 == 2], epoch % 3 != 2
        for rows in torch.randperm(ROWS, generator=order).split(16):
            optimizer.zero_grad()
            model.loss(model.step(source.batch(rows), generator=noise, corrupt=encodes)).total.backward()
            optimizer.step()
        if epoch % 3 == 1:
            prior_of(plain).remember(model)
    expected = state_of(model)
    for name, tensor in state_of(recipe.model).items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=1e-5)


def test_what_is_frozen_keeps_its_moments_and_its_count(source: BagSource, tmp_path: Path) -> None:
    recipe = tiny(epochs=2, encoder_epochs=1)
    recipe.fit(source, Run(device="cpu", precision="fp32", checkpoints=tmp_path, every=1))
    third, fourth = (optimizer_state(tmp_path / f"epoch-00000{epoch}") for epoch in (3, 4))
    assert third.keys() == fourth.keys()
    moved = {key.split(".")[1] for key in third if not torch.equal(third[key], fourth[key])}
    steps = {key.split(".")[1]: int(tensor) for key, tensor in fourth.items() if key.endswith(".step")}
    assert len(moved) == 2, "the readout's weight and bias"
    assert len(steps) > 10
    assert set(steps.values()) == {6}, "three batches in each of two epochs, whichever side it is"


def optimizer_state(directory: Path) -> dict[str, Tensor]:
    tensors = bundle.read(directory).tensors
    return {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}


def test_a_resumed_training_remembers_what_the_prior_did(source: BagSource, tmp_path: Path) -> None:
    options = {"device": "cpu", "precision": "fp32", "checkpoints": tmp_path, "every": 1}
    whole, cut, again = tiny(epochs=2), tiny(epochs=2), tiny(epochs=2)
    whole.fit(source, CPU)
    epochs = itertools.count()

    class KilledError(Exception):
        pass

    def dies(model: object) -> float:
        score = float(next(epochs))
        if score == 5:
            raise KilledError
        return score

    with pytest.raises(KilledError):
        cut.fit(source, Run(**options), Validation("order", dies))
    history = again.fit(source, Run(**options, resume=True), Validation("order", lambda model: float(next(epochs))))
    assert (len(history.records), history.best_epoch) == (8, 8)
    expected = state_of(whole.model)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state_of(again.model).items())


def test_the_memory_is_saved_and_comes_back(source: BagSource) -> None:
    recipe = tiny(epochs=1)
    recipe.fit(source, CPU)
    again = rebuild(rec_vae, Bag(WIDTH), {"hidden": HIDDEN, "code": CODE}, state_of(recipe.model))
    batch = source.batch(torch.arange(ROWS))
    rates = [model.prior.rate(model.step(batch)) for model in (recipe.model, again)]
    assert torch.equal(*rates)
    assert not any(parameter.requires_grad for parameter in again.prior.parameters())


@pytest.mark.parametrize(("encoder_epochs", "decoder_epochs"), [(3, 1), (1, 2)])
def test_patience_counts_rounds(source: BagSource, encoder_epochs: int, decoder_epochs: int) -> None:
    """The best score comes with the first pass; so many whole rounds more may pass without a better one."""
    recipe = tiny(epochs=9, patience=2, encoder_epochs=encoder_epochs, decoder_epochs=decoder_epochs)
    scores = iter([1.0] + 30 * [0.0])
    history = recipe.fit(source, CPU, Validation("known", lambda model: next(scores)))
    assert history.stopped_early
    assert len(history.records) == 1 + 2 * (encoder_epochs + decoder_epochs)


def test_it_learns_who_belongs_together() -> None:
    split = strong(planted(), held_out=20, seed=2)
    recommender = trained("rec_vae", split.train)
    fold = (split.test.history, split.test.held_out, ("ndcg@5",))
    ours = evaluate(ranker_of(recommender.model), *fold).means["ndcg@5"]
    popular = evaluate(Popularity.of(split.train.matrix), *fold).means["ndcg@5"]
    assert ours > 2 * popular


@pytest.mark.parametrize(
    "settings",
    [
        *({name: 0} for name in ("hidden", "code", "epochs", "encoder_epochs", "decoder_epochs", "batch_size")),
        *({"gamma": 0.0}, {"dropout": 1.0}, {"learning_rate": 0.0}, {"patience": 0}, {"average": -1.0}),
    ],
)
def test_settings_without_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        tiny(**settings)
