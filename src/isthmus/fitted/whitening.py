"""Centring and whitening of codes, so that their cosines say how alike records are.

The codes of a model may share a large mean, and few directions may carry most of what they differ in, so that all
cosines are near 1. Without the mean, and with every direction divided by its spread, cosines of random pairs are spread
around 0 (Su, Cao, Liu & Ou, "Whitening Sentence Representations for Better Semantics and Faster Retrieval", 2021; Huang
et al., "WhiteningBERT", EMNLP Findings 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BundleError, InputError
from isthmus.fitted.gallery import Gallery
from isthmus.reprs import brief

SHRUNK = 0.1
"""Share of the mean variance in the variance of each direction, so that directions that hardly vary, which hold noise,
are not enlarged without bound."""

FEWEST = 50
"""Minimum number of codes; the directions of fewer ones say little about those of others."""

MEAN, MATRIX = "mean", "matrix"


@brief
@dataclass(frozen=True, eq=False)
class Whitening:
    """y = (z − μ) W, with W = V diag((1 − s) λ + s λ̄)^(−1/2) Vᵀ for the eigenvalues λ and eigenvectors V of the
    covariance of the codes, their mean λ̄ and s = ``SHRUNK``.

    Attributes:
        mean: μ, the mean of the training codes, float32, shape (code,).
        matrix: W, float32, shape (code, code), symmetric.
    """

    mean: Float[Tensor, " code"]
    matrix: Float[Tensor, "code code"]

    @classmethod
    def fit(cls, codes: Float[Tensor, "rows code"]) -> Whitening | None:
        """Statistics of some codes.

        Args:
            codes: codes of training records.

        Returns:
            The statistics; None for fewer than 50 codes, or codes that are all the same.
        """
        if len(codes) < FEWEST:
            return None
        wide = codes.double()
        mean = wide.mean(0)
        spreads, directions = torch.linalg.eigh(torch.cov(wide.T).reshape(wide.shape[1], -1))
        spreads = spreads.clamp(min=0)
        if not spreads.max() > 0:
            return None
        spreads = (1 - SHRUNK) * spreads + SHRUNK * spreads.mean()
        return cls(mean.float(), ((directions * spreads.rsqrt()) @ directions.T).float())

    def __call__(self, codes: Float[Tensor, "rows code"]) -> Float[Tensor, "rows code"]:
        """The whitened codes, float32.

        Raises:
            InputError: codes of another width.
        """
        if codes.shape[1] != len(self.mean):
            raise InputError(f"codes of width {codes.shape[1]}", expected=f"width {len(self.mean)}")
        return (codes.float() - self.mean) @ self.matrix

    def gallery(self, gallery: Gallery) -> Gallery:
        """The same records with whitened codes, compared by their cosines."""
        return Gallery(self(gallery.codes), gallery.items, gallery.labels, metric="cosine")

    def tensors(self) -> dict[str, Tensor]:
        """Both tensors by name, for a bundle."""
        return {MEAN: self.mean, MATRIX: self.matrix}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor]) -> Whitening | None:
        """The inverse of ``tensors``; None without any, as in bundles of earlier versions.

        Raises:
            BundleError: one without the other, or shapes that do not fit.
        """
        mean, matrix = tensors.get(MEAN), tensors.get(MATRIX)
        if mean is None and matrix is None:
            return None
        shapes = [None if one is None else tuple(one.shape) for one in (mean, matrix)]
        if mean is None or matrix is None or mean.ndim != 1 or shapes[1] != (len(mean), len(mean)):
            raise BundleError(f"whitening of shapes {shapes[0]} and {shapes[1]}", expected="(code,) and (code, code)")
        return cls(mean, matrix)
