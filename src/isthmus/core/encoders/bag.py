"""An encoder for bags: a sum of item vectors, then an MLP."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, require_bags
from isthmus.capabilities import AffineLayer
from isthmus.core.ops.bags import bag_sum, sparse_bag_sum
from isthmus.core.ops.layers import ACTIVATIONS, Mlp, small_bias, xavier
from isthmus.core.placement import Rows, current


class BagEncoder(nn.Module):
    """``enter``: a weighted sum of item vectors [batch, entered]; ``trunk``: bias, activation and an MLP to [batch, sizes[-1]].

    Args:
        width: number of items.
        sizes: widths of the layers; the first is ``entered``, the last is that of the hidden state.
        activation: activation between layers; the last layer is linear unless ``activate_last``.
        sparse_gradient: the gradient of the item vectors is sparse, for a plan with ``rowwise``.
    """  # noqa: E501

    def __init__(
        self,
        width: int,
        sizes: Sequence[int],
        *,
        generator: Generator,
        activation: str = "tanh",
        activate_last: bool = False,
        sparse_gradient: bool = False,
    ) -> None:
        super().__init__()
        self.rows = current().rows(width)
        self.table = xavier(width, sizes[0], generator, self.rows)
        self.bias = small_bias(sizes[0], generator)
        self.mlp = Mlp(sizes, generator=generator, activation=activation, activate_last=activate_last)
        self.sum = sparse_bag_sum if sparse_gradient else bag_sum
        self.activation = ACTIVATIONS[activation if activate_last or len(sizes) > 1 else "identity"]

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch entered"]:
        """The sum of the item vectors of each bag."""
        return self.rows.total(self.sum(self.table, self.rows.own(require_bags(inputs, "a bag encoder"))))

    def trunk(self, entered: Float[Tensor, "batch entered"], inputs: Tensors | None) -> Float[Tensor, "batch hidden"]:
        """The rest of the encoder."""
        hidden: Tensor = self.mlp(self.activation(entered + self.bias))
        return hidden

    @property
    def entered_shape(self) -> tuple[int, ...]:
        """The shape of one entered record: ``(entered,)``."""
        return (self.table.shape[1],)

    def input_weights(self) -> Float[Tensor, "width entered"]:
        """The table of item vectors, shape [items, entered]."""
        return self.table

    def tables(self) -> dict[str, Rows]:
        """The table of item vectors, see ``isthmus.core.placement``."""
        return {"table": self.rows}

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The sum of item vectors, and the layers of the MLP."""
        return AffineLayer(self.table.T, self.bias, self.activation), *self.mlp.affine_layers()
