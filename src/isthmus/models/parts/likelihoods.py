"""Likelihoods of vectors and images by name.

gaussian              N(logit, 1): half the squared error
shared                N(logit, σ²), one σ that is learnt
dimension             N(logit, σ²), a σ for each dimension or pixel that is learnt
optimal               N(logit, σ²), σ² the mean squared error of the batch
laplace               two-sided exponential around the logit, one scale that is learnt: for outliers
bernoulli             coins, for zeros and ones
continuous-bernoulli  a density of numbers between 0 and 1
levels                256 levels between 0 and 1, a mixture of five logistic distributions
"""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.batch import Grid, Vector
from isthmus.core.likelihoods.continuous import LearnedGaussian, LearnedLaplace, OptimalGaussian
from isthmus.core.likelihoods.discrete import Bernoulli, Gaussian
from isthmus.core.likelihoods.unit_interval import ContinuousBernoulli, DiscretisedLogisticMixture
from isthmus.models.recipes.checks import check_choice
from isthmus.protocols import Likelihood

LIKELIHOODS = (
    "gaussian",
    "shared",
    "dimension",
    "optimal",
    "laplace",
    "bernoulli",
    "continuous-bernoulli",
    "levels",
)
"""The first one is the default."""

COMPONENTS = 5


@dataclass(frozen=True)
class Chosen:
    """A likelihood, and how many numbers the readout gives it for each one of the signal."""

    part: Likelihood
    outputs: int = 1


def likelihood_of(name: str, signal: Vector | Grid) -> Chosen:
    """The likelihood with its parameters.

    Raises:
        SettingError: no such name.
    """
    check_choice("likelihood", name, LIKELIHOODS)
    shape = (signal.width,) if isinstance(signal, Vector) else (signal.channels, signal.height, signal.width)
    if name == "levels":
        mixture = DiscretisedLogisticMixture(COMPONENTS)
        return Chosen(mixture, mixture.numbers)
    parts: dict[str, Likelihood] = {
        "gaussian": Gaussian(),
        "shared": LearnedGaussian(),
        "dimension": LearnedGaussian(shape),
        "optimal": OptimalGaussian(),
        "laplace": LearnedLaplace(),
        "bernoulli": Bernoulli(),
        "continuous-bernoulli": ContinuousBernoulli(),
    }
    return Chosen(parts[name])
