"""The inverse C = (XᵀX + Λ)⁻¹ of a linear model while rows and columns of X come and go.

A change of some rows of X changes XᵀX + Λ by V M Vᵀ with few columns in V, and with F = C V (Woodbury's identity)

    (XᵀX + Λ + V M Vᵀ)⁻¹ = C − F T Fᵀ,     T = (I + M VᵀF)⁻¹ M

Rows that come have M = 1, rows that go M = −1. The diagonal Λ = p / (1 − p) · diag(XᵀX) + λ I changes with them, by one
column of V for each column of X that is touched. Where the rows together have few entries, V = E_S selects the columns
S that they touch, and M is the change of XᵀX + Λ there.

C and the weights are as large as the square of the number of columns, and copying them takes longer than all the rest.
So a change is kept beside them, as two narrow matrices, until they have become too wide: C = base − left · right.
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
"""Changes of this rank are always kept beside the inverse."""

SHARE = 20
"""And those of up to one in so many columns."""

ANEW = 4
"""A change of a higher rank than one in so many columns is solved anew, which is then about as fast."""


@brief
@dataclass(frozen=True, eq=False)
class ChangingInverse:
    """C = base − left · right in double precision, with what the weights need. Immutable; a change is a new one.

    Attributes:
        base: symmetric [width, width]; shared by all inverses that differ by a low rank.
        left: [width, rank].
        right: [rank, width].
        diagonal: of C.
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
        """An inverse without changes beside it.

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
        """The rank of the changes that are kept beside ``base``."""
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
        """The weights B, float32 [width, width]; of an inverse without changes beside it, ``folded`` makes one."""
        return Inverse(self.base, self.ridge).weights(self.xi, out)

    def folded(self) -> ChangingInverse:
        """The same with all changes in ``base``, which is a new array; itself if there are none."""
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
            before: rows of X that are no longer there, shape (rows, width).
            after: rows that are there now.
            whole: all of X afterwards, for changes of so high a rank that solving anew is faster.

        Returns:
            C of the new X.

        Raises:
            SettingError: X is solved anew, and λ is too small.
        """
        change = _change(before, after, self.dropout)
        if change.rank > max(NARROW, self.width // ANEW):
            return self.solved_anew(whole)
        found = self._corrected(change)
        if found is None:
            return self.solved_anew(whole)
        return found if found.rank <= max(NARROW, self.width // SHARE) else found.folded()

    def solved_anew(self, whole: csr_array) -> ChangingInverse:
        """C of all of X, without the help of this one."""
        return ChangingInverse.of(whole, self.regularisation, self.dropout, self.xi)

    def wider(self, width: int) -> ChangingInverse:
        """With further columns that are empty so far; ``base`` is copied."""
        old, folded = self.width, self.folded()
        base = np.zeros((width, width))
        base[:old, :old] = folded.base
        np.fill_diagonal(base[old:, old:], 1 / self.regularisation)
        return self._settled(base, np.pad(self.counts, (0, width - old)))

    def without(self, columns: Numbers) -> ChangingInverse:
        """Without some columns of X, as if it never had them; ``base`` is copied.

        C of the others is a Schur complement: C_RR − C_RS C_SS⁻¹ C_SR.
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
        """How far some columns of the weights are from the exact ones of X, at most.

        The residual R = (XᵀX + Λ) C − I is computed from the data. The error of a column of C is (XᵀX + Λ)⁻¹ times that
        of R, and no eigenvalue of XᵀX + Λ is below the least of Λ.

        Args:
            whole: X, shape (rows, width).
            places: the columns to look at.

        Returns:
            A bound on the difference of every weight in these columns; lower is better, and inf if C cannot be right.
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
        """Woodbury's identity; None where it has no solution in double precision."""
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
            # Kept, because adding up all changes for it would take as long as everything else.
            diagonal=self.diagonal - (left * right.T).sum(1),
            counts=self.counts + change.counts,
        )


@dataclass(frozen=True, eq=False)
class _Change:
    """V M Vᵀ, by which XᵀX + Λ changes.

    Attributes:
        touched: the rows of V that are not 0.
        basis: these rows, [touched, rank]; None for the identity.
        middle: M, [rank, rank].
        counts: by how much the diagonal of XᵀX changes.
    """

    touched: Numbers
    basis: Doubles | None
    middle: Doubles
    counts: Doubles

    @property
    def rank(self) -> int:
        return len(self.middle)


def _change(before: csr_array, after: csr_array, dropout: float) -> _Change:
    """The change of XᵀX + Λ where rows are replaced, in the form with the lower rank."""
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
    # Without any entry NumPy counts in integers.
    return np.bincount(matrix.indices, values * values, minlength=matrix.shape[1]).astype(np.float64)


def _mirror(square: Doubles) -> None:
    """Write what is above the diagonal below it, in place."""
    for start in range(0, len(square), TILE):
        rows, rest = slice(start, start + TILE), slice(start + TILE, None)
        upper = np.triu(square[rows, rows])
        square[rows, rows] = upper + np.triu(upper, 1).T
        square[rest, rows] = square[rows, rest].T
