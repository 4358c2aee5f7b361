"""Twelve hard cases, each built here from outside, tiny and untrained: none needs an edit to ``core/autoencoder.py`` or
``training/trainer.py``. Each checks that the seams carry it, against a value known from elsewhere where there is one.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from isthmus.batch import Bag, Bags, Batch, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian, Gaussian
from isthmus.core.corruptions.numbers import Dropout, GaussianNoise
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder, DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
from isthmus.core.likelihoods.discrete import Bernoulli, Multinomial
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.ops.bags import bag_sum
from isthmus.core.priors.normal import NoPrior, StandardNormal
from isthmus.core.rankers import AutoencoderRanker, Blend, ranker_of
from isthmus.core.readouts import LinearReadout
from isthmus.models import ease, mult_vae
from isthmus.protocols import Code, Hook, Phase, Ranker, RankingReadout, SequenceDecoder
from isthmus.sources import BagSource, VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

ITEMS, HIDDEN, CODE = 30, 8, 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def matrix(rows=20, seed=0):
    dense = (np.random.default_rng(seed).random((rows, ITEMS)) < 0.2).astype(np.float32)
    dense[:, 0] = 1
    return csr_array(dense)


def bag_batch(rows=6):
    return BagSource.from_csr(matrix()).batch(torch.arange(rows))


def bag_model(**changes):
    g = generator()
    parts = {
        "encoder": BagEncoder(ITEMS, (HIDDEN,), generator=g, activate_last=True),
        "bottleneck": Gaussian(HIDDEN, CODE, generator=g),
        "prior": StandardNormal(CODE),
        "decoder": DenseDecoder(CODE, (HIDDEN,), generator=g),
        "readout": LinearReadout(HIDDEN, ITEMS, generator=g),
        "likelihood": Multinomial(),
    }
    return Autoencoder(**(parts | changes))


def tiny_plan(*phases, **changes):
    return Plan(phases=phases or (Phase(2),), batching=Shuffled(8), **changes)


def every_parameter_moves(model, source, plan):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, source, plan, Run(device="cpu", precision="fp32"))
    return {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}


# --- 1. RecVAE: a composite prior with the old posterior, alternating phases, γ scaled by the count ------------------


class CompositePrior(nn.Module):
    """A mixture of N(0, 1), the old posterior, and a wide Gaussian (Shenbin et al. 2020, equation 4)."""

    def __init__(self, encoder, bottleneck, weights=(0.15, 0.75, 0.1)):
        super().__init__()
        self.old = nn.ModuleList([copy.deepcopy(encoder), copy.deepcopy(bottleneck)]).requires_grad_(False)
        self.weights = weights

    def remember(self, model):
        for old, new in zip(self.old, (model.encoder, model.bottleneck), strict=True):
            old.load_state_dict(new.state_dict())

    def log_prob(self, step):
        encoder, bottleneck = self.old
        hidden = encoder.trunk(encoder.enter(step.batch.inputs), step.batch.inputs)
        z, old = step.code.sample, bottleneck(hidden).posterior
        plain = DiagonalGaussian(torch.zeros_like(old.mean), torch.zeros_like(old.log_scale))
        wide = DiagonalGaussian(torch.zeros_like(old.mean), torch.full_like(old.log_scale, 5.0))
        parts = [math.log(w) + d.log_prob(z) for w, d in zip(self.weights, (plain, old, wide), strict=True)]
        return torch.stack(parts).logsumexp(0).view(-1, step.samples)

    def rate(self, step):
        return (step.code.posterior.log_prob(step.code.sample).view(-1, step.samples) - self.log_prob(step)).mean(1)

    def sample(self, n, generator):
        raise NotImplementedError


def test_recvae_composite_prior_and_alternating_phases():
    g = generator()
    encoder, bottleneck = (
        BagEncoder(ITEMS, (HIDDEN,), generator=g, activate_last=True),
        Gaussian(HIDDEN, CODE, generator=g),
    )
    prior = CompositePrior(encoder, bottleneck)
    model = bag_model(
        encoder=encoder,
        bottleneck=bottleneck,
        prior=prior,
        corruption=Dropout(0.5),
        objective=Elbo(lambda step, progress: 0.005 * step.batch.targets.totals()),
    )
    encoding = Phase(2, trainable=("encoder", "bottleneck"), hooks=(Hook("epoch", lambda m: m.prior.remember(m)),))
    decoding = Phase(1, trainable=("decoder", "readout"), corrupt=False)
    fixed = {n: p.clone() for n, p in model.named_parameters() if n.startswith(("decoder", "readout"))}
    source = BagSource.from_csr(matrix())
    train(model, source, tiny_plan(encoding), Run(device="cpu", precision="fp32"))
    assert all(torch.equal(fixed[n], p) for n, p in model.named_parameters() if n in fixed)
    assert torch.equal(prior.old[0].table, model.encoder.table)
    moved = every_parameter_moves(model, source, tiny_plan(encoding, decoding, encoding, decoding))
    assert {n for n, _ in model.named_parameters()} == moved


# --- 2. VampPrior: pseudo-inputs that live after ``enter`` ------------------------------------------------------------


class VampPrior(nn.Module):
    """A mixture of the posteriors of trained pseudo-inputs (Tomczak & Welling 2018, equation 9)."""

    def __init__(self, count, entered):
        super().__init__()
        self.pseudo = nn.Parameter(torch.randn(count, entered, generator=generator(3)))

    def log_prob(self, step):
        model = step.model
        posterior = model.bottleneck(model.encoder.trunk(self.pseudo, None)).posterior
        z = step.code.sample
        repeated = [
            DiagonalGaussian(m.expand_as(z), s.expand_as(z)).log_prob(z)
            for m, s in zip(posterior.mean, posterior.log_scale, strict=True)
        ]
        return (torch.stack(repeated).logsumexp(0) - math.log(len(repeated))).view(-1, step.samples)

    def rate(self, step):
        return (step.code.posterior.log_prob(step.code.sample).view(-1, step.samples) - self.log_prob(step)).mean(1)

    def sample(self, n, generator):
        raise NotImplementedError


def test_vamp_prior_trains_its_pseudo_inputs():
    model = bag_model(prior=VampPrior(5, HIDDEN))
    moved = every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan())
    assert "prior.pseudo" in moved


# --- 3. importance weighting with S samples ---------------------------------------------------------------------------


def importance_weighted(step, rate, progress):
    """−log mean_s p(x | z_s) p(z_s) / q(z_s | x) (Burda et al. 2016, equation 8)."""
    log_ratio = step.model.prior.log_prob(step) - step.code.posterior.log_prob(step.code.sample).view(-1, step.samples)
    return -(torch.logsumexp(step.log_likelihood + log_ratio, 1) - math.log(step.samples)).mean()


def test_importance_weighting_tightens_the_bound():
    model, batch = bag_model(objective=importance_weighted), bag_batch()

    def bound(samples, seed):
        step = model.step(batch, generator=generator(seed), samples=samples)
        assert step.log_likelihood.shape == (6, samples)
        return float(model.loss(step).total.detach())

    one = np.mean([bound(1, seed) for seed in range(20)])
    many = np.mean([bound(50, seed) for seed in range(20)])
    assert many < one


# --- 4. TopK with an auxiliary loss that revives dead units -----------------------------------------------------------


class TopK(nn.Module):
    """Keeps the k largest pre-activations (Makhzani & Frey 2013; Gao et al. 2024)."""

    def __init__(self, k):
        super().__init__()
        self.k = k
        self.register_buffer("idle", torch.zeros(HIDDEN))

    def forward(self, hidden, *, generator=None, samples=1):
        values, places = hidden.topk(self.k, 1)
        code = torch.zeros_like(hidden).scatter(1, places, values.relu())
        if generator is not None:
            self.idle = torch.where((code > 0).any(0), 0.0, self.idle + 1)
        return Code(code, code.repeat_interleave(samples, 0), None, {"before": hidden})


def revive(step):
    """−log p(x | decoder(stop_gradient(z) + z_dead)), for every likelihood alike."""
    dead = (step.model.bottleneck.idle > 0) * step.code.notes["before"].relu()
    decoded = step.model.decode(step.code.sample.detach() + dead, step.batch)
    return {"dead": -0.03 * step.model.likelihood(step.model.readout, decoded, step.batch.targets).mean()}


@pytest.mark.parametrize("likelihood", [Multinomial(), Bernoulli(), GaussianLikelihood()])
def test_topk_auxiliary_loss_works_for_every_likelihood(likelihood):
    g = generator()
    model = bag_model(
        encoder=BagEncoder(ITEMS, (HIDDEN,), generator=g),
        bottleneck=TopK(2),
        prior=None,
        decoder=DenseDecoder(HIDDEN, generator=g),
        likelihood=likelihood,
        penalties=[revive],
    )
    step = model.step(bag_batch(), generator=generator())
    assert (step.code.point > 0).sum(1).max() <= 2
    loss = model.loss(step)
    assert "dead" in loss.terms
    assert torch.isfinite(loss.total)
    assert every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan()) >= {
        "encoder.table",
        "readout.weight",
    }


# --- 5 and 6. EASE, and a deep model plus EASE ------------------------------------------------------------------------


def test_ease_is_a_ranker_like_any_other():
    data = matrix(40)
    recipe = ease(Bag(ITEMS), generator=generator(), regularisation=5.0)
    recipe.fit(BagSource.from_csr(data), Run(device="cpu"))
    assert isinstance(ranker_of(recipe.model), Ranker)
    bags = BagSource.from_csr(data).batch(torch.arange(40)).inputs
    assert isinstance(bags, Bags)
    scores = recipe.model.scores(recipe.model.prepare(bags))
    np.testing.assert_allclose(scores.numpy(), data @ recipe.model.weights.numpy(), rtol=1e-4, atol=1e-5)


def test_deep_plus_ease_is_a_blend():
    bags = bag_batch().inputs
    deep = AutoencoderRanker(mult_vae(Bag(ITEMS), generator=generator(), hidden=8, code=4).model)
    linear = LinearAutoencoder(ITEMS)
    linear.weights.copy_(torch.randn(ITEMS, ITEMS, generator=generator(2)))
    both = Blend([deep.model, linear])
    both.weigh([1.0, 0.3], [0.0, 0.0])
    state, columns = both.prepare(bags), torch.tensor([4, 1, 7])
    expected = deep.scores(deep.prepare(bags)) + 0.3 * linear.scores(bags)
    torch.testing.assert_close(both.scores(state), expected)
    torch.testing.assert_close(both.scores(state, columns), expected[:, columns])


# --- 7. ELSA: one tied table of unit rows, a cosine instead of nats ---------------------------------------------------


class UnitNormReadout(nn.Module):
    """One table for both ends; its normalised rows are the index."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(ITEMS, CODE, generator=generator(5)))

    @property
    def weight(self):
        return nn.functional.normalize(self.table, dim=1)

    @property
    def bias(self):
        return torch.zeros(ITEMS)

    def logits(self, decoded, columns=None):
        return decoded @ self.weight[slice(None) if columns is None else columns].T

    def vectors(self):
        return torch.cat([self.weight, self.bias[:, None]], 1).detach()

    def queries(self, decoded):
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)


