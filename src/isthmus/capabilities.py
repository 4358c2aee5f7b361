"""Optional methods of parts beyond their protocols, and functions that call them.

A part without one of these methods works in every model that does not need it; where it is needed, the error names the
method to add. They are used instead of checks of the types of parts::

    part        method                          used by
    Encoder     affine_layers, input_weights,   the contractive penalty (exact derivatives of plain layers)
                twice_differentiable
    Encoder, Bottleneck,                        steps of small networks with the gradient written out
    Decoder, Readout        affine_layers
    Likelihood  descent                         the same
    Encoder     entered_shape                   the prior of pseudo-inputs
    Encoder     token_vectors                   search of texts by their words, where codes hold words at their places
    Encoder     codes_of_ids                    codes of rows of token ids at once, without padding: bags of tokens
    Encoder     packed                          the encoder as bundles keep it, once it is trained
    Bottleneck  affine_layers                   the contractive penalty
    Bottleneck  unit_weights                    the tied start of sparse autoencoders
    Bottleneck  calibrate                       statistics measured again after training
    Posterior   detach                          doubly reparameterised gradients
    Posterior   standard_normal_rates           the closed form of the rate under N(0, 1)
    Prior       dimension_rates                 free bits
    Decoder     code_weights                    the L1 penalty, decoder columns of length 1, the loss of dead units
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.errors import SettingError
from isthmus.protocols import Bottleneck, Decoder, Encoder, Likelihood, Posterior, Prior, Readout, Step
from isthmus.reprs import brief

# --- what the methods return -----------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class CodeWeights:
    """A matrix [outputs, inputs] that multiplies the code, or a concatenation of the code and other numbers.

    Attributes:
        weight: the parameter itself.
        start, stop: range of its columns that belong to the code; without ``stop`` up to the last one.
    """

    weight: nn.Parameter
    start: int = 0
    stop: int | None = None

    @property
    def columns(self) -> slice:
        """The columns of the code."""
        return slice(self.start, self.stop)


@brief
@dataclass(frozen=True)
class AffineLayer:
    """The map x → f(W x + b). An output of ``activation`` may depend on other inputs only in ways that have the
    derivative 0 (such as which units of a row are the largest)."""

    weight: Float[Tensor, "outputs inputs"]
    bias: Float[Tensor, " outputs"]
    activation: Callable[[Tensor], Tensor]


# --- the methods -----------------------------------------------------------------------------------------------------


class LayeredPart(Protocol):
    """A part that may consist of plain consecutive layers."""

    def affine_layers(self) -> Sequence[AffineLayer] | None:
        """All layers from input to output, in order; an empty sequence for the identity, and None if the part does not
        only consist of such layers.

        For an encoder of bags, the first weight is the transpose of ``input_weights``, although ``enter`` already
        multiplies by it.
        """


class LinearEntrance(Protocol):
    """An encoder whose ``enter`` multiplies a row by a matrix: every encoder of bags."""

    def input_weights(self) -> Float[Tensor, "inputs entered"]:
        """T with ``enter(x) = x T``, differentiable."""


class ShapedEntrance(Protocol):
    """An encoder whose rows all have the same shape after ``enter``."""

    @property
    def entered_shape(self) -> tuple[int, ...]:
        """The shape of one row, such as (width,) or (channels, height, width)."""


class UnitBottleneck(Protocol):
    """A bottleneck whose code consists of units, each with its own vector of weights."""

    def unit_weights(self) -> Float[nn.Parameter, "code hidden"]:
        """The matrix by which the hidden state is multiplied."""


class CalibratedBottleneck(Protocol):
    """A bottleneck with statistics that are measured again after training."""

    def calibrate(self, hidden: Iterable[Tensor]) -> None:
        """Replace the statistics by those of all these hidden states, given batch by batch."""


class DetachedPosterior(Protocol):
    """A posterior that can be detached while its samples have a gradient."""

    def detach(self) -> Posterior:
        """The same density without a gradient for its parameters."""


class ClosedFormPosterior(Protocol):
    """A posterior whose divergence from N(0, 1) has a closed form."""

    def standard_normal_rates(self) -> Float[Tensor, "batch *cells code"]:
        """The KL divergence from N(0, 1) in each dimension of the code, nats; lower is nearer."""


class FactorisedPrior(Protocol):
    """A prior whose rate is a sum over the dimensions of the code."""

    def dimension_rates(self, step: Step) -> Float[Tensor, "batch *cells code"]:
        """The rate of each dimension, nats; their sum is ``rate``."""


@runtime_checkable
class SlopedLikelihood(Protocol):
    """A likelihood of dense numbers with a gradient in closed form."""

    def descent(
        self, logits: Float[Tensor, "batch width"], targets: Tensors
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch width"]]:
        """The mean of −log p over the rows, nats per record, and its gradient at the logits."""


class CodeReader(Protocol):
    """A decoder that declares the first weights by which the code is multiplied."""

    def code_weights(self, readout: Readout) -> Sequence[CodeWeights]:
        """Every matrix that multiplies the code, including those of ``readout`` if the code reaches it unchanged."""


# --- how they are asked for ------------------------------------------------------------------------------------------


def affine_layers(part: Encoder | Bottleneck | Decoder | Readout) -> tuple[AffineLayer, ...] | None:
    """The layers of a part, or None if it has others or does not declare them."""
    offered: LayeredPart | None = _offers(part, "affine_layers")
    layers = None if offered is None else offered.affine_layers()
    return None if layers is None else tuple(layers)


def input_weights(encoder: Encoder, inputs: Tensors) -> Float[Tensor, "inputs entered"] | None:
    """The matrix by which bags are multiplied; None for other inputs, which are not transformed.

    Raises:
        SettingError: an encoder of bags without ``input_weights``.
    """
    if not isinstance(inputs, Bags):
        return None
    offered: LinearEntrance = _asked(encoder, "input_weights")
    return offered.input_weights()


def twice_differentiable(encoder: Encoder) -> bool:
    """Whether second derivatives of an encoder are available, as for nearly all; if they are not, or slow, it has an
    attribute ``twice_differentiable = False``."""
    return bool(getattr(encoder, "twice_differentiable", True))


def entered_shape(encoder: Encoder) -> tuple[int, ...]:
    """The shape of a row after ``enter``.

    Raises:
        SettingError: an encoder without ``entered_shape``.
    """
    offered: ShapedEntrance = _asked(encoder, "entered_shape")
    return offered.entered_shape


def unit_weights(bottleneck: Bottleneck) -> Float[nn.Parameter, "code hidden"]:
    """The weights of each unit of the code.

    Raises:
        SettingError: a bottleneck without ``unit_weights``.
    """
    offered: UnitBottleneck = _asked(bottleneck, "unit_weights")
    return offered.unit_weights()


def calibrate(bottleneck: Bottleneck, hidden: Iterable[Tensor]) -> None:
    """Measure the statistics of a bottleneck on these hidden states.

    Raises:
        SettingError: a bottleneck without ``calibrate``.
    """
    offered: CalibratedBottleneck = _asked(bottleneck, "calibrate")
    offered.calibrate(hidden)


def detached(posterior: Posterior) -> Posterior:
    """The same density without a gradient for its parameters.

    Raises:
        SettingError: a posterior without ``detach``.
    """
    offered: DetachedPosterior = _asked(posterior, "detach")
    return offered.detach()


def standard_normal_rates(posterior: Posterior | None) -> Float[Tensor, "batch *cells code"] | None:
    """The closed form of the KL divergence from N(0, 1) in each dimension, nats, or None if there is none."""
    offered: ClosedFormPosterior | None = _offers(posterior, "standard_normal_rates")
    return None if offered is None else offered.standard_normal_rates()


def dimension_rates(prior: Prior, step: Step) -> Float[Tensor, "batch *cells code"]:
    """The rate of each dimension of the code, nats.

    Raises:
        SettingError: a prior without ``dimension_rates``.
    """
    offered: FactorisedPrior = _asked(prior, "dimension_rates")
    return offered.dimension_rates(step)


def sloped(likelihood: Likelihood) -> SlopedLikelihood | None:
    """The likelihood, if it has a gradient in closed form."""
    return _offers(likelihood, "descent")


def code_weights(decoder: Decoder, readout: Readout) -> tuple[CodeWeights, ...]:
    """Every matrix that multiplies the code.

    Raises:
        SettingError: a decoder without ``code_weights``.
    """
    offered: CodeReader = _asked(decoder, "code_weights")
    return tuple(offered.code_weights(readout))


def missing_members(part: object, protocol: type) -> list[str]:
    """The public members of a protocol that a part lacks. They are looked up by ``getattr``, because ``isinstance``
    does not see parameters and submodules, which come from ``__getattr__``."""
    return [name for name in dir(protocol) if not name.startswith("_") and not hasattr(part, name)]


def _offers(part: object, member: str) -> Any | None:
    """The part, if it has the member; otherwise None."""
    return part if hasattr(part, member) else None


def _asked(part: object, member: str) -> Any:
    if not hasattr(part, member):
        raise SettingError(
            f"{type(part).__name__} has no {member}",
            expected="a part that offers it",
            remedy=f"add {member} to {type(part).__name__} as isthmus.capabilities describes it, or use another part",
        )
    return cast(Any, part)
