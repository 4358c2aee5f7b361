"""Remedies against posterior collapse: free bits, decoder reinitialisation, aggressive encoder training.

A decoder that predicts each token from the previous ones can ignore the code. If it learns this faster than the encoder
learns useful codes, the rate falls to 0 and stays there. ``BatchNormGaussian`` is another remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.capabilities import dimension_rates
from isthmus.core.objectives.schedules import Progress, RateWeight
from isthmus.errors import SettingError
from isthmus.protocols import Hook, Model, PartName, Phase, Step
from isthmus.reprs import brief

ENCODER: tuple[PartName, ...] = ("encoder", "bottleneck")
DECODER: tuple[PartName, ...] = ("decoder", "readout")
"""The parts on either side of the code."""


@brief
@dataclass(frozen=True)
class FreeBits:
    """β Σ_d max(λ, mean KL_d) − mean log p: a dimension whose mean rate over the batch is below λ nats costs λ anyway,
    so that there is no incentive to lower it further (Kingma et al., NIPS 2016; Li et al., EMNLP 2019).

    Args:
        nats: λ, for each dimension of the code.
        rate_weight: β; a single number, not one per row.
    """

    nats: float
    rate_weight: RateWeight

    def __post_init__(self) -> None:
        if not self.nats >= 0:
            raise SettingError(f"{self.nats} free nats", expected="a number of 0 or more for each dimension")

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: Progress) -> Float[Tensor, ""]:
        """Nats per record, lower is better.

        Raises:
            SettingError: a rate that is not a sum over dimensions: a prior without ``dimension_rates``, a
                posterior whose rate has no closed form, or a weight for each row.
        """
        weight = self.rate_weight(step, progress)
        if isinstance(weight, Tensor) and weight.ndim:
            raise SettingError("free bits with a rate weight for each row", expected="one rate weight")
        floored = dimension_rates(step.model.prior, step).mean(0).clamp(min=self.nats).sum()
        return weight * floored - step.log_likelihood.mean()


@dataclass(frozen=True)
class ReconstructionOnly:
    """−mean log p: reconstruction only. With ``Phase(sample_code=False)`` a variational model is a plain
    autoencoder."""

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: Progress) -> Float[Tensor, ""]:
        """Nats per record, lower is better."""
        return -step.log_likelihood.mean()


@brief
@dataclass(frozen=True)
class ReinitialiseDecoder:
    """Reinitialises decoder and readout; encoder and bottleneck stay.

    Args:
        build: builds decoder and readout of the model from a random generator.
        seed: seed of the new weights.
    """

    build: Callable[[Generator], Sequence[nn.Module]]
    seed: int

    def act(self, model: Model) -> None:
        """Copy new weights in; buffers stay."""
        fresh = self.build(Generator().manual_seed(self.seed))
        for part, new in zip((model.decoder, model.readout), fresh, strict=True):
            assert isinstance(part, nn.Module)
            for parameter, drawn in zip(part.parameters(), new.parameters(), strict=True):
                parameter.copy_(drawn)


def pretraining_phases(epochs: int, fresh: ReinitialiseDecoder) -> tuple[Phase, ...]:
    """Pretrain a plain autoencoder, then reinitialise the decoder (Li et al., EMNLP 2019), so that the code is
    informative before it has a cost, and the decoder has not learnt to ignore it.

    The point is decoded, inputs are clean, and there is no evaluation. The decoder is reinitialised at the end of the
    last epoch, before its checkpoint, and Adam's moments are reset, so that resumed training gives the same result.
    """
    plain = Phase(
        epochs, corrupt=False, sample_code=False, validate=False, objective=ReconstructionOnly(), name="autoencoder"
    )
    last = replace(plain, epochs=1, hooks=(Hook("epoch", fresh.act, reset_optimizer=DECODER),))
    return (replace(plain, epochs=epochs - 1), last) if epochs > 1 else (last,)


@dataclass
class AggressiveEncoderTraining:
    """Aggressive training of the encoder (He et al., ICLR 2019): repeatedly, ``inner`` steps that train only the
    encoder, each on a new batch, then one that trains only the decoder.

    The paper takes up to 100 inner steps, fewer if they stop helping, until the mutual information stops rising. Here
    the numbers of inner steps and epochs are fixed.
    """

    inner: int
    _done: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if self.inner < 1:
            raise SettingError(f"{self.inner} inner steps of the encoder", expected="at least 1")

    def phase(self, epochs: int, hooks: tuple[Hook, ...] = ()) -> Phase:
        """A phase of ``epochs`` epochs; each begins with the encoder, so that no state is kept between epochs."""
        own = (Hook("step", self._turn), Hook("epoch", self._begin))
        return Phase(epochs, ENCODER, hooks=(*own, *hooks), name="aggressive")

    def _turn(self, model: Model) -> None:
        self._done = (self._done + 1) % (self.inner + 1)
        decoding = self._done == self.inner
        for side, trains in ((ENCODER, not decoding), (DECODER, decoding)):
            for parameter in model.parameters_of(*side):
                parameter.requires_grad_(trains)

    def _begin(self, model: Model) -> None:
        self._done = 0
