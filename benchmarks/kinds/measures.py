"""The numbers that each kind of autoencoder exists for, of any model, on rows that it was not trained on.

nll              nats per row at the best guess of its code
nll_one_code     the same where every row has the mean code of the training rows: what the code is worth is between them
noisy_nll        the same at the code of a damaged row; the damage is that of ``denoising``, the row asked for is whole
rate, bound      nats that the code spends, and the negative evidence lower bound, an upper bound on -log p(row)
active, dead     units of the code that a row uses, and the share of them that no row uses
jacobian         mean squared norm of d code / d input
jacobian_scaled  the same over the variance of the codes: shrinking a code and growing its decoder changes nothing here

A deterministic model has no likelihood of its own. Its bound is that of the best that can be made of it afterwards: a
normal prior fitted to its codes, and around each code a normal posterior whose spread, a share of the codes' own, is
the best of ten on the training rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.core.penalties.jacobian import jacobian_norms
from isthmus.core.priors.mixture import MixturePrior
from isthmus.core.priors.normal import NoPrior
from isthmus.metrics.sparsity import sparsity_of
from isthmus.protocols import Bottleneck, Code, Corruption, Source
from isthmus.tasks.coding import codes_of

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0)
ROWS, WIDEST = 128, 64
DAMAGE = 11


class Spread(nn.Module):
    """A deterministic bottleneck with a normal posterior of one spread around its point."""

    def __init__(self, inner: Bottleneck, log_scale: Tensor) -> None:
        super().__init__()
        self.inner, self.log_scale = inner, log_scale

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        point = self.inner(hidden).point
        posterior = DiagonalGaussian(point, self.log_scale.expand_as(point))
        sample = point.repeat_interleave(samples, 0) if generator is None else posterior.sample(generator, samples)
        return Code(point, sample, posterior)


def measured(model: Autoencoder, train: Source, test: Source, damage: Corruption) -> dict[str, float]:
    model = model.cpu().eval()
    known = codes_of(model, train)
    codes, (rate, bound) = codes_of(model, test), _bound(model, train, test, known)
    found = sparsity_of(codes)
    norm = _jacobian(model, test)
    return {
        "nll": _nll(model, test),
        "nll_one_code": _nll(model, test, code=known.mean(0)),
        "noisy_nll": _nll(model, test, damage=damage),
        "rate": rate,
        "bound": bound,
        "active": found.active,
        "dead": found.dead,
        "jacobian": norm,
        "jacobian_scaled": norm / float(known.var(0).sum()),
    }


@torch.no_grad()
def _nll(model: Autoencoder, source: Source, code: Tensor | None = None, damage: Corruption | None = None) -> float:
    noise, total = Generator().manual_seed(DAMAGE), 0.0
    for batch in _batches(source):
        inputs = batch.inputs if damage is None else damage(batch.inputs, noise)
        step = model.step(Batch(batch.rows, inputs, batch.targets))
        nats = step.log_likelihood.sum()
        if code is not None:
            decoded = model.decode(code.expand_as(step.code.point), batch)
            nats = model.likelihood(model.readout, decoded, batch.targets).sum()
        total -= float(nats)
    return total / len(source)


def _bound(model: Autoencoder, train: Source, test: Source, codes: Tensor) -> tuple[float, float]:
    if not isinstance(model.prior, NoPrior):
        return _rate_and_bound(model, test)
    used = codes.std(0).clamp(min=1e-3)
    prior = MixturePrior(codes.shape[1], 1, generator=Generator())
    with torch.no_grad():
        prior.centres.copy_(codes.mean(0))
        prior.log_scales.copy_(used.log())
    bottleneck = model.bottleneck
    tried = []
    for share in SHARES:
        other = _joined(model, Spread(bottleneck, (share * used).log()), prior)
        tried.append((_rate_and_bound(other, train, most=1000)[1], share))
    return _rate_and_bound(_joined(model, Spread(bottleneck, (min(tried)[1] * used).log()), prior), test)


def _joined(model: Autoencoder, bottleneck: Spread, prior: MixturePrior) -> Autoencoder:
    parts = {name: getattr(model, name) for name in ("encoder", "decoder", "readout", "likelihood", "scaling")}
    return Autoencoder(**parts, bottleneck=bottleneck, prior=prior).eval()


@torch.no_grad()
def _rate_and_bound(model: Autoencoder, source: Source, most: int | None = None) -> tuple[float, float]:
    noise, rate, nats, rows = Generator().manual_seed(DAMAGE), 0.0, 0.0, 0
    for batch in _batches(source, most):
        step = model.step(batch, generator=noise, samples=4, corrupt=False)
        rate += float(model.prior.rate(step).sum())
        nats -= float(step.log_likelihood.mean(1).sum())
        rows += batch.size
    return rate / rows, (rate + nats) / rows


def _jacobian(model: Autoencoder, source: Source) -> float:
    """Exact for narrow codes; of wide ones 16 random directions a row."""
    batch = next(_batches(source))
    wide = int(model.encode(batch.inputs).point.shape[-1]) > WIDEST
    noise = Generator().manual_seed(DAMAGE)
    how = {"method": "hutchinson", "probes": 16, "generator": noise} if wide else {"method": "jacobian"}
    return float(jacobian_norms(model, batch.inputs, **how).detach().mean())


def _batches(source: Source, most: int | None = None) -> Iterator[Batch]:
    rows = min(len(source), most or len(source))
    for some in torch.arange(rows).split(ROWS):
        yield source.batch(some)
