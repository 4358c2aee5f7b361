"""The five kinds of autoencoder, each over bags, vectors, images and tokens: the ends come from ``ends``, a kind adds
what lies between them."""

from __future__ import annotations

from functools import partial

from torch import Generator

from isthmus.batch import Bag, Grid, Tokens, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Gaussian, Projected
from isthmus.core.objectives.elbo import Elbo, ImportanceWeighted, LinearAnnealing
from isthmus.core.objectives.posterior_collapse import FreeBits
from isthmus.errors import SettingError
from isthmus.models.parts.backbones import ends
from isthmus.models.parts.corruptions import noise_of
from isthmus.models.parts.priors import begin_with_rows, prior_of
from isthmus.models.penalised import contractive, sparse
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Objective
from isthmus.training.calibration import settle

__all__ = ["contractive", "denoising", "sparse", "vanilla", "variational"]

SPREAD = 0.6
"""Of the posterior means of tokens, whose codes collapse otherwise."""


def vanilla(
    signal: Bag | Vector | Grid | Tokens,
    *,
    generator: Generator,
    code: int = 32,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A plain autoencoder: a narrow code and nothing else (Hinton & Salakhutdinov, Science 2006).

    Advice: to reduce dimensions; the first one to try, and what the other kinds are compared with.

    Args:
        code: dimensions of the code.
        hidden: width of the states on either side of it.
        layers: of the encoder, and of the decoder; see ``isthmus.models.parts.backbones``, as for the rest up to
            ``likelihood``.
        filters: channels after the first halving of an image.
        heads: of a Transformer over tokens.
        dropout: inside a Transformer, in training.
        likelihood: of vectors and images, see ``isthmus.models.parts.likelihoods``; None is "gaussian".
        batch_size: rows of a batch.
        tokens: budget of a batch of token rows, padding counted, in the place of ``batch_size``.
        decay: of the learning rate: "constant", or "cosine" to 0.
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """
    sides = ends(
        signal, generator=generator, hidden=hidden, layers=layers, filters=filters, heads=heads, dropout=dropout,
        likelihood=likelihood, batch_size=batch_size, tokens=tokens,
    )  # fmt: skip
    check_settings(code=code, epochs=epochs)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
    )
    return GradientRecipe(model, sides.plan(epochs, learning_rate, decay, weight_decay, patience))


def denoising(
    signal: Bag | Vector | Grid | Tokens,
    *,
    generator: Generator,
    code: int = 32,
    noise: str | None = None,
    level: float | None = None,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A denoising autoencoder: reads damaged rows, writes whole ones (Vincent et al., ICML 2008).

    Advice: to clean what is noisy or fill what is missing, and for codes that small damage leaves where they are.

    Args:
        code: dimensions of the code.
        noise: what damages the inputs in training, see ``isthmus.models.parts.corruptions``; None is "dropout" for
            bags, "gaussian" for vectors and images, "deletion" for tokens.
        level: how much: a standard deviation of "gaussian", a share of the numbers or tokens otherwise; None is the
            usual one of the noise.
        hidden, layers, filters, heads, dropout, likelihood, epochs, batch_size, tokens: as in ``vanilla``.
        learning_rate, decay, weight_decay, patience: as in ``vanilla``.
    """
    sides = ends(
        signal, generator=generator, hidden=hidden, layers=layers, filters=filters, heads=heads, dropout=dropout,
        likelihood=likelihood, batch_size=batch_size, tokens=tokens,
    )  # fmt: skip
    check_settings(code=code, epochs=epochs)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        corruption=noise_of(signal, noise, level),
    )
    return GradientRecipe(model, sides.plan(epochs, learning_rate, decay, weight_decay, patience))


def variational(
    signal: Bag | Vector | Grid | Tokens,
    *,
    generator: Generator,
    code: int = 32,
    beta: float = 1.0,
    annealing: float = 0.25,
    free_bits: float = 0.0,
    samples: int = 1,
    prior: str = "standard",
    components: int = 50,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A variational autoencoder: codes are drawn, and cost what they tell (Kingma & Welling, ICLR 2014).

    Advice: to generate and to interpolate, and where a likelihood is wanted; for bags a beta of 0.2 ranks better.

    Over tokens the means of the posterior have a fixed spread (Zhu et al., ACL 2020), without which the decoder learns
    to ignore the code; ``sequence_vae`` has more cures and forms.

    Args:
        code: dimensions of the code.
        beta: weight of the rate (KL divergence from the prior) at the end of annealing; 1 is the evidence lower bound.
        annealing: share of the training over which the weight rises from 0.
        free_bits: nats a dimension that count as paid (Kingma et al. 2016), with the standard prior.
        samples: of the code for each row; more than one make an importance weighted autoencoder (Burda et al. 2016),
            for which ``beta``, ``annealing`` and ``free_bits`` mean nothing.
        prior: "standard" is N(0, 1); "mixture" a mixture of Gaussians that trains; "pseudo-inputs" the posteriors of
            inputs that train, which begin as rows of the data (the VampPrior, Tomczak & Welling, AISTATS 2018; not for
            tokens). The last two fit many shapes of data better, and cost more.
        components: of these two.
        likelihood: as in ``vanilla``, but None is "shared" for vectors and images: one spread, learnt, so that it need
            not be weighed against the rate by hand (Rybkin, Daniilidis & Levine, ICML 2021).
        hidden, layers, filters, heads, dropout, epochs, batch_size, tokens: as in ``vanilla``.
        learning_rate, decay, weight_decay, patience: as in ``vanilla``.
    """
    if likelihood is None and isinstance(signal, Vector | Grid):
        likelihood = "shared"
    sides = ends(
        signal, generator=generator, hidden=hidden, layers=layers, filters=filters, heads=heads, dropout=dropout,
        likelihood=likelihood, batch_size=batch_size, tokens=tokens,
    )  # fmt: skip
    check_settings(code=code, epochs=epochs, annealing=annealing, samples=samples)
    if beta < 0 or free_bits < 0:
        raise SettingError(f"beta={beta}, free_bits={free_bits}", expected="numbers of 0 or more")
    if free_bits and prior != "standard":
        raise SettingError(f"free_bits={free_bits} with prior={prior!r}", expected="prior='standard', or free_bits=0")
    bottleneck: Gaussian | BatchNormGaussian
    if isinstance(signal, Tokens):
        bottleneck = BatchNormGaussian(sides.hidden, code, generator=generator, scale=SPREAD)
    else:
        bottleneck = Gaussian(sides.hidden, code, generator=generator)
    weight = LinearAnnealing(beta, annealing)
    bound: Objective = FreeBits(free_bits, weight) if free_bits else Elbo(weight)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=bottleneck,
        prior=prior_of(prior, signal, sides.encoder, bottleneck, code, components, generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        objective=ImportanceWeighted() if samples > 1 else bound,
    )
    learns = partial(begin_with_rows, model) if prior == "pseudo-inputs" else None
    settles = partial(settle, model, batching=sides.batching) if isinstance(signal, Tokens) else None
    plan = sides.plan(epochs, learning_rate, decay, weight_decay, patience, samples=samples)
    return GradientRecipe(model, plan, learns, settles)
