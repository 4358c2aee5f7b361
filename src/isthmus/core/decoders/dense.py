"""A dense decoder: an MLP, or the identity."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.capabilities import AffineLayer, CodeWeights
from isthmus.core.ops.layers import Mlp, weight_of
from isthmus.protocols import Readout


class DenseDecoder(nn.Module):
    """[batch_samples, code] to [batch_samples, sizes[-1]], with an activation after each layer; without sizes, the
    code."""

    def __init__(self, code: int, sizes: Sequence[int] = (), *, generator: Generator, activation: str = "tanh") -> None:
        super().__init__()
        self.mlp = Mlp((code, *sizes), generator=generator, activation=activation, activate_last=True)

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None = None
    ) -> Float[Tensor, "batch_samples hidden"]:
        """The state that the readout reads."""
        decoded: Tensor = self.mlp(sample)
        return decoded

    def code_weights(self, readout: Readout) -> tuple[CodeWeights, ...]:
        """The weights of the first layer, or of the readout if there are no layers."""
        layers = self.mlp.layers
        return (CodeWeights(weight_of(layers[0] if len(layers) else readout)),)

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The layers of the MLP."""
        return self.mlp.affine_layers()
