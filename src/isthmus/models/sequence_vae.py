"""Sequence VAEs: Bowman, Vilnis, Vinyals, Dai, Jozefowicz & Bengio, "Generating Sentences from a Continuous Space",
CoNLL 2016, with later remedies for posterior collapse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Generator

from isthmus.batch import Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic, Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Gaussian
from isthmus.core.corruptions.tokens import TokenDeletion, WordDropout
from isthmus.core.decoders.lstm import LstmDecoder
from isthmus.core.decoders.superposed import SuperposedDecoder
from isthmus.core.decoders.transformer import TransformerDecoder
from isthmus.core.encoders.lstm import LstmEncoder
from isthmus.core.encoders.superposed import SuperposedEncoder
from isthmus.core.encoders.transformer import TransformerEncoder
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.likelihoods.sampled_categorical import SampledCategorical
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.posterior_collapse import (
    AggressiveEncoderTraining,
    FreeBits,
    ReinitialiseDecoder,
    pretraining_phases,
)
from isthmus.core.objectives.schedules import Constant, CyclicalAnnealing, DelayedSchedule, LinearAnnealing, RateWeight
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Corruption, Hook, Phase
from isthmus.training.batching import TokenBudget
from isthmus.training.calibration import calibrate
from isthmus.training.plan import Plan

SEEDS = 1 << 62
RATES = {"transformer": 1e-3, "lstm": 3e-3, "superposed": 2e-3}
"""Default learning rates of Adam."""
BETAS = (0.9, 0.999)
SGD_RATE = 1.0
"""Default learning rate of SGD (Li et al. 2019, and their code)."""
SHARED = 4
"""Inverse share of the dimensions of a superposed code that are initialised equally for all positions."""

TokenEncoder = LstmEncoder | TransformerEncoder | SuperposedEncoder
TokenDecoder = LstmDecoder | TransformerDecoder | SuperposedDecoder


def sequence_vae(
    signal: Tokens,
    *,
    generator: Generator,
    form: str = "transformer",
    code: int = 32,
    hidden: int = 256,
    embedding: int | None = None,
    layers: int = 2,
    heads: int = 4,
    pooling: str = "mean_max",
    dropout: float = 0.1,
    encoder_dropout: float | None = None,
    tied: bool = False,
    variational: bool = True,
    collapse: str = "batch-norm",
    scale: float = 0.6,
    free_bits: float = 0.25,
    beta: float = 1.0,
    annealing: str = "linear",
    ramp: float = 0.25,
    cycles: int = 4,
    rest: float = 0.0,
    pretraining: int = 0,
    aggressive: int = 0,
    inner: int = 10,
    word_dropout: float = 0.0,
    word_dropout_epochs: int = 10,
    deletion: float = 0.0,
    negatives: int | None = None,
    exact: int = 2,
    epochs: int = 30,
    tokens: int = 4096,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    decay: str = "constant",
    weight_decay: float = 0.0,
    clip: float | None = 5.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A sequence VAE: encodes rows of tokens and decodes their codes (Bowman et al., CoNLL 2016).

    Advice: to generate, to interpolate, and for codes that can be decoded; a Transformer learns faster than the LSTM,
    which is for small machines and for comparison. For near-perfect reconstruction use ``variational=False`` and a code
    of 128 or more. Short texts, up to about 20 tokens, are almost always reconstructed after one or two minutes of
    training with ``form="superposed", variational=False, code=512``.

    Each remedy for posterior collapse is a setting; by default the posterior means have a fixed standard deviation (Zhu
    et al., ACL 2020). The objective is the evidence lower bound. The protocol of Li et
    al. (EMNLP 2019) on the Penn Treebank is ``form="lstm", pooling="last", hidden=256, dropout=0.5, encoder_dropout=0,
    collapse="free-bits", pretraining=N`` and a ramp of 10 epochs; on Yahoo and Yelp ``hidden=1024, embedding=512``.
    They used batches of 32 rows of equal length and SGD, as ``optimizer="sgd", decay="halving"`` here.

    Args:
        form: ``transformer``, with the code in every layer; ``lstm``, with the code at every step and in the initial
            state; or ``superposed``, whose code is a sum of token vectors that are bound to their positions (Plate
            1995; Gallant & Okaywe 2013) and that a Transformer decodes: not ``variational``, and its token vectors are
            always ``tied``.
        code: dimensions of the code.
        hidden: width of every state.
        embedding: width of the token vectors of the LSTM; None for ``hidden``, which a Transformer always uses.
        layers: blocks of the Transformer's encoder and of its decoder; a superposed encoder has none.
        heads: attention heads of the Transformer; the number must divide ``hidden``.
        pooling: output of the LSTM's encoder: ``mean_max`` of all states (Long et al. 2019), or the ``last`` one.
        dropout: share of the units that are set to 0 in encoder and decoder during training.
        encoder_dropout: the same for the encoder; None for ``dropout``.
        tied: whether the decoder's token vectors are the rows of the readout (Press & Wolf, EACL 2017), which saves
            weights.
        variational: whether codes are sampled and regularised; False gives a plain or, with ``deletion``, a denoising
            autoencoder, for which the settings from ``collapse`` to ``inner`` have no effect.
        collapse: ``batch-norm``: means with a fixed standard deviation (Zhu et al. 2020); ``free-bits``: a minimum rate
            for each dimension (Kingma et al. 2016); or ``none``.
        scale: standard deviation of the means with ``batch-norm``; the rate is at least ``code * scale**2 / 2`` nats.
        free_bits: nats per dimension that ``free-bits`` does not penalise.
        beta: weight of the rate (KL divergence) at the end of annealing; 1 for the evidence lower bound.
        annealing: how the weight rises: ``linear``, ``cyclical`` (Fu et al. 2019) or ``none``.
        ramp: share of the training, or of a cycle, in which the weight rises, not counting pretraining. Published: 0.5
            of a cycle.
        cycles: number of cycles, if ``cyclical``.
        rest: share of a cycle before the rise, if ``cyclical``.
        pretraining: epochs as a plain autoencoder before ``epochs``, after which the decoder is reinitialised (Li et
            al. 2019). They are neither scored nor corrupted.
        aggressive: in this many first ``epochs`` the encoder is trained ``inner`` steps for each step of the decoder
            (He et al. 2019, with fixed numbers in place of their two stopping criteria).
        inner: steps of the encoder for each step of the decoder, if ``aggressive``.
        word_dropout: share of the tokens hidden from the decoder in the first epoch (Bowman et al. 2016).
        word_dropout_epochs: epochs over which that share decreases to 0.
        deletion: share of the tokens deleted from the encoder's input in training; not with ``word_dropout``.
        negatives: number of words that stand for the whole vocabulary in the softmax of training, frequent words more
            often (``SampledCategorical``); None takes all words. With 1,000 of 10,000 words, an epoch of the LSTM takes
            less than half the time.
        exact: number of the last ``epochs`` that take all words in spite of ``negatives``.
        epochs: passes over the rows.
        tokens: tokens per batch, including padding.
        optimizer: ``adam``; ``sgd``, stochastic gradient descent without momentum; or ``mixed``, which is ``sgd`` for
            the decoder and Adam, with 0.003 times the learning rate, for the encoder.
        learning_rate: initial step size; None is 0.001, and 0.003 for the LSTM, whose decoder needs larger steps
            although its codes hold more information with smaller ones (``python -m benchmarks text_vae``); with ``sgd``
            and ``mixed`` it is 1.
        decay: how the learning rate changes: ``constant``; ``cosine``, which lowers it to 0; or ``halving``, which
            halves it after every epoch whose validation score is not the best so far.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        clip: maximum norm of the gradient; None for no limit.
        patience: epochs without a better validation score before training stops; None trains all epochs.

    Raises:
        SettingError: a setting outside its range, or two that exclude each other.
    """
    check_choice("form", form, tuple(RATES))
    if form == "superposed" and variational:
        raise SettingError("form='superposed' of a variational model", expected="variational=False")
    check_choice("pooling", pooling, ("mean_max", "last"))
    check_choice("collapse", collapse, ("batch-norm", "free-bits", "none"))
    check_settings(code=code, hidden=hidden, embedding=hidden if embedding is None else embedding, epochs=epochs)
    check_settings(layers=layers, heads=heads, scale=scale)
    drops = (dropout if encoder_dropout is None else encoder_dropout, dropout)
    network = Network(signal, form, code, hidden, embedding or hidden, layers, heads, pooling, drops, tied)
    if not variational and (pretraining or aggressive):
        raise SettingError("pretraining or aggressive steps of a deterministic model", expected="variational=True")
    weight = _rate_weight(annealing, beta, ramp, cycles, rest)
    if pretraining > 0:
        weight = DelayedSchedule(weight, pretraining / (pretraining + epochs))
    floored = FreeBits(free_bits, weight)
    encoder = network.encoder(generator)
    bottleneck = (
        posterior(encoder.width, code, scale if collapse == "batch-norm" else None, generator)
        if variational
        else point(encoder, code, generator)
    )
    decoder, readout = network.decoder(generator)
    join(encoder, decoder, readout)
    noise, hooks = _noise(word_dropout, word_dropout_epochs, deletion)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=bottleneck,
        prior=StandardNormal(code) if variational else None,
        decoder=decoder,
        readout=readout,
        likelihood=Categorical(),
        corruption=noise,
        objective=floored if variational and collapse == "free-bits" else Elbo(weight),
    )
    phases = _phases(network, generator, pretraining, aggressive, inner, epochs, hooks)
    sampled = None if negatives is None else SampledCategorical(signal.vocabulary, negatives)
    phases = phases if sampled is None else _sampled(phases, sampled, exact)
    usual = RATES[form] if optimizer == "adam" else SGD_RATE
    rate = usual if learning_rate is None else learning_rate
    plan = Plan(phases, TokenBudget(tokens), rate, decay, BETAS, weight_decay, clip, patience, optimizer=optimizer)
    after = partial(calibrate, model, batching=plan.batching) if variational and collapse == "batch-norm" else None
    return GradientRecipe(model, plan, None if sampled is None else sampled.learn, after_training=after)


