"""How probable the targets are: counts and tokens, real numbers, numbers from 0 to 1, and large catalogues in part."""

from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.likelihoods.discrete import Bernoulli, Categorical, Multinomial, wide

__all__ = ["Bernoulli", "Categorical", "Gaussian", "Multinomial", "wide"]
