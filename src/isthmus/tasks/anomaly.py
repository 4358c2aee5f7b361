"""Anomaly scores of three kinds, all higher for more anomalous records, which can be averaged as ranks.

    surprise(model, source)            nats that the model needs for a record; a likelihood of its own scale
    Nearest.build(vectors).scores(..)  mean distance to the nearest known vectors: inputs, or codes of a model
    Ranks.fit(own).average(scores)     several such scores as one, by what the known records scored themselves

Records are scored independently: the score of a record does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch, Values
from isthmus.checked.arguments import checked_k
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.index.searchers import searcher_over
from isthmus.machine.devices import double
from isthmus.protocols import Searcher, Source
from isthmus.reprs import brief
from isthmus.rowlists import RowLists
from isthmus.tasks.threshold import Threshold

__all__ = ["Nearest", "Ranks", "Threshold", "hidden_in_turn", "surprise"]


def hidden_in_turn(shape: Sequence[int], count: int, *, generator: Generator) -> Bool[Tensor, "count ..."]:
    """Masks that hide each position exactly once: True at hidden positions, distributed over ``count`` masks.

    Args:
        shape: shape of a record.
        count: number of masks.
        generator: random generator.

    Raises:
        SettingError: fewer masks than 2, or more than positions.
    """
    positions = torch.Size(shape).numel()
    if not 2 <= count <= max(2, positions):
        raise SettingError(f"{count} masks of {positions} positions", expected=f"2 to {max(2, positions)}")
    turn = torch.randperm(positions, generator=generator) % count
    return torch.stack([(turn == own).view(*shape) for own in range(count)])


@torch.no_grad()
def surprise(
    model: Autoencoder, source: Source, *, masks: Bool[Tensor, "count ..."] | None = None, batch: int = 1024
) -> Float64[Tensor, " rows"]:
    """−log p(record | its reconstruction), nats: reconstruction probability (An & Cho 2015, "Variational autoencoder
    based anomaly detection using reconstruction probability", algorithm 4, with the code's point as its only sample).

    Args:
        model: in evaluation mode; encoding and decoding are deterministic.
        source: the records.
        masks: hide these positions of dense inputs (set to 0), one mask after the other; the mean over masks is
            returned, and the likelihood is always that of the whole record.
        batch: number of records per batch.

    Returns:
        Nats; higher is more anomalous.

    Raises:
        SettingError: masks for records that are not dense values, or masks of another shape.
    """
    device = next(model.parameters()).device
    source = source.to(device)
    found = []
    for rows in torch.arange(len(source), device=device).split(batch):
        given = source.batch(rows)
        passes = [given] if masks is None else [_masked(given, mask.to(device)) for mask in masks]
        nats = [-double(model.step(one).log_likelihood[:, 0]) for one in passes]
        found.append(torch.stack(nats).mean(0).cpu())
    return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)


def _masked(batch: Batch, mask: Tensor) -> Batch:
    inputs = batch.inputs
    if not isinstance(inputs, Values) or inputs.values.shape[1:] != mask.shape:
        raise SettingError(
            f"a mask {list(mask.shape)} on {type(inputs).__name__}", expected="dense values of its shape"
        )
    return Batch(batch.rows, Values(inputs.values.masked_fill(mask, 0.0)), batch.targets)


@final
@brief
@dataclass(frozen=True, eq=False)
class Nearest:
    """Mean Euclidean distance to the ``k`` nearest known vectors (Livernoche et al. 2024, "On diffusion modeling for
    anomaly detection", section 4.1, the non-parametric estimate). Created by ``build``.

    Attributes:
        vectors: the known vectors.
        k: number of neighbours; fewer if fewer vectors are known.
    """

    vectors: Float[Tensor, "rows width"]
    k: int
    searcher: Searcher

    @classmethod
    def build(cls, vectors: Float[Tensor, "rows width"], k: int = 5) -> Nearest:
        """Build an index of known vectors, exact if that is fast enough.

        Raises:
            SettingError: ``k`` below 1.
            InputError: no vectors.
            ValueRangeError: a number is NaN or infinite.
        """
        k = checked_k(k)
        return cls(vectors, k, searcher_over(vectors, "l2"))

    def scores(self, queries: Float[Tensor, "batch width"]) -> Float64[Tensor, " batch"]:
        """Scores of vectors that are not among the known ones.

        Raises:
            InputError: queries of another width.
            ValueRangeError: a number is NaN or infinite.
        """
        return self._distances(queries, min(self.k, len(self.vectors)), None)

    def own(self) -> Float64[Tensor, " rows"]:
        """Scores of the known vectors, each without itself.

        Raises:
            InputError: there is only one vector.
        """
        rows = len(self.vectors)
        if rows < 2:
            raise InputError("the distance of a single vector from others", expected="at least 2 vectors")
        device = self.vectors.device
        each = RowLists(torch.arange(rows, device=device), torch.arange(rows + 1, device=device))
        return self._distances(self.vectors, min(self.k, rows - 1), each)

    def _distances(self, queries: Tensor, k: int, exclude: RowLists | None) -> Float64[Tensor, " batch"]:
        found = self.searcher.search(queries, k, exclude=exclude).rows
        # Computed again from differences: the products of the search lose precision for near neighbours.
        apart = self.vectors[found] - queries[:, None]
        return double(apart.square_().sum(2)).sqrt().mean(1).cpu()


@final
@brief
@dataclass(frozen=True, eq=False)
class Ranks:
    """Scores of known records, for each scorer, which make scores of different scales comparable.

    A score becomes −log of the share of known records that score at least as high, in nats. Beyond the highest known
    score, this share decreases as a power law whose scale is the mean excess over the upper tenth, so that anomalous
    records do not tie.

    Attributes:
        known: ascending scores of the known records.
    """

    known: Float64[Tensor, "scorers rows"]

    @classmethod
    def fit(cls, own: Float[Tensor, "scorers rows"]) -> Ranks:
        """Calibrate on scores of known records, higher is more anomalous; distances must be to other records
        (``Nearest.own``).

        Raises:
            InputError: no scores.
            ValueRangeError: a score is NaN or infinite.
        """
        if not own.numel():
            raise InputError(f"scores of shape {tuple(own.shape)}", expected="at least one scorer and one record")
        _check_finite(own)
        return cls(own.detach().cpu().double().sort(1).values)

    def average(self, scores: Float[Tensor, "scorers batch"]) -> Float64[Tensor, " batch"]:
        """The mean over scorers of −log share, nats; higher is more anomalous.

        Raises:
            InputError: another number of scorers.
            ValueRangeError: a score is NaN or infinite.
        """
        return self.each(scores).mean(0)

    def each(self, scores: Float[Tensor, "scorers batch"]) -> Float64[Tensor, "scorers batch"]:
        """−log share for every scorer. Raises the errors of ``average``."""
        if len(scores) != len(self.known):
            raise InputError(f"scores of {len(scores)} scorers", expected=f"{len(self.known)}")
        _check_finite(scores)
        exact = scores.detach().cpu().double()
        return torch.stack([_nats(known, one) for known, one in zip(self.known, exact, strict=True)])

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        return {"known": self.known}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Ranks:
        """The inverse of ``tensors``.

        Raises:
            BundleError: invalid tensors.
        """
        known = tensors.get("known")
        if known is None or set(tensors) != {"known"} or known.dim() != 2 or not known.numel():
            raise BundleError(f"tensors {sorted(tensors)}", expected="the known scores, [scorers, rows]")
        return cls(known.double().sort(1).values)


def _nats(known: Float64[Tensor, " rows"], scores: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
    rows, most = len(known), known[-1]
    below = torch.searchsorted(known, scores)
    upper, lower = known[below.clamp(max=rows - 1)], known[(below - 1).clamp(min=0)]
    gap = upper - lower
    # Between two known scores the share is interpolated linearly.
    part = torch.where(gap > 0, (scores - lower) / torch.where(gap > 0, gap, 1.0), 1.0).clamp(0, 1)
    place = torch.where(below == 0, 0.0, below - 1 + part)
    share = (rows - 0.5 - place.clamp(max=rows - 1)) / rows
    start = known[int(0.9 * rows)] if rows > 1 else most
    scale = (known[known >= start] - start).mean().clamp(min=1e-9 * max(1.0, float(most.abs())))
    return -share.log() + torch.log1p((scores - most).clamp(min=0) / scale)


def _check_finite(scores: Tensor) -> None:
    if not bool(scores.isfinite().all()):
        raise ValueRangeError("a score is NaN or infinite", expected="finite scores", remedy="check the model")
