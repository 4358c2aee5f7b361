"""Next-item regression in closed form: predicts the next item from the earlier items and their age.

    minimise ‖T_q − S B‖² + Σ_i λ_i ‖B_i‖²,     B = (SᵀS + diag λ)⁻¹ SᵀT_q

Rows of S are decayed histories, rows of T the next items, see ``decayed_pairs``. This is SLIT (Choi et al.,
"Session-aware Linear Item-Item Models for Session-based Recommendation", WWW 2021) with a single target, and with times
TALE (Park et al., "Temporal Linear Item-Item Model for Sequential Recommendation", WSDM 2025). Powers of the popularity
p act on both sides: T_q = T diag(p^−q) lowers the targets of popular items, and the regularisation λ_i ∝ p_i^r (mean λ
over the events) is equivalent to scaling the columns of S by p^(−r / 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Float64
from scipy.linalg import lapack
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.core.linear.columnwise import Solution, target_solutions
from isthmus.core.linear.decayed_pairs import Decay, Events, pairs
from isthmus.errors import SettingError
from isthmus.reprs import brief

BYTES = 12
"""Bytes of a dense solution for each pair of columns: 8 for SᵀS, factorised in place, and 4 for SᵀT and then B."""

EXACT = 4096
"""Up to this many columns everything is solved in float64; above, only if float32 is not precise enough."""

CONDITION = 1e5
"""The largest condition number for which float32 is used."""

TARGETS = 512
"""Columns solved at a time."""

MERGED = 1 << 23
"""Pairs that are sorted together, for sparse sums."""


@brief
@dataclass(frozen=True)
class Powers:
    """Exponents of the popularity.

    Attributes:
        targets: q; 0 gives targets of 1, larger values recommend less popular items.
        inputs: r; 0 gives the same λ for all items, 1 a λ proportional to their popularity.
    """

    targets: float = 0.0
    inputs: float = 0.0

    def ridge(self, regularisation: float, counts: Float64[Tensor, " width"]) -> Float64[Tensor, " width"]:
        """λ of each item: ``regularisation`` times a power of its popularity, with a mean of 1 over all events."""
        scale = counts.clamp(min=1) ** self.inputs
        mean = float((scale * counts).sum() / counts.sum().clamp(min=1))
        return regularisation * scale / max(mean, 1e-300)

    def asked(self, counts: Float64[Tensor, " width"]) -> Float64[Tensor, " width"]:
        """The target of each item, with a mean of 1 over all events."""
        scale = (counts + 1) ** -self.targets
        mean = float((scale * counts).sum() / counts.sum().clamp(min=1))
        return scale / mean if mean else torch.ones_like(scale)


def dense_weights(
    events: Events, width: int, decay: Decay, regularisation: float, powers: Powers
) -> Float[Tensor, "width width"]:
    """B of all columns.

    Args:
        events: the events of all rows.
        width: number of columns.
        decay: the weights of S.
        regularisation: λ.
        powers: how popularity counts.

    Returns:
        float32 [inputs, targets].

    Raises:
        SettingError: λ is too small for these data, or times are needed and not known.
    """
    squared, crossed = dense_sums(events, width, decay)
    counts = torch.bincount(events.items, minlength=width).double()
    ridge = powers.ridge(regularisation, counts)
    crossed *= powers.asked(counts).float()
    if width > EXACT and float(squared.sum(1).max()) / float(ridge.min()) < CONDITION:
        squared = squared.float()
    squared.diagonal().add_(ridge.to(squared.dtype))
    _solve(squared.numpy(), crossed.numpy(), regularisation)
    return crossed


def dense_sums(
    events: Events, width: int, decay: Decay
) -> tuple[Float64[Tensor, "width width"], Float[Tensor, "width width"]]:
    """SᵀS and SᵀT; the second in float32 [inputs, targets]."""
    squared, crossed = torch.zeros(width * width, dtype=torch.float64), torch.zeros(width * width)
    for some in pairs(events, decay):
        places = some.earlier * width + some.later
        squared.scatter_add_(0, places, some.squared)
        if some.crossed is not None:
            squared.scatter_add_(0, some.later * width + some.earlier, some.squared)
            crossed.scatter_add_(0, places, some.crossed.float())
    return squared.view(width, width), crossed.view(width, width)


def _solve(squared: npt.NDArray[np.floating], crossed: npt.NDArray[np.float32], regularisation: float) -> None:
    """Replace SᵀT by B, in blocks of columns, with an in-place Cholesky factorisation of SᵀS."""
    factorise, solve = (lapack.dpotrf, lapack.dpotrs) if squared.dtype == np.float64 else (lapack.spotrf, lapack.spotrs)
    # LAPACK is column-major, which does not matter since the matrix is symmetric.
    factor, failed = factorise(squared.T, lower=True, clean=False, overwrite_a=True)
    if failed:
        raise SettingError(f"regularisation {regularisation}", expected="a larger number for these data")
    for start in range(0, crossed.shape[1], TARGETS):
        some = slice(start, start + TARGETS)
        crossed[:, some], _ = solve(factor, np.asfortranarray(crossed[:, some], squared.dtype), lower=True)


def sparse_weights(
    events: Events, width: int, decay: Decay, regularisation: float, powers: Powers, neighbours: int
) -> Iterator[Solution]:
    """B with few weights in each column, in blocks of columns; see ``isthmus.core.linear.columnwise``.

    Args:
        events: the events of all rows.
        width: number of columns.
        decay: the weights of S.
        regularisation: λ.
        powers: how popularity counts.
        neighbours: number of weights per column, at most ``width``; an item may be its own neighbour.

    Raises:
        SettingError: λ is too small for these data, or times are needed and not known.
    """
    squared, crossed = sparse_sums(events, width, decay)
    counts = torch.bincount(events.items, minlength=width).double()
    asked = powers.asked(counts)
    targets = (crossed.T * asked.numpy()[:, None]).tocsr()
    first = events.offsets[:-1][events.offsets.diff() > 0]
    targeted = counts - torch.bincount(events.items[first], minlength=width)
    ridge = powers.ridge(regularisation, counts)
    yield from target_solutions(squared, targets, neighbours, ridge.numpy(), (asked**2 * targeted).numpy())


def sparse_sums(events: Events, width: int, decay: Decay) -> tuple[csr_array, csr_array]:
    """SᵀS and SᵀT with their zeros left out."""
    upper, crossed = _Sum(width), _Sum(width)
    diagonal = np.zeros(width)
    for some in pairs(events, decay):
        if some.crossed is None:
            diagonal += np.bincount(some.earlier.numpy(), some.squared.numpy(), width)
            continue
        upper.add(some.earlier, some.later, some.squared)
        crossed.add(some.earlier, some.later, some.crossed)
    half = upper.total()
    places = np.arange(width)
    whole = half + half.T + csr_array((diagonal, (places, places)), shape=(width, width))
    return whole.tocsr(), crossed.total()


class _Sum:
    """A sparse sum of many pairs, merged when there are enough of them."""

    def __init__(self, width: int) -> None:
        self._sum = csr_array((width, width), dtype=np.float64)
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._count = 0

    def add(self, rows: Tensor, columns: Tensor, values: Tensor) -> None:
        self._waiting.append((rows, columns, values))
        self._count += len(rows)
        if self._count >= MERGED:
            self._merge()

    def total(self) -> csr_array:
        self._merge()
        return self._sum

    def _merge(self) -> None:
        if self._waiting:
            rows, columns, values = (torch.cat(some).numpy() for some in zip(*self._waiting, strict=True))
            self._sum = self._sum + csr_array((values, (rows, columns)), shape=self._sum.shape)
            self._waiting, self._count = [], 0
