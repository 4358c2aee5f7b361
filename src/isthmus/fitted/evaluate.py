"""How much of held-out records gets through a model's code, in nats."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from isthmus.answers import html
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.metrics.codes import active_units
from isthmus.protocols import Source
from isthmus.reprs import described, number
from isthmus.tasks.coding import codes_of, held_out, weighted_log_likelihoods
from isthmus.training.run import Run

EXACT = Run(device="cpu", precision="fp32")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Figures of one model on held-out records. Each domain adds its own; what was not asked for, or a model lacks, is
    None."""

    def to_json(self) -> dict[str, Any]:
        """The figures by name, as plain values for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        known = [(name, value) for name, value in self.to_json().items() if value is not None]
        return described(self, ", ".join(f"{name} {number(value)}" for name, value in known))

    def _repr_html_(self) -> str:
        return html.facts(self.to_json())


@dataclass(frozen=True, repr=False)
class CodeEvaluation(Evaluation):
    """Nats are sums over a record and means over the records.

    Attributes:
        records: how many.
        objective: the model's own loss, negated; higher is better.
        nll: negative log-likelihood given a code, nats; lower is better.
        rate: the KL divergence of the codes from the prior, nats; 0 for deterministic models.
        active_units: dimensions of the code whose mean varies by more than 0.01 (Burda et al. 2016).
        weighted_nll: −log p(record) by importance sampling (Burda et al. 2016), nats; lower is better.
        samples: of the importance sampling.
    """

    records: int
    objective: float
    nll: float
    rate: float
    active_units: int | None
    weighted_nll: float | None
    samples: int


def check_samples(samples: int) -> None:
    """Refuse a number of importance samples below 0.

    Raises:
        SettingError: below 0.
    """
    if samples < 0:
        raise SettingError(f"{samples} samples", expected="0 or more")


def evaluate_codes(model: Autoencoder, source: Source, *, samples: int = 0, seed: int = 0) -> CodeEvaluation:
    """Measure a model on records that it was not trained on.

    Args:
        model: in evaluation mode.
        source: the records.
        samples: importance samples a record; 0 leaves ``weighted_nll`` out, 500 is usual.
        seed: of those samples.

    Raises:
        SettingError: samples below 0, or of a model without a posterior.
        InputError: no records.
    """
    check_samples(samples)
    found = held_out(model, source, EXACT)
    return CodeEvaluation(
        records=len(source),
        objective=-found.loss,
        nll=found.nll,
        rate=found.rate,
        active_units=active_units(codes_of(model, source).flatten(1)) if len(source) > 1 else None,
        weighted_nll=_weighted_nll(model, source, samples, seed) if samples else None,
        samples=samples,
    )


def _weighted_nll(model: Autoencoder, source: Source, samples: int, seed: int) -> float:
    noise = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    return -float(weighted_log_likelihoods(model, source, samples=samples, generator=noise).mean())
