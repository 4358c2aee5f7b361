"""Bottlenecks, corruptions and likelihoods in every signal: each combination trains, and reads the clean rows of four
planted groups back as their own group. The whole product runs with -m slow."""

from functools import partial

import pytest
import torch
from planted_groups import CODE, GROUPS, HIDDEN, WIDTH, answers, batch, first, generator, groups_of, model

from isthmus.batch import Bags, TokenRows, Values
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Gaussian
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.bottlenecks.vector_quantised import VectorQuantised
from isthmus.core.corruptions.numbers import Dropout, GaussianNoise, Masking, PatchMasking, SaltAndPepper, SwapNoise
from isthmus.core.corruptions.tokens import TokenDeletion, WordDropout
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
from isthmus.core.likelihoods.continuous import Laplace, LearnedGaussian, LearnedLaplace, OptimalGaussian
from isthmus.core.likelihoods.discrete import Bernoulli, Categorical, Multinomial
from isthmus.core.likelihoods.unit_interval import ContinuousBernoulli, DiscretisedLogisticMixture
from isthmus.core.objectives.elbo import Capacity, Elbo, ImportanceWeighted
from isthmus.core.objectives.posterior_collapse import FreeBits
from isthmus.core.objectives.schedules import Constant
from isthmus.core.penalties.commitment import Commitment
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.jacobian import Contractive
from isthmus.core.penalties.sparsity import L0, L1, KlSparsity
from isthmus.core.priors.mixture import MixturePrior, VampPrior
from isthmus.core.priors.normal import StandardNormal

STEPS = {"bags": 40, "vectors": 40, "images": 60, "tokens": 90}
LONGER = {("images", "words"): 2, ("images", "levels"): 2}
"""Times as many steps: codebooks, and mixtures over 256 levels, take longer to find the groups of images."""
RATE = 0.03


def plain(make, **settings):
    """A bottleneck by its hidden state, its code and a generator."""
    return lambda hidden, code, g: make(hidden, code, generator=g, **settings)


BOTTLENECKS = {
    "projected": (plain(Projected), {}),
    "gaussian": (plain(Gaussian), {"prior": StandardNormal(CODE), "objective": Elbo(Constant(0.02))}),
    "normalised": (plain(BatchNormGaussian), {"prior": StandardNormal(CODE), "objective": Elbo(Constant(0.02))}),
    "top-k": (plain(TopK, k=3), {"penalties": (AuxiliaryLoss(dead_after=200),)}),
    "batch top-k": (plain(BatchTopK, k=3), {"penalties": (AuxiliaryLoss(dead_after=200),)}),
    "jump": (plain(JumpReLU, bandwidth=1.0, threshold=0.05), {"penalties": (L0(4.0, 0.01),)}),
    "relu": (plain(SparseUnits), {"penalties": (L1(0.001),)}),
    "sigmoid": (plain(SparseUnits, activation="sigmoid"), {"penalties": (KlSparsity(0.3, 0.01),)}),
    "words": (plain(VectorQuantised, codewords=16, parts=6), {"penalties": (Commitment(),)}),
    "contractive": (plain(Projected), {"penalties": (Contractive(0.001),)}),
}

NUMBERS = {
    "none": None,
    "dropout": Dropout(0.2),
    "gaussian": GaussianNoise(0.1),
    "masking": Masking(0.2),
    "salt": SaltAndPepper(0.1),
    "swap": SwapNoise(0.1),
}
CORRUPTIONS = {
    "bags": {"none": None, "dropout": Dropout(0.2), "masking": Masking(0.2)},
    "vectors": NUMBERS,
    "images": NUMBERS | {"patches": PatchMasking(0.2, 2)},
    "tokens": {"none": None, "deletion": TokenDeletion(0.3), "unseen": WordDropout(0.5, 2)},
}

