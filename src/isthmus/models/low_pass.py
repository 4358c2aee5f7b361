"""A low-pass filter over the graph of rows and columns, with the parts that only it uses.

    decoded = x D_i^−β V h^½,     prediction = decoded h^½ Vᵀ D_i^β

V are the leading right singular vectors of the normalised matrix, see ``isthmus.core.linear.spectrum``, and h is the
response of the filter for each vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Tensors, require_bags
from isthmus.capabilities import AffineLayer
from isthmus.checked.arguments import real
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.linear.spectrum import PASSES, Spectrum, leading
from isthmus.core.ops.bags import bag_sum
from isthmus.core.ops.layers import ACTIVATIONS
from isthmus.core.readouts import LinearReadout
from isthmus.models.linear import bags_matrix
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import RankingReadout, Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation


@brief
@dataclass(frozen=True)
class Filter:
    """The settings of a low-pass filter, see ``low_pass``."""

    vectors: int
    user_power: float
    item_power: float
    degree_power: float
    linear: float
    flatness: float

    def response(self, shares: np.ndarray) -> np.ndarray:
        """The response for each vector, from 0 to 1, for σ² relative to the largest."""
        centred = 2 * shares - 1
        falling: np.ndarray = (1 + np.sign(centred) * np.abs(centred) ** self.flatness) / 2
        return (1 - self.linear) + self.linear * falling


@brief
@dataclass(frozen=True)
class LowPassRecipe:
    """A linear autoencoder and the filter that gives it its weights.

    Attributes:
        spectrum: the singular vectors of the source of ``fit``, if they are already known: at least as many as the
            filter has, with the same powers.
    """

    model: Autoencoder
    filter: Filter
    encoder: FilteredSum
    readout: LinearReadout
    spectrum: Spectrum | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because the vectors are computed and not trained."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Compute the vectors on the CPU, then move the model to the run's device.

        The seed of the run draws the first subspace; precision has no effect. Ctrl-C ends the program, with the
        weights either unchanged or completely replaced.

        Args:
            source: bags.
            run: device, seed and progress.
            validation: a score to record, if any.

        Returns:
            A history with one record.
        """

        def work() -> Record:
            found = self.spectrum or self.decompose(source, run, lambda _: run.progress.step(len(source), 0.0))
            with interruptible() as stop, stop.held():
                self._assign(found)
            return {}

        return fit_in_one_step(self.model, "solve", PASSES * len(source), run, validation, work)

    def decompose(self, source: Source, run: Run, told: Callable[[int], None] | None = None) -> Spectrum:
        """The singular vectors of a source, which filters with fewer vectors and the same powers can share.

        Args:
            source: bags.
            run: its seed draws the first subspace.
            told: receives the number of passes after each.

        Returns:
            The leading vectors, as many as the filter has.
        """
        own = self.filter
        matrix = bags_matrix(source, len(self.readout.weight))

        return leading(matrix, own.vectors, own.user_power, own.item_power, seed=run.seed, told=told)

    @torch.no_grad()
    def _assign(self, found: Spectrum) -> None:
        self.model.cpu()
        count = self.encoder.table.shape[1]
        response = self.filter.response(found.shares[:count])
        scaled = torch.from_numpy(found.vectors[:, :count].astype(np.float64) * np.sqrt(response))
        degrees = torch.from_numpy(found.degrees**self.filter.degree_power)[:, None]
        self.encoder.table.copy_(scaled / degrees)
        self.readout.weight.copy_(scaled * degrees)
        self.readout.bias.zero_()


