"""How rate and log-likelihood become one number: (step, rate, progress) -> scalar, nats a record, lower is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bags
from isthmus.errors import SettingError
from isthmus.protocols import Step

RateWeight = Callable[[Step, float], "float | Tensor"]
"""(step, progress) -> a scalar or one weight a row."""


@dataclass(frozen=True)
class Constant:
    """The same rate weight throughout; 1 is the evidence lower bound (Kingma & Welling 2014)."""

    weight: float = 1.0

    def __call__(self, step: Step, progress: float) -> float:
        """The weight, whatever the progress."""
        return self.weight


@dataclass(frozen=True)
class LinearAnnealing:
    """β(progress) = cap · min(1, progress / until): linear annealing to a cap (Liang et al. 2018, section 2.2.2).

    Progress is counted in records seen, so another batch size leaves the schedule as it is.
    """

    cap: float = 1.0
    until: float = 1.0

    def __call__(self, step: Step, progress: float) -> float:
        """β at this progress."""
        return self.cap * min(1.0, progress / self.until)


@dataclass(frozen=True)
class ByTotal:
    """γ Σ_i x_i for a bag of targets x: the log-likelihood grows with that total, and so does the weight of the rate
    (Shenbin et al. 2020)."""

    weight: float

    def __call__(self, step: Step, progress: float) -> Float[Tensor, " batch"]:
        """One weight for each row, whatever the progress."""
        targets = step.batch.targets
        if not isinstance(targets, Bags):
            raise SettingError(f"rates weighed by the total of {type(targets).__name__}", expected="bags")
        return self.weight * targets.totals()


@dataclass(frozen=True)
class Elbo:
    """mean(β · rate − log p): the negative evidence lower bound for β = 1 (Kingma & Welling 2014, equation 3)."""

    rate_weight: RateWeight = Constant()

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        """Nats a record, lower is better."""
        weighted = self.rate_weight(step, progress) * rate
        return (weighted - step.log_likelihood.mean(1)).mean()
