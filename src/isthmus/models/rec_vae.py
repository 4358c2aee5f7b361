"""RecVAE: Shenbin, Alekseev, Tutubalina, Malykh & Nikolenko, "RecVAE: a New Variational Autoencoder for Top-N
Recommendations with Implicit Feedback", WSDM 2020, and its parts."""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Tensors, require_bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.corruptions.numbers import Dropout
from isthmus.core.decoders import DenseDecoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.schedules import HistoryLengthWeight
from isthmus.core.ops.bags import bag_sum, unit_norm
from isthmus.core.ops.layers import ACTIVATIONS, linear, small_bias, xavier
from isthmus.core.placement import Rows, current
from isthmus.core.priors.normal import estimated_rate
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.parts.initial_weights import draw_by_inputs
from isthmus.models.parts.item_tables import ItemTable, ItemTables
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.published import publishes
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Bottleneck, Encoder, Hook, Model, PartName, Phase, Step
from isthmus.training.batching import shuffled
from isthmus.training.plan import Plan

NORM_EPS = 0.1
"""Added to the variance in each layer norm: as in the authors' code, large enough that small states stay small."""


class DenselyConnectedEncoder(nn.Module):
    """The densely connected encoder of RecVAE (Shenbin et al. 2020), with the norms of the authors' code:

        h_1 = norm(f(Σ_i x_i table_i + bias)),     h_l = norm(f(W_l h_{l−1} + b_l + h_1 + … + h_{l−1}))

    Args:
        width: number of items.
        hidden: width of every layer.
        layers: number of layers, at least 1.
        activation: f; "silu" is x · sigmoid(x), which the paper calls swish.

    Raises:
        SettingError: fewer than 1 layer.
    """

    def __init__(
        self, width: int, hidden: int, *, generator: Generator, layers: int = 5, activation: str = "silu"
    ) -> None:
        super().__init__()
        if layers < 1:
            raise SettingError(f"{layers} layers", expected="at least 1")
        self.rows = current().rows(width)
        self.table = xavier(width, hidden, generator, self.rows)
        self.bias = small_bias(hidden, generator)
        self.layers = nn.ModuleList(linear(hidden, hidden, generator) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, NORM_EPS) for _ in range(layers))
        self.activation = ACTIVATIONS[activation]

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch hidden"]:
        """The sum of the item vectors of each bag."""
        return self.rows.total(bag_sum(self.table, self.rows.own(require_bags(inputs, "a bag encoder"))))

    def trunk(self, entered: Float[Tensor, "batch hidden"], inputs: Tensors | None) -> Float[Tensor, "batch hidden"]:
        """Apply all layers; return the state of the last one."""
        before: Tensor = self.norms[0](self.activation(entered + self.bias))
        hidden = before
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            hidden = norm(self.activation(layer(hidden) + before))
            before = before + hidden
        return hidden

    @property
    def entered_shape(self) -> tuple[int, ...]:
        """The shape of one entered record: ``(hidden,)``."""
        return (self.table.shape[1],)

    def input_weights(self) -> Float[Tensor, "width hidden"]:
        """The table of item vectors, shape [items, hidden]."""
        return self.table

    def tables(self) -> dict[str, Rows]:
        """The table of item vectors, see ``isthmus.core.placement``."""
        return {"table": self.rows}


WIDE_LOG_SCALE = 5.0
"""Half of the log variance of 10 of the wide component in the authors' code."""


LOG_2PI = math.log(2 * math.pi)


class CompositePrior(nn.Module):
    """A mixture of three densities in each dimension of the code (Shenbin et al. 2020, section 3):

        p(z | x) = Π_d [ a_1 N(z_d; 0, 1) + a_2 q_old(z_d | x) + a_3 N(z_d; 0, e¹⁰) ]

    The mixture is per dimension, as in the authors' code, not over whole codes. q_old is the posterior of clean inputs,
    from frozen copies of the encoder and the bottleneck, which are saved with the model and only change in
    ``remember``. The KL divergence from a mixture has no closed form, so the rate is log q(z) − log p(z) of the drawn
    samples.

    Args:
        encoder, bottleneck: those of the model, which are copied.
        shares: a_1, a_2 and a_3: of the standard normal, the old posterior and the wide normal.

    Raises:
        SettingError: shares that are not three positive numbers with sum 1.
    """

    def __init__(
        self, encoder: Encoder, bottleneck: Bottleneck, shares: tuple[float, float, float] = (3 / 20, 3 / 4, 1 / 10)
    ) -> None:
        super().__init__()
        if min(shares) <= 0 or not math.isclose(sum(shares), 1):
            raise SettingError(f"shares {shares}", expected="three positive numbers of sum 1")
        self.encoder, self.bottleneck = copy.deepcopy(encoder), copy.deepcopy(bottleneck)
        self.requires_grad_(False)
        self.shares = shares

    def remember(self, model: Model) -> None:
        """Set the old posterior to that of the current model."""
        with torch.no_grad():
            for old, new in ((self.encoder, model.encoder), (self.bottleneck, model.bottleneck)):
                assert isinstance(old, nn.Module)
                assert isinstance(new, nn.Module)
                old.load_state_dict(new.state_dict())

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """An estimate of the KL divergence of the posterior from the prior, nats per record: the mean over samples."""
        return estimated_rate(step, self.log_prob)

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """log p(z | x) of the step's samples."""
        z = step.code.sample
        mean, log_scale = self._old(step.model.scaled(step.batch.inputs))
        mean, log_scale = (t.repeat_interleave(step.samples, 0) for t in (mean, log_scale))
        zero = torch.zeros_like(z)
        normals = ((zero, zero), (mean, log_scale), (zero, torch.full_like(z, WIDE_LOG_SCALE)))
        parts = [math.log(share) + _log_density(z, *normal) for share, normal in zip(self.shares, normals, strict=True)]
        return torch.stack(parts).logsumexp(0).flatten(1).sum(1).view(-1, step.samples)

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Raises SettingError: this prior depends on inputs."""
        raise SettingError(
            "codes from a composite prior without inputs", expected="inputs", remedy="sample from a mult-vae instead"
        )

    def _old(self, inputs: Tensors) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            posterior = self.bottleneck(self.encoder.trunk(self.encoder.enter(inputs), inputs)).posterior
        assert posterior is not None
        return posterior.mean, posterior.log_scale


def _log_density(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log N(z; mean, exp(log_scale)²), elementwise."""
    return -0.5 * ((z - mean) * torch.exp(-log_scale)).square() - log_scale - 0.5 * LOG_2PI


