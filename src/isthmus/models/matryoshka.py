"""An autoencoder that makes vectors short: bytes in order of importance, from which neighbours can be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.batch import Values, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.residual_quantised import ResidualQuantizer
from isthmus.core.decoders import DenseDecoder
from isthmus.core.decoders.skipping import SkipConnectionDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.discrete import Gaussian
from isthmus.core.nested import MatryoshkaLoss
from isthmus.core.readouts import LinearReadout
from isthmus.core.residual import learned_codebooks
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import at_once
from isthmus.protocols import Phase, Source
from isthmus.training.history import History
from isthmus.training.plan import Plan, Shuffled
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train

CHUNK = 8192
"""Rows of a source that are read at once."""

K_MEANS_ROWS = 65536
"""Examples that codebooks are made from: 256 for each of 256 words, as FAISS takes for product quantisation."""


@dataclass(frozen=True)
class MatryoshkaRecipe:
    """The autoencoder, solved at once, and the plan that trains it further, if any. A recipe."""

    model: Autoencoder
    plan: Plan | None
    generator: Generator

    @property
    def chooses_epoch(self) -> bool:
        """Where it is trained."""
        return self.plan is not None

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Principal components and codebooks in place; then, if there is a plan, training from there."""
        if self.plan is None:
            return at_once(self.model, "solving", len(source), run, validation, lambda: self._start(source))
        self._start(source)
        return train(self.model, source, self.plan, run, validation)

    def _start(self, source: Source) -> Record:
        _solve(self.model, source, self.generator)
        return {}


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
    """Vectors as a few bytes each, coarse to fine, for search with whole queries.

    Advice: ready embeddings that take too much memory; at the same bytes it finds more of the neighbours than scalar
    or product quantisation.

    A linear encoder, a bottleneck of residual words (one byte each) and a linear decoder, with a learned correction
    where ``hidden`` is above 0. Encoder and decoder are principal components, codebooks come from k-means of what the
    ones before leave over (Chen, Guan & Wang, "Approximate Nearest Neighbor Search by Residual Vector Quantization",
    Sensors 2010), so every prefix of the bytes is a code. With ``epochs`` codebooks and decoder are then trained
    together for the inner products with whole vectors, see ``core.nested``, with the nested losses of Kusupati et al.,
    "Matryoshka Representation Learning", NeurIPS 2022, over ``prefixes``; the encoder stays, so that the nearest words
    remain the right ones. On sentence vectors one epoch of that found no more neighbours than the solved parts, so none
    is the default.

    Give vectors whose numbers have a mean square of about 1: the learning rate is made for that.

    Args:
        bytes: length of the code.
        prefixes: leading bytes that training makes good codes as well, ascending, the last one ``bytes``; none trains
            for the whole code only.
        code: dimensions in which words are added, at most the width of the vectors.
        hidden: width of the decoder's correction; 0 leaves it linear.
        temperature: how much the nearest neighbours count beside the others.
        similarity: weight of neighbours beside the squared error.
        beams: partial sums kept in the search for words in training.
        epochs: passes over the examples after the solution.

    Raises:
        SettingError: a size below 1, a negative number of epochs or width, prefixes that do not ascend to ``bytes``.
    """
    check_settings(bytes=bytes, code=code, beams=beams, batch_size=batch_size, width=signal.width)
    for name, value in (("hidden", hidden), ("epochs", epochs)):
        if value < 0:
            raise SettingError(f"{name}={value}", expected="0 or more")
    code = min(code, signal.width)
    bottleneck = ResidualQuantizer(
        code, bytes, (bytes,) if prefixes is None else prefixes, generator=generator, beams=beams
    )
    model = Autoencoder(
        encoder=DenseEncoder(signal.width, (code,), generator=generator, activation="identity"),
        bottleneck=bottleneck,
        decoder=SkipConnectionDecoder(code, hidden, generator=generator)
        if hidden
        else DenseDecoder(code, generator=generator),
        readout=LinearReadout(code + hidden, signal.width, generator=generator),
        likelihood=Gaussian(),
        objective=MatryoshkaLoss(temperature, similarity),
    )
    return MatryoshkaRecipe(model, _plan(epochs, batch_size, learning_rate) if epochs else None, generator)


def _plan(epochs: int, batch_size: int, learning_rate: float) -> Plan:
    return Plan(
        phases=(Phase(epochs, trains=("bottleneck", "decoder", "readout")),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay="cosine",
        clip=1.0,
    )


@torch.no_grad()
def _solve(model: Autoencoder, source: Source, generator: Generator) -> None:
    """Principal components there and back, no correction yet, and the codebooks of k-means."""
    encoder, bottleneck, readout = model.encoder, model.bottleneck, model.readout
    assert isinstance(encoder, DenseEncoder)
    assert isinstance(bottleneck, ResidualQuantizer)
    assert isinstance(readout, LinearReadout)
    first = encoder.mlp.layers[0]
    assert isinstance(first, torch.nn.Linear)
    mean, axes = _principal(source, first.out_features)
    first.weight.copy_(axes)
    first.bias.copy_(-axes @ mean)
    readout.weight.zero_()
    readout.weight[:, : len(axes)].copy_(axes.T)
    readout.bias.copy_(mean)
    rows = torch.randperm(len(source), generator=generator)[:K_MEANS_ROWS]
    stages, words, _ = bottleneck.codebooks.shape
    found = learned_codebooks(first(_values(source, rows)), stages, words, generator=generator)
    bottleneck.codebooks.copy_(found)


def _principal(source: Source, count: int) -> tuple[Float[Tensor, " width"], Float[Tensor, "count width"]]:
    """The mean of a source's vectors and the directions of their greatest variance, greatest first."""
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
