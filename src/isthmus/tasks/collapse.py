"""Posterior collapse: how much information the codes of a model carry, and a warning where they carry none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Generator, Tensor, nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.errors import InputError, SettingError
from isthmus.metrics.codes import MutualInformation, active_units, mutual_information
from isthmus.protocols import Source

NEAR_ZERO = 0.1
"""Nats: a rate or a mutual information below this is none. Published collapsed models have 0.00 to 0.14."""
FEW = 0.1
"""Share of the code: with fewer active dimensions than this, most of it is not in use."""
CURES = (
    "a batch norm on the posterior's mean",
    "free bits",
    "a smaller or cyclically annealed weight of the rate",
    "a decoder that sees less of its own input",
)


@dataclass(frozen=True)
class Diagnosis:
    """What the codes of some records carry.

    Attributes:
        nll: −log p(x|z) at one draw of the code, the reconstruction; nats a record.
        rate: what the code spends; nats a record. nll + rate is −ELBO.
        active: dimensions whose posterior mean has a variance of 0.01 or more over the records.
        clearly_active: the same at 0.2, where 0.01 is reached by all.
        code: dimensions in all.
        information: between record and code, with the number of records that it was measured on.
    """

    nll: float
    rate: float
    active: int
    clearly_active: int
    code: int
    information: MutualInformation

    def warning(self, cures: Sequence[str] = CURES) -> str | None:
        """Words for a collapsed posterior, None where it has not collapsed.

        Args:
            cures: what to change, as the reader knows it: settings of the builder that made the model.
        """
        found = [
            (self.rate < NEAR_ZERO, f"its rate is {self.rate:.2f} nats a record"),
            (self.active < FEW * self.code, f"{self.active} of {self.code} dimensions are active"),
            (self._says_nothing(), f"it shares {self.information.nats:.2f} nats with its record"),
        ]
        reasons = [words for true, words in found if true]
        if not reasons:
            return None
        advice = f"; change {' or '.join(cures)}" if cures else ""
        return f"the posterior collapses, the decoder hardly listens to the code: {', '.join(reasons)}{advice}"

    def _says_nothing(self) -> bool:
        # A handful of records cannot share more than ln N, however good the code is.
        return self.information.nats < NEAR_ZERO and self.information.most > 1


@torch.no_grad()
def diagnose(
    model: Autoencoder,
    source: Source,
    *,
    generator: Generator,
    records: int | None = None,
    batch_size: int = 256,
) -> Diagnosis:
    """Encode records without corruption, draw one code each, and measure.

    Args:
        model: with a diagonal Gaussian posterior; put into ``eval`` meanwhile.
        source: records held out from training, on the model's device.
        generator: where draws come from, on the same device.
        records: how many, chosen at random; all by default. Mutual information takes records² · code steps.
        batch_size: records at a time; they go by length, so that little is padded.

    Raises:
        InputError: fewer than two records.
        SettingError: ``batch_size`` below 1, or a model without such a posterior.
    """
    if batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}", expected="at least 1")
    rows = _chosen(source, records, generator)
    means, log_scales, nats, rates = [], [], [], []
    with _asked(model):
        for some in rows.split(batch_size):
            step = model.step(source.batch(some), generator=generator, corrupt=False)
            posterior = step.code.posterior
            if not isinstance(posterior, DiagonalGaussian):
                raise SettingError(f"posterior {type(posterior).__name__}", expected="a diagonal Gaussian")
            means.append(posterior.mean.flatten(1))
            log_scales.append(posterior.log_scale.flatten(1))
            nats.append(-step.log_likelihood[:, 0].double())
            rates.append(model.prior.rate(step).double())
    mean = torch.cat(means)
    return Diagnosis(
        nll=float(torch.cat(nats).mean()),
        rate=float(torch.cat(rates).mean()),
        active=active_units(mean),
        clearly_active=active_units(mean, 0.2),
        code=mean.shape[1],
        information=mutual_information(mean, torch.cat(log_scales), generator=generator),
    )


def _chosen(source: Source, records: int | None, generator: Generator) -> Int64[Tensor, " rows"]:
    """Rows of the source by rising length."""
    count = len(source) if records is None else min(records, len(source))
    if count < 2:
        raise InputError(f"{count} records", expected="at least two")
    lengths = source.lengths
    rows = torch.arange(len(source), device=lengths.device)
    if count < len(source):
        drawn = torch.randperm(len(source), device=generator.device, generator=generator)[:count]
        rows = drawn.to(lengths.device)
    return rows[torch.argsort(lengths[rows], stable=True)]


@contextmanager
def _asked(model: nn.Module) -> Iterator[None]:
    """``eval`` for a while; parts that were in it already stay in it."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
