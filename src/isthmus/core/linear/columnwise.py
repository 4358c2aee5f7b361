"""Linear autoencoders solved column by column, each from its nearest columns only, without a matrix of size width².

The problem is that of ``isthmus.core.linear.dense``, but the weights of a column j are restricted to its neighbours N:

    minimise ‖x_j − X_N b‖² + bᵀ Λ_N b,     b = (G_NN + Λ_N)⁻¹ G_Nj,     G = XᵀX

and with all other columns as neighbours it is the same problem. This is SLIM (Ning & Karypis, ICDM 2011) with
neighbours chosen in advance and a quadratic penalty, and corresponds to the local problems of the sparse approximation
in Steck, "Markov Random Fields for Collaborative Filtering", NeurIPS 2019.

A bound ξ on the diagonal has no extra cost: with 1 / C_jj = G_jj + Λ_j − G_jN b, the entry of the inverse by its Schur
complement, B_jj = clip(1 − Λ_j C_jj, 0, ξ) and the rest of the column is (1 − B_jj) b, as in RDLAE.

G is computed in blocks of rows, and its sparse rows are cached while they fit. The matrices G_NN of many columns are
filled together, so that each row of G serves all columns that have it as a neighbour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.checked.sparse import check_csr
from isthmus.errors import SettingError

SHRINKAGE = 50.0
"""Added to the sum of squares of a column, so that columns with two or three entries are not similar by chance."""

EXPONENT = 0.65
"""Exponent of that sum in the similarity: 1/2 is the cosine, which makes popular columns too similar to everything, and
1 is the share of one column's entries that the other has too, which makes them too dissimilar."""

ROW_BYTES = 64 << 20
"""Maximum bytes of a block of rows of G, if it were dense."""

KEPT_BYTES = 2 << 30
"""Maximum bytes of cached sparse rows of G; further rows are computed again."""

LOCAL_BYTES = 256 << 20
"""Maximum bytes of matrices G_NN that are filled together."""

