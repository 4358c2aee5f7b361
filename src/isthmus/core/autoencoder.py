"""The parts joined. Every published autoencoder here is a setting of these parts, never a class of its own.

    vanilla      deterministic bottleneck
    denoising    the same, with a corruption
    variational  Gaussian bottleneck, a prior, a rate weight
    sparse       a sparse bottleneck (or a penalty on the code)
    contractive  deterministic bottleneck, a penalty on ∂hidden/∂entered

The default objective is one sentence in every domain: mean(rate_weight · rate − log_likelihood) + Σ penalties, nats a
record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Signal, Tensors
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.schedules import Progress
from isthmus.core.priors.normal import NoPrior
from isthmus.errors import SettingError
from isthmus.protocols import (
    Bottleneck,
    Code,
    Corruption,
    Decoder,
    Encoder,
    Hook,
    Likelihood,
    Objective,
    PartName,
    Penalty,
    Prior,
    Readout,
    Step,
)
from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class Loss:
    """What is minimised, and what it is made of.

    Attributes:
        total: the objective plus all penalties; the only one with a gradient.
        terms: detached means for the history: ``nll`` and ``rate`` in nats a record, and each penalty by its name.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class Autoencoder(nn.Module):
    """An autoencoder of any kind, made of its parts.

    Args:
        encoder, bottleneck, decoder, readout, likelihood: the path, in its order.
        prior: what codes are expected to look like; without one the rate is 0.
        scaling: a fixed change of the inputs, in training and after it, before any corruption (unit norms, z-scores).
        corruption: noise on the scaled inputs, in training only.
        penalties: named scalars added to the objective.
        objective: how rate and log-likelihood are weighed; by default ``Elbo()``.
        hooks: what happens to the model after each step or epoch.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        bottleneck: Bottleneck,
        decoder: Decoder,
        readout: Readout,
        likelihood: Likelihood,
        prior: Prior | None = None,
        scaling: Callable[[Any], Any] | None = None,
        corruption: Corruption | None = None,
        penalties: Sequence[Penalty] = (),
        objective: Objective | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        super().__init__()
        self.encoder, self.bottleneck, self.decoder = encoder, bottleneck, decoder
        self.readout, self.likelihood = readout, likelihood
        self.prior: Prior = prior or NoPrior()
        self.scaling, self.corruption = scaling, corruption
        self.penalties, self.hooks = tuple(penalties), tuple(hooks)
        self.objective: Objective = objective or Elbo()

    @property
    def signal(self) -> Signal | None:
        """What the encoder reads, if it says so: a model with ``Tokens`` reads items in order."""
        return getattr(self.encoder, "signal", None)

    @property
    def timed(self) -> bool:
        """Whether the encoder reads times."""
        return bool(getattr(self.encoder, "timed", False))

    def scaled(self, inputs: Tensors) -> Tensors:
        """What the encoder enters: the inputs after the fixed change that this model makes of them, if any."""
        scaled: Tensors = self.scaling(inputs) if self.scaling is not None else inputs
        return scaled

    def encode(self, inputs: Tensors, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """Codes of clean inputs: scaled, never corrupted.

        Args:
            inputs: what the encoder reads, on the model's device.
            generator: draws ``Code.sample``; without one the point itself is the sample.
            samples: draws for each row.

        Returns:
            ``point`` [batch, *cells, code], ``sample`` [batch · samples, *cells, code] with copies of a row side by
            side, and the posterior where the bottleneck has one.
        """
        return self._code(self.scaled(inputs), generator, samples)

    def decode(self, sample: Tensor, given: Batch | None = None) -> Any:
        """The state that the readout reads."""
        return self.decoder(sample, given)

    def step(
        self,
        batch: Batch,
        *,
        generator: Generator | None = None,
        samples: int = 1,
        corrupt: bool = True,
        sample_code: bool = True,
    ) -> Step:
        """One forward pass. With a generator the inputs are corrupted and the code is sampled; without one, neither.

        Args:
            batch: some rows, on the model's device.
            generator: where all noise comes from.
            samples: draws of the code for each row; more than one for importance weights.
            corrupt: False leaves the inputs as they are, whatever the generator.
            sample_code: False decodes the point, whatever the generator.

        Returns:
            All that objectives and penalties read; ``log_likelihood`` is [batch, samples], nats a record, higher is
            better.
        """
        inputs = self.scaled(batch.inputs)
        if self.corruption is not None and corrupt and generator is not None:
            inputs = self.corruption(inputs, generator)
        code = self._code(inputs, generator if sample_code else None, samples)
        given = Batch(batch.rows, inputs, batch.targets).repeat(samples)
        decoded = self.decoder(code.sample, given)
        log_likelihood = self.likelihood(self.readout, decoded, given.targets, generator=generator)
        return Step(self, batch, code, decoded, log_likelihood.view(-1, samples), samples, generator)

    def loss(self, step: Step, *, progress: Progress = 1.0, objective: Objective | None = None) -> Loss:
        """The objective and all penalties.

        Args:
            step: a forward pass of this model.
            progress: from 0 to 1 of the planned training, in records seen; schedules follow it. A tensor without
                dimensions where steps are captured in a graph.
            objective: in the place of the model's own.

        Returns:
            The total, nats a record, lower is better, and the terms that it is made of.
        """
        rate = self.prior.rate(step)
        total = (objective or self.objective)(step, rate, progress)
        terms = {"nll": -step.log_likelihood.detach().mean(), "rate": rate.detach().mean()}
        for penalty in self.penalties:
            for name, value in penalty(step).items():
                total = total + value
                terms[name] = value.detach()
        return Loss(total, terms)

    def parameters_of(self, *parts: PartName) -> Iterator[nn.Parameter]:
        """The parameters of some parts, each once; with none named, of all.

        Raises:
            SettingError: a part of another name.
        """
        if not parts:
            yield from self.parameters()
            return
        own: dict[str, object] = {
            "encoder": self.encoder,
            "bottleneck": self.bottleneck,
            "prior": self.prior,
            "decoder": self.decoder,
            "readout": self.readout,
            "likelihood": self.likelihood,
        }
        for name in parts:
            if name not in own:
                raise SettingError(f"a part {name!r} of a model", expected=" or ".join(map(repr, own)))
        named = [own[name] for name in parts]
        yield from nn.ModuleList(part for part in named if isinstance(part, nn.Module)).parameters()

    def _code(self, inputs: Tensors, generator: Generator | None, samples: int) -> Code:
        hidden = self.encoder.trunk(self.encoder.enter(inputs), inputs)
        return self.bottleneck(hidden, generator=generator, samples=samples)
