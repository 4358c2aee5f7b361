"""Incremental updates of the inverse C = (XᵀX + Λ)⁻¹ of a linear model when rows and columns of X are added or removed.

A change of some rows of X changes XᵀX + Λ by V M Vᵀ with few columns in V, and with F = C V (Woodbury's identity)

    (XᵀX + Λ + V M Vᵀ)⁻¹ = C − F T Fᵀ,     T = (I + M VᵀF)⁻¹ M

Added rows have M = 1, removed rows M = −1. The diagonal Λ = p / (1 − p) · diag(XᵀX) + λ I changes with them, by one
column of V for each affected column of X. If the rows together have few entries, V = E_S selects the affected columns
S, and M is the change of XᵀX + Λ there.

C and the weights have the square of the number of columns as their size, and copying them takes longer than everything
else. A change is therefore stored as two narrow matrices, C = base − left · right, until they become too wide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, vstack

from isthmus.core.linear.dense import TILE, Inverse, inverse
from isthmus.reprs import brief

Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]

NARROW = 64
"""Changes up to this rank are always stored separately from the inverse."""

SHARE = 20
"""Changes up to a rank of one in this many columns are stored separately as well."""

ANEW = 4
"""For a rank above one in this many columns, C is solved again, which is about as fast."""


@brief
@dataclass(frozen=True, eq=False)
class ChangingInverse:
    """C = base − left · right in double precision, with everything needed for the weights. Immutable; a change creates
    a new object.

    Attributes:
        base: symmetric [width, width]; shared by all inverses that differ by a low rank.
        left: [width, rank].
        right: [rank, width].
        diagonal: the diagonal of C.
        counts: the diagonal of XᵀX.
        base_scale: s of the weights that belong to ``base``, see ``isthmus.core.linear.dense``.
        regularisation: λ.
        dropout: p.
        xi: ξ.
    """

    base: Doubles
    left: Doubles
    right: Doubles
    diagonal: Doubles
    counts: Doubles
    base_scale: Doubles
    regularisation: float
    dropout: float
    xi: float

    @classmethod
    def of(cls, matrix: csr_array, regularisation: float, dropout: float, xi: float) -> ChangingInverse:
        """Solve for C, as for a model that is fitted.

        Args:
            matrix: X, shape (rows, width).
            regularisation: λ.
            dropout: p.
            xi: ξ.

        Raises:
            SettingError: λ is too small to make XᵀX + Λ positive definite in float64.
        """
        solved = inverse(matrix, regularisation, dropout)
        _mirror(solved.upper)
        return cls.settled(solved.upper, squares(matrix), regularisation, dropout, xi)

    @classmethod
    def settled(
        cls, base: Doubles, counts: Doubles, regularisation: float, dropout: float, xi: float
    ) -> ChangingInverse:
        """An inverse without separate changes.

        Args:
            base: C, symmetric [width, width].
            counts: the diagonal of XᵀX.
            regularisation: λ.
            dropout: p.
            xi: ξ.
        """
        empty = np.empty((len(counts), 0))
        made = cls(base, empty, empty.T, base.diagonal(), counts, counts, regularisation, dropout, xi)
        return replace(made, base_scale=made.scale())

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.counts)

    @property
    def rank(self) -> int:
        """The rank of the changes that are stored separately from ``base``."""
        return len(self.right)

    @property
    def ridge(self) -> Doubles:
        """The diagonal of Λ."""
        return self.dropout / (1 - self.dropout) * self.counts + self.regularisation

    def scale(self) -> Doubles:
        """s, by which the columns of C are multiplied to become weights."""
        return np.maximum(self.ridge, (1 - self.xi) / self.diagonal)

    def own_weights(self) -> Doubles:
        """The diagonal of the weights, from 0 to ξ."""
        return np.clip(1 - self.ridge * self.diagonal, 0.0, self.xi)

    def columns(self, places: Numbers) -> Doubles:
        """Columns of C, [width, places]."""
        return self.base[places].T - self.left @ self.right[:, places]

    def weights(self, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """The weights B, float32 [width, width], of an inverse without separate changes (see ``folded``)."""
        return Inverse(self.base, self.ridge).weights(self.xi, out)

    def folded(self) -> ChangingInverse:
        """The same inverse with all changes merged into a new ``base``; the object itself if there are none."""
        if not self.rank:
            return self
        base = np.empty_like(self.base)
        for start in range(0, self.width, TILE):
            rows, rest = slice(start, start + TILE), slice(start, None)
            np.subtract(self.base[rows, rest], self.left[rows] @ self.right[:, rest], out=base[rows, rest])
        _mirror(base)
        return self._settled(base, self.counts)

    def changed(self, before: csr_array, after: csr_array, whole: csr_array) -> ChangingInverse:
        """The inverse after some rows were replaced.

        Args:
            before: the old rows of X, shape (rows, width).
            after: the new rows.
            whole: all of X afterwards, for changes of such a high rank that solving again is faster.

        Returns:
            C of the new X.

        Raises:
            SettingError: C is solved again, and λ is too small.
        """
        change = _change(before, after, self.dropout)
        if change.rank > max(NARROW, self.width // ANEW):
            return self.solved_anew(whole)
        found = self._corrected(change)
        if found is None:
            return self.solved_anew(whole)
        return found if found.rank <= max(NARROW, self.width // SHARE) else found.folded()

    def solved_anew(self, whole: csr_array) -> ChangingInverse:
        """C of all of X, solved from scratch."""
        return ChangingInverse.of(whole, self.regularisation, self.dropout, self.xi)

    def wider(self, width: int) -> ChangingInverse:
        """The inverse with additional empty columns; ``base`` is copied."""
        old, folded = self.width, self.folded()
        base = np.zeros((width, width))
        base[:old, :old] = folded.base
        np.fill_diagonal(base[old:, old:], 1 / self.regularisation)
        return self._settled(base, np.pad(self.counts, (0, width - old)))

    def without(self, columns: Numbers) -> ChangingInverse:
        """The inverse without some columns of X, as if they had never existed; ``base`` is copied.

        C of the remaining columns is a Schur complement: C_RR − C_RS C_SS⁻¹ C_SR.
        """
        rest = np.setdiff1d(np.arange(self.width), columns)
        left = self.columns(columns)
        right = np.linalg.solve(left[columns], left.T)
        both = replace(self, left=np.hstack([self.left, left]), right=np.vstack([self.right, right]))
        base = np.empty((len(rest), len(rest)))
        for start in range(0, len(rest), TILE):
            rows = rest[start : start + TILE]
            base[start : start + TILE] = self.base[np.ix_(rows, rest)] - both.left[rows] @ both.right[:, rest]
        return self._settled(base, self.counts[rest])

    def difference(self, whole: csr_array, places: Numbers) -> float:
        """An upper bound on the error of some columns of the weights.

        The residual R = (XᵀX + Λ) C − I is computed from the data. The error of a column of C is (XᵀX + Λ)⁻¹ times that
        of R, and all eigenvalues of XᵀX + Λ are at least the smallest of Λ.

        Args:
            whole: X, shape (rows, width).
            places: the columns to check.

        Returns:
            A bound on the error of every weight in these columns; lower is better, and inf if C cannot be correct.
        """
        found, ridge, own = self.columns(places), self.ridge, np.arange(len(places))
        residual = whole.T @ (whole @ found) + ridge[:, None] * found
        residual[places, own] -= 1
        errors = np.linalg.norm(residual, axis=0) / ridge.min()
        itself = found[places, own]
        with np.errstate(all="ignore"):
            scale = np.maximum(ridge[places], (1 - self.xi) / itself)
            largest = np.abs(found).max(0) * scale
            bounds = errors * scale + largest * errors / (itself - errors)
        return float(bounds.max(initial=0.0)) if (itself > errors).all() else np.inf

    def _settled(self, base: Doubles, counts: Doubles) -> ChangingInverse:
        return ChangingInverse.settled(base, counts, self.regularisation, self.dropout, self.xi)

    def _corrected(self, change: _Change) -> ChangingInverse | None:
        """Apply Woodbury's identity; None if it has no solution in double precision."""
        touched, basis = change.touched, change.basis
        if basis is None:
            left = self.columns(touched)
            inside = left[touched]
        else:
            left = self.base[touched].T @ basis - self.left @ (self.right[:, touched] @ basis)
            inside = basis.T @ left[touched]
        try:
            inner = np.linalg.solve(np.eye(change.rank) + change.middle @ inside, change.middle)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(inner).all():
            return None
        right = (inner + inner.T) / 2 @ left.T
        return replace(
            self,
            left=np.hstack([self.left, left]),
            right=np.vstack([self.right, right]),
            # Stored, because recomputing it from all changes would take as long as everything else.
            diagonal=self.diagonal - (left * right.T).sum(1),
            counts=self.counts + change.counts,
        )


