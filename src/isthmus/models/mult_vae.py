"""Mult-DAE and Mult-VAE: Liang, Krishnan, Hoffman & Jebara, "Variational Autoencoders for Collaborative Filtering",
WWW 2018."""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Bag
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.schedules import HistoryLengthWeight, LinearAnnealing
from isthmus.core.ops.bags import unit_norm
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.parts.initial_weights import draw_by_inputs
from isthmus.models.parts.item_softmax import ItemSoftmax
from isthmus.models.parts.item_tables import ItemTable, ItemTables
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.published import publishes
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import shuffled
from isthmus.training.plan import Plan


@publishes(batch_size=500, patience=None)
def mult_dae(
    signal: Bag,
    *,
    generator: Generator,
    code: int = 200,
    dropout: float = 0.5,
    epochs: int = 200,
    batch_size: int | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 4e-5,
    patience: int | None = 15,
    negatives: int | None = None,
    feature_weight: float = 0.0,
    published: bool = False,
) -> GradientRecipe:
    """Mult-DAE: a denoising autoencoder with a multinomial likelihood (Liang et al., WWW 2018).

    Advice: small and fast, slightly worse than Mult-VAE; a first network to try.

    The network is width-200-width with tanh, L2-normalised input and dropout on it. It minimises the multinomial
    negative log-likelihood (equation 2 of the paper). The paper's penalty is λ ‖W‖² with λ = 0.01 / 500 on the mean
    loss of a batch, which is a weight decay of 2λ in Adam.

    Args:
        code: dimensions of the code. Published: 200.
        dropout: share of a user's items hidden from the encoder in training. Published: 0.5.
        epochs: passes over the data. Published: 200 for MovieLens-20M, 100 for Netflix and the Million Song data.
        batch_size: users per batch; None is 200 batches an epoch, of 100 to 500 users. Published: 500.
        learning_rate: step size of Adam.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient; the default is the paper's.
        patience: epochs without a better validation score before training stops; None trains all epochs.
        negatives: items drawn per batch to estimate the softmax; 0 computes it exactly; None depends on the number of
            items, see ``isthmus.models.parts.item_softmax``.
        feature_weight: how much features of an item count beside vectors of its own in training, if features are given:
            0 for not at all, 1 for as much; without a number, it is then chosen on held-out users.
        published: whether settings that are not given are those of the paper for MovieLens-20M, with no early
            stopping.
    """
    check_settings(code=code, epochs=epochs)
    catalogue = ItemSoftmax.of(signal.width, negatives)
    sparse = catalogue.rowwise
    encoder = BagEncoder(signal.width, (code,), generator=generator, activate_last=True, sparse_gradient=sparse)
    readout = LinearReadout(code, signal.width, generator=generator)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=Deterministic(),
        decoder=DenseDecoder(code, generator=generator),
        readout=readout,
        likelihood=catalogue.likelihood,
        scaling=unit_norm,
        corruption=Dropout(dropout),
    )
    return GradientRecipe(
        model,
        _plan(epochs, batch_size, learning_rate, weight_decay, patience, sparse),
        catalogue.before_training,
        tables=_tables(encoder, readout, feature_weight, sparse),
        by_rows=True,
    )


