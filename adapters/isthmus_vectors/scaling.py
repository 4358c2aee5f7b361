"""Robust scaling of columns: a few extreme rows do not change the scale of the others."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.reprs import brief
from isthmus_vectors.vectors import Dense, Vectors

METHODS = ("robust", "none")

NORMAL_SPREAD = 1.3489795003921634
"""The interquartile range of N(0, 1)."""

LIMIT = 5.0
"""Deviations from the centre above this limit are compressed logarithmically: extreme values stay the largest, but do
not dominate a sum of squares."""

LEAST_SPREAD = 1e-100
"""Smaller scales count as zero, because dividing by them would overflow fp64."""

FARTHEST = 350.0
"""exp of this limit times any scale is finite, and larger than any distance from the centre in units of such scales."""

MOST_MEASURED = 100_000
"""Maximum number of rows for computing quartiles, evenly spaced."""

Numbers = npt.NDArray[np.float64]


@brief
@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (x − centre) / scale, and beyond ``LIMIT``: ± (LIMIT + log(1 + |z| − LIMIT)). Invertible.

    Attributes:
        method: ``robust`` or ``none``.
        centre: medians; zeros for sparse rows, which stay sparse.
        scale: the interquartile range in units of a standard deviation; the standard deviation if the quartiles are
            equal; 1 for constant columns. For sparse rows, the median absolute value of nonzero numbers.
    """

    method: str
    centre: Numbers
    scale: Numbers

    @classmethod
    def fit(cls, vectors: Vectors, method: str = "robust") -> Scaling:
        """Compute the centres and scales of columns.

        Raises:
            SettingError: an unknown method.
            ValueRangeError: a column whose numbers are too large.
        """
        if not isinstance(method, str) or method not in METHODS:
            raise SettingError(f"scaling={method!r}", expected=" or ".join(map(repr, METHODS)))
        if method == "none":
            return cls(method, np.zeros(vectors.width), np.ones(vectors.width))
        values = vectors.subsample(MOST_MEASURED).values
        with np.errstate(over="ignore", invalid="ignore"):
            centre, scale = _of_dense(values) if isinstance(values, np.ndarray) else _of_sparse(values)
        if not (np.isfinite(centre).all() and np.isfinite(scale).all()):
            column = int(np.nonzero(~np.isfinite(scale + centre))[0][0])
            raise ValueRangeError(f"column {column} with numbers beyond 1e150", expected="smaller ones")
        return cls(method, centre, scale)

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.centre)

    def dense(self, values: Dense) -> Numbers:
        """Scaled rows, shape (rows, width), fp64."""
        exact = np.asarray(values, dtype=np.float64)
        return exact.copy() if self.method == "none" else _compress_tails((exact - self.centre) / self.scale)

    def sparse(self, values: csr_array) -> csr_array:
        """Scaled rows, in the same sparse format."""
        data = np.asarray(values.data, dtype=np.float64)
        data = data.copy() if self.method == "none" else _compress_tails(data / self.scale[values.indices])
        return csr_array((data, values.indices, values.indptr), shape=values.shape)

    def inverse(self, scaled: Numbers) -> Numbers:
        """Rows in their original units: the inverse of ``dense``."""
        return scaled if self.method == "none" else _expand_tails(scaled) * self.scale + self.centre

    def to_json(self) -> str:
        """All values as a JSON document."""
        return json.dumps({"method": self.method, "centre": self.centre.tolist(), "scale": self.scale.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Scaling:
        """The inverse of ``to_json``.

        Raises:
            BundleError: not such a document.
        """
        try:
            document = json.loads(text)
            method, centre, scale = (document[name] for name in ("method", "centre", "scale"))
            found = cls(method, np.array(centre, dtype=np.float64), np.array(scale, dtype=np.float64))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BundleError("not a scaling document", expected="method, centre and scale") from None
        fits = method in METHODS and found.centre.ndim == 1 and found.centre.shape == found.scale.shape
        if not fits or not np.isfinite(found.centre).all() or not (np.isfinite(found.scale) & (found.scale > 0)).all():
            raise BundleError("an invalid scaling", expected="as many finite centres as positive scales")
        return found

    def check_width(self, width: int) -> None:
        """Check the width of rows.

        Raises:
            InputError: another width.
        """
        if width != self.width:
            raise InputError(f"rows of {width} numbers", expected=f"{self.width}, as in the rows that were trained on")


def _of_dense(values: Dense) -> tuple[Numbers, Numbers]:
    exact = np.asarray(values, dtype=np.float64)
    lower, centre, upper = np.quantile(exact, (0.25, 0.5, 0.75), axis=0)
    quartiles = (upper - lower) / NORMAL_SPREAD
    deviations = np.sqrt(np.mean((exact - centre) ** 2, axis=0))
    # A scale of the size of rounding errors counts as zero.
    least = 1e-12 * np.abs(centre)
    scale = np.where(quartiles > least, quartiles, deviations)
    return centre, np.where((scale > least) & (scale > LEAST_SPREAD), scale, 1.0)


def _of_sparse(values: csr_array) -> tuple[Numbers, Numbers]:
    by_column, scale = values.tocsc(), np.ones(values.shape[1])
    sizes = np.abs(by_column.data.astype(np.float64))
    for column in np.flatnonzero(np.diff(by_column.indptr)):
        scale[column] = np.median(sizes[by_column.indptr[column] : by_column.indptr[column + 1]])
    return np.zeros(len(scale)), np.where(scale > LEAST_SPREAD, scale, 1.0)


def _compress_tails(z: Numbers) -> Numbers:
    beyond = np.abs(z) - LIMIT
    if (beyond > 0).any():
        return np.where(beyond > 0, np.sign(z) * (LIMIT + np.log1p(np.maximum(beyond, 0))), z)
    return z


def _expand_tails(z: Numbers) -> Numbers:
    # The inverse of an extreme number must be finite.
    beyond = np.minimum(np.abs(z) - LIMIT, FARTHEST)
    return np.where(beyond > 0, np.sign(z) * (LIMIT + np.expm1(np.maximum(beyond, 0))), z)
