"""Evaluation of an autoencoder on held-out records, in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from isthmus.answers import html
from isthmus.checked.arguments import checked_seed, whole
from isthmus.core.autoencoder import Autoencoder
from isthmus.metrics.codes import active_units
from isthmus.metrics.means import mean_with_error
from isthmus.protocols import Source
from isthmus.reprs import described, number
from isthmus.tasks.coding import codes_of, held_out, weighted_log_likelihoods
from isthmus.training.run import Run

EXACT = Run(device="cpu", precision="fp32")


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """Metrics of a model on held-out records; each domain adds its own. Metrics that were not requested, or that the
    model does not have, are None.

    Attributes:
        standard_errors: standard errors of those metrics that are means over records, by name.
    """

    standard_errors: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The metrics by name, as plain values for JSON."""
        figures = asdict(self)
        errors = figures.pop("standard_errors")
        return {**figures, "standard_errors": errors}

    def __repr__(self) -> str:
        return described(self, ", ".join(f"{name} {figure}" for name, figure in self._shown().items()))

    def _repr_html_(self) -> str:
        return html.facts(self._shown())

    def _shown(self) -> dict[str, str]:
        """Known metrics by name, with standard errors after ±."""
        known = {name: value for name, value in self.to_json().items() if isinstance(value, int | float)}
        errors = {name: f" ± {number(error)}" for name, error in self.standard_errors.items()}
        return {name: number(value) + errors.get(name, "") for name, value in known.items()}


@dataclass(frozen=True, repr=False)
class CodeEvaluation(Evaluation):
    """Values in nats are means over records of the sum over each record.

    Attributes:
        records: number of records.
        objective: negative loss of the model; higher is better.
        nll: negative log-likelihood given a code, nats; lower is better.
        rate: KL divergence of the codes from the prior, nats; 0 for deterministic models.
        active_units: dimensions of the code whose mean has a variance above 0.01 (Burda et al. 2016).
        weighted_nll: −log p(record) by importance sampling (Burda et al. 2016), nats; lower is better.
        samples: number of importance samples.
    """

    records: int
    objective: float
    nll: float
    rate: float
    active_units: int | None
    weighted_nll: float | None
    samples: int


def check_samples(samples: int) -> None:
    """Check a number of importance samples.

    Raises:
        SettingError: below 0.
    """
    whole("samples", samples)


def standard_errors(**each: Any) -> dict[str, float]:
    """Standard errors of means over records: the sample standard deviation (n − 1) over √n.

    Args:
        each: for each metric its values for all records, as an array or a tensor; None if there are none.

    Returns:
        Standard errors by name, in the unit of the metric; none for fewer than two records or infinite values.
    """
    found = {name: mean_with_error(values)[1] for name, values in each.items() if values is not None}
    return {name: error for name, error in found.items() if math.isfinite(error)}


def evaluate_codes(model: Autoencoder, source: Source, *, samples: int = 0, seed: int = 0) -> CodeEvaluation:
    """Evaluate a model on records that it was not trained on.

    Args:
        model: model in evaluation mode.
        source: the records.
        samples: importance samples per record; 0 skips ``weighted_nll``, 500 is usual.
        seed: seed of these samples.

    Returns:
        The metrics.

    Raises:
        SettingError: samples below 0, or samples for a model without a posterior.
        InputError: no records.
    """
    check_samples(samples)
    found = held_out(model, source, EXACT, each=True)
    weighted = _weighted_nll(model, source, samples, seed) if samples else None
    return CodeEvaluation(
        records=len(source),
        objective=-found.loss,
        nll=found.nll,
        rate=found.rate,
        active_units=active_units(codes_of(model, source).flatten(1)) if len(source) > 1 else None,
        weighted_nll=None if weighted is None else float(weighted.mean()),
        samples=samples,
        standard_errors=standard_errors(**found.each, weighted_nll=weighted),
    )


def _weighted_nll(model: Autoencoder, source: Source, samples: int, seed: int) -> Tensor:
    noise = torch.Generator(next(model.parameters()).device).manual_seed(checked_seed(seed))
    return -weighted_log_likelihoods(model, source, samples=samples, generator=noise)
