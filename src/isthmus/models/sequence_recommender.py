"""Causal Transformers over the items of a user: SASRec (Kang & McAuley, ICDM 2018) with a full softmax, eSASRec's
gated blocks, and their variational form, SVAE (Sachdeva, Manco, Ritacco & Pudi, WSDM 2019) with attention."""

from __future__ import annotations

from functools import partial

import torch
from torch import Generator

from isthmus.batch import Bag, Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders.causal import CausalEncoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.likelihoods.sampled_multinomial import SampledMultinomial
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.schedules import LinearAnnealing
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import InputError, SettingError
from isthmus.models.parts.item_softmax import NEGATIVES, SAMPLED_FROM
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Likelihood, Phase, Source
from isthmus.sources import NextTokens
from isthmus.training.batching import TokenBudget
from isthmus.training.plan import Plan

BETAS = (0.9, 0.98)
"""Decay rates of Adam, as in the code of SASRec."""

LOG_SCALE = -2.0
"""Of a code before training: little noise, so that training starts like that of the plain model."""


def sequence_recommender(
    signal: Bag,
    *,
    generator: Generator,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 1,
    length: int = 200,
    dropout: float = 0.2,
    block: str = "plain",
    timed: bool = False,
    variational: bool = False,
    beta: float = 0.001,
    annealing: float = 0.25,
    ahead: int | None = None,
    epochs: int = 100,
    tokens: int = 2048,
    learning_rate: float = 1e-3,
    decay: str = "constant",
    weight_decay: float = 0.0,
    patience: int | None = 10,
    negatives: int | None = None,
) -> GradientRecipe:
    """SASRec: predicts the next item from those before it, with a causal Transformer (Kang & McAuley, ICDM 2018).

    Advice: events with times, or in order, of at least a thousand users. On a few thousand short histories a model in
    closed form is as good and a thousand times faster; a blend of both kinds is better than either.

    Every position of a history predicts what comes next, under a softmax over all items whose rows are also the vectors
    of the items (Klenitskiy & Vasilev, RecSys 2023, show what this does for SASRec, Petrov & Macdonald, RecSys 2023,
    why few negatives do not suffice). The state at the last item is the query of a recommendation. With
    ``block="gated"`` the Transformer is that of eSASRec (Tikhonovich et al., RecSys 2025). With ``variational=True``
    the state at every position is a Gaussian code: SVAE (Sachdeva, Manco, Ritacco & Pudi, "Sequential Variational
    Autoencoders for Collaborative Filtering", WSDM 2019) with attention in place of a GRU, as in VSAN (Zhao et al.,
    ICDE 2021).

    Args:
        hidden: width of the item vectors, of the states and of the code. Published: 64 for small data sets, 256 for
            MovieLens-20M.
        layers: blocks of the Transformer. Published: 2.
        heads: attention heads; the number must divide ``hidden``. Published: 1.
        length: so many of the last items of a history are read. Published: 200 for MovieLens, 50 for Amazon.
        dropout: share of the units that are set to 0 in training.
        block: ``plain``, or ``gated`` (LiGR: SwiGLU, and a sigmoid gate on what each part adds).
        timed: whether the time between two events is read, too: then data and histories need times.
        variational: whether the states are codes that are sampled in training and regularised.
        beta: weight of the rate (KL divergence from the prior) of the code at the end of annealing. Published: 0.2 for
            SVAE, with four items ahead; the rate of a code of 128 dimensions is some hundred nats, beside less than ten
            for a single next item, so that such a weight leaves little of what the code says.
        annealing: share of the training over which that weight rises.
        ahead: number of next items that are the targets of a position, as a bag; None is 1. Published: 1 for SASRec, 4
            for SVAE.
        epochs: passes over the data.
        tokens: events per batch.
        learning_rate: step size of Adam. Published: 0.001.
        decay: how the learning rate changes: ``constant``, or ``cosine``, which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        patience: epochs without a better validation score before training stops; None trains all epochs.
        negatives: items drawn per batch to estimate the softmax; 0 computes it exactly; None is 0 below 100,000 items,
            and 16,384 from there on.

    Raises:
        SettingError: a setting outside its range.
    """
    check_settings(hidden=hidden, layers=layers, heads=heads, length=length, epochs=epochs, annealing=annealing)
    check_settings(ahead=1 if ahead is None else ahead)
    check_choice("block", block, ("plain", "gated"))
    if not beta >= 0:
        raise SettingError(f"beta={beta}", expected="a number of 0 or more")
    encoder = CausalEncoder(
        Tokens(signal.width, length),
        hidden,
        layers,
        heads,
        generator=generator,
        dropout=dropout,
        gated=block == "gated",
        timed=timed,
    )
    likelihood = _likelihood(signal.width, negatives)
    readout = LinearReadout(hidden, signal.width, generator=generator)
    readout.weight = encoder.table
    model = Autoencoder(
        encoder=encoder,
        bottleneck=_around_the_state(hidden, generator) if variational else Deterministic(),
        prior=StandardNormal(hidden) if variational else None,
        decoder=DenseDecoder(hidden, generator=generator),
        readout=readout,
        likelihood=likelihood,
        objective=Elbo(LinearAnnealing(beta, annealing)) if variational else Elbo(),
    )
    plan = Plan((Phase(epochs),), TokenBudget(tokens), learning_rate, decay, BETAS, weight_decay, patience=patience)
    learn = likelihood.learn if isinstance(likelihood, SampledMultinomial) else None
    reads = partial(_prefixes, ahead=1 if ahead is None else ahead)
    return GradientRecipe(model, plan, learn, reads=reads, by_rows=True)


def _around_the_state(width: int, generator: Generator) -> Gaussian:
    """A Gaussian code whose mean is the state. The layer norm of the states gives them the mean square of the prior,
    and a trained layer for the mean would only fit the training data better (tried on Amazon Toys)."""
    made = Gaussian(width, width, generator=generator)
    with torch.no_grad():
        made.mean.weight.copy_(torch.eye(width))
        made.mean.bias.zero_()
        made.log_scale.weight.mul_(0.1)
        made.log_scale.bias.fill_(LOG_SCALE)
    made.mean.requires_grad_(False)
    return made


def _likelihood(width: int, negatives: int | None) -> Likelihood:
    """The softmax over all items, or an estimate of it; negatives are drawn, because prefixes of one user are no
    independent rows whose targets could serve each other."""
    drawn = (NEGATIVES if width >= SAMPLED_FROM else 0) if negatives is None else negatives
    if drawn < 0:
        raise SettingError(f"negatives={negatives}", expected="0 for the exact softmax, or a number above 0")
    return SampledMultinomial(width, drawn, from_batch=False) if drawn else Multinomial()


def _prefixes(source: Source, ahead: int) -> Source:
    found = NextTokens.of(source, ahead)
    if not len(found):
        raise InputError(
            "no history of two items or more", expected="items that follow others", remedy="use a model of bags"
        )
    return found
