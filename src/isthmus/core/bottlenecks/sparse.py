"""Sparse bottlenecks: the code is wide, and most of its units are 0 for each record.

Each consists of a linear layer and a sparsifying activation. Penalties find their inputs in ``Code.notes``:

    pre      output of the linear layer [batch, code]
    silent   training rows since each unit was last above 0 [code]
    firing   activation of each unit, from 0 to 1 [batch, code]: sigmoid units
    gate     1 where a unit passes its threshold, else 0 [batch, code], with a gradient for the threshold: ``JumpReLU``
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.batch_norm import BatchNormLinear
from isthmus.core.ops.layers import Activation, linear, weight_of
from isthmus.errors import SettingError
from isthmus.protocols import Code


class TopK(nn.Module):
    """The ``k`` largest units of each row, if they are above 0 (Makhzani & Frey 2014; Gao et al., "Scaling and
    evaluating sparse autoencoders", 2024, equation 3).

    Args:
        hidden: width of the hidden state.
        code: number of units.
        k: how many of them a row may use.
        normalised: whether units compete on equal terms, see ``BatchNormLinear``.

    Raises:
        SettingError: ``k`` below 1, or more than there are units.
    """

    def __init__(self, hidden: int, code: int, k: int, *, generator: Generator, normalised: bool = False) -> None:
        super().__init__()
        _check_k(k, code)
        self.units = (BatchNormLinear if normalised else linear)(hidden, code, generator)
        self.k = k
        self.silence = DeadUnitCounter(code)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """At most ``k`` numbers of a row are above 0, the others are 0.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        pre = before(self.units, hidden)
        point = self.activate(pre)
        return noted_code(point, samples, pre=pre, silent=self.silence(point))

    def unit_weights(self) -> nn.Parameter:
        """The matrix [code, hidden] in front of the activation."""
        return weight_of(self.units)

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The units with their activation; None where they are normalised over the rows."""
        return _layers_of(self.units, self.activate)

    def activate(self, pre: Float[Tensor, "*rows code"]) -> Float[Tensor, "*rows code"]:
        """The largest of each row, negative ones as 0."""
        return largest(pre, self.k)


class BatchTopK(nn.Module):
    """In training, the ``k`` · batch largest units of a batch, so that some rows use more units than others. The
    smallest kept activation is averaged over batches; after training, every unit above this average is kept, so that
    the code of a row depends on the row alone (Bussmann et al., "BatchTopK sparse autoencoders", 2024).

    Args:
        hidden: width of the hidden state.
        code: number of units.
        k: how many of them a row uses on average.
        normalised: whether units compete on equal terms, see ``BatchNormLinear``.

    Raises:
        SettingError: ``k`` below 1, or more than there are units.
    """

    momentum = 0.01
    threshold: Tensor
    batches: Tensor

    def __init__(self, hidden: int, code: int, k: int, *, generator: Generator, normalised: bool = False) -> None:
        super().__init__()
        _check_k(k, code)
        self.units = (BatchNormLinear if normalised else linear)(hidden, code, generator)
        self.k = k
        self.silence = DeadUnitCounter(code)
        # fp64, because many small changes are added up.
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``k`` numbers of a row are above 0 on average, the others are 0.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        pre = before(self.units, hidden)
        point = self._of_batch(pre) if self.training else self.activate(pre)
        return noted_code(point, samples, pre=pre, silent=self.silence(point))

    def unit_weights(self) -> nn.Parameter:
        """The matrix [code, hidden] in front of the activation."""
        return weight_of(self.units)

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The units with their activation; None where they are normalised over the rows."""
        return _layers_of(self.units, self.activate)

    def activate(self, pre: Float[Tensor, "*rows code"]) -> Float[Tensor, "*rows code"]:
        """The units above the stored threshold, as after training."""
        return pre * (pre > self.threshold)

    def _of_batch(self, pre: Tensor) -> Tensor:
        every = pre.relu().flatten()
        kept = every.topk(self.k * (len(every) // pre.shape[-1]), sorted=False)
        self._learn(kept.values.detach())
        return torch.zeros_like(every).scatter(0, kept.indices, kept.values).view_as(pre)

    def _learn(self, kept: Tensor) -> None:
        above = kept[kept > 0]
        if len(above) == 0:
            return
        self.batches += 1
        # At first, about the latest fifth of all batches counts, so that a short training gets a suitable threshold.
        weight = (10 / (self.batches + 9)).clamp(min=self.momentum).to(self.threshold)
        self.threshold.lerp_(above.min().to(self.threshold), weight)


class JumpReLU(nn.Module):
    """z if it is above the unit's threshold θ > 0, else 0. Although z · 1[z > θ] has no derivative with respect to θ, θ
    is learnt from the values within half a ``bandwidth`` of it (Rajamanoharan et al., "Jumping ahead", 2024, equations
    11 and 12, with a rectangular kernel).

    Args:
        hidden: width of the hidden state.
        code: number of units.
        bandwidth: ε, width of the neighbourhood of a threshold, in the scale of z.
        threshold: initial θ of every unit.

    Raises:
        SettingError: a bandwidth or a threshold that is not above 0.
    """

    def __init__(
        self, hidden: int, code: int, *, generator: Generator, bandwidth: float = 0.05, threshold: float = 0.01
    ) -> None:
        super().__init__()
        if not (bandwidth > 0 and threshold > 0):
            raise SettingError(f"bandwidth={bandwidth}, threshold={threshold}", expected="numbers above 0")
        self.units = linear(hidden, code, generator)
        self.log_threshold = nn.Parameter(torch.full((code,), math.log(threshold)))
        self.bandwidth = bandwidth
        self.silence = DeadUnitCounter(code)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """The note ``gate`` sums up to the number of active units of a row, which ``sparsity.L0`` limits.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        pre = before(self.units, hidden)
        point = self.activate(pre)
        return noted_code(point, samples, pre=pre, silent=self.silence(point), gate=self._gate(pre))

    def unit_weights(self) -> nn.Parameter:
        """The matrix [code, hidden] in front of the activation."""
        return weight_of(self.units)

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The units with their activation; None where they are normalised over the rows."""
        return _layers_of(self.units, self.activate)

    def activate(self, pre: Float[Tensor, "*rows code"]) -> Float[Tensor, "*rows code"]:
        """z · 1[z > θ], with −θ / ε as its derivative with respect to θ near the threshold."""
        threshold, moved = self._threshold()
        return pre * (pre > threshold) - self._near(pre, threshold) * (threshold / self.bandwidth) * moved

    def _gate(self, pre: Tensor) -> Tensor:
        """1[z > θ], with −1 / ε as its derivative with respect to θ near the threshold."""
        threshold, moved = self._threshold()
        return (pre > threshold).to(pre) - self._near(pre, threshold) / self.bandwidth * moved

    def _threshold(self) -> tuple[Tensor, Tensor]:
        """θ without a gradient, and a 0 that has it."""
        threshold = self.log_threshold.exp()
        return threshold.detach(), threshold - threshold.detach()

    def _near(self, pre: Tensor, threshold: Tensor) -> Tensor:
        return ((pre - threshold).abs() < self.bandwidth / 2).to(pre)


class SparseUnits(nn.Module):
    """Units that a penalty makes sparse: ``sigmoid`` for ``sparsity.KlSparsity``, ``relu`` for ``sparsity.L1``.

    Args:
        hidden: width of the hidden state.
        code: number of units.
        activation: ``sigmoid`` or ``relu``.

    Raises:
        SettingError: another activation.
    """

    def __init__(self, hidden: int, code: int, *, generator: Generator, activation: str = "relu") -> None:
        super().__init__()
        if activation not in ("sigmoid", "relu"):
            raise SettingError(f"activation={activation!r} of sparse units", expected="'sigmoid' or 'relu'")
        self.units = linear(hidden, code, generator)
        self.activation = activation
        self.silence = DeadUnitCounter(code)

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """All units; a penalty keeps most of them near 0.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        pre = before(self.units, hidden)
        point = self.activate(pre)
        if self.activation == "sigmoid":
            return noted_code(point, samples, pre=pre, firing=point)
        return noted_code(point, samples, pre=pre, silent=self.silence(point))

    def unit_weights(self) -> nn.Parameter:
        """The matrix [code, hidden] in front of the activation."""
        return weight_of(self.units)

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The units with their activation; None where they are normalised over the rows."""
        return _layers_of(self.units, self.activate)

    def activate(self, pre: Float[Tensor, "*rows code"]) -> Float[Tensor, "*rows code"]:
        """Apply the sparsifying activation, without the linear layer before it."""
        return pre.sigmoid() if self.activation == "sigmoid" else pre.relu()


class DeadUnitCounter(nn.Module):
    """The number of training rows since each unit was last above 0. It is saved with the model, so that resumed
    training knows its dead units, and does not change outside training.

    Args:
        code: number of units.
    """

    rows: Tensor

    def __init__(self, code: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(code, dtype=torch.int64))

    @torch.no_grad()
    def forward(self, point: Float[Tensor, "*rows code"]) -> Int64[Tensor, " code"]:
        """The counts after these rows; in a row of several cells, each cell counts."""
        if not self.training:
            return self.rows.clone()
        rows = point.detach().flatten(0, -2)
        after = torch.where((rows > 0).any(0), 0, self.rows + len(rows))
        self.rows.copy_(after)
        return after


def _layers_of(units: nn.Module, activation: Activation) -> tuple[AffineLayer, ...] | None:
    return (AffineLayer(units.weight, units.bias, activation),) if isinstance(units, nn.Linear) else None


def largest(pre: Float[Tensor, "*rows code"], k: int) -> Float[Tensor, "*rows code"]:
    """The ``k`` largest numbers of each row if they are above 0, and 0 elsewhere. Only the kept numbers have a
    gradient."""
    kept = pre.relu().topk(k, dim=-1, sorted=False)
    return torch.zeros_like(pre).scatter(-1, kept.indices, kept.values)


def before(units: nn.Module, hidden: Tensor) -> Tensor:
    """The output of the linear layer in fp32 at least, because close numbers would tie under autocast."""
    pre: Tensor = units(hidden)
    return pre.to(torch.promote_types(pre.dtype, torch.float32))


def noted_code(point: Tensor, samples: int, **notes: Tensor) -> Code:
    """A code without a posterior: ``sample`` repeats ``point``."""
    return Code(point, point.repeat_interleave(samples, 0) if samples > 1 else point, notes=notes)


def _check_k(k: int, code: int) -> None:
    if not 1 <= k <= code:
        raise SettingError(f"k={k} of {code} units", expected=f"1 to {code}")