class TiedEncoder(nn.Module):
    def __init__(self, readout):
        super().__init__()
        self.readout = readout

    def enter(self, inputs):
        return bag_sum(self.readout.weight, inputs)

    def trunk(self, entered, inputs):
        return entered


class CosineScore:
    """−‖x/‖x‖ − y/‖y‖‖² = 2 cos − 2 with y = x A Aᵀ − x (Vančura et al. 2022, equation 3): a score, not nats."""

    def __call__(self, readout, decoded, targets, *, generator=None):
        rows = targets.rows()
        dense = torch.zeros(targets.size, ITEMS).index_put((rows, targets.indices), targets.weights)
        return 2 * nn.functional.cosine_similarity(dense, readout.logits(decoded) - dense, dim=1) - 2

    def mean(self, readout, decoded):
        return readout.logits(decoded)

    def sample(self, readout, decoded, generator):
        return readout.logits(decoded)


def test_elsa_has_one_tied_table():
    readout = UnitNormReadout()
    model = bag_model(
        encoder=TiedEncoder(readout),
        bottleneck=Deterministic(),
        prior=None,
        decoder=lambda sample, given: sample,
        readout=readout,
        likelihood=CosineScore(),
    )
    assert isinstance(readout, RankingReadout)
    assert [name for name, _ in model.named_parameters()] == ["encoder.readout.table"]
    assert every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan()) == {"encoder.readout.table"}
    ranker = AutoencoderRanker(model)
    assert torch.allclose(readout.vectors()[:, :-1].norm(dim=1), torch.ones(ITEMS))
    assert ranker.scores(ranker.prepare(bag_batch().inputs)).shape == (6, ITEMS)