SOLVED_BYTES = 32 << 20
"""Maximum bytes of matrices solved at a time, in float64."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Solution:
    """Consecutive columns of B.

    Attributes:
        first: number of the first column.
        neighbours: N of each column and, if ξ is above 0, the column itself as the last.
        weights: weights of the neighbours.
        unexplained: unexplained share of each column's sum of squares, without the penalty.
    """

    first: int
    neighbours: Int64[Tensor, "columns slots"]
    weights: Float[Tensor, "columns slots"]
    unexplained: Float[Tensor, " columns"]


class Prepared:
    """A matrix with the neighbours of its columns and their G_NN, for solutions with any λ, p and ξ.

    Args:
        matrix: X, shape (rows, width).
        neighbours: how many other columns may contribute to a column, at most width − 1.
        kept: bytes of G_NN that are cached for further solutions; the rest is computed again.
    """

    def __init__(self, matrix: csr_array, neighbours: int, kept: int = 0) -> None:
        self.neighbours = neighbours
        self._gram, self._room = _Gram(matrix), kept
        self._size = (matrix.shape[0], matrix.shape[1], matrix.nnz)
        self._blocks: dict[int, _Block] = {}

    @property
    def memory(self) -> int:
        """Approximate maximum memory of the solutions in bytes, without the cache."""
        return memory(*self._size, self.neighbours)

    def solutions(self, regularisation: float, dropout: float = 0.0, xi: float = 0.0) -> Iterator[Solution]:
        """Solve all columns, in blocks.

        Args:
            regularisation: λ.
            dropout: p; Λ = p / (1 − p) · diag(G) + λ.
            xi: ξ.

        Raises:
            SettingError: λ is too small to make a G_NN + Λ_N positive definite in float64.
        """
        gram = self._gram
        ridge: npt.NDArray[np.float64] = dropout / (1 - dropout) * gram.diagonal + regularisation
        problem = _Problem(gram, gram, gram.diagonal, ridge, self.neighbours, xi, itself=False)
        yield from _solutions(problem, self._block)

    def _block(self, problem: _Problem, columns: slice) -> _Block:
        known = self._blocks.get(columns.start)
        if known is None:
            known = _made(problem, columns)
            if known.bytes <= self._room:
                self._blocks[columns.start], self._room = known, self._room - known.bytes
        return known


def solutions(
    matrix: csr_array, neighbours: int, regularisation: float, dropout: float = 0.0, xi: float = 0.0
) -> Iterator[Solution]:
    """Solve all columns of one matrix, in blocks; arguments and errors are those of ``Prepared``."""
    yield from Prepared(matrix, neighbours).solutions(regularisation, dropout, xi)


def target_solutions(
    gram: csr_array,
    targets: csr_array,
    neighbours: int,
    ridge: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
) -> Iterator[Solution]:
    """The same for targets other than X: b = (G_NN + Λ_N)⁻¹ K_Nj, where a column may be its own neighbour.

    Args:
        gram: G = XᵀX, shape (width, width).
        targets: Kᵀ = YᵀX, shape (width, width), one row per target.
        neighbours: number of columns that may contribute to a target, at most width.
        ridge: the diagonal of Λ.
        squares: the diagonal of YᵀY.

    Raises:
        SettingError: Λ is too small to make a G_NN + Λ_N positive definite in float64.
    """
    yield from _solutions(
        _Problem(
            _Rows(gram.astype(np.float32)),
            _Rows(targets.astype(np.float32)),
            squares,
            ridge,
            neighbours,
            0.0,
            itself=True,
        )
    )


@dataclass(frozen=True)
class _Block:
    """Some columns with their neighbours N, K_Nj and G_NN, which do not depend on Λ."""

    chosen: npt.NDArray[np.int64]
    shared: npt.NDArray[np.float32]
    local: npt.NDArray[np.float32]

    @property
    def bytes(self) -> int:
        return self.chosen.nbytes + self.shared.nbytes + self.local.nbytes


def _made(problem: _Problem, columns: slice) -> _Block:
    chosen, shared = _choose(problem, columns)
    return _Block(chosen, shared, _local(problem.gram, chosen))


def _solutions(problem: _Problem, block_of: Callable[[_Problem, slice], _Block] = _made) -> Iterator[Solution]:
    gram, neighbours = problem.gram, problem.neighbours
    together = max(1, LOCAL_BYTES // (4 * max(1, neighbours**2)))
    for first in range(0, gram.width, together):
        columns = slice(first, min(first + together, gram.width))
        block = block_of(problem, columns)
        size = max(1, SOLVED_BYTES // (8 * max(1, neighbours**2)))
        for start in range(0, len(block.chosen), size):
            some = slice(start, start + size)
            own = slice(first + start, first + min(start + size, len(block.chosen)))
            yield _solve(problem, own, block.chosen[some], block.shared[some], block.local[some])


def memory(rows: int, width: int, entries: int, neighbours: int) -> int:
    """Approximate maximum memory of ``solutions`` in bytes.

    Args:
        rows: number of rows of the matrix.
        width: number of columns.
        entries: number of stored entries.
        neighbours: number of neighbours of each column.
    """
    together = min(width, max(1, LOCAL_BYTES // (4 * max(1, neighbours**2))))
    pairs = min(width**2, entries * -(-entries // max(1, rows)))
    work = 4 * together * neighbours**2 + min(KEPT_BYTES, 8 * pairs) + 2 * ROW_BYTES + 4 * SOLVED_BYTES
    return work + 24 * entries + 8 * width * neighbours


class _Rows:
    """A matrix of width × width, a block of rows at a time."""

    def __init__(self, matrix: csr_array) -> None:
        self._matrix = matrix
        self.width: int = matrix.shape[1]

    @property
    def diagonal(self) -> npt.NDArray[np.float64]:
        """The diagonal."""
        return self._matrix.diagonal().astype(np.float64)

    def blocks(self) -> list[slice]:
        """The rows of each block."""
        return _blocks(self.width)

    def rows(self, block: slice) -> csr_array:
        """The rows of one block of ``blocks``."""
        return self._matrix[block]


class _Gram:
    """G = XᵀX, whose rows are computed on demand."""

    def __init__(self, matrix: csr_array) -> None:
        check_csr(matrix)
        # Sums of whole numbers are exact in float32 up to 2²⁴.
        self._matrix = matrix.astype(np.float32)
        self._transposed = self._matrix.T.tocsr()
        self._kept: dict[int, csr_array] = {}
        self._kept_bytes = 0
        self.width: int = matrix.shape[1]
        squares = np.square(matrix.data, dtype=np.float64)
        self.diagonal: npt.NDArray[np.float64] = np.bincount(matrix.indices, squares, self.width).astype(np.float64)

    def blocks(self) -> list[slice]:
        """The rows of each block."""
        return _blocks(self.width)

    def rows(self, block: slice) -> csr_array:
        """The rows of XᵀX in one block of ``blocks``; they are cached while there is room."""
        sparse = self._kept.get(block.start)
        if sparse is None:
            sparse = self._transposed[block] @ self._matrix
            size = sparse.data.nbytes + sparse.indices.nbytes
            if self._kept_bytes + size <= KEPT_BYTES:
                self._kept[block.start], self._kept_bytes = sparse, self._kept_bytes + size
        return sparse


def _blocks(width: int) -> list[slice]:
    size = max(1, ROW_BYTES // (4 * max(1, width)))
    return [slice(start, min(start + size, width)) for start in range(0, width, size)]


@dataclass(frozen=True)
class _Problem:
    """The problem to solve: G, the rows of Kᵀ (G itself if X is predicted from X), the diagonals of YᵀY and Λ, the
    number of neighbours of a column, ξ, and whether a column may be its own neighbour."""

    gram: _Gram | _Rows
    targets: _Gram | _Rows
    squares: npt.NDArray[np.float64]
    ridge: npt.NDArray[np.float64]
    neighbours: int
    xi: float
    itself: bool


def _choose(problem: _Problem, columns: slice) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """N of each column in ascending order, and K_Nj: those with the largest |K_ij| / (G_ii + SHRINKAGE)^EXPONENT."""
    targets, neighbours = problem.targets, problem.neighbours
    scale = torch.from_numpy((problem.gram.diagonal + SHRINKAGE) ** -EXPONENT).float()
    chosen, shared = [], []
    for block in targets.blocks():
        start, stop = max(block.start, columns.start), min(block.stop, columns.stop)
        if start >= stop:
            continue
        rows = torch.from_numpy(targets.rows(block)[start - block.start : stop - block.start].toarray())
        gains = rows.abs().mul_(scale)
        if not problem.itself:
            gains[torch.arange(stop - start), torch.arange(start, stop)] = -1
        best = gains.topk(neighbours, dim=1, sorted=False).indices.sort(1).values
        chosen.append(best.numpy())
        shared.append(rows.gather(1, best).numpy())
    return np.concatenate(chosen), np.concatenate(shared)


def _local(gram: _Gram | _Rows, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """G_NN of each column."""
    columns, neighbours = chosen.shape
    local = np.empty((columns, neighbours, neighbours), np.float32)
    flat = chosen.ravel()
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(gram.width + 1))
    # One dense row at a time, so that it stays in the cache.
    dense = np.zeros(gram.width, np.float32)
    for block in gram.blocks():
        if bounds[block.start] == bounds[block.stop]:
            continue
        rows = gram.rows(block)
        for number in range(block.start, block.stop):
            here = order[bounds[number] : bounds[number + 1]]
            entries = slice(*rows.indptr[number - block.start : number - block.start + 2])
            dense[rows.indices[entries]] = rows.data[entries]
            column = here // max(1, neighbours)
            local[column, here - column * neighbours] = dense.take(chosen[column])
            dense[rows.indices[entries]] = 0
    return local


def _solve(
    problem: _Problem,
    own: slice,
    chosen: npt.NDArray[np.int64],
    shared: npt.NDArray[np.float32],
    local: npt.NDArray[np.float32],
) -> Solution:
    ridge, xi = problem.ridge, problem.xi
    neighbours, target = torch.from_numpy(chosen), torch.from_numpy(shared).double()[:, :, None]
    inner = torch.from_numpy(local).double()
    inner.diagonal(dim1=1, dim2=2).add_(torch.from_numpy(ridge)[neighbours])
    factors, failed = torch.linalg.cholesky_ex(inner)
    if bool(failed.any()):
        raise SettingError("a regularisation too small for these data", expected="a larger number")
    weights = torch.cholesky_solve(target, factors)[:, :, 0]
    explained = (weights * target[:, :, 0]).sum(1)
    diagonal, penalty = torch.from_numpy(problem.squares[own]), torch.from_numpy(ridge[own])
    unexplained = 1 - explained / diagonal.clamp(min=torch.finfo(diagonal.dtype).tiny)
    if xi:
        itself = (1 - penalty / (diagonal + penalty - explained)).clamp(0, xi)
        weights = torch.cat([weights * (1 - itself)[:, None], itself[:, None]], 1)
        neighbours = torch.cat([neighbours, torch.arange(own.start, own.stop)[:, None]], 1)
    return Solution(own.start, neighbours, weights.float(), unexplained.float())