def _rate_weight(annealing: str, beta: float, ramp: float, cycles: int, rest: float) -> RateWeight:
    check_choice("annealing", annealing, ("linear", "cyclical", "none"))
    if not beta >= 0:
        raise SettingError(f"beta={beta}", expected="a number of 0 or more")
    if not 0 < ramp <= 1:
        raise SettingError(f"ramp={ramp}", expected="a share above 0, 1 at most")
    if annealing == "cyclical":
        return CyclicalAnnealing(beta, cycles, ramp, rest)
    return LinearAnnealing(beta, ramp) if annealing == "linear" else Constant(beta)


def _noise(
    word_dropout: float, word_dropout_epochs: int, deletion: float
) -> tuple[Corruption | None, tuple[Hook, ...]]:
    """The corruption, and the hook that counts its epochs."""
    if word_dropout and deletion:
        raise SettingError(
            f"word_dropout={word_dropout} with deletion={deletion}", expected="only one of them", remedy="set one to 0"
        )
    if word_dropout:
        hidden = WordDropout(word_dropout, word_dropout_epochs)
        return hidden, (hidden.hook,)
    return TokenDeletion(deletion) if deletion else None, ()


def _phases(
    network: Network,
    generator: Generator,
    pretraining: int,
    aggressive: int,
    inner: int,
    epochs: int,
    hooks: tuple[Hook, ...],
) -> tuple[Phase, ...]:
    if pretraining < 0 or not 0 <= aggressive <= epochs:
        raise SettingError(
            f"pretraining={pretraining}, aggressive={aggressive}",
            expected=f"0 or more epochs, of the latter {epochs} at most",
        )
    phases: tuple[Phase, ...] = ()
    if pretraining:
        seed = int(torch.randint(SEEDS, (), generator=generator, device="cpu"))
        phases += pretraining_phases(pretraining, ReinitialiseDecoder(network.decoder, seed))
    if aggressive:
        phases += (AggressiveEncoderTraining(inner).phase(aggressive, hooks),)
    if epochs > aggressive:
        phases += (Phase(epochs - aggressive, hooks=hooks, name="joint"),)
    return phases


