"""Evaluation of vector models on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.fitted import Evaluation, FittedAutoencoder, quality
from isthmus.fitted.evaluate import check_samples, standard_errors
from isthmus.metrics.codes import active_units
from isthmus.tasks.coding import weighted_log_likelihoods
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.float64 import Float64Model
from isthmus_vectors.vectors import Dense, Vectors

Nats: TypeAlias = npt.NDArray[np.float64]

JUDGED, FEWEST = 1_000, 8
"""Maximum and minimum number of held-out rows for the checks at the end of ``fit``."""

NONZERO = 1e-6
"""Numbers of a code with at most this absolute value count as 0."""


@dataclass(frozen=True, repr=False)
class VectorEvaluation(Evaluation):
    """Metrics on held-out rows: means over the rows, on the scale of the model.

    Attributes:
        rows, width, code: sizes.
        squared_error: mean squared error of the reconstruction per number; lower is better.
        unexplained_variance: share of the variance of these rows that the reconstruction loses, 0 to about 1; lower is
            better.
        pca_unexplained_variance: the same for as many principal components of these rows as a code has numbers, which
            is the minimum for a linear code of this size; None for sparse rows.
        nll: −log p(row | its code), nats per row; lower is better.
        rate: KL divergence of the codes from N(0, 1), nats per row; None without a posterior.
        active_units: dimensions of the code with a variance above 0.01 (Burda et al. 2016); None for a single row.
        mean_nonzero: mean number of nonzero values in a code.
        unused: share of the dimensions that are 0 for all rows.
        flagged: share of the rows above the anomaly threshold.
        weighted_nll: −log p(row) by importance sampling (Burda et al. 2016), nats per row; lower is better. None if not
            requested.
        samples: number of importance samples.
    """

    rows: int
    width: int
    code: int
    squared_error: float
    unexplained_variance: float | None
    pca_unexplained_variance: float | None
    nll: float
    rate: float | None
    active_units: int | None
    mean_nonzero: float
    unused: float
    flagged: float
    weighted_nll: float | None
    samples: int


@torch.no_grad()
def evaluate(
    fitted: FittedAutoencoder[VectorAdapter], exact: Float64Model, vectors: Vectors, *, samples: int = 0, seed: int = 0
) -> VectorEvaluation:
    """Evaluate a model on held-out rows.

    Args:
        fitted: the model.
        exact: the same model in fp64.
        vectors: rows that it was not trained on.
        samples: importance samples per row for ``weighted_nll``; 0 skips it.
        seed: seed of these samples.

    Returns:
        Means over the rows.

    Raises:
        SettingError: samples below 0, or samples for a model without a posterior.
    """
    check_samples(samples)
    assert fitted.anomaly_scorer is not None
    codes, nats = exact.codes(vectors), -exact.log_likelihoods(vectors)
    each = _each(exact, vectors)
    error, variance = float(each.error.sum()), float(each.variance.sum())
    weighted = _weighted_nll(fitted, vectors, samples, seed) if samples else None
    flagged = nats > fitted.anomaly_scorer.threshold.value
    used = np.abs(codes) > NONZERO
    return VectorEvaluation(
        rows=len(vectors),
        width=exact.adapter.scaling.width,
        code=codes.shape[1],
        squared_error=error / (len(vectors) * exact.adapter.scaling.width),
        unexplained_variance=error / variance if variance else None,
        pca_unexplained_variance=_pca(exact, vectors, codes.shape[1], variance),
        nll=float(nats.mean()),
        rate=None if each.rate is None else float(each.rate.mean()),
        active_units=active_units(torch.from_numpy(codes)) if len(codes) > 1 else None,
        mean_nonzero=float(used.sum(1).mean()),
        unused=float((~used.any(0)).mean()),
        flagged=float(flagged.mean()),
        weighted_nll=None if weighted is None else float(weighted.mean()),
        samples=samples,
        standard_errors=standard_errors(
            squared_error=each.error / exact.adapter.scaling.width,
            unexplained_variance=_linearised(each.error, each.variance),
            nll=nats,
            rate=each.rate,
            mean_nonzero=used.sum(1),
            flagged=flagged,
            weighted_nll=weighted,
        ),
    )


@torch.no_grad()
def findings(exact: Float64Model, held_out: Vectors) -> list[str | None]:
    """Problems of codes and reconstructions, measured on at most ``JUDGED`` rows.

    Args:
        exact: the trained model in fp64.
        held_out: rows that it was not trained on.

    Returns:
        Sentences; None for each check that passed.
    """
    some = held_out.subsample(JUDGED)
    if len(some) < FEWEST:
        return []
    each, codes = _each(exact, some), torch.from_numpy(exact.codes(some))
    same = quality.same_codes(codes)
    return [
        same,
        None if same or each.rate is None else quality.collapsed(codes),
        quality.unexplained(float(each.error.sum()), float(each.variance.sum()), "rows"),
    ]


class _Each(NamedTuple):
    """For each row: squared error, squared distance from the centre, and rate."""

    error: Nats
    variance: Nats
    rate: Nats | None


def _each(exact: Float64Model, vectors: Vectors) -> _Each:
    errors, variances, rates = [], [], []
    centre = _centre(exact, vectors)
    for block in vectors.blocks():
        source, given = exact.adapter.prepare_float64(block), _scaled(exact, block)
        errors.append(np.square(given - exact.reconstructions(block)).sum(1))
        variances.append(np.square(given - centre).sum(1))
        posterior = exact.model.encode(source.batch(torch.arange(len(source))).inputs).posterior
        if isinstance(posterior, DiagonalGaussian):
            rates.append(posterior.standard_normal_rates().double().numpy())
    return _Each(np.concatenate(errors), np.concatenate(variances), np.concatenate(rates) if rates else None)


def _linearised(error: Nats, variance: Nats) -> Nats | None:
    """Values per row whose mean varies like the ratio of the two sums, to first order."""
    if not variance.any():
        return None
    spread: Nats = (error - error.sum() / variance.sum() * variance) / variance.mean()
    return spread


def _weighted_nll(fitted: FittedAutoencoder[VectorAdapter], vectors: Vectors, samples: int, seed: int) -> torch.Tensor:
    source, noise = fitted.adapter.prepare(vectors), torch.Generator().manual_seed(seed)
    return -weighted_log_likelihoods(fitted.model, source, samples=samples, generator=noise)


def _scaled(exact: Float64Model, block: Vectors) -> Dense:
    rows, scaling = block.select_columns(exact.adapter.columns), exact.adapter.scaling
    if isinstance(rows.values, np.ndarray):
        return scaling.dense(rows.values)
    dense: Dense = scaling.sparse(rows.values).toarray()
    return dense


def _centre(exact: Float64Model, vectors: Vectors) -> Dense:
    total: Dense = sum(
        (_scaled(exact, block).sum(0) for block in vectors.blocks()), np.zeros(exact.adapter.scaling.width)
    )
    return total / len(vectors)


def _pca(exact: Float64Model, vectors: Vectors, code: int, variance: float) -> float | None:
    """The share of the variance beyond the first ``code`` principal components, from eigenvalues of the covariance."""
    if vectors.is_sparse or not variance:
        return None
    centre, width = _centre(exact, vectors), exact.adapter.scaling.width
    scatter = np.zeros((width, width))
    for block in vectors.blocks():
        centred = _scaled(exact, block) - centre
        scatter += centred.T @ centred
    left = np.linalg.eigvalsh(scatter)[: max(0, width - code)]
    return float(np.maximum(left, 0).sum() / variance)
