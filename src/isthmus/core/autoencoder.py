"""The autoencoder assembled from its parts. Every published autoencoder is a combination of parts, not a class.

    vanilla      deterministic bottleneck
    denoising    the same, with a corruption
    variational  Gaussian bottleneck, a prior, a rate weight
    sparse       a sparse bottleneck (or a penalty on the code)
    contractive  deterministic bottleneck, a penalty on ∂hidden/∂entered

The default objective has the same form in every domain: mean(rate_weight · rate − log_likelihood) + Σ penalties, in
nats per record.
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
from isthmus.core.shares import computing, share_of
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
    """The loss and its terms.

    Attributes:
        total: the objective plus all penalties; the only one with a gradient.
        terms: detached means for the history: ``nll`` and ``rate`` in nats per record, and each penalty by its name.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


class Autoencoder(nn.Module):
    """An autoencoder of any kind, made of its parts.

    Args:
        encoder, bottleneck, decoder, readout, likelihood: the parts, in the order of the forward pass.
        prior: prior distribution of the codes; without one the rate is 0.
        scaling: a fixed transformation of the inputs (unit norms, z-scores), in training and afterwards, applied before
            any corruption.
        corruption: noise on the scaled inputs, in training only.
        penalties: named scalars added to the objective.
        objective: how rate and log-likelihood are combined; by default ``Elbo()``.
        hooks: functions called on the model after each step or epoch.
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
        """The input that the encoder declares, if any: a model with ``Tokens`` reads items in order."""
        return getattr(self.encoder, "signal", None)

    @property
    def timed(self) -> bool:
        """Whether the encoder reads times."""
        return bool(getattr(self.encoder, "timed", False))

    def scaled(self, inputs: Tensors) -> Tensors:
        """The inputs after the fixed scaling of the model, if any."""
        scaled: Tensors = self.scaling(inputs) if self.scaling is not None else inputs
        return scaled

    def entering(self, batch: Batch, generator: Generator | None) -> Tensors:
        """What the encoder reads in training: scaled inputs, corrupted if there is a generator."""
        inputs = self.scaled(batch.inputs)
        return inputs if self.corruption is None or generator is None else self.corruption(inputs, generator)

    def encode(self, inputs: Tensors, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """Codes of clean inputs: scaled, never corrupted.

        Args:
            inputs: inputs of the encoder, on the model's device.
            generator: random generator for ``Code.sample``; without one the sample is the point itself.
            samples: number of samples per row.

        Returns:
            ``point`` [batch, *cells, code], ``sample`` [batch · samples, *cells, code] with the samples of a row next
            to each other, and the posterior if the bottleneck has one.
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
        likelihood: Likelihood | None = None,
    ) -> Step:
        """One forward pass. With a generator the inputs are corrupted and the code is sampled; without one, neither.

        Args:
            batch: some rows, on the model's device.
            generator: random generator for all noise.
            samples: number of code samples per row; more than one for importance weighting.
            corrupt: False leaves the inputs clean even with a generator.
            sample_code: False decodes the point even with a generator.
            likelihood: replaces that of the model.

        Returns:
            The inputs of objectives and penalties; ``log_likelihood`` is [batch, samples], nats per record, higher is
            better. If several processes share the batch, ``decoded`` only has the rows of this one.
        """
        inputs = self.entering(batch, generator if corrupt else None)
        code = self._code(inputs, generator if sample_code else None, samples)
        share = share_of(inputs)
        given = share.given(Batch(batch.rows, inputs, batch.targets)).repeat(samples)
        with computing(share):
            decoded = self.decoder(share.samples(code.sample, samples), given)
            of_own = (likelihood or self.likelihood)(self.readout, decoded, given.targets, generator=generator)
        log_likelihood = share.joined(of_own.view(-1, samples))
        return Step(self, batch, code, decoded, log_likelihood, samples, generator)

    def loss(self, step: Step, *, progress: Progress = 1.0, objective: Objective | None = None) -> Loss:
        """The objective and all penalties.

        Args:
            step: a forward pass of this model.
            progress: share of the planned training, from 0 to 1, in records seen; used by schedules. A scalar tensor if
                steps are captured in a graph.
            objective: replaces the objective of the model.

        Returns:
            The total in nats per record, lower is better, and its terms.
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
        """The parameters of the named parts, each once; without names, of all parts.

        Raises:
            SettingError: an unknown part.
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
        share = share_of(inputs)
        own = share.own(inputs)
        with computing(share):
            hidden = self.encoder.trunk(self.encoder.enter(own), own)
        return self.bottleneck(share.joined(hidden), generator=generator, samples=samples)
