"""Matryoshka autoencoder: compresses vectors to bytes in order of importance that can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from isthmus.batch import Batch, Values, Vector
from isthmus.capabilities import CodeWeights
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.residual_quantised import ResidualQuantizer, learned_codebooks
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.ops.layers import Mlp, weight_of
from isthmus.core.readouts import LinearReadout
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Phase, Readout, Source, Step
from isthmus.reprs import brief
from isthmus.training.batching import Shuffled
from isthmus.training.determinism import deterministic
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.plan import Plan
from isthmus.training.progress import Record, doing
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train

CHUNK = 8192
"""Number of rows of a source that are read at once."""

K_MEANS_ROWS = 65536
"""Number of training examples for codebooks: 256 for each of 256 words, as in FAISS's product quantisation."""


@brief
@dataclass(frozen=True)
class MatryoshkaRecipe:
    """The autoencoder, with a closed-form initial solution, and the plan that trains it further, if any. A recipe."""

    model: Autoencoder
    encoder: DenseEncoder
    bottleneck: ResidualQuantizer
    readout: LinearReadout
    plan: Plan | None
    generator: Generator

    @property
    def chooses_epoch(self) -> bool:
        """Whether the validation score chooses an epoch: only if there is a plan."""
        return self.plan is not None

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Set encoder, decoder and codebooks to their initial solution, in place; then train, if there is a plan.

        Args:
            source: vectors.
            run: device, seed, precision, progress.
            validation: a score to record and, with a plan, to choose the best epoch.

        Returns:
            The history: one record for the solution alone, or one for each epoch.
        """
        if self.plan is None:
            return fit_in_one_step(self.model, "solving", len(source), run, validation, lambda: self._start(source))
        with deterministic(run.deterministic), interruptible() as stop:
            with stop.at_once(), doing(run.progress, "solving for axes and codebooks"):
                self._start(source)
            return train(self.model, source, self.plan, run, validation)

    def _start(self, source: Source) -> Record:
        self._solve(source)
        return {}

    @torch.no_grad()
    def _solve(self, source: Source) -> None:
        """Principal components as encoder and decoder, no correction yet, and codebooks by k-means."""
        (first,) = self.encoder.affine_layers()
        mean, axes = _principal(source, len(first.weight))
        first.weight.copy_(axes)
        first.bias.copy_(-axes @ mean)
        self.readout.weight.zero_()
        self.readout.weight[:, : len(axes)].copy_(axes.T)
        self.readout.bias.copy_(mean)
        rows = torch.randperm(len(source), generator=self.generator)[:K_MEANS_ROWS]
        stages, words, _ = self.bottleneck.codebooks.shape
        codes = F.linear(_values(source, rows), first.weight, first.bias)
        self.bottleneck.codebooks.copy_(learned_codebooks(codes, stages, words, generator=self.generator))


def matryoshka(
    signal: Vector,
    *,
    generator: Generator,
    bytes: int = 24,
    prefixes: Sequence[int] | None = None,
    code: int = 192,
    hidden: int = 0,
    temperature: float = 0.05,
    similarity: float = 1.0,
    beams: int = 1,
    epochs: int = 0,
    batch_size: int = 1024,
    learning_rate: float = 1e-4,
) -> MatryoshkaRecipe:
    """Compresses vectors to a few bytes each, from coarse to fine, for search with uncompressed queries.

    Advice: precomputed embeddings that take too much memory; with the same number of bytes it finds more of the
    neighbours than scalar or product quantisation.

    A linear encoder, a residual quantiser (one byte per codebook) and a linear decoder, with a learned correction if
    ``hidden`` is above 0. Encoder and decoder are principal components, and codebooks come from k-means of the
    residuals of the previous ones (Chen, Guan & Wang, "Approximate Nearest Neighbor Search by Residual Vector
    Quantization", Sensors 2010), so every prefix of the bytes is a code. With ``epochs``, codebooks and decoder are
    then trained together for the inner products with the original vectors, see ``MatryoshkaLoss``, with the nested
    losses of Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022, equation 1, over ``prefixes``; the
    encoder is fixed, so that the nearest codewords stay the right ones. On sentence vectors one epoch did not improve
    on the initial solution, so the default is none.

    The vectors should have a mean square of about 1 per number, which the learning rate assumes.

    Args:
        bytes: length of the code in bytes.
        prefixes: numbers of leading bytes that are trained to be good codes, too, in ascending order, the last one
            ``bytes``; None trains only the whole code.
        code: dimensions of the codewords; at most the width of the vectors.
        hidden: width of the decoder's correction; 0 keeps it linear.
        temperature: how much the nearest neighbours count relative to the others.
        similarity: weight of the neighbours relative to the squared error.
        beams: number of partial sums kept in the search for codewords in training.
        epochs: passes over the examples after the initial solution; 0 for none.
        batch_size: examples per batch.
        learning_rate: initial step size of Adam.

    Raises:
        SettingError: a size below 1, a negative number of epochs or width, or prefixes that do not ascend to ``bytes``.
    """
    check_settings(bytes=bytes, code=code, beams=beams, batch_size=batch_size, width=signal.width)
    for name, value in (("hidden", hidden), ("epochs", epochs)):
        if value < 0:
            raise SettingError(f"{name}={value}", expected="0 or more")
    code = min(code, signal.width)
    bottleneck = ResidualQuantizer(
        code, bytes, (bytes,) if prefixes is None else prefixes, generator=generator, beams=beams
    )
    encoder = DenseEncoder(signal.width, (code,), generator=generator, activation="identity")
    decoder = (
        SkipConnectionDecoder(code, hidden, generator=generator) if hidden else DenseDecoder(code, generator=generator)
    )
    readout = LinearReadout(code + hidden, signal.width, generator=generator)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=bottleneck,
        decoder=decoder,
        readout=readout,
        likelihood=Gaussian(),
        objective=MatryoshkaLoss(temperature, similarity),
    )
    plan = _plan(epochs, batch_size, learning_rate) if epochs else None
    return MatryoshkaRecipe(model, encoder, bottleneck, readout, plan, generator)


def _plan(epochs: int, batch_size: int, learning_rate: float) -> Plan:
    return Plan(
        phases=(Phase(epochs, trainable=("bottleneck", "decoder", "readout")),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay="cosine",
        clip=1.0,
    )


def _principal(source: Source, count: int) -> tuple[Float[Tensor, " width"], Float[Tensor, "count width"]]:
    """The mean of a source's vectors and the directions of largest variance, largest first."""
    parts = torch.arange(len(source)).split(CHUNK)
    mean = torch.stack([_values(source, rows).double().sum(0) for rows in parts]).sum(0) / len(source)
    centred = (_values(source, rows).double() - mean for rows in parts)
    scatter = sum(((some.T @ some) for some in centred), start=torch.zeros(len(mean), len(mean), dtype=torch.float64))
    axes = torch.linalg.eigh(scatter).eigenvectors.flip(1)[:, :count].T
    return mean.float(), axes.float()


def _values(source: Source, rows: Tensor) -> Float[Tensor, "rows width"]:
    inputs = source.batch(rows).inputs
    if not isinstance(inputs, Values):
        raise InputError(f"{type(inputs).__name__} for a model of vectors", expected="dense values")
    return inputs.values.float().cpu()


@dataclass(frozen=True)
class MatryoshkaLoss:
    """The mean over prefixes of the code (nested losses: Kusupati et al., "Matryoshka Representation Learning", NeurIPS
    2022, equation 1) of

        mean_i ‖x_i − x̂_i‖²  +  weight · mean_i KL( softmax_j(x_i · x_j / t)  ‖  softmax_j(x_i · x̂_j / t) )

    over the rows i of a batch and all others j ≠ i, where x and x̂ are normalised (only directions count, as for
    cosines) and t is the temperature. The second term rewards that each original vector has the same neighbours among
    the decoded vectors, in the same order, because searches use uncompressed queries. Needs ``Code.notes["nested"]``
    [batch lengths code], see ``ResidualQuantizer``.

    Raises:
        SettingError: a temperature that is not positive, or a negative weight; targets that are not dense values.
    """

    temperature: float = 0.05
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not self.weight >= 0:
            raise SettingError(
                f"temperature {self.temperature} and weight {self.weight}", expected="above 0, and 0 or more"
            )

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        """The loss, lower is better; 0 for a lossless code."""
        targets = step.batch.targets
        if not isinstance(targets, Values):
            raise SettingError(f"nested similarities of {type(targets).__name__}", expected="dense values")
        vectors = targets.values.float()
        nested = step.code.notes["nested"]
        losses = [self.lost(vectors, decoded_of(step.model, nested[:, i])) for i in range(nested.shape[1])]
        return torch.stack(losses).mean()

    def lost(self, vectors: Float[Tensor, "batch width"], decoded: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        """The loss of one prefix."""
        wanted, found = F.normalize(vectors), F.normalize(decoded)
        error = (wanted - found).square().sum(1).mean()
        if self.weight == 0 or len(vectors) < 3:
            return error
        return error + self.weight * self._divergence(wanted, found)

    def _divergence(
        self, vectors: Float[Tensor, "batch width"], decoded: Float[Tensor, "batch width"]
    ) -> Float[Tensor, ""]:
        own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        least = torch.finfo(torch.float32).min
        wanted, found = (
            F.log_softmax((vectors @ others.T).float().div(self.temperature).masked_fill(own, least), dim=1)
            for others in (vectors, decoded)
        )
        return F.kl_div(found, wanted, reduction="batchmean", log_target=True)


def decoded_of(model: Any, code: Float[Tensor, "rows code"]) -> Float[Tensor, "rows width"]:
    """Decode codes to vectors by a model of dense values."""
    vectors: Tensor = model.readout.logits(model.decode(code))
    return vectors.float()


class SkipConnectionDecoder(nn.Module):
    """[batch_samples code] to [batch_samples code + hidden]: the code, then an activated layer of it. A linear readout
    of both is a linear decoder (such as principal components) plus a learned correction.

    Args:
        code: dimensions of the code.
        hidden: width of the layer.
    """

    def __init__(self, code: int, hidden: int, *, generator: Generator, activation: str = "gelu") -> None:
        super().__init__()
        self.mlp = Mlp((code, hidden), generator=generator, activation=activation, activate_last=True)

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None = None
    ) -> Float[Tensor, "batch_samples hidden"]:
        """The input of the readout; fp32, so that the code keeps its precision under autocast."""
        return torch.cat([sample, self.mlp(sample).to(sample.dtype)], 1)

    def code_weights(self, readout: Readout) -> tuple[CodeWeights, ...]:
        """The weights of the layer, and those of the readout that read the code itself."""
        layer = weight_of(self.mlp.layers[0])
        return CodeWeights(layer), CodeWeights(weight_of(readout), 0, layer.shape[1])