def low_pass(
    signal: Bag,
    *,
    generator: Generator,
    vectors: int = 256,
    user_power: float = 0.5,
    item_power: float = 0.5,
    degree_power: float = 0.25,
    linear: float = 0.3,
    flatness: float = 1.0,
) -> LowPassRecipe:
    """Low-pass: the smooth part of a history over the graph of users and items (Shen et al., CIKM 2021).

    Advice: beside a linear model, in a blend: it sees what many items have in common, where a linear model sees pairs.
    Alone on sparse data with many items; in seconds, and memory grows linearly with the number of items.

    With the singular values σ and right singular vectors V of D_u^−a X D_i^−b, a history x is ranked by
    x D_i^−β V diag(h) Vᵀ D_i^β with the response h = (1 − share) + share · f(σ² / σ₁²). GF-CF ("How Powerful is Graph
    Convolution for Recommendation?") has a = b = ½, β = ½ and an ideal filter with a linear one, f(s) = s; here the
    linear one passes the same vectors and no others. PureSVD (Cremonesi, Koren & Turrin, RecSys 2010) has a = b = β = 0
    and share 0. ChebyCF (Kim et al., SIGIR 2025) flattens f in the middle, f(s) = ½ + ½ sign(2s − 1) |2s − 1|^φ; here
    it is evaluated where singular values are, without an interpolation. Users who were not trained on are ranked in the
    same way.

    Args:
        vectors: number of singular vectors; more keep rarer tastes, and fewer suit few users (64 for some hundreds).
        user_power: a; 0 lets long histories weigh most.
        item_power: b; 0 lets popular items weigh most.
        degree_power: β; larger values rank popular items higher, and let rare items of a history count more.
        linear: share of the falling response f, from 0 (an ideal filter: all vectors pass alike) to 1.
        flatness: φ of f; 1 is linear, and larger values flatten its middle.
    """
    check_settings(vectors=vectors, flatness=flatness)
    for name, value in (("user_power", user_power), ("item_power", item_power), ("degree_power", degree_power)):
        real(name, value, "a number from 0 to 1", least=0, most=1)
    real("linear", linear, "a share from 0 to 1", least=0, most=1)
    count = min(vectors, signal.width)
    encoder = FilteredSum(signal.width, count)
    readout = LinearReadout(count, signal.width, generator=generator)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=Deterministic(),
        decoder=DenseDecoder(count, generator=generator),
        readout=readout,
        likelihood=SquaredError(),
    )
    settings = Filter(vectors, user_power, item_power, degree_power, linear, flatness)
    return LowPassRecipe(model, settings, encoder, readout)


class FilteredSum(nn.Module):
    """``enter`` is the sum of the table's rows for the entries of a bag; there are no further layers.

    Args:
        width: number of columns.
        vectors: number of singular vectors.
    """

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(width, vectors))

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch vectors"]:
        """Sum the rows of each bag."""
        return bag_sum(self.table, require_bags(inputs, "a low-pass filter"))

    def trunk(
        self, entered: Float[Tensor, "batch vectors"], inputs: Tensors | None
    ) -> Float[Tensor, "batch vectors"]:  # fmt: skip
        """Return the input unchanged; there are no further layers."""
        return entered

    @property
    def entered_shape(self) -> tuple[int, ...]:
        """The shape of one entered record: ``(vectors,)``."""
        return (self.table.shape[1],)

    def input_weights(self) -> Float[Tensor, "width vectors"]:
        """The table, shape [items, vectors]."""
        return self.table

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The one layer, without a bias."""
        return (AffineLayer(self.table.T, self.table.new_zeros(self.table.shape[1]), ACTIVATIONS["identity"]),)


class SquaredError:
    """−½ ‖x − y‖² for the prediction y of all columns, without a row of the catalogue's width."""

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """The score of each row, 0 at most."""
        bags, weight = require_bags(targets, "a squared error"), readout.weight
        everywhere = ((decoded @ (weight.T @ weight)) * decoded).sum(1)
        shared = (decoded * bag_sum(weight, bags)).sum(1)
        return -0.5 * (everywhere - 2 * shared + bags.reweighted(bags.weights.square()).totals())

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """The predictions for all columns."""
        return readout.logits(decoded).float()

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """The predictions; there is no noise.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        return self.mean(readout, decoded)
