"""Bottlenecks, which map hidden states to codes: deterministic, Gaussian, sparse, or quantised."""

from isthmus.core.bottlenecks.deterministic import Deterministic, Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, DiagonalGaussian, Gaussian

__all__ = ["BatchNormGaussian", "Deterministic", "DiagonalGaussian", "Gaussian", "Projected"]