ENCODER: tuple[PartName, ...] = ("encoder", "bottleneck")
DECODER: tuple[PartName, ...] = ("decoder", "readout")


@publishes(batch_size=500, patience=None, average=None)
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
    batch_size: int | None = None,
    learning_rate: float = 5e-4,
    patience: int | None = 10,
    average: float | None = 8.0,
    feature_weight: float = 0.0,
    published: bool = False,
) -> GradientRecipe:
    """RecVAE: a deep variational autoencoder with a composite prior (Shenbin et al., WSDM 2020).

    Advice: the best network here for many users with dense histories, such as film ratings; the slowest to train.

    The encoder has five densely connected layers over the L2-normalised row, with dropout on it; the decoder is one
    linear layer on the code. A user's rate has the weight γ Σ_i x_i, and the prior is a mixture of N(0, 1), the
    posterior of the encoder before this round, and a wide normal (section 3 of the paper). Training proceeds in
    rounds: some epochs of the encoder, after which the prior copies it, then some of the decoder, without dropout.

    Args:
        hidden: width of the encoder's layers. Published: 600.
        code: dimensions of the code. Published: 200.
        gamma: γ, the weight of the rate (KL divergence from the prior) for each item of a user. Published: 0.005 for
            MovieLens-20M, 0.0035 for Netflix, 0.01 for the Million Song data.
        dropout: share of a user's items hidden from the encoder while it is trained.
        epochs: rounds; each has ``encoder_epochs`` + ``decoder_epochs`` passes over the data.
        encoder_epochs: passes of a round that train the encoder. Published: 3.
        decoder_epochs: passes of a round that train the decoder. Published: 1.
        batch_size: users per batch; None is 200 batches an epoch, of 100 to 500 users. Published: 500.
        learning_rate: step size of Adam. Published: 0.0005.
        patience: rounds without a better validation score before training stops; None trains all rounds.
        average: η of an average of the weights over passes, which is scored and kept: over about the last 1 / (η + 1)
            of the training. Scores of single passes vary so much that chance would choose the best one. None keeps the
            weights of one pass.
        feature_weight: how much features of an item count beside vectors of its own in training, if features are given:
            0 for not at all, 1 for as much; without a number, it is then chosen on held-out users.
        published: whether settings that are not given are those of the paper for MovieLens-20M, with no early stopping
            and no average.
    """
    check_settings(hidden=hidden, code=code, gamma=gamma, epochs=epochs)
    check_settings(encoder_epochs=encoder_epochs, decoder_epochs=decoder_epochs)
    if patience is not None:
        check_settings(patience=patience)
    encoder = DenselyConnectedEncoder(signal.width, hidden, generator=generator)
    bottleneck = Gaussian(hidden, code, generator=generator)
    readout = LinearReadout(code, signal.width, generator=generator)
    # With the larger values of Glorot & Bengio it learns far more slowly.
    draw_by_inputs(encoder.rows, encoder.table, encoder.bias, readout, encoder, bottleneck, generator=generator)
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
    # The training loop counts passes over the data.
    passes = None if patience is None else patience * (encoder_epochs + decoder_epochs)
    plan = Plan(
        phases, shuffled(batch_size), learning_rate=learning_rate, patience=passes, capturable=True, average=average
    )
    # The prior's copy of the encoder has the same tensors as the encoder.
    encoders = [ItemTable(part, "table") for part in (encoder, prior.get_submodule("encoder"))]
    tables = [*encoders, ItemTable(readout, "weight")]
    return GradientRecipe(model, plan, tables=ItemTables.of(feature_weight, *tables), by_rows=True)


def _round(prior: CompositePrior, encoder_epochs: int, decoder_epochs: int) -> tuple[Phase, ...]:
    """The phases of a round: the encoder, whose posterior is stored after its last epoch, and the decoder.

    A single Adam works like one for each: it skips parameters without a gradient, so their moments and step counts do
    not change while they are frozen.
    """
    first = (Phase(encoder_epochs - 1, ENCODER, name="encoder"),) if encoder_epochs > 1 else ()
    last = Phase(1, ENCODER, hooks=(Hook("epoch", prior.remember),), name="encoder")
    return *first, last, Phase(decoder_epochs, DECODER, corrupt=False, name="decoder")