@dataclass(frozen=True, eq=False)
class _Change:
    """The change V M Vᵀ of XᵀX + Λ.

    Attributes:
        touched: the rows of V that are not 0.
        basis: these rows, [touched, rank]; None for the identity.
        middle: M, [rank, rank].
        counts: the change of the diagonal of XᵀX.
    """

    touched: Numbers
    basis: Doubles | None
    middle: Doubles
    counts: Doubles

    @property
    def rank(self) -> int:
        return len(self.middle)


def _change(before: csr_array, after: csr_array, dropout: float) -> _Change:
    """The change of XᵀX + Λ when rows are replaced, in the form with the lower rank."""
    rows: csr_array = vstack([before, after], format="csr").astype(np.float64)
    signs = np.r_[-np.ones(before.shape[0]), np.ones(after.shape[0])]
    counts = squares(after) - squares(before)
    added, touched = dropout / (1 - dropout) * counts, np.unique(rows.indices)
    inside, ridged = rows[:, touched].toarray(), np.flatnonzero(added)
    if len(touched) <= len(signs) + len(ridged):
        return _Change(touched, None, inside.T @ (signs[:, None] * inside) + np.diag(added[touched]), counts)
    chosen = (touched[:, None] == ridged).astype(np.float64)
    return _Change(touched, np.hstack([inside.T, chosen]), np.diag(np.r_[signs, added[ridged]]), counts)


def squares(matrix: csr_array) -> Doubles:
    """The diagonal of XᵀX."""
    values = matrix.data.astype(np.float64)
    # Without entries, NumPy would return integers.
    return np.bincount(matrix.indices, values * values, minlength=matrix.shape[1]).astype(np.float64)


def _mirror(square: Doubles) -> None:
    """Copy the upper triangle to the lower one, in place."""
    for start in range(0, len(square), TILE):
        rows, rest = slice(start, start + TILE), slice(start + TILE, None)
        upper = np.triu(square[rows, rows])
        square[rows, rows] = upper + np.triu(upper, 1).T
        square[rest, rows] = square[rows, rest].T
