"""What keeps a posterior from collapsing onto its prior: schedules, floors, a fresh decoder, an encoder ahead of it.

A decoder that predicts each token from those before it can do without the code; where it learns to faster than the
encoder learns to say something, the rate falls to 0 and stays there. ``bottlenecks.NormalisedGaussian`` is one more
cure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.core.objectives.elbo import RateWeight
from isthmus.core.priors.normal import StandardNormal, normal_rates
from isthmus.errors import SettingError
from isthmus.protocols import Hook, Phase, Step

ENCODER, DECODER = ("encoder.", "bottleneck."), ("decoder.", "readout.")
"""Prefixes of the parameters on either side of the code."""


@dataclass(frozen=True)
class CyclicalAnnealing:
    """β rises several times: in each of ``cycles`` equal parts of the training it rests at 0, rises linearly to ``cap``
    and stays there (Fu et al., NAACL 2019; they used 4 cycles, a ramp of 0.5 and no rest).

    Args:
        cap: the highest rate weight.
        cycles: how many times β rises.
        ramp: share of a cycle in which it rises.
        rest: share of a cycle before that in which it is 0.
    """

    cap: float = 1.0
    cycles: int = 4
    ramp: float = 0.5
    rest: float = 0.0

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise SettingError(f"{self.cycles} cycles", expected="at least 1")
        if not (self.ramp > 0 and self.rest >= 0 and self.ramp + self.rest <= 1):
            raise SettingError(f"ramp={self.ramp} after rest={self.rest}", expected="shares of a cycle, 1 at most")

    def __call__(self, step: Step, progress: float) -> float:
        """β at this progress; the last cycle ends at the cap."""
        place = 1.0 if progress >= 1 else progress * self.cycles % 1.0
        return self.cap * min(1.0, max(0.0, (place - self.rest) / self.ramp))


@dataclass(frozen=True)
class DelayedSchedule:
    """A schedule for what is left of the training after ``start``, a share of it: ``weight`` sees 0 to 1 there."""

    weight: RateWeight
    start: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise SettingError(f"a schedule that starts at {self.start}", expected="0 <= start < 1")

    def __call__(self, step: Step, progress: float) -> float | Tensor:
        """The rate weight; before ``start``, the first one."""
        return self.weight(step, max(0.0, (progress - self.start) / (1 - self.start)))


@dataclass(frozen=True)
class FreeBits:
    """β Σ_d max(λ, mean KL_d) − mean log p: a dimension whose mean rate over the batch is below λ nats pays λ whatever
    it does, so that nothing pulls it further down (Kingma et al., NIPS 2016; Li et al., EMNLP 2019).

    Args:
        nats: λ, for each dimension of the code.
        rate_weight: β; one number, not one for each row.
    """

    nats: float
    rate_weight: RateWeight

    def __post_init__(self) -> None:
        if not self.nats >= 0:
            raise SettingError(f"{self.nats} free nats", expected="a number of 0 or more for each dimension")

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        """Nats a record, lower is better.

        Raises:
            SettingError: a rate that is no sum over dimensions: another posterior than a diagonal Gaussian, another
                prior than N(0, 1), or a weight for each row.
        """
        posterior = step.code.posterior
        if not isinstance(posterior, DiagonalGaussian) or not isinstance(step.model.prior, StandardNormal):
            raise SettingError(
                "free bits of this model", expected="a diagonal Gaussian posterior and the prior N(0, 1)"
            )
        weight = self.rate_weight(step, progress)
        if isinstance(weight, Tensor) and weight.ndim:
            raise SettingError("free bits with a rate weight for each row", expected="one rate weight")
        floored = normal_rates(posterior).mean(0).clamp(min=self.nats).sum()
        return weight * floored - step.log_likelihood.mean()


@dataclass(frozen=True)
class ReconstructionOnly:
    """−mean log p: the reconstruction alone. With ``Phase(draws=False)`` a variational model is a plain autoencoder."""

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        """Nats a record, lower is better."""
        return -step.log_likelihood.mean()


@dataclass(frozen=True)
class ReinitialiseDecoder:
    """Decoder and readout are drawn anew; encoder and bottleneck stay.

    Args:
        build: decoder and readout as they are built for the model, from a generator.
        seed: of the new weights.
    """

    build: Callable[[Generator], Sequence[nn.Module]]
    seed: int

    def act(self, model: Autoencoder) -> None:
        """Copy new weights in; buffers stay."""
        fresh = self.build(Generator().manual_seed(self.seed))
        for name, part in zip(("decoder", "readout"), fresh, strict=True):
            new = dict(part.named_parameters())
            for key, parameter in model.get_submodule(name).named_parameters():
                parameter.copy_(new[key])


def pretraining_phases(epochs: int, fresh: ReinitialiseDecoder) -> tuple[Phase, ...]:
    """A plain autoencoder first, then a fresh decoder (Li et al., EMNLP 2019): the code has a meaning before anything
    is paid for it, and the decoder has not yet learnt to do without.

    The point is decoded, inputs are clean, nothing is scored. The decoder is drawn anew at the end of the last epoch,
    before its checkpoint, and Adam forgets its moments, so that a training resumed anywhere ends as if uninterrupted.
    """
    plain = Phase(epochs, corrupts=False, draws=False, scored=False, objective=ReconstructionOnly(), name="autoencoder")
    last = replace(plain, epochs=1, hooks=(Hook("epoch", fresh.act, forgets=DECODER),))
    return (replace(plain, epochs=epochs - 1), last) if epochs > 1 else (last,)


@dataclass
class AggressiveEncoderTraining:
    """Aggressive training of the encoder (He et al., ICLR 2019): ``inner`` steps that train the encoder alone, each on
    a new batch, then one that trains the decoder alone, over and over.

    Published: up to 100 inner steps, ended earlier where they stop helping, until mutual information stops rising.
    Here their number and the number of epochs are fixed.
    """

    inner: int
    _done: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if self.inner < 1:
            raise SettingError(f"{self.inner} inner steps of the encoder", expected="at least 1")

    def phase(self, epochs: int, hooks: tuple[Hook, ...] = ()) -> Phase:
        """So many epochs; each begins with the encoder, so that nothing has to be remembered between them."""
        own = (Hook("step", self._turn), Hook("epoch", self._begin))
        return Phase(epochs, ENCODER, hooks=(*own, *hooks), name="aggressive")

    def _turn(self, model: Autoencoder) -> None:
        self._done = (self._done + 1) % (self.inner + 1)
        decoding = self._done == self.inner
        for name, parameter in model.named_parameters():
            if name.startswith((*ENCODER, *DECODER)):
                parameter.requires_grad_(name.startswith(DECODER) is decoding)

    def _begin(self, model: Autoencoder) -> None:
        self._done = 0