# --- 8. a teacher-forced decoder with cached generation ---------------------------------------------------------------


class TokenEncoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, HIDDEN, generator=generator(1)))

    def enter(self, inputs):
        return self.table[inputs.ids]

    def trunk(self, entered, inputs):
        mask = inputs.mask[..., None]
        return (entered * mask).sum(1) / mask.sum(1)


class RecurrentDecoder(nn.Module):
    """h_t = tanh(U h_{t−1} + E[x_{t−1}] + V z); position t predicts x_t."""

    def __init__(self, vocabulary):
        super().__init__()
        g = generator(2)
        self.first = nn.Parameter(torch.randn(HIDDEN, generator=g))
        self.table = nn.Parameter(torch.randn(vocabulary, HIDDEN, generator=g))
        self.inner = nn.Parameter(torch.randn(HIDDEN, HIDDEN, generator=g) / 3)
        self.code = nn.Parameter(torch.randn(CODE, HIDDEN, generator=g))

    def forward(self, sample, given):
        hidden, state = self.start(sample)
        decoded = [hidden]
        for ids in given.targets.ids[:, :-1].T:
            hidden, state = self.advance(state, ids)
            decoded.append(hidden)
        return torch.stack(decoded, 1)

    def start(self, sample):
        bias = sample @ self.code
        hidden = torch.tanh(self.first + bias)
        return hidden, (hidden, bias)

    def advance(self, state, ids):
        hidden = torch.tanh(state[0] @ self.inner + self.table[ids] + state[1])
        return hidden, (hidden, state[1])

    def reorder(self, state, rows):
        return tuple(part[rows] for part in state)