DENSITIES = {
    "gaussian": lambda: GaussianLikelihood(0.3),
    "shared": LearnedGaussian,
    "optimal": OptimalGaussian,
    "laplace": lambda: Laplace(0.2),
    "learned laplace": LearnedLaplace,
    "coins": Bernoulli,
    "continuous": ContinuousBernoulli,
    "levels": partial(DiscretisedLogisticMixture, 2),
}
LIKELIHOODS = {
    "bags": {"multinomial": Multinomial, "coins": Bernoulli, "gaussian": lambda: GaussianLikelihood(0.3)},
    "vectors": DENSITIES,
    "images": DENSITIES,
    "tokens": {"categorical": Categorical},
}


def product():
    """All combinations; all are slow but for some. Over vectors a projected and a Gaussian code meet every likelihood;
    everywhere every part occurs."""
    found = []
    for signal, likelihoods in LIKELIHOODS.items():
        corruptions = CORRUPTIONS[signal]
        for i, bottleneck in enumerate(BOTTLENECKS):
            for j, likelihood in enumerate(likelihoods):
                for k, corruption in enumerate(corruptions):
                    paired = (signal == "vectors" and i < 2) or j == i % len(likelihoods)
                    needed = paired and (i + j) % len(corruptions) == k
                    name = f"{signal}-{bottleneck}-{corruption}-{likelihood}"
                    marks = () if needed else (pytest.mark.slow,)
                    found.append(pytest.param(signal, bottleneck, corruption, likelihood, id=name, marks=marks))
    return found


def built(signal, bottleneck="projected", corruption="none", likelihood=None, **changes):
    make, parts = BOTTLENECKS[bottleneck]
    part = LIKELIHOODS[signal][likelihood or next(iter(LIKELIHOODS[signal]))]()
    outputs = part.numbers if isinstance(part, DiscretisedLogisticMixture) else 1
    noise = CORRUPTIONS[signal][corruption]
    return model(signal, make, part, outputs=outputs, **{"corruption": noise, **parts, **changes})


def trained(made, rows, steps, **settings):
    """In place; the names of the parameters that never had a gradient."""
    optimizer, noise = torch.optim.Adam(made.parameters(), lr=RATE, fused=True), generator(1)
    untouched = dict(made.named_parameters())
    for _ in range(steps):
        loss = made.loss(made.step(rows, generator=noise, **settings)).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for name in [name for name, p in untouched.items() if p.grad is not None and bool(p.grad.any())]:
            del untouched[name]
        optimizer.step()
    made.eval()
    assert bool(loss.isfinite())
    return sorted(untouched)


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "bottleneck", "corruption", "likelihood"), product())
def test_parts_join(signal, bottleneck, corruption, likelihood):
    made, rows = built(signal, bottleneck, corruption, likelihood), batch(signal)
    idle = {"decoder.shown.stand_in"} if corruption != "unseen" else set()  # what a decoder reads for hidden words
    steps = STEPS[signal] * max(LONGER.get((signal, part), 1) for part in (bottleneck, likelihood))
    assert set(trained(made, rows, steps)) <= idle
    fresh = batch(signal, rows=20, seed=7)
    assert float((answers(made, fresh) == groups_of(20)).float().mean()) >= 0.9
    # Afterwards a row's code is its own, whatever rows are beside it.
    alone = made.encode(first(rows.inputs)).point
    torch.testing.assert_close(alone, made.encode(rows.inputs).point[:1], atol=1e-5, rtol=1e-4)