@publishes(decoder=600, initial="glorot", beta=0.2, batch_size=500, patience=None)
def mult_vae(
    signal: Bag,
    *,
    generator: Generator,
    hidden: int = 600,
    code: int = 200,
    decoder: int = 0,
    initial: str = "inputs",
    dropout: float = 0.5,
    beta: float | None = None,
    gamma: float = 0.005,
    annealing: float = 0.85,
    epochs: int = 200,
    batch_size: int | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    patience: int | None = 30,
    negatives: int | None = None,
    feature_weight: float = 0.0,
    published: bool = False,
) -> GradientRecipe:
    """Mult-VAE: a variational autoencoder with a multinomial likelihood (Liang et al., WWW 2018).

    Advice: many users with dense histories; faster than RecVAE. On sparse data a linear model ranks better.

    The paper's network is width-600-200-600-width with tanh, L2-normalised input and dropout on it. Codes are sampled
    in training only; afterwards the posterior mean is used. The paper's weight of the rate (section 2.2.2) is a β that
    rises linearly over the first 85 % of the epochs (in its code for MovieLens-20M: to 0.2 at step 40,000, in epoch 171
    of 200), by the number of users seen, not by the batch size.

    The defaults take three things from RecVAE (Shenbin et al., WSDM 2020) that rank better from a thousand users on: a
    linear decoder, its initial weights, and γ Σ_i x_i as the weight of a user's rate, because the log-likelihood grows
    with the number of items, too.

    Args:
        hidden: width of the layer before the code. Published: 600.
        code: dimensions of the code. Published: 200.
        decoder: width of the layer behind the code; 0 for none, which is a linear decoder. Published: 600.
        initial: initial weights: "inputs", uniform in ±1 / √inputs, or "glorot". Published: "glorot".
        dropout: share of a user's items hidden from the encoder in training. Published: 0.5.
        beta: weight of the rate (KL divergence from the prior) of every user at the end of annealing; None weighs it
            by ``gamma``. Published: 0.2 for MovieLens-20M.
        gamma: weight of the rate for each item of a user, where ``beta`` is None.
        annealing: share of the training over which ``beta`` rises. Published: 171 of 200 epochs for MovieLens-20M.
        epochs: passes over the data. Published: 200 for MovieLens-20M, 100 for Netflix and the Million Song data.
        batch_size: users per batch; None is 200 batches an epoch, of 100 to 500 users. Published: 500.
        learning_rate: step size of Adam.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        patience: epochs without a better validation score before training stops; None trains all epochs. The score
            often falls for a dozen early epochs and then rises further.
        negatives: items drawn per batch to estimate the softmax; 0 computes it exactly; None depends on the number of
            items, see ``isthmus.models.parts.item_softmax``.
        feature_weight: how much features of an item count beside vectors of its own in training, if features are given:
            0 for not at all, 1 for as much; without a number, it is then chosen on held-out users.
        published: whether settings that are not given are those of the paper for MovieLens-20M, with no early
            stopping.
    """
    check_settings(hidden=hidden, code=code, gamma=gamma, epochs=epochs, annealing=annealing)
    check_choice("initial", initial, ("inputs", "glorot"))
    if decoder < 0:
        raise SettingError(f"decoder={decoder}", expected="the width of a layer, or 0 for none")
    catalogue = ItemSoftmax.of(signal.width, negatives)
    sparse = catalogue.rowwise
    encoder = BagEncoder(signal.width, (hidden,), generator=generator, activate_last=True, sparse_gradient=sparse)
    bottleneck = Gaussian(hidden, code, generator=generator)
    behind = DenseDecoder(code, (decoder,) if decoder else (), generator=generator)
    readout = LinearReadout(decoder or code, signal.width, generator=generator)
    if initial == "inputs":
        between = encoder, bottleneck, behind
        draw_by_inputs(encoder.rows, encoder.table, encoder.bias, readout, *between, generator=generator)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=bottleneck,
        prior=StandardNormal(code),
        decoder=behind,
        readout=readout,
        likelihood=catalogue.likelihood,
        scaling=unit_norm,
        corruption=Dropout(dropout),
        objective=Elbo(HistoryLengthWeight(gamma) if beta is None else LinearAnnealing(beta, annealing)),
    )
    return GradientRecipe(
        model,
        _plan(epochs, batch_size, learning_rate, weight_decay, patience, sparse),
        catalogue.before_training,
        tables=_tables(encoder, readout, feature_weight, sparse),
        by_rows=True,
    )


def _tables(encoder: BagEncoder, readout: LinearReadout, weight: float, rowwise: bool) -> ItemTables:
    return ItemTables.of(weight, ItemTable(encoder, "table"), ItemTable(readout, "weight"), rowwise=rowwise)


def _plan(
    epochs: int, batch_size: int | None, learning_rate: float, weight_decay: float, patience: int | None, rowwise: bool
) -> Plan:
    return Plan(
        phases=(Phase(epochs),),
        batching=shuffled(batch_size),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        rowwise=rowwise,
        capturable=True,
    )
