"""RecVAE: Shenbin, Alekseev, Tutubalina, Malykh & Nikolenko, "RecVAE: a New Variational Autoencoder for Top-N
Recommendations with Implicit Feedback", WSDM 2020."""

from __future__ import annotations

from torch import Generator, nn

from isthmus.batch import Bag
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.composite import CompositePrior
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenselyConnectedEncoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.objectives.elbo import Elbo, HistoryLengthWeight
from isthmus.core.readouts import LinearReadout
from isthmus.core.scaling import unit_norm
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Hook, Phase
from isthmus.training.plan import Plan, Shuffled

ENCODER, DECODER = ("encoder", "bottleneck"), ("decoder", "readout")


def rec_vae(
    signal: Bag,
    *,
    generator: Generator,
    hidden: int = 600,
    code: int = 200,
    gamma: float = 0.005,
    dropout: float = 0.5,
    epochs: int = 50,
    encoder_epochs: int = 3,
    decoder_epochs: int = 1,
    batch_size: int = 500,
    learning_rate: float = 5e-4,
    patience: int | None = None,
) -> GradientRecipe:
    """RecVAE: a deep variational autoencoder that remembers its former self (Shenbin et al., WSDM 2020).

    Advice: the best network here for many people with dense histories, such as film ratings; the slowest to train.

    The encoder is five densely connected layers over the L2-normalised row, with dropout on it; the decoder is one
    linear layer on the code. A person's rate has the weight γ Σ_i x_i, and the prior mixes N(0, 1), the posterior of the
    encoder before this round, and a wide normal. Training goes in rounds: some epochs of the encoder, after which the
    prior remembers it, then some of the decoder, without dropout.

    Args:
        hidden: width of the encoder's layers.
        code: dimensions of the code.
        gamma: γ, the weight of the rate (divergence from the prior) for each item that a person has. Published: 0.005
            for MovieLens-20M, 0.0035 for Netflix, 0.01 for the Million Song data.
        dropout: share of a person's items hidden from the encoder while it trains.
        epochs: rounds; each has ``encoder_epochs`` + ``decoder_epochs`` passes over the data.
        encoder_epochs: passes of a round that train the encoder.
        decoder_epochs: passes of a round that train the decoder.
        patience: rounds without a better validation score before training stops; None trains all rounds.
    """  # noqa: E501
    check_settings(hidden=hidden, code=code, gamma=gamma, epochs=epochs, batch_size=batch_size)
    check_settings(encoder_epochs=encoder_epochs, decoder_epochs=decoder_epochs)
    if patience is not None:
        check_settings(patience=patience)
    encoder = DenselyConnectedEncoder(signal.width, hidden, generator=generator)
    bottleneck = Gaussian(hidden, code, generator=generator)
    readout = LinearReadout(code, signal.width, generator=generator)
    _draw_by_inputs(encoder, bottleneck, readout, generator)
    prior = CompositePrior(encoder, bottleneck)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=bottleneck,
        prior=prior,
        decoder=DenseDecoder(code, generator=generator),
        readout=readout,
        likelihood=Multinomial(),
        scaling=unit_norm,
        corruption=Dropout(dropout),
        objective=Elbo(HistoryLengthWeight(gamma)),
    )
    phases = _round(prior, encoder_epochs, decoder_epochs) * epochs
    # The loop counts passes over the data.
    passes = None if patience is None else patience * (encoder_epochs + decoder_epochs)
    return GradientRecipe(model, Plan(phases, Shuffled(batch_size), learning_rate=learning_rate, patience=passes))


def _draw_by_inputs(
    encoder: DenselyConnectedEncoder, bottleneck: Gaussian, readout: LinearReadout, generator: Generator
) -> None:
    """First weights and biases uniform in ±1 / √inputs, as in the authors' code (torch's default).

    From the larger numbers of Glorot & Bengio it learns far more slowly.
    """
    layers = [layer for part in (encoder, bottleneck) for layer in part.modules() if isinstance(layer, nn.Linear)]
    ends = [(encoder.table, encoder.bias, len(encoder.table)), (readout.weight, readout.bias, readout.weight.shape[1])]
    for weight, bias, inputs in [*ends, *((layer.weight, layer.bias, layer.in_features) for layer in layers)]:
        for parameter in (weight, bias):
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)


def _round(prior: CompositePrior, encoder_epochs: int, decoder_epochs: int) -> tuple[Phase, ...]:
    """The encoder, a memory of it after its last epoch only, and the decoder.

    One Adam serves both like one each: it passes over parameters without a gradient, so that neither their moments nor
    their counts of steps move while they are frozen.
    """
    first = (Phase(encoder_epochs - 1, ENCODER, name="encoder"),) if encoder_epochs > 1 else ()
    last = Phase(1, ENCODER, hooks=(Hook("epoch", prior.remember),), name="encoder")
    return *first, last, Phase(decoder_epochs, DECODER, corrupts=False, name="decoder")
