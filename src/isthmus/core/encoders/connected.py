"""From a bag to a hidden state: layers of one width, each of which also gets what all layers before it gave."""

from __future__ import annotations

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.core.ops.bags import bag_sum
from isthmus.core.ops.layers import ACTIVATIONS, linear, small_bias, xavier
from isthmus.errors import SettingError

NORM_EPS = 0.1
"""Added to the variance in each layer norm: as in the authors' code, large enough that a faint state stays faint."""


class DenselyConnectedEncoder(nn.Module):
    """The densely connected encoder of RecVAE (Shenbin et al. 2020), with the norms of the authors' code:

        h_1 = norm(f(Σ_i x_i table_i + bias)),     h_l = norm(f(W_l h_{l−1} + b_l + h_1 + … + h_{l−1}))

    Args:
        width: how many items.
        hidden: width of every layer.
        layers: how many, at least 1.
        activation: f; "silu" is x · sigmoid(x), which the paper calls swish.

    Raises:
        SettingError: fewer than 1 layer.
    """

    def __init__(
        self, width: int, hidden: int, *, generator: Generator, layers: int = 5, activation: str = "silu"
    ) -> None:
        super().__init__()
        if layers < 1:
            raise SettingError(f"{layers} layers", expected="at least 1")
        self.table = xavier(width, hidden, generator)
        self.bias = small_bias(hidden, generator)
        self.layers = nn.ModuleList(linear(hidden, hidden, generator) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, NORM_EPS) for _ in range(layers))
        self.activation = ACTIVATIONS[activation]

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch hidden"]:
        """The sum of the item vectors of each bag."""
        assert isinstance(inputs, Bags), "a bag encoder reads bags"
        return bag_sum(self.table, inputs)

    def trunk(self, entered: Float[Tensor, "batch hidden"], inputs: Tensors | None) -> Float[Tensor, "batch hidden"]:
        """All layers; the state of the last one."""
        before: Tensor = self.norms[0](self.activation(entered + self.bias))
        hidden = before
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            hidden = norm(self.activation(layer(hidden) + before))
            before = before + hidden
        return hidden
