"""A dense encoder: an MLP."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, require_values
from isthmus.capabilities import AffineLayer
from isthmus.core.ops.layers import Mlp


class DenseEncoder(nn.Module):
    """``enter``: the numbers themselves [batch, width]; ``trunk``: an MLP to [batch, sizes[-1]].

    Args:
        width: number of values per row.
        sizes: widths of the layers after the input; the last one stays linear unless ``activate_last``.
    """

    def __init__(
        self,
        width: int,
        sizes: Sequence[int],
        *,
        generator: Generator,
        activation: str = "tanh",
        activate_last: bool = False,
    ) -> None:
        super().__init__()
        self.entered_shape = (width,)
        self.mlp = Mlp((width, *sizes), generator=generator, activation=activation, activate_last=activate_last)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch width"]:
        """The values of the batch."""
        return require_values(inputs, "a dense encoder").values

    def trunk(self, entered: Float[Tensor, "batch width"], inputs: Tensors | None) -> Float[Tensor, "batch hidden"]:
        """Apply the multilayer perceptron."""
        hidden: Tensor = self.mlp(entered)
        return hidden

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The layers of the MLP."""
        return self.mlp.affine_layers()
