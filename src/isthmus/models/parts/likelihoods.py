"""Likelihoods of vectors and images by name.

gaussian              N(logit, 1): half the squared error
learned-scale         N(logit, σ²) with one σ, which is learned
per-dimension-scale   N(logit, σ²) with a σ for each dimension or pixel, which are learned
optimal-scale         N(logit, σ²) with σ² the mean squared error of the batch
laplace               Laplace(logit, s) with one s, which is learned: robust to outliers
bernoulli             for zeros and ones
continuous-bernoulli  a density of numbers between 0 and 1
discretized-logistic  256 levels between 0 and 1, a mixture of five logistic distributions
"""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.batch import Grid, Vector
from isthmus.core.likelihoods.continuous import Gaussian, LearnedGaussian, LearnedLaplace, OptimalGaussian
from isthmus.core.likelihoods.discrete import Bernoulli
from isthmus.core.likelihoods.unit_interval import ContinuousBernoulli, DiscretisedLogisticMixture
from isthmus.models.recipes.checks import check_choice
from isthmus.protocols import Likelihood

LIKELIHOODS = (
    "gaussian",
    "learned-scale",
    "per-dimension-scale",
    "optimal-scale",
    "laplace",
    "bernoulli",
    "continuous-bernoulli",
    "discretized-logistic",
)
"""The first one is the default."""

COMPONENTS = 5


@dataclass(frozen=True)
class ChosenLikelihood:
    """A likelihood, and the number of parameters that the readout outputs for each number of the signal."""

    part: Likelihood
    outputs: int = 1


def likelihood_of(name: str, signal: Vector | Grid) -> ChosenLikelihood:
    """Create the likelihood of a given name.

    Raises:
        SettingError: no such name.
    """
    check_choice("likelihood", name, LIKELIHOODS)
    shape = (signal.width,) if isinstance(signal, Vector) else (signal.channels, signal.height, signal.width)
    if name == "discretized-logistic":
        mixture = DiscretisedLogisticMixture(COMPONENTS)
        return ChosenLikelihood(mixture, mixture.numbers)
    parts: dict[str, Likelihood] = {
        "gaussian": Gaussian(),
        "learned-scale": LearnedGaussian(),
        "per-dimension-scale": LearnedGaussian(shape),
        "optimal-scale": OptimalGaussian(),
        "laplace": LearnedLaplace(),
        "bernoulli": Bernoulli(),
        "continuous-bernoulli": ContinuousBernoulli(),
    }
    return ChosenLikelihood(parts[name])
