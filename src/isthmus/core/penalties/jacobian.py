"""The sensitivity of the code to the input, ‖∂point / ∂input‖² (squared Frobenius norm), and a penalty on it.

The derivative is with respect to the encoder's input: the numbers of a row, the pixels, the token vectors. For a bag,
these are the weights of all columns, including those not in the bag; with the table T of the first layer,
‖J Tᵀ‖² = tr(J TᵀT Jᵀ), so that no vector of catalogue size is needed per row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from isthmus.batch import Tensors
from isthmus.capabilities import AffineLayer, affine_layers, input_weights, twice_differentiable
from isthmus.errors import SettingError
from isthmus.protocols import Bottleneck, Encoder, Model, Step

METHODS = ("auto", "closed", "gram", "jacobian", "hutchinson", "difference")

AUTO_CELLS = 1 << 15
"""Maximum size per row (code times widest layer) for which ``auto`` computes the Jacobian of an MLP explicitly."""

STEP = 1e-2
"""Length of a finite difference step in standard deviations of the input, which uses about half of fp32's digits."""


@dataclass(frozen=True)
class Contractive:
    """weight · mean ‖∂point / ∂input‖² at the clean inputs (Rifai et al., "Contractive auto-encoders", ICML 2011,
    equation 4), with a gradient for every weight before the code.

    Args:
        weight: weight of the mean over the rows. The norm grows with the number of inputs, as does the likelihood.
        method: ``closed``: Σ_j f'(a_j)² ‖w_j‖², for one layer. ``gram``: exact for an MLP, at a cost that does not
            depend on the width of the input. ``jacobian``: exact for any encoder, one backward pass for each dimension
            of the code. ``hutchinson``: ‖Jᵀv‖² with random signs v, unbiased, one backward pass for each probe.
            ``difference``: ‖f(x + s e) − f(x)‖² / s² with normal e, which needs no second derivative. ``auto``: the
            first of closed, gram, hutchinson that is applicable; difference for an LSTM.
        probes: number of random directions per row, for the last two methods.

    Raises:
        SettingError: a weight below 0, an unknown method, or fewer than 1 probe; later, ``closed`` or ``gram`` where
            encoder and bottleneck are not made of such layers.
    """

    weight: float
    method: str = "auto"
    probes: int = 1

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise SettingError(f"weight={self.weight} of a contraction", expected="a number of 0 or more")
        _check(self.method, self.probes)

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``contraction``: the mean over the rows."""
        norms = jacobian_norms(
            step.model, step.batch.inputs, method=self.method, probes=self.probes, generator=step.generator
        )
        return {"contraction": self.weight * norms.mean()}


def jacobian_norms(
    model: Model,
    inputs: Tensors,
    *,
    method: str = "auto",
    probes: int = 1,
    generator: Generator | None = None,
) -> Float[Tensor, " batch"]:
    """‖∂point / ∂input‖² of each row, with its gradient. Dropout is disabled and statistics are not updated, so that
    rows do not depend on each other and the norm does not depend on noise.

    Args:
        method, probes: as in ``Contractive``.
        generator: random generator for the stochastic methods; without one, ``jacobian`` is used instead of them.

    Raises:
        SettingError: as in ``Contractive``.
    """
    _check(method, probes)
    scaled = model.scaled(inputs)
    # Fused attention has no second derivative, and bf16 is too imprecise for one.
    plain = torch.autocast(next(model.parameters_of()).device.type, enabled=False)
    with _still(model), plain, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        path = _path(model, scaled)
        return path.norms(_chosen(model, path, method, generator), probes, generator)


@dataclass(frozen=True)
class _Path:
    """The path from the input to the point of the code.

    Attributes:
        model: the model.
        inputs: scaled inputs.
        entered: the variable of differentiation.
        gram: TᵀT of the table of a bag encoder; None if ``entered`` is the input itself.
        chain: the layers, if they are plain.
    """

    model: Model
    inputs: Tensors
    entered: Tensor
    gram: Float[Tensor, "entered entered"] | None
    chain: Chain | None

    def norms(self, method: str, probes: int, generator: Generator | None) -> Float[Tensor, " batch"]:
        """The norms by one method; ``hutchinson`` and ``difference`` need a generator."""
        if method in ("closed", "gram"):
            return self._chained(method)
        point = self._point(self.entered)
        if method == "jacobian" or generator is None:
            units = point.flatten(1)
            return torch.stack([self._pulled(units[:, unit].sum()) for unit in range(units.shape[1])]).sum(0)
        one = self._hutchinson if method == "hutchinson" else self._difference
        return torch.stack([one(point, generator) for _ in range(probes)]).mean(0)

    def _chained(self, method: str) -> Float[Tensor, " batch"]:
        if self.chain is None or (method == "closed" and len(self.chain.layers) > 1):
            wanted = "one layer before the code" if method == "closed" else "an MLP before the code"
            raise SettingError(f"method={method!r}", expected=wanted, remedy="use method='auto'")
        return self.chain.squares(self.entered)

    def _point(self, entered: Tensor) -> Tensor:
        return self.model.bottleneck(self.model.encoder.trunk(entered, self.inputs)).point

    def _pulled(self, value: Tensor) -> Float[Tensor, " batch"]:
        """‖∂value / ∂input‖² of each row; rows are independent, so one backward pass of their sum is enough."""
        (pulled,) = torch.autograd.grad(value, self.entered, create_graph=True)
        if self.gram is None:
            return pulled.flatten(1).square().sum(1)
        return ((pulled @ self.gram) * pulled).sum(1)

    def _hutchinson(self, point: Tensor, generator: Generator) -> Float[Tensor, " batch"]:
        # Random signs, because their variance is less than half of that of normal numbers.
        signs = torch.empty_like(point).uniform_(generator=generator).sub(0.5).sign()
        return self._pulled((point * signs).sum())

    def _difference(self, point: Tensor, generator: Generator) -> Float[Tensor, " batch"]:
        noise = torch.empty_like(self.entered).normal_(generator=generator)
        if self.gram is not None:
            # T'e of normal numbers e, one for each column of the catalogue, has the covariance TᵀT.
            slight = 1e-6 * self.gram.diagonal().mean() * torch.eye(len(self.gram), device=noise.device)
            # ``cholesky`` would check the result, which needs a synchronisation with the device.
            factor, _ = torch.linalg.cholesky_ex(self.gram + slight, check_errors=noise.device.type == "cpu")
            noise = noise @ factor.T
        step = _step_of(self.entered.detach().std(correction=0))
        moved = self._point(self.entered + step * noise)
        return ((moved - point) / step).flatten(1).square().sum(1)


def _step_of(deviation: Tensor) -> float | Tensor:
    """The length of the step; a default value if all numbers are equal."""
    if deviation.device.type == "cpu":
        return STEP * float(deviation) or STEP
    return torch.where(deviation > 0, STEP * deviation, STEP)


def _path(model: Model, inputs: Tensors) -> _Path:
    encoder = model.encoder
    entered = encoder.enter(inputs)
    if not entered.requires_grad:
        entered = entered.detach().requires_grad_()
    table = input_weights(encoder, inputs)
    gram = None if table is None else table.T @ table
    return _Path(model, inputs, entered, gram, chain_of(encoder, model.bottleneck, summed=table is not None))


def _chosen(model: Model, path: _Path, method: str, generator: Generator | None) -> str:
    """Resolve ``auto``, and replace stochastic methods if there is no generator."""
    if method == "auto":
        if path.chain is not None and path.chain.cost <= AUTO_CELLS:
            return "gram"
        method = "hutchinson" if twice_differentiable(model.encoder) else "difference"
    return "jacobian" if generator is None and method in ("hutchinson", "difference") else method


@contextmanager
def _still(model: Model) -> Iterator[None]:
    """Put encoder and bottleneck into evaluation mode inside the block."""
    parts = [part for part in (model.encoder, model.bottleneck) if isinstance(part, nn.Module)]
    modes = [(module, module.training) for part in parts for module in part.modules()]
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _check(method: str, probes: int) -> None:
    if method not in METHODS:
        raise SettingError(f"method={method!r} of a contraction", expected=", ".join(METHODS))
    if probes < 1:
        raise SettingError(f"probes={probes}", expected="at least 1")


@dataclass(frozen=True)
class Chain:
    """All layers from the numbers of a row to the point of the code.

    Attributes:
        layers: the layers in order; at least one.
        summed: whether the input is already W_1 x, without the bias: a sum over a bag.
    """

    layers: tuple[AffineLayer, ...]
    summed: bool

    @property
    def cost(self) -> int:
        """Number of values that ``squares`` computes per row: code times widest layer; only code for one layer."""
        code = len(self.layers[-1].weight)
        return code * max((len(layer.weight) for layer in self.layers[:-1]), default=1)

    def squares(self, entered: Float[Tensor, "batch entered"]) -> Float[Tensor, " batch"]:
        """‖∂point / ∂x‖² of each row, exact. With D_l = diag f_l'(a_l), A = D_L W_L … W_2 D_1 and G = W_1 W_1ᵀ it is
        ⟨A G, A⟩: G is computed once for all rows, and nothing else is as wide as x."""
        slopes = self._slopes(entered)
        first = self.layers[0].weight
        if len(slopes) == 1:
            return (slopes[0].square() * first.square().sum(1)).sum(1)
        product = slopes[-1][:, :, None] * self.layers[-1].weight
        for slope, layer in zip(reversed(slopes[1:-1]), reversed(self.layers[1:-1]), strict=True):
            product = (product * slope[:, None]) @ layer.weight
        product = product * slopes[0][:, None]
        return ((product @ (first @ first.T)) * product).flatten(1).sum(1)

    def _slopes(self, x: Tensor) -> list[Tensor]:
        """f_l'(a_l) of every layer, differentiable."""
        slopes = []
        for index, layer in enumerate(self.layers):
            before = x + layer.bias if index == 0 and self.summed else nn.functional.linear(x, layer.weight, layer.bias)
            x = layer.activation(before)
            slopes.append(torch.autograd.grad(x.sum(), before, create_graph=True)[0])
        return slopes


def chain_of(encoder: Encoder, bottleneck: Bottleneck, *, summed: bool) -> Chain | None:
    """The layers from the numbers of a row to the point of the code.

    Args:
        encoder, bottleneck: encoder and bottleneck of a model.
        summed: whether ``encoder.enter`` has already multiplied by the first weights, as bag encoders do.

    Returns:
        The layers; None if encoder or bottleneck do not consist of plain layers, or do not declare them (see
        ``isthmus.capabilities``).
    """
    first, last = affine_layers(encoder), affine_layers(bottleneck)
    if first is None or last is None or not (*first, *last):
        return None
    return Chain((*first, *last), summed)
