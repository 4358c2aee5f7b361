"""From a hidden state to a code: deterministic, Gaussian, sparse, or words of a codebook."""

from isthmus.core.bottlenecks.deterministic import Deterministic, Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, DiagonalGaussian, Gaussian

__all__ = ["BatchNormGaussian", "Deterministic", "DiagonalGaussian", "Gaussian", "Projected"]
