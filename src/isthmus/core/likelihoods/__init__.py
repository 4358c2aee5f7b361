"""Likelihoods of counts and tokens, real numbers, numbers from 0 to 1, and sampled likelihoods of large catalogues."""

from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.likelihoods.discrete import Bernoulli, Categorical, Multinomial, wide

__all__ = ["Bernoulli", "Categorical", "Gaussian", "Multinomial", "wide"]