class NextToken:
    """Σ_t log softmax(logits_t)[x_t] over the tokens that are no padding."""

    def __call__(self, readout, decoded, targets, *, generator=None):
        log_p = readout.logits(decoded.flatten(0, 1)).log_softmax(1).view(*targets.ids.shape, -1)
        return (log_p.gather(2, targets.ids[..., None])[..., 0] * targets.mask).sum(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded).softmax(-1)

    def sample(self, readout, decoded, generator):
        return torch.multinomial(self.mean(readout, decoded), 1, generator=generator)


def test_teacher_forced_decoder_and_cached_generation_agree():
    vocabulary, g = 11, generator()
    model = Autoencoder(
        encoder=TokenEncoder(vocabulary),
        bottleneck=Gaussian(HIDDEN, CODE, generator=g),
        prior=StandardNormal(CODE),
        decoder=RecurrentDecoder(vocabulary),
        readout=LinearReadout(HIDDEN, vocabulary, generator=g),
        likelihood=NextToken(),
    )
    decoder = model.decoder
    assert isinstance(decoder, SequenceDecoder)
    ids = torch.randint(0, vocabulary, (3, 5), generator=g)
    tokens = TokenRows(ids, torch.ones(3, 5, dtype=torch.bool))
    batch = Batch(torch.arange(3), tokens, tokens)
    step = model.step(batch, generator=generator(), samples=2)
    assert step.log_likelihood.shape == (3, 2)
    model.loss(step).total.backward()
    assert all(p.grad is not None for p in model.parameters())
    clean = model.step(batch)
    hidden, state = decoder.start(clean.code.sample)
    for position in range(5):
        torch.testing.assert_close(hidden, clean.decoded[:, position])
        hidden, state = decoder.advance(state, ids[:, position])
    swapped = decoder.reorder(state, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(swapped[0], state[0][[2, 0, 1]])


# --- 9. a contractive convolutional encoder ---------------------------------------------------------------------------


class ConvEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        g = generator(4)
        self.kernel = nn.Parameter(0.5 * torch.randn(2, 1, 3, 3, generator=g))
        self.out = nn.Parameter(torch.randn(32, CODE, generator=g) / 5)

    def enter(self, inputs):
        return inputs.values

    def trunk(self, entered, inputs):
        return torch.tanh(nn.functional.conv2d(entered, self.kernel, padding=1, stride=2)).flatten(1) @ self.out


def contractive(step):
    """Hutchinson's estimate of ‖∂hidden/∂entered‖²_F: E ‖vᵀJ‖² for v ~ N(0, 1)."""
    encoder, inputs = step.model.encoder, step.batch.inputs
    entered = encoder.enter(inputs).detach().requires_grad_()
    hidden = encoder.trunk(entered, inputs)
    v = torch.empty_like(hidden).normal_(generator=step.generator)
    (grad,) = torch.autograd.grad(hidden, entered, v, create_graph=True)
    return {"contraction": grad.flatten(1).square().sum(1).mean()}


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.readout = LinearReadout(CODE, 64, generator=generator())

    def logits(self, decoded, columns=None):
        return self.readout.logits(decoded, columns).view(-1, 1, 8, 8)


class PixelGaussian:
    def __call__(self, readout, decoded, targets, *, generator=None):
        return -0.5 * (readout.logits(decoded) - targets.values).square().flatten(1).sum(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded)

    def sample(self, readout, decoded, generator):
        return readout.logits(decoded)


def image_batch(rows=3):
    images = Values(torch.randn(rows, 1, 8, 8, generator=generator(9)))
    return Batch(torch.arange(rows), images, images)


def test_contractive_convolutional_encoder():
    model = Autoencoder(
        encoder=ConvEncoder(),
        bottleneck=Deterministic(),
        decoder=lambda sample, given: sample,
        readout=Flat(),
        likelihood=PixelGaussian(),
        penalties=[contractive],
    )
    batch = image_batch()
    loss = model.loss(model.step(batch, generator=generator()))
    loss.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    jacobian = torch.autograd.functional.jacobian(lambda x: model.encoder.trunk(x, None).sum(0), batch.inputs.values)
    exact = jacobian.square().sum() / 3
    estimates = [contractive(model.step(batch, generator=generator(s)))["contraction"].item() for s in range(400)]
    assert np.mean(estimates) == pytest.approx(exact.item(), rel=0.1)


# --- 10. sampled softmax with log-Q -----------------------------------------------------------------------------------


class SampledMultinomial:
    """Negatives shared by the batch, logits corrected by −log of their expected count (Bengio & Senécal 2008)."""

    def __init__(self, negatives):
        self.negatives = negatives

    def __call__(self, readout, decoded, targets, *, generator=None):
        chosen = torch.randint(0, ITEMS, (self.negatives,), generator=generator)
        corrected = readout.logits(decoded, chosen) - math.log(self.negatives / ITEMS)
        rows = targets.rows()
        positive = (readout.weight[targets.indices] * decoded[rows]).sum(1) + readout.bias[targets.indices]
        return torch.zeros(targets.size).index_add(0, rows, positive) - targets.totals() * corrected.logsumexp(1)

    def mean(self, readout, decoded):
        return readout.logits(decoded).softmax(1)

    def sample(self, readout, decoded, generator):
        return torch.multinomial(self.mean(readout, decoded), 1, generator=generator)


def test_sampled_softmax_approaches_the_full_one():
    batch = bag_batch()
    full = bag_model().step(batch).log_likelihood
    sampled = bag_model(likelihood=SampledMultinomial(20_000)).step(batch, generator=None).log_likelihood
    torch.testing.assert_close(sampled, full, rtol=0.01, atol=0.1)
    moved = every_parameter_moves(
        bag_model(likelihood=SampledMultinomial(10)), BagSource.from_csr(matrix()), tiny_plan()
    )
    assert "readout.weight" in moved


# --- 11. a pretrained transformers encoder ----------------------------------------------------------------------------


class PretrainedEncoder(nn.Module):
    """Any ``transformers`` encoder: ``enter`` is its word embedding, ``trunk`` all the rest and a mean over tokens."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def enter(self, inputs):
        return self.backbone.get_input_embeddings()(inputs.ids)

    def trunk(self, entered, inputs):
        out = self.backbone(inputs_embeds=entered, attention_mask=inputs.mask.long()).last_hidden_state
        mask = inputs.mask[..., None]
        return (out * mask).sum(1) / mask.sum(1)


def test_pretrained_transformers_encoder():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.BertConfig(
        vocab_size=11, hidden_size=HIDDEN, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    with torch.random.fork_rng():
        backbone = transformers.BertModel(config).eval()
    ids = torch.randint(0, 11, (3, 5), generator=generator())
    tokens = TokenRows(ids, torch.ones(3, 5, dtype=torch.bool))
    g = generator()
    model = Autoencoder(
        encoder=PretrainedEncoder(backbone),
        bottleneck=Deterministic(),
        decoder=RecurrentDecoderOfWidth(HIDDEN),
        readout=LinearReadout(HIDDEN, 11, generator=g),
        likelihood=NextToken(),
    )
    expected = backbone(input_ids=ids).last_hidden_state.mean(1)
    torch.testing.assert_close(model.encode(tokens).point, expected)
    model.loss(model.step(Batch(torch.arange(3), tokens, tokens))).total.backward()
    assert backbone.get_input_embeddings().weight.grad.abs().sum() > 0


class RecurrentDecoderOfWidth(RecurrentDecoder):
    def __init__(self, width):
        super().__init__(11)
        self.code = nn.Parameter(torch.randn(width, HIDDEN, generator=generator(6)))


# --- 12. a residual denoiser ------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Predicts the noise and subtracts it from what came in: x̂ = y − f(z)."""

    def __init__(self, width):
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(CODE, width))

    def forward(self, sample, given):
        return given.inputs.values - sample @ self.noise


class AsIs:
    def logits(self, decoded, columns=None):
        return decoded


class UnitGaussian:
    def __call__(self, readout, decoded, targets, *, generator=None):
        return -0.5 * (decoded - targets.values).square().sum(1)

    def mean(self, readout, decoded):
        return decoded

    def sample(self, readout, decoded, generator):
        return decoded


def test_residual_denoiser_sees_the_corrupted_input():
    values = torch.randn(12, 10, generator=generator())
    model = Autoencoder(
        encoder=DenseEncoder(10, (CODE,), generator=generator()),
        bottleneck=Deterministic(),
        decoder=Residual(10),
        readout=AsIs(),
        likelihood=UnitGaussian(),
        corruption=GaussianNoise(0.5),
    )
    source = VectorSource(values)
    noisy = model.step(source.batch(torch.arange(12)), generator=generator(1))
    clean = model.step(source.batch(torch.arange(12)))
    # The noise is zero at the start, so that the output is the input as the encoder got it.
    assert not torch.allclose(noisy.decoded, values)
    torch.testing.assert_close(clean.decoded, values)
    assert every_parameter_moves(model, source, tiny_plan()) >= {"decoder.noise"}
    assert isinstance(model.prior, NoPrior)
