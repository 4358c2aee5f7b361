"""Metrics of a text model during training: its objective on held-out texts, and the use of its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from isthmus.batch import Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.metrics.codes import active_units, mutual_information
from isthmus.protocols import Source
from isthmus.tasks.coding import nats_of
from isthmus.tasks.collapse import Diagnosis
from isthmus.training.batching import TokenBudget
from isthmus.training.run import Run, Validation

METRIC = "objective"
"""The negative loss at the end of the schedule: nats per text, higher is better. With a rate weight of 1 it is the
evidence lower bound."""

TOKENS = 8192
SEED = 97
"""Seed of the noise of codes: the same in every epoch, so that scores only depend on the model."""


REMEDIES = (
    "collapse='batch-norm' or a larger scale",
    "collapse='free-bits' with more free_bits",
    "a smaller beta",
    "annealing='cyclical'",
    "word_dropout",
)
"""What a user can change if the decoder ignores the code, as settings of ``sequence_vae``."""


@dataclass
class HeldOutMonitor:
    """Computes the validation score and the other metrics of the history in one pass over held-out texts.

    Attributes:
        source: the held-out texts.
        run: precision.
        diagnosis: diagnosis of the latest pass; None for deterministic models.
        each: ``nll`` and ``rate`` of each text in the latest pass, in no particular order.
    """

    source: Source
    run: Run
    diagnosis: Diagnosis | None = None
    each: Mapping[str, Tensor] = field(default_factory=dict)
    _nll: float | None = None
    _cosine: float | None = None

    def validation(self) -> Validation:
        """The validation score for the training loop."""
        return Validation(METRIC, self.score, watch=lambda model: self.metrics())

    @torch.no_grad()
    def score(self, model: nn.Module) -> float:
        """The negative loss of the model; nats per text, higher is better."""
        assert isinstance(model, Autoencoder)
        device = next(model.parameters()).device
        there, noise = self.source.to(device), torch.Generator(device).manual_seed(SEED)
        sums = torch.zeros(3, dtype=torch.float64)
        posteriors: list[DiagonalGaussian] = []
        parts, cosines = [], []
        for rows in TokenBudget(TOKENS)(self.source.lengths.cpu(), torch.Generator().manual_seed(SEED)):
            with self.run.products():
                batch = there.batch(rows.to(device))
                step = model.step(batch, generator=noise, corrupt=False)
                loss = model.loss(step)
                parts.append(nats_of(step))
            if isinstance(batch.targets, Values):
                cosines.append(cosine_similarity(model.readout.logits(step.decoded), batch.targets.values).cpu())
            sums += len(rows) * torch.tensor([float(loss.total), float(loss.terms["nll"]), float(loss.terms["rate"])])
            if isinstance(step.code.posterior, DiagonalGaussian):
                posteriors.append(step.code.posterior)
        total, nll, rate = (sums / len(self.source)).tolist()
        self._nll, self._cosine = nll, float(torch.cat(cosines).mean()) if cosines else None
        self.each = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        self.diagnosis = _diagnosis(posteriors, nll, rate) if posteriors and len(self.source) > 1 else None
        return -float(total)

    def metrics(self) -> dict[str, float]:
        """Metrics of the latest pass, if any, in nats per text; the mutual information is at most ln ``of_texts``. For
        models that learn vectors also the mean cosine to them."""
        if self.diagnosis is None:
            cosine = {} if self._cosine is None else {"held_out_cosine": self._cosine}
            return {} if self._nll is None else {"held_out_nll": self._nll, **cosine}
        return {
            "held_out_nll": self.diagnosis.nll,
            "held_out_rate": self.diagnosis.rate,
            "active_units": self.diagnosis.active,
            "mutual_information": self.diagnosis.information.nats,
            "of_texts": self.diagnosis.information.records,
        }


def _diagnosis(posteriors: list[DiagonalGaussian], nll: float, rate: float) -> Diagnosis:
    mean = torch.cat([one.mean.float().cpu() for one in posteriors])
    scale = torch.cat([one.log_scale.float().cpu() for one in posteriors])
    return Diagnosis(
        nll=nll,
        rate=rate,
        active=active_units(mean),
        clearly_active=active_units(mean, 0.2),
        code=mean.shape[1],
        information=mutual_information(mean, scale, generator=torch.Generator().manual_seed(SEED)),
    )
