"""A penalty from outside: dimensions of a code are decorrelated (Cheung et al., "Discovering hidden factors", 2014)."""

from __future__ import annotations

import numpy as np
import pytest
from bridges import batch, generator, values, vector_bridge

from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train


class Decorrelation:
    """weight · Σ_{i ≠ j} cov(z_i, z_j)² over the rows of a batch."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, step):
        covariance = step.code.point.T.cov(correction=0)
        return {"decorrelation": self.weight * (covariance - covariance.diagonal().diag()).square().sum()}


def model(weight: float):
    return vector_bridge(Projected(6, 4, generator=generator(3)), penalties=(Decorrelation(weight),))


def test_its_value_is_that_of_numpy_and_part_of_the_loss() -> None:
    made = model(2.0)
    step = made.step(batch(values(40)))
    covariance = np.cov(step.code.point.detach().numpy().T, bias=True)
    wanted = 2 * (covariance**2).sum() - 2 * (covariance.diagonal() ** 2).sum()
    loss = made.loss(step)
    assert float(loss.terms["decorrelation"]) == pytest.approx(wanted, rel=1e-4)
    assert float(loss.total.detach()) == pytest.approx(float(loss.terms["nll"]) + wanted, rel=1e-5)


def test_it_is_in_the_history_and_decorrelates() -> None:
    left = {}
    for weight in (0.0, 10.0):
        made = model(weight)
        plan = Plan((Phase(20),), Shuffled(32), learning_rate=0.01)
        history = train(made, VectorSource(values(128).values), plan, Run(device="cpu"))
        assert "decorrelation" in history.records[-1]
        left[weight] = float(Decorrelation(1.0)(made.step(batch(values(128))))["decorrelation"].detach())
    assert left[10.0] < 0.2 * left[0.0]