ENTERED = {"bags": HIDDEN, "vectors": WIDTH}
PRIORS = {
    "normal": lambda made, entered: StandardNormal(CODE),
    "mixture": lambda made, entered: MixturePrior(CODE, GROUPS, generator=generator(5)),
    "pseudo": lambda made, entered: VampPrior(made.encoder, made.bottleneck, entered, 8, generator=generator(5)),
}
OBJECTIVES = {
    "elbo": (Elbo(Constant(0.1)), 1),
    "importance": (ImportanceWeighted(), 4),
    "importance, plain": (ImportanceWeighted(doubly=False), 4),
    "capacity": (Capacity(5.0, 1.0, 3.0), 1),
    "free bits": (FreeBits(0.3, Constant(1.0)), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal", "prior", "objective"),
    # Free bits are defined for the normal prior alone.
    [("vectors", prior, objective) for prior in PRIORS for objective in OBJECTIVES if objective != "free bits"]
    + [("vectors", "normal", "free bits")]
    + [("bags", prior, "elbo") for prior in PRIORS],
)
def test_priors_join_objectives(signal, prior, objective):
    chosen, samples = OBJECTIVES[objective]
    made, rows = built(signal, "gaussian", objective=chosen), batch(signal)
    made.prior = PRIORS[prior](made, (ENTERED[signal],))
    assert trained(made, rows, 60, samples=samples) == []
    assert float((answers(made, batch(signal, rows=20, seed=7)) == groups_of(20)).float().mean()) >= 0.9
    assert made.prior.sample(3, generator()).shape == (3, CODE)


@pytest.mark.parametrize(
    ("signal", "corruption"),
    [(signal, name) for signal, found in CORRUPTIONS.items() for name in found if name != "none"],
)
def test_a_corruption_reaches_the_encoder_in_training_and_only_then(signal, corruption):
    made, rows, seen = built(signal, corruption=corruption), batch(signal), []
    enter = made.encoder.enter
    made.encoder.enter = lambda inputs: seen.append(inputs) or enter(inputs)
    for generators in (generator(), None):
        made.step(rows, generator=generators)
    made.step(rows, generator=generator(), corrupt=False)
    made.encode(rows.inputs, generator=generator())
    noisy, *clean = (numbers_of(inputs) for inputs in seen)
    assert not same(noisy, numbers_of(rows.inputs))
    assert all(same(inputs, numbers_of(rows.inputs)) for inputs in clean)


def numbers_of(inputs):
    if isinstance(inputs, Bags):
        return inputs.weights
    if isinstance(inputs, TokenRows):
        return torch.cat([inputs.ids, torch.zeros_like(inputs.ids) if inputs.unseen is None else inputs.unseen], 1)
    return inputs.values


def same(a, b):
    return a.shape == b.shape and torch.equal(a, b)


@pytest.mark.parametrize(
    ("signal", "bottleneck"),
    [
        (signal, name)
        for place, signal in enumerate(CORRUPTIONS)
        for number, name in enumerate(name for name, (_, parts) in BOTTLENECKS.items() if "penalties" in parts)
        if signal == "vectors" or number % 3 == place % 3
    ],
)
def test_penalties_have_gradients(signal, bottleneck):
    made, rows = built(signal, bottleneck).eval(), batch(signal)  # words are not drawn from these very rows
    if bottleneck.endswith("top-k"):
        made.bottleneck.silence.rows.fill_(10**6)
        with torch.no_grad():  # two units that no row uses, and that would be used next
            made.bottleneck.units.bias[:2] = torch.tensor([-0.5, -0.5])
            made.bottleneck.units.weight[:2] = 0.0
        made.penalties = (AuxiliaryLoss(dead_after=200, candidates=2),)
    step = made.step(rows, generator=generator())
    for penalty in made.penalties:
        for name, value in penalty(step).items():
            found = torch.autograd.grad(value, list(made.parameters()), allow_unused=True, retain_graph=True)
            assert any(gradient is not None and bool(gradient.any()) for gradient in found), name


@pytest.mark.parametrize("likelihood", DENSITIES)
def test_an_image_twice_as_wide_has_twice_the_distortion(likelihood):
    part = DENSITIES[likelihood]()
    made = built("images", likelihood=likelihood)
    rows = batch("images", rows=4)
    logits = made.readout.logits(made.decode(made.encode(rows.inputs).point))

    class Given:
        def logits(self, decoded, columns=None):
            return decoded

    part.eval() if isinstance(part, torch.nn.Module) else None
    once = part(Given(), logits, rows.targets)
    twice = part(Given(), torch.cat([logits] * 2, 3), Values(torch.cat([rows.targets.values] * 2, 3)))
    torch.testing.assert_close(twice, 2 * once)