def _sampled(phases: tuple[Phase, ...], likelihood: SampledCategorical, exact: int) -> tuple[Phase, ...]:
    """The phases with another likelihood, except in some last epochs."""
    if exact < 0:
        raise SettingError(f"exact={exact}", expected="0 or more epochs")
    *first, last = (replace(phase, likelihood=likelihood) for phase in phases)
    exact = min(exact, last.epochs)
    parts = (replace(last, epochs=last.epochs - exact), replace(last, epochs=exact, likelihood=None))
    return (*first, *(part for part in parts if part.epochs))


@dataclass(frozen=True)
class Network:
    """Settings of ``sequence_vae`` under the same names; ``drops`` are the dropouts of encoder and decoder."""

    signal: Tokens
    form: str
    code: int
    hidden: int
    embedding: int
    layers: int
    heads: int
    pooling: str
    drops: tuple[float, float]
    tied: bool

    def __post_init__(self) -> None:
        if self.tied and self.form == "lstm" and self.embedding != self.hidden:
            raise SettingError(f"tied=True with embedding={self.embedding}", expected=f"hidden, {self.hidden}")

    def encoder(self, generator: Generator) -> TokenEncoder:
        """The encoder from tokens to the input of the bottleneck."""
        words, drop = self.signal.vocabulary, self.drops[0]
        if self.form == "superposed":
            length, shared = self.signal.length, self.code // SHARED
            return SuperposedEncoder(words, self.hidden, length, self.code, generator=generator, shared=shared)
        if self.form == "lstm":
            pooling = "last" if self.pooling == "last" else "mean_max"
            return LstmEncoder(words, self.embedding, self.hidden, generator=generator, dropout=drop, pooling=pooling)
        sizes = (self.hidden, self.layers, self.heads, self.signal.length)
        return TransformerEncoder(words, *sizes, generator=generator, dropout=drop)

    def decoder(self, generator: Generator) -> tuple[TokenDecoder, LinearReadout]:
        """The decoder and its readout, which are reinitialised together; if ``tied``, the readout's rows are the token
        vectors."""
        words, drop = self.signal.vocabulary, self.drops[1]
        decoder: TokenDecoder
        if self.form == "lstm":
            decoder = LstmDecoder(words, self.embedding, self.hidden, self.code, generator=generator, dropout=drop)
        else:
            sizes = (self.hidden, self.layers, self.heads, self.signal.length, self.code)
            kind = SuperposedDecoder if self.form == "superposed" else TransformerDecoder
            decoder = kind(words, *sizes, generator=generator, dropout=drop)
        readout = LinearReadout(self.hidden, words, generator=generator)
        if self.tied:
            readout.weight = decoder.shown.table
        return decoder, readout


