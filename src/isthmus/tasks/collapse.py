"""Posterior collapse: measures the information in codes, and warns if there is none."""

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
from isthmus.machine.devices import double
from isthmus.metrics.codes import MutualInformation, active_units, mutual_information
from isthmus.protocols import Source

NEAR_ZERO = 0.1
"""A rate or mutual information below this many nats counts as zero. Published collapsed models have 0.00 to 0.14."""
FEW = 0.1
"""With a smaller share of active dimensions than this, most of the code is unused."""
CURES = (
    "a batch norm on the posterior's mean",
    "free bits",
    "a smaller or cyclically annealed weight of the rate",
    "a decoder that sees less of its own input",
)


@dataclass(frozen=True)
class Diagnosis:
    """The information in the codes of some records.

    Attributes:
        nll: −log p(x|z) at one draw of the code, the reconstruction loss; nats per record.
        rate: KL divergence of the code; nats per record. nll + rate is −ELBO.
        active: dimensions whose posterior mean has a variance of 0.01 or more over the records.
        clearly_active: the same with a threshold of 0.2, for models in which all dimensions reach 0.01.
        code: number of dimensions.
        information: mutual information of record and code, with the number of records it was measured on.
    """

    nll: float
    rate: float
    active: int
    clearly_active: int
    code: int
    information: MutualInformation

    def warning(self, cures: Sequence[str] = CURES) -> str | None:
        """The warning for a collapsed posterior; None if it has not collapsed.

        Args:
            cures: what to change, as settings of the builder.
        """
        found = [
            (self.rate < NEAR_ZERO, f"its rate is {self.rate:.2f} nats per record"),
            (self.active < FEW * self.code, f"{self.active} of {self.code} dimensions are active"),
            (self._says_nothing(), f"its mutual information with the record is {self.information.nats:.2f} nats"),
        ]
        reasons = [words for true, words in found if true]
        if not reasons:
            return None
        advice = f"; change {' or '.join(cures)}" if cures else ""
        return f"the posterior has collapsed and the decoder nearly ignores the code: {', '.join(reasons)}{advice}"

    def _says_nothing(self) -> bool:
        # For N records the mutual information is at most ln N nats, even for good codes.
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
        model: a model with a diagonal Gaussian posterior; temporarily in ``eval`` mode.
        source: held-out records, on the model's device.
        generator: random generator, on the same device.
        records: number of records, chosen at random; all by default. The time of mutual information is records² · code.
        batch_size: number of records per batch; they are sorted by length, to reduce padding.

    Returns:
        The diagnosis.

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
            means.append(double(posterior.mean.flatten(1)))
            log_scales.append(double(posterior.log_scale.flatten(1)))
            nats.append(-double(step.log_likelihood[:, 0]))
            rates.append(double(model.prior.rate(step)))
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
    """Rows of the source in ascending order of length."""
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
    """Switch to ``eval`` mode temporarily; parts that were already in it stay in it."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
