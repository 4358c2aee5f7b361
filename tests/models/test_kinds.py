"""Five kinds of autoencoder over four signals: each cell trains, is rebuilt from its settings, and shows what its kind
is for beside the plain one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from planted import one_thread
from signals import SIGNALS, seeded, source_of

from isthmus.batch import Bag, Batch, Grid, Tokens, Vector
from isthmus.bundle.tensors import state_of
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.jacobian import jacobian_norms
from isthmus.core.priors.mixture import VampPrior
from isthmus.errors import SettingError
from isthmus.metrics.sparsity import sparsity_of
from isthmus.models.kinds import FORMS, contractive, denoising, sparse, vanilla, variational
from isthmus.models.parts.backbones import backbone
from isthmus.models.parts.corruptions import NOISES, corruption_of
from isthmus.models.parts.likelihoods import LIKELIHOODS
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import checked, keywords_of
from isthmus.protocols import Builder
from isthmus.sources import VectorSource
from isthmus.training.run import Run

KINDS: dict[str, Builder] = {
    "vanilla": vanilla,
    "variational": variational,
    "denoising": denoising,
    "sparse": sparse,
    "contractive": contractive,
}
SMALL: dict[str, Any] = {
    "code": 3, "hidden": 24, "filters": 6, "heads": 2,
    "epochs": 10, "batch_size": 40, "tokens": 200, "learning_rate": 0.01,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "sparse": {"code": 40, "k": 4, "dead_after": 240},
    "contractive": {"weight": 3.0},
    "variational": {"annealing": 0.5},
}
RUN = Run(device="cpu", precision="fp32")
CELLS = [(kind, signal) for kind in KINDS for signal in SIGNALS]


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    with one_thread():
        yield


def recipe(kind: str, signal: str, **changes: Any) -> GradientRecipe:
    settings = {**SMALL, **OWN.get(kind, {}), **changes}
    made = KINDS[kind](SIGNALS[signal], generator=RUN.generator(), **settings)
    assert isinstance(made, GradientRecipe)
    return made


@cache
def fitted(kind: str, signal: str) -> tuple[Autoencoder, tuple[Any, ...]]:
    """A trained model, the same one at every call, and its history."""
    made = recipe(kind, signal)
    history = made.fit(source_of(signal), RUN)
    return made.model, tuple(history.records)


def fresh(signal: str, rows: int = 60) -> Batch:
    """Rows that were not trained on."""
    return source_of(signal, rows, seed=5).batch(torch.arange(rows))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "signal"), CELLS)
def test_each_cell_learns(kind: str, signal: str) -> None:
    _, records = fitted(kind, signal)
    assert float(records[-1]["nll"]) < float(records[0]["nll"])
    assert all(torch.tensor(float(record["loss"])).isfinite() for record in records)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "signal"), CELLS)
def test_each_cell_is_rebuilt_from_json_and_tensors(kind: str, signal: str) -> None:
    model, _ = fitted(kind, signal)
    whole = checked(kind, KINDS[kind], {**SMALL, **OWN.get(kind, {})})
    again = rebuild(KINDS[kind], SIGNALS[signal], json.loads(json.dumps(whole)), state_of(model))
    assert isinstance(again, Autoencoder)
    batch = fresh(signal, 7)
    with torch.no_grad():
        ours, theirs = model.step(batch), again.step(batch)
    assert torch.equal(ours.code.point, theirs.code.point)
    assert torch.equal(ours.log_likelihood, theirs.log_likelihood)


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_is_the_same_alone_and_among_others(kind: str) -> None:
    for signal in SIGNALS:
        same_alone(fitted(kind, signal)[0], signal)


def same_alone(model: Autoencoder, signal: str) -> None:
    source = source_of(signal, 9, seed=6)
    with torch.no_grad():
        whole = model.encode(source.batch(torch.arange(9)).inputs).point
        alone = torch.cat([model.encode(source.batch(torch.tensor([row])).inputs).point for row in range(9)])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    # What stands in for a hidden token is used by word dropout alone.
    assert {name for signal in SIGNALS for name in untouched(kind, signal)} <= {"decoder.shown.stand_in"}


def untouched(kind: str, signal: str) -> list[str]:
    model = recipe(kind, signal).model.train()
    if kind == "sparse":
        model.bottleneck.silence.rows[:] = 10_000  # all units are dead: revival asks every one of them
    loss = model.loss(model.step(fresh(signal), generator=seeded()), progress=0.5).total
    loss.backward()
    return [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]


@pytest.mark.parametrize("signal", SIGNALS)
def test_variational_codes_cost_nats_and_match_their_prior(signal: str) -> None:
    model, _ = fitted("variational", signal)
    with torch.no_grad():
        code = model.encode(fresh(signal).inputs)
    assert code.posterior is not None
    assert 0.3 < float(code.posterior.standard_normal_rates().sum(1).mean()) < 30
    drawn = model.prior.sample(50, seeded())
    assert drawn.shape == (50, SMALL["code"])
    plain, _ = fitted("vanilla", signal)
    with pytest.raises(SettingError, match="prior"):
        plain.prior.sample(1, seeded())


@pytest.mark.parametrize("signal", SIGNALS)
def test_denoising_loses_less_where_rows_are_damaged(signal: str) -> None:
    """What a damaged input costs beyond a clean one is less than it costs the plain autoencoder."""
    costs = {}
    noise = corruption_of(SIGNALS[signal])
    batch = fresh(signal)
    for kind in ("denoising", "vanilla"):
        model, _ = fitted(kind, signal)
        damaged = Batch(batch.rows, noise(batch.inputs, seeded(3)), batch.targets)
        with torch.no_grad():
            clean_nll, damaged_nll = (-model.step(one).log_likelihood.mean() for one in (batch, damaged))
        costs[kind] = float(damaged_nll - clean_nll)
    assert costs["denoising"] < costs["vanilla"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_sparse_codes_use_few_units_and_none_is_dead(signal: str) -> None:
    (model, _), (plain_model, _) = fitted("sparse", signal), fitted("vanilla", signal)
    with torch.no_grad():
        codes = model.encode(fresh(signal, 240).inputs).point
        plain = plain_model.encode(fresh(signal, 240).inputs).point
    found = sparsity_of(codes)
    assert 1 < found.active <= OWN["sparse"]["k"]
    assert sparsity_of(plain.abs()).active == pytest.approx(SMALL["code"])


@pytest.mark.parametrize("signal", SIGNALS)
def test_contractive_codes_move_less(signal: str) -> None:
    """Against the size of the code, so that a smaller one is no contraction."""
    moved = {}
    for kind in ("contractive", "vanilla"):
        model, _ = fitted(kind, signal)
        inputs = fresh(signal, 20).inputs
        norms = jacobian_norms(model, inputs, method="jacobian").mean().detach()
        moved[kind] = float(norms)
    assert moved["contractive"] < 0.7 * moved["vanilla"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_sparsity(form: str) -> None:
    made = recipe("sparse", "vector", form=form, epochs=12, weight=1.0 if form == "l1" else None)
    history = made.fit(source_of("vector"), RUN)
    with torch.no_grad():
        codes = made.model.encode(fresh("vector", 200).inputs).point
    if form == "kl":
        assert float(codes.mean()) < 0.45
    elif form == "jumprelu":
        # Thresholds move slowly; they are on their way.
        assert float(history.records[-1]["l0"]) < 0.8 * float(history.records[0]["l0"])
    else:
        assert sparsity_of(codes).active < 16


def test_a_shallow_sparse_model_is_two_matrices() -> None:
    model = recipe("sparse", "vector").model
    assert {name: list(p.shape) for name, p in model.named_parameters()} == {
        "bottleneck.units.weight": [40, 12],
        "bottleneck.units.bias": [40],
        "readout.weight": [12, 40],
        "readout.bias": [12],
    }
    torch.testing.assert_close(model.readout.weight.norm(dim=0), torch.ones(40))
    assert torch.equal(model.bottleneck.units.weight, model.readout.weight.T)


def test_what_a_unit_writes_keeps_its_length() -> None:
    model, _ = fitted("sparse", "vector")
    torch.testing.assert_close(model.readout.weight.norm(dim=0), torch.ones(40))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_likelihoods_by_name(likelihood: str) -> None:
    for signal in ("vector", "grid"):
        one_likelihood(likelihood, signal)


def one_likelihood(likelihood: str, signal: str) -> None:
    made = recipe("variational", signal, likelihood=likelihood, epochs=1)
    batch = fresh(signal, 8)
    if likelihood in ("bernoulli", "continuous-bernoulli", "discretized-logistic"):
        values = type(batch.inputs)(batch.inputs.values.sigmoid())
        batch = Batch(batch.rows, values, values)
    step = made.model.step(batch, generator=seeded())
    assert bool(step.log_likelihood.isfinite().all())
    decoded = made.model.decode(step.code.point)
    assert made.model.likelihood.mean(made.model.readout, decoded).shape == batch.targets.values.shape


def test_importance_weights_ask_for_several_samples() -> None:
    made = recipe("variational", "vector", samples=5, epochs=2)
    assert made.plan.phases[0].samples == 5
    history = made.fit(source_of("vector"), RUN)
    assert float(history.records[-1]["loss"]) < float(history.records[0]["loss"])


def test_a_smaller_beta_buys_a_dearer_code() -> None:
    rates = {}
    for beta in (0.1, 4.0):
        made = recipe("variational", "vector", beta=beta, likelihood="gaussian")
        rates[beta] = float(made.fit(source_of("vector"), RUN).records[-1]["rate"])
    assert rates[0.1] > rates[4.0] + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prior", "signal"),
    [("mixture", "vector"), ("mixture", "tokens"), ("pseudo-inputs", "bag"), ("pseudo-inputs", "grid")],
)
def test_priors_that_train(prior: str, signal: str) -> None:
    """The prior moves, the bound falls, draws decode, and everything is rebuilt from what is saved."""
    settings = {"prior": prior, "components": 6}
    made = recipe("variational", signal, **settings)
    before = {name: tensor.clone() for name, tensor in state_of(made.model).items() if name.startswith("prior.")}
    history = made.fit(source_of(signal), RUN)
    assert float(history.records[-1]["nll"]) < float(history.records[0]["nll"])
    after = state_of(made.model)
    assert before
    assert all(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    drawn = made.model.prior.sample(40, seeded())
    assert drawn.shape == (40, SMALL["code"])
    assert bool(drawn.isfinite().all())
    whole = checked("variational", variational, {**SMALL, **OWN.get("variational", {}), **settings})
    again = rebuild(variational, SIGNALS[signal], json.loads(json.dumps(whole)), after)
    assert isinstance(again, Autoencoder)
    assert torch.equal(again.prior.sample(5, seeded()), made.model.prior.sample(5, seeded()))


def test_pseudo_inputs_begin_as_rows_of_the_data() -> None:
    made = recipe("variational", "vector", prior="pseudo-inputs", components=5)
    source = source_of("vector", 20)
    assert made.before_training is not None
    made.before_training(source)
    rows = source.batch(torch.arange(5) * 4).inputs
    assert isinstance(made.model.prior, VampPrior)
    entered = made.model.encoder.enter(made.model.scaled(rows))
    assert torch.equal(made.model.prior.pseudo.detach(), entered)


@pytest.mark.parametrize("signal", SIGNALS)
def test_all_noises_of_a_signal(signal: str) -> None:
    batch = fresh(signal, 8)
    for name in NOISES[type(SIGNALS[signal])]:
        made = recipe("denoising", signal, noise=name)
        assert made.model.corruption is not None
        assert bool(made.model.step(batch, generator=seeded()).log_likelihood.isfinite().all())


def test_the_same_keywords_everywhere() -> None:
    """What two kinds share has one name, one type and one default."""
    seen: dict[str, Any] = {}
    differing = {"code", "weight"}
    for builder in KINDS.values():
        for name, keyword in keywords_of(builder).items():
            if name not in differing:
                assert seen.setdefault(name, keyword) == keyword


IMPOSSIBLE: list[tuple[str, str, dict[str, Any], str]] = [
    ("vanilla", "vector", {"code": 0}, "code"),
    ("vanilla", "vector", {"layers": -1}, "layers"),
    ("vanilla", "bag", {"layers": 0}, "layers"),
    ("vanilla", "grid", {"layers": 9}, "halvings"),
    ("vanilla", "bag", {"likelihood": "bernoulli"}, "multinomial"),
    ("vanilla", "tokens", {"likelihood": "gaussian"}, "categorical"),
    ("vanilla", "vector", {"likelihood": "poisson"}, "poisson"),
    ("vanilla", "vector", {"epochs": 0}, "epochs"),
    ("denoising", "bag", {"noise": "gaussian"}, "noise"),
    ("denoising", "vector", {"noise": "gaussian", "level": 0.0}, "level"),
    ("denoising", "tokens", {"level": 1.5}, "1.5"),
    ("variational", "vector", {"beta": -1.0}, "beta"),
    ("variational", "vector", {"samples": 0}, "samples"),
    ("variational", "vector", {"prior": "uniform"}, "uniform"),
    ("variational", "vector", {"prior": "mixture", "components": 0}, "components"),
    ("variational", "vector", {"prior": "mixture", "free_bits": 0.5}, "free_bits"),
    ("variational", "tokens", {"prior": "pseudo-inputs"}, "tokens"),
    ("sparse", "vector", {"k": 41}, "k=41"),
    ("sparse", "vector", {"form": "l2"}, "form"),
    ("contractive", "vector", {"method": "guess"}, "guess"),
]


def test_settings_that_cannot_be() -> None:
    for kind, signal, changes, told in IMPOSSIBLE:
        with pytest.raises(SettingError, match=told):
            recipe(kind, signal, **changes)


def test_a_keyword_that_no_kind_shares_is_refused() -> None:
    with pytest.raises(SettingError, match="hiden"):
        vanilla(SIGNALS["vector"], generator=seeded(), hiden=3)  # type: ignore[call-arg]


def test_backbones_by_signal() -> None:
    made = {type(signal): backbone(signal, generator=seeded(), hidden=8, heads=2) for signal in SIGNALS.values()}
    assert made[Bag].scaling is not None
    assert made[Tokens].hidden == 16
    assert made[Vector].hidden == made[Grid].hidden == made[Bag].hidden == 8


@pytest.mark.parametrize(("given", "wanted"), [(None, 40), (7, 7)])
def test_units_count_as_dead_after_an_epoch(given: int | None, wanted: int) -> None:
    source = VectorSource(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    recipe = sparse(Vector(6), generator=torch.Generator(), code=20, k=2, epochs=1, dead_after=given)
    recipe.fit(source, Run(device="cpu"))
    (revival,) = (penalty for penalty in recipe.model.penalties if isinstance(penalty, AuxiliaryLoss))
    assert revival.dead_after == wanted