def point(encoder: TokenEncoder, code: int, generator: Generator) -> Projected | Deterministic:
    """The bottleneck of a model without a posterior; a sum of token vectors is used as the code directly."""
    if isinstance(encoder, SuperposedEncoder):
        return Deterministic()
    return Projected(encoder.width, code, generator=generator)


def join(encoder: TokenEncoder, decoder: TokenDecoder, readout: LinearReadout) -> None:
    """Let a superposed encoder and its decoder share the matrices of positions and the token vectors, which are also
    the rows of the readout, so that decoding initially is the transpose of encoding (tied weights, Vincent et al. 2010,
    section 3.2). Other forms share nothing."""
    if isinstance(encoder, SuperposedEncoder) and isinstance(decoder, SuperposedDecoder):
        decoder.places = encoder.places
        decoder.shown.table = readout.weight = encoder.table


def posterior(width: int, code: int, scale: float | None, generator: Generator) -> BatchNormGaussian | Gaussian:
    """A posterior that starts near unit variance. A Transformer's pooled states are large, so with the usual
    initialisation the first rates would be hundreds of nats."""
    made: BatchNormGaussian | Gaussian
    if scale is None:
        made = Gaussian(width, code, generator=generator)
    else:
        made = BatchNormGaussian(width, code, generator=generator, scale=scale)
    with torch.no_grad():
        made.log_scale.weight.mul_(0.1)
    return made
