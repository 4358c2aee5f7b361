"""Tasks of any trained autoencoder: encoding, reconstruction, sampling, interpolation and likelihoods.

Rows are processed in batches of a fixed size, the last one padded with copies of a row, so that the result for a row
does not depend on the other rows. Functions without a generator are deterministic: the code of a record is its point
estimate. The mode of the model does not change; inputs are moved to its device, and results to the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch
from isthmus.checked.sizes import check_memory
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError, SettingError
from isthmus.metrics.codes import importance_weighted
from isthmus.protocols import Source, Step
from isthmus.training.run import Run

BATCH = 256
SEED = 97
"""Seed of the noise of codes when held-out rows are scored: the same in every epoch, so that scores only depend on the
model."""


@torch.no_grad()
def codes_of(model: Autoencoder, source: Source, *, batch: int = BATCH) -> Float[Tensor, "rows *cells code"]:
    """The point estimate of each row's code, fp32, in the order of the rows.

    Args:
        model: a trained autoencoder.
        source: the records.
        batch: number of rows that are encoded together.

    Returns:
        Codes on the CPU.

    Raises:
        InputError: no rows.
    """
    return _each(model, source, batch, lambda some: model.encode(some.inputs).point)


@torch.no_grad()
def reconstructions(model: Autoencoder, source: Source, *, batch: int = BATCH) -> Float[Tensor, "rows ..."]:
    """Reconstructions of records: the mean of the likelihood at the point estimate of each code.

    Args:
        model: a trained autoencoder.
        source: the records.
        batch: number of rows that are computed together.

    Returns:
        fp32 on the CPU, in the order and shape of the records.

    Raises:
        InputError: no rows.
    """

    def mean(some: Batch) -> Tensor:
        step = model.step(some)
        return model.likelihood.mean(model.readout, step.decoded)

    return _each(model, source, batch, mean)


@torch.no_grad()
def decoded(
    model: Autoencoder, codes: Float[Tensor, "rows *cells code"], *, batch: int = BATCH
) -> Float[Tensor, "rows ..."]:
    """The mean of the likelihood at each code.

    Args:
        model: a trained autoencoder.
        codes: codes as from ``codes_of``, or random ones.
        batch: number of codes that are decoded together.

    Returns:
        fp32 on the CPU, one record for each code.

    Raises:
        InputError: no codes.
    """
    if not len(codes):
        raise InputError("no codes", expected="at least one")
    codes, parts = codes.to(_device(model)), []
    for rows, kept in _batches(len(codes), batch, codes.device):
        means = model.likelihood.mean(model.readout, model.decode(codes[rows]))
        parts.append(means[:kept].float().cpu())
    return torch.cat(parts)


def drawn(
    model: Autoencoder, n: int, generator: Generator, mixture: FittedMixture | None = None
) -> Float[Tensor, "n *cells code"]:
    """Draw random codes, which ``decoded`` can decode.

    Args:
        model: its prior is used if there is no mixture.
        n: number of codes.
        generator: random generator on the model's device.
        mixture: a density fitted to the codes of the training data.

    Returns:
        ``n`` codes on the generator's device.

    Raises:
        SettingError: fewer than one code, or a model without a prior and no mixture.
    """
    if n < 1:
        raise SettingError(f"{n} samples", expected="at least 1")
    check_memory(CODE_BYTES * n, f"{n:,} samples")
    return mixture.sample(n, generator) if mixture is not None else model.prior.sample(n, generator)


CODE_BYTES = 32
"""Minimum bytes of a code and its decoded record."""


def between(
    a: Float[Tensor, "*cells code"], b: Float[Tensor, "*cells code"], steps: int
) -> Float[Tensor, "steps *cells code"]:
    """Points on the straight line from one code to another, including both ends.

    Args:
        a, b: the two codes.
        steps: number of points.

    Returns:
        The points, from ``a`` to ``b``.

    Raises:
        SettingError: fewer than two points.
    """
    if steps < 2:
        raise SettingError(f"{steps} steps", expected="at least 2, because both ends are included")
    check_memory(4 * a.numel() * steps, f"{steps:,} steps")
    share = torch.linspace(0, 1, steps, dtype=a.dtype).view(-1, *[1] * a.ndim)
    return (1 - share) * a + share * b


@torch.no_grad()
def log_likelihoods(model: Autoencoder, source: Source, *, batch: int = BATCH) -> Float[Tensor, " rows"]:
    """log p(row | code) at the point estimate of the code.

    Args:
        model: a trained autoencoder.
        source: the records.
        batch: number of rows that are computed together.

    Returns:
        [rows], nats per record; higher is better.

    Raises:
        InputError: no rows.
    """
    return _each(model, source, batch, lambda some: model.step(some).log_likelihood[:, 0])


@torch.no_grad()
def weighted_log_likelihoods(
    model: Autoencoder, source: Source, *, samples: int, generator: Generator, batch: int = 64, chunk: int = 50
) -> Float64[Tensor, " rows"]:
    """log p(row) by importance sampling (Burda et al. 2016), nats; a lower bound in expectation.

    Args:
        model: a trained autoencoder.
        source: the records.
        samples: number of draws per row.
        generator: random generator on the model's device.
        batch, chunk: rows, and draws per row, that are decoded together.

    Returns:
        [rows], nats per record; higher is better.

    Raises:
        SettingError: no samples, or a model without posterior or prior.
    """
    there = source.to(_device(model))
    parts = [
        importance_weighted(model, there.batch(rows), generator=generator, samples=samples, chunk=chunk)
        for rows in torch.arange(len(source), device=_device(model)).split(batch)
    ]
    return torch.cat(parts).cpu()


@dataclass(frozen=True)
class HeldOut:
    """Means over rows that were not trained on, nats per row; lower is better.

    Attributes:
        loss: the model's objective at the end of its schedule, including penalties.
        nll: reconstruction loss at a drawn code.
        rate: KL divergence of the code; 0 for deterministic models.
        each: ``nll`` and ``rate`` of each row, if requested.
    """

    loss: float
    nll: float
    rate: float
    each: Mapping[str, Float64[Tensor, " rows"]] = field(default_factory=dict, compare=False)


@torch.no_grad()
def held_out(
    model: Autoencoder, source: Source, run: Run, *, corrupt: bool = False, each: bool = False, batch: int = BATCH
) -> HeldOut:
    """The model's objective on held-out rows, with the same noise of codes at every call.

    Args:
        model: a trained autoencoder.
        source: the rows.
        run: its precision is used.
        corrupt: whether to corrupt the rows, with the same noise at every call, because a pure denoiser has nothing to
            do on clean rows.
        each: whether to return the values of each row, too.
        batch: number of rows that are computed together.

    Returns:
        Means over the rows.

    Raises:
        InputError: no rows.
    """
    if not len(source):
        raise InputError("no rows", expected="at least one")
    device = _device(model)
    noise, there = torch.Generator(device).manual_seed(SEED), source.to(device)
    counts: list[int] = []
    means: list[Tensor] = []
    parts = []
    for rows in torch.arange(len(source)).split(batch):
        with run.products():
            step = model.step(there.batch(rows), generator=noise, corrupt=corrupt)
            loss = model.loss(step)
            if each:
                parts.append(nats_of(step))
        # Synchronises with the device once, after all rows.
        counts.append(len(rows))
        means.append(torch.stack([loss.total.detach(), loss.terms["nll"], loss.terms["rate"]]).float())
    sums = torch.zeros(3, dtype=torch.float64)
    for count, mean in zip(counts, torch.stack(means).cpu(), strict=True):
        sums += count * mean
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
    total, nll, rate = (sums / len(source)).tolist()
    return HeldOut(total, nll, rate, found)


def nats_of(step: Step) -> dict[str, Float64[Tensor, " rows"]]:
    """``nll`` and ``rate`` of each record of a forward pass, on the CPU."""
    nats = {"nll": -step.log_likelihood.mean(1), "rate": step.model.prior.rate(step)}
    return {name: each.detach().cpu().double() for name, each in nats.items()}


def _each(model: Autoencoder, source: Source, batch: int, ask: Callable[[Batch], Tensor]) -> Float[Tensor, "rows ..."]:
    if not len(source):
        raise InputError("no rows", expected="at least one")
    device = _device(model)
    there = source.to(device)
    parts = [ask(there.batch(rows))[:kept].float().cpu() for rows, kept in _batches(len(source), batch, device)]
    return torch.cat(parts)


def _batches(rows: int, batch: int, device: torch.device) -> Iterator[tuple[Tensor, int]]:
    """Row numbers, always ``batch`` of them, and how many are valid; the rest repeats the last row."""
    if batch < 1:
        raise SettingError(f"batches of {batch}", expected="at least 1")
    for start in range(0, rows, batch):
        numbers = torch.arange(start, start + batch, device=device).clamp(max=rows - 1)
        yield numbers, min(batch, rows - start)


def _device(model: Autoencoder) -> torch.device:
    return next(model.parameters()).device
