"""From a hidden state to a code: deterministic, Gaussian, sparse, or words of a codebook."""

from isthmus.core.bottlenecks.gaussian import Deterministic, DiagonalGaussian, Gaussian, NormalisedGaussian, Projected

__all__ = ["Deterministic", "DiagonalGaussian", "Gaussian", "NormalisedGaussian", "Projected"]
